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
        #: What it showed when it was stopped, of both times.
        self._stopped_at, self._stopped_monotonic = 0, 0.0
        #: By how much each is behind.
        self._behind, self._monotonic_behind = 0, 0.0
        self._shown = 0

    def now(self) -> int:
        with self._lock:
            return self._now()

    def _now(self) -> int:
        if self._stops:
            return self._stopped_at
        # The machine's own clock may be set back; what is under way does not see that.
        self._shown = max(self._shown, self._wall() - self._behind)
        return self._shown

    @property
    def at(self) -> int:  # type: ignore[override]  # there is nothing to be set
        return self.now()

    def monotonic(self) -> float:
        """Seconds that only grow, without those for which the clock stood still."""
        with self._lock:
            if self._stops:
                return self._stopped_monotonic
            return self._monotonic() - self._monotonic_behind

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Let no time pass in the meantime."""
        with self._lock:
            if not self._stops:
                self._stopped_at = self._now()
                self._stopped_monotonic = self._monotonic() - self._monotonic_behind
            self._stops += 1
        try:
            yield
        finally:
            with self._lock:
                self._stops -= 1
                if not self._stops:
                    self._behind = self._wall() - self._stopped_at
                    self._monotonic_behind = self._monotonic() - self._stopped_monotonic

    def catch_up(self) -> None:
        """Show the true time again: nothing is under way that was begun before the clock last stood still."""
        with self._lock:
            if not self._stops:
                self._behind = self._shown = 0
