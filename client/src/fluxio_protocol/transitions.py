"""Every change of a run is a row of this table; nothing else may change one.

One row is one conditional write, or a part of one: a write may apply several rows to one run, all of them
or none. A row says from where to where the run and the step may go, and which guards must hold; the store
derives the condition of the write from the row (`store.py`), so that no condition is spelled by hand.

Why this is enough for the three promises:

* A step's completion asks that the step is RUNNING under the token and attempt of the caller's own claim.
  Every claim counts the attempt up and writes a new token, so at most one claim of a step can complete.
* A run is one item, so what stands in it after a write says of every step whether all that it depends on has
  succeeded. Nothing is counted that could be counted twice, or not at all. (In runs of schema 1,
  `completed_deps` of each dependent is counted up in the very write that completes a step.)
* A claim asks that the step is PENDING; one claim makes it RUNNING, so a fan-in is claimed once. A step whose
  worker died is claimed again only when its lease has expired.

SUCCEEDED is final for a step; so are SKIPPED, and FAILED where an edge handles the failure. So what a worker
has once read of it stays true: a claim needs no guard on the steps before it, and "the last step succeeds and
the run finishes" none on the others. It stays true when the step's record is moved to an archive. Only that a
step does not stand in the item does not, by itself, say that it is PENDING: it may have been sealed since. So a
claim asks that nothing was sealed since its maker looked.

PENDING is not final: a step may be skipped that a worker sees ready, because another one of a `first_of` has
succeeded. So a claim asks for it, as does a skip; and a completion asks of each step that it releases for the
status and the attempt that its maker saw.

A failure that no edge handles is not final: a redrive resets it. So a step may fail only while the run stands
as its worker saw it. Had a redrive reopened the run in between, the run would be RUNNING with a FAILED step
that no message answers for.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple

from fluxio_protocol.errors import FluxioError
from fluxio_protocol.run import ENDED, STOPPED, RunStatus, StepStatus


class Guard(Enum):
    """What must hold besides the statuses."""

    #: The step's `token` and `attempt` are those of the caller's claim: no other worker took the step over.
    FENCE = "fence"
    #: The step's `attempt` is the one the caller knows of: it has not been tried again since.
    ATTEMPT = "attempt"
    #: Every step this one depends on has succeeded, counting those that succeed in the same write.
    BARRIER = "barrier"
    #: The step is not waiting for a backoff, or the backoff has ended.
    DUE = "due"
    #: The lease of the last claim has expired: its worker is dead, or fenced from here on.
    LEASE_OVER = "lease_over"
    #: The run is of the workflow whose steps are laid out: a nudge only hints at it.
    WORKFLOW = "workflow"
    #: The run's deadline has passed.
    OVERDUE = "overdue"
    #: The signals the step waits for have arrived.
    SIGNALLED = "signalled"
    #: The signal has not come before.
    UNSIGNALLED = "unsignalled"
    #: No step that waits for the signal is RUNNING with it or has SUCCEEDED.
    UNTAKEN = "untaken"
    #: A worker has laid the run's steps out.
    OPENED = "opened"
    #: No worker has laid the run's steps out yet.
    UNOPENED = "unopened"
    #: `wake_at` is what the caller saw: of two sweeps, or of a sweep and a worker, one moves it.
    WAKE_SEEN = "wake_seen"
    #: No step was sealed since the caller looked: then one that does not stand in the item is PENDING.
    SEALS_SEEN = "seals_seen"
    #: `ended_at` is what the caller saw, or there is none as the caller saw: the redrive undoes that end.
    END_SEEN = "end_seen"
    #: The run's status is the one the caller saw: no redrive has come in between.
    RUN_SEEN = "run_seen"
    #: The step's status and attempt are those the caller saw.
    STEP_SEEN = "step_seen"
    #: The step's clocks count from when the caller saw that they do: no redrive has begun them anew in between.
    SINCE_SEEN = "since_seen"
    #: The signals' payloads are those the caller saw: none was sent anew in between.
    PAYLOAD_SEEN = "payload_seen"
    #: The step's `redriven_at` is what the caller saw: no redrive has given it its attempts again in between,
    #: which leaves the statuses of a run and of a step under way as they were.
    REDRIVE_SEEN = "redrive_seen"


class Transition(NamedTuple):
    """A row: the sources and the target of run and step, the guards, and what the step drops."""

    name: str
    #: Statuses of the run the row may start from; empty for a run that is not there yet.
    run_from: frozenset[RunStatus]
    #: The run's status afterwards; None leaves it.
    run_to: RunStatus | None = None
    #: Statuses of the step the row may start from; empty for rows that touch no step.
    step_from: frozenset[StepStatus] = frozenset()
    #: The step's status afterwards; None leaves it.
    step_to: StepStatus | None = None
    guards: frozenset[Guard] = frozenset()
    #: Attributes the step no longer needs afterwards.
    drops: frozenset[str] = frozenset()
    #: Whether the signals of the change are taken out of the run, so that its steps wait for them again.
    drops_signals: bool = False
    #: Whether the step has ended for good, so that its record takes the place of all that stands of it.
    final: bool = False

    @property
    def closes(self) -> bool:
        """Whether the run leaves the sweeper's care: it has ended, or waits for an operator."""
        return self.run_to in ENDED or self.run_to is RunStatus.WAITING

    @property
    def reopens(self) -> bool:
        """Whether a run that had stopped goes on."""
        return self.run_to is not None and self.run_from == STOPPED


