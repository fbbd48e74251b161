"""A card that is declined is no end: the order is paid by invoice then, and shipped all the same."""

from pydantic import BaseModel

from fluxio import Failure, Retry, StepContext, any_of, failed, step, workflow


class Order(BaseModel):
    """What a run is started with."""

    order_id: str
    card: str
    cents: int


class Paid(BaseModel):
    """How the order is paid."""

    by: str
    reference: str


class CardDeclined(Exception):
    """The bank's answer; to ask again would change nothing."""


@workflow(input=Order)
class Checkout:
    @step(retry=Retry(5, give_up_on=(CardDeclined,)))
    def charge_card(self, card: str, cents: int, ctx: StepContext) -> Paid:
        # Here a bank would be called, with ctx.idempotency_key, which is the same in every attempt.
        if card.startswith("expired"):
            raise CardDeclined(f"the card has expired; {cents} cents were not charged")
        return Paid(by="card", reference=ctx.idempotency_key)

    @step(depends_on=[failed(charge_card, CardDeclined)], retry=3)
    def send_invoice(self, order_id: str, charge_card: Failure) -> Paid:
        return Paid(by="invoice", reference=f"{order_id}: {charge_card.message}")

    @step(depends_on=[any_of(charge_card, send_invoice)], retry=3)
    def ship(self, order_id: str, by: str) -> dict:
        return {"shipped": order_id, "paid_by": by}
