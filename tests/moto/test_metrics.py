"""What the worker has brought about is counted once, under the right names, in lines that CloudWatch takes."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import RunStatus
from fluxio_protocol.clock import now_ms
from tests.embedded_metrics import problems, samples
from tests.moto.pump import Killed, World

pytestmark = pytest.mark.once


class Emitted:
    """What was written so far, line by line; each line in the format."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd
        self._lines: list[dict[str, Any]] = []

    def read(self) -> list[dict[str, Any]]:
        self._lines += [json.loads(line) for line in self._capfd.readouterr().err.splitlines()]
        return self._lines

    def logged(self, message: str) -> list[dict[str, Any]]:
        """The lines of the log with this message."""
        return [line for line in self.read() if line.get("message") == message]

    def values(self, metric: str, **of: str) -> list[float]:
        """What CloudWatch would keep of a metric under these dimensions beside `worker`."""
        wanted = (metric, (("worker", "local"), *of.items()))
        lines = [line for line in self.read() if "_aws" in line]
        return [value for series, value in samples(lines) if series == wanted]

    def total(self, metric: str, **of: str) -> float:
        return sum(self.values(metric, **of))

    def counts(self) -> dict[str, float]:
        """The sums of all that was counted, for the worker as a whole."""
        found: Counter[str] = Counter()
        lines = [line for line in self.read() if "_aws" in line]
        for (name, dimensions), value in samples(lines):
            if len(dimensions) == 1 and name not in ("queue_delay", "sweep_lag", "run_duration"):
                found[name] += value
        return {name: count for name, count in found.items() if count}


@pytest.fixture
def emitted(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Emitted]:
    """What the test's workers wrote; whatever it was, every metric line of it is valid."""
    monkeypatch.delenv("AWS_LAMBDA_FUNCTION_NAME", raising=False)
    found = Emitted(capfd)
    yield found
    for line in found.read():
        if "_aws" in line:
            assert problems(line) == [], line


def flaky(succeeds_at: int, retry: int | Retry, **options: Any) -> type:
    @workflow
    class Flaky:
        @step
        def first(self) -> None: ...

        @step(depends_on=["first"], retry=retry, **options)
        def flaky(self, ctx: StepContext) -> int:
            if ctx.attempt < succeeds_at:
                raise ConnectionError
            return ctx.attempt

    return Flaky


def killing(attempts: int) -> type:
    @workflow
    class Killing:
        @step(timeout=30)
        def kills(self, ctx: StepContext) -> int:
            if ctx.attempt <= attempts:
                raise Killed
            return ctx.attempt

    return Killing


