"""Timers, signals with timeouts, deadlines: what comes with time, and how exactly."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from fluxio import Retry, failed, maybe, signal, step, timer, workflow
from fluxio_client import SignalLapsed
from fluxio_protocol.run import RunStatus, StepStatus
from tests.moto.pump import Pump, World

pytestmark = pytest.mark.once

MINUTE = 60


def watch(pump: Pump, seconds: float) -> None:
    """Pass time with a sweep each minute, as the module's schedule has it."""
    passed = 0
    while passed < seconds:
        pump.drain()
        if passed % MINUTE == 0:
            pump.sweep()
            pump.drain()
        # While no message is put back, nothing happens before the next sweep.
        jump = 1 if pump.has_hidden() else MINUTE - passed % MINUTE
        pump.clock.advance(jump)
        passed += jump
    pump.drain()


def iso(at: int) -> str:
    return datetime.fromtimestamp(at / 1000, timezone.utc).isoformat()


def timed(world: World, *waits: Any) -> type:
    @workflow(name="Timed")
    class Timed:
        @step
        def first(self, at: Any = None) -> dict[str, Any]:
            return {"at": at, "began": world.clock.now()}

        @step(depends_on=["first", *waits])
        def then(self, began: int) -> dict[str, int]:
            return {"waited": world.clock.now() - began}

    return Timed


@pytest.mark.parametrize("seconds", [1, 119, 121, 200, 420, 4_000])
def test_a_step_begins_within_two_seconds_of_its_timer(world: World, seconds: int) -> None:
    world.client.start("Timed", {}, run_id="t")
    made = timed(world, timer(seconds))
    watch(world.pump(made), seconds + 130)
    waited = world.client.get("t").result["waited"]
    assert seconds * 1000 <= waited <= seconds * 1000 + 2_000
    assert world.dead_letters() == []


@pytest.mark.parametrize("form", ["text", "zulu", "seconds", "past"])
def test_a_timer_waits_until_the_time_that_stands_in_a_value(world: World, form: str) -> None:
    until = world.clock.now() + (-5_000 if form == "past" else 300_000)
    at: Any = {
        "text": iso(until),
        "zulu": iso(until).replace("+00:00", "Z"),
        "seconds": until / 1000,
        "past": iso(until),
    }[form]
    world.client.start("Timed", {"at": at}, run_id="t")
    watch(world.pump(timed(world, timer(at="first.at"))), 500)
    ended = world.client.get("t").steps["then"].started_at
    assert ended is not None
    assert until <= ended <= until + 5_000


def test_a_timer_in_a_value_that_has_an_item_of_its_own(world: World) -> None:
    until = world.clock.now() + 30_000

    @workflow(name="Long")
    class Long:
        @step(depends_on=[timer(at="input.when.at")])
        def work(self) -> dict[str, int]:
            return {"at": world.clock.now()}

    given = {"when": {"at": iso(until)}, "long": "x" * 10_000}
    world.client.start("Long", given, run_id="l")
    watch(world.pump(Long), 60)
    assert until <= world.client.get("l").result["at"] <= until + 2_000


@pytest.mark.parametrize(
    ("at", "says"),
    [("tomorrow", "ISO 8601"), (True, "a bool is no time"), (None, "NoneType"), (-4, "1970")],
)
def test_what_is_no_time_fails_the_step_and_says_so(world: World, at: Any, says: str) -> None:
    world.client.start("Timed", {"at": at}, run_id="t")
    world.pump(timed(world, timer(at="first.at"))).drain()
    run = world.client.get("t")
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.step) == ("InvalidTimer", "then")
    assert says in run.error.message


def test_a_timer_runs_beside_a_branch_that_takes_long(world: World) -> None:
    """The worker that released the timer's step is busy when that is due."""

    @workflow(name="Both")
    class Both:
        @step
        def first(self) -> dict[str, int]:
            return {"began": world.clock.now()}

        @step(depends_on=[first], timeout=60)
        def long(self) -> dict[str, int]:
            world.clock.advance(50)
            return {}

        @step(depends_on=[first, timer(10)])
        def soon(self, began: int) -> dict[str, int]:
            return {"waited": world.clock.now() - began}

    world.client.start("Both", {}, run_id="b")
    pump = world.pump(Both)
    pump.invoke(pump.receive())
    (record,) = pump.receive()  # for another worker, while this one is busy
    assert '"step": "soon"' in record["body"]
    pump.invoke([record])
    watch(pump, 30)
    assert world.client.get("b").status is RunStatus.SUCCEEDED


def approving(*, default: Any = ..., seconds: float = 300) -> type:
    more = {} if default is ... else {"default": default}

    @workflow(name="Approves")
    class Approves:
        @step
        def ask(self) -> dict[str, int]:
            return {"n": 1}

        @step(depends_on=[ask, signal("approved", type=dict, timeout=seconds, **more)])
        def act(self, approved: dict[str, Any] | None) -> dict[str, Any]:
            return {"approved": approved}

    return Approves


