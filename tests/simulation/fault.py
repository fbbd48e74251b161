"""What a planted fault is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from tests.simulation.breakages import Patch

#: Something that may go wrong: a seed of the random schedules, a case of the matrix and its faults, or a drill.
Place: TypeAlias = int | str | tuple[str, dict[int, str]]


@dataclass(frozen=True)
class Planted:
    """A breakage: what is broken, how, where it was seen first, and as what."""

    what: str
    break_it: Callable[[Patch], None]
    seen_at: Place
    #: Words of the violation: what it must be caught for, not for any other reason.
    shows: str
    #: The kinds of schedules that come to it, see `Schedule.kind`; empty: all.
    kinds: tuple[str, ...] = ()
