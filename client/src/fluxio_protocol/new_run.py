"""Runs that are to be started: what they are given, and what a run keeps of the step that started it.

A step's `ctx.start` puts the new run's item into the very transaction that completes the step: so the run is
there if the step has succeeded, and else it is not. Both keep that they belong together: the new run what
started it (`started_by`), the step's run what each of its steps has started (`started:<step>`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import sha256
from typing import Any, NamedTuple

from fluxio_protocol import layout, limits
from fluxio_protocol.errors import InvalidInput

#: Where `@workflow` keeps on a class what it has made of it.
DEFINITION = "__fluxio_workflow__"

#: Milliseconds until the sweeper looks after a run that a step has started, if its message was lost.
WATCH_MS = 120_000

#: Milliseconds that a run may begin later for its message to be sent at once and to wait. If it begins later
#: than that, the sweeper sends its message, so long before.
HOLD_MS = 120_000

#: Runs that one attempt of a step may start: as many as fit the transaction that completes it.
MOST_STARTS = limits.TRANSACTION_OPERATIONS - 1

#: Bytes that a run's item gives to the ids of the runs that its steps start.
CHOSEN_BYTES = 16_384

#: Bytes that a run's item has besides its input, at the most, while no worker has opened it.
_FRAME_BYTES = 1_024


class StartedBy(NamedTuple):
    """What started a run: a step of another one."""

    #: That run.
    run_id: str
    #: The step whose completion committed the start.
    step: str
    #: Which of the step's starts it was, from 0.
    position: int = 0
    #: When that run was started, in milliseconds since 1970: a run's id may be taken again once it is deleted.
    created_at: int = 0

    def derived_id(self) -> str:
        """The id of a run whose starter chose none: the same however often the step is tried."""
        return f"wf-{sha256(self.to_text().encode()).hexdigest()[:24]}"

    def to_text(self) -> str:
        """The form in which the new run's item has it."""
        return f"{self.run_id}/{self.step}/{self.position}/{self.created_at}"

    @classmethod
    def from_text(cls, text: str) -> StartedBy | None:
        """What `to_text` wrote; None if a later version of fluxio wrote it in another form."""
        run_id, step, position, created_at = [*text.split("/"), "", "", "", ""][:4]
        if not (position.isdecimal() and created_at.isdecimal()):
            return None
        return cls(run_id, step, int(position), int(created_at))


class NewRun(NamedTuple):
    """A run that a step starts when it completes."""

    run_id: str
    workflow: str
    #: Its input, as JSON.
    input_json: str
    started_by: StartedBy
    #: Milliseconds from the step's completion until it begins.
    after: int = 0

    @property
    def operations(self) -> int:
        """How many operations of a transaction it takes: its item, and one for an input that is too long."""
        return 1 if layout.fits_inline(self.input_json) else 2

    @property
    def bytes(self) -> int:
        """About how many bytes these have, at the most."""
        return self.operations * _FRAME_BYTES + limits.text_bytes(self.input_json)

    @property
    def wakes_after(self) -> int:
        """Milliseconds after which the sweeper looks at it: its message is lost, or was not sent."""
        return self.after - HOLD_MS if self.waits_for_sweep else WATCH_MS

    @property
    def waits_for_sweep(self) -> bool:
        """Whether no message is sent for it, because it begins too late for one to wait."""
        return self.after > HOLD_MS


def started_text(runs: Sequence[NewRun], room: int = CHOSEN_BYTES, before: str = "") -> str:
    """Which runs a step has started: `*2,order-7,*` are three with derived ids, the third having been chosen.

    What does not fit is counted, as `?2`: ids that the step's code has chosen, and what comes after those.
    `before` is the text of those that it has started in its earlier rounds.
    """
    found = [_counted(part) for part in before.split(",") if part]
    for run in runs:
        mark = "*" if run.run_id == run.started_by.derived_id() else run.run_id
        if not (mark == "*" and found and found[-1][0] == "*"):
            room -= len(mark) + 1
        if room < 0:
            mark = "?"
        if found and mark in ("*", "?") and found[-1][0] == mark:
            found[-1] = (mark, found[-1][1] + 1)
        else:
            found.append((mark, 1))
    return ",".join(mark if times == 1 else f"{mark}{times}" for mark, times in found)


def started_ids(
    text: str, run_id: str, step: str, created_at: int, last: int | None = None
) -> tuple[str, ...]:
    """The ids that `started_text` wrote; "?" for one that was not kept.

    Args:
        text: what was written.
        run_id: the run.
        step: its step.
        created_at: when the run was started.
        last: only so many, from the end; None: all.
    """
    ids: list[str] = []
    first, position = 0 if last is None else started_before(text) - last, 0
    for part in text.split(","):
        mark, times = _counted(part)
        for at in range(max(position, first), position + times):
            by = StartedBy(run_id, step, at, created_at)
            ids.append(by.derived_id() if mark == "*" else mark)
        position += times
    return tuple(ids)


def started_before(text: str) -> int:
    """How many runs a step has started in its earlier rounds."""
    return sum(_counted(part)[1] for part in text.split(",") if part)


def _counted(part: str) -> tuple[str, int]:
    mark, times = part[:1], part[1:]
    if mark not in ("*", "?"):
        return part, 1
    return mark, int(times) if times.isdecimal() else 1


def input_text(input: Any, what: str) -> str:
    """An input as it is stored: the JSON text of an object.

    Raises:
        InvalidInput: it is not an object.
        PayloadError: it cannot be stored as JSON, or is too large.
    """
    text = layout.encode({} if input is None else input, what)
    if not text.startswith("{"):
        raise InvalidInput(
            f"{what} is {text[:40]}, not a JSON object: pass a dict, whose names become arguments of the steps."
        )
    return text


def workflow_of(workflow: object) -> tuple[str, Callable[[Any], None] | None]:
    """The name of a workflow, which is given by name or as a class; and what checks an input, if it is a class.

    Raises:
        InvalidInput: it is neither a name that a workflow can have nor a class with @workflow.
    """
    if not isinstance(workflow, type):
        return layout.check_workflow(workflow), None
    definition = vars(workflow).get(DEFINITION)
    if definition is None:
        raise InvalidInput(
            f"{workflow!r} is no workflow: pass a class decorated with @workflow, or a name."
        )
    return definition.name, definition.check_input
