"""What the holder of a message has in hand: attempts under way, outcomes to commit, nudges sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeAlias

from fluxio_protocol.changes import Change
from fluxio_protocol.new_run import NewRun
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import Failure, Run, Step, StepStatus

#: Rows by which a step ends whose writer has not claimed it.
_WITHOUT_A_CLAIM = frozenset({"skip", "lapse", "lapse_handled", "give_up_handled"})


class Succeeded(NamedTuple):
    """An attempt returned."""

    #: What it returned, as JSON.
    text: str
    #: The step's own writes, which are to be committed with it.
    operations: tuple[dict[str, object], ...] = ()
    #: Whether the text stands in an item of its own.
    stored: bool = False
    #: The runs that are to be started with it.
    starts: tuple[NewRun, ...] = ()

    @property
    def transacts(self) -> bool:
        """Whether its commit is a transaction, which may be refused for what else is in it."""
        return bool(self.operations or self.starts)

    @property
    def inline(self) -> str | None:
        """The text, if the commit is to bring it into the run item."""
        return None if self.stored else self.text


class Failed(NamedTuple):
    """An attempt raised; `retry_after` milliseconds it may be tried again, None: never."""

    failure: Failure
    retry_after: int | None
    #: Whether it took longer than its timeout.
    timed_out: bool = False
    #: Whether the step's code has not run, because its arguments could not be bound.
    unbound: bool = False
    #: Whether the run is of another version than the deployed code, which may be the reason.
    foreign: bool = False
    #: The signals whose payloads do not fit: not the step is to blame, it waits for them anew.
    refused: tuple[str, ...] = ()
    #: The names of the types that the exception is of.
    kinds: frozenset[str] = frozenset()


class Declined(NamedTuple):
    """The step's `when` said no: its code has not run."""


class RunAgain(NamedTuple):
    """An attempt returned `Again`."""

    #: Milliseconds until the next round.
    after: int
    #: What the step keeps for that, as JSON; None: nothing.
    text: str | None = None
    #: The step's own writes, which are to be committed with it.
    operations: tuple[dict[str, object], ...] = ()
    #: The runs that are to be started with it.
    starts: tuple[NewRun, ...] = ()
    #: Whether the text stands in an item of its own.
    stored: bool = False

    @property
    def transacts(self) -> bool:
        """Whether it is committed in a transaction, and so in a write of its own."""
        return bool(self.operations or self.starts)


Outcome: TypeAlias = Succeeded | Failed | Declined | RunAgain


