"""Durations: wherever a user gives one, it is seconds or a timedelta, and this is what reads it."""

from __future__ import annotations

from datetime import timedelta
from math import isfinite
from typing import Any, TypeAlias

from fluxio_protocol.errors import InvalidInput

#: Seconds, or a timedelta.
Duration: TypeAlias = float | timedelta

#: Seconds of a year, the longest that a run may take or wait.
YEAR = 31_536_000


def in_seconds(
    of: Any, *, least: float = 0, above: float | None = None, most: float | None = None
) -> float:
    """A duration in seconds, if it is one and within its bounds.

    Args:
        of: what the user gave.
        least: seconds that it must have at the least.
        above: seconds that it must have more of; instead of `least`.
        most: seconds that it may have at the most; None: it need only be finite.

    Raises:
        InvalidInput: it is neither a number nor a timedelta, not finite, or out of its bounds. The message
            goes on from the name of the argument: "is -1; pass …".
    """
    given = of.total_seconds() if isinstance(of, timedelta) else of
    if type(given) in (int, float):  # a bool would be an argument in another's place
        low = given >= least if above is None else given > above
        if low and (given <= most if most is not None else isfinite(given)):
            return given
    bounds = f"{least:,g} or more" if above is None else f"above {above:,g}"
    if most is not None:
        upto = f"{most:,} (a year)" if most == YEAR else f"{most:,}"
        bounds = (
            f"{least:,g} to {upto}" if above is None else f"above {above:,g} and at most {upto}"
        )
    raise InvalidInput(f"is {of!r}; pass seconds {bounds}, or a timedelta of such a length")
