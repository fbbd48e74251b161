"""Edges: whether a step runs, is skipped, or handles another one's failure."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio import Failure, Retry, any_of, failed, first_of, maybe, step, workflow
from fluxio_protocol.run import RunStatus, StepStatus
from tests.moto.pump import Calls, World

SUCCEEDED, SKIPPED, FAILED = StepStatus.SUCCEEDED, StepStatus.SKIPPED, StepStatus.FAILED


class Refused(Exception):
    """The bank's answer."""


class TooPoor(Refused):
    """One of its kinds."""


@workflow
class Loan:
    @step
    def assess(self, amount: int) -> dict[str, int]:
        return {"score": amount}

    @step(depends_on=[assess], when=lambda score: score > 100)
    def audit(self, score: int) -> dict[str, Any]:
        return {"audited": score}

    @step(depends_on=[audit])
    def file_audit(self, audited: int) -> dict[str, Any]:
        return {"filed": audited}

    @step(depends_on=[assess, maybe(audit), maybe("file_audit")])
    def decide(
        self, assess: dict[str, int], audit: dict[str, Any] | None, filed: int | None = None
    ) -> dict[str, Any]:
        return {"audit": audit, "filed": filed, "score": assess["score"]}


def statuses(world: World, run_id: str) -> dict[str, str]:
    return {name: str(of.status.value) for name, of in world.client.get(run_id).steps.items()}


class TestWhen:
    def test_a_step_whose_predicate_is_false_is_skipped_and_so_are_those_behind_it(
        self, world: World
    ) -> None:
        world.client.start("Loan", {"amount": 5}, run_id="small")
        world.pump(Loan).drain()
        run = world.client.get("small")
        assert run.status is RunStatus.SUCCEEDED
        assert [of.status for of in run.steps.values()] == [SUCCEEDED, SKIPPED, SKIPPED, SUCCEEDED]
        assert run.result == {"audit": None, "filed": None, "score": 5}

    def test_a_step_whose_predicate_is_true_runs(self, world: World) -> None:
        world.client.start("Loan", {"amount": 500}, run_id="large")
        world.pump(Loan).drain()
        assert world.client.get("large").result == {
            "audit": {"audited": 500},
            "filed": 500,
            "score": 500,
        }

    def test_a_predicate_that_raises_is_retried_like_the_steps_own_code(self, world: World) -> None:
        asked: list[int] = []

        def fails_once(n: int) -> bool:
            asked.append(n)
            if len(asked) == 1:
                raise OSError("not now")
            return False

        @workflow(name="Asks")
        class Asks:
            @step(retry=Retry(1, initial=0), when=fails_once)
            def only(self, n: int) -> dict[str, int]:
                raise AssertionError("it was to be skipped")

        world.client.start("Asks", {"n": 3}, run_id="asks")
        world.pump(Asks).pass_time(60)
        run = world.client.get("asks")
        assert (run.status, run.result, asked) == (RunStatus.SUCCEEDED, None, [3, 3])
        assert run.steps["only"].status is SKIPPED

    def test_a_choice_between_two_branches_costs_two_writes_more_than_one_branch(
        self, world: World, calls: Calls
    ) -> None:
        @workflow(name="One")
        class One:
            @step
            def choose(self) -> dict[str, bool]:
                return {"left": True}

            @step(depends_on=[choose])
            def go_left(self, left: bool) -> dict[str, str]:
                return {"went": "left"}

        @workflow(name="Choice")
        class Choice:
            @step
            def choose(self) -> dict[str, bool]:
                return {"left": True}

            @step(depends_on=[choose], when=lambda left: left)
            def go_left(self, left: bool) -> dict[str, str]:
                return {"went": "left"}

            @step(depends_on=[choose], when=lambda left: not left)
            def go_right(self, left: bool) -> dict[str, str]:
                return {"went": "right"}

        writes = []
        for made in (One, Choice):
            world.pump(made)  # stores the graph
            world.client.start(made.__name__, {}, run_id=f"{made.__name__}-0")
            world.pump(made).drain()
            pump = world.pump(made)
            world.client.start(made.__name__, {}, run_id=f"{made.__name__}-1")
            calls.reset()
            pump.drain()
            writes.append(calls.of("UpdateItem"))
        assert writes[1] <= writes[0] + 2
        assert world.client.get("Choice-1").result == {"go_left": {"went": "left"}}


