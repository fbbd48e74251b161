"""A step that fails, hangs or kills its worker is tried again as it asks for, and no longer."""

from __future__ import annotations

import math
import time
from contextlib import suppress

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import Failure, Run, RunStatus, StepStatus
from fluxio_protocol.clock import now_ms
from tests.moto.pump import Calls, Killed, LogLines, World

SECRET = "4111 1111 1111 1111"

both_ways = pytest.mark.parametrize("inline_branches", [10, 0], ids=["threads", "nudges"])


class Refused(Exception):
    """What no retry mends, says the step."""


def failing_until(attempt: int, retry: int | Retry) -> type:
    """A workflow whose middle step succeeds at its n-th attempt, if it gets so many."""

    @workflow
    class Flaky:
        @step
        def first(self) -> dict:
            return {"n": 1}

        @step(depends_on=["first"], retry=retry)
        def flaky(self, n: int, ctx: StepContext) -> dict:
            if ctx.attempt < attempt:
                raise ConnectionError(f"no answer from {SECRET}")
            return {"attempts": ctx.attempt}

        @step(depends_on=["flaky"])
        def last(self, attempts: int) -> dict:
            return {"attempts": attempts}

    return Flaky


class TestRetry:
    def test_a_short_backoff_is_waited_for_by_the_message_itself(
        self, world: World, calls: Calls
    ) -> None:
        flaky = failing_until(3, retry=Retry(3, initial=2, backoff=3, jitter=0))
        world.client.start("Flaky", run_id="flaky-1")
        pump = world.pump(flaky)
        pump.drain()
        assert world.client.get("flaky-1").steps["flaky"].status is StepStatus.PENDING
        world.clock.advance(1)
        pump.drain()
        assert world.client.get("flaky-1").steps["flaky"].attempt == 1
        world.clock.advance(1)
        pump.drain()
        assert world.client.get("flaky-1").steps["flaky"].attempt == 2
        world.clock.advance(6)
        pump.drain()
        run = world.client.get("flaky-1")
        assert (run.status, run.result) == (RunStatus.SUCCEEDED, {"attempts": 3})
        assert run.steps["flaky"].error is None
        assert calls.messages == 1

    def test_a_long_backoff_holds_no_message(self, world: World) -> None:
        flaky = failing_until(2, retry=Retry(1, initial=600, jitter=0))
        world.client.start("Flaky", run_id="flaky-1")
        pump = world.pump(flaky)
        pump.drain()
        assert pump.answers == [{"batchItemFailures": []}]
        run = world.client.get("flaky-1")
        assert run.wake_at == world.clock.now() + 480_000
        world.clock.advance(479)
        assert pump.sweep()["nudged"] == 0
        world.clock.advance(1)
        assert pump.sweep() == {"nudged": 1, "latest_ms": 0}
        pump.drain()
        assert world.client.get("flaky-1").steps["flaky"].attempt == 1
        world.clock.advance(120)
        pump.drain()
        assert world.client.get("flaky-1").result == {"attempts": 2}

    def test_a_waiting_step_never_brings_its_run_to_the_dead_letter_queue(
        self, world: World
    ) -> None:
        flaky = failing_until(16, retry=Retry(15, initial=60, backoff=1, jitter=0))
        world.client.start("Flaky", run_id="flaky-1")
        pump = world.pump(flaky)
        pump.pass_time(20 * 60, step=10)
        assert world.dead_letters() == []
        assert world.client.get("flaky-1").result == {"attempts": 16}

    def test_attempts_that_are_used_up_fail_step_and_run_and_say_why(self, world: World) -> None:
        flaky = failing_until(9, retry=Retry(2, initial=1, jitter=0))
        world.client.start("Flaky", run_id="flaky-1")
        pump = world.pump(flaky)
        pump.pass_time(10)
        run = world.client.get("flaky-1")
        failure = Failure("ConnectionError", f"no answer from {SECRET}", "flaky", 3)
        assert (run.status, run.error) == (RunStatus.FAILED, failure)
        assert {name: s.status for name, s in run.steps.items()} == {
            "first": StepStatus.SUCCEEDED,
            "flaky": StepStatus.FAILED,
            "last": StepStatus.PENDING,
        }
        assert run.steps["flaky"].error == failure

    def test_without_retry_one_failure_is_enough(self, world: World) -> None:
        run = world.run(failing_until(2, retry=0))
        assert (run.status, run.steps["flaky"].attempt) == (RunStatus.FAILED, 1)

    @pytest.mark.parametrize(
        "retry",
        [Retry(5, retry_on=(ValueError,)), Retry(5, give_up_on=(OSError,))],
        ids=["not in retry_on", "in give_up_on"],
    )
    def test_an_exception_that_is_not_retried_fails_at_once(
        self, world: World, retry: Retry
    ) -> None:
        run = world.run(failing_until(2, retry=retry))
        assert (run.status, run.steps["flaky"].attempt) == (RunStatus.FAILED, 1)

    @both_ways
    def test_a_branch_that_fails_does_not_undo_the_others(
        self, world: World, inline_branches: int
    ) -> None:
        @workflow
        class Branches:
            @step
            def begin(self) -> None: ...

            @step(depends_on=["begin"])
            def good(self) -> str:
                return "kept"

            @step(depends_on=["begin"])
            def bad(self) -> None:
                raise Refused("no")

            @step(depends_on=["good", "bad"])
            def end(self) -> None: ...

        run = world.run(Branches, inline_branches=inline_branches)
        assert run.status is RunStatus.FAILED
        assert run.error == Failure("Refused", "no", "bad", 1)
        assert run.steps["bad"].status is StepStatus.FAILED
        assert run.steps["end"].status is StepStatus.PENDING
        if run.steps["good"].status is StepStatus.SUCCEEDED:
            assert run.steps["good"].output == "kept"
        else:  # its message came after the run had failed
            assert run.steps["good"].attempt == 0

    def test_a_branch_that_waits_for_its_retry_does_not_hold_up_the_others(
        self, world: World
    ) -> None:
        @workflow
        class Branches:
            @step(retry=Retry(1, initial=5, jitter=0))
            def flaky(self, ctx: StepContext) -> None:
                if ctx.attempt == 1:
                    raise Refused

            @step
            def steady(self) -> None: ...

            @step(depends_on=["steady"])
            def after(self) -> None: ...

        world.client.start("Branches", run_id="branches-1")
        pump = world.pump(Branches)
        pump.drain()
        run = world.client.get("branches-1")
        assert run.steps["after"].status is StepStatus.SUCCEEDED
        world.clock.advance(5)
        pump.drain()
        assert world.client.get("branches-1").status is RunStatus.SUCCEEDED

    def test_a_failed_run_is_found_among_the_failed(self, world: World) -> None:
        run = world.run(failing_until(2, retry=0))
        (listed,) = world.client.list("Flaky", status="FAILED").runs
        assert (listed.run_id, listed.ended_at) == (run.run_id, run.ended_at)


