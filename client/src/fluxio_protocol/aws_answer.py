"""Answers of AWS in JSON as botocore's parser has them, without walking the whole model for each value.

What there is to do for a shape is found out once. Most of an answer needs nothing: text, numbers and flags
stand in JSON as they are. What is left: members that the model does not know go, and so do those that are null;
blobs are decoded.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from typing import Any

Convert = Callable[[Any], Any]

#: Types whose values are in JSON what they are in Python.
_AS_IT_IS = {"boolean", "double", "float", "integer", "long", "string"}


def converter(answer: Any) -> Convert:
    """What makes botocore's answer of the JSON of a body.

    Args:
        answer: botocore's model of the answer; None: the operation has none.

    Raises:
        NotImplementedError: there is something in it that none of fluxio's calls has.
    """
    return (lambda _: {}) if answer is None else _structure(answer, {})


def _any(shape: Any, known: dict[str, Convert]) -> Convert | None:
    """The same for a shape of any type; None if there is nothing to do. A structure may contain itself."""
    kind = shape.type_name
    if kind in _AS_IT_IS:
        return None
    if kind == "blob":
        return base64.b64decode
    if kind == "structure":
        return known.get(shape.name) or _structure(shape, known)
    if kind == "list":
        member = _any(shape.member, known)
        if member is None:
            return None
        return lambda value: [None if part is None else member(part) for part in value]
    if kind == "map":
        part = _any(shape.value, known)
        if part is None:
            return None
        return lambda value: {name: part(of) for name, of in value.items()}
    raise NotImplementedError(f"{shape.name} is a {kind}")


def _structure(shape: Any, known: dict[str, Convert]) -> Convert:
    if getattr(shape, "is_tagged_union", False) or getattr(shape, "is_document_type", False):
        raise NotImplementedError(f"{shape.name} is a union or a document")
    same: set[str] = set()
    converted: dict[str, Convert] = {}

    def convert(value: Any) -> Any:
        if value is None or (value.keys() <= same and None not in value.values()):
            return value
        return {
            name: part if name in same else converted[name](part)
            for name, part in value.items()
            if part is not None and (name in same or name in converted)
        }

    known[shape.name] = convert
    for name, member in shape.members.items():
        if "name" in member.serialization:
            raise NotImplementedError(f"{shape.name}.{name} has another name in JSON")
        made = _any(member, known)
        if made is None:
            same.add(name)
        else:
            converted[name] = made
    return convert
