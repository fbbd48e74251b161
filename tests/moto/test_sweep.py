"""The sweep finds the open runs that nobody has looked after, nudges each once, and moves its time on."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fluxio import step, workflow
from fluxio_client import RunStatus
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store
from tests.moto.pump import Calls, Invocation, LogLines, World

pytestmark = pytest.mark.once

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("golden/nudges.json").read_text())
FIVE_MINUTES = 300


@workflow
class Greeting:
    @step
    def greet(self) -> str:
        return "hello"


def lose_messages(world: World) -> None:
    world.sqs.purge_queue(QueueUrl=world.queue_url)


def test_a_run_is_nudged_when_its_time_is_past_and_then_left_alone(world: World) -> None:
    world.client.start("Greeting", run_id="g-1")
    lose_messages(world)
    pump = world.pump(Greeting)
    world.clock.advance(FIVE_MINUTES - 1)
    assert pump.sweep() == {"nudged": 0, "latest_ms": 0}
    world.clock.advance(3)
    assert pump.sweep() == {"nudged": 1, "latest_ms": 2_000}
    assert world.client.get("g-1").wake_at == world.clock.now() + FIVE_MINUTES * 1000
    assert pump.sweep()["nudged"] == 0
    pump.drain()
    assert world.client.get("g-1").result == "hello"


def test_its_message_is_the_golden_one(world: World) -> None:
    world.client.start("Greeting", run_id=GOLDEN["sweep"]["nudge"]["run_id"])
    lose_messages(world)
    world.clock.advance(FIVE_MINUTES)
    pump = world.pump(Greeting)
    pump.sweep()
    (record,) = pump.receive()
    assert json.loads(record["body"]) == GOLDEN["sweep"]["body"]
    assert record["attributes"]["MessageGroupId"] == GOLDEN["sweep"]["group"]
    assert record["attributes"]["MessageDeduplicationId"] == GOLDEN["sweep"]["deduplication"]


def test_all_due_runs_are_nudged_whatever_their_shard(world: World, calls: Calls) -> None:
    ids = [world.client.start("Greeting", run_id=f"g-{at}").run_id for at in range(25)]
    lose_messages(world)
    world.clock.advance(FIVE_MINUTES)
    pump = world.pump(Greeting)
    calls.reset()
    assert pump.sweep()["nudged"] == 25
    assert calls.messages == 25
    pump.drain()
    assert {world.client.get(run_id).status for run_id in ids} == {RunStatus.SUCCEEDED}


def test_a_sweep_that_is_short_of_time_leaves_the_rest_to_the_next(world: World) -> None:
    world.client.start("Greeting", run_id="g-1")
    world.clock.advance(FIVE_MINUTES)
    pump = world.pump(Greeting)
    answer = pump.handle({"fluxio": "sweep"}, Invocation(world.clock, seconds=4))
    assert answer["nudged"] == 0
    assert pump.sweep()["nudged"] == 1


def test_a_sweep_that_dies_between_message_and_write_sends_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.client.start("Greeting", run_id="g-1")
    lose_messages(world)
    world.clock.advance(FIVE_MINUTES)
    pump = world.pump(Greeting)

    def unreachable(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as outage:
        outage.setattr(Store, "apply", unreachable)
        with pytest.raises(ConnectionError):
            pump.sweep()
    assert pump.sweep()["nudged"] == 1
    assert len(pump.receive()) == 1, "the same message, that SQS takes for one"


def test_one_shard_that_cannot_be_swept_does_not_hold_the_others_up(
    world: World, monkeypatch: pytest.MonkeyPatch, log_lines: LogLines
) -> None:
    ids = [world.client.start("Greeting", run_id=f"g-{at}").run_id for at in range(12)]
    lose_messages(world)
    world.clock.advance(FIVE_MINUTES)
    pump = world.pump(Greeting)
    send = Queue.send

    def refuse_one(self: Queue, nudges: list) -> None:
        if any(nudge.run_id == "g-3" for nudge in nudges):
            raise ConnectionError
        send(self, nudges)

    with monkeypatch.context() as outage:
        outage.setattr(Queue, "send", refuse_one)
        with pytest.raises(ConnectionError):
            pump.sweep()
    (line,) = log_lines("shard not swept")
    assert line["error"] == "ConnectionError"
    pump.drain()
    left = {run_id for run_id in ids if world.client.get(run_id).status is RunStatus.PENDING}
    assert "g-3" in left
    assert len(left) < 8
    assert pump.sweep()["nudged"] == len(left)