class TestErrorsThatNoRetryMends:
    """They fail the step at its first attempt, however many it has left."""

    def fail(self, world: World, workflow: type, input: object = None) -> Run:
        run = world.run(workflow, input)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.attempt == 1
        assert run.steps[str(run.error.step)].error == run.error
        return run

    @pytest.mark.parametrize(
        "output", [object(), {1, object()}, float("nan"), "\ud800", {("a", "b"): 1}]
    )
    def test_an_output_that_cannot_be_json(self, world: World, output: object) -> None:
        @workflow
        class Odd:
            @step(retry=9)
            def odd(self) -> object:
                return output

        run = self.fail(world, Odd)
        assert run.error is not None
        assert run.error.type == "PayloadError"
        assert run.error.message.startswith(
            f"run {run.run_id} step odd (attempt 1): the output cannot be stored as JSON"
        )

    def test_an_output_that_is_too_large(self, world: World) -> None:
        @workflow
        class Huge:
            @step(retry=9)
            def huge(self) -> str:
                return "x" * 390_000

        run = self.fail(world, Huge)
        assert run.error is not None
        assert "step huge (attempt 1): the output is 390,002 bytes" in run.error.message
        assert "S3" in run.error.message

    @pytest.mark.parametrize(
        ("input", "problem"),
        [
            ({}, "nothing supplies the parameter 'n'"),
            ({"n": "many"}, "the value of the parameter 'n' does not fit its type"),
        ],
    )
    def test_a_parameter_that_cannot_be_supplied(
        self, world: World, input: object, problem: str
    ) -> None:
        @workflow
        class Needy:
            @step(retry=9)
            def needy(self, n: int) -> None: ...

        run = self.fail(world, Needy, input=input)
        assert run.error is not None
        assert run.error.type == "BindingError"
        assert run.error.message.startswith(problem)


