"""What a message owes: when it comes back, what is nudged in its place, and when the sweeper looks."""

from __future__ import annotations

from fluxio import claims
from fluxio.actions import Ack, Action, Nack, Send, Write
from fluxio.hand import Hand
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol.clock import WATCHDOG_MS
from fluxio_protocol.queue import REDRIVE, Nudge
from fluxio_protocol.run import Run
from fluxio_protocol.standing import Phase, standing

#: A time that is no further away than this (milliseconds) is waited for by the message's own visibility; until
#: then by the run's `wake_at` and the sweeper, so that no message is held for long: it comes each minute.
HOLD = 120_000

#: A message received this often is replaced by a fresh one before it is put back again, so that waiting
#: never brings a healthy run to the dead-letter queue (the module's maxReceiveCount is 10).
RENEW_AFTER = 5

#: Milliseconds between two looks of the sweeper at a run that waits for nothing but a signal: the signal
#: wakes it, so this only bounds how long a defect could keep it asleep.
SIGNAL_WATCH = 86_400_000


def next_invocation(hand: Hand, again: Nudge) -> Action:
    """What is left of this invocation is too short: let the message come back at once, to another."""
    if hand.received < RENEW_AFTER:
        return Nack(0)
    return Ack() if hand.has_sent(again) else Send((again,))


def occasion(hand: Hand) -> str:
    """Under which occasion the holder of a message sends others.

    After a sweep or a redrive under theirs: what was sent before may have been acknowledged while the run
    stood still, and SQS would take the same nudge for a duplicate for five minutes.
    """
    return hand.nudge.occasion if hand.nudge.occasion.startswith(("sweep:", REDRIVE)) else ""


def nudge(run: Run, name: str, occasion: str = "") -> Nudge:
    """A nudge for a step's next attempt."""
    return Nudge(run.run_id, run.workflow, name, run.steps[name].attempt + 1, occasion)


def wait_until(run: Run, hand: Hand, plan: Plan, now: int, kept: int) -> int:
    """Until when to wait for a running step: one overruns, another may begin, or `kept` steps must go."""
    times = waits(run, hand, plan, now).values()
    spread = [claims.spread_at(hand, plan, kept, now)] if kept else []
    return min([*hand.running.values(), *times, *spread])


def waits(run: Run, hand: Hand, plan: Plan, now: int) -> dict[str, int]:
    """The steps that this holder sees to and that wait for a time, with that time."""
    working = claims.at_work(run, hand)
    found: dict[str, int] = {}
    for step in run.steps.values():
        stands = standing(run, step, now)
        if stands.phase is not Phase.WAITING or stands.until is None:
            continue
        if claims.sees_to(run, step, hand, plan, working):
            found[step.name] = stands.until
    return found


def due_while_at_work(run: Run, hand: Hand, plan: Plan, now: int) -> list[str]:
    """The steps that wait for a time which may come while this worker is busy: other workers get nudges."""
    return [
        name
        for name, until in waits(run, hand, plan, now).items()
        if until <= now + HOLD
        and (name, run.steps[name].attempt + 1) not in hand.sent
        # The step that this message names has this message, which waits for the worker, too.
        and name != hand.nudge.step
    ]