class TestSignalTimeout:
    def test_a_signal_in_time_is_bound(self, world: World) -> None:
        world.client.start("Approves", {}, run_id="a")
        pump = world.pump(approving(default=None))
        watch(pump, 200)
        world.client.signal("a", "approved", {"by": "ada"})
        watch(pump, 5)
        assert world.client.get("a").result == {"approved": {"by": "ada"}}

    @pytest.mark.parametrize("seconds", [30, 300, 1_000])
    def test_the_default_is_bound_when_it_has_not_come_in_time(
        self, world: World, seconds: int
    ) -> None:
        world.client.start("Approves", {}, run_id="a")
        watch(world.pump(approving(default=None, seconds=seconds)), seconds + 130)
        run = world.client.get("a")
        assert run.result == {"approved": None}
        began = run.steps["ask"].ended_at
        assert began is not None
        assert seconds * 1000 <= run.lapsed["approved"] - began <= seconds * 1000 + 2_000

    def test_a_late_signal_is_told_that_it_is_late(self, world: World) -> None:
        @workflow(name="Later")
        class Later:
            @step(depends_on=[signal("go", timeout=10, default="gone")])
            def act(self, go: str) -> dict[str, str]:
                return {"go": go}

            @step(depends_on=[act, signal("stop")])
            def end(self) -> dict[str, str]:
                return {}

        world.client.start("Later", {}, run_id="l")
        watch(world.pump(Later), 30)
        with pytest.raises(SignalLapsed, match="too late"):
            world.client.signal("l", "go", "now")
        with pytest.raises(SignalLapsed):
            world.client.signal("l", "go", "gone")
        assert world.client.get("l").steps["act"].output == {"go": "gone"}

    def test_without_a_default_the_step_fails_and_a_redrive_waits_anew(self, world: World) -> None:
        world.client.start("Approves", {}, run_id="a")
        pump = world.pump(approving(seconds=60))
        watch(pump, 70)
        run = world.client.get("a")
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.type, run.error.step) == ("SignalTimeout", "act")
        world.client.redrive("a")
        watch(pump, 50)
        assert world.client.get("a").status is RunStatus.RUNNING
        world.client.signal("a", "approved", {"by": "ada"})
        watch(pump, 5)
        assert world.client.get("a").result == {"approved": {"by": "ada"}}

    def test_a_timeout_can_be_handled(self, world: World) -> None:
        @workflow(name="Handles")
        class Handles:
            @step(depends_on=[signal("go", timeout=60)])
            def act(self, go: Any) -> dict[str, str]:
                raise AssertionError

            @step(depends_on=[signal("go", timeout=60)])
            def also(self, go: Any) -> dict[str, str]:
                raise AssertionError

            @step(depends_on=[failed(act, "SignalTimeout"), failed(also)])
            def remind(self) -> dict[str, str]:
                return {"sent": "reminder"}

        world.client.start("Handles", {}, run_id="h")
        watch(world.pump(Handles), 70)
        assert world.client.get("h").result == {"sent": "reminder"}

    def test_a_payload_of_another_type_is_refused_and_the_step_waits_on(self, world: World) -> None:
        @workflow(name="Typed")
        class Typed:
            @step(depends_on=[signal("amount", type=int)])
            def act(self) -> dict[str, bool]:
                return {"done": True}

        world.client.start("Typed", {}, run_id="t")
        pump = world.pump(Typed)
        pump.drain()
        world.client.signal("t", "amount", "much")
        pump.drain()
        run = world.client.get("t")
        assert run.status is RunStatus.RUNNING
        assert run.steps["act"].error is not None
        world.client.signal("t", "amount", 3)
        pump.drain()
        assert world.client.get("t").result == {"done": True}


def test_a_runs_timeout_is_met_within_two_seconds(world: World) -> None:
    for seconds in (30, 500):

        @workflow(name="Ends", timeout=seconds)
        class Ends:
            @step(depends_on=[signal("never")])
            def act(self) -> None: ...

        run_id = f"e-{seconds}"
        began = world.clock.now()
        world.client.start("Ends", {}, run_id=run_id)
        watch(world.pump(Ends), seconds + 130)
        run = world.client.get(run_id)
        assert run.error is not None
        assert run.error.type == "RunTimeout"
        assert run.ended_at is not None
        assert run.ended_at - began <= seconds * 1000 + 2_000


def test_a_long_backoff_ends_within_two_seconds(world: World) -> None:
    at: list[int] = []

    @workflow(name="Backs")
    class Backs:
        @step(retry=Retry(1, initial=500, jitter=0))
        def work(self) -> dict[str, int]:
            at.append(world.clock.now())
            if len(at) == 1:
                raise OSError
            return {}

    world.client.start("Backs", {}, run_id="b")
    watch(world.pump(Backs), 650)
    assert 500_000 <= at[1] - at[0] <= 502_000


def test_a_step_that_waits_for_nothing_but_a_timer_begins_by_it(world: World) -> None:
    @workflow(name="Root")
    class Root:
        @step(depends_on=[timer(minutes=1)])
        def work(self) -> dict[str, int]:
            return {"at": world.clock.now()}

        @step(depends_on=[maybe(work), timer(timedelta(seconds=5))])
        def then(self, work: dict[str, int] | None) -> dict[str, int]:
            return {"waited": world.clock.now() - (work or {"at": 0})["at"]}

    world.client.start("Root", {}, run_id="r")
    watch(world.pump(Root), 80)
    run = world.client.get("r")
    assert 5_000 <= run.result["waited"] <= 7_000
    assert run.steps["work"].status is StepStatus.SUCCEEDED
