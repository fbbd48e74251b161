"""What stands between the queue and the worker in AWS, without AWS: the event source mapping and the clock."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

from fluxio import FluxioEngine
from fluxio.definition import definition_of
from fluxio.deployment import Deployment
from fluxio.errors import UnknownWorkflow
from fluxio.manifest import Manifest
from fluxio.plan import PATIENCE
from fluxio.services import Services
from fluxio.testing.death import stands_for_death
from fluxio.worker import Worker
from fluxio_client import FluxioClient, Run
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store

TABLE_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems", "BatchWriteItem")

LogLines = Callable[..., list[dict[str, Any]]]
Handle = Callable[[Any, Any], dict[str, Any]]


@stands_for_death
class Killed(BaseException):
    """What a step raises to stand for SIGKILL: nothing in fluxio catches it, and nothing is cleaned up."""


@dataclass
class Clock:
    """Milliseconds since 1970, that stand still until a test moves them; moto's queues follow it too."""

    at: int = 1_800_000_000_000

    def now(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += round(seconds * 1000)


class Calls:
    """Counts the calls that boto3 clients make, as the bill would."""

    def __init__(self, *clients: Any) -> None:
        self._counted: Counter[str] = Counter()
        self._events = [client.meta.events for client in clients]
        for events in self._events:
            events.register("provide-client-params.*.*", self._count)

    def close(self) -> None:
        for events in self._events:
            events.unregister("provide-client-params.*.*", self._count)

    def _count(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self._counted[model.name] += 1
        self._counted["messages"] += len(params.get("Entries", ())) if "Send" in model.name else 0

    def reset(self) -> None:
        self._counted.clear()

    @property
    def writes(self) -> int:
        return sum(self._counted[name] for name in TABLE_WRITES)

    @property
    def messages(self) -> int:
        return self._counted["messages"]

    def of(self, name: str) -> int:
        return self._counted[name]


class Deployed:
    """Workflows handed over as classes, in place of a manifest in a zip."""

    def __init__(self, *classes: type) -> None:
        self._known = {made.name: made for made in map(definition_of, classes) if made}

    def load(self, name: str) -> Any:
        if name not in self._known:
            raise UnknownWorkflow(f"this deployment has no workflow {name!r}")
        return self._known[name]


@dataclass
class Invocation:
    """The context object of a Lambda invocation."""

    clock: Clock
    seconds: float

    def __post_init__(self) -> None:
        self.aws_request_id = str(uuid4())
        self._ends = self.clock.now() + round(self.seconds * 1000)

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._ends - self.clock.now())


@dataclass
class Pump:
    """Moves messages from the queue to a worker as the event source mapping does."""

    sqs: Any
    queue_url: str
    clock: Clock
    handle: Handle
    batch_size: int = 1
    #: Seconds an invocation may take.
    function_timeout: float = 120
    #: What became of each invocation: its answer, or None if its worker was killed.
    answers: list[dict[str, Any] | None] = field(default_factory=list)

    def receive(self) -> list[dict[str, Any]]:
        """The records of the next event."""
        answer = self.sqs.receive_message(
            QueueUrl=self.queue_url,
            MaxNumberOfMessages=self.batch_size,
            AttributeNames=["All"],
            MessageAttributeNames=["All"],
        )
        return [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
                "messageAttributes": {},
                "md5OfBody": message["MD5OfBody"],
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:fluxio.fifo",
                "awsRegion": "us-east-1",
            }
            for message in answer.get("Messages", [])
        ]

    def invoke(self, records: list[dict[str, Any]]) -> None:
        """One invocation; of its messages, those that it does not report as failed are deleted."""
        event = json.loads(json.dumps({"Records": records}))
        try:
            answer = self.handle(event, Invocation(self.clock, self.function_timeout))
        except Killed:
            self.answers.append(None)
            return
        self.answers.append(answer)
        failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        assert failed <= {record["messageId"] for record in records}
        for record in records:
            if record["messageId"] not in failed:
                self.sqs.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=record["receiptHandle"]
                )

    def drain(self) -> None:
        """Invoke until the queue shows no message: what is hidden stays hidden, the clock stands still."""
        for _ in range(500):
            records = self.receive()
            if not records:
                return
            self.invoke(records)
        raise AssertionError("the worker goes round in circles: 500 invocations and no end")

    def has_hidden(self) -> bool:
        """Whether messages were put back, to come later."""
        name = "ApproximateNumberOfMessagesNotVisible"
        found = self.sqs.get_queue_attributes(QueueUrl=self.queue_url, AttributeNames=[name])
        return int(found["Attributes"][name]) > 0

    def sweep(self) -> dict[str, Any]:
        """The schedule's event."""
        return self.handle({"fluxio": "sweep"}, Invocation(self.clock, self.function_timeout))

    def lose_patience(self) -> None:
        """What the deployment cannot go on with is parked, or fails: it has had the time to become able to."""
        self.drain()
        self.pass_time(PATIENCE / 1000 + 10, step=10)

    def pass_time(self, seconds: float, step: float = 1.0) -> None:
        """Let time go by, with a sweep each minute, and the queue emptied at each step."""
        end = self.clock.now() + round(seconds * 1000)
        while self.clock.now() < end:
            before = self.clock.now() // 60_000
            self.clock.advance(step)
            if self.clock.now() // 60_000 > before:
                self.sweep()
            self.drain()