def put_back(run: Run, hand: Hand, plan: Plan, now: int) -> Action | None:
    """Put the message back while something it answers for is unfinished."""
    held = {
        name: until for name, until in waits(run, hand, plan, now).items() if until <= now + HOLD
    }
    gone_on_with = _gone_on_with(run, hand, plan)
    for step in run.steps.values():
        if not hand.answers_for(step) and step.name not in gone_on_with:
            continue
        stands = standing(run, step, now)
        if stands.phase in (Phase.RUNNING, Phase.LOST):
            held[step.name] = stands.until or now
        elif stands.until is not None and stands.until <= now + HOLD:
            held[step.name] = stands.until
    # A step that was nudged under its next attempt has a message of its own.
    held = {n: t for n, t in held.items() if (n, run.steps[n].attempt + 1) not in hand.sent}
    again = [nudge(run, name, f"again:{hand.nonce}") for name in held]
    if hand.nudge.step is None and run.deadline is not None and run.deadline <= now + HOLD:
        held[""] = run.deadline
        again.append(hand.nudge._replace(occasion=f"again:{hand.nonce}"))
    if not held:
        return None
    if hand.received >= RENEW_AFTER:
        again = [one for one in again if not hand.has_sent(one)]
        return Send(tuple(again)) if again else None
    return Nack(max(0, -(-(min(held.values()) - now) // 1000)))


def until_it_begins(run: Run, at: int, hand: Hand, now: int) -> Action:
    """Let the message of a run that begins later come back then, or the sweeper wake it."""
    if at <= now + HOLD:
        again = Nudge(run.run_id, run.workflow, occasion=f"again:{hand.nonce}")
        if hand.received < RENEW_AFTER:
            return Nack(-(-(at - now) // 1000))
        return Ack() if hand.has_sent(again) else Send((again,))
    if run.wake_at is None or run.wake_at == at - HOLD:
        return Ack()
    return Write((to.wake(at - HOLD, run.wake_at),))


def _gone_on_with(run: Run, hand: Hand, plan: Plan) -> set[str]:
    """All steps downstream of the one the message names, if another worker completed that one.

    That worker went on with them under another message, which may be gone: a duplicate's holder goes on
    after the other one has acknowledged. This message is still there, so it answers for them, too.
    """
    named = run.steps.get(hand.nudge.step or "")
    if named is None or not named.settled or named.token == hand.token:
        return set()
    behind: set[str] = set()
    front = [named.name]
    while front:
        new = {name for step in front for name in plan.graph.dependents[step]} - behind
        behind |= new
        front = list(new)
    return behind


def sleep(run: Run, now: int) -> Action | None:
    """Let the sweeper wake the run shortly before its deadline, or before a time that a step waits for.

    The message that it sends is put back until then: the sweep comes each minute, a message at the second.
    """
    if run.wake_at is None:
        return None
    waits: list[int] = []
    underway = False  # something else goes on, which the watchdog must keep an eye on
    for step in run.steps.values():
        stands = standing(run, step, now)
        if stands.phase not in (Phase.WAITING, Phase.SETTLED, Phase.STOPPED):
            underway = True
        elif stands.phase is not Phase.WAITING or stands.for_steps:
            continue
        elif stands.until is not None and stands.until > now + HOLD:
            waits.append(stands.until - HOLD)
        elif stands.until is None and stands.signals:
            # What is far off already is left: each look would move it by a little.
            far = run.wake_at > now + SIGNAL_WATCH // 2
            waits.append(run.wake_at if far else now + SIGNAL_WATCH)
        else:
            underway = True  # a message comes back then
    candidates = [*waits]
    if run.deadline is not None:
        # Once it is near, a message of the run as a whole is put back until then.
        near = run.deadline <= now + HOLD
        candidates.append(run.deadline if near else run.deadline - HOLD)
    if not candidates:
        return None
    until = min(candidates)
    # One that is past is being moved by the sweeper that has just sent this message.
    planned = run.wake_at if run.wake_at > now else now + WATCHDOG_MS
    # Later than the watchdog only where there is nothing it could find: no message that may be lost.
    if run.wake_at == until or (planned < until and (underway or not waits)):
        return None
    return Write((to.wake(until, run.wake_at),))


def wake_in_time(run: Run, now: int) -> Action | None:
    """Let the sweeper look at the run in time, before this worker is busy for long."""
    if run.graph is None or run.graph.plain:
        return None
    action = sleep(run, now)
    if isinstance(action, Write) and run.wake_at is not None:
        wake_at = action.changes[0].values["wake_at"]
        planned = run.wake_at if run.wake_at > now else now + WATCHDOG_MS
        return action if isinstance(wake_at, int) and wake_at < planned else None
    return None
