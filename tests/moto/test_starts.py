"""`ctx.start`: a step starts other runs when it completes, exactly once, or not at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from fluxio import Again, Retry, StepContext, step, workflow
from fluxio_client import Run, RunStatus, StepStatus
from fluxio_protocol import layout, limits
from tests.moto.conftest import create_table
from tests.moto.pump import Calls, Killed, World

pytestmark = pytest.mark.once


@dataclass
class Address:
    street: str
    number: int = 1


@workflow(input=Address)
class Letter:
    @step
    def send(self, street: str, number: int) -> str:
        return f"sent to {street} {number}"


def starting(*starts: dict[str, Any], retry: int | Retry = 0, raises: int = 0) -> type:
    """A workflow whose first step starts runs, and raises in as many attempts."""

    @workflow
    class Order:
        @step(retry=retry)
        def pay(self, ctx: StepContext) -> list[str]:
            ids = [ctx.start(**{"workflow": "Letter", **given}) for given in starts]
            if ctx.attempt <= raises:
                raise ConnectionError
            return ids

        @step(depends_on=["pay"])
        def ship(self, pay: list[str]) -> list[str]:
            return pay

    return Order


HOME = {"input": {"street": "Home"}}


def run_ids(world: World) -> list[str]:
    return sorted(item["pk"]["S"] for item in world.items() if item["sk"]["S"] == "run")


def started(world: World, order: type, run_id: str = "order-1", **options: Any) -> Run:
    """A run of the order, worked on until the queue is empty."""
    world.client.start("Order", run_id=run_id)
    world.pump(order, Letter, **options).drain()
    return world.client.get(run_id)


@pytest.mark.parametrize("inline_branches", [10, 0])
@pytest.mark.parametrize("workflow", ["Letter", Letter])
def test_a_started_run_begins_when_the_step_has_completed(
    world: World, workflow: Any, inline_branches: int
) -> None:
    run = started(world, starting({"workflow": workflow, **HOME}), inline_branches=inline_branches)
    assert run.status is RunStatus.SUCCEEDED
    (letter,) = run.result
    assert world.client.get(letter).result == "sent to Home 1"


def test_the_two_runs_know_each_other(world: World) -> None:
    run = started(world, starting(HOME, {**HOME, "run_id": "letter-7"}, HOME))
    assert run.started == {"pay": tuple(run.result)}
    assert run.result[1] == "letter-7"
    assert len({*run.result}) == 3
    for letter in run.result:
        by = world.client.get(letter).started_by
        assert by is not None
        assert (by.run_id, by.step) == ("order-1", "pay")
    assert run.started_by is None


def test_a_step_that_raises_starts_nothing_and_its_retry_starts_once(world: World) -> None:
    order = starting(HOME, retry=Retry(1, initial=1, jitter=0), raises=1)
    world.client.start("Order", run_id="order-1")
    pump = world.pump(order, Letter)
    pump.drain()
    assert run_ids(world) == ["order-1"]
    world.clock.advance(1)
    pump.drain()
    run = world.client.get("order-1")
    assert run.status is RunStatus.SUCCEEDED
    assert run_ids(world) == sorted(["order-1", *run.result])


def test_a_step_that_fails_for_good_starts_nothing(world: World) -> None:
    assert started(world, starting(HOME, raises=9)).status is RunStatus.FAILED
    assert run_ids(world) == ["order-1"]


def test_a_worker_that_was_fenced_off_starts_nothing(world: World) -> None:
    """Another worker has taken the step over meanwhile, and its start is the one that counts."""

    @workflow
    class Order:
        @step(timeout=5)
        def pay(self, ctx: StepContext) -> int:
            ctx.start("Letter", {"street": f"attempt {ctx.attempt}"}, run_id="letter-1")
            if ctx.attempt == 1:
                world.clock.advance(16)  # longer than its lease
                other.handle({"Records": [record | {"attributes": again}]}, Late())
            return ctx.attempt

    class Late:
        def get_remaining_time_in_millis(self) -> int:
            return 120_000

    world.client.start("Order", run_id="order-1")
    pump, other = world.pump(Order, Letter), world.pump(Order, Letter)
    (record,) = pump.receive()
    again = {**record["attributes"], "ApproximateReceiveCount": "2"}
    pump.invoke([record])
    pump.drain()
    assert world.client.get("order-1").result == 2
    assert world.client.get("letter-1").result == "sent to attempt 2 1"


def test_a_worker_that_dies_before_the_commit_starts_nothing(world: World) -> None:
    @workflow
    class Order:
        @step
        def pay(self, ctx: StepContext) -> str:
            letter = ctx.start("Letter", HOME["input"])
            if ctx.attempt == 1:
                raise Killed
            return letter

    world.client.start("Order", run_id="order-1")
    pump = world.pump(Order, Letter)
    pump.drain()
    assert run_ids(world) == ["order-1"]
    pump.pass_time(200, step=10)
    run = world.client.get("order-1")
    assert run_ids(world) == sorted(["order-1", run.result])


class Forgetful:
    """An SQS client that takes the messages of other runs than the order and loses them."""

    def __init__(self, sqs: Any) -> None:
        self._sqs = sqs

    def __getattr__(self, name: str) -> Any:
        return getattr(self._sqs, name)

    def send_message_batch(self, **given: Any) -> Any:
        kept = [one for one in given["Entries"] if "order-1" in one["MessageBody"]]
        if kept:
            self._sqs.send_message_batch(**{**given, "Entries": kept})
        return {"Successful": given["Entries"]}


def test_a_started_run_whose_message_is_lost_is_found_within_three_minutes(world: World) -> None:
    honest = world.sqs
    world.sqs = Forgetful(honest)
    run = started(world, starting(HOME))
    world.sqs = honest
    (letter,) = run.result
    assert world.client.get(letter).status is RunStatus.PENDING
    world.pump(starting(HOME), Letter).pass_time(180, step=10)
    assert world.client.get(letter).status is RunStatus.SUCCEEDED


def test_a_message_that_comes_again_nudges_what_was_started_before(world: World) -> None:
    """Its worker died between the commit and the first message of the started run."""

    class Dying(Forgetful):
        def send_message_batch(self, **given: Any) -> Any:
            if all("order-1" not in entry["MessageBody"] for entry in given["Entries"]):
                raise Killed
            return self._sqs.send_message_batch(**given)

    honest = world.sqs
    world.client.start("Order", run_id="order-1")
    world.sqs = Dying(honest)
    world.pump(starting(HOME), Letter).drain()
    world.sqs = honest
    (letter,) = world.client.get("order-1").steps["pay"].output
    assert world.client.get(letter).status is RunStatus.PENDING
    world.clock.advance(160)  # the message is visible again; no sweep comes
    world.pump(starting(HOME), Letter).drain()
    assert world.client.get(letter).status is RunStatus.SUCCEEDED
    assert world.client.get("order-1").status is RunStatus.SUCCEEDED


def test_an_id_that_another_run_has_fails_the_step_and_says_whose_it_is(world: World) -> None:
    world.client.start("Letter", HOME["input"], run_id="letter-7")
    run = started(world, starting(HOME, {**HOME, "run_id": "letter-7"}, retry=3))
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.step, run.error.attempt) == ("StartRefused", "pay", 1)
    assert "run letter-7 exists already, of workflow Letter" in run.error.message
    assert run_ids(world) == ["letter-7", "order-1"]
    assert run.started == {}


def test_a_run_that_this_very_step_has_started_before_is_left_as_it_stands(world: World) -> None:
    """As after a table was restored from a backup in part: the step is completed once more."""
    order = starting({**HOME, "run_id": "letter-7"})
    started(world, order)
    letter = world.run_item("letter-7")
    order_1 = {**world.run_item("order-1")}
    for name in ("steps", "version", "schema", "result", "ended_at", "ttl", "started:pay"):
        order_1.pop(name, None)
    order_1 |= {"status": {"S": "PENDING"}, "due": {"N": "0"}, "wake_at": {"N": "1"}}
    world.dynamodb.put_item(TableName=world.table_name, Item=order_1)
    world.clock.advance(400)
    pump = world.pump(order, Letter)
    pump.sweep()
    pump.drain()
    run = world.client.get("order-1")
    assert (run.status, run.started) == (RunStatus.SUCCEEDED, {"pay": ("letter-7",)})
    assert world.run_item("letter-7") == letter


def test_an_id_that_is_used_anew_after_its_run_was_deleted_starts_runs_of_its_own(
    world: World,
) -> None:
    first = started(world, starting(HOME)).result
    key = {"pk": {"S": "order-1"}, "sk": {"S": "run"}}
    world.dynamodb.delete_item(TableName=world.table_name, Key=key)
    world.clock.advance(400)
    second = started(world, starting(HOME)).result
    assert first != second
    assert world.client.get(second[0]).status is RunStatus.SUCCEEDED


BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"workflow": "Leter"}, "StartError", "no run of Leter can be started: this deployment has no"),
    ({"workflow": ""}, "StartError", "workflow name ''"),
    ({"workflow": str}, "StartError", "is no workflow: pass a class decorated with @workflow"),
    ({"input": {"street": 7}}, "StartError", "street: Input should be a valid string"),
    ({"input": {}}, "StartError", "street"),
    ({"input": [1]}, "StartError", "is [1], not a JSON object"),
    ({"input": {"street": object()}}, "PayloadError", "cannot be stored as JSON"),
    ({"input": {"street": "x" * 400_000}}, "PayloadError", "at most 390,000 fit"),
    ({**HOME, "run_id": "a b"}, "StartError", "run id 'a b'"),
    ({**HOME, "run_id": 7}, "StartError", "the run id is a int"),
    ({**HOME, "run_id": "order-1"}, "StartError", "the run id 'order-1' is this run's own"),
    ({**HOME, "after": -1}, "StartError", "after is -1; pass seconds 0 to 31,536,000 (a year)"),
    ({**HOME, "after": True}, "StartError", "after is True"),
    ({**HOME, "after": timedelta(days=400)}, "StartError", "after is datetime.timedelta"),
]


@pytest.mark.parametrize(("given", "type_", "message"), BAD)
def test_what_cannot_be_started_fails_the_step_at_once_and_names_it(
    world: World, given: dict[str, Any], type_: str, message: str
) -> None:
    run = started(world, starting(given, retry=3))
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.attempt) == (type_, 1)
    assert "ctx.start in run order-1 step pay" in run.error.message
    assert message in run.error.message
    assert run_ids(world) == ["order-1"]


def test_one_id_twice_is_refused(world: World) -> None:
    twice = {**HOME, "run_id": "letter-7"}
    run = started(world, starting(twice, twice))
    assert run.error is not None
    assert "'letter-7' is that of another run it starts" in run.error.message


def test_a_long_input_has_an_item_of_its_own_that_commits_with_the_rest(world: World) -> None:
    street = "x" * 100_000
    (letter,) = started(world, starting({"input": {"street": street}})).result
    run = world.client.get(letter)
    assert (run.input, run.result) == ({"street": street}, f"sent to {street} 1")
    assert run.input_ref == layout.INPUT


@pytest.mark.parametrize(
    ("runs", "street", "writes", "message"),
    [
        (99, "Home", 0, ""),
        (100, "Home", 0, "100 operations, those of 100 started runs among them; at most 99 fit"),
        (90, "Home", 9, ""),
        (90, "Home", 10, "100 operations, those of 90 started runs among them; at most 99 fit"),
        (49, "x" * 500, 1, ""),
        (50, "x" * 500, 0, "100 operations, those of 50 started runs among them; at most 99 fit"),
        (9, "x" * 389_900, 0, ""),
        (10, "x" * 389_900, 0, "at most 3,784,704 fit one transaction"),
    ],
)
def test_runs_and_writes_share_the_limits_of_one_transaction(
    world: World, runs: int, street: str, writes: int, message: str
) -> None:
    ledger = f"{world.table_name}-ledger"
    create_table(world.dynamodb, ledger)

    @workflow
    class Order:
        @step
        def pay(self, ctx: StepContext) -> None:
            for key in range(writes):
                item = {"pk": {"S": str(key)}, "sk": {"S": "entry"}}
                ctx.transact({"Put": {"TableName": ledger, "Item": item}})
            for _ in range(runs):
                ctx.start("Letter", {"street": street}, after=3600)

    run = started(world, Order)
    if message:
        assert run.error is not None
        assert message in run.error.message
        assert run_ids(world) == ["order-1"]
    else:
        assert run.status is RunStatus.SUCCEEDED
        assert len({*run.started["pay"]}) == runs
        assert all(world.client.get(letter).workflow == "Letter" for letter in run.started["pay"])


def test_runs_and_writes_commit_together_or_not_at_all(world: World) -> None:
    ledger = f"{world.table_name}-ledger"
    create_table(world.dynamodb, ledger)
    entry = {"pk": {"S": "taken"}, "sk": {"S": "entry"}}
    put = {"TableName": ledger, "Item": entry, "ConditionExpression": "attribute_not_exists(pk)"}

    @workflow
    class Order:
        @step(retry=Retry(1, initial=5, jitter=0))
        def pay(self, ctx: StepContext) -> str:
            ctx.transact({"Put": put})
            return ctx.start("Letter", HOME["input"])

    world.dynamodb.put_item(TableName=ledger, Item=entry)
    run = started(world, Order)
    assert run.steps["pay"].status is StepStatus.PENDING
    assert run.steps["pay"].error is not None
    assert "operation 1: ConditionalCheckFailed" in run.steps["pay"].error.message
    assert run_ids(world) == ["order-1"]
    world.dynamodb.delete_item(TableName=ledger, Key=entry)
    world.clock.advance(5)
    world.pump(Order, Letter).drain()
    run = world.client.get("order-1")
    assert world.client.get(run.result).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize(
    ("after", "seconds"),
    [(0.5, 0.5), (90, 90), (130, 130), (timedelta(minutes=10), 600), (86_400, 86_400)],
)
def test_a_run_that_is_to_begin_later_begins_within_two_seconds_and_not_before(
    world: World, after: Any, seconds: float
) -> None:
    order = starting({**HOME, "after": after})
    (letter,) = started(world, order).result
    began = world.client.get(letter).created_at
    pump = world.pump(order, Letter)
    pump.pass_time(max(0, seconds - 200), step=max(1, (seconds - 200) / 10))
    while (run := world.client.get(letter)).status is not RunStatus.SUCCEEDED:
        assert world.clock.now() < began + seconds * 1000 + 2_000
        pump.pass_time(1)
    opened = run.steps["send"].started_at
    assert opened is not None
    assert opened >= began + seconds * 1000
    assert world.dead_letters() == []


def test_a_redrive_or_a_second_message_does_not_begin_a_later_run_before_its_time(
    world: World,
) -> None:
    (letter,) = started(world, starting({**HOME, "after": 3600})).result
    world.client.redrive(letter)
    world.pump(Letter).drain()
    assert world.client.get(letter).status is RunStatus.PENDING


def test_a_later_run_can_be_cancelled_before_it_begins(world: World) -> None:
    order = starting({**HOME, "after": 3600})
    (letter,) = started(world, order).result
    world.client.cancel(letter)
    world.pump(order, Letter).pass_time(4000, step=200)
    run = world.client.get(letter)
    assert (run.status, run.steps) == (RunStatus.CANCELLED, {})


def test_the_timeout_of_a_later_run_counts_from_when_it_begins(world: World) -> None:
    @workflow(timeout=60)
    class Soon:
        @step(awaits=["never"])
        def wait(self) -> None: ...

    order = starting({"workflow": "Soon", "after": 600})
    world.client.start("Order", run_id="order-1")
    pump = world.pump(order, Soon)
    pump.drain()
    (soon,) = world.client.get("order-1").result
    began = world.clock.now()
    pump.pass_time(665, step=5)
    run = world.client.get(soon)
    assert run.deadline is not None
    assert run.deadline >= began + 660_000


def test_a_started_run_costs_a_write_in_the_steps_transaction_and_a_message(world: World) -> None:
    def spent(order: type) -> tuple[int, int]:
        world.client.start("Order")
        pump = world.pump(order, Letter)
        calls = Calls(world.dynamodb, world.sqs)
        records = pump.receive()
        pump.invoke(records)
        calls.close()
        return calls.writes, calls.messages

    world.pump(starting(), Letter).drain()
    spent(starting())  # its graph is stored
    spent(starting(HOME))
    writes, messages = spent(starting())
    assert spent(starting(HOME, HOME)) == (writes, messages + 2)


@pytest.mark.parametrize("after", [0, 30, 300])
def test_a_step_that_runs_again_starts_in_each_round(world: World, after: float) -> None:
    @workflow
    class Order:
        @step
        def pay(self, ctx: StepContext) -> Any:
            ctx.start("Letter", {"street": f"round {ctx.round}"})
            ctx.start("Letter", {"street": "chosen"}, run_id=f"letter-{ctx.round}")
            ctx.progress({"round": ctx.round})
            return Again(after=after) if ctx.round < 2 else "done"

    world.client.start("Order", run_id="order-1")
    pump = world.pump(Order, Letter)
    pump.drain()
    if after:
        run = world.client.get("order-1")
        assert run.steps["pay"].progress == {"round": 0}
        assert [world.client.get(letter).result for letter in run.started["pay"]] == [
            "sent to round 0 1",
            "sent to chosen 1",
        ]
    pump.pass_time(2 * after + 5, step=10)
    run = world.client.get("order-1")
    ids = run.started["pay"]
    assert ids[1::2] == ("letter-0", "letter-1", "letter-2")
    assert [world.client.get(letter).result for letter in ids[::2]] == [
        f"sent to round {number} 1" for number in range(3)
    ]
    assert run_ids(world) == sorted(["order-1", *ids])


def test_the_end_of_many_rounds_nudges_only_what_the_last_one_started(world: World) -> None:
    @workflow
    class Order:
        @step
        def pay(self, ctx: StepContext) -> Any:
            ctx.start("Letter", HOME["input"])
            return Again(after=400) if ctx.round < 5 else "done"

    sent: list[str] = []

    class Counting(Forgetful):
        def send_message_batch(self, **given: Any) -> Any:
            sent.extend(json.loads(entry["MessageBody"])["run_id"] for entry in given["Entries"])
            return self._sqs.send_message_batch(**given)

    world.sqs = Counting(world.sqs)
    world.client.start("Order", run_id="order-1")
    pump = world.pump(Order, Letter)
    while world.client.get("order-1").status is not RunStatus.SUCCEEDED:
        pump.pass_time(100, step=20)
    assert sorted({*sent} - {"order-1"}) == sorted(run for run in sent if run != "order-1")


def test_a_started_run_is_in_the_trace_of_the_run_that_started_it(world: World) -> None:
    root = "1-6553f100-" + "a" * 24
    header = f"Root={root};Sampled=1"
    world.client.start("Order", run_id="order-1", trace_header=header)
    world.pump(starting(HOME), Letter).drain()
    (letter,) = world.client.get("order-1").result
    assert world.client.get(letter).trace == root


def test_a_workflow_may_start_its_own_next_run(world: World) -> None:
    @workflow
    class Daily:
        @step
        def work(self, day: int, ctx: StepContext) -> int:
            if day < 3:
                ctx.start(Daily, {"day": day + 1}, run_id=f"day-{day + 1}", after=3600)
            return day

    world.client.start("Daily", {"day": 1}, run_id="day-1")
    pump = world.pump(Daily)
    pump.pass_time(2 * 3600 + 300, step=100)
    assert [world.client.get(f"day-{day}").result for day in (1, 2, 3)] == [1, 2, 3]


def test_a_started_run_is_written_once_and_no_larger_than_start_writes_it(world: World) -> None:
    """A transaction charges two units for a kilobyte, `start` one: so it costs twice as much, and no more."""
    (letter,) = started(world, starting({**HOME, "after": 3600})).result
    world.client.start("Letter", HOME["input"], run_id="letter-1")
    mine, starts = (limits.item_bytes(world.run_item(run_id)) for run_id in (letter, "letter-1"))
    assert -(-mine // 1024) == -(-starts // 1024) == 1
    assert mine - starts < 120
