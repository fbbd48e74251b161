"""The runs of a table, in one conditional write for each change.

`Store.apply` turns rows of the transition table into one conditional UpdateItem. Whether it was applied or
refused, DynamoDB hands the run back with the answer, so the caller goes on from what is, not from a guess.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from botocore.exceptions import ClientError, ParamValidationError

from fluxio_protocol import layout, limits
from fluxio_protocol.calls import Calls, Spent
from fluxio_protocol.changes import Change
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.expression import expression
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import Address, Item
from fluxio_protocol.new_run import NewRun
from fluxio_protocol.payloads import Payloads, records_of
from fluxio_protocol.run import Run
from fluxio_protocol.run_item import SCHEMA, filled_in, new_run_item, run_from_item
from fluxio_protocol.trace import Trace
from fluxio_protocol.transient import is_transient

#: What DynamoDB says of a transaction with an operation that no repetition mends.
_REFUSED_ALWAYS = {"SerializationException", "ValidationException"}

#: What it says of one that may pass in a minute: permissions take effect with a delay, a table may be
#: in the making. https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_general.html
_REFUSED_FOR_NOW = {"AccessDeniedException", "ResourceNotFoundException"}


class Written(NamedTuple):
    """What became of a write: whether it was applied, and the run as it stands (None: no such run)."""

    applied: bool
    run: Run | None


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


class StartRefused(TransactionFailed):
    """A run that ctx.start is to start exists already, started otherwise; `run` is that one."""

    def __init__(self, run: Run) -> None:
        self.reasons = ()
        self.run = run
        by = run.started_by
        whose = "not by this step" if by is None else f"by step {by.step} of run {by.run_id}"
        FluxioError.__init__(
            self,
            f"ctx.start: run {run.run_id} exists already, of workflow {run.workflow} and started {whose}: "
            "choose another run_id, or leave it out to get an id that is this step's own.",
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
        self.calls = Calls(client, table_name, sleep, chance)
        #: Items of long values, and archives.
        self.payloads = Payloads(self.calls, retention_days)
        self._retention_days = retention_days
        self._graphs: dict[tuple[str, str], Graph] = {}

    @property
    def table_name(self) -> str:
        """The table with the runs."""
        return self.calls.table_name

    @property
    def spent(self) -> Spent:
        """What the calls of this store have cost so far."""
        return self.calls.spent

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
        item = new_run_item(run_id, workflow, input_json, now, wake_at, trace)
        puts = self._puts(run_id, item, input_json, now)
        try:
            if len(puts) == 1:
                self.calls.write("put_item", **puts[0]["Put"])
            else:
                self.calls.write("transact_write_items", TransactItems=puts)
        except self.calls.client.exceptions.ConditionalCheckFailedException as error:
            return Written(False, self._refused(run_id, error.response))
        except self.calls.client.exceptions.TransactionCanceledException as error:
            if error.response["CancellationReasons"][0]["Code"] != "ConditionalCheckFailed":
                raise
            return Written(False, self._refused(run_id, error.response["CancellationReasons"][0]))
        return Written(True, run_from_item(item, {layout.INPUT: input_json}))

    def _puts(self, run_id: str, item: Item, input_json: str, now: int) -> list[dict[str, Any]]:
        """What stores a new run: its item, unless its id is taken, and a long input beside it."""
        put: dict[str, Any] = {
            "TableName": self.table_name,
            "Item": item,
            "ConditionExpression": "attribute_not_exists(pk)",
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if "input" in item:
            return [{"Put": put}]
        payload = self.payloads.item(run_id, layout.INPUT, input_json, now)
        return [{"Put": put}, {"Put": {"TableName": self.table_name, "Item": payload}}]

    def fits(self, changes: Sequence[Change], now: int, schema: int) -> bool:
        """Whether the changes can go into one write of a run of that schema."""
        return expression(changes, now, self._retention_days, schema).fits

    def apply(
        self,
        at: Address | str,
        changes: Sequence[Change],
        now: int,
        operations: Sequence[dict[str, Any]] = (),
        schema: int = SCHEMA,
        starts: Sequence[NewRun] = (),
        trace: Trace | None = None,
    ) -> Written:
        """Apply rows of the transition table to a run, or to a part of it: all of them, or none.

        Args:
            at: which run, or the address of the part.
            changes: the rows.
            now: the caller's time, which the guards DUE and LEASE_OVER are held against.
            operations: the user's own writes, in TransactWriteItems' form, that commit with the rows.
            schema: the form of the run's item, as far as the caller has seen it.
            starts: runs that are started with the rows; one that is there already, started by the same step,
                is left as it stands.
            trace: the trace that those are recorded in.

        Raises:
            TransactionFailed: the rows would have been applied but a user's operation was refused.
            StartRefused: they would have been applied but the id of a run to be started is taken.
        """
        update = {
            "TableName": self.table_name,
            "Key": layout.run_key(at),
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
            **expression(changes, now, self._retention_days, schema).arguments(),
        }
        if refusals := "; ".join(limits.operation_refusals(update)):
            rows = ", ".join(change.row.name for change in changes)
            raise FluxioError(
                f"run {Address.of(at).run_id}: the write {rows} is too large for DynamoDB: {refusals}."
            )
        if operations or starts:
            return self._apply_with(at, update, operations, starts, now, trace)
        try:
            answer = self.calls.write("update_item", ReturnValues="ALL_NEW", **update)
        except self.calls.client.exceptions.ConditionalCheckFailedException as error:
            return Written(False, self._refused(at, error.response))
        return Written(True, self._written(answer["Attributes"]))

    def _apply_with(
        self,
        at: Address | str,
        update: dict[str, Any],
        operations: Sequence[dict[str, Any]],
        starts: Sequence[NewRun],
        now: int,
        trace: Trace | None,
    ) -> Written:
        puts = [(new, put) for new in starts for put in self._puts_of(new, now, trace)]
        items = [{"Update": update}, *operations, *(put for _, put in puts)]
        try:
            self.calls.check("TransactWriteItems", {"TransactItems": items})
            self.calls.write("transact_write_items", TransactItems=items)
        except self.calls.client.exceptions.TransactionCanceledException as error:
            ours, *others = error.response["CancellationReasons"]
            if ours["Code"] == "ConditionalCheckFailed":
                return Written(False, self._refused(at, ours))
            theirs, of_runs = others[: len(operations)], others[len(operations) :]
            codes = {reason["Code"] for reason in theirs}
            if ours["Code"] == "None" and codes & {"ConditionalCheckFailed", "ValidationError"}:
                raise TransactionFailed([_reason(reason) for reason in theirs]) from None
            taken = [
                new
                for (new, _), reason in zip(puts, of_runs, strict=True)
                if reason["Code"] == "ConditionalCheckFailed"
            ]
            if ours["Code"] == "None" and taken:
                left = self._still_to_start(starts, taken)
                return self._apply_with(at, update, operations, left, now, trace)
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
        return Written(True, self.read(at))

    def _puts_of(self, new: NewRun, now: int, trace: Trace | None) -> list[dict[str, Any]]:
        item = new_run_item(
            new.run_id,
            new.workflow,
            new.input_json,
            now,
            now + new.wakes_after,
            trace,
            new.started_by,
            now + new.after if new.after else None,
        )
        return self._puts(new.run_id, item, new.input_json, now)

    def _still_to_start(self, starts: Sequence[NewRun], taken: Sequence[NewRun]) -> list[NewRun]:
        """Those that are not there. Of those whose ids are taken, this very step may have started some.

        Raises:
            StartRefused: one was started otherwise.
        """
        there = {new.run_id: self.read(new.run_id) for new in taken}
        for new in taken:
            run = there[new.run_id]
            if run is not None and run.started_by != new.started_by:
                raise StartRefused(run)
        return [new for new in starts if there.get(new.run_id) is None]

    def _refused(self, at: Address | str, answer: dict[str, Any]) -> Run | None:
        # The image comes with the refusal; only where an endpoint leaves it out is a read needed.
        item = answer.get("Item")
        return self._written(item) if item else self.read(at)

    def _written(self, item: Item) -> Run:
        """The run that a write has left. The write is done; its graph is read later, if it cannot be now."""
        try:
            return self._run(item)
        except Exception as error:
            if not is_transient(error):
                raise
            return replace(run_from_item(item), partial=True)

    def signal(
        self, run_id: str, change: Change, name: str, text: str, now: int, schema: int = SCHEMA
    ) -> Written:
        """Apply the row of a signal; a payload too long for the run item commits in the same transaction."""
        if layout.fits_inline(text):
            return self.apply(run_id, [change], now, schema=schema)
        payload = self.payloads.item(run_id, layout.signal_ref(name), text, now)
        put = {"Put": {"TableName": self.table_name, "Item": payload}}
        return self.apply(run_id, [change], now, [put], schema)

    def put_graph(self, workflow: str, graph: Graph) -> None:
        """Store the graph of a version, if it is not there; reading first spares the write unit."""
        if self.get_graph(workflow, graph.version) is None:
            self.calls.write(
                "put_item",
                TableName=self.table_name,
                Item=layout.definition_key(workflow, graph.version) | graph.to_item(),
            )
            self._graphs[workflow, graph.version] = graph

    def try_to_write(self, run_id: str) -> None:
        """Ask for a write that can never be applied: it fails only where the caller may not write.

        Raises:
            ClientError: AccessDeniedException, or the table cannot be reached.
        """
        try:
            self.calls.write(
                "update_item",
                TableName=self.table_name,
                Key=layout.run_key(run_id),
                UpdateExpression="SET pk_seen=:no",
                ConditionExpression="attribute_exists(pk) AND attribute_not_exists(pk)",
                ExpressionAttributeValues={":no": {"S": ""}},
            )
        except self.calls.client.exceptions.ConditionalCheckFailedException:
            return

    # --- reads

    def read(self, at: Address | str) -> Run | None:
        """The item of a run, or of a part of it, as it stands, without values that have items of their own."""
        item = self.calls.get(layout.run_key(at), consistent=True)
        return self._run(item) if item else None

    def read_many(self, run_ids: Iterable[str]) -> dict[str, Run]:
        """The run items by id, as an eventually consistent read shows them; see `Calls.batch_get`."""
        return {run_id: self._run(item) for run_id, item in self.calls.batch_get(run_ids).items()}

    def read_whole(self, run_id: str) -> Run | None:
        """The run with its input, outputs and result, wherever they stand."""
        run_item: Item | None = None
        payloads: dict[str, str] = {}
        ended: dict[str, str] = {}
        for item in self.calls.query(
            KeyConditionExpression="pk=:pk",
            ExpressionAttributeValues={":pk": {"S": run_id}},
            ConsistentRead=True,
        ):
            if item["sk"]["S"] == layout.RUN:
                run_item = item
            elif "payload" in item:
                payloads[item["sk"]["S"]] = item["payload"]["S"]
            elif "steps" in item:
                ended |= records_of(item)
        return self._run(run_item, payloads, ended) if run_item else None

    def with_ended(self, run: Run) -> Run:
        """A run with the records of its sealed steps, as far as they are there."""
        if not any(step.unread for step in run.steps.values()):
            return run
        return filled_in(run, self.payloads.archived(run.run_id, run.archives))

    def _run(
        self,
        item: Item,
        payloads: Mapping[str, str] | None = None,
        ended: Mapping[str, str] | None = None,
    ) -> Run:
        graph = None
        if "schema" in item and "version" in item:
            graph = self.get_graph(item["workflow"]["S"], item["version"]["S"])
        return run_from_item(item, payloads, graph, ended)

    def get_graph(self, workflow: str, version: str) -> Graph | None:
        """The graph of a version, read once; None if no worker has stored it."""
        found = self._graphs.get((workflow, version))
        if found is None:
            key = layout.definition_key(workflow, version)
            # Most often it is old. One written a moment ago may show in a consistent read only.
            item = self.calls.get(key, consistent=False) or self.calls.get(key, consistent=True)
            if item is None or "graph" not in item:
                return None
            found = self._graphs[workflow, version] = Graph.from_item(item)
        return found

    def due(self, shard: int, until: int, limit: int) -> list[tuple[str, int]]:
        """Open runs of a shard whose `wake_at` is past, the longest first: (run id, wake_at)."""
        found = self.calls.query(
            IndexName=layout.INDEX_DUE,
            KeyConditionExpression="#due=:shard AND wake_at<=:until",
            ExpressionAttributeNames={"#due": "due"},
            ExpressionAttributeValues={":shard": {"N": str(shard)}, ":until": {"N": str(until)}},
            Limit=limit,
        )
        return [(item["pk"]["S"], int(item["wake_at"]["N"])) for item in islice(found, limit)]


def _reason(of: dict[str, Any]) -> str:
    return "" if of["Code"] == "None" else f"{of['Code']} {of.get('Message', '')}".strip()
