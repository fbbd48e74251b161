"""Forms after a JSON schema: a field for each name of an object, and the object that was typed in."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from fluxio_client.cli.payload import parse_json
from fluxio_protocol.errors import InvalidInput

#: How the fields of a form are named, so that none is taken for another part of the form.
PREFIX = "field."

#: Fields of a form at most; an input with more is typed as JSON.
MOST = 40

_NUMBERS = {"integer", "number"}


class Field(NamedTuple):
    """A field of a form."""

    name: str
    #: "text", "number", "choice" or "json".
    kind: str
    required: bool = False
    help: str = ""
    #: What may be chosen, as JSON.
    choices: tuple[str, ...] = ()

    @property
    def key(self) -> str:
        """Its name in the form."""
        return f"{PREFIX}{self.name}"


def schema_like(example: object) -> dict[str, Any] | None:
    """A schema that a value fits: the names and types of it, none of them required."""
    if not isinstance(example, dict) or not example:
        return None
    return {"properties": {name: {"type": _type_of(value)} for name, value in example.items()}}


def fields_of(schema: Mapping[str, Any] | None) -> list[Field]:
    """The fields of an object's schema; none where it has too many, or is of no object."""
    properties = (schema or {}).get("properties")
    if not schema or not isinstance(properties, dict) or len(properties) > MOST:
        return []
    required = schema.get("required", ())
    return [
        _field(name, _resolved(part, schema), name in required) for name, part in properties.items()
    ]


def object_of(fields: list[Field], form: Mapping[str, str]) -> dict[str, Any]:
    """The object that was typed into the fields; what is left empty is left out.

    Raises:
        InvalidInput: a field is required, or what it holds is not of its kind.
    """
    found: dict[str, Any] = {}
    for field in fields:
        text = form.get(field.key, "")
        if field.kind != "text":
            text = text.strip()
        if not text:
            if field.required:
                raise InvalidInput(f"{field.name} is missing: the input needs it.")
            continue
        found[field.name] = text if field.kind == "text" else _value(field, text)
    return found


def _value(field: Field, text: str) -> Any:
    if field.kind == "choice" and text not in field.choices:
        raise InvalidInput(f"{field.name} is none of {', '.join(field.choices)}.")
    value = parse_json(text, field.name)
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if field.kind == "number" and not number:
        raise InvalidInput(f"{field.name} is {text[:40]!r}, which is no number.")
    return value


def _field(name: str, part: Mapping[str, Any], required: bool) -> Field:
    about = str(part.get("description", ""))
    choices = part.get("enum")
    if isinstance(choices, list) and choices:
        return Field(name, "choice", required, about, tuple(map(_json, choices)))
    kinds = {one.get("type") for one in _alternatives(part)} - {"null", None}
    if kinds == {"boolean"}:
        return Field(name, "choice", required, about, ("true", "false"))
    if kinds and kinds <= _NUMBERS | {"string"} and kinds & _NUMBERS:
        return Field(name, "number", required, about)
    return Field(name, "text" if kinds == {"string"} else "json", required, about)


def _alternatives(part: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = part.get("anyOf") or part.get("oneOf") or [part]
    kinds = part.get("type")
    if isinstance(kinds, list):
        return [{"type": kind} for kind in kinds]
    return [one if isinstance(one, dict) else {} for one in found]


def _resolved(part: object, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    if not isinstance(part, dict):
        return {}
    name = str(part.get("$ref", "")).rpartition("/")[2]
    found = schema.get("$defs", {}).get(name) if name else part
    return found if isinstance(found, dict) else {}


def _type_of(value: object) -> str:
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    return "string" if isinstance(value, str) else "object"


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
