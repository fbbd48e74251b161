"""Branches of a fan-out without threads. It imports nothing of fluxio, so that an older version can use it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxio.attempt import Attempt, Ended
    from fluxio.testing.clients import Clock


def no_time(_: Attempt) -> int:
    """Milliseconds of a branch that takes no time."""
    return 0


class InPlace:
    """Runs the branches of a fan-out one after the other, at once: stands in for `fluxio.attempt.Threads`.

    Args:
        clock: moved on when there is nothing to do but to wait.
        together: whether all that have ended are seen at once, or one after the other.
        lasts: milliseconds that an attempt takes, asked when its code has run: they all take them at the same
            time, as threads would.
    """

    def __init__(
        self, clock: Clock, together: bool, lasts: Callable[[Attempt], int] = no_time
    ) -> None:
        self._clock = clock
        self._together = together
        self._lasts = lasts
        #: When each attempt ends, and its outcome; those that end first come first.
        self._ended: list[tuple[int, Attempt, Ended]] = []

    def start(self, attempt: Attempt) -> None:
        outcome = attempt.run(interrupt=False)
        self._ended.append((self._clock.at + self._lasts(attempt), attempt, outcome))
        self._ended.sort(key=lambda ended: ended[0])

    def wait(self, seconds: float) -> list[tuple[Attempt, Ended]]:
        left = (self._ended[0][0] - self._clock.at) / 1000 if self._ended else seconds
        if left > 0:
            self._clock.advance(max(min(seconds, left), 0.001))
        count = sum(ends_at <= self._clock.at for ends_at, _, _ in self._ended)
        count = count if self._together else min(count, 1)
        found, self._ended = self._ended[:count], self._ended[count:]
        return [(attempt, outcome) for _, attempt, outcome in found]

    def give_up(self, step: str) -> Attempt:
        for ended in self._ended:
            _, attempt, _ = ended
            if attempt.context.step == step:
                self._ended.remove(ended)
                return attempt
        raise AssertionError(f"{step} is given up, and it ended before that")
