"""A deployment with workers and clients of two versions, in which nothing happens but what a test does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from itertools import chain, count, repeat
from types import MappingProxyType
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from fluxio import StepContext
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
from fluxio_protocol.layout import Item
from tests.simulation.versions import workflows
from tests.simulation.versions.asked import ask_client, ask_command
from tests.simulation.versions.older import OlderDied, OlderProcess
from tests.simulation.watch import Watch

OLDER, NEWER = "older", "newer"

RUN_ID = "run-1"

#: Errors that are the workflow's own.
TOLD = ("step raised", "run failed")

MINUTE = 60_000

#: After so many a message goes to the dead-letter queue.
MOST_RECEIPTS = 9

#: Milliseconds after which a run counts as one that never ends.
PATIENCE = 3 * 3_600_000


class Case(NamedTuple):
    """A workflow, how it is run, and what must come of it."""

    workflow: str
    result: Any
    input: Mapping[str, Any] = MappingProxyType({})
    inline_branches: int = 10
    #: Whether branches that run in one invocation are seen to end together.
    together: bool = True
    #: Seconds that each step takes. With 50, an invocation has the time for one.
    seconds: int = 0
    #: Signals that are sent when nothing goes on without them.
    signals: tuple[tuple[str, Any], ...] = ()
    #: How often it is redriven when it has failed.
    redrives: int = 0
    #: Whether it is cancelled when nothing goes on.
    cancelled: bool = False
    ends: str = "SUCCEEDED"
    #: Attempts that the workflow's own exceptions take, by step; 1 for others.
    attempts: tuple[tuple[str, int], ...] = ()
    #: Balances of the ledger at the end.
    ledger: tuple[tuple[str, int], ...] = ()


class Attempted(NamedTuple):
    """An attempt whose code was run."""

    step: str
    attempt: int
    version: str


class Newer:
    """This version: a worker and a client in the test's process."""

    def __init__(self, stage: Stage, case: Case) -> None:
        self._stage = stage
        clock, tokens = stage.clock, count(1)
        self._dynamodb = stage.aws.dynamodb.client(stage.wire(NEWER))
        self._sqs = stage.aws.sqs.client(stage.wire(NEWER))
        self._worker = make_worker(
            stage.aws,
            Workflows.of(*workflows.CLASSES),
            case.inline_branches,
            wire=stage.wire(NEWER),
            now=clock.now,
            new_token=lambda: f"newer.{next(tokens)}",
            chance=lambda: 0.0,
            new_threads=lambda: InPlace(clock, case.together),
            sleep=clock.advance,
        )
        self._client = make_client(stage.aws, stage.wire(NEWER))

    def handle(self, event: Any, ends: int) -> Any:
        """The answer to an event; None if the worker died."""
        with logging_to(lambda line: self._stage.hear(NEWER, line, ends)), self._attempts():
            try:
                return self._worker.handle(event, Invocation(self._stage.clock, ends))
            except Death:
                return None

    @contextmanager
    def _attempts(self) -> Iterator[None]:
        def begun(ctx: StepContext) -> None:
            self._stage.attempted(NEWER, ctx.step, ctx.attempt)

        workflows.on_attempt.append(begun)
        try:
            yield
        finally:
            workflows.on_attempt.remove(begun)

    def client(self, method: str, **arguments: Any) -> Any:
        """What a method of the client answers."""
        return ask_client(self._client, method, arguments)

    def command(self, *arguments: str) -> dict[str, Any]:
        """What the command says."""
        url = self._stage.aws.queue.url
        return ask_command(self._client, self._dynamodb, self._sqs, Aws.TABLE, url, *arguments)


