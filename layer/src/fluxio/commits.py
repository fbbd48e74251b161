"""What becomes of outcomes: the write that commits them, and takes what becomes ready, or ends the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from fluxio import claims, passing, sealing
from fluxio.actions import Action, StoreArchive, StoreOutput, StoreResult, Write
from fluxio.hand import Declined, Failed, Hand, Outcome, RunAgain, Succeeded
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol import layout, values
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import fits
from fluxio_protocol.new_run import CHOSEN_BYTES, NewRun, started_text
from fluxio_protocol.run import Failure, Run, RunStatus, Step, StepStatus
from fluxio_protocol.timeouts import clocks

#: Attempts that a step has whose arguments do not fit the deployed code, which is of another version than the
#: run: with `FOREIGN_PAUSE` milliseconds between them, about as long as `PATIENCE`.
FOREIGN_ATTEMPTS = 10

FOREIGN_PAUSE = 30_000

#: Where a step is afterwards whose progress stays in the run item.
_GOES_ON = (StepStatus.PENDING, StepStatus.RUNNING, StepStatus.FAILED)


def commit(run: Run, hand: Hand, plan: Plan, now: int, time_left: int) -> Action:
    """Commit what has ended here, and in the same write take what becomes ready, or end the run."""
    for name, outcome in hand.outcomes.items():
        if _needs_item(run, plan, name, outcome):
            return StoreOutput(name)
    for name, outcome in hand.outcomes.items():
        if isinstance(outcome, (Succeeded, RunAgain)) and outcome.transacts:
            changes = _committing(run, {name: outcome}, hand, plan, now, time_left)
            return Write(changes, outcome.operations, outcome.starts)
    outcomes = dict(hand.outcomes)
    while True:
        changes = _committing(run, outcomes, hand, plan, now, time_left)
        if len(outcomes) == 1 or fits(changes, now, run.schema):
            break
        outcomes.popitem()
    if names := sealing.to_seal(run, changes, plan, plan.inline_branches):
        seal = sealing.seal(run, hand, plan)
        if not seal:
            return StoreArchive(run.archives + 1, names)
        if fits((*changes, *seal), now, run.schema):
            return Write((*changes, *seal))
    return Write(changes)


def _needs_item(run: Run, plan: Plan, name: str, outcome: Outcome) -> bool:
    """Whether what an attempt has returned is to be stored in an item of its own first."""
    if isinstance(outcome, RunAgain):
        return not (outcome.stored or outcome.text is None or layout.fits_inline(outcome.text))
    if not isinstance(outcome, Succeeded) or outcome.stored:
        return False
    if run.schema == 1:
        return not layout.fits_inline(outcome.text)
    carried = values.carried(run, plan.graph, name, plan.inline_branches)
    return not values.output_fits(outcome.text, carried)


def _committing(
    run: Run,
    outcomes: Mapping[str, Outcome],
    hand: Hand,
    plan: Plan,
    now: int,
    time_left: int,
) -> tuple[Change, ...]:
    changes: list[Change] = []
    ends: Failure | None = None
    refused: set[str] = set()
    steps = dict(run.steps)

    released: set[str] = set()

    def ended(name: str, status: StepStatus, **more: Any) -> None:
        known = {"token": hand.token, "ended_at": now, **more}
        steps[name] = replace(run.steps[name], status=status, **known)

    # Successes first: one of them may release the step that another outcome is of.
    for name, outcome in sorted(
        outcomes.items(), key=lambda one: not isinstance(one[1], Succeeded)
    ):
        step = run.steps[name]
        attempt = step.attempt
        if name in released:
            continue
        if isinstance(outcome, Succeeded):
            dependents = plan.graph.dependents[name]
            last = plan.graph.leaves == (name,) and _is_last(run, name)
            completed = to.complete(
                run, step, hand.token, outcome.inline, dependents, now, last=last
            )
            changes.append(_starting(completed, run, outcome.starts))
            ended(name, StepStatus.SUCCEEDED)
            for rival in plan.graph.rivals.get(name, ()):
                if not steps[rival].settled:
                    changes.append(to.release(run, run.steps[rival], now))
                    released.add(rival)
                    ended(rival, StepStatus.SKIPPED, token=None)
        elif isinstance(outcome, Declined):
            changes.append(to.decline(run, step, hand.token, now))
            ended(name, StepStatus.SKIPPED)
        elif isinstance(outcome, RunAgain):
            put_back = _again(run, step, outcome, hand, plan, now, time_left)
            changes.append(_starting(put_back, run, outcome.starts))
        elif _tries_again(run, name, outcome, plan):
            assert outcome.retry_after is not None
            changes.append(
                to.retry(name, hand.token, attempt, outcome.failure, now + outcome.retry_after)
            )
        elif outcome.refused:
            # A payload that was sent anew meanwhile stays. Steps that await the same signal may refuse it
            # together, and one write takes it out once.
            given = hand.payloads.get(name, run.signals_json)
            payloads = {
                one: given[one] or ""
                for one in outcome.refused
                if one in run.signals_json
                and one not in run.lapsed
                and run.signals_json[one] == given.get(one)
                and one not in refused
            }
            refused.update(payloads)
            changes.append(to.refuse_signal(name, hand.token, attempt, outcome.failure, payloads))
        else:
            named = outcome.kinds & plan.graph.named_errors(name)
            failure = replace(outcome.failure, bases=tuple(sorted(named - {outcome.failure.type})))
            if plan.graph.handles(name, failure.kinds):
                changes.append(to.fail_handled(run, step, hand.token, failure, now))
                ended(name, StepStatus.FAILED, handled=True, error=failure)
                continue
            changes.append(
                to.fail(name, hand.token, attempt, failure, run.status, now, step.redriven_at)
            )
            ends = ends or failure
    changes = _with_progress(changes, run, hand, now)
    if run.status is not RunStatus.RUNNING:
        return tuple(changes)
    if ends is not None:
        return (*changes, to.fail_run(ends, now))
    if not plan.graph.plain:
        behind = [
            dep
            for name in steps
            if steps[name].settled and not run.steps[name].settled
            for dep in plan.graph.dependents[name]
        ]
        skipped, steps = passing.skips(run, plan, steps, behind, changes, hand.token, now)
        changes += skipped
    if all(step.settled for step in steps.values()):
        result = _result(steps, outcomes, plan)
        return (*changes, to.finish(result, now)) if result else tuple(changes)
    if hand.fenced or (run.deadline is not None and run.deadline <= now):
        return tuple(changes)  # the message goes back, or the run ends next: nothing may begin
    done = [name for name in steps if steps[name].settled and not run.steps[name].settled]
    released_now = passing.ready(run, plan, steps, done, now)
    # Those that were ready before have waited for a thread.
    due = claims.due_steps(run, hand, plan, now)
    kept = {step.name for step in due if steps[step.name].status is StepStatus.PENDING}
    ready = claims.in_order(plan.graph, released_now | kept)
    inline = claims.divide(run, hand, plan, ready, now, time_left).inline
    taken = [
        claims.claim(run, name, hand, plan, now, total_deps=len(plan.graph.depends_on[name]))
        for name in inline
    ]
    return (*changes, *taken[: claims.fitting(run, changes, taken, now)])


def _with_progress(changes: Sequence[Change], run: Run, hand: Hand, now: int) -> list[Change]:
    """The changes, with what is known of how far steps are: of those that they put back, and of others here."""
    found: list[Change] = []
    for change in changes:
        told = hand.progress.get((change.step or "", change.attempt or 0))
        if told is not None and change.row.step_to in _GOES_ON:
            change = change._replace(values={**change.values, "progress": told})
        found.append(change)
    ended = {change.step for change in changes}
    others = [
        to.progress(name, hand.token, attempt, told)
        for (name, attempt), told in [*hand.progress.items()]
        if name in hand.running
        and name not in ended
        and hand.holds(run.steps[name])
        and run.steps[name].attempt == attempt
    ]
    return [*found, *others] if fits((*found, *others), now, run.schema) else found


def _starting(change: Change, run: Run, starts: Sequence[NewRun]) -> Change:
    """A step's outcome that says which runs are started with it."""
    if not starts:
        return change
    room = CHOSEN_BYTES - sum(map(len, run.started_texts.values()))
    before = run.started_texts.get(change.step or "", "")
    return change._replace(started=started_text(starts, room, before))


