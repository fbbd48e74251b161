"""The example `outbox` runs: a payment starts its receipt at once, and a reminder two weeks later."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxio_client import RunStatus
from tests.moto.pump import World

ROOT = Path(__file__).parents[2]
ORDER = {"order_id": "o-7", "customer": "Ada", "cents": 4000}


def test_a_payment_starts_its_receipt_and_a_reminder(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "examples" / "outbox")
    from outbox.workflows import Payment, Receipt, Reminder

    world.client.start(Payment, ORDER, run_id="pay-o-7")
    pump = world.pump(Payment, Receipt, Reminder)
    pump.drain()
    run = world.client.get("pay-o-7")
    assert (run.status, run.error) == (RunStatus.SUCCEEDED, None)
    assert run.result == {"charge_id": "ch-pay-o-7/charge", "booked": 4000}
    receipt, reminder = run.started["charge"]
    sent = "receipt of ch-pay-o-7/charge for order o-7 to Ada"
    assert world.client.get(receipt).result == {"sent": sent}
    assert reminder == "reminder-o-7"
    assert world.client.get(reminder).status is RunStatus.PENDING
    pump.pass_time(14 * 86_400 + 120, step=3600)
    assert world.client.get(reminder).result == {"asked": "Ada"}
