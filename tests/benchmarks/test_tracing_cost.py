"""What a trace costs: a cold start, which imports the SDK of X-Ray for it, and each message.

Times are noisy, so what is compared takes turns in one run, and the ratio of the medians is what counts.

    pytest tests/benchmarks -s
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from fluxio.context import StepContext
from fluxio.hand import Hand
from fluxio.tracing import MessageTrace
from fluxio_client import Run, RunStatus, Step, StepStatus
from fluxio_protocol.queue import Nudge
from fluxio_protocol.trace import Trace
from tests.benchmarks.test_import_cost import WORKER, python
from tests.moto.daemon import Daemon

ROUNDS = 9
STEPS = 5
NOW = 1_800_000_000_000

#: A worker's start that meets a traced run first, to one that meets none.
ALLOWED_AT_A_COLD_START = 1.4
#: A message of five steps: its trace, to the serialising and signing alone of what its run writes.
ALLOWED_IN_A_MESSAGE = 0.25

#: What the SDK makes when it is imported in Lambda.
MARK = Path("/tmp/.aws-xray/initialized")

TRACED = f"{WORKER}; import fluxio.tracing as tracing; tracing._sdk()"


def median(times: list[float]) -> float:
    return statistics.median(times)


@pytest.fixture
def in_lambda(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Elsewhere the SDK makes a boto3 client, to ask for sampling rules; in Lambda it leaves a mark in /tmp."""
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
    before = MARK.exists()
    yield
    if not before:
        MARK.unlink(missing_ok=True)
        with suppress(OSError):
            MARK.parent.rmdir()


@pytest.mark.usefixtures("in_lambda")
def test_a_traced_cold_start_costs_at_most_two_fifths_more_than_an_untraced_one() -> None:
    python(WORKER), python(TRACED)  # the files are in the cache from here on
    took: dict[str, list[float]] = {WORKER: [], TRACED: []}
    for _ in range(ROUNDS):
        for code, times in took.items():
            times.append(python(code)[0])
    untraced, traced = (median(times) for times in took.values())
    sys.stdout.write(
        f"\ncold start: untraced {untraced * 1000:.0f} ms, traced {traced * 1000:.0f} ms, "
        f"ratio {traced / untraced:.2f}\n"
    )
    assert traced / untraced <= ALLOWED_AT_A_COLD_START


def view(steps: int, trace: str | None) -> Run:
    """A run of which so many steps have succeeded under our token, and the next one runs."""
    done = {
        f"step_{at}": Step(
            f"step_{at}",
            StepStatus.SUCCEEDED if at < steps else StepStatus.RUNNING,
            attempt=1,
            token="token",
        )
        for at in range(min(steps + 1, STEPS))
    }
    return Run("wf-000000000001", "Orders", RunStatus.RUNNING, NOW, steps=done, trace=trace)


def handle(trace: str | None) -> None:
    """What the worker tells the trace while it handles a message of five steps."""
    told = MessageTrace(None, lambda: NOW)
    hand = Hand(Nudge("wf-000000000001", "Orders"), 1, "token")
    for at in range(STEPS):
        told.found(view(at, trace), hand)
        told.begin(StepContext("wf-000000000001", "Orders", f"step_{at}", 1, NOW))
        told.ended(f"step_{at}", None)
    told.found(view(STEPS, trace), hand)
    told.close("acknowledged")


def call() -> Callable[[], None]:
    """As much of the writes of such a run as boto3 does before it sends them."""
    from fluxio_protocol.settings import aws_client

    client = aws_client("dynamodb")

    class Unsent(Exception):
        pass

    def stop(**_: object) -> None:
        raise Unsent

    client.meta.events.register("before-send", stop)

    def write() -> None:
        for _ in range(STEPS + 2):
            with pytest.raises(Unsent):
                client.update_item(
                    TableName="runs",
                    Key={"pk": {"S": "wf-000000000001"}, "sk": {"S": "run"}},
                    UpdateExpression="SET #0.#1.#2=:0,#0.#1.#3=:1,#0.#1.#4=:2",
                    ConditionExpression="#0.#1.#2=:3 AND #0.#1.#5=:4",
                    ExpressionAttributeNames={f"#{n}": f"name_{n}" for n in range(6)},
                    ExpressionAttributeValues={f":{n}": {"S": "value"} for n in range(5)},
                )

    return write


def test_the_trace_of_a_message_costs_less_than_preparing_its_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "FLUXIO_TRACING": "1",
    }.items():
        monkeypatch.setenv(name, value)
    daemon = Daemon()
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.address)
    root = Trace.fresh(NOW).root
    write = call()
    kinds: dict[str, Callable[[], None]] = {
        "untraced": lambda: handle(None),
        "traced": lambda: handle(root),
        "writes": write,
    }
    took: dict[str, list[float]] = {kind: [] for kind in kinds}
    for _ in range(200):
        for kind, act in kinds.items():
            started = time.perf_counter()
            act()
            took[kind].append(time.perf_counter() - started)
        daemon.read()
    daemon.close()
    untraced, traced, writes = (median(times) * 1000 for times in took.values())
    sys.stdout.write(
        f"\na message of {STEPS} steps: traced {traced:.2f} ms, untraced {untraced:.3f} ms; preparing its "
        f"{STEPS + 2} writes {writes:.2f} ms; traced to writes {traced / writes:.2f}\n"
    )
    assert traced / writes <= ALLOWED_IN_A_MESSAGE
    assert untraced / writes <= 0.1
