# ruff: noqa: N803 - the arguments are those of boto3
"""DynamoDB in this process."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from fluxio.testing import expressions
from fluxio.testing.clients import Clock, DynamoDBClient, Wire, client_error, sound
from fluxio.testing.expressions import Invalid, Item, Unfit
from fluxio.testing.table import (
    Key as Key,
)
from fluxio.testing.table import (
    Table,
    check_item,
    key_of,
    may_be_long,
    order_of,
    projected,
    start_key,
)
from fluxio_protocol import limits
from fluxio_protocol.layout import Index

#: https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
CLIENT_TOKEN_MS = 600_000

#: Told of every write for what it costs: table, key, the item before it and after it (the same one if it was
#: refused), and whether it was part of a transaction.
Meter = Callable[[Table, Key, "Item | None", "Item | None", bool], None]
#: Told of every write that was applied: table, key, the item before it and after it.
Watcher = Callable[[str, Key, "Item | None", "Item | None"], None]


class DynamoDB:
    """The service: tables, of which only those with a hash key `pk` and a range key `sk` can be queried."""

    name = "dynamodb"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.tables: dict[str, Table] = {}
        self.watchers: list[Watcher] = []
        #: Counts what writes cost; None: they are not counted.
        self.meter: Meter | None = None
        #: Milliseconds by which indexes and eventually consistent reads are behind.
        self.lag = 0
        #: When each token of a transaction was used first.
        self.client_tokens: dict[str, int] = {}
        self._token_numbers = count()

    def client(self, wire: Wire = sound) -> DynamoDBClient:
        return DynamoDBClient(self, wire)

    def create_table(
        self,
        name: str,
        indexes: dict[str, Index] | None = None,
        keys: tuple[str, ...] = ("pk", "sk"),
    ) -> Table:
        self.tables[name] = Table(name, indexes or {}, keys=keys)
        return self.tables[name]

    def new_client_token(self) -> str:
        return f"client-token-{next(self._token_numbers)}"

    # --- reads

    def get_item(
        self, *, TableName: str, Key: Item, ConsistentRead: bool = False
    ) -> dict[str, Any]:
        table = self._table("GetItem", TableName)
        key = key_of(Key, table)
        item = table.items.get(key) if ConsistentRead else self._behind(table).get(key)
        return {"Item": item} if item is not None else {}

    def batch_get_item(self, *, RequestItems: dict[str, dict[str, Any]]) -> dict[str, Any]:
        operation = "BatchGetItem"
        answers: dict[str, list[Item]] = {}
        if sum(len(asked["Keys"]) for asked in RequestItems.values()) not in range(1, 101):
            raise client_error(operation, "ValidationException", "1 to 100 keys")
        for name, asked in RequestItems.items():
            table = self._table(operation, name)
            keys = [key_of(key, table) for key in asked["Keys"]]
            if len({*keys}) < len(keys):
                message = "Provided list of item keys contains duplicates"
                raise client_error(operation, "ValidationException", message)
            items = table.items if asked.get("ConsistentRead") else self._behind(table)
            wanted = None
            if "ProjectionExpression" in asked:
                names = asked.get("ExpressionAttributeNames", {})
                words = [word.strip() for word in asked["ProjectionExpression"].split(",")]
                wanted = [names.get(word, word) for word in words]
            answers[name] = [
                item
                if wanted is None
                else {attribute: item[attribute] for attribute in wanted if attribute in item}
                for item in map(items.get, keys)
                if item is not None
            ]
        return {"Responses": answers, "UnprocessedKeys": {}}

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
            (order_of(item, index), item)
            for item in items.values()
            if (index is None or (index.hash_key in item and index.range_key in item))
            and matches(item, names, values)
        ]
        found.sort(key=lambda entry: entry[0], reverse=not ScanIndexForward)
        if ExclusiveStartKey is not None:
            start = order_of(ExclusiveStartKey, index)
            found = [
                entry
                for entry in found
                if (entry[0] > start if ScanIndexForward else entry[0] < start)
            ]
        page = found if Limit is None else found[:Limit]
        # A filter, too, sees of an index what the index has.
        seen = (projected(item, index) for _, item in page)
        answer: dict[str, Any] = {
            "Items": [
                item for item in seen if FilterExpression is None or keeps(item, names, values)
            ]
        }
        if len(page) < len(found) or (Limit is not None and len(page) == Limit):
            answer["LastEvaluatedKey"] = start_key(page[-1][1], index)
        return answer

    def scan(
        self,
        *,
        TableName: str,
        IndexName: str | None = None,
        FilterExpression: str | None = None,
        ExpressionAttributeValues: Item | None = None,
        ExpressionAttributeNames: dict[str, str] | None = None,
        Limit: int | None = None,
        ExclusiveStartKey: Item | None = None,
    ) -> dict[str, Any]:
        table = self._table("Scan", TableName)
        index = None if IndexName is None else table.indexes[IndexName]
        names, values = ExpressionAttributeNames or {}, ExpressionAttributeValues or {}
        keeps, used = None, []
        try:
            if FilterExpression is not None:
                keeps, placeholders = expressions.parse_condition(FilterExpression)
                used.append(placeholders)
            expressions.check_placeholders(used, names, values)
        except Invalid as error:
            raise client_error("Scan", "ValidationException", str(error)) from None
        start = None if ExclusiveStartKey is None else key_of(ExclusiveStartKey, table)
        found = [
            (key, item)
            for key, item in sorted(self._behind(table).items(), key=lambda entry: entry[0])
            if (index is None or (index.hash_key in item and index.range_key in item))
            and (start is None or key > start)
        ]
        page = found if Limit is None else found[:Limit]
        seen = [projected(item, index) for _, item in page]
        answer: dict[str, Any] = {
            "Items": [item for item in seen if keeps is None or keeps(item, names, values)]
        }
        if len(page) < len(found) or (Limit is not None and len(page) == Limit):
            answer["LastEvaluatedKey"] = start_key(page[-1][1], index)
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
            answer["Attributes"] = self.tables[TableName].items[key_of(Key, self.tables[TableName])]
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
        landed = self.client_tokens.get(ClientRequestToken)
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
        long = [write[3] for write in writes if write and write[3] and may_be_long(write[3])]
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
        self.client_tokens[ClientRequestToken] = self._clock.at
        for write in writes:
            if write is not None:
                table, key, old, new = write
                self._apply(table, key, old, new, in_transaction=True)
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
        key = key_of(Item if kind == "Put" else Key, table)
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
                if name in table.keys:
                    raise Invalid(
                        f"One or more parameter values were invalid: Cannot update attribute {name}. "
                        "This attribute is part of the key"
                    )
        expressions.check_placeholders(used, names, values)
        old = table.items.get(key)
        if ConditionExpression is not None and not holds(old or {}, names, values):
            if self.meter is not None:
                self.meter(table, key, old, old, False)
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
            assert Key is not None
            base = old or dict(Key)
            new = base
            if UpdateExpression is not None:
                new = expressions.apply(base, update, names, values)
        check_item(new, table, kind)
        return None, (table, key, old, new)

    def _apply(
        self,
        table: Table,
        key: Key,
        old: Item | None,
        new: Item | None,
        in_transaction: bool = False,
    ) -> None:
        if self.meter is not None:
            self.meter(table, key, old, new, in_transaction)
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
