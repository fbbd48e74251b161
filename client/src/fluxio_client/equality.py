"""Whether a value is the one that was stored before, however it is written."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from fluxio_protocol.encoding import is_read_back, key_text, names_of, same, to_tree
from fluxio_protocol.model_shape import shape_of


def is_same_json(text: str, other: str) -> bool:
    """Whether two JSON texts are of one value; 1, 1.0 and true are three, -0.0 and 0.0 are one."""
    return _canonical(text) == _canonical(other)


def _canonical(text: str) -> str:
    return json.dumps(
        json.loads(text, parse_float=lambda digits: float(digits) + 0.0), sort_keys=True
    )


def is_stored_as(value: Any, stored: Any) -> bool:
    """Whether a JSON value is what a Python value was stored as, or one that is equal to it.

    Decimal("1.1") is equal to what is stored as "1.10", and a time to the same moment in another time zone.
    """
    if isinstance(value, Mapping):
        value = {key if type(key) is str else key_text(key): part for key, part in value.items()}
    elif hasattr(type(value), "__pydantic_serializer__") or is_dataclass(value):
        names = names_of(value)
        tree = to_tree(value)
        keys = _keys(value)
        if names is None or not isinstance(tree, dict) or not isinstance(stored, dict):
            return same(tree, stored)
        value = tree | {
            keys[name]: getattr(value, name)
            for name in names
            if keys[name] in tree and same(tree[keys[name]], to_tree(getattr(value, name)))
        }
    if isinstance(value, dict):
        return (
            isinstance(stored, dict)
            and value.keys() == stored.keys()
            and all(is_stored_as(part, stored[name]) for name, part in value.items())
        )
    if isinstance(value, (list, tuple, deque)):
        return (
            isinstance(stored, list)
            and len(value) == len(stored)
            and all(map(is_stored_as, value, stored))
        )
    tree = to_tree(value)
    if same(tree, stored):
        return True
    if (
        isinstance(value, (str, int, float, Set, Enum))
        or value is None
        or not isinstance(stored, str)
    ):
        return False
    return is_read_back(value, stored)


def _keys(value: Any) -> dict[str, str]:
    """The names that the fields of a model or dataclass are stored under."""
    if hasattr(type(value), "__pydantic_serializer__"):
        return {field.name: field.key for field in shape_of(type(value)).fields}
    return {at.name: at.name for at in fields(value)}
