"""Branches of a fan-out without threads. It imports nothing of fluxio, so that an older version can use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fluxio.attempt import Attempt, Returned
    from fluxio.hand import Failed
    from fluxio.testing.clients import Clock


class InPlace:
    """Runs the branches of a fan-out one after the other, at once: stands in for `fluxio.attempt.Threads`.

    Args:
        clock: moved on when there is nothing to do but to wait.
        together: whether all that have ended are seen at once, or one after the other.
        lasts: milliseconds that each of them takes.
    """

    def __init__(self, clock: Clock, together: bool, lasts: int = 0) -> None:
        self._clock = clock
        self._together = together
        self._lasts = lasts
        self._ends_at = 0
        self._ended: list[tuple[Attempt, Returned | Failed]] = []

    def start(self, attempt: Attempt) -> None:
        self._ended.append((attempt, attempt.run(interrupt=False)))
        self._ends_at = self._clock.at + self._lasts

    def wait(self, seconds: float) -> list[tuple[Attempt, Returned | Failed]]:
        left = (self._ends_at - self._clock.at) / 1000
        if not self._ended or left > 0:
            self._clock.advance(max(min(seconds, left) if self._ended else seconds, 0.001))
        if self._clock.at < self._ends_at:
            return []
        count = len(self._ended) if self._together else 1
        found, self._ended = self._ended[:count], self._ended[count:]
        return found

    def give_up(self, step: str) -> Attempt:
        raise AssertionError(f"{step} ended when it began, and is given up all the same")