class TestTimeout:
    def test_a_step_alone_is_interrupted_at_its_timeout(self, world: World) -> None:
        @workflow
        class Busy:
            @step(timeout=0.2)
            def busy(self) -> None:
                end = time.monotonic() + 10
                while time.monotonic() < end:
                    with suppress(Exception):  # what a step's own handlers may swallow
                        math.factorial(100)

        began = time.monotonic()
        run = world.run(Busy)
        assert time.monotonic() - began < 5
        assert run.status is RunStatus.FAILED
        assert run.error == Failure(
            "TimeoutError",
            "took longer than its timeout of 0.2 s. Raise `timeout` of the step, or make it do less.",
            "busy",
            1,
        )

    def test_a_timeout_is_retried_like_an_exception(self, world: World) -> None:
        @workflow
        class Slow:
            @step(timeout=0.2, retry=Retry(1, initial=1))
            def slow(self, ctx: StepContext) -> int:
                while ctx.attempt == 1:
                    pass
                return ctx.attempt

        world.client.start("Slow", run_id="slow-1")
        pump = world.pump(Slow)
        pump.drain()
        world.clock.advance(1)
        pump.drain()
        assert world.client.get("slow-1").result == 2

    def test_a_timeout_that_has_passed_interrupts_nothing_later(self, world: World) -> None:
        @workflow
        class Quick:
            @step(timeout=0.1)
            def quick(self) -> None: ...

            @step(depends_on=["quick"], timeout=5)
            def longer(self) -> None:
                end = time.monotonic() + 0.3
                while time.monotonic() < end:
                    pass

        assert world.run(Quick).status is RunStatus.SUCCEEDED

    def test_a_branch_in_a_thread_is_given_up_at_its_timeout(self, world: World) -> None:
        ends = time.monotonic() + 2.0

        @workflow
        class Branches:
            @step(timeout=0.2)
            def hangs(self) -> None:
                while time.monotonic() < ends:
                    time.sleep(0.01)

            @step
            def quick(self) -> str:
                return "kept"

        run_id = world.client.start("Branches").run_id
        world.pump(Branches, now=now_ms).drain()
        run = world.client.get(run_id)
        assert time.monotonic() < ends, "the worker waited for the thread"
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.type, run.error.step) == ("TimeoutError", "hangs")
        assert run.steps["quick"].output == "kept"

    def test_what_a_given_up_branch_still_returns_is_dropped(self, world: World) -> None:
        state = {"late": False}

        @workflow
        class Branches:
            @step(timeout=0.2, retry=Retry(1, initial=0))
            def slow(self, ctx: StepContext) -> int:
                if ctx.attempt == 1:
                    end = time.monotonic() + 0.6
                    while time.monotonic() < end:
                        time.sleep(0.01)
                    state["late"] = True
                return ctx.attempt

            @step
            def waits(self) -> None:
                end = time.monotonic() + 5
                while not state["late"] and time.monotonic() < end:
                    time.sleep(0.01)

        run_id = world.client.start("Branches").run_id
        world.pump(Branches, now=now_ms).drain()
        run = world.client.get(run_id)
        assert state["late"]
        assert run.steps["slow"].output == 2


