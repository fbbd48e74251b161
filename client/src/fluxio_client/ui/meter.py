"""What answering a request has read of the table, as DynamoDB counts it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

_READS = ("GetItem", "BatchGetItem", "Query", "Scan")


@dataclass
class Meter:
    """Calls that read, and their read units."""

    calls: int = 0
    units: float = 0


_current: ContextVar[Meter | None] = ContextVar("fluxio_ui_meter", default=None)


def watch(dynamodb: Any) -> None:
    """Let DynamoDB say with each answer of this client what it was charged for."""
    meta = getattr(dynamodb, "meta", None)
    if meta is None:
        return  # a stand-in, whose reads cost nothing
    for operation in _READS:
        meta.events.register(
            f"provide-client-params.dynamodb.{operation}", _ask, f"fluxio-ui-ask-{operation}"
        )
        meta.events.register(
            f"after-call.dynamodb.{operation}", _count, f"fluxio-ui-count-{operation}"
        )


@contextmanager
def metered() -> Iterator[Meter]:
    """Count what is read within the block, in whichever thread."""
    meter = Meter()
    token = _current.set(meter)
    try:
        yield meter
    finally:
        _current.reset(token)


def _ask(params: dict[str, Any], **_: Any) -> dict[str, Any]:
    return {"ReturnConsumedCapacity": "TOTAL", **params}


def _count(parsed: dict[str, Any], **_: Any) -> None:
    meter = _current.get()
    if meter is None:
        return
    meter.calls += 1
    consumed = parsed.get("ConsumedCapacity") or []
    for one in consumed if isinstance(consumed, list) else [consumed]:
        meter.units += one.get("CapacityUnits", 0)
