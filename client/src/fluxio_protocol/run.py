"""A run and its steps as they stand in the table: what every reader, client or worker, looks at.

All times are integers, milliseconds since 1970-01-01T00:00Z; durations are seconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, TypeVar

from fluxio_protocol.failure import Failure as Failure

if TYPE_CHECKING:
    from fluxio_protocol.graph import Graph

from fluxio_protocol.new_run import StartedBy, started_ids

_S = TypeVar("_S", bound="_Status")


class _Status(str, Enum):
    """A status as the table has it. One that a later version of fluxio has added is kept as its text."""

    __str__ = str.__str__

    @classmethod
    def of(cls: type[_S], text: str) -> _S:
        """The status that a text stands for; an unknown one is no member, but has the text as its value."""
        try:
            return cls(text)
        except ValueError:
            made = str.__new__(cls, text)
            made._name_ = made._value_ = text
            return made

    @property
    def known(self) -> bool:
        """Whether this version of fluxio knows the status; if not, a later one wrote it."""
        return self._name_ in type(self).__members__

    def __reduce_ex__(self, _: object) -> tuple[Any, ...]:
        return type(self).of, (self._value_,)

    def __copy__(self: _S) -> _S:
        return self

    def __deepcopy__(self: _S, _: object) -> _S:
        return self


class RunStatus(_Status):
    """Where a run is. Each member says who moves a run there and what ends it.

    A run that a later version of fluxio wrote may be in a status that is no member: `known` is false then.
    """

    #: Stored by `FluxioClient.start`; the first worker that gets its message opens it.
    PENDING = "PENDING"
    #: Opened by a worker; ends when every step has succeeded, one has failed, or it is cancelled.
    RUNNING = "RUNNING"
    #: Parked by a worker that cannot go on (see `error`); `FluxioClient.redrive` moves it on.
    WAITING = "WAITING"
    #: Every step succeeded; `result` holds what the last ones returned. Final.
    SUCCEEDED = "SUCCEEDED"
    #: A step was given up, or the run could not begin; `error` says which and why.
    FAILED = "FAILED"
    #: Reserved for compensation.
    COMPENSATING = "COMPENSATING"
    #: Reserved for compensation. Final.
    COMPENSATED = "COMPENSATED"
    #: Ended by `FluxioClient.cancel`. Final.
    CANCELLED = "CANCELLED"


class StepStatus(_Status):
    """Where a step is. Each member says who moves a step there and what ends it.

    As with a run's, one that a later version of fluxio wrote is no member: `known` is false then.
    """

    #: Laid out when the run opens, or put back by a retry; a claim ends it.
    PENDING = "PENDING"
    #: Claimed by a worker; its completion, its failure or a takeover after its lease ends it.
    RUNNING = "RUNNING"
    #: Reserved. A step that waits for a signal is PENDING; see `Run.awaiting`.
    WAITING = "WAITING"
    #: Its output is committed. Final.
    SUCCEEDED = "SUCCEEDED"
    #: Its attempts are used up, its error is one that no retry mends, or what it waited for did not come in
    #: time. Final if a `failed` edge handles the failure.
    FAILED = "FAILED"
    #: Not needed: its `when` was false, steps that it depends on ended otherwise than it asks for, or another
    #: step of a `first_of` was first. Final.
    SKIPPED = "SKIPPED"
    #: Reserved for cancellation that reaches into steps. Final.
    CANCELLED = "CANCELLED"


#: A run in one of these stands still until an operator redrives it.
STOPPED = frozenset({RunStatus.FAILED, RunStatus.WAITING})

#: A run in one of these has ended: nothing moves it but an operator's redrive.
ENDED = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.COMPENSATED, RunStatus.CANCELLED}
)


@dataclass(frozen=True)
class Step:
    """One step of a run. `output` is what the step returned, `error` why its last attempt failed."""

    #: Its name in the workflow.
    name: str
    #: Where it is.
    status: StepStatus
    #: Tries so far; a try whose worker died counts.
    attempt: int = 0
    #: How many of the steps it depends on have succeeded.
    completed_deps: int = 0
    #: How many steps it depends on.
    total_deps: int = 0
    #: The signals it waits for besides, arrived or not.
    awaits: tuple[str, ...] = ()
    #: The fence handed out by the last claim.
    token: str | None = None
    #: Until when the last claim holds; only while it is RUNNING.
    lease_until: int | None = None
    #: The step whose message brings this one back if its worker dies; "" is the run's own message.
    owner: str | None = None
    #: When its next attempt may begin, after one that failed.
    not_before: int | None = None
    #: The attempt it had failed with when it was last redriven: its retries count from there.
    redriven_at: int = 0
    #: When its last attempt was claimed.
    started_at: int | None = None
    #: When it succeeded or was given up.
    ended_at: int | None = None
    #: What it returned, as JSON text; None where that has an item of its own that was not read.
    output_json: str | None = field(default=None, repr=False)
    #: The sort key of the item with its output, where that is too long for the run item.
    output_ref: str | None = None
    #: Why its last attempt failed; None once it has succeeded.
    error: Failure | None = None
    #: How far it is, by its own last report (`ctx.progress`), as JSON text; None once it has succeeded.
    progress_json: str | None = field(default=None, repr=False)
    #: Whether its record was moved out of the run item, to an archive.
    sealed: bool = False
    #: Whether it is FAILED and an edge handles that: then it is final, and the run goes on.
    handled: bool = False
    #: How often it has asked to be run again (`Again`).
    round: int = 0
    #: What it has kept for its next round, as JSON text; None where that has an item of its own.
    state_json: str | None = field(default=None, repr=False)
    #: The sort key of the item with that, where it is too long for the run item.
    state_ref: str | None = None
    #: From when on its timeouts count after a redrive; None: from when the steps before it had ended.
    since: int | None = None

    @property
    def unread(self) -> bool:
        """Whether only its status is known, because the archive with its record was not read."""
        return self.sealed and not self.attempt

    @property
    def settled(self) -> bool:
        """Whether it has ended for good: the steps behind it, and the run's end, go on from that."""
        status = self.status
        return status is StepStatus.SUCCEEDED or status is StepStatus.SKIPPED or self.handled

    @property
    def untouched(self) -> bool:
        """Whether nothing was ever written of it: then it does not stand in the run item."""
        return self.status is StepStatus.PENDING and not self.attempt and self.since is None

    @property
    def output(self) -> Any:
        """What the step returned, as JSON gives it back; None until it has succeeded."""
        return None if self.output_json is None else json.loads(self.output_json)

    @property
    def progress(self) -> Any:
        """How far it is by its last report (`ctx.progress`); None if there is none, or it has succeeded."""
        return None if self.progress_json is None else json.loads(self.progress_json)

    @property
    def ran_in(self) -> str | None:
        """Where its last attempt ran: the end of the name of the Lambda instance's log stream."""
        place, dot, _ = (self.token or "").partition(".")
        return place if dot else None

    @property
    def duration(self) -> float | None:
        """Seconds from the last attempt's claim to its end; None while it has not ended."""
        if self.started_at is None or self.ended_at is None:
            return None
        # Two attempts' ends may be written by two clocks.
        return max(0, self.ended_at - self.started_at) / 1000