def _again(
    run: Run, step: Step, outcome: RunAgain, hand: Hand, plan: Plan, now: int, time_left: int
) -> Change:
    """Put a step back for its next round, or take that at once."""
    kept: dict[str, str] = {}
    if outcome.stored:
        kept = {"state_ref": layout.state_ref(step.name, step.attempt)}
    elif outcome.text is not None:
        kept = {"state": outcome.text}
    deadline = clocks(run, step, plan.graph.nodes[step.name]).deadline
    over = [at for at in (run.deadline, deadline) if at is not None and at <= now]
    here = (
        not outcome.after
        and not over
        and not hand.fenced
        and run.status is RunStatus.RUNNING
        and claims.in_time(plan, step.name, time_left)
    )
    claimed = claims.claim_values(step.name, hand, plan, now) if here else None
    return to.again(step, hand.token, now + outcome.after, kept, claimed)


def _is_last(run: Run, name: str) -> bool:
    """Whether a step's commit ends the run."""
    others = (step.settled for step in run.steps.values() if step.name != name)
    return run.status is RunStatus.RUNNING and all(others)


def _tries_again(run: Run, name: str, outcome: Failed, plan: Plan) -> bool:
    if outcome.retry_after is None or run.status is not RunStatus.RUNNING:
        return False
    step = run.steps[name]
    attempts = plan.policies[name].attempts
    if outcome.foreign:
        attempts = max(attempts, FOREIGN_ATTEMPTS)
    return step.attempt - step.redriven_at < attempts


