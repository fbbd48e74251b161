"""The workflows of the emulator tests: the README's own, and a chain."""

from fluxio import step, workflow


@workflow
class OrderFulfillment:
    @step(retry=3, timeout=30)
    def validate_payment(self, order_id: str, amount: float) -> dict:
        return {"order_id": order_id, "token": "tok_abc", "amount": amount}

    @step(depends_on=["validate_payment"], retry=3)
    def charge_card(self, order_id: str, token: str, amount: float, **kwargs) -> dict:
        return {"charge_id": "ch_abc", "charged": amount}

    @step(depends_on=["validate_payment"], retry=2)
    def reserve_inventory(self, order_id: str, **kwargs) -> dict:
        return {"reservation_id": "res_abc"}

    @step(depends_on=["validate_payment"], retry=1)
    def send_confirmation(self, order_id: str, **kwargs) -> dict:
        return {"email_sent": True}

    @step(depends_on=["charge_card", "reserve_inventory", "send_confirmation"])
    def fulfill_order(self, order_id: str, charge_id: str, reservation_id: str, **kwargs) -> dict:
        return {"fulfillment_id": "ful_abc", "status": "fulfilled"}


@workflow
class Chain:
    @step()
    def one(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["one"])
    def two(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["two"])
    def three(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["three"])
    def four(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["four"])
    def five(self, n: int) -> dict:
        return {"n": n + 1}

    @step(depends_on=["five"])
    def six(self, n: int) -> dict:
        return {"n": n + 1}


@workflow
class Approval:
    @step(awaits=["approved"])
    def decide(self, approved: dict) -> dict:
        return approved
