"""`fluxio.testing`: runs of workflows in a test, on a clock that is moved."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from fluxio import Again, Retry, StepContext, process, signal, step, timer, workflow
from fluxio.testing import (
    CODE,
    Fluxio,
    InvalidTest,
    NeverEnds,
    after,
    before,
    crash_everywhere,
    fails,
    lasts,
    later,
    times_out,
)
from fluxio_protocol.errors import InvalidInput, PayloadError, RunEnded
from tests.simulation import costs

ORDER = {"order_id": "o-1", "amount": 99.0}


@workflow
class Order:
    @step(retry=3, timeout=30)
    def validate(self, order_id: str, amount: float) -> dict:
        return {"token": f"tok-{order_id}"}

    @step(depends_on=["validate"], retry=3, timeout=30)
    def charge(self, token: str, amount: float, ctx: StepContext) -> dict:
        return {"charged": amount, "attempt": ctx.attempt}

    @step(depends_on=["validate"], retry=3)
    def reserve(self, order_id: str) -> dict:
        return {"reserved": order_id}

    @step(depends_on=["charge", "reserve"])
    def ship(self, charged: float, reserved: str) -> dict:
        return {"shipped": reserved, "for": charged}


@workflow
class Chain:
    """Five steps in a row."""

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


@workflow
class Approval:
    @step
    def ask(self, amount: int) -> dict:
        return {"asked": amount}

    @step(depends_on=["ask"], awaits=["approved"])
    def pay(self, asked: int, approved: dict) -> dict:
        return {"paid": asked, "by": approved["by"]}


@workflow(timeout=timedelta(days=2))
class Hurried(Approval):
    """The same, and it must be done within two days."""

    @step
    def ask(self, amount: int) -> dict:
        return {"asked": amount}

    @step(depends_on=["ask"], awaits=["approved"])
    def pay(self, asked: int, approved: dict) -> dict:
        return {"paid": asked, "by": approved["by"]}


@workflow
class Patient:
    @step(retry=Retry(2, initial=timedelta(hours=10), maximum=timedelta(hours=20), jitter=0))
    def fetch(self) -> dict:
        return {"fetched": True}


def told(run: Any, what: str) -> list[tuple[float, str | None, int | None]]:
    """When something of the history was, of which step and attempt."""
    return [(event.at, event.step, event.attempt) for event in run.history if event.what == what]


class TestARun:
    def test_has_a_status_a_result_and_what_became_of_its_steps(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER)

        assert (run.status, run.error) == ("SUCCEEDED", None)
        assert run.result == {"shipped": "o-1", "for": 99.0}
        charge = run.steps["charge"]
        assert (charge.status, charge.output) == ("SUCCEEDED", {"charged": 99.0, "attempt": 1})
        assert (charge.attempts, charge.executions, charge.error) == (1, 1, None)

    @pytest.mark.parametrize(
        ("edges", "inline_branches", "units", "messages"),
        [
            (costs.ORDER, 10, 5, 1),
            (costs.ORDER, 0, 9, 3),
            (costs.chain(6), 10, 8, 1),
            (costs.chain(20), 10, 24, 1),
        ],
    )
    def test_costs_what_was_counted_in_the_emulator(
        self, fluxio: Fluxio, edges: costs.Edges, inline_branches: int, units: int, messages: int
    ) -> None:
        """The budgets of docs/cost.md, which the emulator's tests keep."""
        cost = fluxio.run(
            costs.workflow_of(edges, 10), {"n": 1}, inline_branches=inline_branches
        ).cost

        assert cost.index_write_units == 3
        assert units - 2 <= cost.write_units <= units
        assert (cost.messages, cost.invocations) == (messages, messages)

    def test_has_a_history_in_order(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Chain, {"n": 0})

        begun = [event.step for event in run.history if event.what == "step began"]
        assert begun == ["a", "b", "c", "d", "e"]
        assert [event.what for event in run.history][-1] == "run SUCCEEDED"
        assert str(run.history).splitlines()[-1].endswith("run SUCCEEDED")

    def test_fails_as_in_aws_and_says_which_step_and_why(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Chain, {"n": 0}, mocks={"c": ValueError("no such card")})

        assert run.status == "FAILED"
        assert run.error is not None
        assert (run.error.step, run.error.type, run.error.message) == (
            "c",
            "ValueError",
            "no such card",
        )
        assert run.steps["c"].error == run.error
        assert run.steps["d"].executions == 0

    def test_that_failed_is_redriven(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Chain, {"n": 0}, mocks={"c": fails(1)})
        assert run.status == "FAILED"

        assert run.redrive().finish().status == "SUCCEEDED"

    def test_is_cancelled(self, fluxio: Fluxio) -> None:
        assert fluxio.start(Approval, {"amount": 5}).cancel().status == "CANCELLED"

    def test_goes_on_beside_what_others_hold_of_the_process(self, fluxio: Fluxio) -> None:
        """A test that has made a worker itself keeps what that worker took for its process."""
        process.hold()
        held = process._held

        fluxio.run(Chain, {"n": 0})

        assert process._held is held

    def test_of_a_hundred_takes_less_than_a_second(self, fluxio: Fluxio) -> None:
        """By the processor's time, and with a bound that a slow machine keeps; it takes about 0.2 s."""
        fluxio.run(Chain, {"n": 0})  # what is imported at first is none of it
        began = time.process_time()

        for number in range(100):
            assert fluxio.run(Chain, {"n": number}).result == {"n": number + 5}

        assert time.process_time() - began < 1


