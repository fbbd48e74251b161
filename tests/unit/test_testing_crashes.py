"""`crash_everywhere`: what is not idempotent is found and named; what is crash-safe passes everywhere."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fluxio import StepContext, step, workflow
from fluxio.testing import (
    InvalidTest,
    NotCrashSafe,
    TestedRun,
    crash_everywhere,
    crashes,
    fails,
)
from tests.unit.conftest import run_in

INPUT = {"amount": 5}

#: What the outside world has seen: a charge for each key, however often it was asked for.
charges: list[str] = []
#: And what a shop that goes by idempotency keys has.
paid: dict[str, int] = {}


def begin() -> None:
    charges.clear()
    paid.clear()


@workflow
class Pays:
    """A step between two others charges a card, again each time that it is run."""

    @step
    def check(self, amount: int) -> dict:
        return {"ok": True}

    @step(depends_on=["check"], retry=2)
    def charge(self, amount: int, ctx: StepContext) -> dict:
        charges.append(ctx.idempotency_key)
        paid[ctx.idempotency_key] = amount
        return {"charged": amount}

    @step(depends_on=["charge"])
    def ship(self, charged: int) -> dict:
        return {"shipped": charged}


@workflow
class Books:
    """Two branches, one of which books twice if it is run twice."""

    @step
    def left(self, amount: int) -> dict:
        charges.append("left")
        return {"left": amount}

    @step
    def right(self, amount: int, ctx: StepContext) -> dict:
        paid[ctx.idempotency_key] = amount
        return {"right": amount}

    @step(depends_on=["left", "right"])
    def end(self, left: int, right: int) -> dict:
        return {"sum": left + right}


@workflow
class Transacts:
    @step(retry=1)
    def pay(self, amount: int, ctx: StepContext) -> dict:
        add = {
            "TableName": "ledger",
            "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}},
            "UpdateExpression": "ADD cents :n",
            "ExpressionAttributeValues": {":n": {"N": str(amount)}},
        }
        ctx.transact({"Update": add})
        return {"paid": amount}


@workflow
class Threads:
    """A step with threads of its own."""

    @step
    def work(self, amount: int) -> dict:
        found: list[int] = []
        threads = [threading.Thread(target=found.append, args=(n,)) for n in range(amount)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return {"found": sorted(found)}


def charged_once(run: TestedRun) -> None:
    assert run.status == "SUCCEEDED"
    assert len(charges) == 1, charges


def test_a_step_that_is_not_idempotent_is_named_with_the_schedule_that_shows_it() -> None:
    with pytest.raises(NotCrashSafe) as found:
        crash_everywhere(Pays, INPUT, check=charged_once, setup=begin)

    text = str(found.value)
    assert "charge: its code ran more than once" in text
    assert "ship: " not in text
    assert "check: " not in text
    assert 'crash_everywhere(Pays, …, only="dies after charge")' in text
    assert "step began charge (attempt 2)" in text


def test_that_schedule_is_run_again_alone(capsys: pytest.CaptureFixture[str]) -> None:
    begun: list[int] = []

    def setup() -> None:
        begun.append(1)
        begin()

    with pytest.raises(AssertionError, match="run-1/charge") as found:
        crash_everywhere(Pays, INPUT, check=charged_once, setup=setup, only="dies after charge")

    assert not isinstance(found.value, NotCrashSafe)  # it is the check's own error
    assert len(begun) == 2  # one without a fault, and that one
    assert "worker died after charge" in capsys.readouterr().out


def test_the_mended_step_passes_at_every_point(capsys: pytest.CaptureFixture[str]) -> None:
    def check(run: TestedRun) -> None:
        assert paid == {"run-1/charge": 5}

    points = crash_everywhere(Pays, INPUT, check=check, setup=begin)

    said = f"crash_everywhere(Pays): {len(points)} points at which a worker dies"
    assert said in capsys.readouterr().out
    assert any(line.startswith(said) for line in crashes.told)


def test_a_write_that_commits_with_its_step_passes_at_every_point() -> None:
    def check(run: TestedRun) -> bool:
        return run.table("ledger") == [{"pk": "a", "sk": "b", "cents": 5}]

    crash_everywhere(Transacts, INPUT, check=check, tables={"ledger": ["pk", "sk"]})


def test_of_two_branches_the_one_is_named_that_is_not_idempotent() -> None:
    def check(run: TestedRun) -> None:
        assert charges == ["left"]

    with pytest.raises(NotCrashSafe) as found:
        crash_everywhere(Books, INPUT, check=check, setup=begin)

    assert "left: its code ran more than once" in str(found.value)
    assert "right: " not in str(found.value)


def test_of_two_branches_of_one_invocation_the_later_one_is_named() -> None:
    """Whenever it runs again, so does the other one; apart from it, it shows which of them it is."""

    def book(amount: int) -> dict:
        charges.append("right")
        return {"right": amount}

    def check(run: TestedRun) -> None:
        assert charges == ["right"]

    mocks = {"left": {"left": 5}, "right": book}
    with pytest.raises(NotCrashSafe) as found:
        crash_everywhere(Books, INPUT, mocks=mocks, check=check, setup=begin)

    text = str(found.value)
    assert "right: its code ran more than once" in text
    assert "left: " not in text
    only = 'inline_branches=0, only="dies after right"'
    assert f"crash_everywhere(Books, …, {only})" in text
    with pytest.raises(AssertionError, match="right"):
        crash_everywhere(
            Books,
            INPUT,
            mocks=mocks,
            check=check,
            setup=begin,
            inline_branches=0,
            only="dies after right",
        )


@pytest.mark.parametrize(
    ("point", "attempts", "executions", "seconds", "told"),
    [
        ("dies before charge", 2, 1, 0, "worker died before"),
        ("dies after charge", 2, 2, 0, "worker died after"),
        ("cut off after charge", 2, 2, 900, "worker cut off at Lambda's timeout after"),
        ("doubled before charge", 1, 1, 0, "message delivered again before"),
        ("overtaken before charge", 2, 2, 70, "commit fenced"),
        ("overtaken after charge", 2, 2, 70, "commit fenced"),
    ],
)
def test_a_schedule_goes_as_its_name_says(
    point: str, attempts: int, executions: int, seconds: float, told: str
) -> None:
    runs: list[TestedRun] = []

    crash_everywhere(Pays, INPUT, check=runs.append, only=point)

    run = runs[-1]
    charge = run.steps["charge"]
    assert (run.status, charge.attempts, charge.executions) == ("SUCCEEDED", attempts, executions)
    (at,) = {event.at for event in run.history if event.what == told and event.step == "charge"}
    assert at == (0 if seconds == 0 else at)
    assert run.elapsed.total_seconds() >= seconds


@pytest.mark.parametrize("inline_branches", [0, 10])
def test_without_a_check_each_run_must_end_as_the_one_without_a_fault(inline_branches: int) -> None:
    crash_everywhere(Books, INPUT, inline_branches=inline_branches)


def test_a_result_that_depends_on_how_often_a_step_was_run_is_found() -> None:
    runs: Counter[str] = Counter()

    def count(amount: int) -> dict:
        runs["check"] += 1
        return {"ok": runs["check"]}

    with pytest.raises(NotCrashSafe, match=r"check: its code ran more than once"):
        crash_everywhere(
            Pays,
            INPUT,
            mocks={"check": count, "ship": lambda charged: dict(runs)},
            setup=runs.clear,
        )


def test_a_check_that_minds_more_than_effects_is_shown_its_schedule_as_well() -> None:
    def check(run: TestedRun) -> None:
        assert run.cost.invocations == 1, "it was invoked again"

    with pytest.raises(NotCrashSafe, match="No step's code ran more than once") as found:
        crash_everywhere(Pays, INPUT, check=check)

    assert "it was invoked again" in str(found.value)


def test_the_points_are_around_each_call_and_each_steps_code() -> None:
    points = crash_everywhere(Pays, INPUT)

    for point in (
        "dies before charge",
        "cut off after ship",
        "doubled before check",
        "overtaken after charge",
    ):
        assert point in points
    calls = {point.partition(" call ")[2] for point in points if " call " in point}
    assert {call.partition(" ")[2] for call in calls} >= {
        "(dynamodb.get_item)",
        "(dynamodb.update_item)",
        "(sqs.delete_message)",
    }
    assert len(points) == 3 * 8 + 5 * len(calls)


def test_attempts_that_fail_have_points_of_their_own() -> None:
    points = crash_everywhere(Pays, INPUT, mocks={"charge": fails(1)})

    assert {"dies before charge", "dies before charge #2", "dies after charge #2"} <= set(points)


def test_threads_of_a_steps_own_change_nothing() -> None:
    assert crash_everywhere(Threads, INPUT) == crash_everywhere(Threads, INPUT)


def test_a_check_that_fails_without_a_fault_is_told_as_it_is() -> None:
    def check(run: TestedRun) -> None:
        raise ValueError("never right")

    with pytest.raises(ValueError, match="never right"):
        crash_everywhere(Pays, INPUT, check=check)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"only": "dies after chrage"}, "no such point"),
        ({"mocks": {"chrage": {}}}, "no step 'chrage'"),
    ],
)
def test_what_is_unknown_is_refused(asked: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidTest, match=said):
        crash_everywhere(Pays, INPUT, **asked)


@pytest.mark.once
def test_the_plugin_says_at_the_end_how_many_points_there_were(tmp_path: Path) -> None:
    """Also if pytest-xdist has run the test in another process; docs/testing.md shows the rest."""
    (tmp_path / "test_pays.py").write_text(
        "from fluxio import step, workflow\n"
        "from fluxio.testing import crash_everywhere\n"
        "@workflow\n"
        "class Pays:\n"
        "    @step\n"
        "    def pay(self) -> dict:\n"
        "        return {}\n"
        "def test_it() -> None:\n"
        "    crash_everywhere(Pays)\n"
    )

    said = run_in(tmp_path, "-n", "1")

    assert "crash_everywhere(Pays): " in said, said
    assert "1 passed" in said
