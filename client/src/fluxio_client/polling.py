"""Waiting for a run's end, by looking at the run again and again."""

from __future__ import annotations

import math
from collections.abc import Callable

from fluxio_protocol.errors import InvalidInput, RunParked, WaitTimeout
from fluxio_protocol.run import Run

#: Seconds until the second look; each pause after it is longer by half, up to the caller's `poll`.
FIRST_PAUSE = 0.05


def until_ended(
    look: Callable[[], Run | None],
    timeout: float | None,
    poll: float,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Wait until a run has ended, or is not there.

    Args:
        look: the run as it stands; None if it is not there.
        timeout: seconds to wait at most; None waits until it has ended.
        poll: seconds between two looks at most.
        monotonic: seconds of a clock that nothing sets.
        sleep: waits so many seconds.

    Raises:
        InvalidInput: `timeout` or `poll` is no number of seconds.
        RunParked: the run waits for an operator.
        WaitTimeout: it had not ended in time.
    """
    if timeout is not None and not 0 <= timeout < math.inf:
        raise InvalidInput(
            f"timeout is {timeout!r}: pass seconds, or None to wait until the run has ended."
        )
    if not 0.01 <= poll < math.inf:
        raise InvalidInput(f"poll is {poll!r}: pass seconds, 0.01 or more.")
    deadline = math.inf if timeout is None else monotonic() + timeout
    pause = min(FIRST_PAUSE, poll)
    while True:
        run = look()
        if run is None or run.ended:
            return
        if run.parked:
            raise RunParked(
                f"run {run.run_id} is parked: {str(run.error).rstrip('.')}. When that is mended, redrive "
                "the run."
            )
        left = deadline - monotonic()
        if left <= 0:
            raise WaitTimeout(
                f"run {run.run_id} is {run.status} after {timeout:g} s. It goes on: wait longer, or "
                "look at its steps with get()."
            )
        sleep(min(pause, left))
        pause = min(pause * 1.5, poll)
