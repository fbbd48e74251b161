"""Table and queues as the module makes them, in moto, in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from moto import mock_aws
from moto.core.serialize import JSONSerializer

from fluxio_protocol import limits
from tests.moto.pump import Calls, Clock, LogLines, World
from tests.simulation import conformance

REGION = "us-east-1"
_numbers = count(1)


@pytest.fixture(scope="package")
def aws() -> Iterator[dict[str, Any]]:
    """boto3 clients whose calls end in moto; nothing leaves this process."""
    # Its parser of conditions descends by several calls a clause; the widest writes here have 60.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 5_000))
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.delenv("AWS_PROFILE", raising=False)
        patch.delenv("AWS_ENDPOINT_URL", raising=False)
        patch.setattr(JSONSerializer, "_serialize_type_structure", _serialize_item_as_it_is)
        with mock_aws():
            yield {name: boto3.client(name) for name in ("dynamodb", "sqs")}


class TooLarge(BaseException):
    """A call that moto accepts and AWS refuses for its size; nothing in fluxio catches it."""


@pytest.fixture(autouse=True)
def within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every call of every client is held against AWS's limits, which moto mostly does not know."""
    call = BaseClient._make_api_call

    def checked(self: Any, operation: str, arguments: dict[str, Any]) -> Any:
        refusals: list[str] = []
        # What is malformed, or about a table or a queue, is none of this.
        with suppress(AttributeError, TypeError, ValueError):
            refusals = limits.refusals(operation, arguments)
        if refusals:
            raise TooLarge(f"{operation}: {'; '.join(refusals)}")
        return call(self, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", checked)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """A clock for worker, client and moto's visibility timeouts."""
    clock, ticks = Clock(), count(1)

    def milliseconds(*_: object) -> float:
        # A message is visible when its time is past, not when it is reached; so no two times are alike.
        return clock.now() + next(ticks) * 1e-3

    monkeypatch.setattr("moto.sqs.models.unix_time_millis", milliseconds)
    monkeypatch.setattr("moto.sqs.models.unix_time", lambda *_: milliseconds() / 1000)
    # A long poll waits by this clock, too.
    monkeypatch.setattr(
        "moto.sqs.models.Queue.wait_for_messages", lambda _, seconds: clock.advance(seconds)
    )
    return clock


@pytest.fixture
def world(aws: dict[str, Any], clock: Clock) -> World:
    """A deployment of its own."""
    number = next(_numbers)
    sqs, dynamodb = aws["sqs"], aws["dynamodb"]
    create_table(dynamodb, f"fluxio-{number}")
    dlq_url = sqs.create_queue(
        QueueName=f"fluxio-{number}-dlq.fifo", Attributes={"FifoQueue": "true"}
    )["QueueUrl"]
    dlq_arn = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    queue_url = sqs.create_queue(
        QueueName=f"fluxio-{number}.fifo",
        Attributes={
            "FifoQueue": "true",
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
            "VisibilityTimeout": "150",
            "MessageRetentionPeriod": str(14 * 86_400),
            "RedrivePolicy": json.dumps(
                {"deadLetterTargetArn": dlq_arn["Attributes"]["QueueArn"], "maxReceiveCount": 10}
            ),
        },
    )["QueueUrl"]
    return World(dynamodb, sqs, f"fluxio-{number}", queue_url, dlq_url, clock)


@pytest.fixture
def calls(world: World) -> Iterator[Calls]:
    """Counts the calls of the world's clients."""
    counted = Calls(world.dynamodb, world.sqs)
    yield counted
    counted.close()


@pytest.fixture
def log_lines(capfd: pytest.CaptureFixture[str]) -> LogLines:
    """What was logged since the last look, metrics apart; with a message, only its lines."""

    def read(message: str | None = None) -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
        lines = [line for line in lines if "_aws" not in line]
        return [line for line in lines if message is None or line["message"] == message]

    return read


def create_table(dynamodb: Any, name: str) -> None:
    """The table with its indexes, as modules/fluxio has them."""
    conformance.create_table(dynamodb, name, SSESpecification={"Enabled": True, "SSEType": "KMS"})


_serialize_structure = JSONSerializer._serialize_type_structure


def _serialize_item_as_it_is(self: Any, into: Any, value: Any, shape: Any, key: str) -> None:
    """moto's items have DynamoDB's wire form already; turning them over again takes half of the tests' time."""
    if key and shape.name == "AttributeValue":
        into[key] = value
    else:
        _serialize_structure(self, into, value, shape, key)
