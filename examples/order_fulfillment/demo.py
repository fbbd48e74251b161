"""The demo: OrderFulfillment on the real module, in an AWS emulator on this machine.

make demo        build, deploy, run, show
make demo-down   end the emulator and remove what the demo made
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))  # run as a script, from anywhere

from dev import emulator  # noqa: E402
from dev.layer import host_architecture, zip_path  # noqa: E402
from dev.package import package  # noqa: E402
from dev.stage import DevError, command_line, say  # noqa: E402
from dev.terraform import Terraform  # noqa: E402
from fluxio_client import FluxioClient, Run, RunStatus, Step, StepStatus  # noqa: E402
from fluxio_protocol.graph import Graph  # noqa: E402

HERE = Path(__file__).resolve().parent
WORK = ROOT / ".fluxio" / "demo"
WORKFLOW = "OrderFulfillment"
TIMEOUT = 120.0

SETTINGS = ("AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""By which the AWS SDKs find the emulator and no account."""


def deploy() -> dict[str, Any]:
    """Bring the emulator and the deployment up, or find them as they are; returns Terraform's outputs."""
    running = emulator.start("demo")
    say(f"MiniStack, the AWS emulator: {running.endpoint}" + ("" if running.fresh else " (reused)"))
    environment = running.environment()
    os.environ.clear()
    os.environ.update(environment)
    steps = package(HERE, WORK / "order_fulfillment.zip", ["orders", "entry_points.txt"])
    terraform = Terraform(HERE / "terraform", WORK / "terraform", os.environ)
    layer = zip_path(host_architecture())
    variables = {
        "package": str(steps),
        "layer_zip": str(layer),
        "endpoint": running.endpoint,
        "region": os.environ["AWS_REGION"],
    }
    # Terraform takes half a minute to find that nothing has changed; a hash of all it reads takes none.
    stamp = WORK / "applied"
    wanted = _digest([steps, layer, *_sources()], running.endpoint)
    if running.fresh:
        terraform.forget()
        stamp.unlink(missing_ok=True)
    elif stamp.is_file() and stamp.read_text() == wanted:
        say("deployment: nothing changed since it was applied")
        return terraform.output()
    stamp.unlink(missing_ok=True)
    outputs = terraform.apply(variables)
    stamp.write_text(wanted)
    return outputs


def _sources() -> list[Path]:
    return [*(HERE / "terraform").glob("*.tf"), *(ROOT / "modules" / "fluxio").rglob("*.tf")]


def _digest(files: list[Path], endpoint: str) -> str:
    digest = hashlib.sha256(endpoint.encode())
    for file in sorted(files):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def follow(client: FluxioClient, run_id: str) -> tuple[Run, dict[str, str]]:
    """Tell what happens to a run until it has ended; also why attempts failed that were tried again."""
    started = time.monotonic()
    seen: dict[str, tuple[StepStatus, int]] = {}
    failures: dict[str, str] = {}

    def tell(text: str) -> None:
        say(f"  {time.monotonic() - started:5.1f} s  {text}")

    while True:
        run = client.get(run_id)
        for step in sorted(run.steps.values(), key=lambda step: step.started_at or 0):
            now = (step.status, step.attempt)
            if step.attempt and seen.get(step.name) != now:
                seen[step.name] = now
                if step.status is StepStatus.PENDING:
                    failures[step.name] = f"attempt {step.attempt} failed: {step.error}"
                tell(_what_happened(step))
        if run.ended or run.parked:
            return run, failures
        if time.monotonic() - started > TIMEOUT:
            raise DevError(f"run {run_id} is still {run.status} after {TIMEOUT:.0f} s: {run}")
        time.sleep(0.05)


def _what_happened(step: Step) -> str:
    name = f"{step.name:18}"
    if step.status is StepStatus.RUNNING:
        return f"{name} attempt {step.attempt} …"
    if step.status is StepStatus.PENDING:
        error = f"{step.error.type}: {step.error.message}" if step.error else ""
        wait = max(0, (step.not_before or 0) - time.time() * 1000) / 1000
        return f"{name} attempt {step.attempt} FAILED ({error}); tries again in {wait:.1f} s"
    return f"{name} {step.status}"


