"""The five ways in which other engines' runs have been seen stuck, by name; and a poisonous step.

1. An outage during recovery.  2. A stale read of what is pending.  3. An exception in dispatch that strands the
rest of the batch.  4. A draining worker that claims again.  5. A run stuck between steps that blocks a queue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from fluxio import StepContext, step, workflow
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
    unheard,
)
from fluxio_client import FluxioClient, Run, RunStatus, StepStatus
from tests.simulation.watch import Watch

MINUTE = 60_000

#: How often the code of each step ran, by run and step; and what it does besides, by step.
ran: Counter[tuple[str, str]] = Counter()
does: dict[str, Callable[[StepContext], None]] = {}


def _work(ctx: StepContext) -> dict[str, Any]:
    ran[ctx.run_id, ctx.step] += 1
    does.get(ctx.step, lambda ctx: None)(ctx)
    return {ctx.step: ctx.attempt}


@workflow
class Two:
    @step
    def first(self, ctx: StepContext) -> dict:
        return _work(ctx)

    @step(depends_on=["first"])
    def then(self, ctx: StepContext) -> dict:
        return _work(ctx)


@workflow
class Pair:
    @step(isolated=True)
    def left(self, ctx: StepContext) -> dict:
        return _work(ctx)

    @step(isolated=True)
    def right(self, ctx: StepContext) -> dict:
        return _work(ctx)


def _long_chain() -> type:
    def method(number: int) -> Any:
        def run(self: Any, ctx: StepContext) -> dict[str, Any]:
            return _work(ctx)

        run.__name__ = f"s{number}"
        depends_on = [f"s{number - 1}"] if number else []
        return step(depends_on=depends_on, timeout=20)(run)

    return workflow(type("LongChain", (), {f"s{n}": method(n) for n in range(12)}))


LongChain = _long_chain()


class World:
    """A deployment, with workers that stand in one place and a wire that a test may cut."""

    def __init__(self, function_timeout: int = 120) -> None:
        self.aws = Aws(function_timeout)
        self.clock = self.aws.clock
        definitions = [definition_of(Two), definition_of(Pair), definition_of(LongChain)]
        known = {each.name: each for each in definitions if each is not None}
        self.workflows = Workflows(known)
        self.watch = Watch(self.aws, known.values())
        #: What becomes of a call before it lands; a test sets it.
        self.before: Callable[[Call], None] = lambda call: None
        #: And after it has landed.
        self.after: Callable[[Call], None] = lambda call: None
        self._tokens = count(1)
        self._next_sweep = self.clock.at + MINUTE

    @property
    def client(self) -> FluxioClient:
        return make_client(self.aws)

    def wire(self, call: Call) -> dict[str, Any]:
        self.before(call)
        answer = call.land()
        self.after(call)
        return answer

    def worker(self) -> Any:
        return make_worker(
            self.aws,
            self.workflows,
            10,
            wire=self.wire,
            now=self.clock.now,
            new_token=lambda: f"t{next(self._tokens)}",
            chance=lambda: 0.0,
            new_threads=lambda: InPlace(self.clock, True),
            sleep=self.clock.advance,
        )

    def handle(self, event: dict[str, Any]) -> dict[str, Any] | None:
        """One invocation in a process of its own; None if it died."""
        ends = self.clock.at + self.aws.function_timeout * 1000
        try:
            answer: dict[str, Any] = self.worker().handle(event, Invocation(self.clock, ends))
        except Death:
            return None
        return answer

    def deliver(self, most: int = 10) -> dict[str, Any] | None:
        """Hand the next batch over and delete what is acknowledged; None if there is none, or it died."""
        sqs = self.aws.sqs.client()
        found = sqs.receive_message(QueueUrl=self.aws.queue.url, MaxNumberOfMessages=most)
        if not (records := records_of(found)):
            return None
        if (answer := self.handle({"Records": records})) is not None:
            for record in acknowledged(records, answer):
                handle = record["receiptHandle"]
                sqs.delete_message(QueueUrl=self.aws.queue.url, ReceiptHandle=handle)
        return answer

    def visible(self) -> bool:
        messages, now = self.aws.queue.messages, self.clock.at
        held = {message.group for message in messages if message.visible_at > now}
        return any(m.visible_at <= now and m.group not in held for m in messages)

    def pass_time(self, seconds: float, sweeps: bool = True) -> None:
        """Let time go by; what can be delivered is, and each minute there is a sweep."""
        until = self.clock.at + round(seconds * 1000)
        while True:
            while self.visible():
                self.deliver()
            if self.clock.at >= until:
                return
            later = [m.visible_at for m in self.aws.queue.messages if m.visible_at > self.clock.at]
            self.clock.at = min([until, self._next_sweep, *later])
            if self.clock.at >= self._next_sweep:
                self._next_sweep += MINUTE
                if sweeps:
                    with suppress(EndpointConnectionError):  # Lambda logs it; the next one comes
                        self.handle({"fluxio": "sweep"})

    def ended_well(self, *run_ids: str) -> list[Run]:
        """The runs, which have all succeeded, each step committed once, and nothing is left behind."""
        assert self.watch.violations == []
        runs = [self.client.get(run_id) for run_id in run_ids]
        for run in runs:
            assert run.status is RunStatus.SUCCEEDED, run
            for name in run.steps:
                assert self.watch.commits[run.run_id, name] == 1
        assert self.aws.queue.messages == []
        assert self.aws.dead_letters.messages == []
        return runs


@pytest.fixture
def world() -> Iterator[World]:
    ran.clear()
    does.clear()
    made = World()
    with logging_to(made.watch.hear):
        yield made


def _dies(*_: Any) -> None:
    raise Death


def _unreachable(call: Call) -> None:
    raise EndpointConnectionError(endpoint_url=f"https://{call.service}.us-east-1.amazonaws.com")


# --- 1


@pytest.mark.parametrize("sweeps", [True, False])
@pytest.mark.parametrize("minutes", [1, 20, 240])
def test_an_outage_during_recovery_only_delays_the_run(
    world: World, minutes: int, sweeps: bool
) -> None:
    """A worker dies, and when its message comes back DynamoDB cannot be reached, for whatever long.

    The message alone brings the run back; where it is swept besides, that does no harm.
    """
    run_id = world.client.start("Two").run_id
    does["then"] = _dies
    assert world.deliver() is None
    does.clear()
    world.before = lambda call: _unreachable(call) if call.service == "dynamodb" else None
    world.pass_time(60 * minutes, sweeps)
    world.before = lambda call: None
    world.pass_time(600, sweeps)
    (run,) = world.ended_well(run_id)
    assert (run.steps["first"].attempt, run.steps["then"].attempt) == (1, 2)


# --- 2


def test_a_stale_read_of_what_is_pending_does_nothing_twice(world: World) -> None:
    """The sweeper's index is behind: it shows a run as waiting that was nudged, and then one that has ended.

    So far behind that SQS has forgotten the first nudge, and does not take the others for duplicates.
    """
    caller = make_client(world.aws, lambda call: _dies() if call.service == "sqs" else call.land())
    with pytest.raises(Death):
        caller.start("Two", run_id="forgotten")
    world.clock.advance(301)
    world.aws.dynamodb.lag = 3_600_000
    for sweeps in (2, 1):  # they all see it as due, and only the first one is right
        for _ in range(sweeps):
            assert world.handle({"fluxio": "sweep"}) is not None
            world.clock.advance(301)
        assert len(world.aws.queue.messages) == sweeps
        while world.visible():
            world.deliver(1)
    world.ended_well("forgotten")
    assert ran == {("forgotten", "first"): 1, ("forgotten", "then"): 1}


# --- 3


def test_an_exception_in_dispatch_strands_nothing_else_of_the_batch(world: World) -> None:
    """One invocation gets ten messages, five of which are trouble: the other five are done, and done with."""
    good = [world.client.start("Two", run_id=f"good-{number}").run_id for number in range(5)]
    world.client.start("Two", run_id="exits")
    world.client.start("Two", run_id="unreachable")
    world.client.start("Nowhere", run_id="unknown-workflow")
    bodies = ["no JSON", '{"run_id": "never-started", "workflow": "Two"}']
    entries = [
        {
            "Id": str(number),
            "MessageBody": body,
            "MessageGroupId": f"bad-{number}",
            "MessageDeduplicationId": f"bad-{number}",
        }
        for number, body in enumerate(bodies)
    ]
    queue = world.aws.queue
    world.aws.sqs.client().send_message_batch(QueueUrl=queue.url, Entries=entries)
    queue.messages.reverse()  # the trouble comes first

    def leave(ctx: StepContext) -> None:
        if ctx.run_id == "exits" and ctx.attempt == 1:
            raise SystemExit("on purpose")

    def cut(call: Call) -> None:
        if call.arguments.get("Key", {}).get("pk") == {"S": "unreachable"}:
            _unreachable(call)

    does["first"] = leave
    world.before = cut
    answer = world.deliver()
    assert answer is not None
    left = {message.message_id: message for message in queue.messages}
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    assert {message.body for message in left.values()} >= {*bodies}
    assert len(failed) == 3
    (fresh,) = left.keys() - failed  # the unknown workflow may be deployed in a moment
    assert "blocked:" in left[fresh].body
    assert [world.client.get(run_id).status for run_id in good] == [RunStatus.SUCCEEDED] * 5
    assert world.client.get("exits").error is not None
    world.before = lambda call: None
    world.pass_time(400)
    assert world.client.get("unknown-workflow").status is RunStatus.FAILED
    assert world.client.get("unreachable").status is RunStatus.SUCCEEDED
    assert sorted(message.body for message in world.aws.dead_letters.messages) == sorted(bodies)


# --- 4


def test_a_draining_worker_claims_nothing_that_it_cannot_finish() -> None:
    """Twelve steps of up to 20 s in invocations of 60 s: each is claimed once, by who has the time for it."""
    ran.clear()
    world = World(function_timeout=60)
    for name in LongChain.__dict__:
        does[name] = lambda ctx: world.clock.advance(19)
    with logging_to(unheard):
        run_id = world.client.start("LongChain").run_id
        invocations = 0
        while world.visible():
            world.deliver()
            invocations += 1
    (run,) = world.ended_well(run_id)
    assert {step.attempt for step in run.steps.values()} == {1}
    assert set(ran.values()) == {1}
    assert invocations == 12 / 3  # a fourth step might have been stopped half-way
    does.clear()


# --- 5


def test_a_run_stuck_between_steps_holds_up_no_other_run(world: World) -> None:
    """A worker dies between two steps of a run; the runs behind it in the queue go on meanwhile."""
    stuck = world.client.start("Two", run_id="stuck").run_id
    others = [world.client.start("Two", run_id=f"other-{number}").run_id for number in range(20)]

    def die_between_steps(call: Call) -> None:
        if world.watch.commits[stuck, "first"] and not ran[stuck, "then"]:
            raise Death

    world.after = die_between_steps
    assert world.deliver(1) is None
    world.after = lambda call: None
    held = world.clock.at
    while world.visible():
        world.deliver(1)
    assert world.clock.at == held
    assert {world.client.get(run_id).status for run_id in others} == {RunStatus.SUCCEEDED}
    assert world.client.get(stuck).status is RunStatus.RUNNING
    world.pass_time(200, sweeps=False)
    world.ended_well(stuck, *others)


def test_a_message_that_is_held_does_not_hold_up_the_sweeper_s(world: World) -> None:
    """Whatever happens to a run's own message: the sweeper's is in a group of its own and gets through."""
    run_id = world.client.start("Two").run_id
    assert world.aws.sqs.client().receive_message(
        QueueUrl=world.aws.queue.url, VisibilityTimeout=43_200
    )  # somebody took it, and will not give it back today
    world.pass_time(400)
    (message,) = world.aws.queue.messages
    world.aws.queue.messages.remove(message)
    world.ended_well(run_id)


# --- and one that never succeeds


def test_a_step_that_kills_its_process_every_time_fails_its_run_and_no_other(world: World) -> None:
    """After five attempts it is given up, and its message has not become a dead letter by then."""
    poisonous = world.client.start("Two", run_id="poisonous").run_id
    does["first"] = lambda ctx: _dies() if ctx.run_id == poisonous else None
    world.deliver(1)
    good = world.client.start("Two").run_id
    world.pass_time(1_800)
    run = world.client.get(poisonous)
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.step, run.error.attempt) == ("WorkerLost", "first", 5)
    assert ran[poisonous, "first"] == 5
    world.ended_well(good)


# --- an operator meets a worker


def test_a_redrive_resets_a_branch_that_fails_just_before_it_is_written(world: World) -> None:
    """The operator has seen the branch under way; what it writes holds for the branch that has failed since."""
    run_id = world.client.start("Pair").run_id
    writes: list[Call] = []
    redriven: list[Run] = []

    def fail(ctx: StepContext) -> None:
        if ctx.attempt > 1:
            return
        if ctx.step == "right":
            world.deliver(1)  # left fails meanwhile, and the run with it
        raise ValueError("on purpose")

    def redrive(late: Call) -> None:
        """An operator redrives the run; between its look and its write, the late call lands."""

        def wire(call: Call) -> dict[str, Any]:
            if call.operation == "update_item" and not late.landed:
                late.land()
            return call.land()

        redriven.append(make_client(world.aws, wire).redrive(run_id))

    def meet(call: Call) -> None:
        if call.operation == "update_item" and world.watch.statuses[run_id] == "FAILED":
            writes.append(call)
            if len(writes) == 2:  # the first one took the run for RUNNING, and is refused
                redrive(call)

    does["left"] = does["right"] = fail
    world.deliver(1)  # opens the run and sends a message for each branch
    world.aws.queue.messages.sort(key=lambda message: "right" not in message.body)
    world.before = meet
    world.deliver(1)
    world.before = lambda call: None
    (run,) = redriven
    assert {step.status for step in run.steps.values()} == {StepStatus.PENDING}
    world.pass_time(300)
    world.ended_well(run_id)
