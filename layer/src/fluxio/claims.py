"""Which steps a worker takes: those it must act on, which of them here, which in other invocations."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from fluxio.actions import Write
from fluxio.hand import Hand
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import fits
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Failure, Run, Step, StepStatus
from fluxio_protocol.standing import Phase, standing

#: Milliseconds a lease holds beyond the step's timeout: the commit takes some, and two workers' clocks may
#: differ by the rest.
LEASE_MARGIN = 10_000

#: Milliseconds within which a thread must become free, or the steps that wait for one are sent elsewhere; and
#: those that all waves still to come may take, at the pace of what ended last. A message and the start of
#: another worker take some tens of milliseconds. Only the steps count, not the writes: one item takes one
#: write after the other, from however many workers, so more of them help only where steps take long.
WAVE, ALL_WAVES = 200, 1_000

#: Milliseconds an invocation must have left beyond a step's timeout for the step to be begun in it.
TIME_MARGIN = 2_000


def due_steps(run: Run, hand: Hand, plan: Plan, now: int) -> list[Step]:
    """Steps that this worker must take, or send a nudge for."""
    # A worker without a claim of its own looks at every step; one with claims at what its own commits released,
    # since other workers answer for what they release.
    working = at_work(run, hand)
    found = []
    for name in plan.graph.depends_on:
        step = run.steps[name]
        if (name, step.attempt + 1) in hand.sent:
            continue
        if name in hand.running:
            # Taken over by another worker while it ran here, and free again. If it were claimed now, its next
            # attempt would be mistaken for the one that still runs, which ends first and is fenced.
            continue
        phase = standing(run, step, now).phase
        if phase is Phase.READY:
            mine = sees_to(run, step, hand, plan, working)
        elif phase is Phase.LOST and not hand.holds(step):
            mine = not working or hand.answers_for(step)
        else:
            mine = False
        if mine:
            found.append(step)
    return found


def at_work(run: Run, hand: Hand) -> bool:
    """Whether the holder of a message has claimed a step of the run."""
    steps = run.steps.values()
    return any(step.token == hand.token and step.name not in hand.passed for step in steps)


def sees_to(run: Run, step: Step, hand: Hand, plan: Plan, working: bool) -> bool:
    """Whether the holder of a message must see to a step that has not begun, when it can begin.

    Args:
        run: the run as it stands.
        step: the step.
        hand: the message and what its holder has under way.
        plan: of the run.
        working: see `at_work`. Who has nothing of its own sees to all steps; who has, to those that its own
            commits released, since other workers see to what they release.
    """
    before = plan.graph.depends_on[step.name]
    return (
        not working
        or hand.answers_for(step)
        or step.name in hand.kept
        or (not before and hand.nudge.step is None)
        or any(run.steps[dep].token == hand.token for dep in before)
    )


def left_behind(run: Run) -> Failure | None:
    """Why a step of a running run failed: it did so just as a redrive reopened the run."""
    for step in run.steps.values():
        if step.status is StepStatus.FAILED and not step.handled:
            return step.error or Failure("StepFailed", "why is unknown", step.name, step.attempt)
    return None


def lost_for_good(step: Step, plan: Plan) -> bool:
    """Whether a step has no attempt left after the one that was lost with its worker."""
    return (
        step.status is StepStatus.RUNNING
        and step.attempt - step.redriven_at >= plan.policies[step.name].attempts_under_crashes
    )


def give_up(run: Run, step: Step, hand: Hand, plan: Plan, now: int) -> Write:
    """End a step whose workers died in every attempt it has; and its run, if no edge handles that."""
    failure = Failure(
        "WorkerLost",
        f"the worker died or overran its lease in attempt {step.attempt}, the last one this step "
        "has. Look for timeouts and memory in the worker's log.",
        step.name,
        step.attempt,
    )
    if plan.graph.handles(step.name, failure.kinds):
        return Write((to.give_up_handled(run, step, hand.token, failure, now),))
    give_up = to.give_up(step.name, step.attempt, failure, now, step.redriven_at)
    return Write((give_up, to.fail_run(failure, now)))


class Divided(NamedTuple):
    """The ready steps: where each is to run."""

    #: In this invocation, now.
    inline: list[str]
    #: In this invocation, as soon as others have ended.
    kept: list[str]
    #: In another one: it gets a nudge.
    elsewhere: list[str]


def divide(
    run: Run | None, hand: Hand, plan: Plan, ready: Collection[str], now: int, time_left: int
) -> Divided:
    """Which of the ready steps run in this invocation, and which get a nudge and run in others.

    Branches for which there are not enough threads follow in waves, as long as that is quick: a write that
    commits a wave and takes the next is far less than two writes and a message for each branch.
    """
    busy = 0
    if run is not None:
        busy = sum(hand.holds(s) and s.name not in hand.outcomes for s in run.steps.values())
    room = max(plan.inline_branches, 1) - busy
    lost = {
        name for name in ready if run is not None and run.steps[name].status is StepStatus.RUNNING
    }
    # The step a message names is claimed by its holder; sending it on would go round in a circle. One that was
    # lost with its worker comes last: it may be what killed it, so it takes no other along, and goes alone.
    names = sorted(ready, key=lambda name: (name != hand.nudge.step, name in lost))
    inline: list[str] = []
    kept: list[str] = []
    elsewhere: list[str] = []
    for name in names:
        named = name == hand.nudge.step
        fits = in_time(plan, name, time_left) and (named or not plan.policies[name].isolated)
        with_others = name not in lost and lost.isdisjoint(inline)
        alone = not busy and not inline
        if fits and (alone or (with_others and len(inline) < room)):
            inline.append(name)
        elif fits and with_others:
            kept.append(name)
        elif not named:
            elsewhere.append(name)
    if kept and spread_at(hand, plan, len(kept), now) <= now:
        kept, elsewhere = [], elsewhere + [name for name in kept if name != hand.nudge.step]
    return Divided(inline, kept, in_order(plan.graph, elsewhere))


def spread_at(hand: Hand, plan: Plan, kept: int, now: int) -> int:
    """When so many steps that wait for threads are sent elsewhere, unless a thread becomes free before."""
    waves = -(-kept // max(plan.inline_branches, 1))
    if plan.inline_branches < 2 or hand.took * waves > ALL_WAVES:
        return now
    begun = max(hand.began_at.values(), default=now)
    return begun + min(WAVE, ALL_WAVES // waves)


def in_time(plan: Plan, name: str, time_left: int) -> bool:
    """Whether what is left of the invocation is enough for the step's timeout."""
    return plan.policies[name].timeout + TIME_MARGIN <= time_left


