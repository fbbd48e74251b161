"""What AWS puts around the worker: processes, the event source mapping, Lambda's context object.

Nothing here runs by itself. A test makes workers (each a process of its own: own clients, own caches, own
clock) and hands them messages.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import fluxio.log
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.deployment import Deployment
from fluxio.errors import UnknownWorkflow
from fluxio.services import Services
from fluxio.testing.aws import Aws, Clock, Wire, sound
from fluxio.worker import Worker
from fluxio_client import FluxioClient
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store


@dataclass(frozen=True)
class Workflows:
    """Decorated classes, in place of a manifest in a zip."""

    known: dict[str, WorkflowDefinition]

    @classmethod
    def of(cls, *classes: type) -> Workflows:
        found = [definition_of(each) for each in classes]
        return cls({each.name: each for each in found if each is not None})

    def load(self, name: str) -> WorkflowDefinition:
        if name not in self.known:
            raise UnknownWorkflow(f"this deployment has no workflow {name!r}")
        return self.known[name]


@dataclass(eq=False)
class Invocation:
    """Lambda's context object."""

    clock: Clock
    #: When Lambda ends it, by the true time.
    ends: int

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.ends - self.clock.at)


def make_worker(
    aws: Aws,
    workflows: Workflows,
    inline_branches: int,
    *,
    wire: Wire = sound,
    now: Callable[[], int],
    new_token: Callable[[], str],
    chance: Callable[[], float],
    new_threads: Callable[[], Any],
    sleep: Callable[[float], None],
) -> Worker:
    """A fresh process of the worker's function."""
    store = Store(aws.dynamodb.client(wire), Aws.TABLE, sleep=sleep, chance=chance)
    queue = Queue(aws.sqs.client(wire), aws.queue.url)
    deployment = Deployment(workflows, store, inline_branches)  # type: ignore[arg-type]
    # Here whoever calls stands still until the call has landed, so a step makes its calls itself.
    return Worker(
        Services(
            store,
            queue,
            deployment,
            now,
            new_token,
            chance,
            new_threads,
            sleep,
            aside=lambda call: call(),
        )
    )


def make_client(
    aws: Aws,
    wire: Wire = sound,
    sleep: Callable[[float], None] | None = None,
    chance: Callable[[], float] = lambda: 0.0,
) -> FluxioClient:
    """The thin client, in a process of its own; where it waits, time passes, unless `sleep` does otherwise."""
    client = FluxioClient(
        Aws.TABLE,
        aws.queue.url,
        dynamodb=aws.dynamodb.client(wire),
        sqs=aws.sqs.client(wire),
        now=aws.clock.now,
        sleep=sleep or aws.clock.advance,
        monotonic=lambda: aws.clock.now() / 1000,
    )
    client._store.calls._chance = chance
    return client


def records_of(answer: dict[str, Any]) -> list[dict[str, Any]]:
    """The records of the event that Lambda makes of received messages."""
    return [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
            "eventSource": "aws:sqs",
        }
        for message in answer.get("Messages", [])
    ]


def acknowledged(records: list[dict[str, Any]], answer: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The records that the mapping deletes: those that were not reported as failed."""
    failed = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
    known = {record["messageId"] for record in records}
    assert failed <= known, f"the worker reports {failed - known}, which it was not given"
    for record in records:
        if record["messageId"] not in failed:
            yield record


@contextmanager
def logging_to(take: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """What the engine logs is handed over, a dict a line, instead of being written to stderr."""
    before = fluxio.log._write
    fluxio.log._write = take  # type: ignore[assignment]
    try:
        yield
    finally:
        fluxio.log._write = before


def unheard(line: dict[str, Any]) -> None:
    """A log that nobody reads."""
