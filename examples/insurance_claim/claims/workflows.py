"""A claim is registered, then checked and estimated side by side, decided, and paid out.

Between steps go pydantic models, with amounts as Decimal and an Enum: each step gets them as the types that
its parameters name, converted and checked.
"""

from decimal import Decimal
from enum import Enum

from pydantic import BaseModel, Field

from fluxio import StepContext, step, workflow


class Kind(str, Enum):
    """What has happened."""

    WATER = "water"
    THEFT = "theft"


class Claim(BaseModel):
    """What a run is started with."""

    claim_id: str
    kind: Kind
    amount: Decimal = Field(gt=0, decimal_places=2)


class Cover(BaseModel):
    """What the policy pays at most, and what the customer bears."""

    limit: Decimal
    excess: Decimal


class Estimate(BaseModel):
    """What the damage is worth."""

    damage: Decimal


class Decision(BaseModel):
    """What is paid out."""

    payable: Decimal
    reason: str


LIMITS = {Kind.WATER: Decimal("20000.00"), Kind.THEFT: Decimal("5000.00")}
EXCESS = Decimal("150.00")


@workflow(input=Claim)
class InsuranceClaim:
    @step
    def register(self, claim_id: str, kind: Kind, amount: Decimal) -> Claim:
        return Claim(claim_id=claim_id, kind=kind, amount=amount)

    @step(depends_on=["register"], retry=3)
    def check_policy(self, register: Claim) -> Cover:
        return Cover(limit=LIMITS[register.kind], excess=EXCESS)

    @step(depends_on=["register"], retry=3)
    def estimate_damage(self, register: Claim) -> Estimate:
        return Estimate(damage=register.amount * Decimal("0.9"))

    @step(depends_on=["check_policy", "estimate_damage"])
    def decide(self, check_policy: Cover, estimate_damage: Estimate) -> Decision:
        covered = min(estimate_damage.damage, check_policy.limit)
        payable = max(covered - check_policy.excess, Decimal(0)).quantize(Decimal("0.01"))
        return Decision(payable=payable, reason=f"{covered} covered, {check_policy.excess} excess")

    @step(depends_on=["decide"], retry=5)
    def pay_out(
        self, claim_id: str, payable: Decimal, ctx: StepContext
    ) -> dict[str, Decimal | str]:
        # A real step would hand ctx.idempotency_key to the bank: it is the same in every attempt.
        return {"paid": payable, "reference": f"{claim_id} {ctx.step}"}