def claim_values(name: str, hand: Hand, plan: Plan, now: int) -> dict[str, str | int]:
    """What the holder of a message writes on a step that it claims."""
    lease_until = now + plan.policies[name].timeout + LEASE_MARGIN
    return to.claim_values(hand.token, lease_until, hand.owner, now)


def claim(
    run: Run, name: str, hand: Hand, plan: Plan, now: int, total_deps: int | None = None
) -> Change:
    """Take a step: one that is ready, or one whose lease has expired.

    `total_deps`: how many steps it depends on, if some of them succeed in the same write.
    """
    step, values = run.steps[name], claim_values(name, hand, plan, now)
    if step.status is StepStatus.RUNNING:
        return to.take_over(name, values, step.attempt)
    return to.claim(
        name,
        values,
        first=step.untouched,
        awaits=step.awaits,
        archives_seen=run.archives,
        total_deps=total_deps,
    )


def fitting(run: Run, changes: Sequence[Change], taken: Sequence[Change], now: int) -> int:
    """How many of the taken go into one write with the changes; one alone always does."""
    counts = range(len(taken), 0, -1)
    fit = (count for count in counts if fits((*changes, *taken[:count]), now, run.schema))
    return next(fit, 0)


def to_begin(run: Run, hand: Hand, plan: Plan, now: int) -> tuple[str, ...]:
    """Steps that are claimed here and not begun, and whose leases still hold for their whole timeouts.

    The answer to a claim may come so late that one does not; then another worker takes the step over.
    """
    return tuple(
        step.name
        for step in run.steps.values()
        if hand.holds(step)
        and step.name not in hand.running
        and (step.lease_until or 0) - now >= plan.policies[step.name].timeout
    )


def in_order(graph: Graph, names: Iterable[str]) -> list[str]:
    """The names in the order in which the workflow has its steps."""
    wanted = set(names)
    return [name for name in graph.depends_on if name in wanted]
