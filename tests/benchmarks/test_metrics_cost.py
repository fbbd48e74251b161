"""What metrics add to an invocation, beside an invocation that counts nothing.

AWS stands in this process, with no network and no boto3 in between, so the share is the largest there can be:
five steps of a fan-out, whose code does nothing. The two take turns, and the ratio of their medians counts.

    pytest tests/benchmarks -s
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from itertools import count
from typing import Any

import pytest

import fluxio.worker
from fluxio.metrics import Metrics
from fluxio.testing.aws import Aws
from fluxio.testing.in_place import InPlace
from fluxio.testing.platform import (
    Invocation,
    Workflows,
    make_client,
    make_worker,
    records_of,
)
from tests.simulation.workflows import ORDER, OrderFulfillment

ROUNDS = 300
ALLOWED = 1.2


class Silent(Metrics):
    """Counts nothing and writes nothing."""

    def count(self, *_: Any, **__: Any) -> None: ...

    def took(self, *_: Any, **__: Any) -> None: ...


def invocation() -> Callable[[], None]:
    """A run that was just started, and the invocation that takes it from its start to its end."""
    aws, tokens = Aws(120), count(1)
    worker = make_worker(
        aws,
        Workflows.of(OrderFulfillment),
        10,
        now=aws.clock.now,
        new_token=lambda: f"t{next(tokens)}",
        chance=lambda: 0.0,
        new_threads=lambda: InPlace(aws.clock, True),
        sleep=aws.clock.advance,
    )
    client = make_client(aws)
    client.start("OrderFulfillment", ORDER, run_id="o-1")
    found = aws.sqs.client().receive_message(QueueUrl=aws.queue.url, MaxNumberOfMessages=10)
    event = {"Records": records_of(found)}

    def invoke() -> None:
        worker.handle(event, Invocation(aws.clock, aws.clock.at + 120_000))
        assert client.get("o-1").ended

    return invoke


def test_metrics_add_at_most_a_fifth_to_an_invocation_that_calls_nobody(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    took: dict[type[Metrics], list[float]] = {Silent: [], Metrics: []}
    for _ in range(ROUNDS):
        for kind, times in took.items():
            monkeypatch.setattr(fluxio.worker, "Metrics", kind)
            invoke = invocation()
            began = time.process_time()
            invoke()
            times.append(time.process_time() - began)
        lines = capfd.readouterr().err.count('"_aws"')
        assert lines == 6 + 1, (
            "a line for each of the steps, one for the workflow, one for the worker"
        )
    without, with_metrics = (statistics.median(times) for times in took.values())
    with capfd.disabled():
        sys.stdout.write(
            f"\nan invocation of five steps: {without * 1000:.2f} ms, with metrics "
            f"{with_metrics * 1000:.2f} ms, ratio {with_metrics / without:.2f}\n"
        )
    assert with_metrics / without <= ALLOWED