def tree(run: Run, graph: Graph, failures: dict[str, str]) -> list[str]:
    """The run as lines: a step stands below the one it waits for, one that waits for several stands last."""
    children: dict[str, list[str]] = {"": []}
    for name, deps in graph.depends_on.items():
        children.setdefault(deps[0] if len(deps) == 1 else "", []).append(name)
    lines = [f"{run.workflow} {run.run_id}  {run.status}  {run.duration or 0:.2f} s"]

    def add(parent: str, indent: str) -> None:
        names = children.get(parent, [])
        for at, name in enumerate(names):
            last = at == len(names) - 1
            step = run.steps[name]
            label = f"{indent}{'└─' if last else '├─'} {name}"
            tries = f"{step.attempt} attempt" + ("s" if step.attempt != 1 else " ")
            line = f"{label:28} {step.status:10} {tries:10} {step.duration or 0:6.2f} s"
            deps = graph.depends_on[name]
            if len(deps) > 1:
                line += f"   after {', '.join(deps)}"
            if name in failures:
                line += f"   {failures[name].partition(': ')[0]}, then recovered"
            lines.append(line)
            add(name, indent + ("   " if last else "│  "))

    add("", "")
    return lines


def cost(run: Run, worker: str, client: FluxioClient) -> str:
    """What the run cost, as DynamoDB and the worker's log counted it."""
    import boto3

    spent: Counter[str] = Counter(
        writes=client.spent.writes,
        write_units=client.spent.write_units,
        index_write_units=client.spent.index_write_units,
        sent=1,
    )
    logs = boto3.client("logs")
    deadline = time.monotonic() + 10
    lines: list[dict[str, Any]] = []
    while time.monotonic() < deadline:
        # The last line comes with the end of the invocation, a moment after the run's own end.
        events = logs.filter_log_events(
            logGroupName=f"/aws/lambda/{worker}", startTime=run.created_at - 1000
        )["events"]
        lines = [
            line
            for line in map(_json_line, events)
            if line.get("message") == "message handled" and line.get("run_id") == run.run_id
        ]
        if lines and lines[-1]["verdict"] == "acknowledged":
            break
        time.sleep(0.2)
    spent["invocations"] = len({line["request_id"] for line in lines})
    for line in lines:
        for name in ("writes", "write_units", "index_write_units", "sent"):
            spent[name] += line[name]
    return (
        f"{spent['writes']} table writes = {spent['write_units']:g} write units + "
        f"{spent['index_write_units']:g} of the indexes, {spent['sent']} "
        f"message{'s' if spent['sent'] != 1 else ''}, {spent['invocations']} invocations"
    )


def _json_line(event: dict[str, Any]) -> dict[str, Any]:
    try:
        line = json.loads(event["message"])
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}


def main(_: list[str]) -> None:
    outputs = deploy()
    client = FluxioClient(outputs["table_name"], outputs["queue_url"])
    run = client.start(WORKFLOW, {"order_id": "o-1001", "amount": 99.0})
    say(f"\nstarted {WORKFLOW} as {run.run_id}; charge_card fails its first attempt on purpose")
    run, failures = follow(client, run.run_id)
    graph = client.graph(run)
    say("")
    for line in tree(run, graph, failures) if graph else []:
        say(line)
    if run.status is not RunStatus.SUCCEEDED:
        raise DevError(f"the run did not succeed: {run.error}. See {WORK}.")
    say(f"\nresult  {json.dumps(run.result)}")
    say(f"cost    {cost(run, outputs['worker_function_name'], client)}")
    say("\nThe emulator goes on for the next `make demo`; `make demo-down` ends it. To look around")
    say("meanwhile (docs/cli.md has the rest):\n")
    for name in SETTINGS:
        say(f"  export {name}={os.environ[name]}")
    for name, value in outputs["client_environment"].items():
        say(f"  export {name}={value}")
    say(f"  .venv/bin/fluxio show {run.run_id}")


def run_or_clean_up(arguments: list[str]) -> None:
    try:
        main(arguments)
    except KeyboardInterrupt:
        say("\ninterrupted: ending the emulator, and what was deployed in it")
        emulator.stop("demo")
        raise


if __name__ == "__main__":
    command_line(run_or_clean_up)
