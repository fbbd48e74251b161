"""One random schedule: workers, callers and sweeps interleaved at every AWS call, from `start` to rest."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Mapping
from typing import Any

from fluxio.testing.aws import Aws
from fluxio.testing.platform import (
    Invocation,
    acknowledged,
    logging_to,
    make_worker,
    records_of,
)
from tests.simulation.layouts import layout_of
from tests.simulation.schedules.actors import SKEW, Actors
from tests.simulation.schedules.drawing import (
    NAME,
    draw_failures,
    draw_haste,
    draw_poison,
    draw_signals,
    draw_starts,
    draw_steps,
    draw_weather,
)
from tests.simulation.schedules.faults import Faults
from tests.simulation.schedules.hub import Branches, Hub, Process, virtual_alarm
from tests.simulation.schedules.judgement import judge, lost_innocently
from tests.simulation.schedules.language import Extra, draw_language
from tests.simulation.schedules.rollout import Code, Rollout, draw_rollout
from tests.simulation.schedules.steps import Steps
from tests.simulation.schedules.transcript import shown
from tests.simulation.watch import Watch

MINUTE = 60_000
#: Milliseconds after the storm within which everything must have come to its end.
PATIENCE = 8 * 3600 * 1000
#: Turns after which a schedule counts as one that goes on for ever.
TURNS = 30_000
#: Where a run may be when nothing goes on any more.
AT_REST = ("SUCCEEDED", "FAILED", "CANCELLED", "WAITING")


class Schedule:
    """One random schedule, from `start` to the end of everything.

    Args:
        seed: decides everything.
        tell: is handed each thing that happens, as a line; None: nobody reads it.
        strict: the sweeper does not come where the seed says that there is none.
    """

    def __init__(
        self, seed: int, tell: Callable[[str], None] | None = None, strict: bool = False
    ) -> None:
        self.seed = seed
        self._strict = strict
        rng = self.rng = random.Random(seed)
        weather = draw_weather(rng)
        body = lambda *given: self.steps.run(*given)  # noqa: E731
        plans = draw_signals(seed, draw_steps(rng, weather))
        haste = draw_haste(seed, weather)
        poison = None if haste else draw_poison(seed, weather, plans)
        if haste:
            plans = draw_failures(seed, plans)
        if poison:
            weather, plans = poison
        self.extras: Mapping[str, Extra] = {}
        if not poison:
            plans, self.extras = draw_language(seed, weather, plans)
        plans = draw_starts(seed, plans)
        self.weather = weather
        self.poison = [plan.name for plan in plans if plan.kills]
        self.haste = haste
        self.aws = Aws(weather.function_timeout)
        self.aws.dynamodb.lag = weather.lag
        if not weather.sweeper:
            self.aws.queue.max_receive_count = 10_000  # nobody would find what is there
        self.plans = {plan.name: plan for plan in plans}
        self.rollout: Rollout | None = None
        if not (haste or poison or self.extras):
            self.rollout = draw_rollout(seed, self.plans, weather.timeout, body, self.aws.clock.at)
        if self.rollout:
            self.codes = [self.rollout.old, self.rollout.new]
            self.plans = self.rollout.old.plans | self.rollout.new.plans
        else:
            self.codes = [Code.of(self.plans, weather.timeout, body, NAME, extras=self.extras)]
        definitions = [one for code in self.codes for one in code.definitions.values()]
        self.watch = Watch(self.aws, definitions, SKEW)
        self.watch.on_status.append(self._sees)
        self.hub = Hub(self.aws, rng, tell)
        self.faults = Faults(self.hub, weather)
        self.watch.on_takeover = self.faults.comes_back
        self.actors = Actors(self.hub, self.faults, weather, self.watch)
        self.actors.hurry(haste)
        self.steps = Steps(self.hub, self.faults, weather, self.watch, self.extras)
        self.run_ids = [f"r{number}" for number in range(weather.runs)]
        self.problems = self.hub.problems
        self.figures = self.hub.figures
        self.sweeper = weather.sweeper
        self._next_sweep = self.aws.clock.at + MINUTE

    @property
    def kind(self) -> str:
        """What it tries besides the weather: what a rollout changes, or "poison", or "haste"."""
        if self.rollout:
            return self.rollout.kind
        if self.poison:
            return "poison"
        return "language" if self.extras else "haste" if self.haste else ""

    def run(self) -> Schedule:
        """Begin, and go on until everything has come to its end or a promise is broken."""
        with logging_to(self._log), virtual_alarm(self.hub), layout_of(self.seed):
            try:
                self._begin()
                self._go_round()
            finally:
                self.hub.kill_all()
        self.problems += self.watch.violations
        if not self.problems:
            self.problems += judge(self)
        self.figures["schedules"] += 1
        self.figures["rollouts"] += self.rollout is not None
        self.figures["with the language"] += bool(self.extras)
        for what in ("skips", "lapses", "rounds"):
            self.figures[what] += sum(getattr(self.watch, what).values())
        self.figures["poisoned"] += bool(self.poison)
        self.figures["takeovers"] += self.watch.takeovers
        self.figures["archives"] += self.watch.archives
        self.figures["with a takeover"] += self.watch.takeovers > 0
        self.figures["needed the sweeper"] += self.figures["nudged by a sweep"] > 0
        return self

    def _begin(self) -> None:
        rng, weather = self.rng, self.weather
        for run_id in self.run_ids:
            given = {"of": run_id, "text": "i" * (600 if self.seed % 7 == 0 else 3)}
            self.actors.start(run_id, self._workflow(run_id), given)
            if rng.random() < weather.cancels:
                self.actors.operate(run_id, "cancel")
            if rng.random() < weather.redrives:
                self.actors.operate(run_id, "redrive")
            for name in (signal for plan in self.plans.values() for signal in plan.awaits):
                self.actors.signal(run_id, name)
                if rng.random() < 0.3:
                    self.actors.signal(run_id, name)  # with another payload: one of them stands

    def _workflow(self, run_id: str) -> str:
        names = list(self.codes[-1].definitions)
        return names[self.run_ids.index(run_id) % len(names) - 1]

    def _sees(self, run_id: str, status: str) -> None:
        if run_id not in self.run_ids:
            self.run_ids.append(run_id)
            self.figures["runs started by steps"] += 1
        if self.rollout:
            run = self.watch.run(run_id)
            self.problems += self.rollout.wrong(run_id, run, self.aws.clock.at)

    def _go_round(self) -> None:
        hub, weather, rng, clock = self.hub, self.weather, self.rng, self.aws.clock
        over_at = hub.begin
        for turn in range(TURNS):
            if hub.storm and self.figures["calls"] >= weather.storm:
                hub.storm, over_at = False, clock.at
                hub.say("--- the storm is over")
            if self.problems or self.watch.violations:
                return
            if self._quiet():
                if not self._mend():
                    return
                over_at = clock.at
            if not (self.sweeper or hub.tasks or self.aws.queue.messages or self._strict):
                # Messages alone did not do: a deadline passed while all waited for signals, or three
                # deliveries of one message and a lost answer met. That is what the sweeper is there for.
                hub.say("--- the sweeper comes, after all")
                self.figures["saved by the sweeper"] += 1
                self.sweeper, self._next_sweep, over_at = True, clock.at, clock.at
            if not hub.storm and clock.at > over_at + PATIENCE:
                self.problems.append("something never came to its end")
                return
            if hub.storm and turn and rng.random() < weather.lapses:
                self.faults.lapse()
            if hub.storm and rng.random() < weather.sweeps:
                self._sweep()
            self._turn()
        self.problems.append(f"still at it after {TURNS} turns")

    def _turn(self) -> None:
        hub, clock, rng = self.hub, self.aws.clock, self.rng
        busy = 0
        ready = []
        for task in hub.tasks:
            if task.deadline is not None:
                busy += 1
                if task.deadline <= clock.at:
                    hub.say(f"{task.name}: Lambda ends it at its timeout")
                    self.figures["invocations timed out"] += 1
                    hub.kill(task.process)
                    return
            if task.ready_at <= clock.at:
                ready.append(task)
        room = busy < self.weather.workers
        if room and (not ready or rng.random() < 0.3) and self._deliver():
            return
        if ready:
            hub.resume(rng.choice(ready))
            return
        times = [task.ready_at for task in hub.tasks]
        times += [task.deadline for task in hub.tasks if task.deadline is not None]
        if room:
            times += [m.visible_at for m in self.aws.queue.messages if m.visible_at > clock.at]
        if self.sweeper:
            times.append(self._next_sweep)
        clock.at = max(clock.at, min(times, default=clock.at + MINUTE))
        if self.sweeper and clock.at >= self._next_sweep:
            self._next_sweep += MINUTE
            if self._due() or rng.random() < 0.02:
                self._sweep()

    def _quiet(self) -> bool:
        return (
            not self.hub.tasks
            and not self.aws.queue.messages
            and all(self.watch.statuses.get(run_id) in AT_REST for run_id in self.run_ids)
        )

    def _mend(self) -> bool:
        """What kept runs from going on is mended, and they are redriven; False if there is nothing to mend."""
        runs = {run_id: self.watch.run(run_id) for run_id in self.run_ids}
        stopped = []
        if self.rollout:
            stays = self.rollout.stays
            (other,) = {self.rollout.old, self.rollout.new} - {stays}
            stopped = [
                run_id
                for run_id, run in runs.items()
                if run["status"] in ("WAITING", "FAILED")
                and json.loads(run["error"])["type"] in ("DeploymentError", "UnknownWorkflow")
                and stays.lacks(run)
            ]
            self.rollout.stays = other if stopped else stays
        elif self.poison and not self.steps.mended:
            stopped = [run_id for run_id, run in runs.items() if run["status"] == "FAILED"]
            self.problems += lost_innocently(self, stopped)
            self.steps.mended = True
        for run_id in stopped:
            self.hub.say(f"--- {run_id} is redriven, with code that can go on with it")
            self.figures["mended"] += 1
            self.actors.redrive(run_id)
        return bool(stopped)

    def _due(self) -> bool:
        # A sweep that finds nothing does nothing; only now and then is one made all the same.
        horizon = self.aws.clock.at + SKEW
        return any(
            "wake_at" in item and int(item["wake_at"]["N"]) <= horizon
            for item in self.aws.table.items.values()
        )

    def _log(self, line: dict[str, Any]) -> None:
        task = self.hub.current
        if task is None:
            return  # a process that was killed logs what its frames do on their way out
        self.watch.hear(line, task, task.deadline)
        if self.hub.tells and "level" in line and line["message"] != "message handled":
            hidden = ("level", "message", "frames")
            said = " ".join(f"{name}={part}" for name, part in line.items() if name not in hidden)
            self.hub.say(f"{task.name}:     log {line['level']} {line['message']} {said}")

    # --- invocations

    def _process(self) -> Process:
        codes = self.rollout.current(self.aws.clock.at) if self.rollout else self.codes
        code = codes[0] if len(codes) == 1 else self.rng.choice(codes)
        idle = [one for one in self.hub.processes if not one.busy and one.code is code]
        if idle and self.rng.random() < 0.9:
            return self.rng.choice(idle)
        number = next(self.hub.numbers)
        process = Process(f"p{number}", self.rng.randint(-SKEW, SKEW))
        process.code = code
        process.worker = make_worker(
            self.aws,
            process.code.workflows,
            self.weather.inline_branches,
            wire=self.faults.wire,
            now=lambda: self.aws.clock.at + process.skew,
            new_token=lambda: self._token(process),
            chance=self.rng.random,
            new_threads=lambda: Branches(self.hub),
            sleep=lambda seconds: self.hub.pause(round(seconds * 1000)),
        )
        self.hub.processes.append(process)
        return process

    def _token(self, process: Process) -> str:
        token = f"t{next(self.hub.numbers)}"
        self.faults.claimants[token] = process
        return token

    def _deliver(self) -> bool:
        """The mapping invokes the worker with the next messages, if there are any."""
        queue, now, hub = self.aws.queue, self.aws.clock.at, self.hub
        if not any(message.visible_at <= now for message in queue.messages):
            return False
        groups = list(dict.fromkeys(message.group for message in queue.messages))
        self.rng.shuffle(groups)
        queue.messages.sort(key=lambda message: groups.index(message.group))
        # In a batch a step that kills takes the messages behind its own along; the module sets a size of 1.
        most = 1 if self.poison else self.rng.choice([1, 1, 3, 10])
        answer = self.aws.sqs.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=most)
        records = records_of(answer)
        if not records:
            return False
        process = self._process()
        deadline = self.aws.clock.at + self.weather.function_timeout * 1000
        name = f"{process.name}.{next(hub.numbers)}"
        for record in records:
            hub.say(f"{name}: gets {shown(record)}")

        def work() -> None:
            context = Invocation(self.aws.clock, deadline)
            try:
                answer = process.worker.handle({"Records": records}, context)
            except Exception as error:  # noqa: BLE001 - Lambda fails the batch for it
                self.problems.append(f"the handler raised {error!r}")
                return
            for record in acknowledged(records, answer):
                self.faults.delete(record)
            process.busy = False
            hub.current.sound = True

        process.busy = True
        self.figures["invocations"] += 1
        hub.spawn(name, process, work, deadline=deadline, records=records)
        return True

    def _sweep(self) -> None:
        process = self._process()
        process.busy = True
        deadline = self.aws.clock.at + self.weather.function_timeout * 1000
        name = f"{process.name}.sweep{next(self.hub.numbers)}"

        def work() -> None:
            try:
                found = process.worker.handle(
                    {"fluxio": "sweep"}, Invocation(self.aws.clock, deadline)
                )
                if found["nudged"]:
                    self.figures["nudged by a sweep"] += found["nudged"]
            except Exception as error:  # noqa: BLE001 - a minute later the next sweep comes
                self.hub.say(f"{name}: the sweep raised {type(error).__name__}")
            process.busy = False

        self.hub.say(f"{name}: begins")
        self.figures["sweeps"] += 1
        self.hub.spawn(name, process, work, deadline=deadline)

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