class IllegalTransition(FluxioError):
    """A change does not follow from any row of the transition table."""


_NEW: frozenset[RunStatus] = frozenset()
_ANY = frozenset(RunStatus)
_OPEN = frozenset({RunStatus.PENDING, RunStatus.RUNNING})
_RUNNING = frozenset({RunStatus.RUNNING})
_CLAIM = frozenset({"lease_until", "owner", "not_before"})
_RUN, _STEP, _G = RunStatus, StepStatus, Guard

TABLE: Mapping[str, Transition] = {
    row.name: row
    for row in (
        # --- the run begins
        Transition("start", _NEW, _RUN.PENDING),
        Transition(
            "open", frozenset({_RUN.PENDING}), _RUN.RUNNING, guards=frozenset({_G.WORKFLOW})
        ),
        # --- a step is taken
        Transition(
            "claim",
            _RUNNING,
            step_from=frozenset({_STEP.PENDING}),
            step_to=_STEP.RUNNING,
            guards=frozenset({_G.BARRIER, _G.SEALS_SEEN, _G.DUE, _G.SIGNALLED}),
            drops=frozenset({"not_before"}),
        ),
        Transition(
            "take_over",
            _RUNNING,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.RUNNING,
            guards=frozenset({_G.LEASE_OVER}),
        ),
        # --- a step ends. From any status of the run: what a step has done is recorded even if the run
        #     has failed or was cancelled meanwhile, so that a redrive does not do it again.
        Transition(
            "complete",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.SUCCEEDED,
            guards=frozenset({_G.FENCE}),
            drops=_CLAIM | {"error"},
            final=True,
        ),
        Transition(
            "decline",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.SKIPPED,
            guards=frozenset({_G.FENCE}),
            final=True,
        ),
        Transition(
            "retry",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.PENDING,
            guards=frozenset({_G.FENCE}),
            drops=frozenset({"lease_until"}),
        ),
        # It asks to be run again: later, or at once under the same claim.
        Transition(
            "again",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.PENDING,
            guards=frozenset({_G.FENCE}),
            drops=frozenset({"lease_until", "error", "state", "state_ref"}),
        ),
        Transition(
            "again_here",
            _RUNNING,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.RUNNING,
            guards=frozenset({_G.FENCE}),
            drops=frozenset({"not_before", "error", "state", "state_ref"}),
        ),
        Transition(
            "refuse_signal",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.PENDING,
            guards=frozenset({_G.FENCE, _G.PAYLOAD_SEEN}),
            drops=_CLAIM,
            drops_signals=True,
        ),
        # --- a step reports how far it is
        Transition(
            "progress",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            guards=frozenset({_G.FENCE}),
        ),
        Transition(
            "fail",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.FENCE, _G.RUN_SEEN, _G.REDRIVE_SEEN}),
            drops=_CLAIM,
        ),
        Transition(
            "give_up",
            _RUNNING,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.LEASE_OVER, _G.REDRIVE_SEEN}),
            drops=_CLAIM,
        ),
        # Something that it waited for did not come in time.
        Transition(
            "lapse",
            _RUNNING,
            step_from=frozenset({_STEP.PENDING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.STEP_SEEN, _G.SINCE_SEEN, _G.SEALS_SEEN, _G.UNSIGNALLED}),
            drops=_CLAIM,
        ),
        # An edge handles the failure: it is final, and the run goes on.
        Transition(
            "fail_handled",
            _ANY,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.FENCE}),
            final=True,
        ),
        Transition(
            "give_up_handled",
            _RUNNING,
            step_from=frozenset({_STEP.RUNNING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.LEASE_OVER, _G.REDRIVE_SEEN}),
            final=True,
        ),
        Transition(
            "lapse_handled",
            _RUNNING,
            step_from=frozenset({_STEP.PENDING}),
            step_to=_STEP.FAILED,
            guards=frozenset({_G.STEP_SEEN, _G.SINCE_SEEN, _G.SEALS_SEEN, _G.UNSIGNALLED}),
            final=True,
        ),
        # --- a step is not needed. One that may have begun is released by the first of a `first_of`, in the
        #     write in which that succeeds: two of them could succeed otherwise.
        Transition(
            "skip",
            _RUNNING,
            step_from=frozenset({_STEP.PENDING}),
            step_to=_STEP.SKIPPED,
            guards=frozenset({_G.STEP_SEEN, _G.SEALS_SEEN}),
            final=True,
        ),
        Transition(
            "release",
            _ANY,
            step_from=frozenset({_STEP.PENDING, _STEP.RUNNING, _STEP.FAILED}),
            step_to=_STEP.SKIPPED,
            guards=frozenset({_G.STEP_SEEN, _G.SEALS_SEEN}),
            final=True,
        ),
        # --- records of steps that succeeded move to an archive, which was written before
        Transition("seal", _RUNNING, guards=frozenset({_G.SEALS_SEEN})),
        # --- the run ends, or waits for an operator
        Transition("finish", _RUNNING, _RUN.SUCCEEDED),
        Transition("fail_run", _OPEN, _RUN.FAILED),
        Transition("expire", _OPEN, _RUN.FAILED, guards=frozenset({_G.OVERDUE})),
        Transition("park", _OPEN, _RUN.WAITING),
        Transition("cancel", _OPEN | {_RUN.WAITING}, _RUN.CANCELLED),
        # --- a signal arrives. A run that stands still keeps it for its redrive.
        Transition("signal", _OPEN, guards=frozenset({_G.UNSIGNALLED})),
        Transition("keep_signal", STOPPED, guards=frozenset({_G.UNSIGNALLED})),
        Transition(
            "replace_signal",
            _OPEN | STOPPED,
            guards=frozenset({_G.UNTAKEN, _G.SEALS_SEEN, _G.RUN_SEEN}),
        ),
        # It has not arrived in time: its default takes its place.
        Transition("default_signal", _RUNNING, guards=frozenset({_G.UNSIGNALLED, _G.SINCE_SEEN})),
        # --- an operator sends a run on that failed or was parked
        Transition("redrive", STOPPED, _RUN.RUNNING, guards=frozenset({_G.OPENED, _G.END_SEEN})),
        Transition("restart", STOPPED, _RUN.PENDING, guards=frozenset({_G.UNOPENED, _G.END_SEEN})),
        Transition(
            "reset",
            STOPPED,
            step_from=frozenset({_STEP.FAILED}),
            step_to=_STEP.PENDING,
            guards=frozenset({_G.ATTEMPT}),
            drops=frozenset({"error", "ended_at"}),
            drops_signals=True,
        ),
        # A step under way keeps its claim. If its worker is dead, it is taken over with all its attempts left.
        Transition(
            "reprieve",
            STOPPED,
            step_from=frozenset({_STEP.RUNNING}),
            guards=frozenset({_G.ATTEMPT}),
        ),
        # --- the sweeper's clock
        Transition("wake", _OPEN, guards=frozenset({_G.WAKE_SEEN})),
        # --- ended: SUCCEEDED, COMPENSATED and CANCELLED are the source of no row but those above that
        #     record a step's end; FAILED and WAITING of those and of a redrive.
    )
}
