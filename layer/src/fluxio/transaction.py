"""What DynamoDB would refuse of a user's own operations, as far as it can be known before they are sent.

The rest (an item that grows too large, a table that is not there) DynamoDB says when the step commits.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any

from fluxio_protocol import limits
from fluxio_protocol.new_run import NewRun

KINDS = ("Put", "Update", "Delete", "ConditionCheck")

#: A transaction takes so many operations, and one is the run's own.
MAX_OPERATIONS = limits.TRANSACTION_OPERATIONS - 1

#: Bytes for the items of a user's operations: the rest is kept for the run item.
MAX_BYTES = limits.TRANSACTION_BYTES - limits.ITEM_BYTES

Operation = Mapping[str, Mapping[str, Any]]


def refusals(
    operations: Sequence[Operation], own_table: str, starts: Sequence[NewRun] = ()
) -> Iterator[str]:
    """Why the operations cannot commit with a step; nothing if nothing is known against them.

    Args:
        operations: entries of TransactItems, each with one of KINDS.
        own_table: the table with the runs; "" if it is not known.
        starts: the runs that are started in the same transaction.
    """
    count = len(operations) + sum(new.operations for new in starts)
    if count > MAX_OPERATIONS:
        runs = f", those of {len(starts)} started runs among them" if starts else ""
        yield (
            f"{count} operations{runs}; at most {MAX_OPERATIONS} fit one transaction with the step's "
            "completion. Write fewer items, or divide the step"
        )
    size = sum(new.bytes for new in starts)
    for at, operation in enumerate(operations, 1):
        ((kind, arguments),) = operation.items()
        if own_table and _table(arguments) == own_table:
            yield (
                f"operation {at} ({kind}) is on {own_table}, the table with fluxio's runs, which only fluxio "
                "may write. Use a table of your own"
            )
        try:
            for refusal in limits.operation_refusals(arguments):
                yield f"operation {at} ({kind}): {refusal}"
            size += limits.touched_bytes(arguments)
        except (AttributeError, TypeError, ValueError):
            continue  # malformed: boto3 says where and how when the step commits
    if size > MAX_BYTES:
        yield (
            f"the items of the operations have {size:,} bytes; at most {MAX_BYTES:,} fit one transaction "
            "with the step's completion. Write fewer or smaller items"
        )
    for first, second in _on_one_item(operations):
        yield (
            f"operations {first} and {second} are on one item, which a transaction may touch only once. Make "
            "one operation of them"
        )


def _table(arguments: Mapping[str, Any]) -> str:
    """The name of the table, which may be given as an ARN."""
    return str(arguments.get("TableName", "")).rpartition("/")[2]


def _on_one_item(operations: Sequence[Operation]) -> Iterator[tuple[int, int]]:
    """Pairs of operations on the same item, by their places from 1.

    A Put does not say which of its attributes are the key. Where no other operation on its table has a Key
    that tells, two Puts are known to be on one item only if all their attributes are equal.
    """
    keys: dict[str, list[str]] = {}
    for operation in operations:
        for arguments in operation.values():
            if isinstance(key := arguments.get("Key"), Mapping):
                keys[_table(arguments)] = list(key)
    taken: dict[Any, int] = {}
    for at, operation in enumerate(operations, 1):
        for arguments in operation.values():
            table = _table(arguments)
            try:
                item = arguments.get("Key") or arguments["Item"]
                names = keys[table] if table in keys else list(item)
                of = frozenset((name, _canonical(item[name])) for name in names)
            except (AttributeError, KeyError, TypeError, ValueError, ArithmeticError):
                continue  # malformed: boto3 says where and how when the step commits
            first = taken.setdefault((table, of), at)
            if first != at:
                yield first, at


def _canonical(value: Mapping[str, Any]) -> tuple[str, Any]:
    """A value so that equal ones are equal: 1 and 1.0 are one number."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, Decimal(content)
    return kind, bytes(content) if kind == "B" else repr(content)
