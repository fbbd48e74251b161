"""The changes that may be made of a run, one function each; see `change` for what they are made of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluxio_protocol import layout
from fluxio_protocol.change import Change as Change
from fluxio_protocol.change import Values as Values
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import STOPPED, Failure, Run, RunStatus, Step, StepStatus
from fluxio_protocol.run_item import RESULT_MARK, SCHEMA, SIGNALS, ended_text
from fluxio_protocol.transitions import TABLE, IllegalTransition


def open_run(
    workflow: str,
    graph: Graph,
    claims: Mapping[str, Mapping[str, str | int]],
    deadline: int | None = None,
    trace: str | None = None,
    now: int = 0,
) -> Change:
    """Begin; `claims` are roots that the same worker takes at once.

    `deadline` is when the run must have ended, in milliseconds since 1970; `trace` is for a run without one;
    `now` is the caller's time.
    """
    steps: dict[str, dict[str, str | int]] = {}
    for name, claimed in claims.items():
        if name not in graph.beginnings:
            raise IllegalTransition(f"open: step {name} waits for other steps, a signal or a time.")
        steps[name] = {**claimed, "status": StepStatus.RUNNING.value, "attempt": 1}
    if graph.awaits:
        signals = dict.fromkeys(signal for names in graph.awaits.values() for signal in names)
        steps[SIGNALS] = {"awaits": ",".join(signals)}
    values: Values = {"version": graph.version, "schema": SCHEMA, "deadline": deadline}
    if any(graph.nodes[name].has_clock for name in graph.roots):
        values = {**values, "opened_at": now}
    return Change(TABLE["open"], values=values, steps=steps, workflow=workflow, trace=trace)


def claim_values(token: str, lease_until: int, owner: str, now: int) -> dict[str, str | int]:
    """What a claim writes on a step."""
    return {"token": token, "lease_until": lease_until, "owner": owner, "started_at": now}


def claim(
    step: str,
    values: Mapping[str, str | int],
    *,
    first: bool,
    awaits: tuple[str, ...] = (),
    archives_seen: int = 0,
    sources: tuple[str, ...] = (),
    total_deps: int | None = None,
) -> Change:
    """Take a step whose dependencies have all succeeded and whose signals have arrived.

    Args:
        step: which step.
        values: see `claim_values`.
        first: whether it was never claimed before.
        awaits: the signals that it waits for.
        archives_seen: how many archives the run has.
        sources: what must have succeeded, where the caller has not seen that.
        total_deps: in a run of schema 1, how many steps it depends on, if some of them succeed in this write.
    """
    return Change(
        TABLE["claim"],
        step,
        values,
        signals=awaits,
        first=first,
        archives_seen=archives_seen,
        sources=sources,
        total_deps=total_deps,
    )


def take_over(step: str, values: Mapping[str, str | int], attempt: int) -> Change:
    """Take a step whose lease has expired; `attempt` is the one that was lost."""
    return Change(TABLE["take_over"], step, values, attempt=attempt)


def complete(
    run: Run,
    step: Step,
    token: str,
    output: str | None,
    dependents: tuple[str, ...],
    now: int,
    *,
    last: bool = False,
) -> Change:
    """Commit a step's result.

    Args:
        run: the run as it stands.
        step: the step, under the caller's claim.
        token: that of the claim.
        output: what it returned, as JSON; None if that stands in the output's own item.
        dependents: the steps that depend on it.
        now: when it ended.
        last: whether it is the last of the run, whose result its output becomes in the same write.
    """
    record = ended_text(
        step.attempt,
        token,
        now if step.started_at is None else step.started_at,
        now,
        run.created_at,
        RESULT_MARK if last and output is not None else output,
    )
    ref = layout.output_ref(step.name, step.attempt)
    kept: Values = {"output": output} if output is not None else {"output_ref": ref}
    return Change(
        TABLE["complete"],
        step.name,
        {"ended_at": now, **kept},
        token,
        step.attempt,
        record=record,
        dependents=dependents,
    )


def _ended(
    run: Run,
    step: Step,
    row: str,
    status: StepStatus,
    token: str | None,
    now: int,
    failure: Failure | None = None,
    **known: Any,
) -> Change:
    """A row after which a step has ended for good without success."""
    began = now if step.started_at is None or not step.attempt else step.started_at
    text = None if failure is None else failure.to_json()
    record = ended_text(step.attempt, token, began, now, run.created_at, text, status)
    change = Change(TABLE[row], step.name, {"ended_at": now}, token, step.attempt, record=record)
    seen = {"step_seen": step.status, "first": step.untouched, "archives_seen": run.archives}
    return change._replace(**{**seen, **known})


def decline(run: Run, step: Step, token: str, now: int) -> Change:
    """Skip a step that was claimed, and whose `when` said no."""
    return _ended(run, step, "decline", StepStatus.SKIPPED, token, now)._replace(first=False)


def skip(run: Run, step: Step, token: str, now: int) -> Change:
    """Skip a step that is not needed as the steps before it have ended."""
    return _ended(run, step, "skip", StepStatus.SKIPPED, token, now)


def release(run: Run, step: Step, now: int) -> Change:
    """Skip a step because another one of a `first_of` has succeeded; whoever runs it is fenced off."""
    return _ended(run, step, "release", StepStatus.SKIPPED, None, now)


def fail_handled(run: Run, step: Step, token: str, failure: Failure, now: int) -> Change:
    """Give a step up after its last attempt failed, where an edge handles that."""
    return _ended(run, step, "fail_handled", StepStatus.FAILED, token, now, failure)


def give_up_handled(run: Run, step: Step, token: str, failure: Failure, now: int) -> Change:
    """Give a step up whose workers died in every attempt it has, where an edge handles that."""
    return _ended(
        run,
        step,
        "give_up_handled",
        StepStatus.FAILED,
        token,
        now,
        failure,
        redrive_seen=step.redriven_at,
    )


def lapse(
    run: Run, step: Step, token: str, failure: Failure, now: int, signal: str | None, handled: bool
) -> Change:
    """Give a step up for which something did not come in time: `signal`, if that has not lapsed yet."""
    lapsed = {} if signal is None else {signal: layout.lapsed_signal(now, None)}
    signals = () if signal is None else (signal,)
    row = "lapse_handled" if handled else "lapse"
    change = _ended(
        run,
        step,
        row,
        StepStatus.FAILED,
        token,
        now,
        failure,
        lapsed=lapsed,
        signals=signals,
        clock_of=(step.name, step.since),
    )
    if handled:
        return change
    values: Values = {"ended_at": now, "error": failure.to_json(), "token": token, "attempt": 0}
    if step.attempt:
        values = {**values, "attempt": None}
    return change._replace(values=values, record="")


def default_signal(name: str, default: str, step: Step, now: int) -> Change:
    """Bind a signal's default from here on, because it has not come in time for a step."""
    lapsed = {name: layout.lapsed_signal(now, default)}
    clock_of = (step.name, step.since)
    return Change(TABLE["default_signal"], lapsed=lapsed, signals=(name,), clock_of=clock_of)


