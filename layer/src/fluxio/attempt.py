"""One attempt of a step: bind its arguments, run its code under its timeout, say what came of it.

Whatever a step raises, and whatever the values do that it was given or returns, is the step's failure. Alone, a
step runs in the main thread, where it is interrupted at its timeout. Branches of a fan-out run in threads,
which nothing can interrupt: there the worker stops waiting, and the lease and the fence keep a late result out.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple, TypeAlias

from fluxio import alarm, process
from fluxio.again import Again, RetryAfter
from fluxio.alarm import Alarm, call_step
from fluxio.context import StepContext
from fluxio.errors import BindingError, StartError, StepTimeout, TransactError
from fluxio.given import Given
from fluxio.hand import Declined, Failed, RunAgain
from fluxio.log import log, log_payload
from fluxio.raised import (
    exit_code,
    frames_of,
    is_one_of,
    leaves_of,
    text_of,
    type_name,
    type_names,
)
from fluxio.steps import StepDefinition
from fluxio_protocol import layout
from fluxio_protocol.errors import PayloadError
from fluxio_protocol.new_run import NewRun
from fluxio_protocol.run import Failure
from fluxio_protocol.store import StartRefused, TransactionFailed, TransactionInvalid

#: What no retry mends: the same code with the same values fails the same way.
_HOPELESS = (
    BindingError,
    PayloadError,
    StartError,
    StartRefused,
    TransactError,
    TransactionInvalid,
)

#: Seconds that an outcome waits for those of attempts beside it, so that one write commits them all: `LINGER`
#: and a tenth of what the attempt took, and `LONGEST_LINGER` at most. A write takes about 5 ms, and one of
#: several outcomes costs what one of a single outcome does.
LINGER, LONGEST_LINGER = 0.01, 0.02

#: It waits in slices, each of which counts as this long though it may take longer: where the process gets no
#: processor for a while, as in Lambda with little memory, the threads that it waits for get none either.
SLICE = 0.001

#: What times a step; the simulation has one with a clock of its own.
_alarm: Callable[[float | None], AbstractContextManager[Alarm]] = Alarm

#: Exceptions that are no failure of a step: they stand for the end of the worker's process, in tests.
DEATHS: set[type[BaseException]] = set()

#: The frames of a traceback that are not the step's.
_ENGINE = (__file__, alarm.__file__)


class Returned(NamedTuple):
    """An attempt returned: its output as JSON text, and the writes to commit with it."""

    text: str
    operations: tuple[dict[str, Any], ...]
    #: The runs that are started with it.
    starts: tuple[NewRun, ...] = ()


class Raised(NamedTuple):
    """An attempt raised: all that is kept of the exception, which may hold on to anything."""

    type: str
    message: str
    frames: Sequence[str]
    #: Milliseconds until it is tried again; None: it is not.
    retry_after: int | None
    #: Whether it is the interruption at the timeout.
    interrupted: bool
    #: What a process ends with that ends by it.
    exit_code: int
    #: Whether the step's code has not run, because its arguments could not be bound.
    unbound: bool = False
    #: The signals whose payloads were refused.
    refused: tuple[str, ...] = ()
    #: The names of the types that the exception is of.
    kinds: frozenset[str] = frozenset()


Ended: TypeAlias = Returned | RunAgain | Declined | Failed


class Attempt(NamedTuple):
    """A claimed step, ready to run."""

    definition: StepDefinition
    cls: type
    context: StepContext
    #: What it is given.
    given: Given
    #: Seconds it may take.
    timeout: float
    #: Which try it is, counted from the last redrive: backoffs grow with it.
    tries: int
    #: A number from 0 to 1 for the backoff's jitter.
    chance: float
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

    def run(self, interrupt: bool) -> Ended:
        """Run it to its end; with `interrupt`, no longer than its timeout, as far as its thread allows that."""
        worker = os.getpid()
        log("DEBUG", "step begins", **self.ids)
        given = {"input": self.given.input, "given": dict(self.given.outputs)}
        if self.given.signals:
            given["signals"] = dict(self.given.signals)
        log_payload("step input", given, **self.ids)
        watch = Alarm(None)
        try:
            with _alarm(self.timeout if interrupt else None) as watch:
                ended = self._call()
        except BaseException as error:  # noqa: BLE001 - the alarm, while the step's exception was looked at
            ended = self._raised(error)
        if os.getpid() != worker:
            self._end_child(ended)
        process.restore()
        raised = ended if isinstance(ended, Raised) else None
        if watch.was_over or (raised is not None and raised.interrupted):
            # Whatever came of it: an interruption that a step has swallowed may have left anything half done.
            return self.timed_out(raised)
        if isinstance(ended, Raised):
            log("WARN", "step raised", **self._about(ended))
            return self._failed(ended)
        if isinstance(ended, Returned):
            log_payload("step output", ended.text, **self.ids)
        return ended

    def _call(self) -> Returned | RunAgain | Declined | Raised:
        """All that is done with what is the user's: within the timeout, and nothing of it is left after."""
        context = self.context
        what = f"run {context.run_id} step {context.step} (attempt {context.attempt}): the output"
        try:
            try:
                given = self.given
                arguments = self.definition.bind(
                    given.input, given.outputs, context, given.signals, self.earlier, given.soft
                )
            except BindingError as error:
                # Told here: a step's own code may raise one as well, and that is a failure like any other.
                return self._raised(error)._replace(unbound=True, refused=error.signals)
            when, defaults = self.definition.when, self.definition.defaults(given.input)
            if when is not None and not when.holds(given, context, self.cls, defaults):
                return Declined()
            value = _run_code(self, arguments)
            if isinstance(value, Again):
                kept = f"{what}: the state for its next round"
                state = None if value.state is None else layout.encode(value.state, kept)
                operations, starts = tuple(context.operations), tuple(context.starts)
                return RunAgain(value.milliseconds, state, operations, starts)
            text = layout.encode(value, what)
            return Returned(text, tuple(context.operations), tuple(context.starts))
        except BaseException as error:  # noqa: BLE001 - a step may raise what it likes
            return self._raised(error)

    def _raised(self, error: BaseException) -> Raised:
        if is_one_of(error, DEATHS):
            raise error
        return Raised(
            type_name(error),
            text_of(error),
            frames_of(error, _ENGINE),
            self._retry_after(error),
            is_one_of(error, [StepTimeout]),
            exit_code(error),
            kinds=type_names(error),
        )

    def _retry_after(self, error: BaseException) -> int | None:
        """Milliseconds until it is tried again; None: it is not."""
        retry = self.definition.retry
        with suppress(Exception):  # of a user's own kind of Retry
            hopeless = any(is_one_of(one, _HOPELESS) for one in leaves_of(error))
            if not hopeless and retry.allows(error):
                if is_one_of(error, [RetryAfter]):
                    return int(error.__dict__["milliseconds"])
                return retry.delay(self.tries, self.chance)
        return None

    def _about(self, raised: Raised) -> dict[str, Any]:
        """What the log says of it: frames, not the message, which may hold what the step was working on."""
        return {**self.ids, "error": raised.type, "frames": list(raised.frames)}

    def _failed(self, raised: Raised) -> Failed:
        context = self.context
        failure = Failure(raised.type, raised.message, context.step, context.attempt)
        return Failed(
            failure,
            raised.retry_after,
            unbound=raised.unbound,
            refused=raised.refused,
            kinds=raised.kinds,
        )

    def timed_out(self, raised: Raised | None = None) -> Failed:
        """The outcome of an attempt that took longer than its timeout.

        Args:
            raised: how it ended, if it is known: where it was interrupted, as a rule.
        """
        message = (
            f"took longer than its timeout of {self.timeout:g} s. Raise `timeout` of the step, or "
            "make it do less."
        )
        late = self._raised(TimeoutError(message))
        if raised is not None:
            late = late._replace(frames=raised.frames)
        log("WARN", "step raised", **self._about(late))
        return self._failed(late)._replace(timed_out=True)

    def refused(self, error: TransactionFailed) -> Failed:
        """The outcome of an attempt that returned, and whose ctx.transact or ctx.start DynamoDB has refused."""
        refused = self._raised(error)._replace(frames=self.context.transacted_at)
        log("WARN", "transaction refused", **self._about(refused))
        return self._failed(refused)

    def not_begun(self, error: Exception) -> Failed:
        """The outcome of an attempt for which there was no thread, or no input that can be read."""
        raised = self._raised(error)
        if isinstance(error, BindingError):
            raised = raised._replace(unbound=True, refused=error.signals)
        log("WARN", "step not begun", **self._about(raised))
        return self._failed(raised)

    def _end_child(self, ended: Returned | RunAgain | Declined | Raised) -> None:
        """This is a child process that the step has forked: going on it would be a second worker."""
        code = ended.exit_code if isinstance(ended, Raised) else 0
        if isinstance(ended, Raised) and ended.type != "SystemExit":
            log("WARN", "child process raised", **self._about(ended))
        process.end_child(code)