class TestRuns:
    def test_a_run_is_counted_when_it_starts_and_when_it_ends(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Flaky")
        world.clock.advance(2)
        world.pump(flaky(1, retry=0)).drain()
        assert emitted.counts() == {"runs_started": 1, "runs_succeeded": 1}
        for of in ({}, {"workflow": "Flaky"}):
            assert emitted.values("run_duration", **of) == [2000]
            assert emitted.total("runs_succeeded", **of) == 1
        assert emitted.values("queue_delay") == [pytest.approx(2000, abs=5)]

    def test_a_run_that_fails_is_counted_with_its_step(
        self, world: World, emitted: Emitted
    ) -> None:
        world.run(flaky(2, retry=0))
        assert emitted.counts() == {"runs_started": 1, "runs_failed": 1, "step_failures": 1}
        assert emitted.total("step_failures", workflow="Flaky", step="flaky") == 1
        assert emitted.total("runs_failed", workflow="Flaky") == 1
        assert len(emitted.values("run_duration")) == 1

    def test_a_run_of_an_unknown_workflow_fails_and_was_never_started(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Nobodys")
        world.pump(flaky(1, retry=0)).lose_patience()
        assert emitted.counts()["runs_failed"] == 1
        assert "runs_started" not in emitted.counts()

    def test_a_run_that_is_out_of_time_is_counted_as_failed(
        self, world: World, emitted: Emitted
    ) -> None:
        @workflow(timeout=60)
        class Short:
            @step
            def one(self) -> None: ...

        world.client.start("Short")
        world.clock.advance(61)
        world.pump(Short).drain()
        assert emitted.counts()["runs_failed"] == 1
        (line,) = emitted.logged("run failed")
        assert (line["workflow"], line["error"]) == ("Short", "RunTimeout")

    def test_a_parked_run_has_not_ended(self, world: World, emitted: Emitted) -> None:
        @workflow
        class Changing:
            @step
            def old(self, ctx: StepContext) -> None:
                raise Killed

        before = Changing

        @workflow(name="Changing")
        class After:
            @step
            def new(self) -> None: ...

        world.client.start("Changing")
        world.pump(before).drain()
        world.clock.advance(200)
        world.pump(After).lose_patience()
        counts = emitted.counts()
        assert counts["runs_parked"] == 1
        assert "runs_failed" not in counts
        assert emitted.values("run_duration") == []
        assert emitted.logged("run parked")[0]["workflow"] == "Changing"


class TestSteps:
    def test_each_attempt_takes_its_time_and_each_retry_counts(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Flaky")
        pump = world.pump(flaky(3, retry=Retry(2, initial=5, backoff=1, jitter=0)))
        pump.pass_time(20)
        of = {"workflow": "Flaky", "step": "flaky"}
        assert emitted.total("step_retries", **of) == 2
        assert len(emitted.values("step_duration", **of)) == 3
        assert emitted.total("step_failures", **of) == 0
        assert emitted.counts()["runs_succeeded"] == 1

    @pytest.mark.parametrize("alone", [True, False], ids=["alone", "in a thread"])
    def test_a_step_that_is_over_its_time_counts_as_a_timeout_however_it_ends(
        self, world: World, emitted: Emitted, alone: bool
    ) -> None:
        until = time.monotonic() + 3

        @workflow
        class Slow:
            @step(timeout=0.2, retry=Retry(1, initial=0, jitter=0))
            def slow(self, ctx: StepContext) -> None:
                while time.monotonic() < until:
                    time.sleep(0.01)

            if not alone:

                @step
                def beside(self) -> None: ...

        world.client.start("Slow")
        pump = world.pump(Slow, now=now_ms)
        pump.drain()
        pump.drain()
        of = {"workflow": "Slow", "step": "slow"}
        assert emitted.total("step_timeouts", **of) == 2
        assert (emitted.total("step_retries", **of), emitted.total("step_failures", **of)) == (1, 1)
        assert all(took >= 200 for took in emitted.values("step_duration", **of))

    def test_a_timeout_error_of_the_steps_own_is_a_failure_and_no_timeout(
        self, world: World, emitted: Emitted
    ) -> None:
        @workflow
        class Waits:
            @step
            def waits(self) -> None:
                raise TimeoutError("of a socket")

        world.run(Waits)
        of = {"workflow": "Waits", "step": "waits"}
        assert emitted.total("step_failures", **of) == 1
        assert emitted.values("step_timeouts", **of) == []

    def test_a_step_taken_from_a_dead_worker_counts_as_a_takeover(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Killing")
        world.pump(killing(2)).pass_time(600, step=5)
        assert emitted.counts()["takeovers"] == 2
        lines = emitted.logged("step taken over")
        assert [(line["workflow"], line["step"], line["attempt"]) for line in lines] == [
            ("Killing", "kills", 2),
            ("Killing", "kills", 3),
        ]

    def test_a_step_that_is_given_up_for_its_dead_workers_has_failed(
        self, world: World, emitted: Emitted
    ) -> None:
        run_id = world.client.start("Killing").run_id
        world.pump(killing(99)).pass_time(2400, step=10)
        assert world.client.get(run_id).status is RunStatus.FAILED
        assert emitted.total("step_failures", workflow="Killing", step="kills") == 1
        assert emitted.values("step_duration", workflow="Killing", step="kills") == []

    def test_what_a_fenced_worker_brings_counts_as_fenced_and_as_nothing_else(
        self, world: World, emitted: Emitted
    ) -> None:
        @workflow
        class Contested:
            @step(timeout=30)
            def contested(self, ctx: StepContext) -> int:
                if (
                    ctx.attempt == 1
                ):  # this worker sleeps over its lease, and another one takes the step
                    world.clock.advance(200)
                    other.drain()
                return ctx.attempt

        other = world.pump(Contested)
        run_id = world.client.start("Contested").run_id
        world.pump(Contested).drain()
        assert world.client.get(run_id).result == 2
        counts = emitted.counts()
        assert counts.pop("fenced_commits") == 1
        assert counts == {"runs_started": 1, "takeovers": 1, "runs_succeeded": 1}
        assert len(emitted.values("step_duration", workflow="Contested", step="contested")) == 1
        (line,) = emitted.logged("commit fenced")
        assert (line["run_id"], line["step"], line["attempt"]) == (run_id, "contested", 1)


class TestOnce:
    """A transition is counted when it was applied, and not when it was tried."""

    def test_a_duplicate_delivery_counts_nothing_again(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Flaky")
        pump = world.pump(flaky(1, retry=0))
        records = pump.receive()
        pump.invoke(records)
        before = emitted.counts()
        pump.handle({"Records": records}, Context(world))
        assert before == {"runs_started": 1, "runs_succeeded": 1}
        assert emitted.counts() == before
        assert len(emitted.values("run_duration")) == 1

    def test_a_write_whose_answer_was_lost_and_that_was_sent_again_counts_once(
        self, world: World, emitted: Emitted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        send = world.dynamodb._make_api_call

        def twice(name: str, arguments: Any) -> Any:
            if name == "UpdateItem":
                send(name, arguments)  # lands, and the answer never comes
            return send(name, arguments)

        monkeypatch.setattr(world.dynamodb, "_make_api_call", twice)
        run_id = world.client.start("Flaky").run_id
        pump = world.pump(flaky(2, retry=Retry(1, initial=1, jitter=0)))
        pump.pass_time(5)
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED
        assert emitted.counts() == {"runs_started": 1, "runs_succeeded": 1}
        of = {"workflow": "Flaky", "step": "flaky"}
        assert emitted.total("step_retries", **of) == 1
        assert len(emitted.values("step_duration", **of)) == 2
        assert emitted.counts().get("fenced_commits") is None

    def test_a_step_that_somebody_else_gave_up_at_the_same_moment_is_one_failure(
        self, world: World, emitted: Emitted
    ) -> None:
        @workflow
        class Doomed:
            @step(timeout=30)
            def doomed(self, ctx: StepContext) -> None:
                if ctx.attempt < 5:
                    raise Killed
                if ctx.attempt == 5:
                    world.clock.advance(200)
                    other.drain()
                raise ConnectionError

        other = world.pump(Doomed)
        world.client.start("Doomed")
        world.pump(Doomed).pass_time(1500, step=10)
        assert emitted.total("step_failures", workflow="Doomed", step="doomed") == 1
        assert emitted.total("runs_failed") == 1

    def test_a_message_that_is_no_nudge_is_counted_at_each_receipt(
        self, world: World, emitted: Emitted
    ) -> None:
        world.send("not JSON")
        pump = world.pump(flaky(1, retry=0))
        pump.pass_time(30)
        assert emitted.counts()["messages_refused"] == 10
        assert len(emitted.values("queue_delay")) == 1, "only the first receipt is a delay"

    def test_what_was_counted_before_an_outage_is_written_all_the_same(
        self, world: World, emitted: Emitted, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pump = world.pump(flaky(1, retry=0))
        world.client.start("Flaky", run_id="f-1")
        world.clock.advance(300)

        def unreachable(*_: object) -> None:
            raise ConnectionError

        with monkeypatch.context() as outage:
            outage.setattr("fluxio_protocol.store.Store.apply", unreachable)
            with pytest.raises(ConnectionError):
                pump.sweep()
        assert emitted.counts() == {}, "a sweep that failed is not a sweep"
        assert emitted.values("sweep_lag") == [0]


class TestSweeps:
    def test_a_sweep_says_how_many_it_found_and_how_late_the_latest_was(
        self, world: World, emitted: Emitted
    ) -> None:
        for at in range(3):
            world.client.start("Flaky", run_id=f"f-{at}")
        world.sqs.purge_queue(QueueUrl=world.queue_url)
        pump = world.pump(flaky(1, retry=0))
        pump.sweep()
        assert (emitted.total("sweeps"), emitted.total("sweep_finds")) == (1, 0)
        world.clock.advance(307)
        pump.sweep()
        assert (emitted.total("sweeps"), emitted.total("sweep_finds")) == (2, 3)
        assert emitted.values("sweep_lag") == [0, 7000]

    def test_a_run_that_nobody_takes_up_is_stuck_after_a_quarter_of_an_hour(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Flaky", run_id="f-1")
        pump = world.pump(flaky(1, retry=0))
        for _ in range(14):
            world.clock.advance(60)
            pump.sweep()
        assert emitted.counts().get("runs_stuck") is None
        for _ in range(2):
            world.clock.advance(60)
            pump.sweep()
        assert emitted.counts()["runs_stuck"] == 1
        (line,) = emitted.logged("run stuck")
        assert (line["level"], line["run_id"], line["workflow"]) == ("WARN", "f-1", "Flaky")

    def test_a_step_that_is_ready_and_left_alone_makes_its_run_stuck(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Killing")
        pump = world.pump(killing(1))
        pump.drain()
        for _ in range(21):
            world.clock.advance(60)
            pump.sweep()
        assert emitted.counts()["runs_stuck"] >= 1

    @pytest.mark.parametrize("waits_for", ["a timer", "a signal", "a lease"])
    def test_a_run_that_waits_for_something_is_not_stuck(
        self, world: World, emitted: Emitted, waits_for: str
    ) -> None:
        @workflow
        class Signalled:
            @step
            def ask(self) -> None: ...

            @step(depends_on=["ask"], awaits=["approved"])
            def go(self) -> None: ...

        @workflow
        class Long:
            @step(timeout=900)
            def long(self) -> None:
                raise Killed

        kinds: dict[str, tuple[type, int]] = {
            "a timer": (flaky(2, retry=Retry(1, initial=3000, maximum=3000, jitter=0)), 49),
            "a signal": (Signalled, 25 * 60),
            "a lease": (Long, 14),
        }
        made, minutes = kinds[waits_for]
        world.client.start(made.__name__)
        pump = world.pump(made, function_timeout=1000)
        pump.drain()
        for _ in range(0, minutes, 7):
            world.clock.advance(7 * 60)
            pump.sweep()
        if waits_for == "a signal":
            assert emitted.total("sweep_finds") > 0, "it is looked at once a day"
        assert emitted.counts().get("runs_stuck") is None

    def test_a_timer_that_has_just_gone_off_has_not_been_left_alone(
        self, world: World, emitted: Emitted
    ) -> None:
        world.client.start("Flaky")
        pump = world.pump(flaky(2, retry=Retry(1, initial=3000, maximum=3000, jitter=0)))
        pump.drain()
        world.clock.advance(3001)
        assert pump.sweep()["nudged"] == 1
        assert emitted.counts().get("runs_stuck") is None


class Context:
    """A Lambda context with two minutes left."""

    aws_request_id = "again"

    def __init__(self, world: World) -> None:
        self.get_remaining_time_in_millis: Callable[[], int] = lambda: 120_000
