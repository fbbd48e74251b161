"""One attempt of a step: bind its arguments, run its code under its timeout, say what came of it.

Alone, a step runs in the main thread, where SIGALRM interrupts it at its timeout. Branches of a fan-out run
in threads, which nothing can interrupt: there the worker stops waiting, and the lease and the fence keep a
late result out.
"""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from queue import Empty, SimpleQueue
from types import MappingProxyType
from typing import Any, NamedTuple

from fluxio.context import StepContext
from fluxio.decide import Failed
from fluxio.errors import BindingError, StepTimeout, TransactError
from fluxio.log import log, log_payload
from fluxio.steps import StepDefinition
from fluxio_client import layout
from fluxio_client.errors import PayloadError
from fluxio_client.run import Failure

#: What no retry mends: the same code with the same values fails the same way.
_HOPELESS = (BindingError, PayloadError, TransactError)


class Returned(NamedTuple):
    """An attempt returned: its output as JSON text, and the writes to commit with it."""

    text: str
    operations: tuple[dict[str, Any], ...]


class Attempt(NamedTuple):
    """A claimed step, ready to run."""

    definition: StepDefinition
    cls: type
    context: StepContext
    input: Mapping[str, Any]
    outputs: Mapping[str, Any]
    #: Seconds it may take.
    timeout: float
    #: Which try it is, counted from the last redrive: backoffs grow with it.
    tries: int
    #: A number from 0 to 1 for the backoff's jitter.
    chance: float
    #: The payloads of the signals it awaits.
    signals: Mapping[str, Any] = MappingProxyType({})
    #: What steps further back returned; asked for only to explain that a parameter is missing.
    earlier: Callable[[], Mapping[str, Any]] = dict

    @property
    def ids(self) -> dict[str, Any]:
        """What every line of the log says that is about this attempt."""
        context = self.context
        return {
            "run_id": context.run_id,
            "workflow": context.workflow,
            "step": context.step,
            "attempt": context.attempt,
        }

    def run(self, interrupt: bool) -> Returned | Failed:
        """Run it to its end; with `interrupt`, by SIGALRM at its timeout."""
        try:
            with _alarm(self.timeout if interrupt else None):
                return self._call()
        except StepTimeout:
            return self.timed_out()

    def _call(self) -> Returned | Failed:
        context = self.context
        log("DEBUG", "step begins", **self.ids)
        given = {**self.outputs, **self.signals}
        log_payload("step input", {"input": self.input, "given": given}, **self.ids)
        try:
            arguments = self.definition.bind(
                self.input, self.outputs, context, self.signals, self.earlier
            )
            value = self.definition.function(self.cls(), **arguments)
            what = (
                f"run {context.run_id} step {context.step} (attempt {context.attempt}): the output"
            )
            text = layout.encode(value, what)
            log_payload("step output", text, **self.ids)
            return Returned(text, tuple(context.operations))
        except (Exception, SystemExit) as error:  # noqa: BLE001 - a step may raise what it likes
            return self.failed(error)

    def failed(self, error: BaseException) -> Failed:
        """The outcome of an attempt that raised."""
        context, retry = self.context, self.definition.retry
        log(
            "WARN",
            "step raised",
            **self.ids,
            error=type(error).__name__,
            # Frames, not the message: an exception's text may hold what the step was working on.
            frames=[f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__)],
        )  # fmt: skip
        hopeless = isinstance(error, _HOPELESS) or getattr(error, "hopeless", False)
        again = not hopeless and retry.allows(error)
        return Failed(
            Failure(type(error).__name__, _text(error), context.step, context.attempt),
            retry.delay(self.tries, self.chance) if again else None,
            refused=error.signals if isinstance(error, BindingError) else (),
        )

    def timed_out(self) -> Failed:
        """The outcome of an attempt that took longer than its timeout."""
        message = (
            f"took longer than its timeout of {self.timeout:g} s. Raise `timeout` of the step, or "
            "make it do less."
        )
        return self.failed(TimeoutError(message))._replace(timed_out=True)


def _text(error: BaseException) -> str:
    """What an exception says, as text that can be stored whatever it says."""
    try:
        # A file name may bring half a surrogate along, which is no UTF-8.
        return str(error).encode("utf-8", "backslashreplace").decode()
    except Exception:  # noqa: BLE001 - a user's __str__
        return f"<this {type(error).__name__} has no text: its __str__ raises>"


@contextmanager
def _alarm(seconds: float | None) -> Iterator[None]:
    if seconds is None or threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(*_: object) -> None:
        raise StepTimeout

    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


class Threads:
    """Attempts that run side by side in this process."""

    def __init__(self) -> None:
        self._ended: SimpleQueue[tuple[Attempt, Returned | Failed]] = SimpleQueue()
        self._running: dict[str, Attempt] = {}

    def start(self, attempt: Attempt) -> None:
        """Run an attempt in a thread of its own."""
        self._running[attempt.context.step] = attempt
        threading.Thread(target=self._work, args=(attempt,), daemon=True).start()

    def _work(self, attempt: Attempt) -> None:
        try:
            outcome = attempt.run(interrupt=False)
        except BaseException as error:  # noqa: BLE001 - a dying thread must not take its outcome along
            outcome = attempt.failed(error)
        self._ended.put((attempt, outcome))

    def wait(self, seconds: float) -> list[tuple[Attempt, Returned | Failed]]:
        """Wait for the next attempt to end; those that have ended by then come with it."""
        found: list[tuple[Attempt, Returned | Failed]] = []
        try:
            found.append(self._ended.get(timeout=max(seconds, 0)))
            while True:
                found.append(self._ended.get_nowait())
        except Empty:
            pass
        live = []
        for attempt, outcome in found:
            # One that was given up at its timeout ends late, and nobody waits for it any more.
            if self._running.get(attempt.context.step) is attempt:
                del self._running[attempt.context.step]
                live.append((attempt, outcome))
        return live

    def give_up(self, step: str) -> Attempt:
        """Stop waiting for an attempt; what it still brings is dropped."""
        return self._running.pop(step)