class TestTime:
    def test_passes_at_once_and_in_order(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Patient, {}, mocks={"fetch": fails(2)})

        hours = [round(at / 3600) for at, _, _ in told(run, "step began")]
        assert (run.status, hours) == ("SUCCEEDED", [0, 10, 30])

    def test_is_stopped_on_the_way(self, fluxio: Fluxio) -> None:
        run = fluxio.start(Patient, {}, mocks={"fetch": fails(2)})
        assert (run.status, run.steps["fetch"].attempts) == ("RUNNING", 1)

        run.advance(hours=12)
        assert (run.elapsed, run.steps["fetch"].attempts) == (timedelta(hours=12), 2)
        run.advance(timedelta(hours=17))
        assert run.steps["fetch"].attempts == 2

        assert run.finish().steps["fetch"].attempts == 3

    def test_ends_a_run_at_its_workflows_timeout(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Hurried, {"amount": 5})

        assert run.status == "FAILED"
        assert run.error is not None
        assert run.error.type == "RunTimeout"
        assert timedelta(days=2) <= run.elapsed < timedelta(days=2, minutes=2)

    @pytest.mark.parametrize("inline_branches", [0, 10])
    @pytest.mark.parametrize("name", ["validate", "charge"])
    def test_interrupts_a_step_at_its_timeout(
        self, fluxio: Fluxio, name: str, inline_branches: int
    ) -> None:
        """A step that runs alone, and a branch."""
        run = fluxio.run(Order, ORDER, mocks={name: times_out(1)}, inline_branches=inline_branches)

        assert (run.status, run.steps[name].attempts) == ("SUCCEEDED", 2)
        (first, second) = [at for at, of, _ in told(run, "step began") if of == name]
        assert 30 <= second - first < 33

    def test_is_taken_by_branches_side_by_side(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER, mocks={"charge": lasts(20), "reserve": lasts(15)})

        assert (run.status, run.elapsed) == ("SUCCEEDED", timedelta(seconds=20))
        ended = [(at, of) for at, of, _ in told(run, "step returned")]
        assert ended == [(0, "validate"), (15, "reserve"), (20, "charge"), (20, "ship")]

    def test_is_given_as_durations_only(self, fluxio: Fluxio) -> None:
        run = fluxio.start(Approval, {"amount": 5})

        with pytest.raises(InvalidInput, match="advance: the duration is -1"):
            run.advance(-1)


class TestAllThatAWorkflowMayWaitFor:
    """Nothing here knows what a workflow is made of; that all of it goes on is shown with some of it."""

    @workflow
    class Waits:
        @step
        def begin(self) -> dict:
            return {"n": 1}

        @step(depends_on=["begin", timer(timedelta(days=30))])
        def rest(self, n: int) -> dict:
            return {"rested": n}

        @step(
            depends_on=[
                "begin",
                signal("approved", timeout=timedelta(days=2), default={"by": "nobody"}),
            ]
        )
        def decide(self, approved: dict) -> dict:
            return {"by": approved["by"]}

        @step(depends_on=["rest", "decide"])
        def poll(self, by: str, ctx: StepContext) -> Any:
            return Again(after=timedelta(hours=1)) if ctx.round < 3 else {"by": by}

    @workflow
    class Polls:
        @step
        def poll(self, after: int) -> Any:
            return Again(after=after)

    def test_passes_in_order(self, fluxio: Fluxio) -> None:
        run = fluxio.run(self.Waits)

        assert run.result == {"by": "nobody"}
        days = [(of, round(at / 86_400, 3)) for at, of, _ in told(run, "step began")]
        assert days[:3] == [("begin", 0), ("decide", 2), ("rest", 30)]
        assert [at for of, at in days[4:]] == sorted({at for of, at in days[4:]})
        assert timedelta(days=30, hours=2) <= run.elapsed < timedelta(days=30, hours=4)

    def test_is_stopped_on_the_way(self, fluxio: Fluxio) -> None:
        run = fluxio.start(self.Waits, signals={"approved": later({"by": "lee"}, days=1)})
        run.advance(days=29)
        assert (run.steps["decide"].output, run.steps["rest"].executions) == ({"by": "lee"}, 0)

        assert run.advance(days=1).steps["rest"].executions == 1

    @pytest.mark.parametrize("after", [0, 60])
    def test_never_ends_if_a_step_is_run_again_for_ever(self, fluxio: Fluxio, after: int) -> None:
        with pytest.raises(NeverEnds, match="its step poll has been tried 1,000 times; mock it"):
            fluxio.run(self.Polls, {"after": after})


