"""When items of long values are to be deleted: with their run, or when nothing can refer to them any more."""

from __future__ import annotations

from fluxio.actions import Action, ExpirePayloads, KeepPayloads, Nack, ReadArchives
from fluxio.claims import TIME_MARGIN
from fluxio.hand import Hand
from fluxio_protocol import layout, values
from fluxio_protocol.queue import REDRIVE, REDRIVE_KEPT
from fluxio_protocol.run import Run, StepStatus

#: Milliseconds that it may take to write one item's time to live.
EXPIRY_TIME = 20


def expire_payloads(run: Run, hand: Hand, now: int, time_left: int) -> Action | None:
    """What is to be done with items of long values before the message is given back.

    The worker that ends a run sees to all of its items; so does the holder of a message that comes back and
    finds the run ended, because the one before may have died in between. A worker that commits after the run
    has ended sees to its own output. An output that was stored and can no longer be committed belongs to
    nothing, whatever becomes of the run.
    """
    states = hand.states - {step.state_ref for step in run.steps.values()}
    if not run.ended:
        keys = {layout.output_ref(*at) for at in hand.stored if _abandoned(run, *at)}
        keys = (keys | states) - hand.expired
        return ExpirePayloads(tuple(sorted(keys)), now) if keys else None
    keys = {layout.output_ref(*at) for at in hand.stored} | states
    if hand.result_stored:
        keys.add(layout.RESULT)
    if hand.archive and hand.archive[0] > run.archives:
        keys.add(layout.archive_ref(hand.archive[0]))
    if hand.ending or hand.received > 1:
        if not hand.read_archives and any(step.unread for step in run.steps.values()):
            return ReadArchives()  # which say what else there is
        keys.update(values.payload_keys(run))
    keys -= hand.expired
    if not keys:
        return None
    if time_left < TIME_MARGIN + len(keys) * EXPIRY_TIME:
        return Nack(0)  # to an invocation that has the time
    assert run.ended_at is not None
    return ExpirePayloads(tuple(sorted(keys)), run.ended_at)


def keep_payloads(run: Run, hand: Hand, time_left: int) -> Action | None:
    """What is to be kept of an open run that a client of an older version has redriven.

    When the run had failed, all of its items were given its time to live. Such a client takes that back for
    those it knows: neither archives nor outputs that only a step's record or an archive names.
    """
    nudge = hand.nudge
    kept = nudge.step is not None or nudge.occasion.startswith(REDRIVE_KEPT) or hand.kept_payloads
    if kept or not nudge.occasion.startswith(REDRIVE) or run.schema == 1 or run.ended:
        return None
    if not hand.read_archives and any(step.unread for step in run.steps.values()):
        return ReadArchives()
    keys = values.payload_keys(run)
    if not keys:
        return None
    if time_left < TIME_MARGIN + len(keys) * EXPIRY_TIME:
        return Nack(0)
    return KeepPayloads(tuple(keys))


def _abandoned(run: Run, name: str, attempt: int) -> bool:
    """Whether an attempt of a step can no longer be committed."""
    step = run.steps[name]
    if step.attempt > attempt:
        return step.output_ref != layout.output_ref(name, attempt)
    return step.status in (StepStatus.PENDING, StepStatus.FAILED)
