"""Why a step does not go on: what it waits for, as of a moment."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from fluxio_client.cli.moments import both, length
from fluxio_client.graph import Graph
from fluxio_client.run import Run, Step, StepStatus


class For(str, Enum):
    """What a step may wait for."""

    __str__ = str.__str__

    #: Steps it depends on.
    STEPS = "steps"
    #: Signals that somebody must send.
    SIGNALS = "signals"
    #: The time of its next attempt.
    BACKOFF = "backoff"
    #: A worker, which its message will bring.
    WORKER = "worker"
    #: Its own end: a worker has it.
    LEASE = "lease"
    #: A takeover: the worker that had it is dead, or too late.
    TAKEOVER = "takeover"


@dataclass(frozen=True)
class Waiting:
    """What a step waits for: steps or signals by their names, or a moment in milliseconds since 1970."""

    what: For
    names: tuple[str, ...] = ()
    until: int | None = None

    def to_record(self) -> dict[str, object]:
        """The form it has in JSON."""
        return {"for": self.what.value, "names": list(self.names), **both("until", self.until)}

    def sentence(self, now: int) -> str:
        """The form it has for a person."""
        apart = abs((self.until or now) - now) / 1000
        if self.what is For.STEPS:
            return f"waits for {', '.join(self.names)}"
        if self.what is For.SIGNALS:
            one = len(self.names) == 1
            return f"waits for the signal{'' if one else 's'} {', '.join(self.names)}"
        if self.what is For.BACKOFF:
            return f"next attempt in {length(apart)}"
        if self.what is For.WORKER:
            return "ready; waits for a worker"
        if self.what is For.LEASE:
            return f"a worker has it, for {length(apart)} more at most"
        return (
            f"its worker has not been heard of for {length(apart)}; another one will take it over"
        )


def waiting(run: Run, step: Step, graph: Graph | None, now: int) -> Waiting | None:
    """What a step waits for; None if it, or its run, has ended or stands still."""
    if run.ended or run.parked:
        return None
    if step.status is StepStatus.RUNNING:
        over = step.lease_until is not None and step.lease_until <= now
        return Waiting(For.TAKEOVER if over else For.LEASE, until=step.lease_until)
    if step.status is not StepStatus.PENDING:
        return None
    if step.completed_deps < step.total_deps:
        deps = graph.depends_on[step.name] if graph else ()
        open_ones = tuple(
            name for name in deps if run.steps[name].status is not StepStatus.SUCCEEDED
        )
        return Waiting(For.STEPS, open_ones)
    if missing := run.awaiting(step.name):
        return Waiting(For.SIGNALS, missing)
    if step.not_before is not None and step.not_before > now:
        return Waiting(For.BACKOFF, until=step.not_before)
    return Waiting(For.WORKER)


def awaited_signals(run: Run, now: int) -> tuple[str, ...]:
    """The signals without which some step of a run cannot be begun now."""
    stands = [waiting(run, step, None, now) for step in run.steps.values()]
    return tuple(
        sorted({name for one in stands if one and one.what is For.SIGNALS for name in one.names})
    )
