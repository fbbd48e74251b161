"""What becomes of outcomes: the write that commits them, and takes what becomes ready, or ends the run."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from fluxio import claims, sealing
from fluxio.actions import Action, StoreArchive, StoreOutput, StoreResult, Write
from fluxio.hand import Failed, Hand, Outcome, Succeeded
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol import layout, values
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import fits
from fluxio_protocol.new_run import CHOSEN_BYTES, NewRun, started_text
from fluxio_protocol.run import Failure, Run, RunStatus, StepStatus

#: Attempts that a step has whose arguments do not fit the deployed code, which is of another version than the
#: run: with `FOREIGN_PAUSE` milliseconds between them, about as long as `PATIENCE`.
FOREIGN_ATTEMPTS = 10

FOREIGN_PAUSE = 30_000


def commit(run: Run, hand: Hand, plan: Plan, now: int, time_left: int) -> Action:
    """Commit what has ended here, and in the same write take what becomes ready, or end the run."""
    for name, outcome in hand.outcomes.items():
        if (
            isinstance(outcome, Succeeded)
            and not outcome.stored
            and not _fits_inline(run, plan, name, outcome.text)
        ):
            return StoreOutput(name)
    for name, outcome in hand.outcomes.items():
        if isinstance(outcome, Succeeded) and outcome.transacts:
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


def _fits_inline(run: Run, plan: Plan, name: str, text: str) -> bool:
    if run.schema == 1:
        return layout.fits_inline(text)
    return values.output_fits(text, values.carried(run, plan.graph, name, plan.inline_branches))


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
    for name, outcome in outcomes.items():
        step = run.steps[name]
        attempt = step.attempt
        if isinstance(outcome, Succeeded):
            dependents = plan.graph.dependents[name]
            last = plan.graph.leaves == (name,) and _is_last(run, name)
            completed = to.complete(
                run, step, hand.token, outcome.inline, dependents, now, last=last
            )
            changes.append(_starting(completed, run, outcome.starts))
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
                and run.signals_json[one] == given.get(one)
                and one not in refused
            }
            refused.update(payloads)
            changes.append(to.refuse_signal(name, hand.token, attempt, outcome.failure, payloads))
        else:
            failure = outcome.failure
            changes.append(
                to.fail(name, hand.token, attempt, failure, run.status, now, step.redriven_at)
            )
            ends = ends or outcome.failure
    changes = _with_progress(changes, run, hand, now)
    if run.status is not RunStatus.RUNNING:
        return tuple(changes)
    if ends is not None:
        return (*changes, to.fail_run(ends, now))
    done = {name for name, outcome in outcomes.items() if isinstance(outcome, Succeeded)}
    succeeded = done | {step.name for step in run.steps.values() if step.settled}
    if len(succeeded) == len(run.steps):
        result = _result(run, outcomes, plan)
        return (*changes, to.finish(result, now)) if result else tuple(changes)
    if hand.fenced or (run.deadline is not None and run.deadline <= now):
        return tuple(changes)  # the message goes back, or the run ends next: nothing may begin
    behind = {name for one in done for name in plan.graph.dependents[one]}
    released = {
        name
        for name in behind
        if succeeded.issuperset(plan.graph.depends_on[name]) and not run.awaiting(name)
    }
    # Those that were ready before have waited for a thread.
    due = claims.due_steps(run, hand, plan, now)
    kept = {step.name for step in due if step.status is StepStatus.PENDING}
    ready = claims.in_order(plan.graph, released | kept)
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
        if told is not None and change.row.step_to in (StepStatus.PENDING, StepStatus.FAILED):
            change = change._replace(values={**change.values, "progress": told})
        found.append(change)
    others = [
        to.progress(name, hand.token, attempt, told)
        for (name, attempt), told in [*hand.progress.items()]
        if name in hand.running
        and hand.holds(run.steps[name])
        and run.steps[name].attempt == attempt
    ]
    return [*found, *others] if fits((*found, *others), now, run.schema) else found


def _starting(completed: Change, run: Run, starts: Sequence[NewRun]) -> Change:
    """A completion that says which runs are started with it."""
    if not starts:
        return completed
    room = CHOSEN_BYTES - sum(map(len, run.started_texts.values()))
    return completed._replace(started=started_text(starts, room))


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
    """End the run if all of its steps have succeeded; None if they have not."""
    if not all(step.settled for step in run.steps.values()):
        return None
    if hand.result_failure:
        return Write((to.fail_run(hand.result_failure, now),))
    if hand.result_stored:
        return Write((to.finish(("result_ref", layout.RESULT), now),))
    result = _result(run, {}, plan)
    return Write((to.finish(result, now),)) if result else StoreResult()


def _result(run: Run, outcomes: Mapping[str, Outcome], plan: Plan) -> tuple[str, str] | None:
    """The run's result, where it can be had from the run item alone: what the leaves returned."""
    outputs: dict[str, tuple[str, str]] = {}
    for name in plan.graph.leaves:
        outcome, step = outcomes.get(name), run.steps[name]
        if isinstance(outcome, Succeeded):
            ref = layout.output_ref(name, step.attempt)
            outputs[name] = ("output_ref", ref) if outcome.stored else ("output", outcome.text)
        elif step.output_json is not None:
            outputs[name] = ("output", step.output_json)
        elif step.output_ref is not None:
            outputs[name] = ("output_ref", step.output_ref)
    if len(outputs) == 1:
        kind, text = next(iter(outputs.values()))
        return ("result", text) if kind == "output" else ("result_ref", text)
    if any(kind == "output_ref" for kind, _ in outputs.values()):
        return None
    parts = ",".join(f"{json.dumps(name)}:{text}" for name, (_, text) in outputs.items())
    text = "{" + parts + "}"
    return ("result", text) if layout.fits_inline(text) else None
