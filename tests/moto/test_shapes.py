"""Graphs of every shape, and values of every size, come out right both ways of running a fan-out."""

from __future__ import annotations

import threading

import pytest

from fluxio import StepContext, step, workflow
from fluxio_client import RunStatus
from tests.moto.pump import Calls, World

both_ways = pytest.mark.parametrize("inline_branches", [10, 0], ids=["threads", "nudges"])

LONG = "x" * 50_000


def fan_out(branches: int) -> type:
    """A workflow of a root, so many branches, and a step that waits for all of them."""

    def begin(self, n: int) -> dict:
        return {"base": n}

    def end(self, **kwargs) -> dict:
        return {"total": sum(value for name, value in kwargs.items() if name.startswith("out_"))}

    body = {"begin": step(begin)}
    for at in range(branches):

        def branch(self, base: int, at: int = at) -> dict:
            return {f"out_{at}": base + at}

        branch.__name__ = branch.__qualname__ = f"branch_{at}"
        body[branch.__name__] = step(depends_on=["begin"])(branch)
    body["end"] = step(depends_on=[f"branch_{at}" for at in range(branches)])(end)
    return workflow(type("FanOut", (), body))


@workflow
class Chain:
    @step
    def a(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["a"])
    def b(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["b"])
    def c(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["c"])
    def d(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["d"])
    def e(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["e"])
    def f(self, n: int) -> dict:
        return {"n": n + 1}


@workflow
class Diamond:
    @step
    def top(self, n: int) -> dict:
        return {"top_n": n}

    @step(depends_on=["top"])
    def left(self, top_n: int) -> dict:
        return {"left_n": top_n * 2}

    @step(depends_on=["top"])
    def right(self, top_n: int) -> dict:
        return {"right_n": top_n * 3}

    @step(depends_on=["left", "right"])
    def bottom(self, left_n: int, right_n: int) -> dict:
        return {"sum": left_n + right_n}


@workflow
class ManyEnds:
    """Three roots; two leaves, one of which waits for two roots."""

    @step
    def one(self, n: int) -> int:
        return n + 1

    @step
    def two(self, n: int) -> int:
        return n + 2

    @step
    def alone(self) -> str:
        return "alone"

    @step(depends_on=["one", "two"])
    def both(self, one: int, two: int) -> dict:
        return {"sum": one + two}


@both_ways
@pytest.mark.parametrize(
    ("shape", "result"),
    [
        (Chain, {"n": 7}),
        (Diamond, {"sum": 5}),
        (ManyEnds, {"alone": "alone", "both": {"sum": 5}}),
    ],
)
def test_a_shape_runs_to_its_end(
    world: World, shape: type, result: object, inline_branches: int
) -> None:
    run = world.run(shape, {"n": 1}, inline_branches=inline_branches)
    assert (run.status, run.result, run.error) == (RunStatus.SUCCEEDED, result, None)
    assert {s.attempt for s in run.steps.values()} == {1}


@pytest.mark.parametrize("inline_branches", [0, 10, 20])
def test_a_fan_out_wider_than_inline_branches_is_joined_once(
    world: World, inline_branches: int
) -> None:
    wide = fan_out(25)
    run = world.run(wide, {"n": 100}, inline_branches=inline_branches)
    assert run.result == {"total": sum(100 + at for at in range(25))}
    assert {s.attempt for s in run.steps.values()} == {1}


def test_a_chain_of_6_takes_8_writes_1_message_and_1_invocation(world: World, calls: Calls) -> None:
    world.run(Chain, {"n": 0})
    calls.reset()
    world.client.start("Chain", {"n": 0})
    pump = world.pump(Chain)
    pump.drain()
    assert calls.writes <= 8
    assert calls.messages == 1
    assert len(pump.answers) == 1


@pytest.mark.parametrize(("branches", "writes"), [(3, 5), (20, 8), (100, 30)])
def test_quick_branches_commit_together_and_need_no_messages_of_their_own(
    world: World, calls: Calls, branches: int, writes: int
) -> None:
    """In real threads: the start, the opening, a write for each wave, and one with which the run ends."""
    wide = fan_out(branches)
    world.run(wide, {"n": 1})
    for _ in range(5 if branches == 3 else 1):
        calls.reset()
        run_id = world.client.start("FanOut", {"n": 1}).run_id
        pump = world.pump(wide)
        pump.drain()
        assert world.client.get(run_id).result == {"total": sum(1 + at for at in range(branches))}
        assert calls.writes <= writes
        assert (calls.messages, len(pump.answers)) == (1, 1)