class Older:
    """The version before: a worker and a client in a process of their own."""

    def __init__(self, stage: Stage, case: Case, process: OlderProcess) -> None:
        self._stage = stage
        self._process = process
        wire = stage.wire(OLDER)
        self._services = {
            "dynamodb": stage.aws.dynamodb.client(wire),
            "sqs": stage.aws.sqs.client(wire),
        }
        self._ask(
            "deploy",
            table=Aws.TABLE,
            queue_url=stage.aws.queue.url,
            inline_branches=case.inline_branches,
            together=case.together,
        )

    def handle(self, event: Any, ends: int) -> Any:
        """The answer to an event; None if the worker died."""
        try:
            return self._ask("handle", ends, event=event, ends=ends)
        except OlderDied:
            return None

    def client(self, method: str, **arguments: Any) -> Any:
        """What a method of the client answers."""
        return self._ask("client", method=method, arguments=arguments)

    def command(self, *arguments: str) -> Any:
        """What the command says."""
        return self._ask("command", arguments=arguments)

    def _ask(self, do: str, ends: int | None = None, /, **arguments: Any) -> Any:
        stage = self._stage
        return self._process.ask(
            do, arguments, stage.clock.now, self._answer, lambda line: stage.hear(OLDER, line, ends)
        )

    def _answer(self, what: str, arguments: dict[str, Any]) -> Any:
        if what == "sleep":
            return self._stage.clock.advance(**arguments)
        if what == "attempt":
            return self._stage.attempted(OLDER, arguments["step"], arguments["attempt"])
        service, _, operation = what.partition(".")
        try:
            return getattr(self._services[service], operation)(**arguments)
        except Death:
            raise OlderDied from None


