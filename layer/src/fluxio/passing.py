"""Steps that end without being claimed: not needed, or given up because something came too late for them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from fluxio.actions import Action, ReadTimer, Write
from fluxio.hand import Hand
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol.changes import Change
from fluxio_protocol.edge import Verdict, verdict
from fluxio_protocol.expression import fits
from fluxio_protocol.run import Failure, Run, Step, StepStatus
from fluxio_protocol.standing import Phase, standing
from fluxio_protocol.timeouts import clocks


def by(run: Run, hand: Hand, plan: Plan, now: int) -> Action | None:
    """What is to be written, or read, of steps that no worker claims; None if there are none.

    Whoever looks may do it: what becomes of such a step follows from the run.
    """
    for step in run.steps.values():
        stands = standing(run, step, now)
        if stands.phase is Phase.OVERDUE:
            return _lapse(run, step, hand, plan, now)
        if stands.unread:
            return ReadTimer(step.name)
        if stands.phase is Phase.NOT_NEEDED:
            skipped, _ = skips(run, plan, run.steps, plan.graph.nodes, (), hand.token, now)
            return Write(skipped)
    return None


def skips(
    run: Run,
    plan: Plan,
    steps: dict[str, Step],
    candidates: Iterable[str],
    changes: Sequence[Change],
    token: str,
    now: int,
) -> tuple[tuple[Change, ...], dict[str, Step]]:
    """Skip the steps that are not needed, and those behind them that are not needed then.

    Args:
        run: the run as it stands.
        plan: of the run.
        steps: its steps as they stand, or as they will once `changes` are applied.
        candidates: the steps to look at first.
        changes: the others of the same write: as many skips are added as fit. The rest follows from the run.
        token: that of the worker that writes it.
        now: its time.

    Returns:
        The skips, and the steps as they stand then.
    """
    steps, skipped = dict(steps), list[Change]()
    front = [*candidates]
    while front:
        name = front.pop(0)
        step = steps[name]
        if step.status is not StepStatus.PENDING:
            continue
        if verdict(plan.graph.nodes[name], steps) is not Verdict.SKIP:
            continue
        skip = to.skip(run, run.steps[name], token, now)
        if not fits((*changes, *skipped, skip), now, run.schema):
            break
        skipped.append(skip)
        steps[name] = replace(step, status=StepStatus.SKIPPED, ended_at=now, token=token)
        front += plan.graph.dependents[name]
    return tuple(skipped), steps


def _lapse(run: Run, step: Step, hand: Hand, plan: Plan, now: int) -> Write:
    """What has not come in time for a step: a signal's default takes its place, or the step fails."""
    node = plan.graph.nodes[step.name]
    of = clocks(run, step, node)
    signal = next((name for at, name in of.signals if at <= now), None)
    if signal is not None and (default := node.timeouts[signal].default) is not None:
        return Write((to.default_signal(signal, default, step, now),))
    gone = next((name for name in run.awaiting(step.name) if name in run.lapsed), None)
    if signal is not None or gone is not None:
        name = signal or gone or ""
        after = node.timeouts[name].after if name in node.timeouts else 0
        failure = Failure(
            "SignalTimeout",
            f"the signal {name} had not come within {after / 1000:g} s. Redrive the run to wait for it anew, "
            "or give it a default or a longer timeout.",
            step.name,
            step.attempt,
        )
    elif of.problem is not None:
        failure = Failure(
            "InvalidTimer",
            f"the time that the step waits for cannot be told. {of.problem}.",
            step.name,
            step.attempt,
        )
    else:
        failure = Failure(
            "StepDeadline",
            f"the step had not ended within the {(node.deadline or 0) / 1000:g} s of its deadline. Raise "
            "`deadline` of @step, or see what it waited for.",
            step.name,
            step.attempt,
        )
    handled = plan.graph.handles(step.name, failure.kinds)
    lapse = to.lapse(run, step, hand.token, failure, now, signal, handled)
    return Write((lapse,) if handled else (lapse, to.fail_run(failure, now)))


def ready(run: Run, plan: Plan, steps: dict[str, Step], ended: Iterable[str], now: int) -> set[str]:
    """The steps that become ready with a write.

    Args:
        run: the run before it.
        plan: of the run.
        steps: the run's steps after it.
        ended: those of them that end in it.
        now: the writer's time.
    """
    behind = {name for one in ended for name in plan.graph.dependents[one]}
    pending = {name for name in behind if steps[name].status is StepStatus.PENDING}
    begin = {n for n in pending if verdict(plan.graph.nodes[n], steps) is Verdict.BEGIN}
    if plan.graph.plain:
        return {name for name in begin if not run.awaiting(name)}
    after = replace(run, steps=steps)
    return {n for n in begin if standing(after, steps[n], now).phase is Phase.READY}
