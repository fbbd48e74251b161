"""How a class of pydantic's says that its instances are written: field by field, or in a way of its own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

#: Settings of a pydantic model that change how values of its fields are written.
_WRITING_SETTINGS = ("ser_json_timedelta", "ser_json_temporal", "ser_json_bytes", "json_encoders")


class Field(NamedTuple):
    """How a field of a model is written."""

    name: str
    #: The name it is stored under: its alias, if it has one.
    key: str
    info: Any
    #: Whether the model says itself how this field is written.
    custom: bool


class Shape(NamedTuple):
    """How a model is written."""

    fields: tuple[Field, ...]
    computed: tuple[Field, ...]
    #: Whether the model says itself how all of it is written.
    custom: bool


def _read_shape(cls: Any) -> Shape:
    infos = getattr(cls, "__pydantic_fields__", None) or getattr(cls, "model_fields", {})
    config = getattr(cls, "model_config", None) or getattr(cls, "__pydantic_config__", None) or {}
    decorators = getattr(cls, "__pydantic_decorators__", None)
    by_name = [one.info.fields for one in getattr(decorators, "field_serializers", {}).values()]
    custom = {name for names in by_name for name in names}
    whole = bool(getattr(decorators, "model_serializers", {})) or "*" in custom
    whole = whole or any(config.get(name) for name in _WRITING_SETTINGS)
    schemas = _field_schemas(getattr(cls, "__pydantic_core_schema__", None))
    if schemas is None or not schemas.keys() >= infos.keys():
        whole = True  # pydantic keeps it elsewhere: let pydantic write it
        schemas = {}
    written = [
        Field(
            name,
            info.serialization_alias or info.alias or name,
            info,
            name in custom or _says_how(schemas.get(name)),
        )
        for name, info in infos.items()
    ]
    computed = [
        Field(name, one.info.alias or name, one.info, name in custom)
        for name, one in getattr(decorators, "computed_fields", {}).items()
    ]
    return Shape(tuple(written), tuple(computed), whole)


#: How instances of a pydantic model or dataclass are written.
shape_of: Callable[[Any], Shape] = cache(_read_shape)


def _field_schemas(schema: Any) -> dict[str, Any] | None:
    """The schema of each field, in what pydantic has made of a model; None where it is not found."""
    while isinstance(schema, Mapping):
        if schema.get("type") == "model-fields":
            return dict(schema["fields"])
        if schema.get("type") == "dataclass-args":
            return {field["name"]: field for field in schema["fields"]}
        if schema.get("root_model"):
            return {"root": schema.get("schema")}
        schema = schema.get("schema")
    return None


def _says_how(schema: Any) -> bool:
    """Whether an annotation brings a serializer along; a model inside has its own say."""
    if isinstance(schema, Mapping):
        if schema.get("type") in ("model", "dataclass", "definition-ref"):
            return False
        how = schema.get("serialization")
        if isinstance(how, Mapping) and str(how.get("type", "")).startswith(("function", "format")):
            return True
        return any(_says_how(part) for name, part in schema.items() if name != "metadata")
    return isinstance(schema, (list, tuple)) and any(map(_says_how, schema))
