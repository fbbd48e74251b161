"""What a run, or the average run of a workflow, has used up, and what that costs, here and elsewhere."""

from __future__ import annotations

from typing import NamedTuple

from fluxio_client.cli.bill import (
    HANDLED,
    Compute,
    Line,
    Usage,
    bill,
    durable_functions,
    step_functions,
)
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.session import Session
from fluxio_client.cli.which import newest_runs, run_of
from fluxio_client.cli.worker_log import find_worker, lines
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.run import Run

#: Milliseconds after a run's end in which its last line is written.
AFTER = 60_000


class Costing(NamedTuple):
    """What some runs have used up, and its price for a million of them, line by line."""

    runs: list[Run]
    usage: Usage
    compute: Compute
    own: list[Line]
    #: The same graph elsewhere, by the service's name.
    peers: dict[str, list[Line]]


def costing(session: Session, name: str, runs: int = 10, log_group: str | None = None) -> Costing:
    """What a run has used up, or the average of a workflow's newest runs, by the worker's log.

    Args:
        session: the deployment.
        name: a run's id, or a workflow's name.
        runs: of a workflow, how many of its newest runs.
        log_group: the worker's; None: it is found from the queue.

    Raises:
        NotFound: there is no such run or workflow, or no worker has opened the run.
        FluxioError: the log has nothing of these runs.
    """
    run = run_of(session, name)
    measured = [run] if run else newest_runs(session, name, runs)
    graph = session.client.graph(measured[0])
    if graph is None:
        raise NotFound(f"no worker has opened run {name} yet, so it has cost a start only.")
    worker = find_worker(session)
    usage = _measure(session, log_group or worker.log_group, measured)
    if usage.unseen == len(measured):
        raise FluxioError(
            f"the log {log_group or worker.log_group} has no line {HANDLED!r} of "
            f"{'this run' if run else 'these runs'}: it comes some seconds after the run's end, is deleted "
            "after the module's `log_retention_days`, and needs its `log_level` at INFO."
        )
    compute = Compute(worker.memory_mb, worker.architecture)
    peers = {
        "Step Functions Standard": step_functions(graph, usage, compute),
        "Lambda durable functions": durable_functions(graph, usage, compute),
    }
    return Costing(measured, usage, compute, bill(usage, compute), peers)


def _measure(session: Session, group: str, runs: list[Run]) -> Usage:
    usage = Usage()
    seen: set[str] = set()
    wanted = {run.run_id for run in runs}
    now = session.now
    since = min(run.created_at for run in runs) - 1000
    until = max(run.ended_at or now for run in runs) + AFTER
    with session.busy("reading the worker's log …"):
        for line in lines(session, group, HANDLED, since, until):
            if line.get("run_id") in wanted:
                usage.add_line(line)
                seen.add(line["run_id"])
    for run in runs:
        usage.add_start()
        usage.attempts += sum(step.attempt for step in run.steps.values())
        usage.step_milliseconds += sum((step.duration or 0) * 1000 for step in run.steps.values())
    usage.unseen = len(wanted - seen)
    return usage
