"""The crash matrix: a case is a workflow and what goes wrong at which of its calls.

A case without faults tells how many calls there are, by the caller of `start`, the workers, the event source
mapping (its deletes) and the sweeper alike. Then each call in turn goes wrong in each way, and time passes
until everything is quiet; whatever went wrong, the run must have ended with the right result.

The sweeper is off, but for the cases that are about it: what a worker leaves undone when it dies comes back by
its message, and must not depend on the sweeper.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count, islice
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from fluxio.definition import definition_of
from fluxio.testing.aws import Aws, Call
from fluxio.testing.death import Death
from fluxio.testing.in_place import InPlace
from fluxio.testing.platform import (
    Invocation,
    Workflows,
    acknowledged,
    logging_to,
    make_client,
    make_worker,
    records_of,
)
from tests.simulation.cases import ANY, Case
from tests.simulation.watch import Watch

#: What may go wrong at a call.
FAULTS = {
    "before": "its caller dies before it",
    "after": "its caller dies after it has landed",
    "twice": "its answer is lost after it has landed, and the SDK sends it again",
    "delivered again": "at that moment a second worker is handed the same messages",
    "overtaken": "it stands still until a lease is over and a second worker has handled its messages",
    "crossed": "the same, but it lands right after the first write of that second worker",
    "late": "its answer is lost, the SDK sends it again, and copies of it land before the next calls",
    "unanswered": "its answer is lost after it has landed, and the SDK gives up",
    "throttled": "it is refused for its rate, and the SDK gives up",
}

#: The faults that take a second worker, and messages to hand it.
SECOND_WORKER = ("delivered again", "overtaken", "crossed")

#: Milliseconds after which a case counts as one that never ends.
PATIENCE = 4 * 3600 * 1000
MINUTE = 60_000
#: Calls before each of which a late copy lands.
LATE = 4
#: Calls that no case here needs.
MANY_CALLS = 1_000
RUN_ID = "run-1"


@dataclass
class Made:
    """A call as it was made."""

    what: str
    #: Whether messages are in somebody's hands, so that they can be delivered again.
    deliverable: bool


@dataclass
class Trial:
    """One case of the matrix, from start to quiet.

    Args:
        case: the workflow.
        faults: the way a call goes wrong, by the number of the call.
    """

    case: Case
    faults: dict[int, str] = field(default_factory=dict)
    calls: list[Made] = field(default_factory=list)
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
        self._tokens = count(1)
        self._in_hand: list[list[dict[str, Any]]] = []
        #: Those under way: the second one within a call of the first.
        self._invocations: list[Invocation] = []
        self._worker: Any = None
        self._next_sweep = self.aws.clock.at + MINUTE
        self._signals = list(self.case.signals)
        #: Calls that stand still until somebody else has written; and what came of those that did.
        self._crossing: list[Call] = []
        self._crossed: dict[int, dict[str, Any] | ClientError] = {}
        #: Requests of which copies are on their way, and how many.
        self._late: list[tuple[Call, int]] = []

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
        invocation = self._invocations[-1] if self._invocations else None
        self.watch.hear(line, invocation, invocation.ends if invocation else None)

    # --- what goes wrong

    def _wire(self, call: Call) -> dict[str, Any]:
        number = len(self.calls)
        self.calls.append(Made(str(call), bool(self._in_hand)))
        if number >= MANY_CALLS:
            if number == MANY_CALLS:
                self.problems.append(f"it goes round in a circle: {number} calls and no end")
            raise Death
        self._land_late()
        fault = self.faults.get(number)
        if fault is None:
            return self._land(call)
        if fault == "before":
            raise Death
        if fault == "throttled":
            code = "RequestThrottled" if call.service == "sqs" else "ThrottlingException"
            raise call.error(code)
        if fault in SECOND_WORKER:
            if fault != "delivered again":
                self._stand_still()
            if fault == "crossed":
                return self._cross(call)
            self._deliver_again()
            return self._land(call)
        with suppress(ClientError):  # a refusal is an answer too, and is lost
            self._land(call)
        if fault == "late":
            self._late.append((call, LATE))
        if fault in ("twice", "late"):
            return self._land(call)
        if fault == "after":
            raise Death
        raise ReadTimeoutError(endpoint_url="https://aws")

    def _land(self, call: Call) -> dict[str, Any]:
        """The call lands; and if it has written, so does one that has waited for that."""
        answer = call.land()
        if self._crossing and call.operation in ("update_item", "transact_write_items"):
            crossing = self._crossing.pop()
            try:
                self._crossed[id(crossing)] = crossing.land()
            except ClientError as error:
                self._crossed[id(crossing)] = error
        return answer

    def _cross(self, call: Call) -> dict[str, Any]:
        self._crossing.append(call)
        self._deliver_again()
        if call in self._crossing:  # the second worker has written nothing
            self._crossing.remove(call)
            return self._land(call)
        answer = self._crossed.pop(id(call))
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _land_late(self) -> None:
        late, self._late = self._late, []
        for call, copies in late:
            with suppress(ClientError):  # nobody hears the answer
                call.land()
            if copies > 1:
                self._late.append((call, copies - 1))

    def _stand_still(self) -> None:
        """Until the first lease is over; without one, until the messages are visible again."""
        item = self.aws.table.items.get((RUN_ID, "run"), {})
        steps = item.get("steps", {"M": {}})["M"].values()
        leases = [
            int(step["M"]["lease_until"]["N"])
            for step in steps
            if "lease_until" in step.get("M", {})
        ]
        until = self.aws.clock.at + 1000 * (self.aws.queue.visibility + 1)
        self.aws.clock.at = max(self.aws.clock.at, min([until, *leases]))

    def _deliver_again(self) -> None:
        """The messages in hand, or those of them that are still there, go to a second worker now."""
        if not self._in_hand:
            return
        there = {message.message_id: message for message in self.aws.queue.messages}
        again = []
        for record in self._in_hand[-1]:
            message = there.get(record["messageId"])
            if message is not None:
                self.aws.sqs.receive(message, self.aws.queue.visibility)
                attributes = {
                    **record["attributes"],
                    "ApproximateReceiveCount": str(message.received),
                }
                again.append({**record, "receiptHandle": message.receipt, "attributes": attributes})
        if again:
            self._invoke(again, self._new_worker())

    # --- what goes on

    def _new_worker(self) -> Any:
        return make_worker(
            self.aws,
            self.workflows,
            self.case.inline_branches,
            wire=self._wire,
            now=self.aws.clock.now,
            new_token=lambda: f"t{next(self._tokens)}",
            chance=lambda: 0.0,
            new_threads=lambda: InPlace(self.aws.clock, self.case.together),
            sleep=self.aws.clock.advance,
        )

    def _start(self) -> None:
        for _ in range(6):
            client = make_client(self.aws, self._wire)
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
                make_client(self.aws, self._wire).signal(RUN_ID, name, payload)
                return
            except (Death, Exception):  # noqa: BLE001 - whatever it raises, it may be called again
                continue
        self.problems.append(f"the signal {name} never succeeded")

    def _invoke(self, records: list[dict[str, Any]], worker: Any) -> None:
        """One invocation and what the mapping makes of its answer."""
        clock = self.aws.clock
        context = Invocation(clock, clock.at + self.aws.function_timeout * 1000)
        mapping = self.aws.sqs.client(self._wire)
        self._in_hand.append(records)
        self._invocations.append(context)
        try:
            try:
                answer = worker.handle({"Records": records}, context)
            except Exception as error:  # noqa: BLE001 - Lambda fails the batch for it
                self.problems.append(f"the handler raised {error!r}: the whole batch is stranded")
                return
            for record in acknowledged(records, answer):
                try:
                    mapping.delete_message(
                        QueueUrl=self.aws.queue.url, ReceiptHandle=record["receiptHandle"]
                    )
                except Death:
                    raise
                except Exception:  # noqa: BLE001 - the mapping logs it; the message comes back
                    continue
        except Death:
            if worker is self._worker:
                self._worker = None
        finally:
            self._in_hand.pop()
            self._invocations.pop()

    def _settle(self) -> None:
        """Deliver, let time pass and sweep, until the run has ended and no message is left."""
        aws, clock = self.aws, self.aws.clock
        until = clock.at + PATIENCE
        mapping = aws.sqs.client()
        while clock.at < until and len(self.calls) <= MANY_CALLS:
            records = records_of(
                mapping.receive_message(
                    QueueUrl=aws.queue.url, MaxNumberOfMessages=self.case.batch_size
                )
            )
            if records:
                self._worker = self._worker or self._new_worker()
                self._invoke(records, self._worker)
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
        self._worker = self._worker or self._new_worker()
        clock = self.aws.clock
        context = Invocation(clock, clock.at + self.aws.function_timeout * 1000)
        try:
            self._worker.handle({"fluxio": "sweep"}, context)
        except Death:
            self._worker = None
        except Exception:  # noqa: BLE001 - Lambda logs it; a minute later it is tried again
            return

    # --- what must be

    def _judge(self) -> None:
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
            if times != (fails is None or run.steps[name].status == "SUCCEEDED"):
                yield f"step {name} was committed {times} times"
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
            if fault in SECOND_WORKER and not made.deliverable:
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