class Stage:
    """One run of a case, at a table and a queue of its own.

    Args:
        case: what is run.
        process: the older version.
    """

    def __init__(self, case: Case, process: OlderProcess) -> None:
        self.case = case
        self.aws = Aws()
        self.clock = self.aws.clock
        definitions = [made for made in map(definition_of, workflows.CLASSES) if made]
        self.watch = Watch(self.aws, definitions)
        self.aws.dynamodb.watchers.append(self._see)
        #: Steps, of a run that the newer version opened, that have succeeded and stand in the item as maps.
        self.completed_in_the_older_form: set[str] = set()
        self.statuses: list[str] = []
        self.watch.on_status.append(lambda _, status: self.statuses.append(status))
        #: The attempts whose code was run, in this order.
        self.attempts: list[Attempted] = []
        #: How many calls of AWS the workers of each version have made.
        self.calls: Counter[str] = Counter()
        #: Is done before a call of a worker, by version and number, and after each that has landed.
        self.before_call: dict[tuple[str, int], Callable[[], object]] = {}
        self.after_calls: Callable[[str], object] = lambda version: None
        #: The calls, by number, of the workers of each version that write a run.
        self.writes: dict[str, list[int]] = {OLDER: [], NEWER: []}
        #: The calls, by number, before which the code of a step was run.
        self.commits: list[int] = []
        self._attempts_seen = 0
        #: The number of the invocation under way of each version; 0 where there is none.
        self._invocation = {OLDER: 0, NEWER: 0}
        self._invocations = count(1)
        self._in_hand: dict[str, list[dict[str, Any]]] = {}
        #: The worker that makes this call, by version and number, dies before it or after it has landed.
        self.dies: tuple[str, int, str] | None = None
        #: Messages that were put back because of an error, by version, and the errors.
        self.errors: list[tuple[str, str]] = []
        #: How many messages each version was given.
        self.delivered: Counter[str] = Counter()
        #: The most often that a message was received.
        self.received = 0
        self._signals = list(case.signals)
        self._redrives, self._cancel = case.redrives, case.cancelled
        self._next_sweep = self.clock.at + MINUTE
        self.newer, self.older = Newer(self, case), Older(self, case, process)

    def of(self, version: str) -> Newer | Older:
        return self.older if version == OLDER else self.newer

    # --- what the versions do, and tell

    def _see(self, table: str, key: tuple[str, str], old: Item | None, new: Item | None) -> None:
        if key != (RUN_ID, "run") or new is None or "schema" not in new:
            return
        for name, step in new.get("steps", {"M": {}})["M"].items():
            if step.get("M", {}).get("status") == {"S": "SUCCEEDED"}:
                self.completed_in_the_older_form.add(name)
                if self.watch.graph(RUN_ID).dependents[name]:
                    self.watch.violations.append(f"step {name} counts for none of its dependents")

    def wire(self, version: str) -> Callable[[Call], dict[str, Any]]:
        def wire(call: Call) -> dict[str, Any]:
            if not self._invocation[version]:
                return call.land()  # of a client
            self.calls[version] += 1
            if len(self.attempts) > self._attempts_seen:
                self.commits.append(self.calls[version])
                self._attempts_seen = len(self.attempts)
            number = self.calls[version]
            if call.operation in ("update_item", "transact_write_items"):
                self.writes[version].append(number)
            if (version, number) in self.before_call:
                self.before_call.pop((version, number))()
            if self.dies == (version, number, "before"):
                raise Death
            answer = call.land()
            if self.dies == (version, number, "after"):
                raise Death
            self.after_calls(version)
            return answer

        return wire

    def attempted(self, version: str, step: str, attempt: int) -> None:
        """The code of an attempt runs."""
        self.attempts.append(Attempted(step, attempt, version))
        self.clock.advance(self.case.seconds)

    def hear(self, version: str, line: dict[str, Any], ends: int | None) -> None:
        """Take in a line that a worker of this version has logged."""
        if line.get("level") == "ERROR" and line["message"] not in TOLD:
            self.errors.append((version, line.get("error", line["message"])))
        self.watch.hear(line, (version, self._invocation[version]), ends)

    # --- what a test does

    def start(self, version: str) -> None:
        """Start the run with a client of this version."""
        client = self.of(version).client
        client("start", workflow=self.case.workflow, input=dict(self.case.input), run_id=RUN_ID)

    def receive(self) -> list[dict[str, Any]]:
        """The next message that is visible, as an event's records."""
        found = self.aws.sqs.client().receive_message(
            QueueUrl=self.aws.queue.url, MaxNumberOfMessages=1
        )
        return records_of(found)

    def deliver(self, version: str, records: list[dict[str, Any]]) -> None:
        """Hand messages to a worker of this version; what it does not report as failed is deleted."""
        self.delivered[version] += len(records)
        counts = [int(record["attributes"]["ApproximateReceiveCount"]) for record in records]
        self.received = max([self.received, *counts])
        self._in_hand[version] = records
        answer = self._invoke(version, {"Records": records}, self.aws.function_timeout)
        self._in_hand[version] = []
        if answer is None:
            return  # the worker died: they come back by themselves
        for record in acknowledged(records, answer):
            with suppress(ClientError):  # another worker, which was given it too, has put it back
                self.aws.sqs.client().delete_message(
                    QueueUrl=self.aws.queue.url, ReceiptHandle=record["receiptHandle"]
                )

    def deliver_all(self, version: str) -> None:
        """Hand all messages that are visible to a worker of this version."""
        for _ in range(20):  # one that comes back at once is left
            if not (records := self.receive()):
                return
            self.deliver(version, records)

    def deliver_again(self, version: str) -> None:
        """Hand a message that another worker has in hand to one of this version, too, as SQS may."""
        for records in [held for held in self._in_hand.values() if held]:
            again = []
            for record in records:
                at = record["attributes"]
                count = str(int(at["ApproximateReceiveCount"]) + 1)
                again.append({**record, "attributes": {**at, "ApproximateReceiveCount": count}})
            self.deliver(version, again)

    def _invoke(self, version: str, event: Any, seconds: int) -> Any:
        assert not self._invocation[version], f"the {version} worker has a message in hand"
        self._invocation[version] = next(self._invocations)
        try:
            return self.of(version).handle(event, self.clock.at + 1000 * seconds)
        finally:
            self._invocation[version] = 0

    def until_call(self, version: str, number: int) -> Iterator[str]:
        """This version, until its workers have made so many calls."""
        while self.calls[version] < number:
            yield version

    def work(self, *versions: str | Iterable[str]) -> None:
        """Go on until the run has ended and the queue is empty.

        Args:
            versions: which version gets the first message, and which the next ones; the last gets all others.
        """
        until = self.clock.at + PATIENCE
        turns = iter(chain.from_iterable([v] if isinstance(v, str) else v for v in versions))
        last = turn = next(turns)
        while self.clock.at < until:
            if records := self.receive():
                self.deliver(turn, records)
                last, turn = turn, next(turns, turn)
            elif not self._operate(last, turn) and not self._let_time_pass(turn):
                return
        raise AssertionError(f"the run never ends: {self.newer.client('get', run_id=RUN_ID)}")

    def _operate(self, last: str, turn: str) -> bool:
        """Do what the case has for the run as it stands, with the client of either version."""
        status = self.aws.table.items[RUN_ID, "run"]["status"]["S"]
        if status == "FAILED" and self._redrives:
            self._redrives -= 1
            self.of(turn).client("redrive", run_id=RUN_ID)
        elif status == "RUNNING" and self._signals:
            name, payload = self._signals.pop(0)
            self.of(turn).client("signal", run_id=RUN_ID, name=name, payload=payload)
        elif status == "RUNNING" and self._cancel:
            self._cancel = False
            self.of(turn).client("cancel", run_id=RUN_ID)
        else:
            return False
        return True

    def _let_time_pass(self, version: str) -> bool:
        """Until the next message, or the next sweep; False if there is neither."""
        item = self.aws.table.items[RUN_ID, "run"]
        if not self.aws.queue.messages and "due" not in item:
            return False
        # A message may be visible and still wait for another one of its group.
        times = [message.visible_at for message in self.aws.queue.messages]
        back = [at for at in times if at > self.clock.at]
        while self._next_sweep <= self.clock.at:
            self._next_sweep += MINUTE
        self.clock.at = min([*back, self._next_sweep])
        if self.clock.at == self._next_sweep:
            self._invoke(version, {"fluxio": "sweep"}, 60)
        return True

    # --- what must come of it

    def problems(self, *, died: bool = False) -> Iterator[str]:
        """What is wrong with the run, its writes, its attempts and its messages.

        Args:
            died: whether a worker has died, or was held up: then attempts are made again when a lease expires.
        """
        yield from self.watch.violations
        case = self.case
        item = self.aws.table.items[RUN_ID, "run"]
        expected = ["PENDING", "RUNNING", *["FAILED", "RUNNING"] * case.redrives, case.ends]
        if self.statuses != expected and not (died and case.redrives):
            yield f"the run was {self.statuses}"
        seen = {v: self.of(v).client("get", run_id=RUN_ID) for v in (OLDER, NEWER)}
        for version, run in seen.items():
            if run["result"] != case.result or run["status"] != case.ends:
                yield f"the {version} client reads {run['status']} {run['result']}: {item}"
        for name, of in seen[NEWER]["steps"].items():
            if case.ends == "SUCCEEDED" and (of["status"], of["output"] is None) != (
                "SUCCEEDED",
                False,
            ):
                yield f"step {name} is {of} at the end"
            commits = self.watch.commits[RUN_ID, name]
            if commits != (of["status"] == "SUCCEEDED"):
                yield f"step {name} is {of['status']} and was committed {commits} times"
        yield from self._attempt_problems(seen[NEWER], died)
        for account, balance in case.ledger:
            found = self.aws.ledger.items[account, "account"]["balance"]["N"]
            if found != str(balance):
                yield f"the ledger has {account}: {found}"
        if self.aws.queue.messages or self.aws.dead_letters.messages:
            yield f"messages are left: {self.aws.queue.messages} {self.aws.dead_letters.messages}"
        if self.received > MOST_RECEIPTS:
            yield f"a message was received {self.received} times"
        for version, error in self.errors:
            # It is how an older worker puts the message of a run back that a newer one has opened.
            if (version, error) != (OLDER, "KeyError") or "schema" not in item:
                yield f"the {version} worker logs the error {error}"

    def _attempt_problems(self, run: dict[str, Any], died: bool) -> Iterator[str]:
        run_of: Counter[tuple[str, int]] = Counter((a.step, a.attempt) for a in self.attempts)
        for (step, attempt), times in run_of.items():
            if times > 1:
                yield f"the code of {step}, attempt {attempt}, was run {times} times"
        expected = dict(self.case.attempts)
        for name, of in run["steps"].items():
            wanted = expected.get(name, 1) if of["status"] != "PENDING" else 0
            if (of["attempt"] < wanted) if died else (of["attempt"] != wanted):
                yield f"step {name} was attempted {of['attempt']} times"


def forever(*versions: str) -> Iterator[str]:
    """These versions in turn."""
    while True:
        yield from versions


def first(version: str, messages: int) -> Iterable[str]:
    """A version that gets so many messages."""
    return repeat(version, messages)
