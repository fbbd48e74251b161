"""What runs cost: write units as DynamoDB counts them, messages and invocations."""

from __future__ import annotations

from dataclasses import dataclass

from fluxio.testing.expressions import Item
from fluxio.testing.table import Key, Table, projected
from fluxio_protocol import limits
from fluxio_protocol.layout import Index

#: Bytes that a write unit writes.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html
UNIT = 1_024


@dataclass(frozen=True)
class Cost:
    """What a run has cost so far, steps' own calls left out.

    Attributes:
        write_units: write units of the table; those of a refused write too.
        index_write_units: write units of the table's indexes.
        writes: writes to the table, of which a transaction is one for each item.
        messages: messages that were sent to the queue.
        invocations: how often the worker was invoked for messages.
    """

    write_units: int = 0
    index_write_units: int = 0
    writes: int = 0
    messages: int = 0
    invocations: int = 0


class Meter:
    """Counts the writes to fluxio's own table, but for graphs: each is written once for all runs of a version.

    Args:
        table: the table's name.
    """

    def __init__(self, table: str) -> None:
        self.writes = 0
        self.units = 0
        self.index_units = 0
        self._table = table

    def __call__(
        self, table: Table, key: Key, old: Item | None, new: Item | None, in_transaction: bool
    ) -> None:
        if table.name != self._table or key[0].startswith("def#"):
            return
        self.writes += 1
        self.units += _units(old, new) * (2 if in_transaction else 1)
        if new is not old:
            for index in table.indexes.values():
                self.index_units += _index_units(_entry(old, index), _entry(new, index), index)


def _units(*items: Item | None) -> int:
    """Of the larger of two items; of none, one."""
    return max(-(-max((limits.item_bytes(item) for item in items if item), default=1) // UNIT), 1)


def _entry(item: Item | None, index: Index) -> Item | None:
    """An item as an index has it; None if it does not."""
    if item is None or index.hash_key not in item or index.range_key not in item:
        return None
    return projected(item, index)


def _index_units(old: Item | None, new: Item | None, index: Index) -> int:
    """https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/GSI.html, provisioned throughput."""
    if old == new:
        return 0
    if old is None or new is None:
        return _units(old, new)
    moved = any(old[name] != new[name] for name in (index.hash_key, index.range_key))
    return _units(old) + _units(new) if moved else _units(old, new)