class TestFailures:
    def pays(self, error: type[Exception], *handles: Any) -> type:
        @workflow(name="Pays")
        class Pays:
            @step(retry=Retry(1, initial=0))
            def pay(self) -> dict[str, str]:
                raise error("no money")

            @step(depends_on=[failed(pay, *handles)])
            def pay_by_cheque(self, pay: Failure) -> dict[str, str]:
                return {"paid": f"cheque, after {pay.type}: {pay.message}"}

            @step(depends_on=[any_of(pay, pay_by_cheque)])
            def clear(self, paid: str) -> dict[str, str]:
                return {"cleared": paid}

        return Pays

    @pytest.mark.parametrize(
        ("error", "handles"),
        [(Refused, ()), (Refused, (Refused,)), (TooPoor, (Refused,)), (Refused, ("Refused",))],
    )
    def test_a_failure_that_an_edge_handles_lets_the_run_go_on(
        self, world: World, error: type[Exception], handles: tuple[Any, ...]
    ) -> None:
        world.client.start("Pays", {}, run_id="p")
        world.pump(self.pays(error, *handles)).pass_time(60)
        run = world.client.get("p")
        assert run.result == {"cleared": f"cheque, after {error.__name__}: no money"}
        assert run.steps["pay"].status is FAILED
        assert run.steps["pay"].attempt == 2

    def test_a_failure_of_another_type_ends_the_run_and_a_redrive_tries_the_step_again(
        self, world: World
    ) -> None:
        made = self.pays(OSError, Refused)
        world.client.start("Pays", {}, run_id="p")
        world.pump(made).pass_time(60)
        run = world.client.get("p")
        assert (run.status, run.error and run.error.type) == (RunStatus.FAILED, "OSError")
        assert run.steps["pay_by_cheque"].status is StepStatus.PENDING
        world.client.redrive("p")
        world.pump(made).pass_time(60)
        assert world.client.get("p").steps["pay"].attempt == 4

    def test_a_redrive_does_not_run_a_step_again_whose_failure_was_handled(
        self, world: World
    ) -> None:
        broken = [True]

        @workflow(name="Mends")
        class Mends:
            @step
            def pay(self) -> None:
                raise Refused("no money")

            @step(depends_on=[failed(pay)])
            def instead(self) -> dict[str, str]:
                if broken:
                    raise OSError("down")
                return {"paid": "cash"}

        world.client.start("Mends", {}, run_id="m")
        world.pump(Mends).drain()
        assert world.client.get("m").status is RunStatus.FAILED
        broken.clear()
        world.client.redrive("m")
        world.pump(Mends).drain()
        run = world.client.get("m")
        assert (run.status, run.result) == (RunStatus.SUCCEEDED, {"paid": "cash"})
        assert run.steps["pay"].attempt == 1

    def test_a_step_that_succeeds_skips_what_handles_its_failure(self, world: World) -> None:
        @workflow(name="Fine")
        class Fine:
            @step
            def pay(self) -> dict[str, str]:
                return {"paid": "card"}

            @step(depends_on=[failed(pay)])
            def pay_by_cheque(self, pay: Failure) -> dict[str, str]:
                raise AssertionError

            @step(depends_on=[any_of(pay, pay_by_cheque)])
            def clear(
                self, paid: str, pay: dict[str, str] | None, pay_by_cheque: dict[str, str] | None
            ) -> dict[str, Any]:
                return {"paid": paid, "whole": [pay, pay_by_cheque]}

        world.client.start("Fine", {}, run_id="f")
        world.pump(Fine).drain()
        assert world.client.get("f").result == {"paid": "card", "whole": [{"paid": "card"}, None]}

    def test_a_step_that_takes_too_long_can_be_handled_by_its_type(self, world: World) -> None:
        clock = world.clock

        @workflow(name="Slow")
        class Slow:
            @step(timeout=0.05)
            def slow(self) -> None:
                import time

                time.sleep(1)

            @step(depends_on=[failed(slow, TimeoutError)])
            def instead(self) -> dict[str, bool]:
                return {"late": clock.now() > 0}

        world.client.start("Slow", {}, run_id="s")
        world.pump(Slow).drain()
        assert world.client.get("s").result == {"late": True}


