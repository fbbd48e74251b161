"""Workflows whose price is counted: an approval, a write of the user's own, and a whole claim with both."""

from __future__ import annotations

from typing import Any

from fluxio import StepContext, step, workflow


def note(ledger: str, ctx: StepContext) -> dict[str, Any]:
    """A write of the user's own that commits with the step."""
    return {
        "Put": {
            "TableName": ledger,
            "Item": {"account": {"S": f"{ctx.run_id}#{ctx.step}"}, "balance": {"N": "1"}},
        }
    }


@workflow
class Booking:
    """One step, with one small item in a table of the user's own."""

    @step()
    def book(self, ledger: str, ctx: StepContext) -> dict:
        ctx.transact(note(ledger, ctx))
        return {"booked": True}


@workflow
class Claim:
    """Eight steps: a fan-out of three, an approval, and a payout that is noted in the user's own table."""

    @step()
    def register(self, claim: str) -> dict:
        return {"number": f"n-{claim}"}

    @step(depends_on=["register"])
    def check_policy(self, number: str) -> dict:
        return {"covered": True}

    @step(depends_on=["register"])
    def score_fraud(self, number: str) -> dict:
        return {"score": 7}

    @step(depends_on=["register"])
    def estimate_damage(self, number: str) -> dict:
        return {"damage": 1200}

    @step(depends_on=["check_policy", "score_fraud", "estimate_damage"], awaits=["approved"])
    def decide(self, covered: bool, score: int, damage: int, approved: dict) -> dict:
        return {"amount": damage, "by": approved["by"]}

    @step(depends_on=["decide"])
    def pay_out(self, ledger: str, amount: int, ctx: StepContext) -> dict:
        ctx.transact(note(ledger, ctx))
        return {"paid": amount}

    @step(depends_on=["pay_out"])
    def book(self, paid: int) -> dict:
        return {"booked": paid}

    @step(depends_on=["book"])
    def notify(self, booked: int) -> dict:
        return {"told": True}
