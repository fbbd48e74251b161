"""`ctx.progress`: what a step says of how far it is, and when others see it."""

from __future__ import annotations

import os
import threading
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import RunStatus, StepStatus
from fluxio_client.cli.tree import run_lines
from tests.moto.pump import Calls, LogLines, World


def reporting(*values: Any, flush: bool = False, then: Any = None, retry: int | Retry = 0) -> type:
    @workflow
    class Import:
        @step(retry=retry)
        def load(self, ctx: StepContext) -> str:
            for value in values:
                ctx.progress(value, flush=flush)
            if then is not None:
                then(ctx)
            return "loaded"

    return Import


@pytest.mark.parametrize("value", [7, "half", None, {"done": 3, "of": 9}, [1, 2]])
def test_a_flushed_report_is_there_while_the_step_runs(world: World, value: Any) -> None:
    seen: list[Any] = []

    def look(ctx: StepContext) -> None:
        run = world.client.get(ctx.run_id)
        seen.append((run.steps["load"].status, run.steps["load"].progress))
        (line,) = [
            str(one) for one in run_lines(run, None, world.clock.now(), 100) if "prog" in str(one)
        ]
        assert "progress: " in line

    run = world.run(reporting("before", value, flush=True, then=look))
    assert seen == [(StepStatus.RUNNING, value)]
    assert (run.status, run.steps["load"].progress) == (RunStatus.SUCCEEDED, None)


def test_a_report_alone_costs_nothing_and_a_flushed_one_a_write(world: World) -> None:
    def writes(cls: type) -> int:
        world.client.start("Import")
        calls = Calls(world.dynamodb)
        world.pump(cls).drain()
        calls.close()
        return calls.writes

    writes(reporting())  # its graph is stored
    without = writes(reporting())
    assert writes(reporting(1, 2, 3)) == without
    assert writes(reporting(1, 2, 3, flush=True)) == without + 3


def test_a_report_rides_on_the_commit_of_a_failed_attempt(world: World) -> None:
    def fail(ctx: StepContext) -> None:
        raise ConnectionError

    retried = reporting({"done": 1}, then=fail, retry=Retry(1, initial=600, jitter=0))
    step_ = world.run(retried).steps["load"]
    assert (step_.status, step_.progress) == (StepStatus.PENDING, {"done": 1})
    failed = world.run(reporting(1, 2, then=fail)).steps["load"]
    assert (failed.status, failed.progress) == (StepStatus.FAILED, 2)


def test_a_report_rides_on_the_commit_of_a_branch_beside_it(world: World) -> None:
    reported, seen = threading.Event(), threading.Event()

    @workflow
    class Branches:
        @step
        def quick(self) -> None:
            assert reported.wait(10)

        @step
        def slow(self, ctx: StepContext) -> Any:
            ctx.progress("half")
            reported.set()
            for _ in range(1000):
                now = world.client.get(ctx.run_id).steps["slow"].progress
                if now == "half" or seen.wait(0.01):
                    return now
            return None

    run = world.run(Branches)
    assert run.steps["slow"].output == "half"
    assert run.status is RunStatus.SUCCEEDED


def test_a_worker_that_has_lost_the_step_overwrites_nothing(world: World) -> None:
    class Late:
        def get_remaining_time_in_millis(self) -> int:
            return 120_000

    seen: list[Any] = []
    contexts: list[StepContext] = []

    @workflow
    class Import:
        @step(timeout=5)
        def load(self, ctx: StepContext) -> int:
            contexts.append(ctx)
            ctx.progress(f"attempt {ctx.attempt}", flush=True)
            if ctx.attempt == 1:
                world.clock.advance(16)  # longer than its lease
                other.handle({"Records": [record | {"attributes": again}]}, Late())
            else:
                contexts[0].progress("attempt 1, late", flush=True)
                seen.append(world.client.get(ctx.run_id).steps["load"].progress)
            return ctx.attempt

    world.client.start("Import", run_id="import-1")
    pump, other = world.pump(Import), world.pump(Import)
    (record,) = pump.receive()
    again = {**record["attributes"], "ApproximateReceiveCount": "2"}
    pump.invoke([record])
    pump.drain()
    assert world.client.get("import-1").result == 2
    assert seen == ["attempt 2"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x" * 199, "the value is 201 bytes of JSON; at most 200 stand in the run's item"),
        (object(), "the value cannot be stored as JSON"),
        (float("nan"), "the value cannot be stored as JSON"),
    ],
)
@pytest.mark.parametrize("flush", [False, True])
def test_what_cannot_be_kept_fails_the_step_at_once(
    world: World, value: Any, message: str, flush: bool
) -> None:
    run = world.run(reporting(value, flush=flush, retry=3))
    assert run.error is not None
    assert (run.error.type, run.error.attempt) == ("PayloadError", 1)
    assert "ctx.progress in run" in run.error.message
    assert message in run.error.message


def test_200_bytes_can_be_kept(world: World) -> None:
    assert world.run(reporting("x" * 198, flush=True)).status is RunStatus.SUCCEEDED


def test_a_step_goes_on_if_its_report_cannot_be_written(world: World, log_lines: LogLines) -> None:
    def stop(*_: Any, **__: Any) -> None:
        raise ConnectionError

    events = world.dynamodb.meta.events

    def outage(ctx: StepContext) -> None:
        events.register("before-call.dynamodb", stop)
        try:
            ctx.progress("secret", flush=True)
        finally:
            events.unregister("before-call.dynamodb", stop)

    assert world.run(reporting(then=outage)).status is RunStatus.SUCCEEDED
    (line,) = [line for line in log_lines() if line["message"] == "progress not written"]
    assert (line["step"], line["attempt"], line["error"]) == ("load", 1, "ConnectionError")
    assert "secret" not in str(log_lines())


def test_a_child_process_of_the_step_reports_nothing(world: World) -> None:
    statuses: list[int] = []

    def fork(ctx: StepContext) -> None:
        calls = Calls(world.dynamodb)
        if (child := os.fork()) == 0:
            ctx.progress("child", flush=True)
            os._exit(calls.writes)
        calls.close()
        statuses.append(os.waitpid(child, 0)[1])

    world.run(reporting("parent", flush=True, then=fork))
    assert statuses == [0]
