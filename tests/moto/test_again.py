"""`Again` and `RetryAfter`: a step is run again because it asks for that."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from fluxio import Again, Retry, RetryAfter, StepContext, failed, step, workflow
from fluxio_protocol.run import RunStatus, StepStatus
from tests.moto.pump import Calls, LogLines, World

pytestmark = pytest.mark.once


def test_a_step_that_returns_again_is_run_again_no_earlier_than_it_asked(world: World) -> None:
    rounds: list[tuple[int, Any, int]] = []

    @workflow(name="Polls")
    class Polls:
        @step
        def poll(self, ctx: StepContext) -> dict[str, int] | Again:
            rounds.append((ctx.round, ctx.state, world.clock.now()))
            if ctx.round < 3:
                return Again(after=30, state={"seen": ctx.round})
            return {"rounds": ctx.round}

    world.client.start("Polls", {}, run_id="p")
    world.pump(Polls).pass_time(150, step=2)
    run = world.client.get("p")
    assert run.result == {"rounds": 3}
    assert [(number, state) for number, state, _ in rounds] == [
        (0, None),
        (1, {"seen": 0}),
        (2, {"seen": 1}),
        (3, {"seen": 2}),
    ]
    waits = [later - earlier for (_, _, earlier), (_, _, later) in pairwise(rounds)]
    assert all(30_000 <= wait <= 34_000 for wait in waits)


def test_rounds_at_once_cost_one_write_each_and_leave_the_item_small(
    world: World, calls: Calls, log_lines: LogLines
) -> None:
    sizes: list[int] = []

    @workflow(name="Pages")
    class Pages:
        @step(retry=Retry(1, initial=0))
        def page(self, ctx: StepContext) -> dict[str, int] | Again:
            if ctx.round in (10, 150):
                sizes.append(world.client.get("p").item_bytes)
            if ctx.round < 150:
                return Again(state={"cursor": f"{ctx.round:08}"})
            return {"pages": ctx.round}

    world.client.start("Pages", {}, run_id="p")
    pump = world.pump(Pages)
    log_lines()
    calls.reset()
    pump.drain()
    run = world.client.get("p")
    assert run.result == {"pages": 150}
    assert calls.of("UpdateItem") <= 153
    assert calls.messages == 0
    assert sizes[1] - sizes[0] < 16
    assert [line for line in log_lines() if line["level"] not in ("INFO", "DEBUG")] == []


def test_rounds_with_waits_cost_two_writes_each(world: World, calls: Calls) -> None:
    @workflow(name="Polls")
    class Polls:
        @step
        def poll(self, ctx: StepContext) -> dict[str, int] | Again:
            return Again(after=10) if ctx.round < 20 else {"rounds": ctx.round}

    world.client.start("Polls", {}, run_id="p")
    pump = world.pump(Polls)
    calls.reset()
    pump.pass_time(300, step=5)
    assert world.client.get("p").result == {"rounds": 20}
    assert calls.of("UpdateItem") <= 2 * 20 + 3


def test_a_round_gives_the_step_its_retries_anew(world: World) -> None:
    @workflow(name="Flaky")
    class Flaky:
        @step(retry=Retry(1, initial=0))
        def work(self, ctx: StepContext) -> dict[str, int] | Again:
            if ctx.attempt % 2:
                raise OSError("each first attempt of a round fails")
            return Again() if ctx.round < 5 else {"attempts": ctx.attempt}

    world.client.start("Flaky", {}, run_id="f")
    world.pump(Flaky).pass_time(30)
    assert world.client.get("f").result == {"attempts": 12}


def test_a_long_state_has_an_item_of_its_own_that_goes_when_it_is_replaced(world: World) -> None:
    @workflow(name="Heavy")
    class Heavy:
        @step
        def work(self, ctx: StepContext) -> dict[str, int] | Again:
            if ctx.round < 3:
                return Again(after=1, state="x" * 5_000 + str(ctx.round))
            return {"last": int(ctx.state[-1])}

    world.client.start("Heavy", {}, run_id="h")
    world.pump(Heavy).pass_time(30)
    assert world.client.get("h").result == {"last": 2}
    ttls = {
        item["sk"]["S"]: int(item["ttl"]["N"]) - world.clock.now() // 1000
        for item in world.dynamodb.scan(TableName=world.table_name)["Items"]
        if item["sk"]["S"].startswith("state#")
    }
    assert len(ttls) == 3
    assert max(ttls.values()) <= 91 * 86_400


def test_a_deadline_ends_a_step_that_asks_again_for_ever(world: World) -> None:
    @workflow(name="Polls")
    class Polls:
        @step(deadline=timedelta(seconds=100))
        def poll(self) -> dict[str, int] | Again:
            return Again(after=30)

        @step(depends_on=[failed(poll, "StepDeadline")])
        def give_up(self) -> dict[str, int]:
            return {"at": world.clock.now()}

    began = world.clock.now()
    world.client.start("Polls", {}, run_id="p")
    world.pump(Polls).pass_time(150, step=2)
    run = world.client.get("p")
    assert run.steps["poll"].status is StepStatus.FAILED
    assert 100_000 <= run.result["at"] - began <= 104_000


@pytest.mark.parametrize("wrong", [-1, float("nan"), 40_000_000, True, "1"])
def test_a_wrong_wait_is_the_steps_failure(world: World, wrong: Any) -> None:
    @workflow(name="Wrong")
    class Wrong:
        @step
        def work(self) -> Any:
            return Again(after=wrong)

    world.client.start("Wrong", {}, run_id="w")
    world.pump(Wrong).drain()
    run = world.client.get("w")
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert "pass seconds 0 to 31,536,000" in run.error.message


def test_retry_after_waits_as_long_as_it_says_and_counts_as_an_attempt(world: World) -> None:
    at: list[int] = []

    @workflow(name="Limited")
    class Limited:
        @step(retry=Retry(1, initial=900))
        def call(self) -> dict[str, int]:
            at.append(world.clock.now())
            if len(at) == 1:
                raise RetryAfter(20)
            return {"calls": len(at)}

    world.client.start("Limited", {}, run_id="l")
    world.pump(Limited).pass_time(60, step=1)
    assert world.client.get("l").result == {"calls": 2}
    assert 20_000 <= at[1] - at[0] <= 22_000
    assert world.client.get("l").steps["call"].attempt == 2
