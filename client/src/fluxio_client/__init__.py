"""The thin client of fluxio: start runs and see how they are.

from fluxio_client import FluxioClient

client = FluxioClient()  # FLUXIO_TABLE_NAME and FLUXIO_QUEUE_URL
run = client.start("OrderFulfillment", {"order_id": "o-1", "amount": 99.0})
print(client.wait(run.run_id).result)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxio_client.moved import find_moved
from fluxio_protocol.errors import (
    FluxioError,
    IndexNotReady,
    InvalidInput,
    NotNudged,
    PayloadError,
    RunEnded,
    RunExists,
    RunNotFound,
    RunParked,
    SettingError,
    SignalExists,
    SignalLapsed,
    UnknownStatus,
    WaitTimeout,
)
from fluxio_protocol.run import Failure, Page, Run, RunStatus, RunSummary, Step, StepStatus

if TYPE_CHECKING:
    from fluxio_client.client import FluxioClient
    from fluxio_client.dead_letters import Redriven

__all__ = [
    "Failure",
    "FluxioClient",
    "FluxioError",
    "IndexNotReady",
    "InvalidInput",
    "NotNudged",
    "Page",
    "PayloadError",
    "Redriven",
    "Run",
    "RunEnded",
    "RunExists",
    "RunNotFound",
    "RunParked",
    "RunStatus",
    "RunSummary",
    "SettingError",
    "SignalExists",
    "SignalLapsed",
    "Step",
    "StepStatus",
    "UnknownStatus",
    "WaitTimeout",
]


find_moved()


def __getattr__(name: str) -> Any:
    # The worker imports this package at each cold start, and needs neither of them.
    if name == "FluxioClient":
        from fluxio_client.client import FluxioClient

        return FluxioClient
    if name == "Redriven":
        from fluxio_client.dead_letters import Redriven

        return Redriven
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