def end(run: Run, hand: Hand, plan: Plan, now: int) -> Action | None:
    """End the run if all of its steps have ended for good; None if they have not."""
    if not all(step.settled for step in run.steps.values()):
        return None
    if hand.result_failure:
        return Write((to.fail_run(hand.result_failure, now),))
    if hand.result_stored:
        return Write((to.finish(("result_ref", layout.RESULT), now),))
    result = _result(run.steps, {}, plan)
    return Write((to.finish(result, now),)) if result else StoreResult()


def result_steps(steps: Mapping[str, Step], plan: Plan) -> tuple[str, ...]:
    """The steps whose outputs are the run's result: those that no step waits for, and that have succeeded."""
    return tuple(name for name in plan.graph.leaves if steps[name].status is StepStatus.SUCCEEDED)


def _result(
    steps: Mapping[str, Step], outcomes: Mapping[str, Outcome], plan: Plan
) -> tuple[str, str] | None:
    """The run's result, where it can be had from the run item alone: what the leaves returned."""
    outputs: dict[str, tuple[str, str]] = {}
    for name in result_steps(steps, plan):
        outcome, step = outcomes.get(name), steps[name]
        if isinstance(outcome, Succeeded):
            ref = layout.output_ref(name, step.attempt)
            outputs[name] = ("output_ref", ref) if outcome.stored else ("output", outcome.text)
        elif step.output_json is not None:
            outputs[name] = ("output", step.output_json)
        elif step.output_ref is not None:
            outputs[name] = ("output_ref", step.output_ref)
    if len(plan.graph.leaves) == 1:
        kind, text = next(iter(outputs.values()), ("output", "null"))
        return ("result", text) if kind == "output" else ("result_ref", text)
    if any(kind == "output_ref" for kind, _ in outputs.values()):
        return None
    parts = ",".join(f"{json.dumps(name)}:{text}" for name, (_, text) in outputs.items())
    text = "{" + parts + "}"
    return ("result", text) if layout.fits_inline(text) else None
