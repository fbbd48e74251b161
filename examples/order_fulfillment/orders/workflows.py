"""An order is paid for, then charged, reserved and confirmed side by side, then fulfilled."""

from __future__ import annotations

import time

from fluxio import StepContext, step, workflow


class CardNetworkBusy(Exception):
    """The card network asks to try again later."""


@workflow
class OrderFulfillment:
    @step(retry=3, timeout=30)
    def validate_payment(self, order_id: str, amount: float) -> dict:
        return {"order_id": order_id, "token": "tok_abc", "amount": amount}

    @step(depends_on=["validate_payment"], retry=3)
    def charge_card(
        self, order_id: str, token: str, amount: float, ctx: StepContext, **kwargs
    ) -> dict:
        # Fails once on purpose, so that the demo shows a run recover. A real step would hand
        # ctx.idempotency_key to the card network: it is the same in both attempts.
        if ctx.attempt == 1:
            raise CardNetworkBusy("503 from the card network")
        time.sleep(0.4)
        return {"charge_id": "ch_abc", "charged": amount}

    @step(depends_on=["validate_payment"], retry=2)
    def reserve_inventory(self, order_id: str, **kwargs) -> dict:
        time.sleep(0.3)
        return {"reservation_id": "res_abc"}

    @step(depends_on=["validate_payment"], retry=1)
    def send_confirmation(self, order_id: str, **kwargs) -> dict:
        time.sleep(0.2)
        return {"email_sent": True}

    @step(depends_on=["charge_card", "reserve_inventory", "send_confirmation"])
    def fulfill_order(self, order_id: str, charge_id: str, reservation_id: str, **kwargs) -> dict:
        return {"fulfillment_id": "ful_abc", "status": "fulfilled"}
