"""A step's timeout in the main thread: what interrupts the step, and how signals are left as they were.

A thread of the engine's own sends the main thread a signal when the timeout is over, and again each second
until the step has given in: a step may swallow an interruption (a bare `except:`, a `finally: return`), or
Python may, in a `__del__`. The signal is SIGURG and not SIGALRM, so that a step and its libraries may use
`signal.alarm` and `setitimer` as they like; and a step that resets every handler is not killed by it, because
SIGURG does nothing by default.
"""

from __future__ import annotations

import math
import signal
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType
from typing import Any

from fluxio.errors import StepTimeout

#: Seconds between two interruptions of a step: what it may take to clean up after one.
INTERVAL = 1.0

#: Signals whose handlers an attempt leaves as it found them. SIGPIPE would end the worker at the first
#: connection that DynamoDB closes, if a step had its default action come back.
_KEPT = (signal.SIGALRM, signal.SIGPIPE)

#: When the step that runs in the main thread is to be interrupted, by the monotonic clock. Nothing else
#: turns interruptions on or off, so a signal that comes late does nothing.
_due = math.inf

#: What the engine does beside a step is not interrupted: it comes after the step, or ends it.
_ENGINE = {__file__, str(Path(__file__).with_name("attempt.py"))}


def call_step(function: Callable[..., Any], instance: object, arguments: Mapping[str, Any]) -> Any:
    """Call a step; of the engine's own frames, this is the one in which an alarm interrupts."""
    limit = sys.getrecursionlimit()
    try:
        return function(instance, **arguments)
    finally:
        if sys.getrecursionlimit() < limit:
            sys.setrecursionlimit(limit)  # first of all: no more than this call may be left


class Alarm:
    """Interrupts the step that runs in this context by StepTimeout, from its timeout on.

    In another thread than the main one nothing can interrupt a step: there it measures the time.

    Args:
        seconds: the timeout; None: neither.
    """

    def __init__(self, seconds: float | None) -> None:
        self._seconds = math.inf if seconds is None else seconds
        self._interrupts = seconds is not None and (
            threading.current_thread() is threading.main_thread()
        )
        #: Whether the step took longer than its timeout.
        self.was_over = False

    def __enter__(self) -> Alarm:
        global _due
        if self._interrupts:
            self._handlers = {of: signal.getsignal(of) for of in _KEPT}
            self._timer = signal.getitimer(signal.ITIMER_REAL)
            self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])
            if signal.getsignal(signal.SIGURG) is not _interrupt:
                signal.signal(signal.SIGURG, _interrupt)
        self._began = monotonic()
        if self._interrupts:
            _due = self._began + self._seconds
            _ringer.ring_at(_due)
        return self

    def __exit__(self, *_: object) -> None:
        global _due
        self.was_over = monotonic() - self._began >= self._seconds
        if not self._interrupts:
            return
        _due = math.inf
        _ringer.ring_at(None)
        # A timer that the step has left behind would go off in the engine.
        if self._timer == (0.0, 0.0):
            signal.setitimer(signal.ITIMER_REAL, 0)
        for of, handler in self._handlers.items():
            if handler is not None and signal.getsignal(of) is not handler:
                signal.signal(of, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)


def _interrupt(_: int, frame: FrameType | None) -> None:
    if monotonic() < _due:
        return
    code = None if frame is None else frame.f_code
    if code is not None and code.co_filename in _ENGINE and code is not call_step.__code__:
        return  # the step has ended just now; if it has not, the next signal finds it
    raise StepTimeout


class _Ringer:
    """The thread that sends the signal; it begins with the first attempt, and lasts as long as the process."""

    def __init__(self) -> None:
        self._orders: SimpleQueue[float | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def ring_at(self, due: float | None) -> None:
        """Send the signal at this time and then each INTERVAL; None: send none."""
        if self._thread is None or not self._thread.is_alive():  # as in a child process
            if due is None:
                return
            self._orders = SimpleQueue()
            thread = threading.Thread(target=self._ring, args=(self._orders,), daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # steps have left so many threads that there is no room for this one
            self._thread = thread
        self._orders.put(due)

    @staticmethod
    def _ring(orders: SimpleQueue[Any]) -> None:
        main = threading.main_thread().ident
        assert main is not None
        due: float | None = None
        while True:
            try:
                due = orders.get(timeout=None if due is None else max(due - monotonic(), 0))
            except Empty:
                signal.pthread_kill(main, signal.SIGURG)
                due = monotonic() + INTERVAL


_ringer = _Ringer()
