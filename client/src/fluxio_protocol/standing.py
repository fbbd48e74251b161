"""What a step waits for: the one answer that the policy, the sweep and the command line go by."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from fluxio_protocol.edge import Verdict, verdict
from fluxio_protocol.node import Node
from fluxio_protocol.run import Run, Step, StepStatus
from fluxio_protocol.timeouts import clocks


class Phase(Enum):
    """Where a step of a run stands as of a moment, which says who goes on with it."""

    #: All that it waits for is there: a worker may claim it.
    READY = "ready"
    #: Something that it waits for is missing.
    WAITING = "waiting"
    #: It is not needed, as the steps before it have ended: a worker may record that.
    NOT_NEEDED = "not_needed"
    #: Something that it waited for did not come in time: a worker may record that.
    OVERDUE = "overdue"
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
    #: When a worker must look at it next: a backoff or a timer ends, a timeout is over; the end of the lease if
    #: it is RUNNING or LOST.
    until: int | None = None
    #: Whether it waits for a time that stands in a value which was not read.
    unread: bool = False


# The most frequent answers are made once: a worker asks for every step at every look at a run.
_READY = Standing(Phase.READY)
_FOR_STEPS = Standing(Phase.WAITING, for_steps=True)
_NOT_NEEDED = Standing(Phase.NOT_NEEDED)
_OVERDUE = Standing(Phase.OVERDUE)
_SETTLED = Standing(Phase.SETTLED)
_STOPPED = Standing(Phase.STOPPED)
_PENDING, _RUNNING = StepStatus.PENDING, StepStatus.RUNNING


def standing(run: Run, step: Step, now: int) -> Standing:
    """Where a step of a run stands as of `now`, in milliseconds since 1970."""
    status = step.status
    if status is _PENDING:
        if run.graph is not None and not run.graph.plain:
            return _pending(run, step, run.graph.nodes[step.name], now)
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


def _pending(run: Run, step: Step, node: Node, now: int) -> Standing:
    """The same for a step of a graph with edges of other kinds, or with timers and timeouts."""
    signals = run.awaiting(step.name) if step.awaits else ()
    said = verdict(node, run.steps)
    if said is Verdict.WAIT:
        return Standing(Phase.WAITING, True, signals) if signals else _FOR_STEPS
    if said is Verdict.SKIP:
        return _NOT_NEEDED
    of = clocks(run, step, node)
    # Once a signal's timeout is over, every step fails that waits for it and has no default.
    lost = any(name in run.lapsed for name in signals)
    ends = [*(at for at, _ in of.signals), *([] if of.deadline is None else [of.deadline])]
    if lost or of.problem is not None or any(at <= now for at in ends):
        return _OVERDUE
    begins = [at for at in (of.timer, step.not_before) if at is not None and at > now]
    if begins and not signals:
        ends.append(max(begins))
    if signals or begins or of.unread:
        return Standing(Phase.WAITING, False, signals, min(ends, default=None), of.unread)
    return _READY
