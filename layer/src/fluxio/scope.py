"""A method's annotations, each read on its own and in the scope it was written in.

Python reads the annotations of a method in its class's body, then in the functions around it, then in its
module. Where they are kept as text (`from __future__ import annotations`) that scope has to be put together
again: `typing.get_type_hints` would ask the module only, and another class of the same name would be taken.
"""

from __future__ import annotations

import inspect
import re
import sys
import typing
from collections.abc import Callable, Iterable, Mapping
from types import FrameType
from typing import Any

_WORD = re.compile(r"\w+")


def signature_of(function: Callable[..., Any]) -> inspect.Signature:
    """A callable's signature, whatever names its annotations have that are not there at run time."""
    if sys.version_info >= (3, 14):
        from annotationlib import Format

        return inspect.signature(function, annotation_format=Format.FORWARDREF)
    return inspect.signature(function)


def read(function: Callable[..., Any], name: str, annotation: Any, names: Mapping[str, Any]) -> Any:
    """What one annotation of a function stands for.

    Args:
        function: the function, or what decorators have made of it.
        name: the parameter, or "return".
        annotation: the annotation as the function has it.
        names: names of the scopes inside the module's.

    Raises:
        Exception: whatever evaluating a user's annotation raises.
    """

    def probe() -> None: ...

    probe.__annotations__ = {name: annotation}
    module = getattr(inspect.unwrap(function), "__globals__", {})
    return typing.get_type_hints(probe, module, dict(names), include_extras=True)[name]


def class_body(frame: FrameType | None) -> FrameType | None:
    """The frame of the class body in which a decorator is applied; None if there is none.

    Args:
        frame: where the decorator was called: in the class's body, or in decorators of the user's around it.
    """
    while frame is not None and frame.f_locals is not frame.f_globals:
        if not frame.f_code.co_flags & inspect.CO_OPTIMIZED and "__qualname__" in frame.f_locals:
            return frame
        frame = frame.f_back
    return None


def names_around(body: FrameType) -> dict[str, Any]:
    """The names that a class's body sees in the functions it is written in."""
    names: dict[str, Any] = {}
    scopes = str(body.f_locals["__qualname__"]).split(".")[:-1]
    frame = body.f_back
    while scopes and frame is not None:
        is_function = scopes[-1] == "<locals>"
        scope = scopes.pop(-2 if is_function else -1)
        if frame.f_code.co_name != scope:
            break  # the function around has returned, or is called from elsewhere
        if is_function:
            scopes.pop()
            names = {**frame.f_locals, **names}
        frame = frame.f_back
    return names


def names_in(cls: type) -> dict[str, Any]:
    """The names that a class's own body has for its annotations.

    Its methods are none of them: one may be called `date` in a class whose other methods take a date.
    """
    return {cls.__name__: cls} | {
        name: value for name, value in vars(cls).items() if not _is_method(value, cls)
    }


def _is_method(value: Any, cls: type) -> bool:
    if isinstance(value, type):
        return False
    try:
        own = value.__qualname__ == f"{cls.__qualname__}.{value.__name__}"
    except Exception:  # noqa: BLE001 - what stands in a class may be any object, and raise when it is asked
        own = False
    return own or isinstance(value, (staticmethod, classmethod, property))


def needed(names: Mapping[str, Any], annotations: Iterable[Any]) -> dict[str, Any]:
    """Those names that annotations mention: nothing else of a scope is kept alive."""
    mentioned = {word for one in annotations for word in _WORD.findall(str(one))}
    return {name: names[name] for name in mentioned & names.keys()}
