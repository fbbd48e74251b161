"""The thin client of fluxio: start runs and see how they are.

from fluxio_client import FluxioClient

client = FluxioClient()  # FLUXIO_TABLE_NAME and FLUXIO_QUEUE_URL
run = client.start("OrderFulfillment", {"order_id": "o-1", "amount": 99.0})
print(client.wait(run.run_id).result)
"""

from fluxio_client.client import FluxioClient
from fluxio_client.dead_letters import Redriven
from fluxio_client.errors import (
    FluxioError,
    InvalidInput,
    NotNudged,
    PayloadError,
    RunEnded,
    RunExists,
    RunNotFound,
    RunParked,
    SettingError,
    SignalExists,
    UnknownStatus,
    WaitTimeout,
)
from fluxio_client.run import Failure, Page, Run, RunStatus, RunSummary, Step, StepStatus

__all__ = [
    "Failure",
    "FluxioClient",
    "FluxioError",
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
    "Step",
    "StepStatus",
    "UnknownStatus",
    "WaitTimeout",
]
