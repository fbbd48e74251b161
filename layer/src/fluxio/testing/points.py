"""Points around the code of a step, where a test lets a worker die or a message be delivered twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Side = Literal["before", "after"]


@dataclass(frozen=True)
class Point:
    """Right before or right after the code of a step; made by `before` and `after`."""

    side: Side
    step: str
    attempt: int = 1

    def __str__(self) -> str:
        more = "" if self.attempt == 1 else f", attempt={self.attempt}"
        return f'{self.side}("{self.step}"{more})'


def before(step: str, attempt: int = 1) -> Point:
    """The point right before a step's code is called: its worker has claimed the attempt.

    Args:
        step: the step's name; "Other.name" for a step of another workflow than the one under test.
        attempt: which attempt, from 1.
    """
    return Point("before", step, attempt)


def after(step: str, attempt: int = 1) -> Point:
    """The point right after a step's code has returned or raised: what it did outside is done, and nothing of
    it is committed.

    Args:
        step: the step's name; "Other.name" for a step of another workflow than the one under test.
        attempt: which attempt, from 1.
    """
    return Point("after", step, attempt)


@dataclass(frozen=True)
class Passing:
    """The code of a step, passed on one side of it."""

    side: str
    run_id: str
    workflow: str
    step: str
    attempt: int
    #: Which time a worker comes to the code of this step of this run, from 1.
    time: int


#: What happens to a worker at a point: "dies", "cut off", "doubled" or "overtaken"; None: nothing.
Strike = Callable[[Passing], "str | None"]


def no_strike(_: Passing) -> None:
    """Nothing happens."""