def _run_code(attempt: Attempt, arguments: Mapping[str, Any]) -> Any:
    """Call the code of a step; `fluxio.testing` puts mocks and crashes around it."""
    return call_step(attempt.definition.function, attempt.cls(), arguments)


class Threads:
    """Attempts that run side by side in this process.

    Args:
        clock: seconds that only grow.
        ended: where the threads put what has ended.
    """

    def __init__(
        self,
        clock: Callable[[], float] = time.monotonic,
        ended: SimpleQueue[tuple[Attempt, Ended]] | None = None,
    ) -> None:
        self._clock = clock
        self._ended = SimpleQueue() if ended is None else ended
        self._running: dict[str, Attempt] = {}
        #: When each attempt began that is in `_running`.
        self._began: dict[str, float] = {}
        #: Those that an outcome has waited for, and they did not end: none waits for them again.
        self._slow: set[str] = set()

    def start(self, attempt: Attempt) -> None:
        """Run an attempt in a thread of its own."""
        step = attempt.context.step
        self._running[step] = attempt
        self._began[step] = self._clock()
        self._slow.discard(step)
        try:
            threading.Thread(target=self._work, args=(attempt,), daemon=True).start()
        except RuntimeError as error:
            # Steps have left so many threads behind that the system gives no more.
            self._ended.put((attempt, attempt.not_begun(error)))

    def _work(self, attempt: Attempt) -> None:
        self._ended.put((attempt, attempt.run(interrupt=True)))

    def wait(self, seconds: float) -> list[tuple[Attempt, Ended]]:
        """Wait for the next attempt to end; those that end right after it come with it."""
        found = self._take(seconds)
        if not found:
            return found
        took = self._clock() - self._began[found[0][0].context.step]
        slices = round(min(LINGER + took / 10, LONGEST_LINGER) / SLICE)
        while self._running.keys() - self._slow and slices:
            more = self._take(SLICE)
            slices -= not more
            found += more
        self._slow |= self._running.keys()
        return found

    def _take(self, seconds: float) -> list[tuple[Attempt, Ended]]:
        """What has ended by now, or what ends first within so many seconds."""
        found: list[tuple[Attempt, Ended]] = []
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
