"""What must be when a schedule has come to its end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from fluxio.retry import ATTEMPTS_UNDER_CRASHES
from fluxio.testing.platform import make_client
from tests.simulation.schedules.actors import SKEW
from tests.simulation.schedules.language import UNSURE

if TYPE_CHECKING:
    from tests.simulation.schedules.schedule import Schedule

#: Receipts that something must have struck before a message may become a dead letter: of the ten it has,
#: waiting takes at most four.
HARM = 5


def judge(schedule: Schedule) -> Iterator[str]:
    """Every promise that was broken, in words."""
    client = make_client(schedule.aws)
    for run_id in schedule.run_ids:
        run = client.get(run_id)
        yield from _wrong_end(schedule, run)
        for name, found in run.steps.items():
            if found.status != "SUCCEEDED":
                continue
            times = schedule.watch.commits[run_id, name]
            if times != 1:
                yield f"{run_id} {name} was committed {times} times"
            if found.output.get(f"by_{name}") != found.attempt:
                yield f"{run_id} {name}: attempt {found.attempt} of {found}"
        yield from _wrong_result(schedule, run)
        yield from _wrong_ledger(schedule, run)
        yield from _wrong_starts(schedule, run)
    yield from schedule.watch.start_problems()
    for message in schedule.aws.dead_letters.messages:
        schedule.figures["dead letters"] += 1
        if schedule.hub.harmed[message.message_id] < HARM:
            yield f"a dead letter, received in health: {message}"


def _wrong_end(schedule: Schedule, run: Any) -> Iterator[str]:
    if run.status == "FAILED":
        schedule.figures["runs failed"] += 1
        yield from _undue_failure(schedule, run)
    elif run.status == "CANCELLED" and (run.run_id, "cancel") in schedule.actors.asked:
        schedule.figures["runs cancelled"] += 1
    elif run.status != "SUCCEEDED":
        yield f"{run.run_id} is {run.status}: {run.error}"


def lost_innocently(schedule: Schedule, run_ids: list[str]) -> Iterator[str]:
    """Runs whose failure is not put down to the one step that kills its process, or that took others along.

    A first attempt of a sibling may have been lost with its own, and its lease be the longer one. A second
    one is not; unless the answer to its claim was lost, so that it was never begun.
    """
    heard = not (schedule.weather.throttled or schedule.weather.unanswered)
    for run_id in run_ids:
        run = make_client(schedule.aws).get(run_id)
        if run.error.type != "WorkerLost" or run.error.step not in schedule.poison:
            yield f"{run_id} failed for {run.error}, though only {schedule.poison} kills its process"
        graph = schedule.watch.graph(run_id)
        done = {step.name for step in run.steps.values() if step.status == "SUCCEEDED"}
        for step in run.steps.values():
            ready = done.issuperset(graph.depends_on[step.name]) and not step.awaits
            innocent = step.name not in done | {*schedule.poison}
            again = step.status == "FAILED" or (heard and step.attempt > 1)
            if ready and innocent and again:
                yield f"{run_id}: {step.name} is {step.status}, taken along by {schedule.poison}"


def _undue_failure(schedule: Schedule, run: Any) -> Iterator[str]:
    """Why a run must not have failed: neither its attempts nor its time were used up."""
    if run.error.type == "RunTimeout":
        timeout = schedule.weather.timeout
        if timeout is None or run.duration < timeout - 2 * SKEW / 1000:
            yield f"{run.run_id} failed for its time after {run.duration} of {timeout} s"
        return
    if schedule.rollout and run.error.type in ("BindingError", "UnknownWorkflow"):
        return  # judged when it happened
    found = run.steps.get(run.error.step)
    if found is None or found.status != "FAILED":
        yield f"{run.run_id} failed for a step that did not: {run.error}"
        return
    if found.error.type in ("SignalTimeout", "StepDeadline"):
        if not schedule.watch.lapses[run.run_id, found.name]:
            yield f"{run.run_id} failed for {run.error}, and nothing has lapsed"
        return
    attempts = schedule.plans[found.name].retry.max + 1
    had = found.attempt - schedule.watch.counted_from.get((run.run_id, found.name), 0)
    key = (run.run_id, found.name, found.attempt)
    end = schedule.steps.ends.get(key)
    if found.error.message == UNSURE:
        end = "raised"
    if found.error.type == "WorkerLost":
        if had < max(attempts, ATTEMPTS_UNDER_CRASHES):
            yield f"{key} was given up too early"
    elif had < attempts or end not in ("raised", "overran"):
        yield f"{key} failed of {attempts} attempts: {end}, {found.error}"


def _wrong_result(schedule: Schedule, run: Any) -> Iterator[str]:
    if run.status != "SUCCEEDED":
        return
    leaves = schedule.watch.graph(run.run_id).leaves
    steps = run.steps
    outputs = {n: steps[n].output for n in leaves if steps[n].status == "SUCCEEDED"}
    expected = outputs if len(leaves) > 1 else outputs.get(leaves[0])
    if run.result != expected:
        yield f"{run.run_id} has the result {run.result} instead of {expected}"


def _wrong_starts(schedule: Schedule, run: Any) -> Iterator[str]:
    """Each step that has succeeded has started its runs, and no other step has."""
    for name, found in run.steps.items():
        plan = schedule.plans[name]
        starts = plan.starts if run.started_by is None and found.status == "SUCCEEDED" else 0
        started = run.started.get(name, ())
        if len(started) != starts:
            yield f"{run.run_id} {name} is {found.status} and has started {started}"


def _wrong_ledger(schedule: Schedule, run: Any) -> Iterator[str]:
    for plan in schedule.plans.values():
        if plan.transacts and plan.name in run.steps:
            item = schedule.aws.ledger.items.get((run.run_id, plan.name), {})
            counted = int(item.get("times", {"N": "0"})["N"])
            at = run.run_id, plan.name
            if counted != schedule.watch.commits[at] + schedule.watch.rounds[at]:
                yield f"{run.run_id} {plan.name} took effect {counted} times"
