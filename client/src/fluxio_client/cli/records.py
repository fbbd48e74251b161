"""Runs and steps as JSON: the names that scripts rely on."""

from __future__ import annotations

from typing import Any

from fluxio_client.cli.moments import both
from fluxio_client.cli.waiting import waiting
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Failure, Run, RunSummary, Step

Record = dict[str, Any]


def failure_record(failure: Failure | None) -> Record | None:
    """Why something failed."""
    if failure is None:
        return None
    return {
        "type": failure.type,
        "message": failure.message,
        "step": failure.step,
        "attempt": failure.attempt,
    }


def summary_record(
    summary: RunSummary, error: Failure | None = None, version: str | None = None
) -> Record:
    """A run in a listing."""
    ended = summary.ended_at
    return {
        "run_id": summary.run_id,
        "workflow": summary.workflow,
        "status": summary.status.value,
        **both("created_at", summary.created_at),
        **both("ended_at", ended),
        "duration_s": None if ended is None else (ended - summary.created_at) / 1000,
        "error": failure_record(error),
        "version": version,
    }


def run_record(
    run: Run, graph: Graph | None, now: int, with_input: bool = False, with_output: bool = False
) -> Record:
    """A run with its steps; payloads only where they are asked for."""
    summary = RunSummary(run.run_id, run.workflow, run.status, run.created_at, run.ended_at)
    order = [*(graph.depends_on if graph else ()), *run.steps]
    record = summary_record(summary, run.error, run.version) | {
        "parked": run.parked,
        **both("wake_at", run.wake_at),
        **both("deadline", run.deadline),
        "signals": sorted(run.signals_json),
        "started_by": {"run_id": by.run_id, "step": by.step} if (by := run.started_by) else None,
        **both("not_before", run.not_before),
        "steps": [
            step_record(run, run.steps[name], graph, now, with_output)
            for name in dict.fromkeys(order)
            if name in run.steps
        ],
    }
    if with_input:
        record |= {"input": run.input, "signal_payloads": run.signals}
    if with_output:
        record["result"] = run.result
    return record


def step_record(
    run: Run, step: Step, graph: Graph | None, now: int, with_output: bool = False
) -> Record:
    """A step of a run."""
    stands = waiting(run, step, graph, now)
    record: Record = {
        "name": step.name,
        "status": step.status.value,
        "attempt": step.attempt,
        "depends_on": list(graph.depends_on.get(step.name, ())) if graph else None,
        "awaits": list(step.awaits),
        "waiting": stands.to_record() if stands else None,
        **both("started_at", step.started_at),
        **both("ended_at", step.ended_at),
        "duration_s": step.duration,
        "ran_in": step.ran_in,
        "error": failure_record(step.error),
        "progress": step.progress,
        "started": list(run.started.get(step.name, ())),
    }
    if with_output:
        record["output"] = step.output
    return record
