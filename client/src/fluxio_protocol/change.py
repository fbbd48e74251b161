"""One change of a run: a row of the transition table, with the values that one write gives it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from fluxio_protocol.run import RunStatus, StepStatus
from fluxio_protocol.transitions import Guard, Transition

#: What a change sets: a status never, that is the row's own.
Values = Mapping[str, "str | int | None"]


class Change(NamedTuple):
    """One row applied to one run: which step, with which values."""

    row: Transition
    step: str | None = None
    #: Attributes to set, on the step if there is one, otherwise on the run.
    values: Values = MappingProxyType({})
    #: The caller's claim, where the row is fenced.
    token: str | None = None
    #: The attempt the caller knows of; the guards FENCE, ATTEMPT and LEASE_OVER ask for it.
    attempt: int | None = None
    #: The workflow the caller takes the run for; the guard WORKFLOW asks for it.
    workflow: str | None = None
    #: The `wake_at` the caller knows of; the guard WAKE_SEEN asks for it.
    wake_seen: int | None = None
    #: The run's status as the caller knows it; the guard RUN_SEEN asks for it.
    run_seen: RunStatus | None = None
    #: The run's `ended_at` as the caller knows it; the guard END_SEEN asks for it.
    end_seen: int | None = None
    #: The step's `redriven_at` as the caller knows it; the guard REDRIVE_SEEN asks for it.
    redrive_seen: int = 0
    #: How many archives the run has as the caller knows it; the guard SEALS_SEEN asks for it.
    archives_seen: int = 0
    #: For rows after which a step has ended for good: its record; see `run_item.ended_text`.
    record: str = ""
    #: The step's status as the caller knows it; the guard STEP_SEEN asks for it.
    step_seen: StepStatus | None = None
    #: The step whose clocks were over, and from when on they count; the guard SINCE_SEEN asks for it.
    clock_of: tuple[str, int | None] = ("", None)
    #: The signals that have not come in time: what takes the place of the payload.
    lapsed: Mapping[str, Mapping[str, str | int]] = MappingProxyType({})
    #: In a run of schema 1: steps whose `completed_deps` this change counts up.
    dependents: tuple[str, ...] = ()
    #: The signals that the guards SIGNALLED and UNSIGNALLED ask for, or that the row takes out of the run.
    signals: tuple[str, ...] = ()
    #: The steps that wait for the signal, which the guard UNTAKEN asks for; none before the run is opened.
    waiting: tuple[str, ...] = ()
    #: Those of them that were never claimed.
    unclaimed: tuple[str, ...] = ()
    #: The payloads as the caller knows them, by signal; the guard PAYLOAD_SEEN asks for them.
    payloads: Mapping[str, str] = MappingProxyType({})
    #: For `open`: the steps as they are laid out.
    steps: Mapping[str, Mapping[str, str | int]] = MappingProxyType({})
    #: Whether nothing was ever written of the step, as the caller knows it.
    first: bool = False
    #: For a claim by a caller who has not seen the run: the steps that must have succeeded.
    sources: tuple[str, ...] = ()
    #: In a run of schema 1, for a claim in the very write that completes what the step waits for: how many
    #: steps those are.
    total_deps: int | None = None
    #: For `complete`: the runs that the step has started; see `new_run.started_text`.
    started: str = ""
    #: For `seal`: the steps whose records go.
    sealed: tuple[str, ...] = ()
    #: For `open`: the trace that the run is recorded in, if it is in none yet; see `Trace.text`.
    trace: str | None = None

    @property
    def asks_for_seals(self) -> bool:
        """Whether the guard SEALS_SEEN is asked for.

        A claim needs it only for a step that does not stand in the item. It does without where it asks for the
        steps before: they are sealed no later than the step.
        """
        return self.step is None or (self.first and not self.sources)

    @property
    def run_from(self) -> frozenset[RunStatus]:
        """Statuses of the run the change may start from: those of its row, or the one that was seen."""
        if Guard.RUN_SEEN not in self.row.guards:
            return self.row.run_from
        return self.row.run_from & {self.run_seen}

    @property
    def step_from(self) -> frozenset[StepStatus]:
        """Statuses of the step the change may start from: those of its row, or the one that was seen."""
        if Guard.STEP_SEEN not in self.row.guards or self.step_seen is None:
            return self.row.step_from
        return self.row.step_from & {self.step_seen}
