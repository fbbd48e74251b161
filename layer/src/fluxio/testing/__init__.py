"""Run workflows in a test: in this process, without AWS, on a clock that is moved.

The pytest fixture `fluxio` runs them on the real worker and a stand-in for DynamoDB and SQS:

    def test_an_order_is_fulfilled(fluxio):
        run = fluxio.run(OrderFulfillment, {"order_id": "o-1", "amount": 99.0})
        assert run.status == "SUCCEEDED"

No function in Lambda needs this package, so the layer does not have it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxio.testing.calling import call
    from fluxio.testing.cost import Cost
    from fluxio.testing.crashes import crash_everywhere
    from fluxio.testing.errors import InvalidTest, NeverEnds, NotCrashSafe
    from fluxio.testing.history import Event, History
    from fluxio.testing.mocks import CODE, fails, lasts, times_out
    from fluxio.testing.points import after, before
    from fluxio.testing.run import StepReport, TestedRun, later
    from fluxio.testing.session import Fluxio

#: Where each name is; the plugin of pytest is loaded for every test run, and imports none of them.
_PLACES = {
    "CODE": "mocks",
    "Cost": "cost",
    "Event": "history",
    "Fluxio": "session",
    "History": "history",
    "InvalidTest": "errors",
    "NeverEnds": "errors",
    "NotCrashSafe": "errors",
    "StepReport": "run",
    "TestedRun": "run",
    "after": "points",
    "before": "points",
    "call": "calling",
    "crash_everywhere": "crashes",
    "fails": "mocks",
    "lasts": "mocks",
    "later": "run",
    "times_out": "mocks",
}

__all__ = [
    "CODE",
    "Cost",
    "Event",
    "Fluxio",
    "History",
    "InvalidTest",
    "NeverEnds",
    "NotCrashSafe",
    "StepReport",
    "TestedRun",
    "after",
    "before",
    "call",
    "crash_everywhere",
    "fails",
    "lasts",
    "later",
    "times_out",
]


def __getattr__(name: str) -> Any:
    if name in _PLACES:
        return getattr(import_module(f"fluxio.testing.{_PLACES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
