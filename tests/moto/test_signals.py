"""A step may wait for a signal: nothing runs meanwhile, and no signal is lost, whenever it comes."""

from __future__ import annotations

from types import FunctionType
from typing import Any

import pytest
from pydantic import BaseModel

from fluxio import StepContext, step, workflow
from fluxio.binding import Signature
from fluxio_client import (
    InvalidInput,
    NotNudged,
    PayloadError,
    Run,
    RunEnded,
    RunNotFound,
    RunStatus,
    SignalExists,
    StepStatus,
)
from tests.moto.pump import Calls, Killed, World

YES = {"approver": "lee", "limit": 5}


@workflow
class Refund:
    @step
    def ask(self) -> dict[str, Any]:
        return {"asked": True}

    @step(depends_on=["ask"], awaits=["approved"])
    def pay(self, approved: dict[str, Any], asked: bool) -> dict[str, Any]:
        return {**approved, "asked": asked}

    @step(depends_on=["pay"])
    def tell(self, pay: dict[str, Any]) -> dict[str, Any]:
        return pay


@workflow
class Gate:
    """All of it waits: a root, for two signals."""

    @step(awaits=["left", "right"])
    def both(self, left: Any, right: Any) -> list[Any]:
        return [left, right]


def test_a_step_begins_when_its_signal_arrives_and_takes_what_it_brought(
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


class Approval(BaseModel):
    by: str
    limit: int = 0


@workflow
class Typed:
    @step
    def ask(self) -> dict[str, Any]:
        return {"amount": 100, "by": "the step before"}

    @step(depends_on=["ask"], awaits=["approved"], retry=1)
    def pay(
        self, approved: Approval, amount: int, by: str, note: str = "-", **kwargs: Any
    ) -> dict[str, Any]:
        return {"amount": amount, "by": by, "approved": approved.by, "note": note, "rest": kwargs}


@workflow
class Count:
    @step(awaits=["first", "second"])
    def add(self, first: int, second: int) -> int:
        return first + second


def signalled(world: World, run_id: str, name: str, payload: Any, **more: Any) -> Run:
    """The run after a signal, when nothing is left to do."""
    world.client.signal(run_id, name, payload, **more)
    world.pump(Typed, Count).drain()
    return world.client.get(run_id)


class TestWhatASignalMaySupply:
    """Who may send a signal may not change what the run was started with, or what its steps returned."""

    def test_its_payload_is_bound_under_its_own_name_and_no_other(self, world: World) -> None:
        run_id = world.run(Typed, {"note": "input", "more": 1}).run_id
        payload = {"by": "kim", "amount": 1, "note": "from the signal", "more": 2, "extra": 3}
        run = signalled(world, run_id, "approved", payload)
        assert run.result == {
            "amount": 100,
            "by": "the step before",
            "approved": "kim",
            "note": "input",
            "rest": {"more": 1},
        }

    def test_kwargs_have_it_under_its_name(self) -> None:
        def s(self: Any, **kwargs: Any) -> None: ...

        bound = Signature.of(s, "W.s").bind(
            {"a": 1}, {"d": {"b": 2}}, None, {"go": {"a": 9, "b": 9}}
        )
        assert bound == {"a": 1, "b": 2, "go": {"a": 9, "b": 9}}

    def test_an_input_of_the_signals_name_does_not_stand_in_for_it(self, world: World) -> None:
        run_id = world.run(Typed, {"approved": {"by": "whoever starts it"}}).run_id
        assert signalled(world, run_id, "approved", {"by": "kim"}).result["approved"] == "kim"


class TestAPayloadThatDoesNotFit:
    """A refused payload leaves the run open, is shown, and may be sent anew."""

    @pytest.mark.parametrize(
        "payload", ["maybe", None, [], {"by": 7}, {"limit": 1}, {"by": "x" * 1000, "limit": "many"}]
    )
    def test_its_step_waits_again_and_says_why(self, world: World, payload: Any) -> None:
        run = signalled(world, world.run(Typed).run_id, "approved", payload)
        pay = run.steps["pay"]
        assert (run.status, pay.status) == (RunStatus.RUNNING, StepStatus.PENDING)
        assert run.awaiting("pay") == ("approved",)
        assert pay.error is not None
        assert pay.error.type == "BindingError"
        assert "approved" in pay.error.message

        run = signalled(world, run.run_id, "approved", {"by": "kim"})
        assert (run.status, run.result["approved"]) == (RunStatus.SUCCEEDED, "kim")

    def test_it_costs_none_of_the_steps_retries_however_often(self, world: World) -> None:
        run_id = world.run(Typed).run_id
        for at in range(8):
            run = signalled(world, run_id, "approved", at)
            assert (run.status, run.awaiting("pay")) == (RunStatus.RUNNING, ("approved",))
        assert signalled(world, run_id, "approved", {"by": "kim"}).status is RunStatus.SUCCEEDED

    def test_the_same_payload_may_be_sent_and_refused_again(self, world: World) -> None:
        run_id = world.run(Typed).run_id
        for _ in range(2):
            assert signalled(world, run_id, "approved", "maybe").awaiting("pay") == ("approved",)

    def test_the_signals_that_fit_stay(self, world: World) -> None:
        run_id = world.run(Count).run_id
        signalled(world, run_id, "first", 1)
        run = signalled(world, run_id, "second", "two")
        assert (run.awaiting("add"), run.signals) == (("second",), {"first": 1})
        assert signalled(world, run_id, "second", 2).result == 3

    def test_steps_that_refuse_it_together_wait_for_it_together(self, world: World) -> None:
        @workflow
        class Both:
            @step(awaits=["approved"])
            def one(self, approved: int) -> int:
                return approved

            @step(awaits=["approved"])
            def other(self, approved: bool | int) -> int:
                return approved

        run_id = world.client.start("Both").run_id
        world.client.signal(run_id, "approved", "maybe")
        pump = world.pump(Both)
        pump.drain()
        run = world.client.get(run_id)
        assert {one.status for one in run.steps.values()} == {StepStatus.PENDING}
        assert run.awaiting("one") == run.awaiting("other") == ("approved",)
        world.client.signal(run_id, "approved", 1)
        pump.drain()
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    def test_a_step_that_is_taken_over_after_another_refused_it_waits_for_it_again(
        self, world: World
    ) -> None:
        @workflow
        class Apart:
            @step(awaits=["approved"], timeout=30)
            def dies(self, approved: Any, ctx: StepContext) -> Any:
                if approved == "maybe":
                    raise Killed
                return ctx.attempt

            @step(awaits=["approved", "note"])
            def refuses(self, approved: int, note: Any) -> int:
                return approved

        run_id = world.client.start("Apart").run_id
        world.client.signal(run_id, "approved", "maybe")
        pump = world.pump(Apart)
        pump.drain()
        world.client.signal(run_id, "note", 1)
        pump.drain()
        pump.pass_time(900, step=10)
        run = world.client.get(run_id)
        assert run.status is RunStatus.RUNNING
        assert (run.steps["dies"].status, run.awaiting("dies")) == (
            StepStatus.PENDING,
            ("approved",),
        )
        world.client.signal(run_id, "approved", 1)
        pump.drain()
        assert world.client.get(run_id).result == {"dies": 3, "refuses": 1}

    def test_while_it_waits_again_nothing_is_spent(self, world: World, calls: Calls) -> None:
        signalled(world, world.run(Typed).run_id, "approved", "maybe")
        pump = world.pump(Typed)
        pump.pass_time(600, step=60)
        calls.reset()
        pump.pass_time(12 * 3600, step=1800)
        assert (calls.writes, calls.messages) == (0, 0)

    def test_the_message_of_the_new_one_is_no_duplicate(self, world: World) -> None:
        run_id = signalled(world, world.run(Typed).run_id, "approved", "maybe").run_id
        world.client.signal(run_id, "approved", {"by": "kim"})
        assert world.pump(Typed).receive()


class TestReplace:
    """`replace=True` puts another payload in the place of one that no step has taken."""

    def test_before_the_run_is_opened(self, world: World) -> None:
        run_id = world.client.start("Typed").run_id
        world.client.signal(run_id, "approved", {"by": "lee"})
        with pytest.raises(SignalExists, match="replace=True"):
            world.client.signal(run_id, "approved", {"by": "kim"})
        assert (
            signalled(world, run_id, "approved", {"by": "kim"}, replace=True).result["approved"]
            == "kim"
        )

    @pytest.mark.parametrize(("first", "second"), [(1, 2), ("x" * 500, 2), (1, "y" * 500)])
    def test_while_another_signal_is_missing(self, world: World, first: Any, second: Any) -> None:
        run_id = world.run(Gate).run_id
        world.client.signal(run_id, "left", first)
        world.client.signal(run_id, "left", second, replace=True)
        world.client.signal(run_id, "left", second, replace=True)
        world.client.signal(run_id, "right", 3)
        world.pump(Gate).drain()
        assert world.client.get(run_id).result == [second, 3]

    def test_in_a_run_that_failed_for_its_redrive(self, world: World) -> None:
        @workflow
        class Picky:
            @step(awaits=["go"])
            def first(self, go: int) -> int:
                if go < 0:
                    raise ValueError("not this one")
                return go

        run_id = world.client.start("Picky").run_id
        world.client.signal(run_id, "go", -1)
        world.pump(Picky).drain()
        assert world.client.get(run_id).status is RunStatus.FAILED
        assert world.client.signal(run_id, "go", 5, replace=True).status is RunStatus.FAILED
        world.client.redrive(run_id)
        world.pump(Picky).drain()
        assert world.client.get(run_id).result == 5

    def test_not_once_a_step_has_succeeded_with_it(self, world: World) -> None:
        @workflow
        class Twice:
            @step(awaits=["go"])
            def first(self, go: int) -> int:
                return go

            @step(depends_on=["first"], awaits=["go", "more"])
            def second(self, go: int, more: int) -> int:
                return go

        run_id = world.client.start("Twice").run_id
        world.client.signal(run_id, "go", 1)
        world.pump(Twice).drain()
        with pytest.raises(SignalExists, match="first has taken it"):
            world.client.signal(run_id, "go", 2, replace=True)

    def test_without_one_before_it_is_a_signal_like_any_other(self, world: World) -> None:
        run_id = world.run(Typed).run_id
        assert (
            signalled(world, run_id, "approved", {"by": "kim"}, replace=True).result["approved"]
            == "kim"
        )