class TestFirstOf:
    def test_the_first_success_releases_the_others_and_is_the_only_one(self, world: World) -> None:
        @workflow(name="Race")
        class Race:
            @step
            def quick(self) -> dict[str, str]:
                return {"price": "quick"}

            @step
            def also_quick(self) -> dict[str, str]:
                return {"price": "also"}

            @step(depends_on=[first_of(quick, also_quick)])
            def buy(self, price: str, quick: Any = None, also_quick: Any = None) -> dict[str, Any]:
                return {"price": price, "both": bool(quick and also_quick)}

        world.client.start("Race", {}, run_id="r")
        world.pump(Race).drain()
        run = world.client.get("r")
        assert run.status is RunStatus.SUCCEEDED
        assert sorted(run.steps[n].status.value for n in ("quick", "also_quick")) == [
            "SKIPPED",
            "SUCCEEDED",
        ]
        assert run.result["both"] is False

    def test_a_member_that_failed_does_not_keep_a_later_one_from_winning(
        self, world: World
    ) -> None:
        @workflow(name="Race")
        class Race:
            @step
            def bad(self) -> dict[str, str]:
                raise Refused("no")

            @step(depends_on=[failed(bad)])
            def good(self) -> dict[str, str]:
                return {"price": "good"}

            @step(depends_on=[first_of(bad, good)])
            def buy(self, price: str) -> dict[str, str]:
                return {"bought": price}

        world.client.start("Race", {}, run_id="r")
        world.pump(Race).drain()
        assert world.client.get("r").result == {"bought": "good"}

    def test_all_ended_without_success_skips_the_step(self, world: World) -> None:
        @workflow(name="Nothing")
        class Nothing:
            @step(when=lambda: False)
            def one(self) -> dict[str, str]:
                raise AssertionError

            @step(when=lambda: False)
            def two(self) -> dict[str, str]:
                raise AssertionError

            @step(depends_on=[first_of(one, two)])
            def buy(self) -> dict[str, str]:
                raise AssertionError

            @step(depends_on=[maybe(buy)])
            def tell(self, buy: dict[str, str] | None) -> dict[str, Any]:
                return {"bought": buy}

        world.client.start("Nothing", {}, run_id="r")
        world.pump(Nothing).drain()
        assert world.client.get("r").result == {"bought": None}


def test_a_skip_that_does_not_fit_the_write_that_causes_it_follows(world: World) -> None:
    """A hundred steps behind one that is not needed."""
    body: dict[str, Any] = {}

    @step(when=lambda: False)
    def head(self: Any) -> None:
        raise AssertionError

    body["head"] = head
    for number in range(99):

        def behind(self: Any) -> None:
            raise AssertionError

        behind.__name__ = f"a_step_with_a_rather_long_name_{number}"
        body[behind.__name__] = step(depends_on=["head"])(behind)
    wide = workflow(name="Wide")(type("Wide", (), body))
    world.client.start("Wide", {}, run_id="w")
    world.pump(wide).drain()
    run = world.client.get("w")
    assert run.status is RunStatus.SUCCEEDED
    assert {of.status for of in run.steps.values()} == {SKIPPED}
