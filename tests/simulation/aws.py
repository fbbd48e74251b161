# ruff: noqa: N803 - the arguments are those of boto3
"""DynamoDB and SQS in this process, at the level of boto3's clients: what Store and Queue speak to.

One clock moves both services, and nothing happens unless somebody calls. Every call of a client goes through
its `wire`, which is where tests put what goes wrong between a worker and AWS: it may let the call land once,
twice or never, lose its answer, or end its caller. `tests/simulation/conformance.py` holds this file to what
moto and MiniStack do.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from botocore.exceptions import ClientError

from fluxio_client import limits
from tests.simulation import expressions
from tests.simulation.expressions import Invalid, Item, Unfit

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
DEDUPLICATION_MS = 300_000
VISIBILITY_SECONDS = 43_200
#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CLIENT_TOKEN_MS = 600_000


class ConditionalCheckFailedException(ClientError):
    """As `client.exceptions` has it."""


class TransactionCanceledException(ClientError):
    """As `client.exceptions` has it."""


class TransactionConflictException(ClientError):
    """As `client.exceptions` has it."""


class ResourceNotFoundException(ClientError):
    """As `client.exceptions` has it."""


class ReceiptHandleIsInvalid(ClientError):
    """As `client.exceptions` has it."""


class _Exceptions:
    ClientError = ClientError
    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException
    TransactionConflictException = TransactionConflictException
    ResourceNotFoundException = ResourceNotFoundException
    ReceiptHandleIsInvalid = ReceiptHandleIsInvalid


def client_error(operation: str, code: str, message: str = "", **more: Any) -> ClientError:
    """The exception that boto3 raises for an answer."""
    kind = getattr(_Exceptions, code, ClientError)
    return kind({"Error": {"Code": code, "Message": message}, **more}, operation)


@dataclass
class Clock:
    """Milliseconds since 1970; stands still until it is moved."""

    at: int = 1_800_000_000_000

    def now(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += round(seconds * 1000)


# --- what lies between a client and the service


@dataclass
class Call:
    """One call of a client. `land` lets the service answer it; it may land several times, or never."""

    service: str
    operation: str
    arguments: dict[str, Any]
    _handler: Callable[..., dict[str, Any]]
    landed: int = 0

    def land(self) -> dict[str, Any]:
        self.landed += 1
        return self._handler(**self.arguments)

    def error(self, code: str, message: str = "", **more: Any) -> ClientError:
        """What this call raises if it is answered so."""
        return client_error(self.operation, code, message, **more)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


Wire = Callable[[Call], dict[str, Any]]


def sound(call: Call) -> dict[str, Any]:
    """A wire on which nothing goes wrong."""
    return call.land()


class _Client:
    exceptions = _Exceptions

    def __init__(self, service: Any, wire: Wire) -> None:
        self._service = service
        self._wire = wire

    def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        handler = getattr(self._service, operation)
        return self._wire(Call(self._service.name, operation, arguments, handler))


class DynamoDBClient(_Client):
    """What boto3.client("dynamodb") offers, as far as fluxio asks for it."""

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("get_item", arguments)

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("put_item", arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("update_item", arguments)

    def delete_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("delete_item", arguments)

    def query(self, **arguments: Any) -> dict[str, Any]:
        return self._call("query", arguments)

    def transact_write_items(self, **arguments: Any) -> dict[str, Any]:
        # botocore makes the token up once a call, so that its own second try carries the first one's.
        arguments.setdefault("ClientRequestToken", self._service.new_client_token())
        return self._call("transact_write_items", arguments)


class SQSClient(_Client):
    """What boto3.client("sqs") offers, as far as fluxio asks for it."""

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        return self._call("send_message_batch", arguments)

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        return self._call("receive_message", arguments)

    def delete_message(self, **arguments: Any) -> dict[str, Any]:
        return self._call("delete_message", arguments)

    def change_message_visibility(self, **arguments: Any) -> dict[str, Any]:
        return self._call("change_message_visibility", arguments)

    def get_queue_attributes(self, **arguments: Any) -> dict[str, Any]:
        return self._call("get_queue_attributes", arguments)


# --- DynamoDB


@dataclass(frozen=True)
class Index:
    """A global secondary index; None projects everything, a tuple these attributes besides the keys."""

    hash_key: str
    range_key: str
    projected: tuple[str, ...] = ()


#: As modules/fluxio makes them.
INDEXES = {
    "by_workflow": Index("workflow_shard", "created_at", ("status", "ended_at")),
    "due": Index("due", "wake_at"),
    "failed": Index("failed", "ended_at", ("status", "created_at")),
}
#: The types of the index keys; an item whose attribute has another one is refused.
INDEX_TYPES = {
    "workflow_shard": "S",
    "created_at": "N",
    "due": "N",
    "wake_at": "N",
    "failed": "S",
    "ended_at": "N",
}

Key = tuple[str, str]
#: Told of every write that was applied: table, key, the item before it and after it.
Watcher = Callable[[str, Key, "Item | None", "Item | None"], None]


@dataclass
class Table:
    """Items by (pk, sk); `lagging` are those that indexes and eventually consistent reads still show."""

    name: str
    indexes: dict[str, Index] = field(default_factory=dict)
    items: dict[Key, Item] = field(default_factory=dict)
    lagging: deque[tuple[int, Key, Item | None]] = field(default_factory=deque)


class DynamoDB:
    """The service: tables with a hash key `pk` and a range key `sk`, both strings."""

    name = "dynamodb"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.tables: dict[str, Table] = {}
        self.watchers: list[Watcher] = []
        #: Milliseconds by which indexes and eventually consistent reads are behind.
        self.lag = 0
        self._client_tokens: dict[str, int] = {}
        self._token_numbers = count()

    def client(self, wire: Wire = sound) -> DynamoDBClient:
        return DynamoDBClient(self, wire)

    def create_table(self, name: str, indexes: dict[str, Index] | None = None) -> Table:
        self.tables[name] = Table(name, indexes or {})
        return self.tables[name]

    def new_client_token(self) -> str:
        return f"client-token-{next(self._token_numbers)}"

    # --- reads

    def get_item(
        self, *, TableName: str, Key: Item, ConsistentRead: bool = False
    ) -> dict[str, Any]:
        table = self._table("GetItem", TableName)
        key = _key(Key)
        item = table.items.get(key) if ConsistentRead else self._behind(table).get(key)
        return {"Item": item} if item is not None else {}

    def query(
        self,
        *,
        TableName: str,
        KeyConditionExpression: str,
        ExpressionAttributeValues: Item,
        ExpressionAttributeNames: dict[str, str] | None = None,
        IndexName: str | None = None,
        FilterExpression: str | None = None,
        Limit: int | None = None,
        ScanIndexForward: bool = True,
        ConsistentRead: bool = False,
        ExclusiveStartKey: Item | None = None,
    ) -> dict[str, Any]:
        table = self._table("Query", TableName)
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues
        try:
            matches, used = expressions.parse_condition(KeyConditionExpression)
            wanted = [used]
            if FilterExpression is not None:
                keeps, more = expressions.parse_condition(FilterExpression)
                wanted.append(more)
            expressions.check_placeholders(wanted, names, values)
        except Invalid as error:
            raise client_error("Query", "ValidationException", str(error)) from None
        index = None if IndexName is None else table.indexes[IndexName]
        if index is not None and ConsistentRead:
            raise client_error(
                "Query",
                "ValidationException",
                "Consistent reads are not supported on global secondary indexes",
            )
        items = table.items if ConsistentRead else self._behind(table)
        found = [
            (_order(item, index), item)
            for item in items.values()
            if (index is None or (index.hash_key in item and index.range_key in item))
            and matches(item, names, values)
        ]
        found.sort(key=lambda entry: entry[0], reverse=not ScanIndexForward)
        if ExclusiveStartKey is not None:
            start = _order(ExclusiveStartKey, index)
            found = [
                entry
                for entry in found
                if (entry[0] > start if ScanIndexForward else entry[0] < start)
            ]
        page = found if Limit is None else found[:Limit]
        answer: dict[str, Any] = {
            "Items": [
                _projected(item, index)
                for _, item in page
                if FilterExpression is None or keeps(item, names, values)
            ]
        }
        if len(page) < len(found) or (Limit is not None and len(page) == Limit):
            last = page[-1][1]
            keys = ["pk", "sk", *([index.hash_key, index.range_key] if index else [])]
            answer["LastEvaluatedKey"] = {name: last[name] for name in keys}
        return answer

    def _behind(self, table: Table) -> dict[Key, Item]:
        """The items as an index or an eventually consistent read shows them."""
        while table.lagging and table.lagging[0][0] <= self._clock.at - self.lag:
            table.lagging.popleft()
        if not table.lagging:
            return table.items
        behind = dict(table.items)
        for _, key, old in reversed(table.lagging):
            if old is None:
                behind.pop(key, None)
            else:
                behind[key] = old
        return behind

    # --- writes

    def put_item(self, *, TableName: str, Item: Item, **more: Any) -> dict[str, Any]:
        return self._write("PutItem", "Put", {"TableName": TableName, "Item": Item, **more})

    def update_item(
        self, *, TableName: str, Key: Item, ReturnValues: str = "NONE", **more: Any
    ) -> dict[str, Any]:
        arguments = {"TableName": TableName, "Key": Key, **more}
        answer = self._write("UpdateItem", "Update", arguments)
        if ReturnValues == "ALL_NEW":
            answer["Attributes"] = self.tables[TableName].items[_key(Key)]
        elif ReturnValues != "NONE":
            raise NotImplementedError(f"ReturnValues={ReturnValues}")
        return answer

    def delete_item(self, *, TableName: str, Key: Item, **more: Any) -> dict[str, Any]:
        return self._write("DeleteItem", "Delete", {"TableName": TableName, "Key": Key, **more})

    def _write(self, operation: str, kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
        arguments.pop("ReturnConsumedCapacity", None)
        try:
            refusal, write = self._prepared(kind, **arguments)
        except Invalid as error:
            raise client_error(operation, "ValidationException", str(error)) from None
        if refusal is not None:
            code, message = f"{refusal.pop('Code')}Exception", refusal.pop("Message")
            raise client_error(operation, code, message, **refusal)
        self._apply(*write)
        return {}

    def transact_write_items(
        self,
        *,
        TransactItems: list[dict[str, dict[str, Any]]],
        ClientRequestToken: str,
        ReturnConsumedCapacity: str = "NONE",
    ) -> dict[str, Any]:
        operation = "TransactWriteItems"
        landed = self._client_tokens.get(ClientRequestToken)
        if landed is not None and landed > self._clock.at - CLIENT_TOKEN_MS:
            return {}
        if not 1 <= len(TransactItems) <= limits.TRANSACTION_OPERATIONS:
            raise client_error(operation, "ValidationException", "1 to 100 items")
        reasons: list[dict[str, Any]] = []
        writes = []
        for entry in TransactItems:
            ((kind, arguments),) = entry.items()
            try:
                refusal, write = self._prepared(kind, **arguments)
            except Unfit as error:
                refusal, write = {"Code": "ValidationError", "Message": str(error)}, None
            except Invalid as error:
                raise client_error(operation, "ValidationException", str(error)) from None
            reasons.append(refusal or {"Code": "None"})
            writes.append(write)
        long = [write[3] for write in writes if write and write[3] and _may_be_long(write[3])]
        if sum(map(limits.item_bytes, long)) > limits.TRANSACTION_BYTES:
            message = "Collection size has exceeded the maximum of 4 MB"
            raise client_error(operation, "ValidationException", message)
        touched = [write[:2] for write in writes if write is not None]
        if len({(table.name, key) for table, key in touched}) < len(touched):
            message = "Transaction request cannot include multiple operations on one item"
            raise client_error(operation, "ValidationException", message)
        if any(reason["Code"] != "None" for reason in reasons):
            codes = ", ".join(reason["Code"] for reason in reasons)
            raise client_error(
                operation,
                "TransactionCanceledException",
                "Transaction cancelled, please refer cancellation reasons for specific reasons "
                f"[{codes}]",
                CancellationReasons=reasons,
            )
        self._client_tokens[ClientRequestToken] = self._clock.at
        for write in writes:
            if write is not None:
                self._apply(*write)
        return {}

    def _prepared(
        self,
        kind: str,
        *,
        TableName: str,
        Key: Item | None = None,
        Item: Item | None = None,
        ConditionExpression: str | None = None,
        UpdateExpression: str | None = None,
        ExpressionAttributeNames: dict[str, str] | None = None,
        ExpressionAttributeValues: Item | None = None,
        ReturnValuesOnConditionCheckFailure: str = "NONE",
    ) -> tuple[dict[str, Any] | None, Any]:
        """What one write would do: the reason it is refused for, or (table, key, old, new)."""
        table = self._table(kind, TableName)
        key = _key(Item if kind == "Put" else Key)
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        used = []
        if ConditionExpression is not None:
            holds, placeholders = expressions.parse_condition(ConditionExpression)
            used.append(placeholders)
        if UpdateExpression is not None:
            update, placeholders = expressions.parse_update(UpdateExpression)
            used.append(placeholders)
            roots = [path[0] for path, _ in (*update.sets, *update.adds)]
            roots += [path[0] for path in update.removes]
            for root in roots:
                name = names.get(root, root)
                if name in ("pk", "sk"):
                    raise Invalid(
                        f"One or more parameter values were invalid: Cannot update attribute {name}. "
                        "This attribute is part of the key"
                    )
        expressions.check_placeholders(used, names, values)
        old = table.items.get(key)
        if ConditionExpression is not None and not holds(old or {}, names, values):
            refusal: dict[str, Any] = {
                "Code": "ConditionalCheckFailed",
                "Message": "The conditional request failed",
            }
            if ReturnValuesOnConditionCheckFailure == "ALL_OLD" and old is not None:
                refusal["Item"] = old
            return refusal, None
        if kind == "ConditionCheck":
            return None, None
        if kind == "Delete":
            return None, (table, key, old, None)
        if kind == "Put":
            assert Item is not None
            new = Item
        else:
            base = old or {"pk": {"S": key[0]}, "sk": {"S": key[1]}}
            new = base
            if UpdateExpression is not None:
                new = expressions.apply(base, update, names, values)
        _check_item(new, table, kind)
        return None, (table, key, old, new)

    def _apply(self, table: Table, key: Key, old: Item | None, new: Item | None) -> None:
        if self.lag:
            table.lagging.append((self._clock.at, key, old))
        if new is None:
            table.items.pop(key, None)
        else:
            table.items[key] = new
        for watcher in self.watchers:
            watcher(table.name, key, old, new)

    def _table(self, operation: str, name: str) -> Table:
        if name not in self.tables:
            message = "Requested resource not found"
            raise client_error(operation, "ResourceNotFoundException", message)
        return self.tables[name]


def _key(item: Item | None) -> Key:
    try:
        assert item is not None
        return item["pk"]["S"], item["sk"]["S"]
    except KeyError:
        raise Unfit("The provided key element does not match the schema") from None


def _check_item(item: Item, table: Table, kind: str) -> None:
    if _may_be_long(item) and limits.item_bytes(item) > limits.ITEM_BYTES:
        raise Unfit(
            "Item size has exceeded the maximum allowed size"
            if kind == "Put"
            else "Item size to update has exceeded the maximum allowed size"
        )
    if table.indexes:
        for name, wanted in INDEX_TYPES.items():
            if name in item and wanted not in item[name]:
                raise Unfit(
                    "One or more parameter values were invalid: Type mismatch for Index Key "
                    f"{name} Expected: {wanted} Actual: {next(iter(item[name]))}"
                )


def _may_be_long(item: Item) -> bool:
    """Whether it is worth measuring: a long text somewhere, or more parts than make 400 KB of short ones."""
    return any(
        len(value["S"]) > 10_000 if "S" in value else len(value.get("M", ())) > 50
        for value in item.values()
    )


def _order(item: Item, index: Index | None) -> tuple[Any, ...]:
    pk, sk = item["pk"]["S"], item["sk"]["S"]
    if index is None:
        return (sk,)
    ((kind, content),) = item[index.range_key].items()
    return (int(content) if kind == "N" else content, pk, sk)


def _projected(item: Item, index: Index | None) -> Item:
    if index is None:
        return item
    names = ("pk", "sk", index.hash_key, index.range_key, *index.projected)
    return {name: item[name] for name in names if name in item}


# --- SQS


@dataclass
class Message:
    """A message of a FIFO queue."""

    message_id: str
    body: str
    group: str
    deduplication_id: str
    sent_at: int
    attributes: dict[str, str]
    visible_at: int = 0
    received: int = 0
    #: The handle that the last receipt gave; only that one deletes it, and only while it is in flight.
    receipt: str | None = None


@dataclass
class FifoQueue:
    """A FIFO queue in high-throughput mode: it deduplicates, and orders, by group."""

    url: str
    visibility: int
    dead_letters: FifoQueue | None = None
    max_receive_count: int = 0
    messages: list[Message] = field(default_factory=list)
    seen: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)


class SQS:
    """The service: FIFO queues by URL."""

    name = "sqs"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.queues: dict[str, FifoQueue] = {}
        self._numbers = count(1)

    def client(self, wire: Wire = sound) -> SQSClient:
        return SQSClient(self, wire)

    def create_queue(
        self,
        name: str,
        visibility: int = 30,
        dead_letters: FifoQueue | None = None,
        max_receive_count: int = 10,
    ) -> FifoQueue:
        url = f"https://sqs.us-east-1.amazonaws.com/123456789012/{name}"
        self.queues[url] = FifoQueue(url, visibility, dead_letters, max_receive_count)
        return self.queues[url]

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        queue = self.queues[QueueUrl]
        operation = "SendMessageBatch"
        if not Entries:
            raise client_error(operation, "AWS.SimpleQueueService.EmptyBatchRequest")
        if len(Entries) > limits.BATCH_ENTRIES:
            raise client_error(operation, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
        if len({entry["Id"] for entry in Entries}) < len(Entries):
            raise client_error(operation, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
        successful: list[dict[str, Any]] = []
        for entry in Entries:
            if not entry.get("MessageGroupId"):
                raise client_error(operation, "MissingParameter", "MessageGroupId")
            if not entry.get("MessageDeduplicationId"):
                raise client_error(operation, "InvalidParameterValue", "MessageDeduplicationId")
            for refusal in limits.message_refusals(entry):
                raise client_error(operation, "InvalidParameterValue", refusal)
            successful.append({"Id": entry["Id"], "MessageId": self._accept(queue, entry)})
        return {"Successful": successful}

    def _accept(self, queue: FifoQueue, entry: dict[str, Any]) -> str:
        now = self._clock.at
        group, deduplication_id = entry["MessageGroupId"], entry["MessageDeduplicationId"]
        at, first = queue.seen.get((group, deduplication_id), (now - DEDUPLICATION_MS, ""))
        if at > now - DEDUPLICATION_MS:
            return first  # accepted and dropped, whatever became of the first one
        message_id = f"m{next(self._numbers)}"
        queue.seen[group, deduplication_id] = now, message_id
        attributes = {
            name: content["StringValue"]
            for name, content in entry.get("MessageSystemAttributes", {}).items()
        }
        queue.messages.append(
            Message(message_id, entry["MessageBody"], group, deduplication_id, now, attributes, now)
        )
        return message_id

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        WaitTimeSeconds: int = 0,
        VisibilityTimeout: int | None = None,
        AttributeNames: Iterable[str] = (),
        MessageSystemAttributeNames: Iterable[str] = (),
    ) -> dict[str, Any]:
        queue = self.queues[QueueUrl]
        until = self._clock.at + WaitTimeSeconds * 1000
        found = self._take(queue, MaxNumberOfMessages, VisibilityTimeout)
        while not found and self._clock.at < until:  # a long poll is how a test lets time pass
            later = [m.visible_at for m in queue.messages if m.visible_at > self._clock.at]
            self._clock.at = min([until, *later])
            found = self._take(queue, MaxNumberOfMessages, VisibilityTimeout)
        if not found:
            return {}
        return {
            "Messages": [
                {
                    "MessageId": message.message_id,
                    "ReceiptHandle": message.receipt,
                    "Body": message.body,
                    "Attributes": {
                        "ApproximateReceiveCount": str(message.received),
                        "MessageGroupId": message.group,
                        "MessageDeduplicationId": message.deduplication_id,
                        "SentTimestamp": str(message.sent_at),
                        **message.attributes,
                    },
                }
                for message in found
            ]
        }

    def _take(self, queue: FifoQueue, most: int, visibility: int | None) -> list[Message]:
        now = self._clock.at
        if queue.dead_letters is not None:
            for message in list(queue.messages):
                if message.visible_at <= now and message.received >= queue.max_receive_count:
                    queue.messages.remove(message)
                    message.receipt = None
                    queue.dead_letters.messages.append(message)
        blocked = {message.group for message in queue.messages if message.visible_at > now}
        found = [
            message
            for message in queue.messages
            if message.visible_at <= now and message.group not in blocked
        ][:most]
        seconds = queue.visibility if visibility is None else visibility
        for message in found:
            self.receive(message, seconds)
        return found

    def receive(self, message: Message, seconds: int) -> None:
        """Hand a message out: also, for a duplicate delivery, one that is in flight."""
        message.received += 1
        message.receipt = f"{message.message_id}#{message.received}"
        message.visible_at = self._clock.at + seconds * 1000

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        queue = self.queues[QueueUrl]
        message = self._of_handle(queue, "DeleteMessage", ReceiptHandle)
        # An older handle than the last succeeds and deletes nothing:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
        if message is not None and message.receipt == ReceiptHandle:
            if message.visible_at <= self._clock.at:
                raise client_error(
                    "DeleteMessage", "InvalidParameterValue", "The receipt handle has expired."
                )
            queue.messages.remove(message)
        return {}

    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> dict[str, Any]:
        operation = "ChangeMessageVisibility"
        if not 0 <= VisibilityTimeout <= VISIBILITY_SECONDS:
            raise client_error(operation, "InvalidParameterValue", "0 to 43200 seconds")
        message = self._of_handle(self.queues[QueueUrl], operation, ReceiptHandle)
        if (
            message is None
            or message.receipt != ReceiptHandle
            or message.visible_at <= self._clock.at
        ):
            raise client_error(operation, "MessageNotInflight")
        message.visible_at = self._clock.at + VisibilityTimeout * 1000
        return {}

    def get_queue_attributes(
        self, *, QueueUrl: str, AttributeNames: Iterable[str]
    ) -> dict[str, Any]:
        messages = self.queues[QueueUrl].messages
        visible = sum(message.visible_at <= self._clock.at for message in messages)
        counts = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(messages) - visible),
        }
        return {"Attributes": counts}

    def _of_handle(self, queue: FifoQueue, operation: str, handle: str) -> Message | None:
        message_id, sign, _ = handle.partition("#")
        if not sign:
            raise client_error(operation, "ReceiptHandleIsInvalid")
        return next((m for m in queue.messages if m.message_id == message_id), None)


# --- both


@dataclass
class Aws:
    """A deployment of its own: a clock, the table, a ledger of the user's, the queue and its dead letters."""

    #: Seconds an invocation of the worker may take; the queue's visibility is 30 more, as in the module.
    function_timeout: int = 120

    TABLE = "fluxio"
    LEDGER = "ledger"

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.dynamodb = DynamoDB(self.clock)
        self.sqs = SQS(self.clock)
        self.table = self.dynamodb.create_table(self.TABLE, INDEXES)
        self.ledger = self.dynamodb.create_table(self.LEDGER)
        self.dead_letters = self.sqs.create_queue("fluxio-dlq.fifo")
        self.queue = self.sqs.create_queue(
            "fluxio.fifo", self.function_timeout + 30, self.dead_letters
        )
