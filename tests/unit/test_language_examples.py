"""The examples that decide, wait, ask again, page and fall back run as their pages say."""

from __future__ import annotations

import importlib
import sys
from datetime import timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from fluxio.testing import Fluxio, before, crash_everywhere, fails, later
from fluxio_client import SignalLapsed
from tests.unit.conftest import Package

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]

SMALL = {"application_id": "a-1", "income": 30_000, "amount": 15_000}
LARGE = {"application_id": "a-2", "income": 30_000, "amount": 90_000}
GOOD = {"order_id": "o-1", "card": "4242", "cents": 4000}
EXPIRED = {"order_id": "o-1", "card": "expired-4242", "cents": 4000}


def example_of(folder: str, module: str, patch: pytest.MonkeyPatch) -> ModuleType:
    patch.syspath_prepend(ROOT / "examples" / folder)
    return importlib.import_module(module)


class TestLoanDecision:
    @pytest.fixture
    def workflow(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        return example_of("loan_decision", "loans.workflows", monkeypatch).LoanDecision

    def test_a_small_loan_asks_nobody(self, fluxio: Fluxio, workflow: Any) -> None:
        run = fluxio.run(workflow, SMALL)
        assert run.result == {"sent": "15000 for a-1 is on its way"}
        skipped = {name for name, step in run.steps.items() if step.status == "SKIPPED"}
        assert skipped == {"ask_an_officer", "read_approval", "decline"}
        assert run.elapsed < timedelta(seconds=1)

    @pytest.mark.parametrize(
        ("granted", "sent"),
        [(True, "90000 for a-2 is on its way"), (False, "a-2 is declined: decided by ada")],
    )
    def test_a_large_one_is_decided_by_an_officer(
        self, fluxio: Fluxio, workflow: Any, granted: bool, sent: str
    ) -> None:
        approval = later({"by": "ada", "granted": granted}, hours=30)
        run = fluxio.run(workflow, LARGE, signals={"approved": approval})
        assert run.result == {"sent": sent}
        skipped = {name for name, step in run.steps.items() if step.status == "SKIPPED"}
        assert skipped == {"decline" if granted else "pay_out"}

    def test_without_an_answer_it_is_declined_after_two_days(
        self, fluxio: Fluxio, workflow: Any
    ) -> None:
        run = fluxio.start(workflow, LARGE).advance(hours=47)
        assert run.status == "RUNNING"
        run.finish()
        assert run.result == {"sent": "a-2 is declined: decided by nobody"}
        assert timedelta(days=2) <= run.elapsed <= timedelta(days=2, seconds=2)

    def test_an_answer_that_comes_too_late_is_told_so(self, fluxio: Fluxio, workflow: Any) -> None:
        down = {"send_letter": fails(3, OSError("down"))}
        run = fluxio.start(workflow, LARGE, mocks=down).advance(days=2, seconds=2)
        assert run.steps["send_letter"].error is not None  # it is tried again, so the run is open
        with pytest.raises(SignalLapsed, match="too late"):
            run.signal("approved", {"by": "ada", "granted": True})
        assert run.finish().result == {"sent": "a-2 is declined: decided by nobody"}

    def test_an_answer_that_is_none_is_refused_and_another_may_follow(
        self, fluxio: Fluxio, workflow: Any
    ) -> None:
        run = fluxio.start(workflow, LARGE).advance(minutes=1)
        run.signal("approved", {"by": "ada", "granted": "perhaps"})
        run.advance(minutes=1)
        assert run.status == "RUNNING"
        run.signal("approved", {"by": "ada", "granted": True})
        assert run.finish().result == {"sent": "90000 for a-2 is on its way"}

    def test_whatever_dies_when_it_is_paid_out_and_not_declined(self, workflow: Any) -> None:
        def check(run: Any) -> None:
            assert run.result == {"sent": "90000 for a-2 is on its way"}
            assert run.steps["decline"].executions == 0

        approval = {"by": "ada", "granted": True}
        crash_everywhere(workflow, LARGE, signals={"approved": approval}, check=check)


class TestRenderVideo:
    @pytest.fixture
    def module(self, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
        return example_of("render_job", "rendering.workflows", monkeypatch)

    @pytest.fixture
    def states(self, module: Any, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """What the farm says, one after the other."""
        states: list[str] = []
        monkeypatch.setattr(module.farm, "submit", lambda video, key: f"job-{video}")
        monkeypatch.setattr(
            module.farm, "state", lambda _: states.pop(0) if states else "rendering"
        )
        return states

    def test_it_is_asked_about_until_it_is_done(
        self, fluxio: Fluxio, module: Any, states: list[str]
    ) -> None:
        states += ["rendering", "rendering", "done"]
        run = fluxio.run(module.RenderVideo, {"video": "v-1"})
        assert run.result == {"told": "job-v-1 is done"}
        assert run.steps["wait_for_it"].executions == 3
        assert run.steps["apologise"].status == "SKIPPED"
        assert timedelta(seconds=90) <= run.elapsed <= timedelta(seconds=95)  # 30 s, and 60 s

    def test_a_round_of_five_minutes_costs_four_writes_at_most(
        self, fluxio: Fluxio, module: Any, states: list[str]
    ) -> None:
        writes = []
        for rounds in (10, 60):
            states += ["rendering"] * rounds + ["done"]
            writes.append(fluxio.run(module.RenderVideo, {"video": "v-1"}).cost.writes)
        assert writes[1] - writes[0] <= 4 * 50

    @pytest.mark.parametrize(
        ("said", "why"), [([], "StepDeadline"), (["rendering", "broken"], "RenderingFailed")]
    )
    def test_what_is_never_done_is_told(
        self, fluxio: Fluxio, module: Any, states: list[str], said: list[str], why: str
    ) -> None:
        states += said
        run = fluxio.run(module.RenderVideo, {"video": "v-1"})
        assert run.result == {"told": f"it could not be rendered: {why}"}
        assert run.elapsed <= timedelta(hours=6, seconds=10)

    def test_a_farm_that_is_busy_is_asked_when_it_says(
        self,
        fluxio: Fluxio,
        module: Any,
        states: list[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        refusals = [module.farm.Busy(100.0)]

        def submit(video: str, key: str) -> str:
            if refusals:
                raise refusals.pop()
            return "job-7"

        monkeypatch.setattr(module.farm, "submit", submit)
        states += ["done"]
        run = fluxio.run(module.RenderVideo, {"video": "v-1"})
        assert run.result == {"told": "job-7 is done"}
        assert run.steps["submit"].attempts == 2
        assert timedelta(seconds=100) <= run.elapsed <= timedelta(seconds=103)

    def test_the_stand_in_for_the_farm_is_done_after_a_while(
        self, module: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = [1_000.0]
        monkeypatch.setattr(module.farm.time, "time", lambda: now[0])
        job = module.farm.submit("v-1", "key")
        assert module.farm.state(job) == "rendering"
        now[0] += 91
        assert module.farm.state(job) == "done"


class TestCatalogueImport:
    @pytest.fixture
    def workflow(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        return example_of("catalogue_import", "catalogue.workflows", monkeypatch).CatalogueImport

    def test_all_pages_are_written_in_one_invocation(self, fluxio: Fluxio, workflow: Any) -> None:
        run = fluxio.run(workflow, tables={"products": ["sku"]})
        assert run.result == {"text": "25 products"}
        assert len(run.table("products")) == 25
        assert run.steps["fetch"].executions == 3
        assert run.cost.invocations == 1

    def test_whatever_dies_when_each_page_is_written_and_counted_once(self, workflow: Any) -> None:
        def check(run: Any) -> None:
            assert run.result == {"text": "25 products"}
            assert len(run.table("products")) == 25

        crash_everywhere(workflow, tables={"products": ["sku"]}, check=check)

    def test_a_page_that_fails_is_fetched_again_and_those_before_it_are_not(
        self, fluxio: Fluxio, workflow: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        api = sys.modules["catalogue.api"]
        pages, asked = api.products, []

        def products(cursor: str | None) -> Any:
            asked.append(cursor)
            if asked.count("10") == 1 and cursor == "10":
                raise OSError("down")
            return pages(cursor)

        monkeypatch.setattr(api, "products", products)
        run = fluxio.run(workflow, tables={"products": ["sku"]})
        assert run.result == {"text": "25 products"}
        assert asked == [None, "10", "10", "20"]


class TestCheckout:
    @pytest.fixture
    def workflow(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        return example_of("payment_with_fallback", "checkout.workflows", monkeypatch).Checkout

    def test_a_card_that_is_good_is_charged(self, fluxio: Fluxio, workflow: Any) -> None:
        run = fluxio.run(workflow, GOOD)
        assert run.result == {"shipped": "o-1", "paid_by": "card"}
        assert run.steps["send_invoice"].status == "SKIPPED"

    def test_one_that_is_declined_is_followed_by_an_invoice_at_once(
        self, fluxio: Fluxio, workflow: Any
    ) -> None:
        run = fluxio.run(workflow, EXPIRED)
        assert run.result == {"shipped": "o-1", "paid_by": "invoice"}
        assert run.status == "SUCCEEDED"
        assert (run.steps["charge_card"].status, run.steps["charge_card"].attempts) == ("FAILED", 1)
        assert "not charged" in run.steps["send_invoice"].output["reference"]

    def test_a_bank_that_is_down_is_no_reason_for_an_invoice(
        self, fluxio: Fluxio, workflow: Any
    ) -> None:
        run = fluxio.run(workflow, GOOD, mocks={"charge_card": fails(6, OSError("down"))})
        assert (run.status, run.error.type) == ("FAILED", "OSError")
        assert run.steps["send_invoice"].executions == 0
        run.redrive()
        assert run.finish().result == {"shipped": "o-1", "paid_by": "card"}

    def test_a_worker_that_dies_before_the_invoice_changes_nothing(
        self, fluxio: Fluxio, workflow: Any
    ) -> None:
        run = fluxio.run(workflow, EXPIRED, crash=before("send_invoice"))
        assert run.result == {"shipped": "o-1", "paid_by": "invoice"}
        assert run.steps["charge_card"].executions == 1

    @pytest.mark.parametrize("by", ["card", "invoice"])
    def test_whatever_dies_when_it_is_paid_one_way(self, workflow: Any, by: str) -> None:
        def check(run: Any) -> None:
            assert run.result == {"shipped": "o-1", "paid_by": by}

        crash_everywhere(workflow, GOOD if by == "card" else EXPIRED, check=check)


@pytest.mark.parametrize(
    ("folder", "workflow"),
    [
        ("loan_decision", "LoanDecision  7 steps"),
        ("render_job", "RenderVideo  4 steps"),
        ("catalogue_import", "CatalogueImport  2 steps"),
        ("payment_with_fallback", "Checkout  3 steps"),
        ("outbox", "Payment  2 steps"),
    ],
)
def test_each_can_be_packaged(package: Package, folder: str, workflow: str) -> None:
    said = package(of=ROOT / "examples" / folder)
    assert (said.code, said.err) == (0, "")
    assert workflow in said.out
