"""What DynamoDB and SQS accept: the limits of a request, and how AWS measures it, in one place.

Whatever builds a request asks here before it is sent: `decide` for the rows of one write, `ctx.transact` for
a user's own operations, `@workflow` for the largest run that a graph can have. The tests hold every call that
is made in them against the same functions. Pure, and free of boto3: it is imported at each cold start.

Sources: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html (expressions,
items, keys), https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html
(how an item is measured), https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_TransactWriteItems.html
and https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

#: The text of one expression, in bytes, with its placeholders as they stand.
EXPRESSION_BYTES = 4096

#: Operators and functions of one expression. The page names the UpdateExpression only; DynamoDB refuses a
#: longer condition or filter as well, with "The expression contains too many operators".
OPERATORS = 300

#: Operands of one IN.
IN_OPERANDS = 100

#: One placeholder, `#name` or `:value`, in bytes.
PLACEHOLDER_BYTES = 255

#: All names and values behind an expression's placeholders, in bytes.
SUBSTITUTION_BYTES = 2 * 1024 * 1024

#: One item with the names of its attributes, in bytes.
ITEM_BYTES = 400 * 1024

#: How deep lists and maps may stand in each other.
NESTING = 32

#: The value of a table's or an index's partition key, and of its sort key, in bytes.
PARTITION_KEY_BYTES = 2048
SORT_KEY_BYTES = 1024

#: Operations of one TransactWriteItems, and the bytes of all items that it touches.
TRANSACTION_OPERATIONS = 100
TRANSACTION_BYTES = 4 * 1024 * 1024

#: Entries of one SendMessageBatch, and the bytes of its messages together; one message may have as many.
#: https://aws.amazon.com/about-aws/whats-new/2025/08/amazon-sqs-max-payload-size-1mib/
BATCH_ENTRIES = 10
MESSAGE_BYTES = 1024 * 1024

#: Characters of a MessageGroupId and of a MessageDeduplicationId.
MESSAGE_ID_LENGTH = 128

_EXPRESSIONS = (
    "ConditionExpression",
    "UpdateExpression",
    "FilterExpression",
    "KeyConditionExpression",
    "ProjectionExpression",
)

# Compiled when a long expression is measured, not when a worker starts.
#: Operators and functions of a condition. `=` is one here, and an assignment in an update.
_COMPARES = (
    r"(?i)<>|<=|>=|[=<>]|\b(?:AND|OR|NOT|IN|BETWEEN)\b"
    r"|\b(?:attribute_\w+|begins_with|contains|size)\s*\("
)
_COMPUTES = r"(?i)[+\-]|\b(?:if_not_exists|list_append)\s*\("
_IN = r"(?i)\bIN\s*\(([^)]*)\)"


def text_bytes(text: str) -> int:
    """The length of a text as UTF-8."""
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def value_bytes(value: Mapping[str, Any]) -> int:
    """The size of one attribute's value, given in DynamoDB's wire form.

    A number is counted as the longest that its digits can need: a byte for each two of them, and two more.
    """
    ((kind, content),) = value.items()
    if kind == "S":
        return text_bytes(content)
    if kind == "N":
        return _number_bytes(content)
    if kind == "M":
        return 3 + sum(1 + text_bytes(name) + value_bytes(part) for name, part in content.items())
    if kind == "L":
        return 3 + sum(1 + value_bytes(part) for part in content)
    if kind == "SS":
        return sum(text_bytes(part) for part in content)
    if kind == "NS":
        return sum(_number_bytes(part) for part in content)
    if kind == "BS":
        return sum(len(part) for part in content)
    if kind == "B":
        return len(content)
    return 1  # NULL, BOOL


def _number_bytes(number: Any) -> int:
    return min(21, len(str(number)) // 2 + 2)


def item_bytes(item: Mapping[str, Mapping[str, Any]]) -> int:
    """The size of an item as DynamoDB counts it: its attributes' names and values."""
    return sum(text_bytes(name) + value_bytes(value) for name, value in item.items())


def operators(kind: str, expression: str) -> int:
    """How many operators and functions an expression has; `kind` is the name of its argument.

    Counted at their most: each comparison, each AND and each function. The pages do not say whether AND
    counts.
    """
    pattern = _COMPUTES if kind == "UpdateExpression" else _COMPARES
    return len(re.findall(pattern, expression))


