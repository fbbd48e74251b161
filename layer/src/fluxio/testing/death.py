"""How a worker's process dies in the middle of a step, without a process.

Whatever a step raises is that step's failure. What stands for the end of the process must not be: it passes
through the engine as if nobody were there.
"""

from __future__ import annotations

from typing import TypeVar

from fluxio import attempt

_Death = TypeVar("_Death", bound=BaseException)


def stands_for_death(death: type[_Death]) -> type[_Death]:
    """Let exceptions of this type end the process that a test plays."""
    attempt.DEATHS.add(death)
    return death


@stands_for_death
class Death(BaseException):
    """The process ends here, at this call. Nothing may catch it; only the platform sees that it is gone."""
