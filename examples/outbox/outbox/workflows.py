"""A payment starts two other runs when it has been made: exactly once, or not at all."""

from datetime import timedelta

from pydantic import BaseModel

from fluxio import StepContext, step, workflow


class Order(BaseModel):
    """What a payment is made for."""

    order_id: str
    customer: str
    cents: int


class Paid(BaseModel):
    """What a receipt says."""

    order_id: str
    customer: str
    charge_id: str


@workflow(input=Paid)
class Receipt:
    @step(retry=5)
    def send(self, order_id: str, customer: str, charge_id: str) -> dict:
        # Here a mail would be sent, with an idempotency key of the run's own.
        return {"sent": f"receipt of {charge_id} for order {order_id} to {customer}"}


@workflow
class Reminder:
    @step(retry=5)
    def ask_for_a_review(self, customer: str) -> dict:
        return {"asked": customer}


@workflow(input=Order, timeout=timedelta(hours=1))
class Payment:
    @step(retry=3, timeout=timedelta(seconds=30))
    def charge(self, input: Order, ctx: StepContext) -> Paid:
        # Here a payment provider would be called, with the same key in each attempt.
        charge_id = f"ch-{ctx.idempotency_key}"
        paid = Paid(order_id=input.order_id, customer=input.customer, charge_id=charge_id)
        ctx.start(Receipt, paid)
        ctx.start(
            "Reminder",
            {"customer": input.customer},
            run_id=f"reminder-{input.order_id}",
            after=timedelta(days=14),
        )
        return paid

    @step(depends_on=[charge], timeout=timedelta(minutes=1))
    def book(self, charge: Paid, input: Order, ctx: StepContext) -> dict:
        booked = 0
        for part in range(4):
            # Here a quarter of the amount would be booked.
            booked += input.cents // 4
            ctx.progress({"booked": part + 1, "of": 4}, flush=True)
        return {"charge_id": charge.charge_id, "booked": booked}
