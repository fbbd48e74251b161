"""Situations that neither the matrix nor a random schedule comes to; each says what is wrong in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from itertools import count
from typing import Any

from fluxio import StepContext, step, sweeper, workflow
from fluxio.metrics import Metrics
from fluxio.sweeper import MARGIN
from fluxio.testing.aws import Aws, Call, Wire, sound
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
from fluxio_protocol import layout
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store
from tests.simulation.costs import workflow_of

MINUTE = 60_000


@workflow
class Signalled:
    @step(awaits=["first"])
    def one(self) -> dict:
        return {}

    @step(awaits=["second"])
    def two(self) -> dict:
        return {}


@workflow
class Branches:
    @step(isolated=True)
    def left(self) -> dict:
        return {}

    @step(isolated=True)
    def right(self) -> dict:
        return {}


@workflow
class Inline:
    @step
    def left(self) -> dict:
        return {}

    @step
    def right(self) -> dict:
        return {}


@workflow
class Stumbling:
    """The first of four branches fails in its first attempt."""

    @step
    def begin(self) -> dict:
        return {}

    @step(depends_on=["begin"])
    def b1(self, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise RuntimeError("on purpose")
        return {}

    @step(depends_on=["begin"])
    def b2(self) -> dict:
        return {}

    @step(depends_on=["begin"])
    def b3(self) -> dict:
        return {}

    @step(depends_on=["begin"])
    def b4(self) -> dict:
        return {}


#: More roots than an invocation has threads for.
Dozen = workflow_of({f"b{at}": [] for at in range(12)}, 2, "Dozen")


def _order(retired: bool) -> type:
    """A workflow before and after one of its steps is retired."""

    class Order:
        @step(isolated=True)
        def first(self) -> dict:
            return {}

        @step(depends_on=["first"])
        def second(self) -> dict:
            return {}

        @step(depends_on=["first", "second"], retired=retired)
        def third(self) -> dict:
            return {}

    return workflow(Order)


class Stage:
    """A deployment that nothing happens to but what the drill does."""

    def __init__(self, *classes: type, inline_branches: int = 10) -> None:
        """`classes` are deployed."""
        self._inline_branches = inline_branches
        self.aws = Aws()
        self.clock = self.aws.clock
        self.client = make_client(self.aws)
        self.deploy(*classes)
        self._tokens = count(1)

    def deploy(self, *classes: type) -> None:
        self._workflows = Workflows.of(*classes)

    def deliver(self, wire: Wire = sound, together: bool = True, lasts: int = 0) -> bool:
        """Hand the next message over; False if none is visible. `together` and `lasts`: as of `InPlace`."""
        queue_url, sqs = self.aws.queue.url, self.aws.sqs.client()
        records = records_of(sqs.receive_message(QueueUrl=queue_url, MaxNumberOfMessages=1))
        if not records:
            return False
        worker = make_worker(
            self.aws,
            self._workflows,
            self._inline_branches,
            wire=wire,
            now=self.clock.now,
            new_token=lambda: f"t{next(self._tokens)}",
            chance=lambda: 0.0,
            new_threads=lambda: InPlace(self.clock, together, lambda _: lasts),
            sleep=self.clock.advance,
        )
        context = Invocation(self.clock, self.clock.at + 120_000)
        answer = worker.handle({"Records": records}, context)
        for record in acknowledged(records, answer):
            sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"])
        return True


def backlog_of_sweeps() -> Iterator[str]:
    """Runs of all shards are due, far more than a sweep has the time for: each shard is swept all the same."""
    stage = Stage()
    aws, clock = stage.aws, stage.clock
    for number in range(600):
        stage.client.start("Signalled", {}, run_id=f"r{number}")
    clock.advance(600)
    swept: Counter[int] = Counter()

    def wire(call: Call) -> dict[str, Any]:
        if call.operation == "update_item":
            clock.advance(1)  # so that a sweep gets through some fifty of them
            swept[layout.shard(call.arguments["Key"]["pk"]["S"])] += 1
        return call.land()

    store = Store(aws.dynamodb.client(wire), Aws.TABLE)
    queue = Queue(aws.sqs.client(), aws.queue.url)
    for _ in range(8):
        begin, ends = clock.at, clock.at + 50_000 + MARGIN
        sweeper.sweep(
            store, queue, clock.now, lambda ends=ends: ends - clock.at, Metrics(clock.now)
        )
        clock.at = max(clock.at, begin + MINUTE)
    for shard in range(layout.SHARDS):
        if not swept[shard]:
            yield f"shard {shard} was never swept: {dict(sorted(swept.items()))}"


def a_signal_behind_another() -> Iterator[str]:
    """The message of a run's first signal is held for a backoff: the second one's step begins all the same."""
    stage = Stage(Signalled)
    run_id = stage.client.start("Signalled").run_id
    while stage.deliver():
        pass
    stage.client.signal(run_id, "first")
    (held,) = stage.aws.queue.messages
    held.visible_at = stage.clock.at + 100_000
    stage.client.signal(run_id, "second")
    stage.deliver()
    step = stage.client.get(run_id).steps["two"]
    if step.status != "SUCCEEDED":
        yield f"step two is {step.status} while the message of another signal is held"


def a_branch_lost_to_another_worker() -> Iterator[str]:
    """Another worker has taken one of two branches over: the other is committed by the worker that ran it."""
    stage = Stage(Inline)
    run_id = stage.client.start("Inline").run_id
    writes = count(1)

    def wire(call: Call) -> dict[str, Any]:
        if (
            call.operation == "update_item" and next(writes) == 2
        ):  # the first one has opened the run
            steps = stage.aws.table.items[run_id, layout.RUN]["steps"]["M"]
            steps["left"]["M"] |= {"token": {"S": "another"}, "attempt": {"N": "2"}}
        return call.land()

    stage.deliver(wire, together=False)
    right = stage.client.get(run_id).steps["right"]
    if right.status != "SUCCEEDED":
        yield f"step right is {right.status}, because its worker lost step left"


def branches_behind_slow_ones() -> Iterator[str]:
    """Branches for which there are no threads go to other workers when those that have them take long."""
    stage = Stage(Dozen)
    stage.client.start("Dozen")
    began = stage.clock.at
    stage.deliver(lasts=20_000)
    waited = [message.sent_at - began for message in stage.aws.queue.messages]
    if len(waited) != 2 or max(waited) > 1_000:
        yield f"{len(waited)} of 2 branches were sent elsewhere, after {waited} ms"


def branches_that_wait_when_their_run_fails() -> Iterator[str]:
    """A run fails while branches wait for threads; redriven, it comes to its end without the sweeper."""
    stage = Stage(Stumbling, inline_branches=2)
    run_id = stage.client.start("Stumbling").run_id
    while stage.deliver():
        pass
    stage.client.redrive(run_id)
    while stage.deliver():
        pass
    run = stage.client.get(run_id)
    if run.status != "SUCCEEDED":
        left = [name for name, step in run.steps.items() if step.status != "SUCCEEDED"]
        yield f"redriven, the run is {run.status}, no message is left, and {left} never run"


def a_graph_that_is_not_read_at_once() -> Iterator[str]:
    """A worker with newer code has claimed a step when it reads the graph of the run's version; that fails.

    It waits for that graph, without which it does not know all steps of the run.
    """
    stage = Stage(_order(retired=False))
    run_id = stage.client.start("Order").run_id
    stage.deliver()  # opens the run and sends a message for its first step
    stage.deploy(_order(retired=True))
    throttled = False

    def wire(call: Call) -> dict[str, Any]:
        nonlocal throttled
        of_run = call.arguments.get("Key", {}).get("pk") == {"S": run_id}
        claimed = stage.client.get(run_id).steps["first"].status == "RUNNING"
        if call.operation == "get_item" and claimed and not of_run and not throttled:
            throttled = True
            raise call.error("ThrottlingException")
        return call.land()

    while stage.deliver(wire):
        pass
    run = stage.client.get(run_id)
    if not throttled:
        yield "no graph was read"
    if run.status != "SUCCEEDED":
        yield f"the run is {run.status}"


def a_failed_step_in_a_running_run() -> Iterator[str]:
    """An earlier version left a run RUNNING with a FAILED step: it fails, and can be redriven to its end."""
    stage = Stage(Branches)
    run_id = stage.client.start("Branches").run_id
    stage.deliver()  # opens the run and sends a message for each branch
    steps = stage.aws.table.items[run_id, layout.RUN]["steps"]["M"]
    steps["left"] = {
        "M": {
            "status": {"S": "FAILED"},
            "attempt": {"N": "1"},
            "error": {"S": '{"type":"E","message":"no","step":"left","attempt":1}'},
        }
    }
    while stage.deliver():
        pass
    run = stage.client.get(run_id)
    if run.status != "FAILED":
        yield f"the run is {run.status} with its step left FAILED, and no message is left"
        return
    stage.client.redrive(run_id)
    while stage.deliver():
        pass
    run = stage.client.get(run_id)
    if run.status != "SUCCEEDED":
        yield f"redriven, the run is {run.status}: {run.error}"


DRILLS: dict[str, Callable[[], Iterator[str]]] = {
    drill.__name__: drill
    for drill in (
        backlog_of_sweeps,
        a_signal_behind_another,
        a_branch_lost_to_another_worker,
        branches_behind_slow_ones,
        branches_that_wait_when_their_run_fails,
        a_graph_that_is_not_read_at_once,
        a_failed_step_in_a_running_run,
    )
}


def problems(name: str) -> list[str]:
    """What is wrong in a drill."""
    with logging_to(unheard):
        return [*DRILLS[name]()]