@dataclass
class Hand:
    """One message and what its holder knows beyond the run."""

    nudge: Nudge
    #: How often the message was received, this time included.
    received: int
    #: The fence of this holder's claims.
    token: str
    #: When SQS took the message; None if that is not known.
    sent_at: int | None = None
    #: Attempts under way in this process, with the time each must have ended by.
    running: dict[str, int] = field(default_factory=dict)
    #: When each attempt under way in a thread was begun.
    began_at: dict[str, int] = field(default_factory=dict)
    #: Milliseconds that the attempts took on average that ended last, side by side with others; 0: none has.
    took: int = 0
    #: Steps that this holder sees to, though others have released them: ready ones that it runs when there are
    #: threads, or nudges; and those that waited for a time when it took others.
    kept: set[str] = field(default_factory=set)
    #: Steps that this holder has ended without claiming them.
    passed: set[str] = field(default_factory=set)
    #: The attempt of each step that was begun here last.
    begun: dict[str, int] = field(default_factory=dict)
    #: The signals' payloads that a step was given here, as they stood in the run item.
    payloads: dict[str, Mapping[str, str | None]] = field(default_factory=dict)
    #: Attempts that have ended here and are not committed yet.
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    #: How far attempts are, (step, attempt), by reports that are not written yet, as JSON.
    progress: dict[tuple[str, int], str] = field(default_factory=dict)
    #: The runs that steps which have ended here start, by id; and those whose first nudges were sent.
    started: dict[str, NewRun] = field(default_factory=dict)
    nudged: set[str] = field(default_factory=set)
    #: (step, attempt) of the nudges sent; the step is "" for a nudge of the run as a whole.
    sent: set[tuple[str, int]] = field(default_factory=set)
    fenced: bool = False
    result_stored: bool = False
    #: Why the result could not be stored.
    result_failure: Failure | None = None
    #: The trace that a run begins which this holder opens, if it is in none yet.
    trace: str | None = None
    #: (step, attempt) of outputs in items of their own: stored here, or perhaps by a worker that was lost.
    stored: set[tuple[str, int]] = field(default_factory=set)
    #: Sort keys of the items with what steps keep for their next rounds, as far as this holder knows of them.
    states: set[str] = field(default_factory=set)
    #: The number of the archive that this holder has stored last, and the steps that it has.
    archive: tuple[int, tuple[str, ...]] | None = None
    #: Steps that have succeeded, as this holder has seen them: by their records, which may be sealed since.
    ended: dict[str, Step] = field(default_factory=dict)
    #: Whether the archives were read.
    read_archives: bool = False
    #: Whether this holder has tried to end the run.
    ending: bool = False
    #: The times that steps wait for, read from long values: see `Run.timers`.
    timers: dict[str, int | str] = field(default_factory=dict)
    #: Sort keys of the items that this holder has given the run's time to live.
    expired: set[str] = field(default_factory=set)
    #: Whether it has kept what the redrive that sent the message had not.
    kept_payloads: bool = False
    #: Calls that have failed in a row, and when the last of them is to be repeated.
    failures: int = 0
    resume_at: int = 0

    @property
    def nonce(self) -> str:
        """What tells this holder's messages from others': the token without the place in front."""
        return self.token.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """What this holder writes as `owner` on the steps it claims."""
        return self.nudge.step or ""

    def has_sent(self, nudge: Nudge) -> bool:
        """Whether this holder has sent a nudge for this step and attempt."""
        return (nudge.step or "", nudge.attempt) in self.sent

    def holds(self, step: Step) -> bool:
        """Whether the step is RUNNING under this holder's claim."""
        return step.status is StepStatus.RUNNING and step.token == self.token

    def answers_for(self, step: Step) -> bool:
        """Whether this message must bring the step back if its worker dies."""
        return step.owner == self.owner or step.name == self.nudge.step

    def recall(self, run: Run) -> Run:
        """The run with the records of sealed steps that this holder has seen before."""
        known = self.ended
        known.update(
            (name, step) for name, step in run.steps.items() if step.settled and not step.unread
        )
        if self.timers:
            run = replace(run, timers=self.timers)
        if not run.archives:
            return run
        steps = {
            name: replace(known[name], sealed=True) if step.unread and name in known else step
            for name, step in run.steps.items()
        }
        return replace(run, steps=steps)

    def settle(self, run: Run) -> None:
        """Drop the outcomes that a fresh look at the run shows to be committed, or fenced off."""
        for name in list(self.outcomes):
            step = run.steps.get(name)
            # A copy of its claim that lands late takes the step again under its token: that is another attempt.
            mine = step is not None and self.begun.get(name, step.attempt) == step.attempt
            if step is not None and mine and self.holds(step):
                continue  # still to be committed
            del self.outcomes[name]
            released = step is not None and step.status is StepStatus.SKIPPED
            if not released and (step is None or not mine or step.token != self.token):
                self.fenced = True

    def went_on(self, changes: Sequence[Change]) -> None:
        """Take in what a write of this holder's has brought about, besides what the run shows."""
        for change in changes:
            if change.step is None:
                continue
            if change.row.name == "again_here":
                # The next round has begun, under the same claim.
                self.outcomes.pop(change.step, None)
                self.begun.pop(change.step, None)
            elif change.row.name in _WITHOUT_A_CLAIM:
                self.passed.add(change.step)

    def released(self, run: Run) -> list[str]:
        """The steps that run here and are not needed any more: another one of a `first_of` was first."""
        return [
            name
            for name in self.running
            if name in run.steps and run.steps[name].status is StepStatus.SKIPPED
        ]
