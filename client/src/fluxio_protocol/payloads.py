"""Items of a run besides its own: long values, and the records of sealed steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluxio_protocol import layout
from fluxio_protocol.calls import Calls
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.layout import Item


class Payloads:
    """The items with long values, and the archives, of the runs of a table.

    Args:
        calls: of the table.
        retention_days: how many days a run is kept after it ended.
    """

    def __init__(self, calls: Calls, retention_days: int) -> None:
        self._calls = calls
        self._retention_days = retention_days

    def put(self, run_id: str, sort_key: str, text: str, now: int) -> None:
        """Store a value that is too long for the run item."""
        self._calls.write(
            "put_item",
            TableName=self._calls.table_name,
            Item=self.item(run_id, sort_key, text, now),
        )

    def item(self, run_id: str, sort_key: str, text: str, now: int) -> Item:
        key = {"pk": {"S": run_id}, "sk": {"S": sort_key}}
        return key | {"payload": {"S": text}, "ttl": {"N": self._kept_until(now)}}

    def expire(self, run_id: str, sort_keys: Sequence[str], ended_at: int) -> None:
        """Let items with long values go when their run goes, which ended at `ended_at`.

        What is not there is passed over, and what a redrive has kept since. It can be repeated safely.
        """
        ttl = ended_at // 1000 + self._retention_days * 86_400
        for sort_key in sort_keys:
            self._update(
                run_id,
                sort_key,
                "SET #ttl=:ttl",
                " AND (attribute_not_exists(redriven_end) OR redriven_end<:end)",
                {":ttl": {"N": str(ttl)}, ":end": {"N": str(ended_at)}},
            )

    def keep(self, run_id: str, sort_keys: Sequence[str], ended_at: int | None, now: int) -> None:
        """Keep items with long values for a run that is about to be redriven.

        Args:
            run_id: which run.
            sort_keys: the items.
            ended_at: the end that the redrive undoes. A worker that has still to let the items go for that
                end no longer does. None: the run was parked, and nothing is to be done.
            now: the caller's time.
        """
        if ended_at is None:
            return
        values = {":ttl": {"N": self._kept_until(now)}, ":end": {"N": str(ended_at)}}
        for sort_key in sort_keys:
            self._update(run_id, sort_key, "SET #ttl=:ttl,redriven_end=:end", "", values)

    def _update(
        self, run_id: str, sort_key: str, update: str, condition: str, values: dict[str, Any]
    ) -> None:
        try:
            self._calls.write(
                "update_item",
                TableName=self._calls.table_name,
                Key={"pk": {"S": run_id}, "sk": {"S": sort_key}},
                UpdateExpression=update,
                ConditionExpression=f"attribute_exists(pk){condition}",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=values,
            )
        except self._calls.client.exceptions.ConditionalCheckFailedException:
            return

    def _kept_until(self, now: int) -> str:
        return str(now // 1000 + (layout.PAYLOAD_DAYS + self._retention_days) * 86_400)

    def get(self, run_id: str, sort_key: str) -> str:
        """A value that has an item of its own.

        Raises:
            FluxioError: it is not there.
        """
        item = self._calls.get({"pk": {"S": run_id}, "sk": {"S": sort_key}}, consistent=True)
        if item is None:
            raise FluxioError(f"run {run_id}: the item {sort_key!r} that it refers to is gone.")
        return str(item["payload"]["S"])

    def put_archive(
        self, run_id: str, number: int, records: Mapping[str, str], now: int
    ) -> tuple[str, ...]:
        """Store the records of steps, to be sealed next.

        Returns:
            The steps that the archive has: those of another worker, if there was one of this number already.
        """
        item = self.item(run_id, layout.archive_ref(number), "", now)
        del item["payload"]
        item["steps"] = {"M": {name: {"S": record} for name, record in records.items()}}
        try:
            self._calls.write(
                "put_item",
                TableName=self._calls.table_name,
                Item=item,
                ConditionExpression="attribute_not_exists(pk)",
            )
        except self._calls.client.exceptions.ConditionalCheckFailedException:
            return tuple(self._archive(run_id, number))
        return tuple(records)

    def archived(self, run_id: str, archives: int) -> dict[str, str]:
        """The records of a run's sealed steps, by name; without those of an archive that is not there."""
        found: dict[str, str] = {}
        for number in range(1, archives + 1):
            found |= self._archive(run_id, number)
        return found

    def _archive(self, run_id: str, number: int) -> dict[str, str]:
        sort_key = layout.archive_ref(number)
        item = self._calls.get({"pk": {"S": run_id}, "sk": {"S": sort_key}}, consistent=True)
        return records_of(item) if item else {}


def records_of(archive: Item) -> dict[str, str]:
    """The records that an archive item has, by the names of their steps."""
    steps: dict[str, str] = layout.plain(archive["steps"])
    return steps
