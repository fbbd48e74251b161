"""Runs that the module's `schedules` start.

EventBridge Scheduler sends a message to the queue of nudges, with the workflow and the input in it and an id
that holds the time for which it was scheduled. So a start that fails is tried again as any nudge is, and
however often Scheduler or SQS deliver the message, there is one run: its id is taken.
"""

from __future__ import annotations

from fluxio.log import log
from fluxio_protocol.clock import WATCHDOG_MS
from fluxio_protocol.queue import Nudge
from fluxio_protocol.store import Store


def start(store: Store, nudge: Nudge, now: int) -> None:
    """Start the run that a schedule's message asks for, unless it was started before.

    Args:
        store: where the run is to be.
        nudge: the message, with its input.
        now: the time, in milliseconds since 1970.

    Raises:
        Exception: DynamoDB could not be reached; the message comes back.
    """
    assert nudge.workflow is not None
    assert nudge.input_json is not None
    run_id, workflow = nudge.run_id, nudge.workflow
    if store.start(run_id, workflow, nudge.input_json, now, now + WATCHDOG_MS).applied:
        log("INFO", "run started", run_id=run_id, workflow=workflow)