class TestCrashes:
    def test_a_step_whose_worker_died_runs_again_when_its_lease_is_over(self, world: World) -> None:
        @workflow
        class Fragile:
            @step(timeout=30)
            def fragile(self, ctx: StepContext) -> int:
                if ctx.attempt == 1:
                    raise Killed
                return ctx.attempt

        world.client.start("Fragile", run_id="fragile-1")
        pump = world.pump(Fragile)
        pump.drain()
        pump.pass_time(149)
        assert world.client.get("fragile-1").steps["fragile"].attempt == 1
        pump.pass_time(1)
        run = world.client.get("fragile-1")
        assert (run.status, run.result) == (RunStatus.SUCCEEDED, 2)
        assert pump.answers[0] is None

    def test_a_duplicate_waits_for_the_lease_and_does_not_run_the_step(self, world: World) -> None:
        executions = []

        @workflow
        class Fragile:
            @step(timeout=30)
            def fragile(self, ctx: StepContext) -> int:
                executions.append(ctx.attempt)
                raise Killed

        world.client.start("Fragile", run_id="fragile-1")
        pump = world.pump(Fragile)
        records = pump.receive()
        pump.invoke(records)
        records[0]["attributes"]["ApproximateReceiveCount"] = "2"
        pump.invoke(records)
        failed = {"batchItemFailures": [{"itemIdentifier": records[0]["messageId"]}]}
        assert pump.answers == [None, failed]
        assert executions == [1]

    def test_a_step_that_kills_its_worker_every_time_is_given_up(self, world: World) -> None:
        executions = []

        @workflow
        class Deadly:
            @step(timeout=30)
            def deadly(self, ctx: StepContext) -> None:
                executions.append(ctx.attempt)
                raise Killed

        world.client.start("Deadly", run_id="deadly-1")
        pump = world.pump(Deadly)
        pump.pass_time(20 * 60, step=5)
        run = world.client.get("deadly-1")
        assert executions == [1, 2, 3, 4, 5]
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.type, run.error.step, run.error.attempt) == ("WorkerLost", "deadly", 5)
        assert run.steps["deadly"].status is StepStatus.FAILED
        assert world.dead_letters() == []

    def test_a_lost_first_message_is_made_up_for_by_the_sweep(self, world: World) -> None:
        flaky = failing_until(1, retry=0)
        world.client.start("Flaky", run_id="flaky-1")
        pump = world.pump(flaky)
        (lost,) = pump.receive()
        world.sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=lost["receiptHandle"])
        pump.pass_time(299)
        assert world.client.get("flaky-1").status is RunStatus.PENDING
        pump.pass_time(61)
        assert world.client.get("flaky-1").status is RunStatus.SUCCEEDED

    def test_lost_nudges_of_branches_are_made_up_for_by_the_sweep(self, world: World) -> None:
        @workflow
        class Branches:
            @step
            def one(self) -> int:
                return 1

            @step
            def two(self) -> int:
                return 2

            @step(depends_on=["one", "two"])
            def both(self, one: int, two: int) -> int:
                return one + two

        world.client.start("Branches", run_id="branches-1")
        pump = world.pump(Branches, inline_branches=0, batch_size=1)
        pump.invoke(pump.receive())
        for lost in pump.receive():
            world.sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=lost["receiptHandle"])
        pump.pass_time(400)
        assert world.client.get("branches-1").result == 3


class TestWhatIsLogged:
    def test_an_exceptions_message_is_not_logged_but_its_type_and_place_are(
        self, world: World, log_lines: LogLines
    ) -> None:
        run = world.run(failing_until(2, retry=0), {"card": SECRET})
        lines = log_lines()
        assert SECRET not in str(lines)
        (line,) = [line for line in lines if line["message"] == "step raised"]
        assert (line["level"], line["run_id"], line["step"], line["attempt"]) == (
            "WARN",
            run.run_id,
            "flaky",
            1,
        )
        assert line["error"] == "ConnectionError"
        assert line["frames"][-1].endswith(" flaky")

    def test_inputs_and_outputs_are_not_logged(self, world: World, log_lines: LogLines) -> None:
        @workflow
        class Secretive:
            @step
            def one(self, card: str) -> dict:
                return {"copy": card}

            @step(depends_on=["one"])
            def two(self, copy: str) -> str:
                return copy

        assert world.run(Secretive, {"card": SECRET}).result == SECRET
        lines = log_lines()
        assert len(lines) == 4
        assert SECRET not in str(lines)
