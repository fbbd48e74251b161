"""Runs and steps as JSON: the names that scripts rely on."""

from __future__ import annotations

from typing import Any

from fluxio_client.cli.conditions import edges_of
from fluxio_client.cli.endings import handled_by, skipped_because
from fluxio_client.cli.moments import both
from fluxio_client.cli.waiting import step_deadline, waiting
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
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
        "signals": sorted({*run.signals_json} - {*run.lapsed}),
        "lapsed": [
            {"signal": name, **both("at", at), "default_taken": name in run.signals_json}
            for name, at in sorted(run.lapsed.items())
        ],
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
        "handled": step.handled,
        "handled_by": list(handled_by(step, graph)),
        "skipped_because": skipped_because(run, step, graph),
        "round": step.round,
        **both("deadline", step_deadline(run, step)),
        "progress": step.progress,
        "started": list(run.started.get(step.name, ())),
    }
    if with_output:
        record["output"] = step.output
    return record


def node_record(name: str, node: Node, step: Step | None = None) -> Record:
    """A step of a graph, and of a run of it where it stands."""
    return {
        "name": name,
        "depends_on": list(node.depends_on),
        "awaits": list(node.awaits),
        "edges": [
            {"kind": edge.kind, "steps": list(edge.sources), "errors": list(edge.errors)}
            for edge in edges_of(node)
        ],
        "when": node.when,
        "timer": {"after_s": _seconds(node.timer.after), "at": node.timer.at}
        if node.timer
        else None,
        "timeouts": [
            {
                "signal": signal,
                "after_s": of.after / 1000,
                "then": "fails" if of.default is None else "default",
            }
            for signal, of in node.timeouts.items()
        ],
        "deadline_s": _seconds(node.deadline),
        "status": step.status.value if step else None,
    }


def _seconds(milliseconds: int | None) -> float | None:
    return None if milliseconds is None else milliseconds / 1000
