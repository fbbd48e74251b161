"""fluxio: durable multi-step workflows with nothing running but Lambda.

from fluxio import workflow, step

@workflow
class Hello:
    @step(retry=3)
    def greet(self, name: str) -> dict:
        return {"greeting": f"Hello, {name}"}
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fluxio.again import Again, RetryAfter
from fluxio.context import StepContext
from fluxio.definition import workflow
from fluxio.edges import any_of, failed, first_of, maybe, signal, timer
from fluxio.retry import Retry
from fluxio.steps import step
from fluxio_protocol.run import Failure

if TYPE_CHECKING:
    from fluxio.engine import FluxioEngine

__all__ = [
    "Again",
    "Failure",
    "FluxioEngine",
    "Retry",
    "RetryAfter",
    "StepContext",
    "any_of",
    "failed",
    "first_of",
    "maybe",
    "signal",
    "step",
    "timer",
    "workflow",
]


def __getattr__(name: str) -> Any:
    # The engine brings the client along, which defining steps does not need.
    if name == "FluxioEngine":
        from fluxio.engine import FluxioEngine

        return FluxioEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
