# ruff: noqa: N803 - the arguments are those of boto3
"""SQS in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from fluxio.testing.clients import Clock, SQSClient, Wire, client_error, sound
from fluxio_protocol import limits

#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-messages.html
DEDUPLICATION_MS = 300_000
VISIBILITY_SECONDS = 43_200


@dataclass
class Message:
    """A message of a FIFO queue."""

    message_id: str
    body: str
    group: str
    deduplication_id: str
    sent_at: int
    attributes: dict[str, str]
    visible_at: int = 0
    received: int = 0
    #: The handle that the last receipt gave; only that one deletes it, and only while it is in flight.
    receipt: str | None = None


@dataclass
class FifoQueue:
    """A FIFO queue in high-throughput mode: it deduplicates, and orders, by group."""

    url: str
    visibility: int
    dead_letters: FifoQueue | None = None
    max_receive_count: int = 0
    messages: list[Message] = field(default_factory=list)
    seen: dict[tuple[str, str], tuple[int, str]] = field(default_factory=dict)


#: Told of every message that came, changed or went: its queue, the message, whether it is there.
MessageWatcher = Callable[[FifoQueue, Message, bool], None]


class SQS:
    """The service: FIFO queues by URL.

    Args:
        clock: the services' clock.
        new_message_id: makes the id of a message; by default m1, m2 and so on.
    """

    name = "sqs"

    def __init__(self, clock: Clock, new_message_id: Callable[[], str] | None = None) -> None:
        self._clock = clock
        self.queues: dict[str, FifoQueue] = {}
        self.watchers: list[MessageWatcher] = []
        numbers = count(1)
        self._new_message_id = new_message_id or (lambda: f"m{next(numbers)}")
        #: Messages that were accepted, duplicates left out.
        self.sent = 0

    def client(self, wire: Wire = sound) -> SQSClient:
        return SQSClient(self, wire)

    def create_queue(
        self,
        name: str,
        visibility: int = 30,
        dead_letters: FifoQueue | None = None,
        max_receive_count: int = 10,
    ) -> FifoQueue:
        url = f"https://sqs.us-east-1.amazonaws.com/123456789012/{name}"
        self.queues[url] = FifoQueue(url, visibility, dead_letters, max_receive_count)
        return self.queues[url]

    def send_message_batch(self, *, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:
        operation = "SendMessageBatch"
        queue = self._queue(operation, QueueUrl)
        if not Entries:
            raise client_error(operation, "AWS.SimpleQueueService.EmptyBatchRequest")
        if len(Entries) > limits.BATCH_ENTRIES:
            raise client_error(operation, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
        if len({entry["Id"] for entry in Entries}) < len(Entries):
            raise client_error(operation, "AWS.SimpleQueueService.BatchEntryIdsNotDistinct")
        successful: list[dict[str, Any]] = []
        for entry in Entries:
            if not entry.get("MessageGroupId"):
                raise client_error(operation, "MissingParameter", "MessageGroupId")
            if not entry.get("MessageDeduplicationId"):
                raise client_error(operation, "InvalidParameterValue", "MessageDeduplicationId")
            for refusal in limits.message_refusals(entry):
                raise client_error(operation, "InvalidParameterValue", refusal)
            successful.append({"Id": entry["Id"], "MessageId": self._accept(queue, entry)})
        return {"Successful": successful}

    def _accept(self, queue: FifoQueue, entry: dict[str, Any]) -> str:
        now = self._clock.at
        group, deduplication_id = entry["MessageGroupId"], entry["MessageDeduplicationId"]
        at, first = queue.seen.get((group, deduplication_id), (now - DEDUPLICATION_MS, ""))
        if at > now - DEDUPLICATION_MS:
            return first  # accepted and dropped, whatever became of the first one
        message_id = self._new_message_id()
        self.sent += 1
        queue.seen[group, deduplication_id] = now, message_id
        attributes = {
            name: content["StringValue"]
            for name, content in entry.get("MessageSystemAttributes", {}).items()
        }
        message = Message(
            message_id, entry["MessageBody"], group, deduplication_id, now, attributes, now
        )
        queue.messages.append(message)
        self._tell(queue, message)
        return message_id

    def _tell(self, queue: FifoQueue, message: Message, there: bool = True) -> None:
        for watcher in self.watchers:
            watcher(queue, message, there)

    def _queue(self, operation: str, url: str) -> FifoQueue:
        if url not in self.queues:
            raise client_error(
                operation,
                "AWS.SimpleQueueService.NonExistentQueue",
                "The specified queue does not exist.",
            )
        return self.queues[url]

    def receive_message(
        self,
        *,
        QueueUrl: str,
        MaxNumberOfMessages: int = 1,
        WaitTimeSeconds: int = 0,
        VisibilityTimeout: int | None = None,
        AttributeNames: Iterable[str] = (),
        MessageSystemAttributeNames: Iterable[str] = (),
    ) -> dict[str, Any]:
        queue = self._queue("ReceiveMessage", QueueUrl)
        until = self._clock.at + WaitTimeSeconds * 1000
        found = self._take(queue, MaxNumberOfMessages, VisibilityTimeout)
        while not found and self._clock.at < until:  # a long poll is how a test lets time pass
            later = [m.visible_at for m in queue.messages if m.visible_at > self._clock.at]
            self._clock.at = min([until, *later])
            found = self._take(queue, MaxNumberOfMessages, VisibilityTimeout)
        if not found:
            return {}
        return {
            "Messages": [
                {
                    "MessageId": message.message_id,
                    "ReceiptHandle": message.receipt,
                    "Body": message.body,
                    "Attributes": {
                        "ApproximateReceiveCount": str(message.received),
                        "MessageGroupId": message.group,
                        "MessageDeduplicationId": message.deduplication_id,
                        "SentTimestamp": str(message.sent_at),
                        **message.attributes,
                    },
                }
                for message in found
            ]
        }

    def _take(self, queue: FifoQueue, most: int, visibility: int | None) -> list[Message]:
        now = self._clock.at
        if queue.dead_letters is not None:
            for message in list(queue.messages):
                if message.visible_at <= now and message.received >= queue.max_receive_count:
                    queue.messages.remove(message)
                    message.receipt = None
                    self._tell(queue, message, there=False)
                    queue.dead_letters.messages.append(message)
                    self._tell(queue.dead_letters, message)
        blocked = {message.group for message in queue.messages if message.visible_at > now}
        found = [
            message
            for message in queue.messages
            if message.visible_at <= now and message.group not in blocked
        ][:most]
        seconds = queue.visibility if visibility is None else visibility
        for message in found:
            self.receive(message, seconds)
            self._tell(queue, message)
        return found

    def receive(self, message: Message, seconds: int) -> None:
        """Hand a message out: also, for a duplicate delivery, one that is in flight."""
        message.received += 1
        message.receipt = f"{message.message_id}#{message.received}"
        message.visible_at = self._clock.at + seconds * 1000

    def delete_message(self, *, QueueUrl: str, ReceiptHandle: str) -> dict[str, Any]:
        queue = self._queue("DeleteMessage", QueueUrl)
        message = self._of_handle(queue, "DeleteMessage", ReceiptHandle)
        # An older handle than the last succeeds and deletes nothing:
        # https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
        if message is not None and message.receipt == ReceiptHandle:
            if message.visible_at <= self._clock.at:
                raise client_error(
                    "DeleteMessage", "InvalidParameterValue", "The receipt handle has expired."
                )
            queue.messages.remove(message)
            self._tell(queue, message, there=False)
        return {}

    def change_message_visibility(
        self, *, QueueUrl: str, ReceiptHandle: str, VisibilityTimeout: int
    ) -> dict[str, Any]:
        operation = "ChangeMessageVisibility"
        if not 0 <= VisibilityTimeout <= VISIBILITY_SECONDS:
            raise client_error(operation, "InvalidParameterValue", "0 to 43200 seconds")
        queue = self._queue(operation, QueueUrl)
        message = self._of_handle(queue, operation, ReceiptHandle)
        if (
            message is None
            or message.receipt != ReceiptHandle
            or message.visible_at <= self._clock.at
        ):
            raise client_error(operation, "MessageNotInflight")
        message.visible_at = self._clock.at + VisibilityTimeout * 1000
        self._tell(queue, message)
        return {}

    def get_queue_attributes(
        self, *, QueueUrl: str, AttributeNames: Iterable[str]
    ) -> dict[str, Any]:
        messages = self._queue("GetQueueAttributes", QueueUrl).messages
        visible = sum(message.visible_at <= self._clock.at for message in messages)
        counts = {
            "ApproximateNumberOfMessages": str(visible),
            "ApproximateNumberOfMessagesNotVisible": str(len(messages) - visible),
        }
        return {"Attributes": counts}

    def _of_handle(self, queue: FifoQueue, operation: str, handle: str) -> Message | None:
        message_id, sign, _ = handle.partition("#")
        if not sign:
            raise client_error(operation, "ReceiptHandleIsInvalid")
        return next((m for m in queue.messages if m.message_id == message_id), None)