def again(
    step: Step, token: str, not_before: int, state: Values, claimed: Values | None = None
) -> Change:
    """Put a step back that asks to be run again; its retries count anew from here.

    Args:
        step: the step, under the caller's claim.
        token: that of the claim.
        not_before: when its next round may begin, in milliseconds since 1970.
        state: what it keeps for that, as `state` or `state_ref`; empty if nothing.
        claimed: what a claim of that round writes, if the caller takes it at once.
    """
    values: dict[str, str | int | None] = {
        "round": step.round + 1,
        "redriven_at": step.attempt,
        **state,
    }
    if claimed is None:
        values["not_before"] = not_before
    else:
        values |= claimed
    row = TABLE["again" if claimed is None else "again_here"]
    return Change(row, step.name, values, token, step.attempt)


def retry(step: str, token: str, attempt: int, failure: Failure, not_before: int) -> Change:
    """Put a step back after a failed attempt, to be claimed again at `not_before` at the earliest."""
    values: Values = {"not_before": not_before, "error": failure.to_json()}
    return Change(TABLE["retry"], step, values, token, attempt)


def progress(step: str, token: str, attempt: int, value: str) -> Change:
    """Keep how far a step is, as JSON, that is still under the caller's claim."""
    return Change(TABLE["progress"], step, {"progress": value}, token, attempt)


def refuse_signal(
    step: str, token: str, attempt: int, failure: Failure, payloads: Mapping[str, str]
) -> Change:
    """Put a step back whose signals have payloads that do not fit, until they are sent anew.

    The attempt costs none of the step's retries. `payloads` are those that go, as they stand in the run item.
    """
    values: Values = {"error": failure.to_json(), "redriven_at": attempt}
    return Change(
        TABLE["refuse_signal"],
        step,
        values,
        token,
        attempt,
        signals=tuple(payloads),
        payloads=payloads,
    )


