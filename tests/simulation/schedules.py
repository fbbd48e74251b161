"""Random schedules: workers interleaved at every AWS call, and everything going wrong that may.

    python -m tests.simulation.schedules --seed 7         prints schedule 7, step by step
    python -m tests.simulation.schedules --count 100000   runs so many, and prints figures

A seed decides everything: the workflow, the weather (how often what goes wrong), and every choice of who goes
on next. Workers, callers of `start` and sweeps are greenlets: each gives way at every call it makes, and ends
there if it is its turn to die. Time is the stand-in's clock. When the storm is over, faults stop (but for the
clocks, which go on differing), and whatever was started must come to its end.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import greenlet
from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

import fluxio.attempt
from fluxio import Retry, StepContext, step, workflow
from fluxio.attempt import Attempt, Returned
from fluxio.decide import Failed
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import StepTimeout
from fluxio.retry import ATTEMPTS_UNDER_CRASHES
from fluxio_client.errors import RunEnded, RunNotFound, SignalExists
from tests.simulation.aws import Aws, Call
from tests.simulation.platform import (
    Death,
    Invocation,
    Workflows,
    acknowledged,
    logging_to,
    make_client,
    make_worker,
    records_of,
)
from tests.simulation.watch import Watch

MINUTE = 60_000
#: Milliseconds by which a clock is off at most, either way.
SKEW = 3_000
#: Milliseconds after the storm within which everything must have come to its end.
PATIENCE = 8 * 3600 * 1000
#: Turns after which a schedule counts as one that goes on for ever.
TURNS = 30_000
#: Calls of one invocation that no workflow here needs.
MANY_CALLS = 250
#: Receipts that something must have struck before a message may become a dead letter: of the ten it has,
#: waiting takes at most four.
HARM = 5
NAME = "Random"


# --- what is drawn


@dataclass(frozen=True)
class StepPlan:
    """A step as it was drawn."""

    name: str
    depends_on: tuple[str, ...]
    retry: Retry
    timeout: float | None
    isolated: bool
    #: Attempts that raise.
    raises: frozenset[int]
    #: The share of its attempts that take longer than their timeout.
    overruns: float
    long: bool
    transacts: bool
    awaits: tuple[str, ...] = ()


@dataclass(frozen=True)
class Weather:
    """How often what goes wrong, and how the deployment is set."""

    #: Shares of calls.
    dies: float
    throttled: float
    unanswered: float
    twice: float
    late: float
    #: Shares of turns.
    lapses: float
    sweeps: float
    #: Share of messages that come to another worker while theirs stands still; and of those that stand
    #: still, the share that comes back just when its steps are taken over.
    handed_on: float
    comes_back: float
    #: Share of batches of which SQS takes only a part.
    halves: float
    #: Share of calls that take seconds, and that take minutes.
    slow: float
    stalls: float
    stale_deletes: float
    #: Milliseconds that indexes and eventually consistent reads are behind.
    lag: int
    #: How many calls the storm lasts.
    storm: int
    #: Whether the sweeper runs at all. Without it, nothing may be left to it.
    sweeper: bool
    inline_branches: int
    function_timeout: int
    workers: int
    runs: int
    #: Seconds the workflow gives a run; None: as long as it needs.
    timeout: float | None
    #: The share of runs that somebody cancels, and that an operator sends on when they have failed.
    cancels: float
    redrives: float


def draw_weather(rng: random.Random) -> Weather:
    """Weather from mild to wild."""
    wild = rng.choice([0.0, 0.01, 0.03, 0.1, 0.25])
    sweeper = rng.random() < 0.5

    def share(most: float = 1.0) -> float:
        return rng.choice([0.0, 0.3, 1.0]) * wild * most

    return Weather(
        dies=share(),
        throttled=share(),
        unanswered=share(0.5),
        twice=share(),
        late=share(),
        lapses=share(),
        handed_on=rng.choice([0.0, 0.5, 1.0]),
        comes_back=rng.choice([0.0, 0.5, 1.0]),
        sweeps=share(0.2) if sweeper else 0.0,
        halves=share(3),
        slow=rng.choice([0.0, 0.05]),
        stalls=rng.choice([0.0, 0.0, 0.02, 0.1]),
        stale_deletes=rng.choice([0.0, 0.5]) if sweeper else 0.0,
        lag=rng.choice([0, 0, 50, 2000]),
        storm=rng.choice([30, 60, 120, 250]),
        sweeper=sweeper,
        inline_branches=rng.choice([10, 10, 0, 0, 2, 3]),
        function_timeout=rng.choice([30, 60, 120, 120]),
        workers=rng.choice([1, 2, 3, 4, 6]),
        runs=rng.choice([1, 1, 1, 1, 2, 3]),
        timeout=rng.choice([None] * 6 + [30, 300]),
        cancels=rng.choice([0.0, 0.0, 0.0, 0.5]),
        redrives=rng.choice([0.0, 0.5]) if sweeper else 0.0,
    )


def draw_steps(rng: random.Random, weather: Weather) -> list[StepPlan]:
    """A random graph of one to eight steps."""
    density = rng.choice([0.2, 0.35, 0.6])
    steps: list[StepPlan] = []
    for number in range(rng.randint(1, 8)):
        earlier = [step.name for step in steps]
        retries = rng.choice([0, 1, 3, 3, 6])
        failing = rng.random()
        raises: frozenset[int] = frozenset()
        if failing < 0.2:
            raises = frozenset(n for n in range(1, retries + 1) if rng.random() < 0.5)
        elif failing < 0.24:
            raises = frozenset(range(1, 200))
        # A backoff that is longer than a message is held needs the sweeper.
        initial = rng.choice([0.0, 0.3, 2.0, 20.0, 400.0 if weather.sweeper else 90.0])
        longest = 300.0 if weather.sweeper else 100.0
        steps.append(
            StepPlan(
                name=f"s{number}",
                depends_on=tuple(name for name in earlier if rng.random() < density),
                retry=Retry(retries, initial, 2.0, max(longest, initial)),
                timeout=rng.choice([None, 1, 5, 5, 20]),
                isolated=rng.random() < 0.15,
                raises=raises,
                overruns=rng.choice([0.0] * 8 + [0.3]),
                long=rng.random() < 0.1,
                transacts=rng.random() < 0.1,
            )
        )
    return steps


def draw_signals(seed: int, plans: list[StepPlan]) -> list[StepPlan]:
    """In one of four schedules some steps wait for signals; by dice of their own, so the rest stays."""
    rng = random.Random(f"signals of {seed}")
    if rng.random() > 0.25:
        return plans
    return [
        replace(
            plan,
            awaits=tuple(f"go{n}_{plan.name}" for n in range(rng.choice([0, 0, 0, 1, 1, 2]))),
        )
        for plan in plans
    ]


def define(
    plans: list[StepPlan], timeout: float | None, body: Callable[..., Any]
) -> WorkflowDefinition:
    """The class that a user would have written."""

    def method(plan: StepPlan) -> Any:
        def run(self: Any, ctx: StepContext, **kwargs: Any) -> Any:
            return body(plan, ctx, kwargs)

        run.__name__ = plan.name
        decorated = step(
            depends_on=plan.depends_on,
            retry=plan.retry,
            timeout=plan.timeout,
            isolated=plan.isolated,
            awaits=plan.awaits,
        )
        return decorated(run)

    cls = type(NAME, (), {plan.name: method(plan) for plan in plans})
    found = definition_of(workflow(timeout=timeout)(cls))
    assert found is not None
    return found


# --- who acts


@dataclass(eq=False)
class Process:
    """A process: a Lambda environment, or a caller of `start`. Its tasks die with it."""

    name: str
    skew: int
    worker: Any = None
    busy: bool = False
    tasks: list[Task] = field(default_factory=list)


@dataclass(eq=False)
class Task:
    """Something under way in a process: an invocation, a thread of one, a call of `start`."""

    name: str
    process: Process
    greenlet: Any
    ready_at: int
    #: When Lambda ends the invocation, by the true time.
    deadline: int | None = None
    waits: bool = False
    #: Until when it stands still, if it does.
    still_until: int = 0
    #: When SIGALRM would interrupt the step that runs.
    alarm: int | None = None
    records: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    #: Whether it came to its end, and nothing went wrong on the way.
    sound: bool = False
    struck: bool = False


class Branches:
    """Stands in for `fluxio.attempt.Threads`: a branch is a task of its own."""

    def __init__(self, schedule: Schedule) -> None:
        self._schedule = schedule
        self._parent = schedule.current
        self._ended: list[tuple[Attempt, Returned | Failed]] = []
        self._running: dict[str, Attempt] = {}

    def start(self, attempt: Attempt) -> None:
        name = attempt.context.step
        self._running[name] = attempt

        def work() -> None:
            outcome = attempt.run(interrupt=False)
            self._ended.append((attempt, outcome))
            if self._parent.waits:
                self._parent.ready_at = self._schedule.aws.clock.at

        self._schedule.spawn(f"{self._parent.name}/{name}", self._parent.process, work)

    def wait(self, seconds: float) -> list[tuple[Attempt, Returned | Failed]]:
        if not self._ended:
            self._parent.waits = True
            self._schedule.pause(max(1, round(seconds * 1000)))
            self._parent.waits = False
        found, self._ended = self._ended, []
        live = []
        for attempt, outcome in found:
            if self._running.get(attempt.context.step) is attempt:
                del self._running[attempt.context.step]
                live.append((attempt, outcome))
        return live

    def give_up(self, step: str) -> Attempt:
        return self._running.pop(step)


class Schedule:
    """One random schedule, from `start` to the end of everything.

    Args:
        seed: decides everything.
        tell: is handed each thing that happens, as a line; None: nobody reads it.
        sweeper: overrules what the seed says of the sweeper.
    """

    def __init__(
        self, seed: int, tell: Callable[[str], None] | None = None, strict: bool = False
    ) -> None:
        self.seed = seed
        self._strict = strict
        self._tell = tell
        rng = self.rng = random.Random(seed)
        weather = self.weather = draw_weather(rng)
        self.plans = {plan.name: plan for plan in draw_signals(seed, draw_steps(rng, weather))}
        self.definition = define(list(self.plans.values()), weather.timeout, self._step)
        self.aws = Aws(weather.function_timeout)
        self.aws.dynamodb.lag = weather.lag
        if not weather.sweeper:
            self.aws.queue.max_receive_count = 10_000  # nobody would find what is there
        longest = weather.function_timeout * 1000 - 3_000
        self.watch = Watch(
            self.aws,
            {NAME: self.definition.graph},
            {
                (NAME, plan.name): int(1000 * plan.timeout)
                if plan.timeout
                else min(60_000, longest)
                for plan in self.plans.values()
            },
            SKEW,
        )
        self.watch.on_takeover = self._comes_back
        #: Who made each claim, by its token.
        self._claimants: dict[str, Process] = {}
        self.run_ids = [f"r{number}" for number in range(weather.runs)]
        self.tasks: list[Task] = []
        self.processes: list[Process] = []
        self.problems: list[str] = []
        self.figures: Counter[str] = Counter()
        self.storm = True
        self.sweeper = weather.sweeper
        #: How often a message was received by somebody who was then struck by something.
        self.harmed: Counter[str] = Counter()
        #: What operators were asked to do: (run id, "cancel" or "redrive").
        self.asked: set[tuple[str, str]] = set()
        self.executions: Counter[tuple[str, str, int]] = Counter()
        #: How each attempt's code ended: "returned", "raised" or "overran"; missing: its worker died.
        self.ends: dict[tuple[str, str, int], str] = {}
        self.current: Any = None
        self._hub = greenlet.getcurrent()
        self._numbers = count(1)
        self._next_sweep = self.aws.clock.at + MINUTE
        self._begin = self.aws.clock.at

    # --- the hub

    def run(self) -> Schedule:
        rng = self.rng
        with logging_to(self._log), _virtual_alarm(self):
            try:
                for run_id in self.run_ids:
                    self._spawn_start(run_id)
                    if rng.random() < self.weather.cancels:
                        self._spawn_operator(run_id, "cancel")
                    if rng.random() < self.weather.redrives:
                        self._spawn_operator(run_id, "redrive")
                    for name in (signal for plan in self.plans.values() for signal in plan.awaits):
                        self._spawn_signal(run_id, name)
                        if rng.random() < 0.3:
                            self._spawn_signal(
                                run_id, name
                            )  # with another payload: one of them stands
                self._go_round()
            finally:
                for task in list(self.tasks):
                    self._kill(task.process)
        self._judge()
        self.figures["schedules"] += 1
        self.figures["takeovers"] += self.watch.takeovers
        self.figures["with a takeover"] += self.watch.takeovers > 0
        self.figures["needed the sweeper"] += self.figures["nudged by a sweep"] > 0
        return self

    def _go_round(self) -> None:
        weather, rng, clock = self.weather, self.rng, self.aws.clock
        over_at = self._begin
        for turn in range(TURNS):
            if self.storm and self.figures["calls"] >= weather.storm:
                self.storm, over_at = False, clock.at
                self.say("--- the storm is over")
            if self.problems or self.watch.violations:
                return
            if self._quiet():
                return
            if not (self.sweeper or self.tasks or self.aws.queue.messages or self._strict):
                # Messages alone did not do: a deadline passed while all waited for signals, or three
                # deliveries of one message and a lost answer met. That is what the sweeper is there for.
                self.say("--- the sweeper comes, after all")
                self.figures["saved by the sweeper"] += 1
                self.sweeper, self._next_sweep, over_at = True, clock.at, clock.at
            if not self.storm and clock.at > over_at + PATIENCE:
                self.problems.append("something never came to its end")
                return
            if self.storm and turn and rng.random() < weather.lapses:
                self._lapse()
            if self.storm and rng.random() < weather.sweeps:
                self._spawn_sweep()
            self._turn()
        self.problems.append(f"still at it after {TURNS} turns")

    def _turn(self) -> None:
        clock, rng = self.aws.clock, self.rng
        busy = 0
        ready = []
        for task in self.tasks:
            if task.deadline is not None:
                busy += 1
                if task.deadline <= clock.at:
                    self.say(f"{task.name}: Lambda ends it at its timeout")
                    self.figures["invocations timed out"] += 1
                    self._kill(task.process)
                    return
            if task.ready_at <= clock.at:
                ready.append(task)
        room = busy < self.weather.workers
        if room and (not ready or rng.random() < 0.3) and self._deliver():
            return
        if ready:
            self._resume(rng.choice(ready))
            return
        times = [task.ready_at for task in self.tasks]
        times += [task.deadline for task in self.tasks if task.deadline is not None]
        if room:
            times += [m.visible_at for m in self.aws.queue.messages if m.visible_at > clock.at]
        if self.sweeper:
            times.append(self._next_sweep)
        clock.at = max(clock.at, min(times, default=clock.at + MINUTE))
        if self.sweeper and clock.at >= self._next_sweep:
            self._next_sweep += MINUTE
            if self._due() or rng.random() < 0.02:
                self._spawn_sweep()

    def _quiet(self) -> bool:
        return (
            not self.tasks
            and not self.aws.queue.messages
            and all(self.watch.statuses.get(run_id) in ENDED for run_id in self.run_ids)
        )

    def _due(self) -> bool:
        # A sweep that finds nothing does nothing; only now and then is one made all the same.
        horizon = self.aws.clock.at + SKEW
        return any(
            "wake_at" in item and int(item["wake_at"]["N"]) <= horizon
            for item in self.aws.table.items.values()
        )

    def _resume(self, task: Task) -> None:
        self.current = task
        task.greenlet.switch()
        self._after(task)

    def _after(self, task: Task) -> None:
        self.current = None
        if task.greenlet.dead and task in self.tasks:
            self._forget(task)

    def _forget(self, task: Task) -> None:
        self.tasks.remove(task)
        task.process.tasks.remove(task)
        if task.struck or not task.sound:
            self.harmed.update(record["messageId"] for record in task.records)

    def spawn(self, name: str, process: Process, work: Callable[[], None], **more: Any) -> Task:
        """Put something under way; it begins when it is its turn."""

        def run() -> None:
            try:
                work()
            except Death:
                self.figures["deaths"] += 1
                self.say(f"{name}: dies")
                # The others of the process die when this one has given way to the hub.
                doomed.append(process)

        doomed: list[Process] = []

        def whole() -> None:
            run()
            for each in doomed:
                each.busy = False
                self._bury(each, task)

        task = Task(name, process, greenlet.greenlet(whole, self._hub), self.aws.clock.at, **more)
        self.tasks.append(task)
        process.tasks.append(task)
        return task

    def _bury(self, process: Process, of: Task) -> None:
        """The process is gone: its other tasks end where they are, and it is not used again."""
        if process in self.processes:
            self.processes.remove(process)
        for task in list(process.tasks):
            if task is not of:
                self._end(task)

    def _kill(self, process: Process) -> None:
        if process in self.processes:
            self.processes.remove(process)
        for task in list(process.tasks):
            self._end(task)

    def _end(self, task: Task) -> None:
        self._forget(task)
        if task.greenlet.dead:
            return
        task.greenlet.parent = greenlet.getcurrent()
        task.greenlet.throw(greenlet.GreenletExit)
        if not task.greenlet.dead:
            self.problems.append(f"{task.name} goes on when its process is dead")

    def pause(self, milliseconds: int) -> None:
        """The task that runs gives way for so long."""
        self.current.ready_at = self.aws.clock.at + milliseconds
        task = self.current
        self._hub.switch()
        self.current = task

    def say(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{(self.aws.clock.at - self._begin) / 1000:10.3f}  {line}")

    def _log(self, line: dict[str, Any]) -> None:
        self.watch.hear(line)
        if self._tell is not None and "level" in line and line["message"] != "message handled":
            hidden = ("level", "message", "frames")
            shown = " ".join(f"{name}={part}" for name, part in line.items() if name not in hidden)
            self.say(f"{self.current.name}:     log {line['level']} {line['message']} {shown}")

    # --- what happens

    def _process(self) -> Process:
        idle = [process for process in self.processes if not process.busy]
        if idle and self.rng.random() < 0.9:
            return self.rng.choice(idle)
        number = next(self._numbers)
        process = Process(f"p{number}", self.rng.randint(-SKEW, SKEW))
        process.worker = make_worker(
            self.aws,
            Workflows({NAME: self.definition}),
            self.weather.inline_branches,
            wire=self._wire,
            now=lambda: self.aws.clock.at + process.skew,
            new_token=lambda: self._token(process),
            chance=self.rng.random,
            new_threads=lambda: Branches(self),
            sleep=lambda seconds: self.pause(round(seconds * 1000)),
        )
        self.processes.append(process)
        return process

    def _token(self, process: Process) -> str:
        token = f"t{next(self._numbers)}"
        self._claimants[token] = process
        return token

    def _deliver(self) -> bool:
        queue, now = self.aws.queue, self.aws.clock.at
        if not any(message.visible_at <= now for message in queue.messages):
            return False
        groups = list(dict.fromkeys(message.group for message in queue.messages))
        self.rng.shuffle(groups)
        queue.messages.sort(key=lambda message: groups.index(message.group))
        most = self.rng.choice([1, 1, 3, 10])
        answer = self.aws.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=most)
        records = records_of(answer)
        if not records:
            return False
        process = self._process()
        deadline = self.aws.clock.at + self.weather.function_timeout * 1000
        name = f"{process.name}.{next(self._numbers)}"
        for record in records:
            self.say(f"{name}: gets {_shown(record)}")

        def work() -> None:
            context = Invocation(self.aws.clock, deadline)
            try:
                answer = process.worker.handle({"Records": records}, context)
            except Exception as error:  # noqa: BLE001 - Lambda fails the batch for it
                self.problems.append(f"the handler raised {error!r}")
                return
            for record in acknowledged(records, answer):
                self._delete(record)
            process.busy = False
            self.current.sound = True

        process.busy = True
        self.figures["invocations"] += 1
        self.spawn(name, process, work, deadline=deadline, records=records)
        return True

    def _delete(self, record: dict[str, Any]) -> None:
        """The mapping deletes a message; where it dies, the message comes back."""
        self.pause(self._latency())
        if self._strikes(self.weather.dies):
            self.say(
                f"{self.current.name}: the mapping dies before it deletes {record['messageId']}"
            )
            self.figures["deletes lost"] += 1
            return
        there = [m for m in self.aws.queue.messages if m.message_id == record["messageId"]]
        handle = record["receiptHandle"]
        for message in there:
            if message.receipt != handle or message.visible_at <= self.aws.clock.at:
                stale = self._strikes(self.weather.stale_deletes)
                self.say(
                    f"{self.current.name}: deletes {message.message_id} with a stale handle"
                    + (", and it is gone" if stale else "")
                )
                if stale:
                    self.figures["stale deletes"] += 1
                    self.aws.queue.messages.remove(message)
                return
        self.say(f"{self.current.name}: deletes {record['messageId']}")
        self.aws.sqs.delete_message(QueueUrl=self.aws.queue.url, ReceiptHandle=handle)

    def _lapse(self) -> None:
        """A message in flight becomes visible too early: it is delivered twice."""
        held = [m for m in self.aws.queue.messages if m.visible_at > self.aws.clock.at]
        if held:
            message = self.rng.choice(held)
            message.visible_at = self.aws.clock.at
            self.harmed[message.message_id] += 1
            self.figures["duplicates"] += 1
            self.say(f"{message.message_id} can be received a second time")

    def _spawn_sweep(self) -> None:
        process = self._process()
        process.busy = True
        deadline = self.aws.clock.at + self.weather.function_timeout * 1000
        name = f"{process.name}.sweep{next(self._numbers)}"

        def work() -> None:
            try:
                found = process.worker.handle(
                    {"fluxio": "sweep"}, Invocation(self.aws.clock, deadline)
                )
                if found["nudged"]:
                    self.figures["nudged by a sweep"] += found["nudged"]
            except Exception as error:  # noqa: BLE001 - a minute later the next sweep comes
                self.say(f"{name}: the sweep raised {type(error).__name__}")
            process.busy = False

        self.say(f"{name}: begins")
        self.figures["sweeps"] += 1
        self.spawn(name, process, work, deadline=deadline)

    def _spawn_start(self, run_id: str) -> None:
        """A caller starts the run, and again until it hears that it is started, or has given up."""
        process = Process(f"caller-{run_id}", self.rng.randint(-SKEW, SKEW))
        client = make_client(self.aws, self._wire)

        def work() -> None:
            self.pause(self.rng.randint(0, 3_000))
            for _ in range(100):
                try:
                    client.start(NAME, self._input(run_id), run_id=run_id)
                    return
                except Exception as error:  # noqa: BLE001 - whatever start raises, it may be called again
                    self.say(f"{process.name}: start raised {type(error).__name__}")
                except Death:
                    self.say(f"{process.name}: dies, and is begun again")
                    self.figures["deaths"] += 1
                stored = (run_id, "run") in self.aws.table.items
                if stored and self.weather.sweeper and self.rng.random() < 0.5:
                    return  # it does not come back: the sweeper finds the run
                self.pause(1_000)
            self.problems.append(f"start of {run_id} never succeeded")

        self.spawn(process.name, process, work)

    def _spawn_operator(self, run_id: str, does: str) -> None:
        """Somebody cancels a run, or sends it on when it has failed, until it is heard."""
        process = Process(f"operator-{run_id}", self.rng.randint(-SKEW, SKEW))
        client = make_client(self.aws, self._wire)
        self.asked.add((run_id, does))

        def work() -> None:
            self.pause(self.rng.choice([2_000, 30_000, 400_000]))
            for _ in range(100):
                stopped = self.watch.statuses.get(run_id) == "FAILED"
                if does == "redrive" and not stopped and self.rng.random() < 0.8:
                    return
                try:
                    getattr(client, does)(run_id)
                    self.figures[f"{does}s"] += 1
                    return
                except (RunEnded, RunNotFound):
                    return
                except Exception as error:  # noqa: BLE001 - it may be called again
                    self.say(f"{process.name}: {does} raised {type(error).__name__}")
                except Death:
                    self.say(f"{process.name}: dies, and is begun again")
                    self.figures["deaths"] += 1
                self.pause(1_000)
            self.problems.append(f"the {does} of {run_id} never succeeded")

        self.spawn(process.name, process, work)

    def _spawn_signal(self, run_id: str, name: str) -> None:
        """Somebody signals the run, early or late, and again until it is heard."""
        process = Process(
            f"signaller{next(self._numbers)}-{run_id}-{name}", self.rng.randint(-SKEW, SKEW)
        )
        client = make_client(self.aws, self._wire)
        payload = {f"by_{name}": run_id, f"text_{name}": "s" * self.rng.choice([3, 4, 600])}

        def work() -> None:
            self.pause(self.rng.choice([0, 2_000, 30_000, 400_000]))
            for _ in range(100):
                there = (run_id, "run") in self.aws.table.items
                try:
                    if there:
                        client.signal(run_id, name, payload)
                        self.figures["signals"] += 1
                        return
                except (RunEnded, SignalExists):
                    return
                except Exception as error:  # noqa: BLE001 - it may be called again
                    self.say(f"{process.name}: signal raised {type(error).__name__}")
                except Death:
                    self.say(f"{process.name}: dies, and is begun again")
                    self.figures["deaths"] += 1
                    item = self.aws.table.items.get((run_id, "run"), {})
                    if (
                        f"signal:{name}" in item
                        and self.weather.sweeper
                        and self.rng.random() < 0.5
                    ):
                        return  # it does not come back: the sweeper sees to it
                self.pause(1_000 if there else 20_000)
            self.problems.append(f"the signal {name} of {run_id} never succeeded")

        self.spawn(process.name, process, work)

    def _input(self, run_id: str) -> dict[str, Any]:
        return {"of": run_id, "text": "i" * (600 if self.seed % 7 == 0 else 3)}

    # --- what a step does

    def _step(self, plan: StepPlan, ctx: StepContext, given: Mapping[str, Any]) -> dict[str, Any]:
        task, rng = self.current, self.rng
        key = (ctx.run_id, plan.name, ctx.attempt)
        self.executions[key] += 1
        self.say(f"{task.name}: runs {ctx.run_id} {plan.name} attempt {ctx.attempt}")
        if self.executions[key] > 1:
            self.problems.append(f"the code of {key} ran twice")
        for dep in plan.depends_on:
            item = self.aws.table.items[ctx.run_id, "run"]
            committed = item["steps"]["M"][dep]["M"]["attempt"]["N"]
            if given.get(f"by_{dep}") != int(committed):
                self.problems.append(f"{key} was given {given}, but {dep} committed {committed}")
        for signal in plan.awaits:
            if given.get(f"by_{signal}") != ctx.run_id:
                self.problems.append(
                    f"{key} was given {given}, not what the signal {signal} brought"
                )
        if given["of"] != ctx.run_id:
            self.problems.append(f"{key} was given another run's input")
        lasts = rng.choice([0, 1, 50, 800])
        if rng.random() < plan.overruns:
            lasts = self.watch.timeouts[NAME, plan.name] + rng.choice([100, 5_000, 20_000])
        began, timeout = self.aws.clock.at, self.watch.timeouts[NAME, plan.name]
        if self.storm and rng.random() < self.weather.dies:
            self.pause(min(lasts, timeout) // 2)
            raise Death
        if self._strikes(self.weather.stalls):
            lasts = self._stall(self.rng.choice([15_000, 45_000]))
        if lasts >= timeout:
            self.ends[key] = "overran"  # in a thread, the worker does not wait for it any longer
        if task.alarm is not None and self.aws.clock.at + lasts > task.alarm:
            self.pause(max(0, task.alarm - self.aws.clock.at))
            self.ends[key] = "overran"
            raise StepTimeout
        self.pause(lasts)
        if self.aws.clock.at - began >= timeout:
            self.ends[key] = "overran"
        elif ctx.attempt in plan.raises:
            self.ends[key] = "raised"
        else:
            self.ends[key] = "returned"
        if ctx.attempt in plan.raises:
            raise RuntimeError(f"planned for attempt {ctx.attempt}")
        if plan.transacts:
            ctx.transact(_count(ctx.run_id, plan.name))
        output: dict[str, Any] = {f"by_{plan.name}": ctx.attempt}
        return output | ({f"text_{plan.name}": "o" * 600} if plan.long else {})

    # --- what goes wrong

    def _strikes(self, share: float) -> bool:
        struck = self.storm and share > 0 and self.rng.random() < share
        if struck and self.current is not None:
            self.current.struck = True
        return struck

    def _latency(self) -> int:
        if self._strikes(self.weather.stalls):
            return self._stall(self.rng.choice([15_000, 25_000, 45_000, 70_000, 200_000]))
        if self._strikes(self.weather.slow):
            return self.rng.randint(500, 6_000)
        return self.rng.randint(1, 20)

    def _stall(self, lasts: int) -> int:
        """Long enough for a lease to end; and its messages may come to somebody else meanwhile."""
        self.figures["stalls"] += 1
        self.say(f"{self.current.name}: stands still for {lasts // 1000} s")
        held = {record["messageId"] for record in self.current.records}
        for message in self.aws.queue.messages:
            if message.message_id in held and self.rng.random() < self.weather.handed_on:
                until = self.aws.clock.at + self.rng.randint(0, lasts)
                message.visible_at = min(message.visible_at, until)
                self.harmed[message.message_id] += 1
                self.figures["duplicates"] += 1
        self.current.still_until = self.aws.clock.at + lasts
        return lasts

    def _comes_back(self, token: str) -> None:
        """Whoever was taken over while it stood still comes back at the worst time: right now."""
        process, now = self._claimants.get(token), self.aws.clock.at
        if process is None or self.rng.random() >= self.weather.comes_back:
            return
        for task in process.tasks:
            if now < task.ready_at <= task.still_until:
                task.ready_at = now + self.rng.randint(1, self.rng.choice([5, 50, 500]))
                self.figures["back too late"] += 1
                self.say(f"{task.name}: comes back when its step has just been taken over")

    def _wire(self, call: Call) -> dict[str, Any]:
        name, weather = self.current.name, self.weather
        self.figures["calls"] += 1
        self.current.calls += 1
        if self.current.calls == MANY_CALLS:
            self.problems.append(f"{name} goes round in a circle: {MANY_CALLS} calls and no end")
        self.pause(self._latency())
        if self._strikes(weather.dies):
            self.say(f"{name}: {call} - dies before it")
            raise Death
        if self._strikes(weather.throttled):
            self.figures["throttled"] += 1
            raise self._throttled(name, call)
        if call.operation == "send_message_batch" and self._strikes(weather.halves):
            return self._half(name, call)
        twice = self._strikes(weather.twice)
        if call.operation not in READS and self._strikes(weather.late):
            self._spawn_copy(call)
        try:
            answer = call.land()
        except ClientError as error:
            if self._tell is not None:
                code = error.response["Error"]["Code"]
                self.say(f"{name}: {call} {_asked(call)} - refused: {code}")
            if not twice:
                raise
        else:
            if self._tell is not None:
                self.say(f"{name}: {call} {_asked(call)}")
        if self._strikes(weather.dies):
            self.say(f"{name}: {call} - dies after it")
            raise Death
        if self._strikes(weather.unanswered):
            self.figures["unanswered"] += 1
            self.say(f"{name}: {call} - no answer, and the SDK gives up")
            raise ReadTimeoutError(endpoint_url="https://aws")
        if twice:
            self.figures["answers lost"] += 1
            self.pause(self._latency())
            self.say(f"{name}: {call} - no answer, and the SDK sends it again")
            answer = call.land()
        if self.storm:
            self.pause(self._latency())
        return answer

    def _spawn_copy(self, call: Call) -> None:
        """The SDK lost patience with a request that was only slow: it lands, too, and perhaps much later."""
        late = self.rng.randint(1, self.rng.choice([20, 200, 3_000, 60_000]))
        name = f"{self.current.name}'s copy"

        def work() -> None:
            self.pause(late)
            try:
                call.land()
                what = "lands"
            except ClientError as error:
                what = f"is refused: {error.response['Error']['Code']}"
            self.say(f"{name}: {call} {_asked(call)} {what}, late")

        self.figures["late copies"] += 1
        self.spawn(name, Process("the network", 0), work)

    def _throttled(self, name: str, call: Call) -> Exception:
        kind = self.rng.random()
        self.say(f"{name}: {call} - not taken")
        if kind < 0.3:
            return ConnectTimeoutError(endpoint_url="https://aws")
        if call.service == "sqs":
            return call.error("RequestThrottled")
        if call.operation == "transact_write_items":
            reasons = [{"Code": "TransactionConflict"} for _ in call.arguments["TransactItems"]]
            return call.error("TransactionCanceledException", CancellationReasons=reasons)
        if call.operation == "update_item" and kind < 0.6:
            return call.error("TransactionConflictException")
        return call.error("ThrottlingException")

    def _half(self, name: str, call: Call) -> dict[str, Any]:
        """SQS takes some entries of a batch, and says so; or it takes one and says that it did not."""
        self.figures["half-sent batches"] += 1
        entries = call.arguments["Entries"]
        refused = [entry for entry in entries if self.rng.random() < 0.5]
        landed = [entry for entry in entries if entry not in refused or self.rng.random() < 0.2]
        if landed:
            queue_url = call.arguments["QueueUrl"]
            self.aws.sqs.send_message_batch(QueueUrl=queue_url, Entries=landed)
        self.say(
            f"{name}: {call} {_asked(call)} - of {len(entries)} it says {len(refused)} are refused"
        )
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in refused
        ]
        taken = [{"Id": e["Id"], "MessageId": "?"} for e in entries if e not in refused]
        return {"Successful": taken, "Failed": failed}

    # --- what must be

    def _judge(self) -> None:
        self.problems += self.watch.violations
        if self.problems:
            return
        client = make_client(self.aws)
        for run_id in self.run_ids:
            run = client.get(run_id)
            if run.status == "FAILED":
                self.figures["runs failed"] += 1
                self.problems += self._undue_failure(run)
            elif run.status == "CANCELLED" and (run_id, "cancel") in self.asked:
                self.figures["runs cancelled"] += 1
            elif run.status != "SUCCEEDED":
                self.problems.append(f"{run_id} is {run.status}: {run.error}")
            for name, found in run.steps.items():
                if found.status != "SUCCEEDED":
                    continue
                if self.watch.commits[run_id, name] != 1:
                    times = self.watch.commits[run_id, name]
                    self.problems.append(f"{run_id} {name} was committed {times} times")
                if found.output.get(f"by_{name}") != found.attempt:
                    self.problems.append(f"{run_id} {name}: attempt {found.attempt} of {found}")
            self.problems += self._wrong_result(run)
            self.problems += self._wrong_ledger(run)
        for message in self.aws.dead_letters.messages:
            self.figures["dead letters"] += 1
            if self.harmed[message.message_id] < HARM:
                self.problems.append(f"a dead letter, received in health: {message}")

    def _undue_failure(self, run: Any) -> Iterator[str]:
        """Why a run must not have failed: nobody used its attempts up, nor its time."""
        if run.error.type == "RunTimeout":
            timeout = self.weather.timeout
            if timeout is None or run.duration < timeout - 2 * SKEW / 1000:
                yield f"{run.run_id} failed for its time after {run.duration} of {timeout} s"
            return
        found = run.steps.get(run.error.step)
        if found is None or found.status != "FAILED":
            yield f"{run.run_id} failed for a step that did not: {run.error}"
            return
        attempts = self.plans[found.name].retry.max + 1
        had = found.attempt - found.redriven_at
        key = (run.run_id, found.name, found.attempt)
        if found.error.type == "WorkerLost":
            if had < max(attempts, ATTEMPTS_UNDER_CRASHES):
                yield f"{key} was given up too early"
        elif had < attempts or self.ends.get(key) not in ("raised", "overran"):
            yield f"{key} failed of {attempts} attempts: {self.ends.get(key)}, {found.error}"

    def _wrong_result(self, run: Any) -> Iterator[str]:
        if run.status != "SUCCEEDED":
            return
        leaves = self.definition.graph.leaves
        outputs = {name: run.steps[name].output for name in leaves}
        expected = outputs if len(leaves) > 1 else outputs[leaves[0]]
        if run.result != expected:
            yield f"{run.run_id} has the result {run.result} instead of {expected}"

    def _wrong_ledger(self, run: Any) -> Iterator[str]:
        for plan in self.plans.values():
            if plan.transacts and plan.name in run.steps:
                item = self.aws.ledger.items.get((run.run_id, plan.name), {})
                counted = int(item.get("times", {"N": "0"})["N"])
                if counted != self.watch.commits[run.run_id, plan.name]:
                    yield f"{run.run_id} {plan.name} took effect {counted} times"

    def __str__(self) -> str:
        lines: list[str] = []
        again = Schedule(self.seed, lines.append, self._strict).run()
        problems = self.problems or again.problems
        return "\n".join(
            [
                f"seed {self.seed}: {'; '.join(problems) or 'no violation'}",
                str(self.weather),
                *map(str, self.plans.values()),
                *lines,
            ]
        )


ENDED = ("SUCCEEDED", "FAILED", "CANCELLED")
#: Calls that change nothing.
READS = ("get_item", "query")


def _count(run_id: str, name: str) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": Aws.LEDGER,
            "Key": {"pk": {"S": run_id}, "sk": {"S": name}},
            "UpdateExpression": "ADD times :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }


def _shown(record: dict[str, Any]) -> str:
    received = record["attributes"]["ApproximateReceiveCount"]
    return f"{record['messageId']} (time {received}) {record['body']}"


def _asked(call: Call) -> str:
    """What a call is about, in a few words."""
    arguments = call.arguments
    if call.operation == "send_message_batch":
        return "; ".join(entry["MessageDeduplicationId"] for entry in arguments["Entries"])
    if call.operation in ("receive_message", "delete_message", "change_message_visibility"):
        return f"{arguments['ReceiptHandle']} {arguments.get('VisibilityTimeout', '')}"
    if call.operation == "transact_write_items":
        return " + ".join(
            f"{kind} {_filled(each.get('UpdateExpression', ''), each)}"
            for entry in arguments["TransactItems"]
            for kind, each in entry.items()
        )
    if call.operation == "query":
        return f"{arguments.get('IndexName', '')} {arguments['ExpressionAttributeValues']}"
    key = arguments.get("Key") or {n: arguments["Item"][n] for n in ("pk", "sk")}
    at = "/".join(part["S"] for part in key.values())
    condition = _filled(arguments.get("ConditionExpression", ""), arguments)
    update = _filled(arguments.get("UpdateExpression", ""), arguments)
    return f"{at} {update}" + (f" IF {condition}" if condition else "")


def _filled(expression: str, arguments: dict[str, Any]) -> str:
    for alias, name in sorted(arguments.get("ExpressionAttributeNames", {}).items(), reverse=True):
        expression = expression.replace(alias, name)
    values = arguments.get("ExpressionAttributeValues", {})
    for alias, value in sorted(values.items(), key=lambda entry: (-len(entry[0]), entry[0])):
        ((_, content),) = value.items()
        expression = expression.replace(alias, content if isinstance(content, str) else "{…}")
    return expression


@contextmanager
def _virtual_alarm(schedule: Schedule) -> Iterator[None]:
    """SIGALRM by the stand-in's clock: a step that sleeps beyond its timeout is interrupted there."""

    @contextmanager
    def alarm(seconds: float | None) -> Iterator[None]:
        if seconds is None:
            yield
            return
        task = schedule.current
        task.alarm = schedule.aws.clock.at + round(seconds * 1000)
        try:
            yield
        finally:
            task.alarm = None

    before = fluxio.attempt._alarm
    fluxio.attempt._alarm = alarm
    try:
        yield
    finally:
        fluxio.attempt._alarm = before