@dataclass
class World:
    """One deployment: a table, a queue with its dead-letter queue, and a clock."""

    dynamodb: Any
    sqs: Any
    table_name: str
    queue_url: str
    dlq_url: str
    clock: Clock
    tokens: Iterator[int] = field(default_factory=lambda: count(1))

    @property
    def client(self) -> FluxioClient:
        return FluxioClient(
            self.table_name,
            self.queue_url,
            dynamodb=self.dynamodb,
            sqs=self.sqs,
            now=self.clock.now,
            sleep=self.clock.advance,
            monotonic=lambda: self.clock.now() / 1000,
        )

    @property
    def engine(self) -> FluxioEngine:
        return FluxioEngine(self.table_name, self.queue_url, dynamodb=self.dynamodb, sqs=self.sqs)

    def pump(
        self,
        *classes: type,
        manifest: Manifest | None = None,
        inline_branches: int = 10,
        now: Callable[[], int] | None = None,
        **options: Any,
    ) -> Pump:
        """A worker that has these workflows, at the queue."""
        store = Store(self.dynamodb, self.table_name, sleep=self.clock.advance)
        deployment = Deployment(manifest or Deployed(*classes), store, inline_branches)  # type: ignore[arg-type]
        queue = Queue(self.sqs, self.queue_url)
        services = Services(
            store,
            queue,
            deployment,
            now or self.clock.now,
            new_token=lambda: f"token-{next(self.tokens)}",
            chance=lambda: 0.0,
            sleep=self.clock.advance,
        )
        pump = Pump(self.sqs, self.queue_url, self.clock, lambda *_: {}, **options)
        pump.handle = Worker(services, round(pump.function_timeout * 1000)).handle
        return pump

    def run(self, workflow: type, input: Any = None, **options: Any) -> Run:
        """Start a run, work until the queue is empty, and read the run."""
        run_id = self.client.start(workflow.__name__, input).run_id
        self.pump(workflow, **options).drain()
        return self.client.get(run_id)

    def send(self, body: str, group: str = "by-hand") -> None:
        """Put a message into the queue that fluxio did not write."""
        self.sqs.send_message(
            QueueUrl=self.queue_url,
            MessageBody=body,
            MessageGroupId=group,
            MessageDeduplicationId=f"{group}/{hash(body)}",
        )

    def dead_letters(self) -> list[str]:
        """The bodies of what the dead-letter queue holds."""
        found = self.sqs.receive_message(QueueUrl=self.dlq_url, MaxNumberOfMessages=10)
        return [message["Body"] for message in found.get("Messages", [])]

    def items(self) -> Iterable[dict[str, Any]]:
        """The whole table."""
        found: list[dict[str, Any]] = self.dynamodb.scan(TableName=self.table_name)["Items"]
        return found

    def run_item(self, run_id: str) -> dict[str, Any]:
        """The run item, as DynamoDB has it."""
        key = {"pk": {"S": run_id}, "sk": {"S": "run"}}
        found: dict[str, Any] = self.dynamodb.get_item(TableName=self.table_name, Key=key)["Item"]
        return found
