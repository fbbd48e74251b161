"""What a step returns, or raises, to be run again: it is not done, and has not failed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fluxio_protocol.duration import YEAR, Duration, in_seconds
from fluxio_protocol.errors import InvalidInput


def _milliseconds(after: Any, where: str) -> int:
    try:
        return round(1000 * in_seconds(after, most=YEAR))
    except InvalidInput as error:
        raise ValueError(f"{where}: after {error}.") from None


@dataclass(frozen=True)
class Again:
    """Returned by a step that is to be run again: to poll, to page, to go on with work that takes long.

    It is no failure: the retries count anew from here. The next round has `ctx.round` one higher and
    `ctx.state` as given here. The step's `deadline` and the run's timeout bound all rounds together.

    Args:
        after: seconds, or a timedelta, until the next round; 0: at once, in this invocation while time is left.
        state: what the next round is to know, as JSON; it replaces what the last one kept.

    Raises:
        ValueError: `after` is negative, or longer than a year.
    """

    after: Duration = 0
    state: Any = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "milliseconds", _milliseconds(self.after, "Again"))

    milliseconds = 0


class RetryAfter(Exception):
    """Raised by a step that failed and knows when to try again, as an API that answers `Retry-After`.

    It counts as a failed attempt, like any exception, and waits so long instead of the backoff.

    Args:
        after: seconds, or a timedelta, until the next attempt.
        message: why it failed.

    Raises:
        ValueError: `after` is negative, or longer than a year.
    """

    def __init__(self, after: Duration, message: str = "") -> None:
        self.milliseconds = _milliseconds(after, "RetryAfter")
        super().__init__(message or f"to be tried again in {self.milliseconds / 1000:g} s")
