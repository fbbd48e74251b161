"""What the emulator tests hold in hand: the deployment, and a table and queue with workers of their own."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

from dev.terraform import Terraform
from fluxio.deployment import Deployment
from fluxio.manifest import Manifest
from fluxio.services import Services
from fluxio.worker import Worker
from fluxio_client import FluxioClient
from fluxio_protocol.clock import now_ms
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store


class Deployed(NamedTuple):
    """An applied module."""

    terraform: Terraform
    variables: dict[str, str]
    outputs: dict[str, Any]
    clients: dict[str, Any]


def left_behind(aws: Callable[[str], Any]) -> list[str]:
    """Names of what an emulator still holds of a deployment that was destroyed.

    Args:
        aws: gives a boto3 client of a service.
    """
    cloudwatch, iam, functions = aws("cloudwatch"), aws("iam"), aws("lambda")
    return [
        *aws("dynamodb").list_tables()["TableNames"],
        *(url for url in aws("sqs").list_queues().get("QueueUrls", []) if "scratch" not in url),
        *(one["FunctionName"] for one in functions.list_functions()["Functions"]),
        *(one["UUID"] for one in functions.list_event_source_mappings()["EventSourceMappings"]),
        *(one["LayerName"] for one in functions.list_layers()["Layers"]),
        *(one["RoleName"] for one in iam.list_roles()["Roles"]),
        *(one["PolicyName"] for one in iam.list_policies(Scope="Local")["Policies"]),
        *(
            one["AlarmName"]
            for kind in ("MetricAlarm", "CompositeAlarm")
            for one in cloudwatch.describe_alarms(AlarmTypes=[kind])[f"{kind}s"]
        ),
        *(one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]),
        *(one["Name"] for one in aws("scheduler").list_schedules()["Schedules"]),
        *(one["name"] for one in aws("logs").describe_query_definitions()["queryDefinitions"]),
        *(one["Name"] for one in aws("pipes").list_pipes()["Pipes"]),
        *(one["Name"] for one in aws("ssm").describe_parameters()["Parameters"]),
        *(one["TopicArn"] for one in aws("sns").list_topics()["Topics"]),
    ]


def put_into_force(functions: Any, name: str) -> None:
    """Have queue and schedule call a worker as it was just changed by hand: they call its alias.

    Args:
        functions: boto3's Lambda client.
        name: the worker's.
    """
    version = functions.publish_version(FunctionName=name)["Version"]
    functions.update_alias(FunctionName=name, Name="live", FunctionVersion=version)


def until(done: Callable[[], Any], seconds: float, what: str, pause: float = 0.2) -> Any:
    """Poll until there is something."""
    deadline = time.monotonic() + seconds
    while not (found := done()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)
    return found


class Context:
    """The part of Lambda's context object that the worker reads."""

    def get_remaining_time_in_millis(self) -> int:
        return 120_000


class Scratch:
    """The module's table, a FIFO queue without a mapping, and workers in this process."""

    def __init__(self, deployed: Deployed, queue_url: str, package: Path) -> None:
        self._dynamodb, self.sqs = deployed.clients["dynamodb"], deployed.clients["sqs"]
        self._table, self.queue_url = deployed.outputs["table_name"], queue_url
        self._package = package
        self.client = FluxioClient(self._table, queue_url, dynamodb=self._dynamodb, sqs=self.sqs)
        self.invocations = 0

    @classmethod
    def make(cls, deployed: Deployed, package: Path) -> Scratch:
        name = f"scratch-{uuid4().hex[:8]}.fifo"
        attributes = {"FifoQueue": "true", "VisibilityTimeout": "150"}
        answer = deployed.clients["sqs"].create_queue(QueueName=name, Attributes=attributes)
        return cls(deployed, answer["QueueUrl"], package)

    def close(self) -> None:
        self.sqs.delete_queue(QueueUrl=self.queue_url)

    def worker(self, inline_branches: int) -> tuple[Worker, Store, Queue]:
        """A worker, with the store and the queue that count what it spends."""
        store, queue = Store(self._dynamodb, self._table), Queue(self.sqs, self.queue_url)
        deployment = Deployment(Manifest([self._package]), store, inline_branches, patience=0)
        return Worker(Services(store, queue, deployment, now_ms)), store, queue

    def drain(self, worker: Worker, batch_size: int = 1) -> int:
        """Hand messages over as a mapping does, until there are none; returns the invocations."""
        invocations = 0
        while True:
            answer = self.sqs.receive_message(
                QueueUrl=self.queue_url, MaxNumberOfMessages=batch_size, AttributeNames=["All"]
            )
            if not (messages := answer.get("Messages")):
                return invocations
            invocations += 1
            records = [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
                for message in messages
            ]
            answer = worker.handle({"Records": records}, Context())
            back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
            for record in records:
                if record["messageId"] not in back:
                    self.sqs.delete_message(
                        QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
                    )