def run_many(seeds: range, each: Callable[[Schedule], None] | None = None) -> Counter[str]:
    """Run schedules and add up their figures."""
    figures: Counter[str] = Counter()
    for seed in seeds:
        schedule = Schedule(seed).run()
        figures.update(schedule.figures)
        figures["violations"] += bool(schedule.problems)
        if each is not None:
            each(schedule)
    return figures


def summary(figures: Counter[str], seconds: float) -> str:
    """The figures of many schedules, in words."""
    named = (
        "deaths", "invocations timed out", "takeovers", "duplicates", "answers lost", "unanswered",
        "throttled", "late copies", "half-sent batches", "deletes lost", "stale deletes",
        "back too late", "runs failed",
        "cancels", "redrives", "signals", "dead letters",
        "saved by the sweeper",
    )  # fmt: skip
    parts = [f"{figures[name]:,} {name}" for name in named]
    return (
        f"{figures['schedules']:,} random schedules ({figures['schedules'] / seconds:.0f}/s), "
        f"{figures['calls']:,} calls, {figures['needed the sweeper']:,} schedules swept, "
        f"{', '.join(parts)}: {figures['violations']} violations"
    )


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.schedules")
    parser.add_argument("--seed", type=int, help="print this schedule, step by step")
    parser.add_argument("--count", type=int, default=1000, help="run so many")
    parser.add_argument("--first", type=int, default=0, help="from this seed on")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        schedule = Schedule(options.seed).run()
        print(schedule)  # noqa: T201
        return bool(schedule.problems)
    violations = 0
    figures: Counter[str] = Counter()
    began = time.monotonic()
    for first in range(options.first, options.first + options.count, 1000):
        seeds = range(first, min(first + 1000, options.first + options.count))

        def tell(schedule: Schedule) -> None:
            if schedule.problems:
                print(f"seed {schedule.seed}: {'; '.join(schedule.problems)}", flush=True)  # noqa: T201

        figures.update(run_many(seeds, tell))
        violations = figures["violations"]
        print(summary(figures, time.monotonic() - began), flush=True)  # noqa: T201
    return violations > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
