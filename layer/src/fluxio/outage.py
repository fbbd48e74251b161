"""What cannot be done now: calls that fail, and runs that this deployment cannot go on with."""

from __future__ import annotations

from fluxio.actions import Ack, Action, Nack, Send, Write
from fluxio.hand import Hand
from fluxio.plan import Problem
from fluxio_protocol import changes as to
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import Run, RunStatus

#: Milliseconds before a failed call is repeated: the first pause and the longest. Jitter takes up to half away.
FIRST_PAUSE, LONGEST_PAUSE = 100, 5_000

#: Milliseconds before the end of the lease or the invocation at which a failing call is repeated no more.
LAST_MOMENT = 1_000

#: Seconds between two looks at such a run: 300 in all, and fewer receipts than the dead-letter queue allows.
BLOCKED_PAUSES = (10, 20, 40, 60, 80, 90)

#: Receipts after which such a message is replaced by a fresh one: two before the dead-letter queue takes it.
RENEW_BLOCKED = 8

#: How the occasion of a nudge begins that has been waiting for a deployment that can go on. Then come since
#: when, in hexadecimal seconds since 1970, and after a colon the number of its renewals, in one digit.
BLOCKED = "blocked:"


def repeat_at(run: Run | None, hand: Hand, now: int, time_left: int, chance: float) -> int | None:
    """When a call that failed is to be made again; None if the message must come back instead.

    It is repeated only while there is something that would be lost: attempts that run here, outcomes that are
    not committed, claimed steps that have not begun. Another worker may take a step over when its lease has
    expired, so that is how long a repetition is worth it.

    Args:
        run: the run as last read.
        hand: the message and what its holder has under way.
        now: milliseconds since 1970.
        time_left: milliseconds until the invocation ends.
        chance: a number from 0 to 1, for the jitter.
    """
    if run is None:
        return None
    leases = [step.lease_until or 0 for step in run.steps.values() if hand.holds(step)]
    at_work = {*hand.running, *hand.outcomes}
    leases += [run.steps[name].lease_until or 0 for name in at_work if name in run.steps]
    if not leases:
        return None
    pause = min(FIRST_PAUSE * 2 ** min(hand.failures, 10), LONGEST_PAUSE)
    at = now + max(1, round(pause * (0.5 + 0.5 * chance)))
    return at if at < min(max(leases), now + time_left) - LAST_MOMENT else None


def blocked(run: Run, hand: Hand, problem: Problem, now: int) -> Action:
    """Wait for a deployment that can go on with the run; park it, or fail it, when that lasts too long.

    Since when stands in the message: the run itself is as it was for a worker that can go on with it.
    """
    if run.status not in (RunStatus.PENDING, RunStatus.RUNNING):
        return Ack()
    since = blocked_since(hand.nudge)
    if since is None and problem.patience:
        again = hand.nudge._replace(occasion=f"{BLOCKED}{now // 1000:x}")
        return Ack() if hand.has_sent(again) else Send((again,))
    left = (since or now) + problem.patience - now
    if left > 0 and hand.received >= RENEW_BLOCKED:
        started, renewals = _parsed(hand.nudge.occasion)
        again = hand.nudge._replace(occasion=f"{BLOCKED}{started:x}:{(renewals + 1) % 16:x}")
        return Ack() if hand.has_sent(again) else Send((again,))
    if left > 0:
        pause = BLOCKED_PAUSES[min(hand.received, len(BLOCKED_PAUSES)) - 1]
        return Nack(min(pause, -(-left // 1000)))
    if problem.parks:
        return Write((to.park(problem.failure),))
    return Write((to.fail_run(problem.failure, now),))


def blocked_since(nudge: Nudge) -> int | None:
    """Since when a nudge waits for a deployment that can go on with its run, in milliseconds since 1970."""
    if not nudge.occasion.startswith(BLOCKED):
        return None
    try:
        return _parsed(nudge.occasion)[0] * 1000
    except ValueError:
        return None


def _parsed(occasion: str) -> tuple[int, int]:
    """Since when a nudge waits, in seconds since 1970, and how often it was renewed.

    Raises:
        ValueError: the occasion is none of a nudge that waits.
    """
    started, _, renewals = occasion.removeprefix(BLOCKED).partition(":")
    return int(started, 16), int(renewals or "0", 16)
