"""The policy: what the holder of a message does next, as a pure function of what it last saw.

No boto3, no clock, no randomness: the caller brings the run as it last read it, what it holds in its hand,
what the deployment says of the workflow, and the time. The same function is driven by the worker and by the
simulation.

Four rules carry the promise that nothing is lost:

* A message is acknowledged only when nothing that it answers for is unfinished and nothing that became
  ready by this worker is unsent. It is never acknowledged because another worker is running the step.
* A message answers for the step it names and for every step whose `owner` it is: those its holder went on
  with in the same invocation. If another worker did the step it names, it answers for those behind it.
* A worker that finds its own step done has arrived after a crash or a duplicate: it looks at the whole run,
  because the one before may have died between its write and its messages.
* A worker that was fenced off a step commits what else it has in hand, takes nothing more, and does not
  acknowledge.

And one that no step's code runs twice without need:

* While a worker has anything in hand, a call that fails is repeated until the lease or the time of the
  invocation is nearly over.
"""

from __future__ import annotations

from fluxio import claims, commits, expiry, message, outage, passing, starting
from fluxio.actions import Ack, Action, Await, Execute, Nack, Pause, Read, Send, Write
from fluxio.hand import Hand
from fluxio.plan import Plan, Problem
from fluxio_protocol import changes as to
from fluxio_protocol.queue import REDRIVE
from fluxio_protocol.run import Failure, Run, RunStatus

#: Steps before the one that a message names of which its claim asks whether they have succeeded. If they are
#: more, it is better to read the run first and to ask nothing.
UNSEEN_SOURCES = 10

#: Seconds until a message comes back that a fenced worker put back.
FENCED_PAUSE = 1


def decide(
    run: Run | None, hand: Hand, plan: Plan | Problem | None, now: int, time_left: int
) -> Action:
    """What to do next.

    Args:
        run: the run as last read; None before the first look.
        hand: the message and what its holder has under way.
        plan: what the deployment says of the run's workflow; None if the nudge does not name it and the
            run was not read yet, or if the graph of the run's version could not be read.
        now: milliseconds since 1970.
        time_left: milliseconds until the invocation ends.
    """
    action = _next(run, hand, plan, now, time_left)
    if run is not None and isinstance(action, (Ack, Nack)):
        return expiry.expire_payloads(run, hand, now, time_left) or action
    return action


def _next(
    run: Run | None, hand: Hand, plan: Plan | Problem | None, now: int, time_left: int
) -> Action:
    if run is None:
        return _first(hand, plan, now, time_left)
    if hand.resume_at > now:
        waits = [hand.resume_at, *hand.running.values()]
        return Await(min(waits)) if hand.running else Pause(hand.resume_at)
    if not hand.outcomes and (started := starting.nudges(run, hand, now)):
        return Send(started)
    if to_keep := expiry.keep_payloads(run, hand, time_left):
        return to_keep
    if plan is None:
        return Read()
    if isinstance(plan, Problem):
        assert not hand.running
        assert not hand.outcomes
        return outage.blocked(run, hand, plan, now)
    if hand.outcomes:
        return commits.commit(run, hand, plan, now, time_left)
    if hand.fenced:
        return _finish_what_is_held(run, hand, plan, now)
    if run.status is RunStatus.PENDING:
        begins = max(run.created_at, run.not_before or 0)
        if run.not_before is not None and run.not_before > now:
            return message.until_it_begins(run, run.not_before, hand, now)
        return _open(begins, hand, plan, now, time_left)
    if run.status is RunStatus.RUNNING and run.deadline is not None and run.deadline <= now:
        return _expire(run, plan, now)
    if run.status is not RunStatus.RUNNING:
        return Await(max(hand.running.values())) if hand.running else Ack()
    if failure := claims.left_behind(run):
        return Write((to.fail_run(failure, now),))
    if not plan.graph.plain and (write := passing.by(run, hand, plan, now)):
        return write
    todo = claims.due_steps(run, hand, plan, now)
    lost = [step for step in todo if claims.lost_for_good(step, plan)]
    if lost:
        return claims.give_up(run, lost[0], hand, plan, now)
    inline, kept, elsewhere = claims.divide(
        run, hand, plan, [step.name for step in todo], now, time_left
    )
    taken = [claims.claim(run, name, hand, plan, now) for name in inline]
    fitting = claims.fitting(run, (), taken, now)
    elsewhere += inline[fitting:]
    begin = claims.to_begin(run, hand, plan, now)
    if len(inline) + len(begin) == 1 and not hand.running:
        # It runs in the main thread, and this worker looks at nothing else meanwhile.
        if wake := message.wake_in_time(run, now):
            return wake
        elsewhere += message.due_while_at_work(run, hand, plan, now)
    nudges = [message.nudge(run, name, message.occasion(hand)) for name in elsewhere]
    if nudges:
        return Send(tuple(nudges))
    if taken:
        later = message.waits(run, hand, plan, now)
        return Write(tuple(taken[:fitting]), kept=(*kept, *later))
    if begin:
        return Execute(begin)
    if hand.running:
        return Await(message.wait_until(run, hand, plan, now, len(kept)))
    if todo:
        return message.next_invocation(
            hand, message.nudge(run, todo[0].name, f"again:{hand.nonce}")
        )
    rest = (
        message.put_back(run, hand, plan, now)
        or commits.end(run, hand, plan, now)
        or message.sleep(run, now)
    )
    return rest or Ack()


