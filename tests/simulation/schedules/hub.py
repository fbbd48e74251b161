"""Greenlets under way: each gives way at every call it makes, and the hub resumes one whose time has come."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import greenlet

import fluxio.attempt
from fluxio.alarm import Alarm
from fluxio.attempt import Attempt, Returned
from fluxio.hand import Failed
from fluxio.testing.aws import Aws
from fluxio.testing.death import Death, stands_for_death

#: What greenlets of a process that has died are ended with, also in the middle of a step.
stands_for_death(greenlet.GreenletExit)


@dataclass(eq=False)
class Process:
    """A process: a Lambda environment, or a caller of `start`. Its tasks die with it."""

    name: str
    skew: int
    worker: Any = None
    #: The code it has loaded.
    code: Any = None
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
    #: The invocation that a thread belongs to.
    parent: Task | None = None
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


class Hub:
    """The tasks of one schedule, and what all parts of it share.

    Args:
        aws: the stand-in, whose clock is the true time.
        rng: makes every choice of the schedule.
        tell: is handed each thing that happens, as a line; None: nobody reads it.
    """

    def __init__(self, aws: Aws, rng: random.Random, tell: Callable[[str], None] | None) -> None:
        self.aws = aws
        self.rng = rng
        self.clock = aws.clock
        self.tells = tell is not None
        self.tasks: list[Task] = []
        self.processes: list[Process] = []
        self.problems: list[str] = []
        self.figures: Counter[str] = Counter()
        #: Whether faults strike.
        self.storm = True
        #: How often a message was received by somebody who was then struck by something.
        self.harmed: Counter[str] = Counter()
        self.current: Any = None
        self.numbers = count(1)
        self.begin = aws.clock.at
        self._tell = tell
        self._hub = greenlet.getcurrent()

    def say(self, line: str) -> None:
        if self._tell is not None:
            self._tell(f"{(self.clock.at - self.begin) / 1000:10.3f}  {line}")

    # --- the hub's side

    def resume(self, task: Task) -> None:
        self.current = task
        task.greenlet.switch()
        self.current = None
        if task.greenlet.dead and task in self.tasks:
            self._forget(task)

    def kill(self, process: Process) -> None:
        """The process is gone: its tasks end where they are, and it is not used again."""
        self._bury(process, None)

    def kill_all(self) -> None:
        for task in list(self.tasks):
            self.kill(task.process)

    def _bury(self, process: Process, last: Task | None) -> None:
        if process in self.processes:
            self.processes.remove(process)
        for task in list(process.tasks):
            if task is not last:
                self._end(task)

    def _end(self, task: Task) -> None:
        self._forget(task)
        if task.greenlet.dead:
            return
        task.greenlet.parent = greenlet.getcurrent()
        task.greenlet.throw(greenlet.GreenletExit)
        if not task.greenlet.dead:
            self.problems.append(f"{task.name} goes on when its process is dead")

    def _forget(self, task: Task) -> None:
        self.tasks.remove(task)
        task.process.tasks.remove(task)
        if task.struck or not task.sound:
            self.harmed.update(record["messageId"] for record in task.records)

    # --- the tasks' side

    def spawn(self, name: str, process: Process, work: Callable[[], None], **more: Any) -> Task:
        """Put something under way; it begins when it is its turn."""
        doomed: list[Process] = []

        def run() -> None:
            try:
                work()
            except Death:
                self.figures["deaths"] += 1
                self.say(f"{name}: dies")
                # The others of the process die when this one has left its own frames.
                doomed.append(process)

        def whole() -> None:
            run()
            for each in doomed:
                each.busy = False
                self._bury(each, task)

        task = Task(name, process, greenlet.greenlet(whole, self._hub), self.clock.at, **more)
        self.tasks.append(task)
        process.tasks.append(task)
        return task

    def pause(self, milliseconds: int) -> None:
        """The task that runs gives way for so long."""
        self.current.ready_at = self.clock.at + milliseconds
        task = self.current
        self._hub.switch()
        self.current = task


class Branches:
    """Stands in for `fluxio.attempt.Threads`: a branch is a task of its own."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._parent = hub.current
        self._ended: list[tuple[Attempt, Returned | Failed]] = []
        self._running: dict[str, Attempt] = {}

    def start(self, attempt: Attempt) -> None:
        name = attempt.context.step
        self._running[name] = attempt

        def work() -> None:
            outcome = attempt.run(interrupt=False)
            self._ended.append((attempt, outcome))
            if self._parent.waits:
                self._parent.ready_at = self._hub.clock.at

        parent = self._parent
        self._hub.spawn(f"{parent.name}/{name}", parent.process, work, parent=parent)

    def wait(self, seconds: float) -> list[tuple[Attempt, Returned | Failed]]:
        if not self._ended:
            self._parent.waits = True
            self._hub.pause(max(1, round(seconds * 1000)))
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


@contextmanager
def virtual_alarm(hub: Hub) -> Iterator[None]:
    """SIGALRM by the stand-in's clock: a step that sleeps beyond its timeout is interrupted there."""

    @contextmanager
    def alarm(seconds: float | None) -> Iterator[Alarm]:
        if seconds is None:
            yield Alarm(None)
            return
        task = hub.current
        task.alarm = hub.clock.at + round(seconds * 1000)
        try:
            yield Alarm(None)
        finally:
            task.alarm = None

    before = fluxio.attempt._alarm
    fluxio.attempt._alarm = alarm
    try:
        yield
    finally:
        fluxio.attempt._alarm = before
