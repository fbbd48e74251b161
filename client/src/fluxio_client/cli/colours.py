"""How a state looks: in the terminal, and in pictures. Never by colour alone: the word stands beside it."""

from __future__ import annotations

from typing import NamedTuple


class Look(NamedTuple):
    """A style of rich, and the fill and line of a box."""

    style: str
    fill: str
    line: str


_LOOKS = {
    "PENDING": Look("dim", "#f1f3f5", "#868e96"),
    "RUNNING": Look("bold cyan", "#d0ebff", "#1971c2"),
    "WAITING": Look("bold magenta", "#f3d9fa", "#9c36b5"),
    "SUCCEEDED": Look("green", "#d3f9d8", "#2b8a3e"),
    "FAILED": Look("bold red", "#ffe3e3", "#c92a2a"),
    "COMPENSATING": Look("bold yellow", "#fff3bf", "#e67700"),
    "COMPENSATED": Look("yellow", "#fff3bf", "#e67700"),
    "CANCELLED": Look("yellow", "#fff9db", "#a87a00"),
    "SKIPPED": Look("dim", "#f1f3f5", "#868e96"),
    "HANDLED": Look("yellow", "#fff4e6", "#b85c00"),
    "LOST": Look("bold red", "#f1f3f5", "#c92a2a"),
}
#: A status of a later version of fluxio.
UNKNOWN = Look("bold yellow", "#ffffff", "#e67700")
#: What cannot go on before somebody sends a signal.
SIGNAL = _LOOKS["WAITING"]
#: A step in a graph that is not of a run.
PLAIN = Look("", "#ffffff", "#495057")


def look(status: str) -> Look:
    """How a status looks."""
    return _LOOKS.get(str(status), UNKNOWN)


def is_known(status: str) -> bool:
    """Whether a status has a look of its own."""
    return str(status) in _LOOKS
