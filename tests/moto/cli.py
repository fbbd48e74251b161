"""The command in this process, on a deployment in moto; what moto lacks is played by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from fluxio_client import FluxioClient
from fluxio_client.cli import session
from fluxio_client.cli.app import run
from tests.moto.pump import Pump, World

WORKER_ARN = "arn:aws:lambda:us-east-1:123456789012:function:fluxio-worker"


class Said(NamedTuple):
    """What a call of the command left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


class Pages:
    """A paginator whose answers are there already."""

    def __init__(self, *answers: dict[str, Any]) -> None:
        self._answers = answers

    def paginate(self, **_: Any) -> Iterator[dict[str, Any]]:
        return iter(self._answers)


class NotThere(Exception):
    """A resource that is not there."""


class Exceptions:
    ResourceNotFoundException = NotThere


@dataclass
class Services:
    """Lambda, Scheduler, STS and Logs as the module leaves them; a test changes what it wants."""

    mapping: dict[str, Any]
    function: dict[str, Any]
    schedule: dict[str, Any]
    layer: dict[str, Any]
    recursion: str = "Allow"
    concurrency: int | None = None
    events: list[dict[str, Any]] = field(default_factory=list)
    mapped: bool = True
    scheduled: bool = True
    denied: dict[str, Exception] = field(default_factory=dict)
    exceptions = Exceptions

    @classmethod
    def of(cls, world: World, version: str) -> Services:
        return cls(
            mapping={
                "UUID": "11111111-2222-3333-4444-555555555555",
                "FunctionArn": WORKER_ARN,
                "State": "Enabled",
                "BatchSize": 10,
                "FunctionResponseTypes": ["ReportBatchItemFailures"],
            },
            function={
                "FunctionName": "fluxio-worker",
                "FunctionArn": WORKER_ARN,
                "State": "Active",
                "Runtime": "python3.12",
                "Handler": "fluxio.worker.lambda_handler",
                "MemorySize": 512,
                "Timeout": 120,
                "Architectures": ["arm64"],
                "Layers": [{"Arn": "arn:aws:lambda:us-east-1:123456789012:layer:fluxio-engine:7"}],
                "Environment": {
                    "Variables": {
                        "FLUXIO_TABLE_NAME": world.table_name,
                        "FLUXIO_QUEUE_URL": world.queue_url,
                    }
                },
            },
            schedule={
                "Name": "fluxio-sweep",
                "State": "ENABLED",
                "ScheduleExpression": "rate(1 minute)",
                "Target": {"Arn": WORKER_ARN, "Input": '{"fluxio": "sweep"}'},
            },
            layer={"Description": f"fluxio-layer-{version}-arm64.zip", "Content": {}},
        )

    def _allow(self, call: str) -> None:
        if call in self.denied:
            raise self.denied[call]

    def list_event_source_mappings(self, EventSourceArn: str) -> dict[str, Any]:  # noqa: N803
        self._allow("ListEventSourceMappings")
        return {"EventSourceMappings": [self.mapping] if self.mapped else []}

    def get_function_configuration(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        assert FunctionName == WORKER_ARN
        return self.function

    def get_function_recursion_config(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        return {"RecursiveLoop": self.recursion}

    def get_function_concurrency(self, FunctionName: str) -> dict[str, Any]:  # noqa: N803
        own = self.concurrency
        return {} if own is None else {"ReservedConcurrentExecutions": own}

    def get_layer_version_by_arn(self, Arn: str) -> dict[str, Any]:  # noqa: N803
        return self.layer

    def get_paginator(self, call: str) -> Pages:
        if call == "filter_log_events":
            return Pages({"events": self.events})
        found = {key: self.schedule[key] for key in ("Name", "State", "Target")}
        return Pages({"Schedules": [found] if self.scheduled else []})

    def get_schedule(self, Name: str, GroupName: str) -> dict[str, Any]:  # noqa: N803
        return self.schedule

    def get_caller_identity(self) -> dict[str, Any]:
        return {"Arn": "arn:aws:iam::123456789012:user/kim"}


@dataclass
class Command:
    """Calls the command; its clock is the world's, and before it waits, the worker works."""

    world: World
    services: Services
    capture: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch

    def __call__(self, *arguments: str, stdin: str | None = None) -> Said:
        self.capture.readouterr()
        if stdin is not None:
            import io

            self.monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
        code = run(arguments)
        out, err = self.capture.readouterr()
        return Said(int(code), out, err)

    def lets_work(self, pump: Pump) -> None:
        """Let this worker empty the queue whenever the command waits for a run."""
        wait = FluxioClient.wait

        def drain_and_wait(client: FluxioClient, run_id: str, timeout: float = 300) -> Any:
            pump.drain()
            return wait(client, run_id, timeout=timeout)

        self.monkeypatch.setattr(FluxioClient, "wait", drain_and_wait)


def make_command(
    world: World, capture: pytest.CaptureFixture[str], patch: pytest.MonkeyPatch
) -> Command:
    """The command, with the world's table, queue, clock and a terminal of 100 columns."""
    from fluxio_client.cli.version import client_version

    services = Services.of(world, client_version())
    patch.setenv("FLUXIO_TABLE_NAME", world.table_name)
    patch.setenv("FLUXIO_QUEUE_URL", world.queue_url)
    patch.setenv("COLUMNS", "100")
    patch.delenv("FLUXIO_DLQ_URL", raising=False)
    patch.setattr(session, "now_ms", world.clock.now)
    patch.setattr(session, "sleep", world.clock.advance)
    patch.setattr(session, "monotonic", lambda: world.clock.now() / 1000)
    aws: Callable[[session.Session, str], Any] = session.Session.aws

    def service(of: session.Session, name: str) -> Any:
        return aws(of, name) if name in ("dynamodb", "sqs") else services

    patch.setattr(session.Session, "aws", service)
    return Command(world, services, capture, patch)
