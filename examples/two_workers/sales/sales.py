"""A sale: paid for here, shipped by another deployment."""

from __future__ import annotations

import os
from functools import cache

from fluxio import step, workflow
from fluxio_client import FluxioClient


@cache
def shipping() -> FluxioClient:
    """A client of the other deployment; its policy is on this worker's role."""
    return FluxioClient(os.environ["SHIPPING_TABLE_NAME"], os.environ["SHIPPING_QUEUE_URL"])


@workflow
class Sale:
    @step(retry=3)
    def charge(self, order_id: str) -> dict:
        return {"charge_id": f"ch-{order_id}"}

    @step(depends_on=["charge"], retry=3)
    def hand_over(self, order_id: str) -> dict:
        # An id made from the order's: a second attempt finds the shipment that the first one started.
        shipment = shipping().start(
            "Shipment", {"order_id": order_id}, run_id=f"shipment-{order_id}"
        )
        return {"shipment": shipment.run_id}
