"""The marks that `@step` leaves, and whether each of them is still there when `@workflow` looks.

A decorator above `@step` may put another object into the class, without the mark: such a step would silently
not be in the workflow. So `@step` also leaves a list of what it marked in the class's body.
"""

from __future__ import annotations

from collections.abc import Iterator
from types import FrameType
from typing import Any

from fluxio.errors import DefinitionError

_MARK = "__fluxio_step__"
_MARKED = "__fluxio_marked__"

#: How many decorators one above the other are looked through.
_DEPTH = 50


def put(function: Any, mark: Any, body: FrameType | None) -> None:
    """Mark a method, and note that in the body of its class."""
    setattr(function, _MARK, mark)
    if body is not None:
        body.f_locals.setdefault(_MARKED, []).append(mark)


def of(value: Any) -> Any:
    """The mark of a method, whatever functools.wraps has put over it; None if there is none."""
    try:
        return _of(value)
    except Exception:  # noqa: BLE001 - what stands in a class may be any object, and raise when it is asked
        return None


def _of(value: Any) -> Any:
    for _ in range(_DEPTH):
        # A static or class method does not pass on the marks of the function in it.
        attributes = getattr(getattr(value, "__func__", value), "__dict__", {})
        if _MARK in attributes:
            return attributes[_MARK]
        if "__wrapped__" not in attributes and not hasattr(type(value), "__wrapped__"):
            return getattr(value, _MARK, None) if callable(value) else None
        value = value.__wrapped__
    return None


def check_kept(cls: type, workflow: str) -> None:
    """Refuse a class in which a marked method is hidden by what stands in its place.

    Raises:
        DefinitionError: there is one.
    """
    for at, base in enumerate(cls.__mro__):
        for mark in _lost(base):
            if any(mark.name in vars(one) for one in cls.__mro__[:at]):
                continue  # a subclass has another method of this name
            here = vars(base).get(mark.name)
            instead = (
                "is not there any more"
                if here is None
                else f"is now a {type(here).__name__} without the mark"
            )
            raise DefinitionError(
                f"{workflow}.{mark.name}: marked with @step, but what the class has under this name "
                f"{instead}, so that the step would be missing. Put @step above the other decorators, or let "
                "them use functools.wraps."
            )


def _lost(base: type) -> Iterator[Any]:
    marked = vars(base).get(_MARKED, ())
    if not marked:
        return
    kept = [of(value) for value in vars(base).values()]
    yield from (mark for mark in marked if not any(mark is one for one in kept))