def _first(hand: Hand, plan: Plan | Problem | None, now: int, time_left: int) -> Action:
    """The first delivery needs no read: the write that is expected is tried at once, under its condition."""
    nudge = hand.nudge
    if hand.received > 1 or not isinstance(plan, Plan) or nudge.occasion:
        return Read()
    if nudge.step is None and plan.timeout is not None and hand.sent_at is None:
        return Read()  # the deadline counts from the run's start
    if nudge.step is None:
        return _open(now, hand, plan, now, time_left)
    if nudge.step not in plan.policies:
        return Read()
    if not claims.in_time(plan, nudge.step, time_left):
        return message.next_invocation(hand, nudge._replace(occasion=f"again:{hand.nonce}"))
    values = claims.claim_values(nudge.step, hand, plan, now)
    sources = plan.graph.depends_on[nudge.step]
    if nudge.attempt <= 1 and (len(sources) > UNSEEN_SOURCES or not plan.graph.plain):
        return Read()
    awaits, first = plan.graph.awaits.get(nudge.step, ()), nudge.attempt <= 1
    return Write((to.claim(nudge.step, values, first=first, awaits=awaits, sources=sources),))


def _finish_what_is_held(run: Run, hand: Hand, plan: Plan, now: int) -> Action:
    """After one step was lost to another worker: the others go on to their ends, and nothing new begins."""
    if begin := claims.to_begin(run, hand, plan, now):
        return Execute(begin)
    return Await(max(hand.running.values())) if hand.running else Nack(FENCED_PAUSE)


def _expire(run: Run, plan: Plan, now: int) -> Write:
    assert run.deadline is not None
    seconds = (plan.timeout or run.deadline - run.created_at) / 1000
    missing = sorted({signal for step in run.steps for signal in run.awaiting(step)})
    why = "see which of its steps take long"
    if missing:
        why = f"send in time what it waited for: the signal {', the signal '.join(missing)}"
    failure = Failure(
        "RunTimeout",
        f"the run had not ended after the {seconds:g} s its workflow gives it. Raise the `timeout` of "
        f"@workflow, or {why}.",
    )
    return Write((to.expire(failure, now),))


def _open(created_at: int, hand: Hand, plan: Plan, now: int, time_left: int) -> Action:
    roots = plan.graph.beginnings
    if roots and not any(claims.in_time(plan, name, time_left) for name in roots):
        return message.next_invocation(hand, hand.nudge._replace(occasion=f"again:{hand.nonce}"))
    deadline = None
    if plan.timeout is not None:
        deadline = min(_started(created_at, hand), now) + plan.timeout
    overdue = deadline is not None and deadline <= now  # then it ends next, and nothing may begin
    taken = {
        name: claims.claim_values(name, hand, plan, now)
        for name in claims.divide(None, hand, plan, () if overdue else roots, now, time_left).inline
    }
    return Write((to.open_run(plan.workflow, plan.graph, taken, deadline, hand.trace, now),))


def _started(created_at: int, hand: Hand) -> int:
    """When the run was started, or redriven before it was ever opened.

    `created_at` is by the clock of the machine that started it, which may be minutes off. The first message was
    sent right afterwards, and when SQS took it AWS's clock says.
    """
    first = hand.nudge.occasion == "" or hand.nudge.occasion.startswith(REDRIVE)
    return hand.sent_at if first and hand.sent_at is not None else created_at
