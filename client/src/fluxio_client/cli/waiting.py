"""Why a step does not go on: what it waits for as of a moment, or waited for when its run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fluxio_client.cli.colours import SIGNAL, Look, look
from fluxio_client.cli.moments import both, length, local
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus, Step, StepStatus
from fluxio_protocol.standing import Phase, standing

#: Steps that are named as running or waiting at most, where a run has one line.
SHOWN_STEPS = 3


class For(str, Enum):
    """What a step may wait for."""

    __str__ = str.__str__

    #: Steps it depends on.
    STEPS = "steps"
    #: Signals that have not been sent.
    SIGNALS = "signals"
    #: The time of its next attempt.
    BACKOFF = "backoff"
    #: A worker, which its message will bring.
    WORKER = "worker"
    #: Its own end: a worker has it.
    LEASE = "lease"
    #: A takeover: the worker that had it is dead, or too late.
    TAKEOVER = "takeover"


_OF_A_WORKER = {
    Phase.READY: For.WORKER,
    Phase.RUNNING: For.LEASE,
    Phase.LOST: For.TAKEOVER,
}


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
            return f"next attempt in {length(apart)}, at {local(self.until, now)}"
        if self.what is For.WORKER:
            return "ready; waits for a worker"
        if self.what is For.LEASE:
            return f"a worker has it, for {length(apart)} more at most"
        return f"its lease ended {length(apart)} ago; another worker takes it over"

    def past_sentence(self, step: Step, now: int) -> str:
        """The form it has for a person once the run has ended or stands still."""
        if self.what in (For.STEPS, For.SIGNALS):
            return self.sentence(now).replace("waits", "waited", 1)
        if self.what is For.BACKOFF:
            return f"waited for its next attempt, at {local(self.until, now)}"
        if self.what is For.WORKER:
            return "was ready; waited for a worker"
        claimed = f"claimed at {local(step.started_at, now)}"
        if self.what is For.LEASE:
            return f"{claimed}; its worker may be at it until {local(self.until, now)}"
        apart = (now - (self.until or now)) / 1000
        return f"{claimed}; its worker is gone, its lease ended {length(apart)} ago"


def waiting(run: Run, step: Step, graph: Graph | None, now: int) -> Waiting | None:
    """What a step waits for; None if it, or its run, has ended or stands still."""
    return None if at_rest(run) else _standing(run, step, graph, now)


def waited(run: Run, step: Step, graph: Graph | None, now: int) -> Waiting | None:
    """What a step of a run that has ended or stands still would wait for, if the run went on."""
    return _standing(run, step, graph, now) if at_rest(run) else None


class State(NamedTuple):
    """How a step is shown: a word, and its look."""

    word: str
    look: Look


#: The word for a step that is RUNNING in the table, but that no worker has any more.
LOST = "LOST"


def state_of(run: Run, step: Step, graph: Graph | None, now: int) -> State:
    """How a step is shown as of a moment.

    A run that has ended may leave steps RUNNING: their workers died, and no other worker takes them over.
    """
    if is_lost(run, step, now):
        return State(LOST, look(LOST))
    stands = waiting(run, step, graph, now)
    if stands is not None and stands.what is For.SIGNALS:
        return State(step.status.value, SIGNAL)
    return State(step.status.value, look(step.status))


def is_lost(run: Run, step: Step, now: int) -> bool:
    """Whether a step's worker is gone, and no other will take it over, since its run has ended."""
    return run.ended and standing(run, step, now).phase is Phase.LOST


def unfamiliar(status: RunStatus | StepStatus) -> str | None:
    """What to say of a status that this version does not know; None of one that it knows."""
    if status.known:
        return None
    return f"{status} is a status unknown to this client: a later version wrote it; upgrade fluxio-client"


def at_rest(run: Run) -> bool:
    """Whether nothing goes on in a run: it has ended, or is parked."""
    return run.ended or run.parked


def goes_on(run: Run, now: int) -> list[str]:
    """What an open run is at, or waits for: a few sentences at most, the most telling ones."""
    if said := unfamiliar(run.status):
        return [said]
    if run.version is None:
        return ["no worker has opened it yet"]
    stands = {step.name: waiting(run, step, None, now) for step in run.steps.values()}
    at = [name for name, one in stands.items() if one and one.what is For.LEASE]
    parts = []
    if at:
        more = f" and {len(at) - SHOWN_STEPS} more" if len(at) > SHOWN_STEPS else ""
        parts.append(f"runs {', '.join(at[:SHOWN_STEPS])}{more}")
    if awaited := awaited_signals(run, now):
        parts.append(f"waits for the signal {', '.join(awaited)}")
    # Why nothing goes on is worth a line only where nothing goes on.
    parts += [
        f"{name}: {one.sentence(now)}"
        for name, one in stands.items()
        if one and not parts and one.what in (For.BACKOFF, For.WORKER, For.TAKEOVER)
    ][:SHOWN_STEPS]
    return parts


def _standing(run: Run, step: Step, graph: Graph | None, now: int) -> Waiting | None:
    if run.ended_at is not None and step.status is StepStatus.PENDING:
        now = run.ended_at  # it waits no longer than its run; a lease may outlast that
    stands = standing(run, step, now)
    if stands.phase in _OF_A_WORKER:
        return Waiting(_OF_A_WORKER[stands.phase], until=stands.until)
    if stands.phase is not Phase.WAITING:
        return None
    if stands.for_steps:
        deps = graph.depends_on.get(step.name, ()) if graph else ()
        return Waiting(
            For.STEPS,
            tuple(name for name in deps if name not in run.steps or not run.steps[name].settled),
        )
    if stands.signals:
        return Waiting(For.SIGNALS, stands.signals)
    return Waiting(For.BACKOFF, until=stands.until)


def awaited_signals(run: Run, now: int) -> tuple[str, ...]:
    """The signals without which some step of a run cannot be begun now."""
    stands = [waiting(run, step, None, now) for step in run.steps.values()]
    return tuple(
        sorted({name for one in stands if one and one.what is For.SIGNALS for name in one.names})
    )
