"""How a worker's process dies in the middle of a step, without a process.

Whatever a step raises is that step's failure. What stands for the end of the process must not be: it passes
through the engine as if nobody were there.
"""

from __future__ import annotations

from typing import TypeVar

from fluxio.attempt import Attempt, Raised
from fluxio.raised import is_one_of

Death = TypeVar("Death", bound=BaseException)

_DEATHS: set[type[BaseException]] = set()

_raised = Attempt._raised


def stands_for_death(death: type[Death]) -> type[Death]:
    """Let exceptions of this type end the process that a test plays."""
    _DEATHS.add(death)
    return death


def _raised_by_a_live_one(self: Attempt, error: BaseException) -> Raised:
    if is_one_of(error, _DEATHS):
        raise error
    return _raised(self, error)


Attempt._raised = _raised_by_a_live_one
