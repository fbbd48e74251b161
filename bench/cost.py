"""What a run costs on fluxio: writes, write units, messages and invocations, and the worker's processor."""

from __future__ import annotations

import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.engines import NotSucceeded, Site
from bench.engines.fluxio import PACKAGE, Fluxio
from bench.rounds import spread
from dev import stage

#: What the worker's log says of each message, and what it is called here.
COUNTED = {
    "writes": "writes",
    "write_units": "write_units",
    "index_write_units": "index_write_units",
    "sent": "messages",
}


def measure(site: Site, fluxio: Fluxio, workflows: Sequence[str], runs: int) -> dict[str, Any]:
    """Run each workflow `runs` times by a worker in a process of its own, and count.

    Raises:
        NotSucceeded: a run did not end well.
        DevError: the process failed.
    """
    sqs = site.clients["sqs"]
    attributes = {"FifoQueue": "true", "VisibilityTimeout": "150"}
    queue_url = sqs.create_queue(QueueName="bench-unpolled.fifo", Attributes=attributes)["QueueUrl"]
    name = fluxio.outputs["worker_function_name"]
    function = site.clients["lambda"].get_function_configuration(FunctionName=name)
    environment = {
        **site.emulator.environment(),
        **function["Environment"]["Variables"],
        "FLUXIO_QUEUE_URL": queue_url,
        # So the worker is made, and the garbage collector set, as in Lambda.
        "AWS_LAMBDA_FUNCTION_NAME": name,
        "LAMBDA_TASK_ROOT": str(PACKAGE),
        "PYTHONPATH": str(PACKAGE),
    }
    log, lines = site.work / "worker.log", site.work / "worker-runs.jsonl"
    stage.run(
        f"{runs} runs of each workflow, for their cost",
        [sys.executable, "-m", "bench.worker_process", str(runs), lines, *workflows],
        log=log,
        env=environment,
    )
    return figures(_json_lines(lines), _json_lines(log))


def figures(runs: Iterable[Mapping[str, Any]], log: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """By workflow, what a run cost: the client's part, and the worker's by its log.

    Args:
        runs: what `bench.worker_process` wrote.
        log: the worker's lines.

    Raises:
        NotSucceeded: a run did not end well.
    """
    spent: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for line in log:
        if line.get("message") == "message handled":
            spent[line["run_id"]].update({to: line[of] for of, to in COUNTED.items()})
    by_workflow: defaultdict[str, list[dict[str, float]]] = defaultdict(list)
    for run in runs:
        if run["status"] != "SUCCEEDED":
            raise NotSucceeded(f"{run['workflow']}: run {run['run_id']} is {run['status']}")
        counted = spent[run["run_id"]]
        counted.update(dict(zip(COUNTED.values(), [*run["client"], 1], strict=True)))
        timed = {of: run[of] for of in ("invocations", "cpu_ms", "wall_ms")}
        by_workflow[run["workflow"]].append({**counted, **timed})
    return {
        workflow: {of: spread([run[of] for run in found]) for of in found[0]}
        for workflow, found in by_workflow.items()
    }


def _json_lines(file: Path) -> Iterable[dict[str, Any]]:
    for text in file.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
        except ValueError:
            continue  # not one of the engine's
        if isinstance(line, dict):
            yield line
