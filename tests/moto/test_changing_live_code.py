"""What docs/changing-live-code.md says: a step is renamed while runs wait, and nobody is paid twice."""

from __future__ import annotations

from collections import Counter

from fluxio import step, workflow
from fluxio_client import RunStatus, StepStatus
from tests.moto.pump import World

paid: Counter[str] = Counter()


@workflow(name="Claim")
class Before:
    @step(awaits=["approved"])
    def decide(self, amount: int) -> dict:
        return {"amount": amount}

    @step(depends_on=["decide"])
    def pay(self, claim_id: str, amount: int) -> dict:
        paid[claim_id] += amount
        return {"receipt": f"old-{claim_id}"}

    @step(depends_on=["pay"])
    def book(self, receipt: str) -> str:
        return receipt


@workflow(name="Claim")
class WithTheStepRetired:
    """`pay` is renamed: new runs have `pay_out`, which nobody may run after `pay`."""

    @step(awaits=["approved"])
    def decide(self, amount: int) -> dict:
        return {"amount": amount}

    @step(depends_on=["decide"], retired=True)
    def pay(self, claim_id: str, amount: int) -> dict:
        return {"receipt": self.pay_out(claim_id, amount)["receipt"].replace("new", "old")}

    @step(depends_on=["decide"])
    def pay_out(self, claim_id: str, amount: int) -> dict:
        paid[claim_id] += amount
        return {"receipt": f"new-{claim_id}"}

    @step(depends_on=["pay_out"])
    def book(self, receipt: str) -> str:
        return receipt


@workflow(name="Claim")
class WithoutTheStep:
    """As above, but `pay` was removed at once: too early."""

    @step(awaits=["approved"])
    def decide(self, amount: int) -> dict:
        return {"amount": amount}

    @step(depends_on=["decide"])
    def pay_out(self, claim_id: str, amount: int) -> dict:
        paid[claim_id] += amount
        return {"receipt": f"new-{claim_id}"}

    @step(depends_on=["pay_out"])
    def book(self, receipt: str) -> str:
        return receipt


def begin(world: World, run_id: str, deployed: type) -> None:
    """A run that waits for its signal."""
    world.client.start("Claim", {"claim_id": run_id, "amount": 10}, run_id=run_id)
    world.pump(deployed).drain()
    assert world.client.get(run_id).status is RunStatus.RUNNING


def approve(world: World, run_id: str, deployed: type) -> None:
    world.client.signal(run_id, "approved", {})
    world.pump(deployed).drain()


def test_a_retired_step_runs_in_old_runs_only_so_each_is_paid_once(world: World) -> None:
    paid.clear()
    begin(world, "old", Before)
    begin(world, "new", WithTheStepRetired)
    for run_id in ("old", "new"):
        approve(world, run_id, WithTheStepRetired)

    old, new = world.client.get("old"), world.client.get("new")
    assert (old.status, old.result) == (RunStatus.SUCCEEDED, "old-old")
    assert (new.status, new.result) == (RunStatus.SUCCEEDED, "new-new")
    assert [*old.steps] == ["decide", "pay", "book"]
    assert [*new.steps] == ["decide", "pay_out", "book"]
    assert paid == {"old": 10, "new": 10}


def test_a_run_parked_by_a_step_removed_too_early_goes_on_with_the_step_retired(
    world: World,
) -> None:
    paid.clear()
    begin(world, "old", Before)
    approve(world, "old", WithoutTheStep)
    world.pump(WithoutTheStep).lose_patience()
    run = world.client.get("old")
    assert run.parked
    assert run.error is not None
    assert "no step pay" in run.error.message
    assert "@step(retired=True)" in run.error.message

    world.client.redrive("old")
    world.pump(WithTheStepRetired).drain()
    run = world.client.get("old")
    assert (run.status, run.result) == (RunStatus.SUCCEEDED, "old-old")
    assert all(one.status is StepStatus.SUCCEEDED for one in run.steps.values())
    assert paid == {"old": 10}
