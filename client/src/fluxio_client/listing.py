"""Listings of runs: an order by time across the shards of an index, a page at a time."""

from __future__ import annotations

import heapq
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from itertools import islice
from typing import Any

from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.run import Page, RunStatus, RunSummary
from fluxio_protocol.store import Store

#: Later than any time of a run.
EVER = 10**15

#: Where a listing goes on, by shard: the last run of it that was shown, and its time.
_Cursors = dict[str, list[Any]]


class Listing:
    """The runs of a table's workflows, by workflow or by status."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def runs(
        self,
        workflow: str,
        status: RunStatus | None = None,
        since: int = 0,
        until: int | None = None,
        limit: int = 50,
        page: str | None = None,
    ) -> Page:
        """Runs of a workflow, the newest first; see `FluxioClient.list`."""
        listing = [workflow, status.value if status else None]
        cursors: _Cursors = {}
        if page is not None:
            since, until, cursors = _read_page(page, listing)
        shards = range(layout.SHARDS) if status is not RunStatus.FAILED else range(1)
        streams = [
            self._list_shard(workflow, status, shard, since, until, limit, cursors.get(str(shard)))
            for shard in shards
        ]
        order = _newest_failed if status is RunStatus.FAILED else _newest
        merged = heapq.merge(*streams, key=order)
        found: list[RunSummary] = []
        for summary, shard in islice(merged, limit):
            found.append(summary)
            at = summary.ended_at if status is RunStatus.FAILED else summary.created_at
            cursors[str(shard)] = [summary.run_id, at]
        more = len(found) == limit and next(merged, None) is not None
        return Page(found, _write_page(listing, since, until, cursors) if more else None)

    def open(self, expected: int) -> Iterator[str]:
        """Ids of open runs of all workflows, in descending order of `wake_at`; read as they are taken.

        Args:
            expected: about how many will be taken.
        """
        streams = [self._open_of_shard(shard, expected) for shard in range(layout.SHARDS)]
        for _, run_id in heapq.merge(*streams):
            yield run_id

    def _open_of_shard(self, shard: int, expected: int) -> Iterator[tuple[int, str]]:
        query = {
            "IndexName": layout.INDEX_DUE,
            "KeyConditionExpression": "#due=:shard",
            "ExpressionAttributeNames": {"#due": "due"},
            "ExpressionAttributeValues": {":shard": {"N": str(shard)}},
            "ScanIndexForward": False,
            "Limit": expected + 1,
        }
        for item in self._store.query(**query):
            yield -int(item["wake_at"]["N"]), item["pk"]["S"]

    def in_status(self, status: RunStatus, since: int = 0) -> Iterator[list[RunSummary]]:
        """Runs of all workflows in a status, page by page, in no order.

        It reads the whole of an index: of `failed`, where only failed runs are, or else of `by_workflow`,
        where every run is that the table still keeps.
        """
        failed = status is RunStatus.FAILED
        scan: dict[str, Any] = {
            "IndexName": layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW,
            "FilterExpression": "#status=:status AND #at>=:since",
            "ExpressionAttributeNames": {
                "#status": "status",
                "#at": "ended_at" if failed else "created_at",
            },
            "ExpressionAttributeValues": {
                ":status": {"S": status.value},
                ":since": {"N": str(since)},
            },
        }
        for answer in self._store.pages("scan", scan):
            yield [layout.summary_from_item(item) for item in answer["Items"]]

    def _list_shard(
        self,
        workflow: str,
        status: RunStatus | None,
        shard: int,
        since: int,
        until: int | None,
        limit: int,
        cursor: list[Any] | None,
    ) -> Iterator[tuple[RunSummary, int]]:
        failed = status is RunStatus.FAILED
        index = layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW
        hash_name, range_name = (
            ("failed", "ended_at") if failed else ("workflow_shard", "created_at")
        )
        hash_value = workflow if failed else layout.workflow_shard(workflow, shard)
        names = {"#hash": hash_name, "#range": range_name}
        values = {
            ":hash": {"S": hash_value},
            ":since": {"N": str(since)},
            ":until": {"N": str(until if until is not None else EVER)},
        }
        query: dict[str, Any] = {
            "IndexName": index,
            "KeyConditionExpression": "#hash=:hash AND #range BETWEEN :since AND :until",
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        if status is not None and not failed:
            names["#status"] = "status"
            values[":status"] = {"S": status.value}
            query["FilterExpression"] = "#status=:status"
        if cursor is not None:
            query["ExclusiveStartKey"] = layout.run_key(cursor[0]) | {
                hash_name: {"S": hash_value},
                range_name: {"N": str(cursor[1])},
            }
        query |= {"ExpressionAttributeNames": names, "ExpressionAttributeValues": values}
        for item in self._store.query(**query):
            yield layout.summary_from_item(item), shard


def _newest(entry: tuple[RunSummary, int]) -> int:
    return -entry[0].created_at


def _newest_failed(entry: tuple[RunSummary, int]) -> int:
    return -(entry[0].ended_at or 0)


def _write_page(listing: list[str | None], since: int, until: int | None, cursors: _Cursors) -> str:
    text = json.dumps([listing, since, until, cursors], separators=(",", ":"))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _read_page(page: str, listing: list[str | None]) -> tuple[int, int | None, _Cursors]:
    """The window of the first page, and where the next one begins.

    A window that is counted anew from now may end before a cursor, which DynamoDB refuses. So the first one
    stands.
    """
    try:
        of, since, until, at = json.loads(urlsafe_b64decode(page + "=" * (-len(page) % 4)))
        if of == listing:
            first, last = int(since), None if until is None else int(until)
            cursors: _Cursors = {
                str(int(shard)): [str(run_id), int(time)] for shard, (run_id, time) in at.items()
            }
            if all(first <= time <= (last or EVER) for _, time in cursors.values()):
                return first, last, cursors
    except (ValueError, TypeError, AttributeError):
        pass
    raise InvalidInput(
        f"page {page!r} is not a page of this listing of {listing[0]}: pass `next_page` of the page before, "
        "with the same workflow and status."
    )