class TestSignals:
    def test_are_sent_at_once(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Approval, {"amount": 5}, signals={"approved": {"by": "lee"}})

        assert (run.result, run.elapsed) == ({"paid": 5, "by": "lee"}, timedelta(0))

    def test_are_sent_later(self, fluxio: Fluxio) -> None:
        run = fluxio.run(
            Approval, {"amount": 5}, signals={"approved": later({"by": "lee"}, days=30)}
        )

        assert (run.result, run.elapsed) == ({"paid": 5, "by": "lee"}, timedelta(days=30))

    def test_are_sent_on_the_way(self, fluxio: Fluxio) -> None:
        run = fluxio.start(Approval, {"amount": 5}).advance(days=3)
        assert run.status == "RUNNING"

        run.signal("approved", {"by": "kim"})

        assert run.result == {"paid": 5, "by": "kim"}
        with pytest.raises(RunEnded):
            run.signal("approved", {"by": "lee"})

    def test_that_come_too_late_are_told(self, fluxio: Fluxio) -> None:
        run = fluxio.start(Hurried, {"amount": 5}, signals={"approved": later({}, days=3)})
        run.advance(days=4)

        assert run.status == "FAILED"
        assert told(run, "signal too late")

    def test_that_never_come_are_an_error_that_names_them(self, fluxio: Fluxio) -> None:
        with pytest.raises(
            NeverEnds, match="nothing is to come; the step pay waits for the signal approved"
        ):
            fluxio.run(Approval, {"amount": 5})


class TestMocks:
    def test_are_values_and_functions_of_the_steps_arguments(self, fluxio: Fluxio) -> None:
        def charge(amount: float, ctx: StepContext) -> dict:
            return {"charged": amount + 1, "by": ctx.step}

        run = fluxio.run(Order, ORDER, mocks={"reserve": {"reserved": "r"}, "charge": charge})

        assert run.steps["charge"].output == {"charged": 100.0, "by": "charge"}
        assert run.result == {"shipped": "r", "for": 100.0}

    def test_fail_so_many_times(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER, mocks={"charge": fails(2, ConnectionError("busy"), CODE)})

        charge = run.steps["charge"]
        assert (charge.attempts, charge.error, charge.output["attempt"]) == (3, None, 3)
        assert [e.detail for e in run.history if e.what == "step raised"] == [
            "ConnectionError: busy"
        ] * 2

    def test_of_unknown_steps_are_refused(self, fluxio: Fluxio) -> None:
        with pytest.raises(InvalidTest, match=r"Order has no step 'chrage'.*validate, charge"):
            fluxio.run(Order, ORDER, mocks={"chrage": {}})

    def test_that_ask_for_what_the_step_is_not_given_are_refused(self, fluxio: Fluxio) -> None:
        with pytest.raises(InvalidTest, match="takes 'price', which the step is not given"):
            fluxio.run(Order, ORDER, mocks={"charge": lambda price: {}})

    def test_return_what_can_be_stored(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER, mocks={"ship": object()})

        assert run.error is not None
        assert run.error.type == "PayloadError"


class TestWorkersThatDie:
    def test_right_before_a_steps_code(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER, crash=before("charge"))

        charge = run.steps["charge"]
        assert (run.status, charge.attempts) == ("SUCCEEDED", 2)
        assert len([of for _, of, _ in told(run, "step began") if of == "charge"]) == 1

    def test_right_after_a_steps_code(self, fluxio: Fluxio) -> None:
        run = fluxio.run(Order, ORDER, crash=[after("charge"), before("ship")])

        assert run.steps["charge"].attempts == run.steps["ship"].attempts == 2
        assert len([of for _, of, _ in told(run, "step began") if of == "charge"]) == 2
        assert told(run, "worker died after") == [(0.0, "charge", 1)]

    def test_where_they_never_come_to_are_refused(self, fluxio: Fluxio) -> None:
        with pytest.raises(
            InvalidTest, match=r'crash=before\("charge", attempt=2\) was never reached'
        ):
            fluxio.run(Order, ORDER, crash=before("charge", attempt=2))

    @pytest.mark.parametrize("point", [before("chrage"), "charge"])
    def test_at_no_point_are_refused(self, fluxio: Fluxio, point: Any) -> None:
        with pytest.raises(InvalidTest, match=r"chrage|is no point"):
            fluxio.run(Order, ORDER, crash=point)


