"""Why a step does not go on: what it waits for as of a moment, or waited for when its run stopped."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import NamedTuple

from fluxio_client.cli.colours import SIGNAL, Look, look
from fluxio_client.cli.endings import not_needed_because
from fluxio_client.cli.moments import both, length, local
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus, Step, StepStatus
from fluxio_protocol.standing import Phase, Standing, standing
from fluxio_protocol.timeouts import Clocks, clocks

#: Steps that are named as running or waiting at most, where a run has one line.
SHOWN_STEPS = 3


class For(str, Enum):
    """What a step may wait for."""

    __str__ = str.__str__

    #: Steps it depends on.
    STEPS = "steps"
    #: Signals that have not been sent.
    SIGNALS = "signals"
    #: Its timer.
    TIMER = "timer"
    #: The time of its next round (`Again`).
    ROUND = "round"
    #: The time of its next attempt.
    BACKOFF = "backoff"
    #: A worker, which its message will bring: to run it, or to record what became of it (see `reason`).
    WORKER = "worker"
    #: Its own end: a worker has it.
    LEASE = "lease"
    #: A takeover: the worker that had it is dead, or too late.
    TAKEOVER = "takeover"


#: What one step waits for that is told of a run where nothing else goes on.
_TOLD = (For.TIMER, For.ROUND, For.BACKOFF, For.WORKER, For.TAKEOVER)

_OF_A_WORKER = {
    Phase.READY: For.WORKER,
    Phase.RUNNING: For.LEASE,
    Phase.LOST: For.TAKEOVER,
}


#: What is said of a step that a worker may take.
READY = "ready; waits for a worker"


class Timeout(NamedTuple):
    """A signal that is waited for until a time, in milliseconds since 1970."""

    signal: str
    at: int
    #: Whether its default is taken then; otherwise the step fails.
    has_default: bool

    def sentence(self, now: int) -> str:
        """The form it has for a person."""
        then = "its default is taken" if self.has_default else "the step fails"
        return f"until {local(self.at, now)}, then {then}"


def _s(names: tuple[str, ...]) -> str:
    return "" if len(names) == 1 else "s"


@dataclass(frozen=True)
class Waiting:
    """What a step waits for: steps or signals by their names, or a moment in milliseconds since 1970."""

    what: For
    names: tuple[str, ...] = ()
    until: int | None = None
    #: Of SIGNALS: those that are not waited for as long as it takes.
    timeouts: tuple[Timeout, ...] = ()
    #: Of a WORKER that is to record it: why the step is not run.
    reason: str | None = None
    #: Of a ROUND: which one, as `ctx.round` has it.
    round: int | None = None
    #: What it waits for at the same time.
    also: Waiting | None = None

    def to_record(self) -> dict[str, object]:
        """The form it has in JSON."""
        return {
            "for": self.what.value,
            "names": list(self.names),
            **both("until", self.until),
            "timeouts": [
                {
                    "signal": one.signal,
                    **both("until", one.at),
                    "then": "default" if one.has_default else "fails",
                }
                for one in self.timeouts
            ],
            "reason": self.reason,
            "also": self.also.to_record() if self.also else None,
        }

    def sentence(self, now: int) -> str:
        """The form it has for a person."""
        also = f"; {self.also.sentence(now)}" if self.also else ""
        return f"{self._sentence(now)}{also}"

    def _sentence(self, now: int) -> str:
        apart = length(abs((self.until or now) - now) / 1000)
        if self.what is For.STEPS:
            return f"waits for {', '.join(self.names)}"
        if self.what is For.SIGNALS:
            return self._signals(now)
        if self.what is For.TIMER:
            return f"waits for its timer{self._timer(now)}"
        if self.what is For.ROUND:
            return f"round {self.round} begins in {apart}, at {local(self.until, now)}"
        if self.what is For.BACKOFF:
            return f"next attempt in {apart}, at {local(self.until, now)}"
        if self.what is For.WORKER:
            return f"{self.reason}; a worker records that next" if self.reason else READY
        if self.what is For.LEASE:
            return f"a worker has it, for {apart} more at most"
        return f"its lease ended {apart} ago; another worker takes it over"

    def past_sentence(self, step: Step, now: int) -> str:
        """The form it has for a person once the run has ended or stands still."""
        if self.what is For.SIGNALS:
            return f"waited for the signal{_s(self.names)} {', '.join(self.names)}"
        if self.what in (For.STEPS, For.TIMER):
            return self._sentence(now).replace("waits", "waited", 1)
        if self.what is For.ROUND:
            return f"waited for its round {self.round}, at {local(self.until, now)}"
        if self.what is For.BACKOFF:
            return f"waited for its next attempt, at {local(self.until, now)}"
        if self.what is For.WORKER:
            return self.reason or "was ready; waited for a worker"
        claimed = f"claimed at {local(step.started_at, now)}"
        if self.what is For.LEASE:
            return f"{claimed}; its worker may be at it until {local(self.until, now)}"
        apart = (now - (self.until or now)) / 1000
        return f"{claimed}; its worker is gone, its lease ended {length(apart)} ago"

    def _signals(self, now: int) -> str:
        timeouts = {one.signal: one.sentence(now) for one in self.timeouts}
        if len(self.names) == 1:
            return " ".join(("waits for the signal", self.names[0], *timeouts.values()))
        each = [f"{name} ({timeouts[name]})" if name in timeouts else name for name in self.names]
        return f"waits for the signals {', '.join(each)}"

    def _timer(self, now: int) -> str:
        if self.until is not None:
            return f" until {local(self.until, now)}"
        return f": the time in {', '.join(self.names)}, which was not read here"


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

#: The word for a step that is FAILED in the table, but whose failure another step handles.
HANDLED = "HANDLED"


def state_of(run: Run, step: Step, graph: Graph | None, now: int) -> State:
    """How a step is shown as of a moment.

    A run that has ended may leave steps RUNNING: their workers died, and no other worker takes them over.
    """
    if is_lost(run, step, now):
        return State(LOST, look(LOST))
    if step.handled:
        return State(HANDLED, look(HANDLED))
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
    signals = [one for one in stands.values() if one and one.what is For.SIGNALS]
    if names := sorted({name for one in signals for name in one.names}):
        # Where two steps wait for the same signal, the timeout that is over first ends the wait of both.
        timeouts = sorted((each for one in signals for each in one.timeouts), key=lambda t: -t.at)
        first = {each.signal: each for each in timeouts}
        parts.append(Waiting(For.SIGNALS, tuple(names), timeouts=(*first.values(),)).sentence(now))
    # Why nothing goes on is worth a line only where nothing goes on.
    parts += [
        f"{name}: {one.sentence(now)}"
        for name, one in stands.items()
        if one and not at and one.what in _TOLD
    ][:SHOWN_STEPS]
    return parts


def _standing(run: Run, step: Step, graph: Graph | None, now: int) -> Waiting | None:
    graph = graph or run.graph
    if run.ended_at is not None and step.status is StepStatus.PENDING:
        now = run.ended_at  # it waits no longer than its run; a lease may outlast that
    stands = standing(run, step, now)
    if stands.phase in _OF_A_WORKER:
        return Waiting(_OF_A_WORKER[stands.phase], until=stands.until)
    if stands.phase in (Phase.NOT_NEEDED, Phase.OVERDUE):
        return Waiting(For.WORKER, reason=_reason(run, step, stands.phase, now))
    if stands.phase is not Phase.WAITING:
        return None
    if stands.for_steps:
        deps = graph.depends_on.get(step.name, ()) if graph else ()
        return Waiting(
            For.STEPS,
            tuple(name for name in deps if name not in run.steps or not run.steps[name].settled),
        )
    return _waiting_for(run, step, stands, now)


def _waiting_for(run: Run, step: Step, stands: Standing, now: int) -> Waiting:
    """What a step waits for once the steps before it have ended."""
    of = _clocks(run, step)
    node = run.graph.nodes.get(step.name) if run.graph else None
    also = None
    if of.unread and node and node.timer:
        also = Waiting(For.TIMER, (node.timer.at or "",))
    elif of.timer is not None and of.timer > now:
        also = Waiting(For.TIMER, until=of.timer)
    elif step.not_before is not None and step.not_before > now:
        again = step.round and step.attempt == step.redriven_at
        also = Waiting(
            For.ROUND if again else For.BACKOFF,
            until=step.not_before,
            round=step.round if again else None,
        )
    if stands.signals or also is None:
        timeouts = node.timeouts if node else {}
        limits = (Timeout(name, at, timeouts[name].default is not None) for at, name in of.signals)
        found = tuple(limits)
        until = found[0].at if found else None
        return Waiting(For.SIGNALS, stands.signals, until, found, also=also)
    return also


def _clocks(run: Run, step: Step) -> Clocks:
    """What comes with time for a step whose steps before it have ended."""
    node = run.graph.nodes.get(step.name) if run.graph else None
    if node is None or not all(run.steps[name].settled for name in node.depends_on):
        return Clocks()
    return clocks(run, step, node)


def _reason(run: Run, step: Step, phase: Phase, now: int) -> str:
    """Why a step is not run, which no worker has recorded yet."""
    if run.graph is None:
        return phase.value
    node = run.graph.nodes[step.name]
    if phase is Phase.NOT_NEEDED:
        return f"not needed: {not_needed_because(node, run.steps)}"
    of = _clocks(run, step)
    for at, name in of.signals:
        if at <= now:
            return f"the signal {name} had not come by {local(at, now)}"
    for name in run.awaiting(step.name):
        if name in run.lapsed:
            return f"the signal {name} had not come by {local(run.lapsed[name], now)}"
    if of.problem is not None:
        return f"its timer has no time: {of.problem}"
    return f"it had not ended by its deadline, {local(of.deadline, now)}"


def step_deadline(run: Run, step: Step) -> int | None:
    """When a step must have ended that has not; None if it has no deadline, or its clock has not begun."""
    if step.settled or step.status is StepStatus.FAILED:
        return None
    return _clocks(run, step).deadline


def awaited_signals(run: Run, now: int) -> tuple[str, ...]:
    """The signals without which some step of a run cannot be begun now."""
    stands = [waiting(run, step, None, now) for step in run.steps.values()]
    return tuple(
        sorted({name for one in stands if one and one.what is For.SIGNALS for name in one.names})
    )
