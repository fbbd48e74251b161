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
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from types import FrameType
from typing import Any

from fluxio.errors import StepTimeout

#: Seconds between two interruptions of a step: what it may take to clean up after one.
INTERVAL = 1.0

#: Signals whose handlers an attempt leaves as it found them: those that come without being asked for once the
#: step has ended. SIGPIPE would end the worker at the first connection that DynamoDB closes, if a step had its
#: default action come back; SIGCHLD comes when a process ends that a step has left behind.
_KEPT = (
    signal.SIGALRM,
    signal.SIGVTALRM,
    signal.SIGPROF,
    signal.SIGPIPE,
    signal.SIGCHLD,
)

#: Timers that send some of these signals.
_TIMERS = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)

#: When the step that runs in the main thread is to be interrupted, by the monotonic clock. Nothing else
#: turns interruptions on or off, so a signal that comes late does nothing.
_due = math.inf

#: What the engine does beside a step is not interrupted: it comes after the step, or ends it.
_ENGINE = {__file__, str(Path(__file__).with_name("attempt.py"))}


def call_step(function: Callable[..., Any], instance: object, arguments: Mapping[str, Any]) -> Any:
    """Call a step's method."""
    return call_function(function, (instance,), arguments)


def call_function(
    function: Callable[..., Any], positional: tuple[object, ...], arguments: Mapping[str, Any]
) -> Any:
    """Call a user's function; of the engine's own frames, this is the one in which an alarm interrupts."""
    limit, trace, profile = sys.getrecursionlimit(), sys.gettrace(), sys.getprofile()
    try:
        return function(*positional, **arguments)
    finally:
        if sys.getrecursionlimit() < limit:
            sys.setrecursionlimit(limit)  # first of all: no more than this call may be left
        if sys.getprofile() is not profile:
            sys.setprofile(profile)  # these would be called, and may raise, in the engine
        if sys.gettrace() is not trace:
            sys.settrace(trace)


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
            self._idle = [of for of in _TIMERS if signal.getitimer(of) == (0.0, 0.0)]
            self._mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGURG])
            if signal.getsignal(signal.SIGURG) is not _interrupt:
                signal.signal(signal.SIGURG, _interrupt)
        self._began = monotonic()
        if self._interrupts:
            _due = self._began + self._seconds
            _ringer.see(_due)
        return self

    def __exit__(self, *_: object) -> None:
        global _due
        self.was_over = monotonic() - self._began >= self._seconds
        if not self._interrupts:
            return
        _due = math.inf
        # A timer that the step has left behind would go off in the engine.
        for timer in self._idle:
            signal.setitimer(timer, 0)
        for of, handler in self._handlers.items():
            # None: the handler is not one of Python, but of a profiler in C for example, and is left to it.
            if handler is not None and signal.getsignal(of) not in (handler, None):
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
    """The thread that sends the signal; it begins with the first attempt, and lasts as long as the process.

    It is woken only for a time before the one that it waits for anyway. When a step ends it goes on waiting,
    and looks then what there is to do: as a rule nothing.
    """

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._woken: SimpleQueue[None] = SimpleQueue()
        self._wakes_at = math.inf

    def see(self, due: float) -> None:
        """Take in that `_due` is this now."""
        if self._thread is None or not self._thread.is_alive():  # as in a child process
            self._woken, self._wakes_at = SimpleQueue(), math.inf
            thread = threading.Thread(target=self._ring, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # steps have left so many threads that there is no room for this one
            self._thread = thread
        elif due < self._wakes_at:
            self._woken.put(None)

    def _ring(self) -> None:
        main = threading.main_thread().ident
        assert main is not None
        while True:
            due, now = _due, monotonic()
            if due <= now:
                signal.pthread_kill(main, signal.SIGURG)
                wakes_at = now + INTERVAL
            else:
                wakes_at = due
            self._wakes_at = wakes_at
            if _due != due:
                continue  # it was set before it could be compared with when this thread wakes
            with suppress(Empty):
                self._woken.get(timeout=None if wakes_at == math.inf else wakes_at - now)


_ringer = _Ringer()
