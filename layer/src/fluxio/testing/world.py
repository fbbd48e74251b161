"""A deployment in this process, with a clock that is moved: what a test's run goes on in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random
from typing import Any

import fluxio.attempt
from fluxio import process
from fluxio.alarm import Alarm
from fluxio.attempt import Attempt
from fluxio.context import StepContext
from fluxio.definition import WorkflowDefinition
from fluxio.errors import StepTimeout
from fluxio.testing import mocks
from fluxio.testing.aws import Aws, Call
from fluxio.testing.cost import Cost, Meter
from fluxio.testing.death import Death, stands_for_death
from fluxio.testing.errors import NeverEnds
from fluxio.testing.faults import Faults, cut_off, stand_still
from fluxio.testing.function import Function
from fluxio.testing.history import AT_CALLS, STRIKES, TOLD, Event, History
from fluxio.testing.platform import Workflows, logging_to, make_client
from fluxio.testing.points import Passing, Strike, no_strike
from fluxio.testing.waiting import awaits_a_time, missing, standing, wakes
from fluxio_client import FluxioClient
from fluxio_protocol.run import STOPPED

#: Seconds that an invocation may take: the most that Lambda allows, so that any step's timeout fits.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
FUNCTION_TIMEOUT = 900

#: Milliseconds between two sweeps, and before a run is due at which sweeps begin to look at it.
MINUTE, EARLY = 60_000, 120_000

#: Attempts of one step, invocations, and calls to AWS, after which a run counts as one that never ends.
MANY_ATTEMPTS, MANY_INVOCATIONS, MANY_CALLS = 1_000, 10_000, 100_000

#: Sweeps in a row that find a run due and change nothing of it, after which it counts as one that never ends.
IDLE_SWEEPS = 3


@stands_for_death
class _Halt(BaseException):
    """The test ends here, wherever the engine is."""

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclass(frozen=True)
class Later:
    """A signal that is sent when so many milliseconds have passed."""

    payload: Any
    after: int


class World:
    """The table, the queue, the worker's function and the clock of one test.

    Args:
        workflows: what is deployed; the first is the one under test.
        mocks: what runs in place of steps' code, by workflow and step.
        strike: what happens to workers around the code of steps.
        call_faults: what happens at calls of workers, by their number.
        throttle: the share of calls of workers that are refused for their rate.
        deliver_twice: whether every message is handed to a second worker as well.
        inline_branches: as in the module.
        tables: tables of the user's, and the attributes of their keys.
    """

    def __init__(
        self,
        workflows: Sequence[WorkflowDefinition],
        *,
        mocks: Mapping[tuple[str, str], Any],
        strike: Strike = no_strike,
        call_faults: Mapping[int, str] | None = None,
        throttle: float = 0.0,
        deliver_twice: bool = False,
        inline_branches: int = 10,
        tables: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.aws = Aws(FUNCTION_TIMEOUT)
        for name, keys in (tables or {}).items():
            self.aws.dynamodb.create_table(name, keys=tuple(keys))
        self.history = History()
        #: Where the code of steps was passed, in order.
        self.passed: list[Passing] = []
        #: How often the code of each step was called, by run and step.
        self.executions: Counter[tuple[str, str]] = Counter()
        self._arrivals: Counter[tuple[str, str]] = Counter()
        self._mocks = mocks
        self._strike = strike
        self._began = self._last_sweep = self.aws.clock.at
        self._statuses: dict[str, str] = {}
        self._signals: list[tuple[int, str, str, Any]] = []
        #: When the attempts under way are interrupted; None: those in threads are not.
        self._alarms: list[int | None] = []
        #: Milliseconds that attempts in threads take.
        self._takes: dict[tuple[str, str, int], int] = {}
        self._put_back = ""
        self._function = Function(
            self.aws,
            Workflows({each.name: each for each in workflows}),
            inline_branches=inline_branches,
            lasts=self._lasted,
            chance=lambda: 0.5,
        )
        self._function.twice = deliver_twice
        self._function.wire = self._wire
        self._throttle = throttle
        self._dice = Random(0)
        self._call_faults = dict(call_faults or {})
        self.faults = Faults(self._function, self._call_faults, MANY_CALLS)
        self._meter = Meter(Aws.TABLE)
        self.aws.dynamodb.meter = self._meter
        self.aws.dynamodb.watchers.append(self._see)
        self.client: FluxioClient = make_client(self.aws)

    # --- what a test does

    def start(self, workflow: str, input: Any, run_id: str) -> None:
        """Start a run."""
        self.client.start(workflow, input, run_id=run_id)

    def signal(self, run_id: str, name: str, payload: Any) -> None:
        """Send a signal now, or put it down to be sent later."""
        if isinstance(payload, Later):
            self._signals.append((self.aws.clock.at + payload.after, run_id, name, payload.payload))
            self._signals.sort(key=lambda signal: signal[0])
            return
        self.client.signal(run_id, name, payload)
        self.tell("signal sent", run_id, detail=name)

    def settle(self, until: int | None, done: Callable[[], bool]) -> None:
        """Let everything happen that is due, in order, and time pass.

        Args:
            until: when to stop, in milliseconds since 1970; None: when all is done.
            done: whether nothing more is waited for.

        Raises:
            NeverEnds: what is waited for never comes.
        """
        with self._engine():
            try:
                self._settle(until, done)
            except _Halt as halt:
                raise halt.error from None

    @property
    def run_ids(self) -> tuple[str, ...]:
        """All runs, in the order of their starts."""
        return tuple(self._statuses)

    def ended(self, run_id: str) -> bool:
        """Whether a run has ended or stands still until an operator redrives it."""
        run = self.client.get(run_id)
        return run.ended or run.status in STOPPED

    def all_ended(self) -> bool:
        """Whether all runs have, those too that steps have started."""
        return all(map(self.ended, self.run_ids))

    def quiet(self) -> bool:
        """Whether no message is left."""
        return not self.aws.queue.messages

    @property
    def cost(self) -> Cost:
        """What all this has cost so far."""
        meter = self._meter
        return Cost(
            meter.units, meter.index_units, meter.writes, self.aws.sqs.sent, self._function.invoked
        )

    def tell(
        self,
        what: str,
        run_id: str | None = None,
        step: str | None = None,
        attempt: int | None = None,
        detail: str = "",
        after: int = 0,
    ) -> None:
        """Add to the history what happens now, or when so many milliseconds have passed."""
        at = (self.aws.clock.at + after - self._began) / 1000
        self.history.append(Event(at, what, run_id, step, attempt, detail))

    # --- time

    def _settle(self, until: int | None, done: Callable[[], bool]) -> None:
        clock, function, items = self.aws.clock, self._function, self.aws.table.items
        most = function.invoked + MANY_INVOCATIONS
        idle, before, is_due = 0, None, False
        while True:
            while function.deliver():
                if function.invoked > most:
                    raise NeverEnds(self._endless(f"after {MANY_INVOCATIONS:,} invocations"))
            if function.raised:
                raise function.raised[0]
            if is_due:  # a sweep has looked at what was due: has that changed anything?
                to_come = self._signals or self.aws.queue.messages or awaits_a_time(items, clock.at)
                now = None if to_come else standing(items)
                idle = idle + 1 if now is not None and now == before else 0
                before, is_due = now, False
                if idle >= IDLE_SWEEPS and until is None:
                    raise NeverEnds(self._endless("and nothing is to come"))
            if until is None and done():
                return
            visible = [m.visible_at for m in self.aws.queue.messages if m.visible_at > clock.at]
            tick = self._next_sweep()
            times = [*visible, *[signal[0] for signal in self._signals[:1]]]
            times += [] if tick is None else [tick]
            if until is not None and (not times or min(times) > until):
                clock.at = max(clock.at, until)
                return
            if not times:
                raise NeverEnds(self._endless("and nothing is to come"))
            clock.at = max(clock.at, min(times))
            while self._signals and self._signals[0][0] <= clock.at:
                self._send_due()
            if tick is not None and clock.at >= tick:
                self._last_sweep = tick
                is_due = any(at <= tick for at in wakes(items))
                function.sweep()

    def _send_due(self) -> None:
        _, run_id, name, payload = self._signals.pop(0)
        if self.ended(run_id):
            self.tell("signal too late", run_id, detail=name)
        else:
            self.signal(run_id, name, payload)

    def _next_sweep(self) -> int | None:
        """The next minute at which a sweep may find something."""
        due = min(wakes(self.aws.table.items), default=None)
        if due is None:
            return None
        after = max(self._last_sweep + 1, due - EARLY, self.aws.clock.at)
        return self._began - (self._began - after) // MINUTE * MINUTE

    def _endless(self, when: str) -> str:
        """Why a run cannot end."""
        runs = [self.client.get(run_id) for run_id in self._statuses if not self.ended(run_id)]
        said = [f"run {run.run_id} ({run.workflow}) is {run.status} {when}" for run in runs]
        for run in runs:
            said += missing(run)
        if self._put_back:
            said.append(f"a message was put back, last because of {self._put_back}")
        return "; ".join(said) + "."

    # --- what the engine is given

    @contextmanager
    def _engine(self) -> Iterator[None]:
        """The engine runs in this world: its log, its clock for steps and its calls of their code are ours."""
        alarm, code = fluxio.attempt._alarm, fluxio.attempt._run_code
        fluxio.attempt._alarm = self._alarm
        fluxio.attempt._run_code = self._run_code
        try:
            with logging_to(self._hear), process.lent():
                yield
        finally:
            fluxio.attempt._alarm = alarm
            fluxio.attempt._run_code = code

    def _wire(self, call: Call) -> dict[str, Any]:
        number = len(self.faults.calls)
        if number >= MANY_CALLS:
            raise _Halt(NeverEnds(self._endless(f"after {MANY_CALLS:,} calls to AWS")))
        if self._throttle and self._dice.random() < self._throttle:
            self._call_faults.setdefault(number, "throttled")
        fault = self._call_faults.get(number)
        if fault is not None:
            self.tell(AT_CALLS.get(fault, fault), detail=f"call {number} ({call})")
        return self.faults.wire(call)

    @contextmanager
    def _alarm(self, seconds: float | None) -> Iterator[Alarm]:
        """Times a step by the test's clock; in a thread, nothing interrupts it."""
        now = self.aws.clock.at
        self._alarms.append(None if seconds is None else now + round(seconds * 1000))
        try:
            yield Alarm(None)
        finally:
            self._alarms.pop()

    def _run_code(self, attempt: Attempt, arguments: Mapping[str, Any]) -> Any:
        context = attempt.context
        which = context.run_id, context.step
        self._arrivals[which] += 1
        time = self._arrivals[which]  # an attempt that ends before its code is one, too
        about = *which, context.attempt
        if context.attempt > MANY_ATTEMPTS:
            tries = f"its step {context.step} has been tried {MANY_ATTEMPTS:,} times; mock it"
            raise _Halt(NeverEnds(self._endless(f"and {tries}, if it is meant to go on for long")))
        self._pass("before", context, time)
        self.executions[which] += 1
        self.tell("step began", *about)
        try:
            value = mocks.play(
                self._mocks.get((context.workflow, context.step), mocks.CODE),
                self.executions[which],
                lambda: _own_code(attempt, arguments),
                lambda seconds: self._last(attempt, seconds),
                arguments,
                context,
            )
        except StepTimeout:
            self.tell("step timed out", *about, after=self._takes.get(about, 0))
            raise
        except BaseException as error:
            self.tell("step raised", *about, detail=f"{type(error).__name__}: {error}")
            self._pass("after", context, time)
            raise
        self.tell("step returned", *about, after=self._takes.get(about, 0))
        self._pass("after", context, time)
        return value

    def _pass(self, side: str, context: StepContext, time: int) -> None:
        """A worker comes to a point: what happens to it there?"""
        passing = Passing(
            side, context.run_id, context.workflow, context.step, context.attempt, time
        )
        self.passed.append(passing)
        strike = self._strike(passing)
        if strike is None:
            return
        self.tell(
            f"{STRIKES[strike]} {side}",
            context.run_id,
            context.step,
            context.attempt,
        )
        if strike == "dies":
            raise Death
        if strike == "cut off":
            cut_off(self._function)
        if strike == "overtaken":
            stand_still(self._function)
        self._function.deliver_again()

    def _last(self, attempt: Attempt, seconds: float | None) -> None:
        """A step takes so many seconds; None: as many as its timeout."""
        clock, ends = self.aws.clock, self._alarms[-1]
        takes = round((attempt.timeout if seconds is None else seconds) * 1000)
        if ends is None:
            context, longest = attempt.context, round(attempt.timeout * 1000)
            takes = min(takes, longest)
            self._takes[context.run_id, context.step, context.attempt] = takes
            if takes == longest:
                raise StepTimeout  # what it would return later is dropped
            return
        clock.at = min(clock.at + takes, ends)
        if clock.at >= ends:
            raise StepTimeout

    def _lasted(self, attempt: Attempt) -> int:
        context = attempt.context
        takes = self._takes.pop((context.run_id, context.step, context.attempt), 0)
        # A thread that is given up has not ended when its time is over.
        return takes + (takes >= round(attempt.timeout * 1000))

    # --- what is heard and seen of it

    def _hear(self, line: dict[str, Any]) -> None:
        message = line.get("message", "")
        if message == "message put back":
            self._put_back = line.get("reason") or line.get("code") or line.get("error") or ""
        if message in TOLD:
            self.tell(
                message,
                line.get("run_id"),
                line.get("step"),
                line.get("attempt"),
                str(line.get("reason") or line.get("error") or ""),
            )

    def _see(self, table: str, key: tuple[str, ...], _: Any, new: Any) -> None:
        if table != Aws.TABLE or new is None or key[1] != "run":
            return
        status = new.get("status", {}).get("S")
        if status is not None and self._statuses.get(key[0]) != status:
            self._statuses[key[0]] = status
            self.tell(f"run {status}", key[0])


_own_code = fluxio.attempt._run_code
