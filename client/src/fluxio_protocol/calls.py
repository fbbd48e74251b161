"""Calls of one table: repeated where a transaction was in the way, and counted as DynamoDB counts them."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ParamValidationError

from fluxio_protocol import layout
from fluxio_protocol.errors import FluxioError, IndexNotReady, SettingError
from fluxio_protocol.layout import Item
from fluxio_protocol.transient import error_code

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


@dataclass
class Spent:
    """What a store's calls have cost so far, as DynamoDB counted it; refused writes cost too."""

    reads: int = 0
    writes: int = 0
    #: Write units of the table, and of its indexes.
    write_units: float = 0
    index_write_units: float = 0


class Calls:
    """The calls that are made of a table.

    Args:
        client: a boto3 DynamoDB client.
        table_name: the table.
        sleep: waits so many seconds; for tests.
        chance: a number from 0 to 1 for each pause's jitter; for tests.
    """

    def __init__(
        self,
        client: Any,
        table_name: str,
        sleep: Callable[[float], None] = time.sleep,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.client = client
        self.table_name = table_name
        self.spent = Spent()
        self._sleep = sleep
        self._chance = chance

    def check(self, operation: str, arguments: dict[str, Any]) -> None:
        """See that a call's arguments are of the right kinds: the worker's client does not look.

        Raises:
            ParamValidationError: they are not.
        """
        model = getattr(getattr(self.client, "meta", None), "service_model", None)
        if model is None:
            return  # a stand-in, which has its own way
        from botocore.validate import ParamValidator

        shape = model.operation_model(operation).input_shape
        report = ParamValidator().validate(arguments, shape)
        if report.has_errors():
            raise ParamValidationError(report=report.generate_report())

    def write(self, call: str, **arguments: Any) -> dict[str, Any]:
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
            answer: dict[str, Any] = getattr(self.client, call)(**arguments)
        except ClientError as error:
            code = error.response["Error"]["Code"]
            said = error.response["Error"].get("Message", "")
            if code == "ValidationException" and any(text in said for text in _NO_INDEX):
                raise IndexNotReady(
                    f"the table {self.table_name} has no index {arguments['IndexName']} that can be read now "
                    f"({said.rstrip('.')}): an upgrade that changes an index deletes it and makes it anew, "
                    "which `fluxio doctor` shows. Runs go on meanwhile; repeat the call when it is ACTIVE. If "
                    "no upgrade is under way, see that FLUXIO_TABLE_NAME is the module's output `table_name`."
                ) from error
            if code != "ResourceNotFoundException" or call == "transact_write_items":
                raise  # in a transaction it may be about a table of the user's
            raise SettingError(
                f"there is no table {self.table_name!r} in this Region, or it lacks an index of fluxio's: set "
                "FLUXIO_TABLE_NAME to the module's output `table_name`, and AWS_DEFAULT_REGION to its Region."
            ) from error
        return answer

    def get(self, key: Item, consistent: bool) -> Item | None:
        self.spent.reads += 1
        answer = self._call(
            "get_item", TableName=self.table_name, Key=key, ConsistentRead=consistent
        )
        item: Item | None = answer.get("Item")
        return item

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
            request = {self.table_name: {"Keys": asked, **projection}}
            answer = self._call("batch_get_item", RequestItems=request)
            for items in answer["Responses"].values():
                found |= {item["pk"]["S"]: item for item in items}
            unread = [
                key for left in answer.get("UnprocessedKeys", {}).values() for key in left["Keys"]
            ]
            tried = tried + 1 if len(unread) == len(asked) else 0
            if tried > len(BATCH_PAUSES):
                raise FluxioError(
                    f"DynamoDB has answered none of {len(asked)} runs of table {self.table_name} in {tried} "
                    "tries: it throttles reads of the table. Repeat the call later, or raise the table's read "
                    "capacity (the module's input `billing`)."
                )
            if unread:
                pause = BATCH_PAUSES[max(tried - 1, 0)]
                self._sleep(pause * (0.5 + 0.5 * self._chance()))
                wanted = unread + wanted
        return {run_id: found[run_id] for run_id in ids if run_id in found}

    def query(self, **arguments: Any) -> Iterator[Item]:
        """The items of a Query, page after page, each read when it is asked for."""
        for answer in self.pages("query", arguments):
            yield from answer["Items"]

    def pages(self, call: str, arguments: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The answers of a Query or a Scan, page after page, each read when it is asked for."""
        while True:
            self.spent.reads += 1
            answer = self._call(call, TableName=self.table_name, **arguments)
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
