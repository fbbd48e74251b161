"""Waiting for a run's end, by looking at the run again and again."""

from __future__ import annotations

import math
from collections.abc import Callable

from fluxio_protocol.duration import Duration, in_seconds
from fluxio_protocol.errors import InvalidInput, RunParked, WaitTimeout
from fluxio_protocol.run import Run

#: Seconds until the second look; each pause after it is longer by half, up to the caller's `poll`.
FIRST_PAUSE = 0.05


def until_ended(
    look: Callable[[], Run | None],
    timeout: Duration | None,
    poll: Duration,
    monotonic: Callable[[], float],
    sleep: Callable[[float], None],
) -> None:
    """Wait until a run has ended, or is not there.

    Args:
        look: the run as it stands; None if it is not there.
        timeout: seconds to wait at most, or a timedelta; None waits until it has ended.
        poll: seconds between two looks at most, or a timedelta.
        monotonic: seconds of a clock that nothing sets.
        sleep: waits so many seconds.

    Raises:
        InvalidInput: `timeout` or `poll` is no duration.
        RunParked: the run waits for an operator.
        WaitTimeout: it had not ended in time.
    """
    seconds = math.inf
    if timeout is not None:
        try:
            seconds = in_seconds(timeout)
        except InvalidInput as error:
            raise InvalidInput(
                f"timeout {error}, or None to wait until the run has ended."
            ) from None
    try:
        longest = in_seconds(poll, least=0.01)
    except InvalidInput as error:
        raise InvalidInput(f"poll {error}.") from None
    deadline = monotonic() + seconds
    pause = min(FIRST_PAUSE, longest)
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
                f"run {run.run_id} is {run.status} after {seconds:g} s. It goes on: wait longer, or "
                "look at its steps with get()."
            )
        sleep(min(pause, left))
        pause = min(pause * 1.5, longest)