def fail(
    step: str,
    token: str,
    attempt: int,
    failure: Failure,
    run_seen: RunStatus,
    now: int,
    redrive_seen: int = 0,
) -> Change:
    """Give a step up after its last attempt failed, in a run whose status is still `run_seen`."""
    values: Values = {"ended_at": now, "error": failure.to_json()}
    return Change(
        TABLE["fail"],
        step,
        values,
        token,
        attempt,
        run_seen=run_seen,
        redrive_seen=redrive_seen,
    )


def give_up(step: str, attempt: int, failure: Failure, now: int, redrive_seen: int = 0) -> Change:
    """Give a step up whose workers died in every attempt it has."""
    values: Values = {"ended_at": now, "error": failure.to_json()}
    return Change(TABLE["give_up"], step, values, attempt=attempt, redrive_seen=redrive_seen)


def seal(steps: tuple[str, ...], number: int, sealed: str) -> Change:
    """Take the records of steps out of the run item: archive `number`, which is there, has them.

    `sealed` are the places of all sealed steps, these included.
    """
    values: Values = {"archives": number, "sealed": sealed}
    return Change(TABLE["seal"], values=values, sealed=steps, archives_seen=number - 1)


def finish(result: tuple[str, str], now: int) -> Change:
    """End the run: `result` is ("result", text) or ("result_ref", sort key)."""
    return Change(TABLE["finish"], values={"ended_at": now, result[0]: result[1]})


def fail_run(failure: Failure, now: int) -> Change:
    """End the run because a step was given up, or because it cannot begin."""
    return Change(TABLE["fail_run"], values={"ended_at": now, "error": failure.to_json()})


def park(failure: Failure) -> Change:
    """Leave the run to an operator: the deployed worker cannot go on with it."""
    return Change(TABLE["park"], values={"error": failure.to_json()})


def expire(failure: Failure, now: int) -> Change:
    """End the run because it has not ended by its deadline."""
    return Change(TABLE["expire"], values={"ended_at": now, "error": failure.to_json()})


def cancel(now: int) -> Change:
    """End the run because an operator, or the program that started it, asks for it."""
    return Change(TABLE["cancel"], values={"ended_at": now})


def redrive(opened: bool, due: int, end_seen: int | None, now: int) -> Change:
    """Resume a run that failed at `end_seen`, or was parked (None).

    `due` is its shard of the sweeper's index.
    """
    row = TABLE["redrive" if opened else "restart"]
    return Change(row, values={"due": due, "wake_at": now}, end_seen=end_seen)


def reset(
    step: str, attempt: int, signals: tuple[str, ...] = (), since: int | None = None
) -> Change:
    """Give a failed step its attempts again; those it had are counted on.

    Args:
        step: which step.
        attempt: the one that it had failed with.
        signals: those that it waits for again, because they had not come in time.
        since: from when on its timeouts count; None: as before.
    """
    values: Values = {"redriven_at": attempt, "since": since}
    return Change(TABLE["reset"], step, values, attempt=attempt, signals=signals)


def reprieve(step: str, attempt: int) -> Change:
    """Give a step that is under way its attempts again; the one under way is the first of them."""
    return Change(TABLE["reprieve"], step, {"redriven_at": attempt - 1}, attempt=attempt)


def signal(name: str, text: str, now: int) -> Change:
    """Hand a signal to a run that is open; the sweeper sees to it if the message is lost."""
    values: Values = {layout.signal_attribute(name): text, "wake_at": now}
    return Change(TABLE["signal"], values=values, signals=(name,))


def keep_signal(name: str, text: str) -> Change:
    """Keep a signal for a run that failed or was parked."""
    return Change(
        TABLE["keep_signal"], values={layout.signal_attribute(name): text}, signals=(name,)
    )


def replace_signal(
    name: str,
    text: str,
    waiting: Sequence[Step],
    run_seen: RunStatus,
    now: int,
    archives_seen: int = 0,
) -> Change:
    """Put another payload in the place of a signal's that none of the steps that wait for it has taken yet."""
    values = {layout.signal_attribute(name): text}
    woken = {} if run_seen in STOPPED else {"wake_at": now}
    return Change(
        TABLE["replace_signal"],
        values={**values, **woken},
        run_seen=run_seen,
        signals=(name,),
        waiting=tuple(step.name for step in waiting),
        unclaimed=tuple(step.name for step in waiting if not step.attempt),
        archives_seen=archives_seen,
    )


def wake(wake_at: int, seen: int) -> Change:
    """Move the time at which the sweeper looks after the run."""
    return Change(TABLE["wake"], values={"wake_at": wake_at}, wake_seen=seen)