def test_branches_run_side_by_side(world: World) -> None:
    met = threading.Barrier(2, timeout=10)

    @workflow
    class Meeting:
        @step
        def one(self) -> None:
            met.wait()

        @step
        def two(self) -> None:
            met.wait()

    assert world.run(Meeting).status is RunStatus.SUCCEEDED


def test_an_isolated_branch_gets_an_invocation_of_its_own(world: World) -> None:
    @workflow
    class Heavy:
        @step
        def light(self) -> None: ...

        @step(isolated=True)
        def heavy(self) -> None: ...

    world.client.start("Heavy", run_id="heavy-1")
    pump = world.pump(Heavy)
    pump.drain()
    assert len(pump.answers) == 2
    assert world.client.get("heavy-1").status is RunStatus.SUCCEEDED


def test_a_step_is_told_who_it_is(world: World) -> None:
    @workflow
    class WhoAmI:
        @step(timeout=30)
        def me(self, ctx: StepContext) -> dict:
            return {
                "who": [ctx.run_id, ctx.workflow, ctx.step, ctx.attempt],
                "key": ctx.idempotency_key,
                "time_left": ctx.deadline - world.clock.now(),
            }

    run = world.run(WhoAmI)
    assert run.result == {
        "who": [run.run_id, "WhoAmI", "me", 1],
        "key": f"{run.run_id}/me",
        "time_left": 30_000,
    }


class TestLongValues:
    """Values over 400 bytes stand in items of their own, which neither step nor reader notices."""

    @both_ways
    def test_long_input_and_outputs_reach_steps_and_reader(
        self, world: World, inline_branches: int
    ) -> None:
        @workflow
        class Long:
            @step
            def first(self, text: str) -> dict:
                return {"copy": text + "1"}

            @step(depends_on=["first"])
            def left(self, text: str, copy: str) -> dict:
                return {"left_copy": text + copy}

            @step(depends_on=["first"])
            def right(self, first: dict) -> dict:
                return {"right_copy": first["copy"]}

            @step(depends_on=["left", "right"])
            def last(self, left_copy: str, right_copy: str) -> dict:
                return {"whole": left_copy + right_copy}

        run = world.run(Long, {"text": LONG}, inline_branches=inline_branches)
        assert run.error is None
        assert run.input == {"text": LONG}
        assert run.steps["first"].output == {"copy": LONG + "1"}
        assert run.result == {"whole": LONG + LONG + "1" + LONG + "1"}

    def test_the_run_item_stays_short(self, world: World) -> None:
        @workflow
        class Long:
            @step
            def only(self, text: str) -> str:
                return text

        run = world.run(Long, {"text": LONG})
        item = world.run_item(run.run_id)
        assert len(str(item)) < 2_000
        assert (item["input_ref"]["S"], item["result_ref"]["S"]) == ("input", "out#only#1")
        assert run.result == LONG

    @both_ways
    def test_the_result_of_several_long_leaves(self, world: World, inline_branches: int) -> None:
        @workflow
        class LongLeaves:
            @step
            def one(self) -> str:
                return "1" * 1_000

            @step
            def two(self) -> str:
                return "2" * 1_000

            @step
            def short(self) -> int:
                return 3

        run = world.run(LongLeaves, inline_branches=inline_branches)
        assert run.status is RunStatus.SUCCEEDED
        assert run.result == {"one": "1" * 1_000, "two": "2" * 1_000, "short": 3}

    def test_short_leaves_whose_result_is_long(self, world: World) -> None:
        @workflow
        class ManyLeaves:
            @step
            def one(self) -> str:
                return "1" * 300

            @step
            def two(self) -> str:
                return "2" * 300

        run = world.run(ManyLeaves)
        assert run.result == {"one": "1" * 300, "two": "2" * 300}

    def test_leaves_too_long_for_one_result_fail_the_run_and_say_so(self, world: World) -> None:
        @workflow
        class HugeLeaves:
            @step
            def one(self) -> str:
                return "1" * 250_000

            @step
            def two(self) -> str:
                return "2" * 250_000

        run_id = world.client.start("HugeLeaves").run_id
        pump = world.pump(HugeLeaves)
        pump.drain()
        pump.pass_time(600, step=30)
        run = world.client.get(run_id)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert "result" in run.error.message
        assert "at most 390,000" in run.error.message
