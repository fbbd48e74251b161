"""A step may wait for a signal: nothing runs meanwhile, and no signal is lost, whenever it comes."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import pytest

from fluxio import StepContext, step, workflow
from fluxio_client import (
    InvalidInput,
    NotNudged,
    PayloadError,
    RunEnded,
    RunNotFound,
    RunStatus,
    SignalExists,
    StepStatus,
)
from tests.moto.pump import Calls, World

YES = {"approver": "lee", "limit": 5}


@workflow
class Refund:
    @step
    def ask(self) -> dict[str, Any]:
        return {"asked": True}

    @step(depends_on=["ask"], awaits=["approved"])
    def pay(self, approver: str, asked: bool, limit: int = 0) -> dict[str, Any]:
        return {"approver": approver, "limit": limit, "asked": asked}

    @step(depends_on=["pay"])
    def tell(self, pay: dict[str, Any]) -> dict[str, Any]:
        return pay


@workflow
class Gate:
    """All of it waits: a root, for two signals."""

    @step(awaits=["left", "right"])
    def both(self, left: Any, right: Any) -> list[Any]:
        return [left, right]


def test_a_step_begins_when_its_signal_arrives_and_takes_its_arguments_from_it(
    world: World,
) -> None:
    run = world.run(Refund)
    assert (run.status, run.steps["pay"].status) == (RunStatus.RUNNING, StepStatus.PENDING)
    assert run.awaiting("pay") == ("approved",)

    world.client.signal(run.run_id, "approved", YES)
    world.pump(Refund).drain()

    run = world.client.get(run.run_id)
    assert run.status is RunStatus.SUCCEEDED
    assert run.result == {**YES, "asked": True}
    assert run.signals == {"approved": YES}
    assert run.awaiting("pay") == ()


def test_nothing_is_held_and_next_to_nothing_is_spent_while_a_run_waits(
    world: World, calls: Calls
) -> None:
    run = world.run(Refund)
    pump = world.pump(Refund)
    pump.pass_time(600, step=60)
    assert pump.receive() == []
    calls.reset()
    pump.pass_time(12 * 3600, step=1800)
    assert (calls.writes, calls.messages) == (0, 0)

    world.client.signal(run.run_id, "approved", YES)
    pump.drain()
    assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED


def test_a_signal_may_come_before_a_worker_has_opened_the_run(world: World) -> None:
    run_id = world.client.start("Refund").run_id
    world.client.signal(run_id, "approved", YES)
    world.pump(Refund).drain()
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED


@pytest.mark.parametrize("inline_branches", [0, 10])
def test_a_root_may_wait_for_several_signals(world: World, inline_branches: int) -> None:
    run = world.run(Gate, inline_branches=inline_branches)
    pump = world.pump(Gate, inline_branches=inline_branches)
    world.client.signal(run.run_id, "right", 2)
    pump.drain()
    run = world.client.get(run.run_id)
    assert (run.status, run.awaiting("both")) == (RunStatus.RUNNING, ("left",))
    world.client.signal(run.run_id, "left", [1])
    pump.drain()
    assert world.client.get(run.run_id).result == [[1], 2]


def test_a_signal_whose_message_is_lost_is_seen_by_the_next_sweep(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run(Refund)

    def refuse(**_: Any) -> Any:
        raise ConnectionError("no way to SQS")

    with monkeypatch.context() as cut:
        cut.setattr(world.sqs, "send_message_batch", refuse)
        with pytest.raises(NotNudged, match="signal it again"):
            world.client.signal(run.run_id, "approved", YES)
    world.pump(Refund).pass_time(90, step=30)
    assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED


def test_the_same_signal_again_is_the_same_signal(world: World) -> None:
    run = world.run(Refund)
    world.client.signal(run.run_id, "approved", YES)
    world.client.signal(run.run_id, "approved", dict(reversed(YES.items())))
    world.pump(Refund).drain()
    assert world.client.get(run.run_id).steps["pay"].attempt == 1


def test_the_first_of_two_different_signals_stands(world: World) -> None:
    run = world.run(Refund)
    world.client.signal(run.run_id, "approved", YES)
    with pytest.raises(SignalExists, match=f"signal approved of run {run.run_id}"):
        world.client.signal(run.run_id, "approved", {"approver": "kim"})
    world.pump(Refund).drain()
    assert world.client.get(run.run_id).result["approver"] == "lee"


def test_a_long_payload_arrives_whole(world: World) -> None:
    long = {"approver": "x" * 50_000}
    run = world.run(Refund)
    world.client.signal(run.run_id, "approved", long)
    with pytest.raises(SignalExists):
        world.client.signal(run.run_id, "approved", {"approver": "y" * 50_000})
    world.client.signal(run.run_id, "approved", long)
    world.pump(Refund).drain()
    run = world.client.get(run.run_id)
    assert run.result["approver"] == long["approver"]
    assert run.signals == {"approved": long}


def test_a_parked_run_keeps_a_signal_for_its_redrive(world: World) -> None:
    @workflow(name="Refund")
    class Older:
        @step
        def ask(self) -> dict[str, Any]:
            return {"asked": True}

    run = world.run(Refund)
    world.client.redrive(run.run_id)
    world.pump(Older).lose_patience()  # which lacks the steps that the run still needs
    assert world.client.get(run.run_id).status is RunStatus.WAITING

    assert world.client.signal(run.run_id, "approved", YES).status is RunStatus.WAITING
    world.clock.advance(1)
    world.client.redrive(run.run_id)
    world.pump(Refund).drain()
    assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED


def test_a_step_that_failed_has_its_signal_when_it_is_redriven(world: World) -> None:
    fails = True

    @workflow
    class Once:
        @step(awaits=["go"])
        def first(self, go: int, ctx: StepContext) -> int:
            if fails:
                raise ValueError("not yet")
            return go + ctx.attempt

    run_id = world.client.start("Once").run_id
    world.client.signal(run_id, "go", 40)
    world.pump(Once).drain()
    assert world.client.get(run_id).status is RunStatus.FAILED
    fails = False
    world.client.redrive(run_id)
    world.pump(Once).drain()
    assert world.client.get(run_id).result == 42


def test_steps_that_await_as_many_signals_as_they_may_are_run(world: World) -> None:
    # Ten claims that ask for a hundred signals each, 145 together, are more than one write holds.
    signals = [f"{'s' * 36}_{at:03}" for at in range(145)]

    def each(self: object, ctx: StepContext) -> str:
        return ctx.step

    steps = {
        f"step_{at}": step(awaits=signals[5 * at : 5 * at + 100])(renamed(each, f"step_{at}"))
        for at in range(10)
    }
    wide = workflow(type("Wide", (), steps))
    run_id = world.client.start("Wide").run_id
    pump = world.pump(wide)
    pump.drain()
    put_signals(world, run_id, signals[1:])
    world.client.signal(run_id, signals[0])
    pump.pass_time(400)
    assert world.client.get(run_id).result == {name: name for name in steps}


def put_signals(world: World, run_id: str, names: list[str]) -> None:
    key = {"pk": {"S": run_id}, "sk": {"S": "run"}}
    item = world.dynamodb.get_item(TableName=world.table_name, Key=key)["Item"]
    item |= {f"signal:{name}": {"S": "{}"} for name in names}
    world.dynamodb.put_item(TableName=world.table_name, Item=item)


def renamed(function: Any, name: str) -> Any:
    made = FunctionType(function.__code__, function.__globals__, name, closure=function.__closure__)
    made.__annotations__, made.__qualname__ = function.__annotations__, f"Wide.{name}"
    return made


class TestBadInput:
    def test_no_step_waits_for_it(self, world: World) -> None:
        run = world.run(Refund)
        with pytest.raises(InvalidInput, match=r"waits for a signal 'aproved': .* approved"):
            world.client.signal(run.run_id, "aproved")

    def test_it_has_no_name_that_a_signal_can_have(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="signal name"):
            world.client.signal("r", "not a name")

    def test_there_is_no_such_run(self, world: World) -> None:
        with pytest.raises(RunNotFound):
            world.client.signal("never-started", "approved")

    def test_the_run_has_ended(self, world: World) -> None:
        run = world.run(Refund)
        world.client.cancel(run.run_id)
        with pytest.raises(RunEnded, match="CANCELLED"):
            world.client.signal(run.run_id, "approved")

    def test_more_come_before_a_worker_opened_the_run_than_any_workflow_awaits(
        self, world: World
    ) -> None:
        run_id = world.client.start("Refund").run_id
        world.client.signal(run_id, "approved", YES)
        put_signals(world, run_id, [f"s{at}" for at in range(149)])
        with pytest.raises(InvalidInput, match="has 150 signals already, and no worker has opened"):
            world.client.signal(run_id, "another")
        assert world.client.signal(run_id, "approved", YES).signals["approved"] == YES
        world.pump(Refund).drain()
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    def test_the_payload_is_no_json(self, world: World) -> None:
        run = world.run(Refund)
        with pytest.raises(PayloadError, match="the signal approved of run"):
            world.client.signal(run.run_id, "approved", {"when": object()})
