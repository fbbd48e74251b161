"""Redriving: a run that has stopped is opened again, and its steps get their attempts again."""

from __future__ import annotations

from fluxio_protocol import changes as to
from fluxio_protocol import layout, values
from fluxio_protocol.changes import Change
from fluxio_protocol.run import STOPPED, Run, StepStatus
from fluxio_protocol.store import Store

#: Steps that a redrive gives their attempts again in one write: each takes some 50 bytes of the 4 KB that an
#: expression may have, and three of its 300 operators.
RESETS = 40


def reopened(store: Store, run: Run, now: int) -> Run | None:
    """Open a run that has stopped, with attempts for the steps that failed or were lost with their worker.

    A run that has not stopped is left as it is.

    Args:
        store: where the run is.
        run: the run as it was read.
        now: the caller's time.

    Returns:
        The run as it stands: open, or ended otherwise in the meantime; None if it is not there any more.
    """
    there: Run | None = run
    # A write is refused only if the run, or a step of it, has gone on meanwhile: then it is looked at anew.
    while there is not None and there.status in STOPPED:
        seen = there
        reopen = to.redrive(seen.version is not None, layout.shard(seen.run_id), seen.ended_at, now)
        fresh, under_way = _fresh_attempts(seen, now)
        changes = [reopen, *fresh, *under_way]
        if not store.fits(changes, now, seen.schema):
            changes = [reopen, *fresh]
        if not store.fits(changes, now, seen.schema):
            # More than one write holds: the run stays as it is until the last of them.
            there = store.apply(seen.run_id, fresh[:RESETS], now, schema=seen.schema).run
            continue
        # Before it is open, so that an open run never loses a long value because it had ended before; and
        # afterwards what a step under way has stored meanwhile.
        keys = values.payload_keys(seen)
        store.payloads.keep(seen.run_id, keys, seen.ended_at, now)
        there = store.apply(seen.run_id, changes, now, schema=seen.schema).run
        if there is not None and not there.ended:
            late = [key for key in values.payload_keys(there) if key not in keys]
            store.payloads.keep(seen.run_id, late, seen.ended_at, now)
    return there


def _fresh_attempts(run: Run, now: int) -> tuple[list[Change], list[Change]]:
    """What gives the steps of a run that stopped their attempts again, those that are under way included.

    A worker that died took its steps along; until their leases have expired they look like any other's.

    Returns:
        The changes; and those that change nothing, of steps in their first attempt. One of these that fails
        before the redrive is written must be reset as well, so the write asks whether it is under way.
    """
    changes: list[Change] = []
    unchanged: list[Change] = []
    waited: set[str] = set()
    for step in run.steps.values():
        if step.status is StepStatus.FAILED and not step.handled:
            node = run.graph.nodes.get(step.name) if run.graph else None
            # It waits anew for what did not come in time; two steps may wait for one signal.
            gone = {name for name in run.awaiting(step.name) if name in run.lapsed} - waited
            waited |= gone
            since = now if node is not None and node.has_clock else None
            changes.append(to.reset(step.name, step.attempt, tuple(sorted(gone)), since))
        elif step.status is StepStatus.RUNNING:
            first = step.redriven_at == step.attempt - 1
            (unchanged if first else changes).append(to.reprieve(step.name, step.attempt))
    return changes, unchanged
