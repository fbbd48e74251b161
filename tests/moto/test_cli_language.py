"""The command on runs that workers took through skips, handled failures, races, rounds and lapsed signals."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio import Again, Failure, any_of, failed, first_of, maybe, signal, step, timer, workflow
from fluxio_client.cli.exits import ExitCode
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once


class BankRefused(Exception):
    """The bank's answer."""


@workflow
class Claim:
    @step
    def assess(self, amount: int) -> dict[str, int]:
        return {"amount": amount}

    @step(depends_on=[assess], when=lambda amount: amount > 1000)
    def audit(self, amount: int) -> dict[str, Any]:
        return {"audited": amount}

    @step(depends_on=[audit])
    def file_audit(self) -> dict[str, Any]:
        return {}

    @step(depends_on=[assess, maybe(file_audit)])
    def pay(self) -> dict[str, Any]:
        raise BankRefused("no such account")

    @step(depends_on=[failed(pay, BankRefused)])
    def pay_by_cheque(self, pay: Failure) -> dict[str, str]:
        return {"paid": "cheque"}

    @step(depends_on=[any_of(pay, pay_by_cheque)])
    def clear(self) -> dict[str, str]:
        return {}


@workflow
class Race:
    @step(depends_on=[signal("quote")])
    def by_phone(self, quote: int) -> dict[str, int]:
        return {"price": quote}

    @step(depends_on=[timer(hours=1)])
    def list_price(self) -> dict[str, int]:
        return {"price": 100}

    @step(depends_on=[first_of(by_phone, list_price)])
    def order(self, price: int) -> dict[str, int]:
        return {"ordered": price}

    @step(depends_on=[order])
    def poll(self) -> dict[str, int] | Again:
        return Again(after=900)


@workflow
class Late:
    @step(depends_on=[signal("approved", timeout=5, default={"by": "nobody"})])
    def act(self, approved: dict[str, str]) -> dict[str, str]:
        return approved

    @step(depends_on=[act, signal("more")])
    def end(self) -> None: ...


@workflow
class Strict:
    @step(depends_on=[signal("approved", timeout=5)])
    def act(self) -> None: ...


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return make_command(world, capfd, monkeypatch)


def run(world: World, made: type, run_id: str, given: dict[str, Any] | None = None) -> None:
    world.client.start(made.__name__, given or {}, run_id=run_id)
    world.pump(made).drain()


def said(fluxio: Command, *arguments: str) -> str:
    return " ".join(fluxio(*arguments).out.replace("│", " ").split())


def test_show_tells_the_way_of_a_run_with_skips_and_a_handled_failure(
    fluxio: Command, world: World
) -> None:
    run(world, Claim, "c-1", {"amount": 5})

    text = said(fluxio, "show", "c-1")
    assert "not needed: its `when` said no" in text
    assert "not needed: audit was skipped" in text
    assert "after assess, maybe(file_audit)" in text
    assert "failed: BankRefused: no such account handled by pay_by_cheque" in text
    steps = {one["name"]: one for one in fluxio("show", "c-1", "--json").json["steps"]}
    assert steps["audit"]["skipped_because"] == "its `when` said no"
    assert steps["file_audit"]["skipped_because"] == "audit was skipped"
    assert steps["pay"]["handled_by"] == ["pay_by_cheque"]
    assert "not needed: audit, file_audit" in said(fluxio, "timeline", "c-1")
    watched = said(fluxio, "show", "c-1", "--watch")
    assert "file_audit SKIPPED, not needed: audit was skipped" in watched
    assert "pay FAILED, attempt 1, handled by pay_by_cheque BankRefused" in watched


def test_show_and_list_tell_what_a_race_waits_for_who_was_first_and_the_next_round(
    fluxio: Command, world: World
) -> None:
    run(world, Race, "r-1")
    for text in (said(fluxio, "show", "r-1"), said(fluxio, "list")):
        assert "waits for the signal quote" in text
        assert "waits for its timer until " in text

    assert fluxio("signal", "r-1", "quote", "--payload", "7").code == ExitCode.OK
    world.pump(Race).drain()

    text = said(fluxio, "show", "r-1")
    assert "not needed: by_phone was first" in text
    assert "round 1 begins in 15 min, at " in text
    assert "poll: round 1 begins in 15 min" in said(fluxio, "list")
    waiting = fluxio("show", "r-1", "--json").json["steps"][-1]["waiting"]
    assert (waiting["for"], waiting["until_ms"]) == ("round", world.clock.now() + 900_000)


def test_a_signal_that_came_too_late_is_refused_and_its_default_shown(
    fluxio: Command, world: World
) -> None:
    run(world, Late, "l-1")
    assert "then its default is taken" in said(fluxio, "show", "l-1")
    world.pump(Late).pass_time(8, step=1)

    late = fluxio("signal", "l-1", "approved", "--json")
    assert late.code == ExitCode.ERROR
    assert '"type": "SignalLapsed"' in late.err
    assert "its default was taken" in late.err
    text = said(fluxio, "show", "l-1", "--input")
    assert "the signal approved had not come by" in text
    assert "default of signal approved" in text
    assert fluxio("show", "l-1", "--json").json["signals"] == []


def test_a_late_signal_of_a_run_that_failed_for_it_is_told_to_redrive_first(
    fluxio: Command, world: World
) -> None:
    run(world, Strict, "s-1")
    world.pump(Strict).pass_time(8, step=1)

    assert "given up: SignalTimeout" in said(fluxio, "show", "s-1")
    late = fluxio("signal", "s-1", "approved")
    assert late.code == ExitCode.ERROR
    assert "fluxio redrive s-1" in late.err


@pytest.mark.parametrize("format", ["mermaid", "svg", "text"])
def test_graph_draws_a_run_in_each_format(fluxio: Command, world: World, format: str) -> None:
    run(world, Claim, "c-2", {"amount": 5})

    drawn = fluxio("graph", "c-2", "--format", format)

    assert drawn.code == ExitCode.OK
    for word in ("HANDLED", "SKIPPED", "BankRefused", "maybe"):
        assert word in drawn.out


def test_graph_as_json_has_the_edges_of_each_step(fluxio: Command, world: World) -> None:
    run(world, Claim, "c-3", {"amount": 5})

    steps = fluxio("graph", "c-3", "--json").json["steps"]

    assert [step["when"] for step in steps] == [False, True, False, False, False, False]
    assert steps[4]["edges"] == [{"kind": "failed", "steps": ["pay"], "errors": ["BankRefused"]}]
    assert steps[5]["edges"] == [
        {"kind": "any_of", "steps": ["pay", "pay_by_cheque"], "errors": []}
    ]
