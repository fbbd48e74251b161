"""Handing a signal to a run: by the row of the transition table that fits the run as it stands."""

from __future__ import annotations

from collections.abc import Callable

from fluxio_client.equality import is_same_json
from fluxio_client.statuses import known
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.changes import Change
from fluxio_protocol.errors import InvalidInput, RunEnded, SignalExists, SignalLapsed
from fluxio_protocol.run import STOPPED, Run, RunStatus, StepStatus
from fluxio_protocol.store import Store


def handed_over(
    store: Store, run: Run, name: str, text: str, replace: bool, now: Callable[[], int]
) -> Run | None:
    """Hand a signal to a run, unless it has it already with this payload.

    Args:
        store: where the run is.
        run: the run as it was read.
        name: which signal.
        text: its payload, as JSON.
        replace: whether it takes the place of a payload that no step has taken.
        now: the time, in milliseconds since 1970.

    Returns:
        The run, with the signal; None if it is not there any more.

    Raises:
        InvalidInput: no step of the run waits for it.
        RunEnded: the run has ended.
        SignalLapsed: it has not come in time.
        SignalExists: the run has it, and it is not, or can no longer be, replaced.
        UnknownStatus: a later version wrote the run's status.
    """
    there: Run | None = run
    while there is not None and not _has_signal(store, there, name, text):
        at = now()
        change = _change_of_signal(known(there), name, text, replace, at)
        # Refused only because the run has moved on meanwhile, or another signal came first: look again.
        written = store.signal(there.run_id, change, name, text, at, there.schema)
        if written.applied:
            return written.run
        there = written.run
    return there


def _has_signal(store: Store, run: Run, name: str, text: str) -> bool:
    if name not in run.signals_json or name in run.lapsed:
        return False
    there = run.signals_json[name]
    if not there:
        there = store.payloads.get(run.run_id, layout.signal_ref(name))
    return is_same_json(there, text)


def _change_of_signal(run: Run, name: str, text: str, replace: bool, now: int) -> Change:
    """What hands a signal to a run as it stands, which does not have it, or has another payload."""
    _check_awaited(run, name)
    inline = text if layout.fits_inline(text) else ""
    if run.status not in {RunStatus.PENDING, RunStatus.RUNNING} | STOPPED:
        raise RunEnded(
            f"run {run.run_id} is {run.status}: no step of it waits for {name} any more."
        )
    if name not in run.signals_json and name not in run.lapsed:
        if run.status in STOPPED:
            return to.keep_signal(name, inline)
        return to.signal(name, inline, now)
    if name in run.lapsed:
        raise SignalLapsed(_too_late(run, name))
    waiting = [step for step in run.steps.values() if name in step.awaits]
    taken = [s.name for s in waiting if s.status not in (StepStatus.PENDING, StepStatus.FAILED)]
    if replace and not taken:
        return to.replace_signal(
            name,
            inline,
            waiting,
            run.status,
            now,
            archives_seen=run.archives,
        )
    remedy = (
        f"The step {taken[0]} has taken it: if it is wrong, start another run."
        if taken
        else "If it is wrong, send this one with replace=True (`fluxio signal --replace`)."
    )
    raise SignalExists(
        f"the signal {name} of run {run.run_id} came before, with another payload, and that one stands. "
        f"{remedy} To send a run more than one, let its steps await signals of different names."
    )


def _too_late(run: Run, name: str) -> str:
    """What a sender is told whose signal has lapsed."""
    head = f"the signal {name} of run {run.run_id} came too late: its timeout was over"
    if name in run.signals_json:
        return (
            f"{head}, its default was taken, and the run has gone on with that. If the default is wrong for "
            "it, start another run."
        )
    if run.status in STOPPED:
        return (
            f"{head}, and the run is {run.status}. Redrive it (`fluxio redrive {run.run_id}`): a step that "
            "failed for want of the signal waits for it anew; then send it again."
        )
    return f"{head}, the step that waited for it has failed, and the run goes on from that."


def _check_awaited(run: Run, name: str) -> None:
    """Once a worker has laid the steps out, a signal that none of them waits for is a mistake.

    Before, any name may be right, but their number is bounded: the run item must have room for the steps.
    """
    if run.version is None and len(run.signals_json) >= layout.MAX_SIGNALS:
        raise InvalidInput(
            f"run {run.run_id} ({run.workflow}) has {len(run.signals_json)} signals already, and no worker has "
            "opened it yet: send the others once it is RUNNING. No workflow awaits more than "
            f"{layout.MAX_SIGNALS}."
        )
    awaited = {signal for step in run.steps.values() for signal in step.awaits}
    if run.version is not None and name not in awaited:
        raise InvalidInput(
            f"no step of run {run.run_id} ({run.workflow}) waits for a signal {name!r}: "
            + (f"its signals are {', '.join(sorted(awaited))}." if awaited else "it has none.")
        )
