"""The table: the one module that speaks DynamoDB.

`Store.apply` turns rows of the transition table into one conditional UpdateItem. Whether it was applied or
refused, DynamoDB hands the run back with the answer, so the caller goes on from what is, not from a guess.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from fluxio_protocol import layout, limits
from fluxio_protocol.changes import Change
from fluxio_protocol.errors import FluxioError, IndexNotReady, SettingError
from fluxio_protocol.expression import expression
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import Item
from fluxio_protocol.run import Run, RunStatus
from fluxio_protocol.trace import Trace
from fluxio_protocol.transient import error_code

#: What DynamoDB says of a transaction with an operation that no repetition mends.
_REFUSED_ALWAYS = {"SerializationException", "ValidationException"}

#: What it says of one that may pass in a minute: permissions take effect with a delay, a table may be
#: in the making. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html
_REFUSED_FOR_NOW = {"AccessDeniedException", "ResourceNotFoundException"}

#: Keys that one BatchGetItem may ask for, and the longest pause in seconds before those that it has left unread
#: are asked for again; each is cut short at random.
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html
BATCH_KEYS = 100
BATCH_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2)

#: What DynamoDB says of a Query or a Scan while an upgrade makes an index anew: at first there is none, later
#: one that is being filled.
_NO_INDEX = ("does not have the specified index", "backfilling global secondary index")

#: The longest pause in seconds before a write that met a transaction on the same item is tried again; each is
#: cut short at random, or those that met once would meet again. botocore repeats such a write not at all.
CONFLICT_PAUSES = (0.05, 0.1, 0.2, 0.4)


class Written(NamedTuple):
    """What became of a write: whether it was applied, and the run as it stands (None: no such run)."""

    applied: bool
    run: Run | None


@dataclass
class Spent:
    """What a store's calls have cost so far, as DynamoDB counted it; refused writes cost too."""

    reads: int = 0
    writes: int = 0
    #: Write units of the table, and of its indexes.
    write_units: float = 0
    index_write_units: float = 0


class TransactionFailed(FluxioError):
    """A user's own write in the transaction was refused; `reasons` has DynamoDB's reason for each."""

    def __init__(self, reasons: Sequence[str]) -> None:
        self.reasons = tuple(reasons)
        super().__init__(
            "the transaction of ctx.transact was refused: "
            + "; ".join(
                f"operation {at}: {reason}" for at, reason in enumerate(reasons, 1) if reason
            )
        )


class TransactionInvalid(TransactionFailed):
    """An operation of a user's own is malformed: DynamoDB refuses it each time."""


