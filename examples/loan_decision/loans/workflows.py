"""A small loan is granted at once; a large one is granted, or not, by a person who has two days for it."""

from datetime import timedelta

from pydantic import BaseModel

from fluxio import StepContext, any_of, maybe, signal, step, workflow


class Application(BaseModel):
    """What a run is started with."""

    application_id: str
    income: int
    amount: int


class Assessment(BaseModel):
    """How many yearly incomes the loan is."""

    incomes: float


class Approval(BaseModel):
    """What a loan officer sends as the signal `approved`."""

    by: str
    granted: bool


class Decision(BaseModel):
    """Whether the loan is paid out."""

    granted: bool
    reason: str


class Letter(BaseModel):
    """What the customer reads."""

    text: str


@workflow(input=Application)
class LoanDecision:
    @step(retry=3)
    def assess(self, income: int, amount: int) -> Assessment:
        return Assessment(incomes=amount / income)

    @step(depends_on=[assess], when=lambda incomes: incomes > 2, retry=3)
    def ask_an_officer(self, application_id: str, incomes: float, ctx: StepContext) -> dict:
        # Here a mail would be sent, with the run's id: that is what the signal goes to.
        return {"asked_in": ctx.run_id}

    @step(
        depends_on=[
            ask_an_officer,
            signal("approved", type=Approval, timeout=timedelta(days=2), default=None),
        ]
    )
    def read_approval(self, approved: Approval | None) -> Approval:
        return approved or Approval(by="nobody", granted=False)

    @step(depends_on=[assess, maybe(read_approval)])
    def decide(self, assess: Assessment, read_approval: Approval | None) -> Decision:
        if read_approval is None:
            return Decision(granted=True, reason=f"{assess.incomes:g} incomes")
        return Decision(granted=read_approval.granted, reason=f"decided by {read_approval.by}")

    @step(depends_on=[decide], when=lambda granted: granted, retry=5)
    def pay_out(self, application_id: str, amount: int, ctx: StepContext) -> Letter:
        # Here a bank would be called, with ctx.idempotency_key, which is the same in every attempt.
        return Letter(text=f"{amount} for {application_id} is on its way")

    @step(depends_on=[decide], when=lambda granted: not granted)
    def decline(self, application_id: str, reason: str) -> Letter:
        return Letter(text=f"{application_id} is declined: {reason}")

    @step(depends_on=[any_of(pay_out, decline)], retry=20, deadline=timedelta(days=1))
    def send_letter(self, text: str) -> dict:
        return {"sent": text}
