"""The clock of `fluxio dev`: it stands still while a debugger waits for its user."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fluxio.testing.clients import Clock
from fluxio_protocol.clock import now_ms


class LocalClock(Clock):
    """The time, for the worker, for the stand-in of DynamoDB and SQS, and for the timeouts of steps.

    While somebody looks at a step in the debugger, nothing may expire: neither the step's timeout, nor its
    lease, nor the visibility of its message. So the clock stops, and is behind afterwards, until nothing is
    under way that was begun before.

    Args:
        wall: the time, in milliseconds since 1970.
        monotonic: seconds of a clock that nothing sets.
    """

    def __init__(
        self,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wall, self._monotonic = wall, monotonic
        self._lock = threading.Lock()
        self._stops = 0
        self._stopped_at = 0.0
        #: Seconds for which it has stood still in all, and how many of them `now` is behind.
        self._stood = self._behind = 0.0

    def now(self) -> int:
        with self._lock:
            return self._wall() - round((self._behind + self._standing()) * 1000)

    @property
    def at(self) -> int:  # type: ignore[override]  # there is nothing to be set
        return self.now()

    def monotonic(self) -> float:
        """Seconds that only grow, without those for which the clock stood still."""
        with self._lock:
            return self._monotonic() - self._stood - self._standing()

    def _standing(self) -> float:
        return self._monotonic() - self._stopped_at if self._stops else 0.0

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass in the meantime."""
        with self._lock:
            if not self._stops:
                self._stopped_at = self._monotonic()
            self._stops += 1
        try:
            yield
        finally:
            with self._lock:
                standing = self._standing()
                self._stops -= 1
                if not self._stops:
                    self._stood += standing
                    self._behind += standing

    def catch_up(self) -> None:
        """Show the true time again: nothing is under way that was begun before the clock last stood still."""
        with self._lock:
            if not self._stops:
                self._behind = 0.0
