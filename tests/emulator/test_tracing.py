"""Traces of the deployed worker, and what they cost in write units."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from fluxio_client import FluxioClient, RunStatus
from fluxio_protocol.trace import HEADER_VARIABLE, Trace
from tests.emulator.test_budgets import ORDER, spend, steps_on_the_path  # noqa: F401 - a fixture
from tests.emulator.world import Deployed, Scratch, put_into_force, until
from tests.moto.daemon import Daemon


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    listening = Daemon()
    yield listening
    listening.close()


@pytest.fixture
def traced(deployed: Deployed, daemon: Daemon) -> Iterator[None]:
    """The worker as `tracing = "Active"` makes it, and a daemon where Lambda would run its own.

    That Terraform applies it so is shown by the module's own tests and, for the example `complete`, in
    test_examples.py; another apply would take a minute.
    """
    function = deployed.outputs["worker_function_name"]
    client = deployed.clients["lambda"]
    before = client.get_function_configuration(FunctionName=function)
    traced = {"FLUXIO_TRACING": "1", "AWS_XRAY_DAEMON_ADDRESS": daemon.address}
    client.update_function_configuration(
        FunctionName=function,
        TracingConfig={"Mode": "Active"},
        Environment={"Variables": before["Environment"]["Variables"] | traced},
    )
    put_into_force(client, function)
    yield
    client.update_function_configuration(
        FunctionName=function,
        TracingConfig=before["TracingConfig"],
        Environment={"Variables": before["Environment"]["Variables"]},
    )
    put_into_force(client, function)


def ended(daemon: Daemon) -> list[dict[str, Any]]:
    """The segments, once none is in progress."""
    segments = daemon.segments()
    return [] if any(segment["in_progress"] for segment in segments) else segments


@pytest.mark.usefixtures("traced")
def test_a_run_of_the_deployed_worker_is_one_trace(
    deployed: Deployed, client: FluxioClient, daemon: Daemon
) -> None:
    caller = Trace(Trace.fresh(time.time_ns() // 1_000_000).root, "53995c3f42cd8ad8")
    started = client.start("OrderFulfillment", ORDER, trace_header=caller.header)

    run = client.wait(started.run_id, timeout=60)

    assert run.status is RunStatus.SUCCEEDED
    # The worker ends its segment after the write that ends the run.
    segments = until(lambda: ended(daemon), 10, "the segments' ends")
    assert {segment["trace_id"] for segment in segments} == {caller.root}
    assert segments[0]["parent_id"] == caller.parent
    ids = {caller.parent, *(segment["id"] for segment in segments)}
    assert {segment["parent_id"] for segment in segments} <= ids  # all were sent by one of these
    assert {segment["name"] for segment in segments} == {deployed.outputs["worker_function_name"]}
    assert {step["name"]: step["annotations"]["outcome"] for step in daemon.attempts()} == (
        dict.fromkeys(run.steps, "succeeded")
    )


def test_a_traced_run_costs_the_write_units_of_an_untraced_one(
    scratch: Scratch, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`trace` is 27 bytes of a run item that stays below the first kilobyte."""
    untraced_run, untraced = spend(scratch, "OrderFulfillment", ORDER, inline_branches=0)
    monkeypatch.setenv("FLUXIO_TRACING", "1")
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", daemon.address)
    caller = Trace.fresh(0)
    monkeypatch.setenv(HEADER_VARIABLE, caller.header)
    run, spent = spend(scratch, "OrderFulfillment", ORDER, inline_branches=0)

    assert untraced_run.trace is None
    assert run.trace is not None
    assert len("trace") + len(Trace(run.trace).text) == 27
    assert {document["trace_id"] for document in daemon.read()} == {caller.root}
    sys.stdout.write(f"\ntraced {spent}, untraced {untraced}\n")
    assert spent == untraced
