"""A Python value as what JSON has, and as nothing else than what it was.

What a step returns must be what the next one gets. So a value is written by its own type, not by the type it
was declared with, and whatever JSON does not know goes through pydantic and is read back: where reading gives
another value, or where a part would be left out or masked, the value is refused with the place of that part.

pydantic is imported only for values that need it.
"""

from __future__ import annotations

import json
import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any

from fluxio_protocol.model_shape import Field, Shape, shape_of

_PLAIN = (str, int, bool, type(None))


#: What is wrong with nan and the infinities.
NOT_FINITE = "Out of range float values are not JSON compliant"


class Unstorable(Exception):
    """A value, or a part of it, cannot be stored as what it is."""

    def __init__(self, problem: str, *path: object) -> None:
        super().__init__(problem)
        self.problem = problem
        #: The keys, indexes and fields that lead to the part; empty for the value itself.
        self.path = list(path)

    @property
    def place(self) -> str:
        """Where the part stands, as one would write it in Python."""
        return "".join(f"[{name!r}]" for name in self.path)


def to_tree(value: Any) -> Any:
    """A value as dicts with text keys, lists, strings, numbers, booleans and None.

    Members of a set are put into an order of their own, so that equal sets are written alike in every process.

    Raises:
        Unstorable: a part of it has no such form, or would be read back as another value.
        RecursionError: it holds itself, or is nested too deep.
    """
    return _tree(value, inside=False)


def same(one: Any, other: Any) -> bool:
    """Whether two JSON values are equal; 1, 1.0 and true are three different values, in any depth."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[name], other[name]) for name in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


def _tree(value: Any, inside: bool) -> Any:
    """`inside` a model, which is read back as a whole: its parts are not, one by one."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise Unstorable(NOT_FINITE)
        return float(value)
    if isinstance(value, Mapping):
        return _mapping(value, inside)
    if inside and isinstance(value, Iterator):
        raise Unstorable("it can be read only once: make a list of it")
    if isinstance(value, (list, tuple, deque, Iterator)):
        return [_part(at, part, inside) for at, part in enumerate(value)]
    if isinstance(value, Enum):
        return _tree(value.value, inside)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Set):
        return _in_order([_part(at, part, inside) for at, part in enumerate(value)])
    if isinstance(value, (bytes, bytearray)):
        return _text_of(bytes(value))
    if hasattr(kind, "__await__"):
        getattr(value, "close", bool)()  # so that Python does not warn of it, too
        raise Unstorable(
            "it is a coroutine that nothing has awaited: call asyncio.run(…) in the step"
        )
    if isinstance(value, type):
        raise Unstorable(f"it is the class {value.__name__}, not a value")
    if hasattr(kind, "get_secret_value"):
        return _leaf(value)
    if hasattr(kind, "__pydantic_serializer__"):
        return _model(value, inside)
    if is_dataclass(value):
        tree = {at.name: _part(at.name, _attribute(value, at.name), True) for at in fields(value)}
        if not inside:
            _check_read_back(value, tree)
        return tree
    return _leaf(value)


def _part(name: object, value: Any, inside: bool) -> Any:
    try:
        return _tree(value, inside)
    except Unstorable as error:
        error.path.insert(0, name)
        raise


def _mapping(value: Mapping[Any, Any], inside: bool) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, part in value.items():
        text = key if type(key) is str else key_text(key)
        if text in tree:
            raise Unstorable(
                f"two of its keys are written as {text!r}, the second one is the {type(key).__name__} {key!r}"
            )
        tree[text] = _part(key, part, inside)
    return tree


def key_text(key: Any) -> str:
    """A key of a dict as pydantic writes it.

    Raises:
        Unstorable: it can be no key, or would be read back as another one.
    """
    if isinstance(key, Enum):
        return key_text(key.value)
    if isinstance(key, str):
        return str.__str__(key)
    if isinstance(key, float) and not math.isfinite(key):
        raise Unstorable(NOT_FINITE, key)
    try:
        ((text, _),) = _writer()({key: None}).items()
    except (ValueError, TypeError) as error:
        raise Unstorable(
            f"no key of a JSON object can be this {type(key).__name__}: {error}", key
        ) from None
    if key is None or isinstance(key, (int, float, bytes)) or is_read_back(key, text):
        return str(text)
    raise Unstorable(
        f"as a key of a JSON object, this {type(key).__name__} would be read back as another value",
        key,
    )


def _in_order(members: list[Any]) -> list[Any]:
    if all(type(member) is str for member in members) or all(
        type(member) in (int, float) for member in members
    ):
        return sorted(members)
    return sorted(members, key=lambda member: json.dumps(member, sort_keys=True))


