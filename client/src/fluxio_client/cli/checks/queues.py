"""The queue, and the dead-letter queue with what is in it."""

from __future__ import annotations

import json
from collections.abc import Iterator

from fluxio_client.cli.checks.examination import Examination
from fluxio_client.cli.checks.finding import APPLY, Finding, fail, ok, warn
from fluxio_protocol.queue import Queue


def queue(at: Examination) -> Iterator[Finding]:
    queue = at.queue
    name = queue["QueueArn"].rpartition(":")[2]
    fast = (
        queue.get("DeduplicationScope") == "messageGroup"
        and queue.get("FifoThroughputLimit") == "perMessageGroupId"
    )
    if fast:
        yield ok("queue", f"{name} is FIFO with high throughput")
    else:
        yield warn("queue", f"{name} lacks high throughput: it stops at 300 calls a second", APPLY)
    if "RedrivePolicy" not in queue:
        yield fail(
            "queue", "no dead-letter queue: a message that breaks comes back for ever", APPLY
        )
    else:
        receives = json.loads(queue["RedrivePolicy"])["maxReceiveCount"]
        yield ok("queue", f"goes to the dead-letter queue after {receives} receipts")
    yield _queue_encryption("queue", queue)
    waiting = int(queue.get("ApproximateNumberOfMessages", 0))
    hidden = int(queue.get("ApproximateNumberOfMessagesNotVisible", 0))
    yield ok("queue", f"about {waiting} messages wait, {hidden} are in work or postponed")


def _queue_encryption(area: str, queue: dict[str, str]) -> Finding:
    key = queue.get("KmsMasterKeyId")
    if key or queue.get("SqsManagedSseEnabled") == "true":
        return ok(area, f"encrypted with {key or 'a key of SQS'}")
    return warn(area, "messages are not encrypted at rest", APPLY)


def dead_letters(at: Examination) -> Iterator[Finding]:
    url = at.session.nudges.dead_letter_queue_url()
    if url is None:
        return
    dead = Queue(at.session.sqs, url).attributes()
    yield _queue_encryption("dlq", dead)
    waiting = int(dead.get("ApproximateNumberOfMessages", 0))
    waiting += int(dead.get("ApproximateNumberOfMessagesNotVisible", 0))
    if waiting:
        some = "1 message" if waiting == 1 else f"{waiting} messages"
        yield fail(
            "dlq",
            f"{some} that nobody could act on",
            "`fluxio dlq list` shows them; mend the cause, then `fluxio dlq redrive`.",
        )
    else:
        yield ok("dlq", "empty")
