"""A shipment, started by whoever has something to ship."""

from __future__ import annotations

from fluxio import step, workflow


@workflow
class Shipment:
    @step(retry=3)
    def pack(self, order_id: str) -> dict:
        return {"parcel": f"pc-{order_id}"}

    @step(depends_on=["pack"], retry=3)
    def ship(self, parcel: str) -> dict:
        return {"tracking": f"tr-{parcel}"}
