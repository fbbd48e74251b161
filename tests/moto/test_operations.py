"""What an operator does to runs: cancel them, send them on, give them a time limit, empty the dead letters."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio.manifest import Manifest
from fluxio_client import (
    InvalidInput,
    RunEnded,
    RunNotFound,
    RunStatus,
    StepStatus,
)
from fluxio_protocol import calls
from tests.moto.pump import Calls, Killed, World

pytestmark = pytest.mark.once

Executions = list[tuple[str, int]]


class Switch:
    """Steps that fail until it is on, and what they did."""

    def __init__(self) -> None:
        self.on = False
        self.executions: Executions = []

    def check(self, ctx: StepContext) -> None:
        self.executions.append((ctx.step, ctx.attempt))
        if not self.on:
            raise ConnectionError("the other side is down")


def failing(switch: Switch, retry: int | Retry = 0) -> type:
    """A workflow of a good step, a step that fails until the switch is on, and a last one."""

    @workflow
    class Failing:
        @step
        def good(self, ctx: StepContext) -> int:
            switch.executions.append((ctx.step, ctx.attempt))
            return 1

        @step(depends_on=["good"], retry=retry)
        def bad(self, good: int, ctx: StepContext) -> int:
            switch.check(ctx)
            return good + 1

        @step(depends_on=["bad"])
        def last(self, bad: int) -> int:
            return bad + 1

    return Failing


@pytest.fixture
def switch() -> Switch:
    return Switch()


@workflow
class Greeting:
    @step
    def greet(self) -> str:
        return "hello"


class TestCancel:
    def test_a_run_that_has_not_begun_never_does(self, world: World, calls: Calls) -> None:
        world.client.start("Greeting", run_id="g-1")
        run = world.client.cancel("g-1")
        assert (run.status, run.ended, run.ended_at) == (
            RunStatus.CANCELLED,
            True,
            world.clock.now(),
        )
        pump = world.pump(Greeting)
        pump.drain()
        assert world.client.get("g-1").status is RunStatus.CANCELLED
        assert world.client.get("g-1").steps == {}
        assert pump.answers == [{"batchItemFailures": []}]
        assert pump.sweep()["nudged"] == 0
        assert "ttl" in world.run_item("g-1")

    def test_a_step_under_way_is_recorded_and_nothing_follows(self, world: World) -> None:
        @workflow
        class Cancelling:
            @step
            def cancels(self, ctx: StepContext) -> str:
                world.client.cancel(ctx.run_id)
                return "done all the same"

            @step(depends_on=["cancels"])
            def never(self) -> None: ...

        run = world.run(Cancelling)
        assert run.status is RunStatus.CANCELLED
        assert run.steps["cancels"].output == "done all the same"
        assert run.steps["never"].attempt == 0

    def test_a_step_that_fails_meanwhile_is_not_tried_again(self, world: World) -> None:
        @workflow
        class Cancelling:
            @step(retry=5)
            def cancels(self, ctx: StepContext) -> None:
                world.client.cancel(ctx.run_id)
                raise ConnectionError

        world.client.start("Cancelling", run_id="c-1")
        world.pump(Cancelling).pass_time(60)
        run = world.client.get("c-1")
        assert (run.status, run.steps["cancels"].attempt) == (RunStatus.CANCELLED, 1)
        assert run.steps["cancels"].status is not StepStatus.RUNNING

    def test_a_cancelled_run_has_all_of_its_steps_though_its_graph_could_not_be_read_at_once(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @workflow
        class Waits:
            @step(awaits=["go"])
            def first(self) -> None: ...

            @step(depends_on=["first"])
            def second(self) -> None: ...

        run_id = world.run(Waits).run_id
        sound, failed = calls.Calls.get, []

        def get(self: calls.Calls, key: dict[str, Any], consistent: bool) -> dict[str, Any] | None:
            if key["sk"]["S"] == "def" and not failed:
                failed.append(key)
                raise ConnectionError
            return sound(self, key, consistent)

        monkeypatch.setattr(calls.Calls, "get", get)

        run = world.client.cancel(run_id)

        assert failed
        assert (run.status, [*run.steps]) == (RunStatus.CANCELLED, ["first", "second"])

    def test_cancelling_again_is_no_error(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        first = world.client.cancel("g-1")
        world.clock.advance(5)
        assert world.client.cancel("g-1") == first

    def test_a_run_that_has_ended_otherwise_cannot_be(self, world: World) -> None:
        run_id = world.run(Greeting).run_id
        with pytest.raises(RunEnded, match=f"run {run_id} is SUCCEEDED already"):
            world.client.cancel(run_id)
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    def test_a_waiting_client_is_told(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        world.client.cancel("g-1")
        assert world.client.wait("g-1", timeout=1).status is RunStatus.CANCELLED

    @pytest.mark.parametrize("call", ["cancel", "redrive"])
    def test_a_run_that_is_not_there(self, world: World, call: str) -> None:
        with pytest.raises(RunNotFound, match="there is no run g-1"):
            getattr(world.client, call)("g-1")
        with pytest.raises(InvalidInput):
            getattr(world.client, call)("a b")
        assert world.items() == []


class TestRedrive:
    def test_a_failed_run_goes_on_where_it_failed(self, world: World, switch: Switch) -> None:
        run = world.run(failing(switch))
        assert run.status is RunStatus.FAILED
        switch.on = True
        world.clock.advance(60)
        reopened = world.client.redrive(run.run_id)
        assert (reopened.status, reopened.error, reopened.ended_at) == (
            RunStatus.RUNNING,
            None,
            None,
        )
        world.pump(failing(switch)).drain()
        run = world.client.get(run.run_id)
        assert (run.status, run.result, run.error) == (RunStatus.SUCCEEDED, 3, None)
        assert switch.executions == [("good", 1), ("bad", 1), ("bad", 2)]
        assert world.client.list("Failing", status="FAILED").runs == []

    def test_a_failed_step_gets_all_its_attempts_again(self, world: World, switch: Switch) -> None:
        broken = failing(switch, retry=Retry(2, initial=1, jitter=0))
        world.client.start("Failing", run_id="f-1")
        pump = world.pump(broken)
        pump.pass_time(10)
        world.client.redrive("f-1")
        pump.pass_time(10)
        run = world.client.get("f-1")
        assert run.status is RunStatus.FAILED
        assert [attempt for name, attempt in switch.executions if name == "bad"] == [*range(1, 7)]

    def test_a_step_that_lost_its_workers_gets_as_many_again(self, world: World) -> None:
        @workflow
        class Deadly:
            @step(timeout=30)
            def deadly(self, ctx: StepContext) -> int:
                if ctx.attempt < 8:
                    raise Killed
                return ctx.attempt

        world.client.start("Deadly", run_id="d-1")
        pump = world.pump(Deadly)
        pump.pass_time(20 * 60, step=10)
        assert world.client.get("d-1").status is RunStatus.FAILED
        world.client.redrive("d-1")
        pump.pass_time(20 * 60, step=10)
        assert world.client.get("d-1").result == 8

    @pytest.mark.parametrize("inline_branches", [10, 0])
    def test_every_branch_that_failed_or_never_began_goes_on(
        self, world: World, switch: Switch, inline_branches: int
    ) -> None:
        @workflow
        class Branches:
            @step
            def begin(self) -> None: ...

            @step(depends_on=["begin"])
            def one(self, ctx: StepContext) -> int:
                switch.check(ctx)
                return 1

            @step(depends_on=["begin"])
            def two(self, ctx: StepContext) -> int:
                switch.check(ctx)
                return 2

            @step(depends_on=["one", "two"])
            def both(self, one: int, two: int) -> int:
                return one + two

        run = world.run(Branches, inline_branches=inline_branches)
        assert run.status is RunStatus.FAILED
        switch.on = True
        world.client.redrive(run.run_id)
        world.pump(Branches, inline_branches=inline_branches).drain()
        assert world.client.get(run.run_id).result == 3

    def test_a_parked_run_goes_on_when_what_was_missing_is_deployed(
        self, world: World, tmp_path: Path
    ) -> None:
        manifest = tmp_path / "entry_points.txt"
        manifest.write_text("[fluxio.workflows]\nGreeting = gone:Greeting\n")
        world.client.start("Greeting", run_id="g-1")
        world.pump(manifest=Manifest([tmp_path])).lose_patience()
        assert world.client.get("g-1").parked
        run = world.client.redrive("g-1")
        assert (run.status, run.error) == (RunStatus.PENDING, None)
        world.pump(Greeting).drain()
        assert world.client.get("g-1").result == "hello"

    def test_a_run_of_an_unknown_workflow_goes_on_when_it_is_deployed(self, world: World) -> None:
        run_id = world.client.start("Greeting").run_id
        world.pump().lose_patience()
        assert world.client.get(run_id).status is RunStatus.FAILED
        world.client.redrive(run_id)
        world.pump(Greeting).drain()
        assert world.client.get(run_id).result == "hello"

    def test_a_run_that_stopped_half_way_is_parked_and_goes_on(self, world: World) -> None:
        @workflow(name="Changing")
        class Before:
            @step
            def first(self) -> str:
                raise Killed

        @workflow(name="Changing")
        class After:
            @step
            def other(self) -> None: ...

        @workflow(name="Changing")
        class Mended:
            @step
            def first(self) -> str:
                return "mended"

        world.client.start("Changing", run_id="c-1")
        world.pump(Before).drain()
        world.pump(After).pass_time(480, step=10)
        assert world.client.get("c-1").parked
        assert world.client.redrive("c-1").status is RunStatus.RUNNING
        world.pump(Mended).drain()
        assert world.client.get("c-1").result == "mended"

    def test_a_lost_message_of_a_redrive_is_made_up_for_by_the_sweep(
        self, world: World, switch: Switch
    ) -> None:
        run = world.run(failing(switch))
        switch.on = True
        world.client.redrive(run.run_id)
        world.pump().receive()  # and never heard of again
        world.pump(failing(switch)).pass_time(61)
        assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED

    def test_an_open_run_is_only_nudged(self, world: World, calls: Calls) -> None:
        world.client.start("Greeting", run_id="g-1")
        calls.reset()
        assert world.client.redrive("g-1").status is RunStatus.PENDING
        assert (calls.writes, calls.messages) == (0, 1)
        world.pump(Greeting).drain()
        assert world.client.get("g-1").result == "hello"

    @pytest.mark.parametrize("end", ["SUCCEEDED", "CANCELLED"])
    def test_a_run_that_has_nothing_left_to_do_cannot_be(self, world: World, end: str) -> None:
        run_id = world.client.start("Greeting").run_id
        if end == "CANCELLED":
            world.client.cancel(run_id)
        world.pump(Greeting).drain()
        with pytest.raises(RunEnded, match=f"run {run_id} is {end}: only a run that FAILED"):
            world.client.redrive(run_id)


class TestRunTimeout:
    """`@workflow(timeout=…)`: a run that has not ended in time fails and says so."""

    def expired(self, world: World, run_id: str) -> None:
        run = world.client.get(run_id)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.type, run.error.step) == ("RunTimeout", None)
        assert run.error.message.startswith(
            "the run had not ended after the 60 s its workflow gives it. Raise the `timeout`"
        )

    def make(self, first: Callable[[StepContext], Any], retry: int | Retry = 0) -> type:
        @workflow(timeout=60)
        class Limited:
            @step(retry=retry)
            def first(self, ctx: StepContext) -> Any:
                return first(ctx)

            @step(depends_on=["first"])
            def second(self) -> str:
                return "in time"

        return Limited

    def test_a_run_that_ends_in_time_is_not_touched(self, world: World) -> None:
        run = world.run(self.make(lambda _: world.clock.advance(59)))
        assert (run.status, run.result) == (RunStatus.SUCCEEDED, "in time")

    def test_what_a_late_step_returns_is_recorded_and_nothing_follows(self, world: World) -> None:
        ran = []

        def late(ctx: StepContext) -> str:
            ran.append(ctx.step)
            world.clock.advance(60)
            return "late"

        run = world.run(self.make(late))
        self.expired(world, run.run_id)
        assert run.steps["first"].output == "late"
        assert run.steps["second"].status is not StepStatus.SUCCEEDED
        assert ran == ["first"]

    @pytest.mark.parametrize("minutes", [-10, -600, 10, 600])
    def test_the_clock_of_the_machine_that_started_it_does_not_count(
        self, world: World, minutes: int
    ) -> None:
        def start() -> str:
            client = world.client
            client._now = lambda: world.clock.now() + minutes * 60_000
            return client.start("Limited").run_id

        in_time, late = start(), ""
        pump = world.pump(self.make(lambda _: world.clock.advance(50)))
        pump.drain()
        assert world.client.get(in_time).status is RunStatus.SUCCEEDED
        late = start()
        world.clock.advance(30)
        world.pump(self.make(lambda _: world.clock.advance(31))).drain()
        self.expired(world, late)

    def test_a_run_that_is_redriven_before_any_worker_opened_it_has_its_time_anew(
        self, world: World
    ) -> None:
        run_id = world.client.start("Limited").run_id
        world.pump().lose_patience()
        world.clock.advance(3_600)
        world.client.redrive(run_id)
        world.pump(self.make(lambda _: None)).drain()
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    def test_a_run_that_expires_leaves_no_step_taken(self, world: World) -> None:
        late = self.make(lambda _: world.clock.advance(60))
        run = world.run(late, function_timeout=300)
        assert run.steps["second"].attempt == 0

    def test_a_run_that_waits_for_a_retry_expires_on_time(self, world: World) -> None:
        def fail(_: StepContext) -> None:
            raise ConnectionError

        world.client.start("Limited", run_id="l-1")
        pump = world.pump(self.make(fail, retry=Retry(9, initial=600, jitter=0)))
        pump.drain()
        pump.pass_time(59)
        assert world.client.get("l-1").status is RunStatus.RUNNING
        pump.pass_time(61)
        self.expired(world, "l-1")

    def test_a_run_that_waits_for_a_short_backoff_expires_too(self, world: World) -> None:
        def fail(_: StepContext) -> None:
            raise ConnectionError

        world.client.start("Limited", run_id="l-1")
        pump = world.pump(self.make(fail, retry=Retry(99, initial=7, backoff=1, jitter=0)))
        pump.pass_time(70)
        self.expired(world, "l-1")

    def test_the_time_counts_from_the_start_and_not_from_the_first_worker(
        self, world: World
    ) -> None:
        run_id = world.client.start("Limited").run_id
        world.clock.advance(60)
        ran = []
        world.pump(self.make(lambda ctx: ran.append(ctx.step))).drain()
        self.expired(world, run_id)
        assert ran == []

    def test_a_redriven_run_has_no_limit_any_more(self, world: World) -> None:
        run_id = world.client.start("Limited").run_id
        world.clock.advance(60)
        pump = world.pump(self.make(lambda _: None))
        pump.drain()
        self.expired(world, run_id)
        world.client.redrive(run_id)
        pump.pass_time(60)
        assert world.client.get(run_id).result == "in time"


class TestDeadLetters:
    def test_runs_go_on_and_what_is_no_nudge_stays(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        world.client.start("Greeting", run_id="g-2")
        world.send("not a nudge")
        pump = world.pump(Greeting, batch_size=10)
        for _ in range(11):  # received ten times by workers that never answered
            pump.receive()
            world.clock.advance(151)
        assert pump.receive() == []
        redriven = world.client.redrive_dead_letters(world.dlq_url)
        assert (redriven.nudged, redriven.malformed) == (2, 1)
        pump.drain()
        assert {world.client.get(run_id).result for run_id in ("g-1", "g-2")} == {"hello"}
        world.clock.advance(61)
        assert world.dead_letters() == ["not a nudge"]

    def test_an_empty_queue_is_no_error(self, world: World) -> None:
        redriven = world.client.redrive_dead_letters(world.dlq_url)
        assert (redriven.nudged, redriven.malformed) == (0, 0)