@dataclass(frozen=True)
class Run:
    """One run of a workflow, as it was when it was read."""

    #: Its id.
    run_id: str
    #: The name of its workflow.
    workflow: str
    #: Where it is.
    status: RunStatus
    #: When it was started.
    created_at: int
    #: The version of the workflow's graph the run started with; None until a worker opened it.
    version: str | None = None
    #: When it ended; None until then.
    ended_at: int | None = None
    #: Why it failed or was parked.
    error: Failure | None = None
    #: Its steps by name; empty until a worker has opened it.
    steps: dict[str, Step] = field(default_factory=dict)
    #: When the sweeper looks after the run next; None once it has ended or is parked.
    wake_at: int | None = None
    #: When the run must have ended; None if its workflow has no timeout.
    deadline: int | None = None
    #: What it was started with, as JSON text; None where that has an item of its own that was not read.
    input_json: str | None = field(default=None, repr=False)
    #: The sort key of the item with its input, where that is too long for the run item.
    input_ref: str | None = None
    #: The signals that have arrived, by name; None for a payload in an item of its own that was not read.
    signals_json: dict[str, str | None] = field(default_factory=dict, repr=False)
    #: When each signal's timeout was over before it had come.
    lapsed: dict[str, int] = field(default_factory=dict)
    #: Its result as JSON text; None until it has succeeded, or where that was not read.
    result_json: str | None = field(default=None, repr=False)
    #: The sort key of the item with its result, where that is too long for the run item.
    result_ref: str | None = None
    #: The id of the trace in X-Ray that it is recorded in; None if it is not traced.
    trace: str | None = None
    #: The form of its item; see `run_item`.
    schema: int = field(default=1, repr=False)
    #: When a worker opened it, where timeouts of its first steps count from then.
    opened_at: int | None = None
    #: How many items hold the records of steps that ended long ago.
    archives: int = field(default=0, repr=False)
    #: Which steps those are, by their places in the graph: "0-57,60".
    sealed: str = field(default="", repr=False)
    #: The step of another run that started it with `ctx.start`; None if nothing of fluxio's did.
    started_by: StartedBy | None = None
    #: Which runs its steps have started, as the item has them; see `started`.
    started_texts: dict[str, str] = field(default_factory=dict, repr=False)
    #: When it may begin; None: at once.
    not_before: int | None = None
    #: Whether its graph could not be read just now, so that steps may be missing.
    partial: bool = field(default=False, repr=False)
    #: Its graph; None if no worker has opened it, or it could not be read.
    graph: Graph | None = field(default=None, repr=False, compare=False)
    #: What steps wait for whose timers stand in long values: a time, or why it is none.
    timers: dict[str, int | str] = field(default_factory=dict, repr=False, compare=False)
    #: The size of its item, as DynamoDB counts it; 0 if it was not read from a table.
    item_bytes: int = field(default=0, repr=False, compare=False)

    @property
    def input(self) -> Any:
        """What the run was started with."""
        return None if self.input_json is None else json.loads(self.input_json)

    @property
    def started(self) -> dict[str, tuple[str, ...]]:
        """The ids of the runs that its steps have started with `ctx.start`, by step.

        "?" stands for an id that was chosen by the step's code and that the run's item had no room for.
        """
        return {
            step: started_ids(text, self.run_id, step, self.created_at)
            for step, text in self.started_texts.items()
        }

    @property
    def signals(self) -> dict[str, Any]:
        """The payloads of the signals that have arrived, by name."""
        return {
            name: None if text is None else json.loads(text)
            for name, text in self.signals_json.items()
        }

    def awaiting(self, step: str) -> tuple[str, ...]:
        """The signals that a step still waits for."""
        return tuple(name for name in self.steps[step].awaits if name not in self.signals_json)

    @property
    def result(self) -> Any:
        """What the run's last step returned (a dict by step, where several are last); None until then."""
        return None if self.result_json is None else json.loads(self.result_json)

    @property
    def ended(self) -> bool:
        """Whether nothing will move the run any more but an operator."""
        if not self.status.known:
            return self.ended_at is not None
        return self.status in ENDED

    @property
    def parked(self) -> bool:
        """Whether the run waits for an operator because the deployed worker cannot go on with it."""
        return self.status is RunStatus.WAITING and self.error is not None

    @property
    def duration(self) -> float | None:
        """Seconds from start to end; None while the run has not ended."""
        if self.ended_at is None:
            return None
        # The client's clock says when it began, a worker's when it ended.
        return max(0, self.ended_at - self.created_at) / 1000


@dataclass(frozen=True)
class RunSummary:
    """A run as a listing shows it; `FluxioClient.get` reads the rest."""

    #: Its id.
    run_id: str
    #: The name of its workflow.
    workflow: str
    #: Where it is.
    status: RunStatus
    #: When it was started.
    created_at: int
    #: When it ended; None until then.
    ended_at: int | None = None


@dataclass(frozen=True)
class Page:
    """Some runs of a listing, newest first, and the token of the next page (None: no more)."""

    #: The runs.
    runs: list[RunSummary]
    #: What `FluxioClient.list` takes as `page` to go on; None: there are no more.
    next_page: str | None = None

    def __iter__(self) -> Iterator[RunSummary]:
        return iter(self.runs)