def expression_refusals(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Why DynamoDB would refuse the expressions among a request's arguments; nothing if it would not."""
    for kind in _EXPRESSIONS:
        expression = arguments.get(kind)
        if not expression:
            continue
        size = text_bytes(expression)
        if size > EXPRESSION_BYTES:
            yield f"{kind} has {size:,} bytes; at most {EXPRESSION_BYTES:,} are accepted"
        # An operator with an operand, and an operand with its comma, take 2 characters at the least.
        if len(expression) > 2 * OPERATORS and (count := operators(kind, expression)) > OPERATORS:
            yield f"{kind} has {count} operators; at most {OPERATORS} are accepted"
        for operands in re.findall(_IN, expression) if len(expression) > 2 * IN_OPERANDS else ():
            if (count := operands.count(",") + 1) > IN_OPERANDS:
                yield f"{kind} has {count} operands in one IN; at most {IN_OPERANDS} are accepted"


def operation_refusals(arguments: Mapping[str, Any]) -> Iterator[str]:
    """Why DynamoDB would refuse one operation for its size, as far as its arguments tell.

    Args:
        arguments: those of PutItem, UpdateItem, DeleteItem, Query or Scan, or of one entry of a transaction.
    """
    yield from expression_refusals(arguments)
    names = arguments.get("ExpressionAttributeNames") or {}
    values = arguments.get("ExpressionAttributeValues") or {}
    for placeholder in (*names, *values):
        if (size := text_bytes(placeholder)) > PLACEHOLDER_BYTES:
            yield f"a placeholder has {size} bytes; at most {PLACEHOLDER_BYTES} are accepted"
    size = sum(text_bytes(name) for name in names.values())
    for value in values.values():
        size += (one := value_bytes(value))
        if one > ITEM_BYTES:
            yield f"a value has {one:,} bytes; an item takes at most {ITEM_BYTES:,}"
        yield from _nesting_refusals(value)
    if size > SUBSTITUTION_BYTES:
        yield (
            f"the names and values of the expressions have {size:,} bytes; at most "
            f"{SUBSTITUTION_BYTES:,} are accepted"
        )
    if (item := arguments.get("Item")) is not None:
        if (size := item_bytes(item)) > ITEM_BYTES:
            yield f"the item has {size:,} bytes; at most {ITEM_BYTES:,} are accepted"
        for value in item.values():
            yield from _nesting_refusals(value)
    # Which part of a key is which is not told here: neither may be longer than the longer of the two.
    for name, value in (arguments.get("Key") or {}).items():
        if not 1 <= (size := value_bytes(value)) <= PARTITION_KEY_BYTES:
            yield f"the key {name} has {size:,} bytes; 1 to {PARTITION_KEY_BYTES:,} are accepted"


def _nesting_refusals(value: Mapping[str, Any]) -> Iterator[str]:
    if ("M" in value or "L" in value) and (depth := _depth(value)) > NESTING:
        yield f"a value is nested {depth} levels deep; at most {NESTING} are accepted"


def _depth(value: Mapping[str, Any]) -> int:
    parts = value["M"].values() if "M" in value else value.get("L")
    return 0 if parts is None else 1 + max((_depth(part) for part in parts), default=0)


def touched_bytes(arguments: Mapping[str, Any]) -> int:
    """The least that an operation adds to what its transaction touches, as far as its arguments tell."""
    if "Item" in arguments:
        return item_bytes(arguments["Item"])
    values = arguments.get("ExpressionAttributeValues") if "UpdateExpression" in arguments else None
    return item_bytes(arguments.get("Key") or {}) + sum(
        value_bytes(value) for value in (values or {}).values()
    )


def transaction_refusals(operations: Sequence[Mapping[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Why DynamoDB would refuse the entries of a TransactWriteItems for their number or size."""
    if len(operations) > TRANSACTION_OPERATIONS:
        yield (
            f"the transaction has {len(operations)} operations; at most {TRANSACTION_OPERATIONS} are accepted"
        )
    size = 0
    for entry in operations:
        for arguments in entry.values():
            yield from operation_refusals(arguments)
            size += touched_bytes(arguments)
    if size > TRANSACTION_BYTES:
        yield (
            f"the items of the transaction have {size:,} bytes; at most {TRANSACTION_BYTES:,} are accepted"
        )


def message_refusals(entry: Mapping[str, Any]) -> Iterator[str]:
    """Why SQS would refuse a message for its size."""
    size = text_bytes(entry.get("MessageBody", ""))
    if not 1 <= size <= MESSAGE_BYTES:
        yield f"the message has {size:,} bytes; 1 to {MESSAGE_BYTES:,} are accepted"
    for name in ("MessageGroupId", "MessageDeduplicationId"):
        if (length := len(entry.get(name) or "")) > MESSAGE_ID_LENGTH:
            yield f"{name} has {length} characters; at most {MESSAGE_ID_LENGTH} are accepted"


def refusals(operation: str, arguments: Mapping[str, Any]) -> list[str]:
    """Why AWS would refuse a call for its size; empty if it would not.

    Args:
        operation: its name in the API, such as "UpdateItem" or "SendMessageBatch".
        arguments: what boto3's client was given.
    """
    if operation == "TransactWriteItems":
        return list(transaction_refusals(arguments["TransactItems"]))
    if operation == "SendMessage":
        return list(message_refusals(arguments))
    if operation == "SendMessageBatch":
        entries = arguments["Entries"]
        found = [one for entry in entries for one in message_refusals(entry)]
        if not 1 <= len(entries) <= BATCH_ENTRIES:
            found.append(f"the batch has {len(entries)} entries; 1 to {BATCH_ENTRIES} are accepted")
        size = sum(text_bytes(entry["MessageBody"]) for entry in entries)
        if size > MESSAGE_BYTES:
            found.append(f"the batch has {size:,} bytes; at most {MESSAGE_BYTES:,} are accepted")
        return found
    return list(operation_refusals(arguments))