def _text_of(value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Unstorable(
            f"its bytes are no UTF-8 ({error.reason} at {error.start}): encode them, with base64 for example"
        ) from None


def _attribute(value: Any, name: str) -> Any:
    try:
        return getattr(value, name)
    except AttributeError:
        raise Unstorable("it was never set", name) from None


# --- what pydantic knows


def _model(value: Any, inside: bool) -> Any:
    shape = shape_of(type(value))
    own = shape.custom or any(field.custom for field in (*shape.fields, *shape.computed))
    written = _written(value) if own else {}
    if shape.custom or not isinstance(written, dict):
        tree = _tree(written, inside=True)
        for field in shape.fields:
            if not isinstance(tree, dict) or field.key in tree:
                part = tree[field.key] if isinstance(tree, dict) else tree
                _check_secret(field.name, getattr(value, field.name, None), part)
    elif hasattr(type(value), "__pydantic_root_model__") and value.__pydantic_root_model__:
        (root,) = shape.fields
        tree = _tree(written if root.custom else value.root, inside=True)
    else:
        tree = _fields(value, shape, written)
    if not inside:
        _check_read_back(value, tree)
    return tree


def _fields(value: Any, shape: Shape, written: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for field in shape.fields:
        part = _attribute(value, field.name)
        if _left_out(field, part):
            continue
        if not field.custom:
            tree[field.key] = _part(field.name, part, inside=True)
        elif field.key in written:
            tree[field.key] = _part(field.name, written[field.key], inside=True)
            _check_secret(field.name, part, tree[field.key])
    for field in shape.computed:
        part = written.get(field.key) if field.custom else _attribute(value, field.name)
        tree[field.key] = _part(field.name, part, inside=True)
    for name, part in (getattr(value, "__pydantic_extra__", None) or {}).items():
        tree[name] = _part(name, part, inside=True)
    return tree


def _written(value: Any) -> Any:
    """A value as pydantic writes it. An error says which part it is about."""
    try:
        return _writer()(value)
    except Exception as error:  # a serializer is the user's own code
        for name in names_of(value) or ():
            _part(name, getattr(value, name, None), inside=True)
        raise Unstorable(str(error) or type(error).__name__) from error


def _left_out(field: Field, part: Any) -> bool:
    """Whether a field is not to be written, which is right only while it has its default."""
    unless = getattr(field.info, "exclude_if", None)
    if not field.info.exclude and not (unless is not None and unless(part)):
        return False
    try:
        default = field.info.get_default(call_default_factory=True)
        if type(default) is type(part) and bool(default == part):
            return True
    except Exception:  # noqa: BLE001 - a factory, or an __eq__, of the user's
        pass
    raise Unstorable(
        "the field is excluded from what is written and has a value that would be lost: leave it at its "
        "default, or take the exclusion away",
        field.name,
    )


# --- what is read back


@cache
def _writer() -> Callable[[Any], Any]:
    from pydantic_core import to_jsonable_python

    return to_jsonable_python


def _make_adapter(cls: Any) -> Any:
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


_adapter: Callable[[Any], Any] = cache(_make_adapter)


def _leaf(value: Any) -> Any:
    """A value that only pydantic knows how to write: a date, a UUID, a Decimal."""
    kind = type(value)
    tree = _written(value)
    _check_secret(None, value, tree)
    if not hasattr(kind, "get_secret_value") and not is_read_back(value, tree):
        raise Unstorable(f"this {kind.__name__} would be read back as another value")
    return _tree(tree, inside=True)


def is_read_back(value: Any, tree: Any) -> bool:
    """Whether a value's own type reads it back as it was."""
    try:
        adapter = _adapter(type(value))
    except Exception:  # noqa: BLE001 - it can be written but not read: whoever takes it sees what it is
        return True
    try:
        return bool(adapter.validate_python(tree) == value)
    except Exception:  # noqa: BLE001 - pydantic's own errors, and an __eq__ of the user's
        return False


def _check_secret(name: str | None, value: Any, tree: Any) -> None:
    """Refuse what is written masked; a serializer of the user's own may unmask it."""
    reveal = getattr(type(value), "get_secret_value", None)
    if reveal is None:
        return
    try:
        if same(_tree(reveal(value), inside=True), tree):
            return
    except Unstorable:
        pass
    raise Unstorable(
        "a secret is not stored: return what it can be fetched by, the name of an entry in Secrets Manager for "
        "example",
        *([] if name is None else [name]),
    )


def _check_read_back(value: Any, tree: Any) -> None:
    """Refuse a model that its own class would read back, without a word, as another one."""
    try:
        back = _adapter(type(value)).validate_json(json.dumps(tree))
    except RecursionError:
        raise
    except Exception:  # noqa: BLE001 - whoever reads it as this class is told
        return
    path = _difference(value, back)
    if path is not None:
        raise Unstorable(
            f"{type(value).__name__} would be read back with another value here: see to what its serializers, "
            "validators and aliases make of it",
            *path,
        )


def _difference(value: Any, back: Any) -> list[object] | None:
    """Where the value that was read back differs; None if it does not."""
    if type(value) in _PLAIN and type(back) is type(value):
        return None if value == back else []
    pairs: list[tuple[object, Any, Any]]
    names = names_of(value)
    if names is not None:
        if isinstance(back, (dict, list)):
            return None  # declared as Any: it is read as what is written
        if not isinstance(value, type(back)):
            return []
        pairs = [(n, getattr(value, n, None), getattr(back, n, None)) for n in names_of(back) or ()]
    elif isinstance(value, Mapping) and isinstance(back, Mapping):
        if len(value) != len(back):
            return []
        pairs = [(n, one, two) for (n, one), two in zip(value.items(), back.values(), strict=True)]
    elif isinstance(value, (list, tuple, deque)) and isinstance(back, (list, tuple, deque)):
        if len(value) != len(back):
            return []
        pairs = [(at, one, back[at]) for at, one in enumerate(value)]
    else:
        return None if _equal(value, back) else []
    for name, one, other in pairs:
        path = _difference(one, other)
        if path is not None:
            return [name, *path]
    return None


def _equal(value: Any, back: Any) -> bool:
    try:
        if bool(value == back):
            return True
    except Exception:  # noqa: BLE001 - an __eq__ of the user's
        pass
    if hasattr(type(value), "get_secret_value"):
        return False
    try:
        # A date in a field that may be anything is read as text.
        return same(_tree(value, inside=True), _tree(back, inside=True))
    except Unstorable:
        return False


def names_of(value: Any) -> list[str] | None:
    """The fields of a model or dataclass; None for any other value."""
    cls = type(value)
    if hasattr(cls, "__pydantic_serializer__") and not hasattr(cls, "get_secret_value"):
        return [field.name for field in shape_of(cls).fields]
    return [at.name for at in fields(value)] if is_dataclass(value) else None