class TestRunsThatStepsStart:
    @workflow
    class Letter:
        @step
        def send(self, to: str) -> dict:
            return {"sent": to}

    @workflow
    class Writes:
        @step(retry=1)
        def write(self, ctx: StepContext) -> dict:
            ctx.start("Letter", {"to": "lee"})
            return {}

    def test_are_run_as_well(self, fluxio: Fluxio) -> None:
        run = fluxio.run(self.Writes, also=[self.Letter], mocks={"Letter.send": {"sent": "mocked"}})

        (letter,) = run.started
        assert (letter.status, letter.result) == ("SUCCEEDED", {"sent": "mocked"})

    def test_are_crashed_as_well(self, fluxio: Fluxio) -> None:
        run = fluxio.run(
            self.Writes, also=[self.Letter], crash=[after("write"), after("Letter.send")]
        )

        (letter,) = run.started
        assert letter.steps["send"].attempts == run.steps["write"].attempts == 2

    def test_are_started_once_whatever_dies_when(self) -> None:
        points = crash_everywhere(
            self.Writes, also=[self.Letter], check=lambda run: len(run.started) == 1
        )

        assert any(" send of " in point for point in points)

    def test_of_workflows_that_are_not_deployed_are_said(self, fluxio: Fluxio) -> None:
        run = fluxio.run(self.Writes)

        assert run.error is not None
        assert "this deployment has no workflow 'Letter'" in run.error.message


@pytest.mark.parametrize("twice", [True, before("charge"), [after("charge"), before("validate")]])
def test_messages_that_are_delivered_twice_run_no_step_twice(fluxio: Fluxio, twice: Any) -> None:
    run = fluxio.run(Order, ORDER, deliver_twice=twice)

    assert run.cost.invocations >= 2
    assert {step.executions for step in run.steps.values()} == {1}


@pytest.mark.parametrize("inline_branches", [0, 10])
def test_calls_that_are_throttled_only_delay_a_run(fluxio: Fluxio, inline_branches: int) -> None:
    run = fluxio.run(Order, ORDER, throttle=0.5, inline_branches=inline_branches)

    assert told(run, "throttled")
    assert (run.status, {step.executions for step in run.steps.values()}) == ("SUCCEEDED", {1})


def test_a_test_goes_the_same_way_each_time(fluxio: Fluxio) -> None:
    def run() -> str:
        return str(fluxio.run(Order, ORDER, crash=after("reserve"), throttle=True).history)

    assert run() == run()


def test_tables_of_the_users_take_what_steps_transact(fluxio: Fluxio) -> None:
    @workflow
    class Pays:
        @step(retry=1)
        def pay(self, order_id: str, ctx: StepContext) -> dict:
            item = {"order_id": {"S": order_id}, "cents": {"N": "9900"}}
            ctx.transact({"Put": {"TableName": "payments", "Item": item}})
            return {}

    run = fluxio.run(Pays, ORDER, tables={"payments": ["order_id"]}, crash=after("pay"))

    assert run.table("payments") == [{"order_id": "o-1", "cents": 9900}]


class TestAnError:
    def test_says_that_a_class_is_no_workflow(self, fluxio: Fluxio) -> None:
        with pytest.raises(
            InvalidTest, match="is no workflow: pass a class decorated with @workflow"
        ):
            fluxio.run(int)

    def test_says_that_an_input_is_not_json(self, fluxio: Fluxio) -> None:
        with pytest.raises(PayloadError, match=r"cannot be stored as JSON \(at \['order_id'\]\)"):
            fluxio.run(Order, {"order_id": object()})

    def test_says_which_steps_a_run_has(self, fluxio: Fluxio) -> None:
        with pytest.raises(KeyError, match="no step 'pack'; it has validate, charge"):
            _ = fluxio.run(Order, ORDER).steps["pack"]


def test_it_is_a_plain_library() -> None:
    """It can be used without pytest, and needs nothing of this project's tests."""
    program = (
        "import sys; sys.modules['pytest'] = sys.modules['tests'] = sys.modules['dev'] = None\n"
        "import fluxio.testing\n"
        "for name in fluxio.testing.__all__: getattr(fluxio.testing, name)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)


def test_the_plugin_imports_neither_the_worker_nor_boto3_for_tests_that_do_not_use_it() -> None:
    program = (
        "import sys, fluxio.testing.plugin\n"
        "assert not {'boto3', 'botocore', 'fluxio.worker', 'pydantic'} & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=Path(__file__).parent)
