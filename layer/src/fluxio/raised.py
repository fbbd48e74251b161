"""What can be said of an exception that a step raised, without trusting its class.

A step may raise anything: an exception whose `__str__`, `__getattr__` or `__class__` raises in its turn, or
lies, or one that is no `Exception`. So attributes are read from where Python itself keeps them, types are
told as an `except` clause tells them, and the one thing that only the exception knows, its text, is asked
for with care.
"""

from __future__ import annotations

import builtins
import sys
from collections.abc import Iterable, Iterator, Sequence
from types import FrameType
from typing import Any

from fluxio.errors import StepTimeout

#: Frames that a log line has of a traceback: the first ones, and those nearest to what was raised.
FIRST_FRAMES, LAST_FRAMES = 5, 25

#: Exceptions of a group that its text names.
NAMED_IN_GROUP = 5

#: Characters of a text that are kept; what is stored is shorter.
LONGEST_TEXT = 1_000

_name_of_type = type.__dict__["__name__"].__get__
_traceback_of = BaseException.__dict__["__traceback__"].__get__
_is_subclass = type.__subclasscheck__


def type_name(error: BaseException) -> str:
    """The name of an exception's type."""
    return str.__str__(_name_of_type(type(error)))[:LONGEST_TEXT]


def type_names(error: BaseException) -> frozenset[str]:
    """The names of the types that an exception is of: its own, and those that it derives from."""
    names = (str.__str__(_name_of_type(of)) for of in type.__dict__["__mro__"].__get__(type(error)))
    return frozenset(name[:LONGEST_TEXT] for name in names)


def is_one_of(error: BaseException, types: Iterable[type]) -> bool:
    """Whether an `except` clause with these types would catch it: by its class, whatever that pretends."""
    return any(_is_subclass(wanted, type(error)) for wanted in types)


def text_of(error: BaseException) -> str:
    """What an exception says, as text that can be stored whatever it says; of a group, what it holds, too."""
    text = _own_text(error)
    held = [one for one in each_of(error) if one is not error and not _is_group(one)]
    if held:
        parts = [f"{type_name(one)}: {_own_text(one)}" for one in held[:NAMED_IN_GROUP]]
        parts += ["…"] * (len(held) > NAMED_IN_GROUP)
        text = f"{text}: {'; '.join(parts)}"
    return text[:LONGEST_TEXT]


def _own_text(error: BaseException) -> str:
    try:
        # A file name may bring half a surrogate along, which is no UTF-8.
        return str.encode(str(error), "utf-8", "backslashreplace").decode()[:LONGEST_TEXT]
    except StepTimeout:
        raise
    except BaseException:  # noqa: BLE001 - a user's __str__
        return f"<this {type_name(error)} has no text: its __str__ raises>"


def exit_code(error: BaseException) -> int:
    """What a process ends with that ends by this exception, as Python has it."""
    if not is_one_of(error, [SystemExit]):
        return 1
    code = SystemExit.__dict__["code"].__get__(error)
    return code & 0xFF if type(code) is int else 0 if code is None else 1


def frames_of(error: BaseException, engine: Sequence[str]) -> list[str]:
    """Where it was raised, the outermost first, as `file:line function`.

    Args:
        error: the exception.
        engine: the engine's files that call a step: their frames around the step's are left out.
    """
    frames: list[str] = []
    at = _traceback_of(error)
    while at is not None:
        frames.append(place(at.tb_frame, at.tb_lineno))
        at = at.tb_next
    own = tuple(f"{file}:" for file in engine)
    while len(frames) > 1 and frames[0].startswith(own):
        del frames[0]
    while len(frames) > 1 and frames[-1].startswith(own):  # what interrupts a step
        del frames[-1]
    if len(frames) > FIRST_FRAMES + LAST_FRAMES:
        left_out = len(frames) - FIRST_FRAMES - LAST_FRAMES
        frames[FIRST_FRAMES:-LAST_FRAMES] = [f"… {left_out} more …"]
    return frames


def place(frame: FrameType, line: int | None) -> str:
    """A place in the code, as `file:line function`."""
    return f"{frame.f_code.co_filename}:{line} {frame.f_code.co_name}"


def each_of(error: BaseException) -> Iterator[BaseException]:
    """An exception, and if it is a group (PEP 654) those that it holds, at every depth."""
    waiting, seen = [error], set()
    while waiting:
        one = waiting.pop(0)
        if id(one) in seen:
            continue
        seen.add(id(one))
        yield one
        if _is_group(one):
            waiting += _held_by(one)


def leaves_of(error: BaseException) -> list[BaseException]:
    """The exceptions that a group holds, at every depth, without the groups; any other exception itself."""
    return [one for one in each_of(error) if not _is_group(one)] or [error]


def _group_type() -> Any:
    """BaseExceptionGroup: Python's own from 3.11 on; before, that of the package exceptiongroup, if any."""
    own = getattr(builtins, "BaseExceptionGroup", None)
    return own or getattr(sys.modules.get("exceptiongroup"), "BaseExceptionGroup", None)


def _is_group(error: BaseException) -> bool:
    group = _group_type()
    return group is not None and is_one_of(error, [group])


def _held_by(group: BaseException) -> list[BaseException]:
    try:
        return list(_group_type().__dict__["exceptions"].__get__(group))
    except Exception:  # noqa: BLE001 - the package's group is made of Python, which may be bent
        return []
