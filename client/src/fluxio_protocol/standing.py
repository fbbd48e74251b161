"""What a step waits for: the one answer that the policy, the sweep and the command line go by."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from fluxio_protocol.run import Run, Step, StepStatus


class Phase(Enum):
    """Where a step of a run stands as of a moment, which says who goes on with it."""

    #: All that it waits for is there: a worker may claim it.
    READY = "ready"
    #: Something that it waits for is missing.
    WAITING = "waiting"
    #: A worker has it, and the lease holds.
    RUNNING = "running"
    #: Its lease has expired: the worker is dead, or fenced from here on. Another may take it over.
    LOST = "lost"
    #: It has ended in a way that the steps behind it, and the run's end, go on from.
    SETTLED = "settled"
    #: It has failed, or a later version of fluxio wrote its status: no worker of this version goes on with it.
    STOPPED = "stopped"


class Standing(NamedTuple):
    """The phase of a step, and while it is WAITING all that is missing."""

    phase: Phase
    #: Whether steps that it depends on are not settled.
    for_steps: bool = False
    #: The signals that have not arrived.
    signals: tuple[str, ...] = ()
    #: When a backoff that it waits for ends; the end of the lease if it is RUNNING or LOST.
    until: int | None = None


# The most frequent answers are made once: a worker asks for every step at every look at a run.
_READY = Standing(Phase.READY)
_FOR_STEPS = Standing(Phase.WAITING, for_steps=True)
_SETTLED = Standing(Phase.SETTLED)
_STOPPED = Standing(Phase.STOPPED)
_PENDING, _RUNNING = StepStatus.PENDING, StepStatus.RUNNING


def standing(run: Run, step: Step, now: int) -> Standing:
    """Where a step of a run stands as of `now`, in milliseconds since 1970."""
    status = step.status
    if status is _PENDING:
        for_steps = step.completed_deps != step.total_deps
        signals = run.awaiting(step.name) if step.awaits else ()
        until = step.not_before
        if until is not None and until <= now:
            until = None
        if signals or until is not None:
            return Standing(Phase.WAITING, for_steps, signals, until)
        return _FOR_STEPS if for_steps else _READY
    if status is _RUNNING:
        until = step.lease_until
        holds = until is not None and until > now
        return Standing(Phase.RUNNING if holds else Phase.LOST, until=until)
    return _SETTLED if step.settled else _STOPPED
