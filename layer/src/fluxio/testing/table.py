"""A table of the stand-in: its items, their keys, and what an index has of them."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from fluxio.testing.expressions import Item, Unfit
from fluxio_protocol import limits
from fluxio_protocol.layout import KEY_TYPES, Index

Key = tuple[str, ...]


@dataclass
class Table:
    """Items by their keys; `lagging` are those that indexes and eventually consistent reads still show."""

    name: str
    indexes: dict[str, Index] = field(default_factory=dict)
    items: dict[Key, Item] = field(default_factory=dict)
    #: The attributes that its key is made of.
    keys: tuple[str, ...] = ("pk", "sk")
    lagging: deque[tuple[int, Key, Item | None]] = field(default_factory=deque)


def key_of(item: Item | None, table: Table) -> Key:
    """What an item, or the key of a request, is found by.

    Raises:
        Unfit: an attribute of the key is missing.
    """
    try:
        assert item is not None
        return tuple([next(iter(item[name].values())) for name in table.keys])
    except KeyError:
        raise Unfit("The provided key element does not match the schema") from None


def check_item(item: Item, table: Table, kind: str) -> None:
    """See that an item can be stored.

    Raises:
        Unfit: it is too large, or an attribute cannot be an index's key.
    """
    if may_be_long(item) and limits.item_bytes(item) > limits.ITEM_BYTES:
        raise Unfit(
            "Item size has exceeded the maximum allowed size"
            if kind == "Put"
            else "Item size to update has exceeded the maximum allowed size"
        )
    if table.indexes:
        # An item whose attribute has another type than an index's key is refused.
        for name, wanted in KEY_TYPES.items():
            if name in item and wanted not in item[name]:
                raise Unfit(
                    "One or more parameter values were invalid: Type mismatch for Index Key "
                    f"{name} Expected: {wanted} Actual: {next(iter(item[name]))}"
                )


def may_be_long(item: Item) -> bool:
    """Whether it is worth measuring: a long text somewhere, or more parts than make 400 KB of short ones."""
    return any(
        len(value["S"]) > 10_000 if "S" in value else len(value.get("M", ())) > 50
        for value in item.values()
    )


def order_of(item: Item, index: Index | None) -> tuple[Any, ...]:
    """What items of one hash key are sorted by."""
    pk, sk = item["pk"]["S"], item["sk"]["S"]
    if index is None:
        return (sk,)
    ((kind, content),) = item[index.range_key].items()
    return (int(content) if kind == "N" else content, pk, sk)


def start_key(last: Item, index: Index | None) -> Item:
    """Where the page after the one begins that ends with this item."""
    keys = ["pk", "sk", *([index.hash_key, index.range_key] if index else [])]
    return {name: last[name] for name in keys}


def projected(item: Item, index: Index | None) -> Item:
    """What an index has of an item; None stands for the table."""
    if index is None:
        return item
    names = ("pk", "sk", index.hash_key, index.range_key, *index.projected)
    return {name: item[name] for name in names if name in item}
