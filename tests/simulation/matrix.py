"""The crash matrix: a case is a workflow and what goes wrong at which of its calls.

A case without faults tells how many calls there are, by the caller of `start`, the workers, the event source
mapping (its deletes) and the sweeper alike. Then each call in turn goes wrong in each way, and time passes
until everything is quiet; whatever went wrong, the run must have ended with the right result.

The sweeper is off, but for the cases that are about it: what a worker leaves undone when it dies comes back by
its message, and must not depend on the sweeper.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from fluxio.definition import definition_of
from fluxio.testing.aws import Aws
from fluxio.testing.death import Death
from fluxio.testing.faults import FAULTS, ON_MESSAGES, Faults, Made
from fluxio.testing.function import Function
from fluxio.testing.platform import Workflows, logging_to, make_client
from tests.simulation.cases import ANY, Case
from tests.simulation.watch import Watch

#: Milliseconds after which a case counts as one that never ends.
PATIENCE = 4 * 3600 * 1000
MINUTE = 60_000
RUN_ID = "run-1"


@dataclass
class Trial:
    """One case of the matrix, from start to quiet.

    Args:
        case: the workflow.
        faults: the way a call goes wrong, by the number of the call.
    """

    case: Case
    faults: dict[int, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    #: What `start` raised.
    refused: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.workflows = Workflows.of(self.case.cls, *self.case.others)
        definition = definition_of(self.case.cls)
        assert definition is not None
        self.definition = definition
        self.aws = Aws()
        self.watch = Watch(self.aws, [*self.workflows.known.values()])
        self._function = Function(
            self.aws,
            self.workflows,
            inline_branches=self.case.inline_branches,
            batch_size=self.case.batch_size,
            together=self.case.together,
        )
        self._wire = Faults(self._function, self.faults)
        self._function.wire = self._wire.wire
        self._next_sweep = self.aws.clock.at + MINUTE
        self._signals = list(self.case.signals)

    @property
    def calls(self) -> list[Made]:
        """Those made so far."""
        return self._wire.calls

    def run(self) -> Trial:
        with logging_to(self._hear):
            self._start()
            if (RUN_ID, "run") in self.aws.table.items:
                while self.case.early and self._signals:
                    self._signal()
                self._settle()
        self._judge()
        return self

    def _hear(self, line: dict[str, Any]) -> None:
        under_way = self._function.invocations
        invocation = under_way[-1] if under_way else None
        self.watch.hear(line, invocation, invocation.ends if invocation else None)

    # --- what goes on

    def _start(self) -> None:
        for _ in range(6):
            client = make_client(self.aws, self._wire.wire)
            try:
                client.start(self.case.cls.__name__, self.case.input, run_id=RUN_ID)
                return
            except Death:
                pass
            except Exception as error:  # noqa: BLE001 - whatever start raises, it may be called again
                self.refused.append(repr(error))
            if not self.case.start_again and (RUN_ID, "run") in self.aws.table.items:
                return
        self.problems.append("start never succeeded")

    def _signal(self) -> None:
        """Somebody sends the next signal, and again until it is heard that it has arrived."""
        name, payload = self._signals.pop(0)
        for _ in range(6):
            try:
                make_client(self.aws, self._wire.wire).signal(RUN_ID, name, payload)
                return
            except (Death, Exception):  # noqa: BLE001 - whatever it raises, it may be called again
                continue
        self.problems.append(f"the signal {name} never succeeded")

    def _settle(self) -> None:
        """Deliver, let time pass and sweep, until the run has ended and no message is left."""
        aws, clock = self.aws, self.aws.clock
        until = clock.at + PATIENCE
        while clock.at < until and not self._wire.endless:
            if self._function.deliver():
                continue
            if not aws.queue.messages and set(self.watch.statuses.values()) <= {*ENDED}:
                return
            if not aws.queue.messages and self._signals:
                self._signal()
                continue
            later = [m.visible_at for m in aws.queue.messages if m.visible_at > clock.at]
            clock.at = max(clock.at + 1, min([self._next_sweep, *later]))
            if clock.at >= self._next_sweep:
                self._next_sweep += MINUTE
                if self.case.sweeps:
                    self._sweep()
        self.problems.append("it never came to rest")

    def _sweep(self) -> None:
        wake = [int(i["wake_at"]["N"]) for i in self.aws.table.items.values() if "wake_at" in i]
        if not wake or min(wake) > self.aws.clock.at:
            return  # a sweep that finds nothing does nothing
        self._function.sweep()

    # --- what must be

    def _judge(self) -> None:
        self.problems += [
            f"the handler raised {error!r}: the whole batch is stranded"
            for error in self._function.raised
        ]
        if self._wire.endless:
            self.problems.append(f"it goes round in a circle: {len(self.calls)} calls and no end")
        self.problems = [*self.watch.violations, *self.problems, *self._end_problems()]

    def _end_problems(self) -> Iterator[str]:
        run = make_client(self.aws).get(RUN_ID)
        fails = self.case.fails
        if fails is not None:
            if run.status != "FAILED" or run.error is None or run.error.step != fails:
                yield f"the run is {run.status}: {run.error}"
        elif run.status != "SUCCEEDED":
            yield f"the run is {run.status}: {run.error}"
        elif self.case.result is not ANY and run.result != self.case.result:
            yield f"the result is {run.result}"
        yield from self.watch.start_problems()
        expected = dict(self.case.started)
        if run.started.keys() != expected.keys():
            yield f"runs were started by {sorted(run.started)}"
        for step, ids in run.started.items():
            runs = [
                make_client(self.aws).get(run_id) for run_id in ids if run_id in self.watch.statuses
            ]
            if tuple(each.result for each in runs) != expected.get(step):
                yield f"step {step} has started {runs}"
        for name in self.definition.steps:
            times = self.watch.commits[RUN_ID, name]
            ends = dict(self.case.ends).get(name)
            if ends is not None:
                if times or run.steps[name].status != ends:
                    yield f"step {name} is {run.steps[name].status} instead of {ends}"
                continue
            if name in self.case.one_of:
                continue
            if times != (fails is None or run.steps[name].status == "SUCCEEDED"):
                yield f"step {name} was committed {times} times"
        won = [name for name in self.case.one_of if self.watch.commits[RUN_ID, name]]
        if len(won) != bool(self.case.one_of):
            yield f"{won} have succeeded, and one was to"
        for account, balance in self.case.ledger:
            item = self.aws.ledger.items.get((account, "account"), {"balance": {"N": "0"}})
            if item["balance"]["N"] != str(balance):
                yield f"account {account} has {item['balance']['N']} instead of {balance}"
        if self.aws.queue.messages:
            yield f"left in the queue: {self.aws.queue.messages}"
        if self.aws.dead_letters.messages:
            yield f"dead letters: {self.aws.dead_letters.messages}"

    def __str__(self) -> str:
        lines = [f"{self.case.name}: faults {self.faults}", *self.problems, "calls:"]
        lines += [
            f"  {number}: {made.what} {self.faults.get(number, '')}"
            for number, made in enumerate(self.calls)
        ]
        return "\n".join(lines)


ENDED = ("SUCCEEDED", "FAILED", "CANCELLED", "WAITING")


def without_faults(case: Case) -> Trial:
    """The case as it goes when nothing goes wrong."""
    return Trial(case).run()


def single_faults(trial: Trial, first: int = 0) -> Iterator[tuple[int, str]]:
    """Every fault at every call of a trial, from one call on."""
    for number, made in enumerate(trial.calls[first:], first):
        for fault in FAULTS:
            if fault in ON_MESSAGES and not made.deliverable:
                continue
            yield number, fault


def singles(case: Case, every: int = 1) -> Iterator[Trial]:
    """The case with each single fault, or one of so many."""
    for number, fault in islice(single_faults(without_faults(case)), 0, None, every):
        yield Trial(case, {number: fault}).run()


def pairs(single: Trial) -> Iterator[dict[int, str]]:
    """Two faults: that of a trial, and another at each call that it left to be made."""
    ((first, _),) = single.faults.items()
    for second, fault in single_faults(single, first + 1):
        yield {**single.faults, second: fault}