class Store:
    """The runs of one table.

    Args:
        client: a boto3 DynamoDB client.
        table_name: the table the module made.
        retention_days: how many days a run is kept after it ended.
        sleep: waits so many seconds; for tests.
        chance: a number from 0 to 1 for each pause's jitter; for tests.
    """

    def __init__(
        self,
        client: Any,
        table_name: str,
        retention_days: int = 90,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._sleep = sleep
        self._chance = chance
        self._client = client
        self._table = table_name
        self._retention_days = retention_days
        self.spent = Spent()

    @property
    def table_name(self) -> str:
        """The table with the runs."""
        return self._table

    # --- writes

    def start(
        self,
        run_id: str,
        workflow: str,
        input_json: str,
        now: int,
        wake_at: int,
        trace: Trace | None = None,
    ) -> Written:
        """Store a new run; `applied` is false, and the run the one that is there, if the id is taken."""
        number = layout.shard(run_id)
        attributes: dict[str, str | int] = {
            "workflow": workflow,
            "workflow_shard": layout.workflow_shard(workflow, number),
            "status": RunStatus.PENDING.value,
            "created_at": now,
            "due": number,
            "wake_at": wake_at,
        }
        if trace is not None:
            attributes["trace"] = trace.text
        item = layout.run_key(run_id)
        item |= {name: layout.value(value) for name, value in attributes.items()}
        inline = layout.fits_inline(input_json)
        item |= {"input": {"S": input_json}} if inline else {"input_ref": {"S": layout.INPUT}}
        put = {
            "TableName": self._table,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        try:
            if inline:
                self._write("put_item", **put)
            else:
                payload = self._payload_item(run_id, layout.INPUT, input_json, now)
                self._write(
                    "transact_write_items",
                    TransactItems=[
                        {"Put": put},
                        {"Put": {"TableName": self._table, "Item": payload}},
                    ],
                )
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return Written(False, self._refused(run_id, error.response))
        except self._client.exceptions.TransactionCanceledException as error:
            if error.response["CancellationReasons"][0]["Code"] != "ConditionalCheckFailed":
                raise
            return Written(False, self._refused(run_id, error.response["CancellationReasons"][0]))
        return Written(True, layout.run_from_item(item, {layout.INPUT: input_json}))

    def fits(self, changes: Sequence[Change], now: int) -> bool:
        """Whether the changes can go into one write."""
        return expression(changes, now, self._retention_days).fits

    def apply(
        self,
        run_id: str,
        changes: Sequence[Change],
        now: int,
        operations: Sequence[dict[str, Any]] = (),
    ) -> Written:
        """Apply rows of the transition table to a run: all of them, or none.

        Args:
            run_id: which run.
            changes: the rows.
            now: the caller's time, which the guards DUE and LEASE_OVER are held against.
            operations: the user's own writes, in TransactWriteItems' form, that commit with the rows.

        Raises:
            TransactionFailed: the rows would have been applied but a user's operation was refused.
        """
        update = {
            "TableName": self._table,
            "Key": layout.run_key(run_id),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expression(changes, now, self._retention_days).arguments(),
        }
        if refusals := "; ".join(limits.operation_refusals(update)):
            rows = ", ".join(change.row.name for change in changes)
            raise FluxioError(
                f"run {run_id}: the write {rows} is too large for DynamoDB: {refusals}."
            )
        if operations:
            return self._apply_with(run_id, update, operations)
        try:
            answer = self._write("update_item", ReturnValues="ALL_NEW", **update)
        except self._client.exceptions.ConditionalCheckFailedException as error:
            return Written(False, self._refused(run_id, error.response))
        return Written(True, layout.run_from_item(answer["Attributes"]))

    def _apply_with(
        self, run_id: str, update: dict[str, Any], operations: Sequence[dict[str, Any]]
    ) -> Written:
        items = [{"Update": update}, *operations]
        try:
            self._write("transact_write_items", TransactItems=items)
        except self._client.exceptions.TransactionCanceledException as error:
            ours, *theirs = error.response["CancellationReasons"]
            if ours["Code"] == "ConditionalCheckFailed":
                return Written(False, self._refused(run_id, ours))
            codes = {reason["Code"] for reason in theirs}
            if ours["Code"] == "None" and codes & {"ConditionalCheckFailed", "ValidationError"}:
                raise TransactionFailed([_reason(reason) for reason in theirs]) from None
            raise  # a conflict that lasts, or a throttle
        except ParamValidationError as error:
            raise TransactionInvalid([str(error)]) from None
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _REFUSED_ALWAYS:
                raise TransactionInvalid([str(error)]) from None
            if code in _REFUSED_FOR_NOW:
                raise TransactionFailed([str(error)]) from None
            raise
        return Written(True, self.read(run_id))

    def _write(self, call: str, **arguments: Any) -> dict[str, Any]:
        """A write, tried again while it meets transactions on the same item."""
        for pause in CONFLICT_PAUSES:
            try:
                return self._write_once(call, **arguments)
            except ClientError as error:
                if not _is_conflict(error):
                    raise
                self._sleep(pause * (0.5 + 0.5 * self._chance()))
        return self._write_once(call, **arguments)

    def _write_once(self, call: str, **arguments: Any) -> dict[str, Any]:
        """One call that writes, with what it cost."""
        self.spent.writes += 1
        answer = self._call(call, ReturnConsumedCapacity="INDEXES", **arguments)
        consumed = answer.get("ConsumedCapacity", [])
        for table in consumed if isinstance(consumed, list) else [consumed]:
            total = table.get("WriteCapacityUnits", table.get("CapacityUnits", 0))
            own = table.get("Table", {})
            units = own.get("WriteCapacityUnits", own.get("CapacityUnits", total))
            self.spent.write_units += units
            self.spent.index_write_units += total - units
        return answer

    def _call(self, call: str, **arguments: Any) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = getattr(self._client, call)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            said = error.response["Error"].get("Message", "")
            if code == "ValidationException" and any(text in said for text in _NO_INDEX):
                raise IndexNotReady(
                    f"the table {self._table} has no index {arguments['IndexName']} that can be read now "
                    f"({said.rstrip('.')}): an upgrade that changes an index deletes it and makes it anew, "
                    "which `fluxio doctor` shows. Runs go on meanwhile; repeat the call when it is ACTIVE. If "
                    "no upgrade is under way, see that FLUXIO_TABLE_NAME is the module's output `table_name`."
                ) from error
            if code != "ResourceNotFoundException" or call == "transact_write_items":
                raise  # in a transaction it may be about a table of the user's
            raise SettingError(
                f"there is no table {self._table!r} in this Region, or it lacks an index of fluxio's: set "
                "FLUXIO_TABLE_NAME to the module's output `table_name`, and AWS_DEFAULT_REGION to its Region."
            ) from error
        return answer

    def _refused(self, run_id: str, answer: dict[str, Any]) -> Run | None:
        # The image comes with the refusal; only where an endpoint leaves it out is a read needed.
        item = answer.get("Item")
        return layout.run_from_item(item) if item else self.read(run_id)

    def put_payload(self, run_id: str, sort_key: str, text: str, now: int) -> None:
        """Store a value that is too long for the run item."""
        self._write(
            "put_item",
            TableName=self._table,
            Item=self._payload_item(run_id, sort_key, text, now),
        )

    def _payload_item(self, run_id: str, sort_key: str, text: str, now: int) -> Item:
        key = {"pk": {"S": run_id}, "sk": {"S": sort_key}}
        return key | {"payload": {"S": text}, "ttl": {"N": self._kept_until(now)}}

    def expire_payloads(self, run_id: str, sort_keys: Sequence[str], ended_at: int) -> None:
        """Let items with long values go when their run goes, which ended at `ended_at`.

        What is not there is passed over, and what a redrive has kept since. It can be repeated safely.
        """
        ttl = ended_at // 1000 + self._retention_days * 86_400
        for sort_key in sort_keys:
            self._update_payload(
                run_id,
                sort_key,
                "SET #ttl=:ttl",
                " AND (attribute_not_exists(redriven_end) OR redriven_end<:end)",
                {":ttl": {"N": str(ttl)}, ":end": {"N": str(ended_at)}},
            )

    def keep_payloads(
        self, run_id: str, sort_keys: Sequence[str], ended_at: int | None, now: int
    ) -> None:
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
            self._update_payload(run_id, sort_key, "SET #ttl=:ttl,redriven_end=:end", "", values)

    def _update_payload(
        self, run_id: str, sort_key: str, update: str, condition: str, values: dict[str, Any]
    ) -> None:
        try:
            self._write(
                "update_item",
                TableName=self._table,
                Key={"pk": {"S": run_id}, "sk": {"S": sort_key}},
                UpdateExpression=update,
                ConditionExpression=f"attribute_exists(pk){condition}",
                ExpressionAttributeNames={"#ttl": "ttl"},
                ExpressionAttributeValues=values,
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    def _kept_until(self, now: int) -> str:
        return str(now // 1000 + (layout.PAYLOAD_DAYS + self._retention_days) * 86_400)

    def signal(self, run_id: str, change: Change, name: str, text: str, now: int) -> Written:
        """Apply the row of a signal; a payload too long for the run item commits in the same transaction."""
        if layout.fits_inline(text):
            return self.apply(run_id, [change], now)
        payload = self._payload_item(run_id, layout.signal_ref(name), text, now)
        put = {"Put": {"TableName": self._table, "Item": payload}}
        return self.apply(run_id, [change], now, [put])

    def put_graph(self, workflow: str, graph: Graph) -> None:
        """Store the graph of a version, if it is not there; reading first spares the write unit."""
        if self.get_graph(workflow, graph.version) is None:
            self._write(
                "put_item",
                TableName=self._table,
                Item=layout.definition_key(workflow, graph.version) | graph.to_item(),
            )

    def try_to_write(self, run_id: str) -> None:
        """Ask for a write that can never be applied: it fails only where the caller may not write.

        Raises:
            ClientError: AccessDeniedException, or the table cannot be reached.
        """
        try:
            self._write(
                "update_item",
                TableName=self._table,
                Key=layout.run_key(run_id),
                UpdateExpression="SET pk_seen=:no",
                ConditionExpression="attribute_exists(pk) AND attribute_not_exists(pk)",
                ExpressionAttributeValues={":no": {"S": ""}},
            )
        except self._client.exceptions.ConditionalCheckFailedException:
            return

    # --- reads

    def read(self, run_id: str) -> Run | None:
        """The run item as it stands, without values that have items of their own."""
        item = self._get(layout.run_key(run_id), consistent=True)
        return layout.run_from_item(item) if item else None

    def read_many(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """The run items by id, as an eventually consistent read shows them; see `batch_get`."""
        return {
            run_id: layout.run_from_item(item) for run_id, item in self.batch_get(run_ids).items()
        }

    def batch_get(self, run_ids: Iterable[str], attributes: Sequence[str] = ()) -> dict[str, Item]:
        """Run items by id, in the order of the ids; those that are not there are left out.

        Each costs half a read unit for every 4 KB of it begun, however little is asked for:
        https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html

        Args:
            run_ids: which runs; one that is named twice is read once.
            attributes: the attributes to read, `pk` among them; none: all.

        Raises:
            FluxioError: DynamoDB has answered none of a batch, try after try.
        """
        ids = list(dict.fromkeys(run_ids))
        wanted = [layout.run_key(run_id) for run_id in ids]
        names = {f"#{at}": name for at, name in enumerate(attributes)}
        projection: dict[str, Any] = {}
        if names:
            projection = {
                "ProjectionExpression": ",".join(names),
                "ExpressionAttributeNames": names,
            }
        found: dict[str, Item] = {}
        tried = 0
        while wanted:
            asked, wanted = wanted[:BATCH_KEYS], wanted[BATCH_KEYS:]
            self.spent.reads += 1
            request = {self._table: {"Keys": asked, **projection}}
            answer = self._call("batch_get_item", RequestItems=request)
            for items in answer["Responses"].values():
                found |= {item["pk"]["S"]: item for item in items}
            unread = [
                key for left in answer.get("UnprocessedKeys", {}).values() for key in left["Keys"]
            ]
            tried = tried + 1 if len(unread) == len(asked) else 0
            if tried > len(BATCH_PAUSES):
                raise FluxioError(
                    f"DynamoDB has answered none of {len(asked)} runs of table {self._table} in {tried} tries: "
                    "it throttles reads of the table. Repeat the call later, or raise the table's read "
                    "capacity (the module's input `billing`)."
                )
            if unread:
                pause = BATCH_PAUSES[max(tried - 1, 0)]
                self._sleep(pause * (0.5 + 0.5 * self._chance()))
                wanted = unread + wanted
        return {run_id: found[run_id] for run_id in ids if run_id in found}

    def read_whole(self, run_id: str) -> Run | None:
        """The run with its input, outputs and result, wherever they stand."""
        run_item: Item | None = None
        payloads: dict[str, str] = {}
        for item in self.query(
            KeyConditionExpression="pk=:pk",
            ExpressionAttributeValues={":pk": {"S": run_id}},
            ConsistentRead=True,
        ):
            if item["sk"]["S"] == layout.RUN:
                run_item = item
            elif "payload" in item:
                payloads[item["sk"]["S"]] = item["payload"]["S"]
        return layout.run_from_item(run_item, payloads) if run_item else None

    def get_payload(self, run_id: str, sort_key: str) -> str:
        """A value that has an item of its own.

        Raises:
            FluxioError: it is not there.
        """
        item = self._get({"pk": {"S": run_id}, "sk": {"S": sort_key}}, consistent=True)
        if item is None:
            raise FluxioError(f"run {run_id}: the item {sort_key!r} that it refers to is gone.")
        return str(item["payload"]["S"])

    def get_graph(self, workflow: str, version: str) -> Graph | None:
        """The graph of a version; None if no worker has stored it."""
        key = layout.definition_key(workflow, version)
        # Most often it is old. One written a moment ago may show in a consistent read only.
        item = self._get(key, consistent=False) or self._get(key, consistent=True)
        return Graph.from_item(item) if item and "graph" in item else None

    def due(self, shard: int, until: int, limit: int) -> list[tuple[str, int]]:
        """Open runs of a shard whose `wake_at` is past, the longest first: (run id, wake_at)."""
        found = self.query(
            IndexName=layout.INDEX_DUE,
            KeyConditionExpression="#due=:shard AND wake_at<=:until",
            ExpressionAttributeNames={"#due": "due"},
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":until": {"N": str(until)}},
            Limit=limit,
        )
        return [(item["pk"]["S"], int(item["wake_at"]["N"])) for item in islice(found, limit)]

    def _get(self, key: Item, consistent: bool) -> Item | None:
        self.spent.reads += 1
        answer = self._call("get_item", TableName=self._table, Key=key, ConsistentRead=consistent)
        item: Item | None = answer.get("Item")
        return item

    def query(self, **arguments: Any) -> Iterator[Item]:
        """The items of a Query, page after page, each read when it is asked for."""
        for answer in self.pages("query", arguments):
            yield from answer["Items"]

    def pages(self, call: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The answers of a Query or a Scan, page after page, each read when it is asked for."""
        while True:
            self.spent.reads += 1
            answer = self._call(call, TableName=self._table, **arguments)
            yield answer
            if "LastEvaluatedKey" not in answer:
                return
            arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def _is_conflict(error: ClientError) -> bool:
    """Whether a write was refused only because a transaction was under way on an item of it.

    https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/transaction-apis.html#transaction-conflict-handling
    """
    reasons = error.response.get("CancellationReasons")
    if reasons is None:
        return error_code(error) == "TransactionConflictException"
    return {reason["Code"] for reason in reasons} <= {"None", "TransactionConflict"}


def _reason(of: dict[str, Any]) -> str:
    return "" if of["Code"] == "None" else f"{of['Code']} {of.get('Message', '')}".strip()
