"""`ctx.start`: the runs that a step starts, from the call in the step's code to their first messages."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fluxio.errors import StartError
from fluxio_protocol import layout
from fluxio_protocol.clock import WATCHDOG_MS
from fluxio_protocol.duration import YEAR, in_seconds
from fluxio_protocol.errors import FluxioError, InvalidInput
from fluxio_protocol.new_run import (
    MOST_STARTS,
    NewRun,
    StartedBy,
    input_text,
    started_ids,
    workflow_of,
)
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import Run

if TYPE_CHECKING:
    from fluxio.definition import WorkflowDefinition
    from fluxio.hand import Hand


def new_run(
    workflow: object,
    input: Any,
    run_id: str | None,
    after: Any,
    started_by: StartedBy,
    others: Sequence[NewRun],
    load: Callable[[str], WorkflowDefinition] | None,
) -> NewRun:
    """The run that a call of `ctx.start` asks for, checked as far as can be before the step commits.

    Args:
        workflow: its name, or its class.
        input: what it is given.
        run_id: its id; None: one that is derived from `started_by`.
        after: seconds, or a timedelta, from the step's completion until it begins.
        started_by: the step, and which of its starts this is.
        others: what the step starts besides.
        load: the code that a name stands for in this deployment; None: nothing is known of that.

    Raises:
        StartError: no such run can be started.
        PayloadError: the input cannot be stored as JSON, or is too large.
    """
    where = f"ctx.start in run {started_by.run_id} step {started_by.step}"
    try:
        name, check = workflow_of(workflow)
        text = input_text(input, f"{where}: the input of {name}")
        if load is not None:
            check = load(name).check_input
        if check is not None:
            check(json.loads(text))
        chosen = started_by.derived_id() if run_id is None else layout.check_run_id(run_id)
    except InvalidInput as error:
        raise StartError(f"{where}: {error}") from None
    except FluxioError as error:
        if str(error).startswith(where):
            raise
        raise StartError(f"{where}: no run of {name} can be started: {error}") from None
    try:
        milliseconds = round(1000 * in_seconds(after, most=YEAR))
    except InvalidInput as error:
        raise StartError(f"{where}: after {error}.") from None
    if chosen == started_by.run_id or any(chosen == other.run_id for other in others):
        whose = "this run's own" if chosen == started_by.run_id else "that of another run it starts"
        raise StartError(
            f"{where}: the run id {chosen!r} is {whose}: choose another, or leave it out."
        )
    return NewRun(chosen, name, text, started_by, milliseconds)


def nudges(run: Run, hand: Hand, now: int) -> tuple[Nudge, ...]:
    """First messages of runs that steps of this run have started, as far as this holder has not sent them.

    Those of its own, and where its message has come again those of the worker that had it before: that one may
    have died between its write and its messages. SQS drops the second message of a run within five minutes;
    what is older than that the sweeper has found.
    """
    again = hand.received > 1
    if not run.started_texts or not (again or hand.started):
        return ()
    found: list[Nudge] = []
    for step, text in run.started_texts.items():
        by = run.steps.get(step)
        if by is None:
            continue
        # A step that runs again and again may have started thousands; those of its last round are the question.
        ids = started_ids(text, run.run_id, step, run.created_at, MOST_STARTS)
        own = [run_id for run_id in ids if run_id in hand.started]
        lost = again and by.ended_at is not None and by.ended_at + WATCHDOG_MS >= now
        for run_id in ids if lost and by.token != hand.token else own:
            new = hand.started.get(run_id)
            if run_id in hand.nudged or run_id == "?" or (new is not None and new.waits_for_sweep):
                continue
            # With a time to wait for the run must be read before it is opened.
            occasion = "after" if new is not None and new.after else ""
            found.append(Nudge(run_id, new.workflow if new else None, occasion=occasion))
    return tuple(found)
