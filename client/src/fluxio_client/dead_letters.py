"""The messages of a dead-letter queue, each of them once, however long one takes to deal with them.

A message that was received is hidden for `HOLD` seconds. What takes longer gets it again, with a new receipt
handle, and the old one is of no use any more: the message can neither be deleted nor be given back with it.
So a message is known by its id, and the newest handle is the one that is used.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType

from botocore.exceptions import BotoCoreError, ClientError

from fluxio_protocol.errors import MalformedNudge
from fluxio_protocol.queue import BATCH, Nudge, Queue, Received

#: Seconds for which a message is hidden from others; it is given back, or deleted, sooner.
HOLD = 120

#: How many empty answers in a row mean that the queue is empty. A short poll asks some of SQS's servers only.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
EMPTY_ANSWERS = 3

#: Seconds of a long poll, which asks all of them, where the queue says that it holds something.
LONG_POLL = 2

#: What SQS says of a receipt handle that has expired.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ChangeMessageVisibility.html
_STALE = ("MessageNotInflight", "ReceiptHandleIsInvalid", "InvalidParameterValue")


@dataclass(frozen=True)
class Redriven:
    """What a redrive of the dead-letter queue did."""

    #: Messages that were sent again and deleted.
    nudged: int
    #: Messages that are no nudges of fluxio; they are still there.
    malformed: int
    #: Messages whose run is not in the table, and that do not start it; they are still there.
    unknown: int = 0


class DeadLetters:
    """The messages of a dead-letter queue for the length of a `with` block; then others see the rest again.

    Of one message group SQS hands out no message while an earlier one is held, but up to ten with it.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        #: The messages that are held, by id, as they were last received.
        self._held: dict[str, Received] = {}
        #: Those to be deleted whose handle was too old.
        self._undeleted: set[str] = set()
        #: Why messages could not be given back: they stay hidden for the rest of `HOLD`.
        self.refusal: ClientError | None = None

    def __enter__(self) -> DeadLetters:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for message in self._held.values():
            try:
                self._queue.hide(message.receipt_handle, 0)
            except ClientError as refusal:  # it comes back by itself, if it has not done so already
                if not _is_stale(refusal):
                    self.refusal = refusal
            except BotoCoreError:
                continue
        self._held.clear()

    def messages(self, limit: int) -> Iterator[Received]:
        """Messages of the queue, at most so many, until it has no others."""
        count = again = 0
        while count < limit or self._undeleted:
            found = self._receive(min(BATCH, limit - count) if count < limit else BATCH)
            if not found:
                return
            fresh = [message for message in found if message.message_id not in self._held]
            self._held |= {message.message_id: message for message in found}
            for message in found:
                if message.message_id in self._undeleted:
                    self.delete(message)
            # All that is held may come once more before the first that is not.
            again = 0 if fresh else again + len(found)
            if again > len(self._held) + BATCH:
                return
            for message in fresh[: limit - count]:
                count += 1
                yield message

    def redrive(
        self,
        limit: int,
        is_there: Callable[[str], bool],
        nudge: Callable[[Nudge], None],
        seen: Callable[[], object],
    ) -> Redriven:
        """Nudge the runs that the messages name, and delete those messages.

        Args:
            limit: how many messages to take at most.
            is_there: whether there is a run of an id.
            nudge: sends a nudge again.
            seen: called for each message, to show how far the call is.
        """
        nudged = malformed = unknown = 0
        for message in self.messages(limit):
            seen()
            try:
                found = Nudge.from_json(message.body)
            except MalformedNudge:
                malformed += 1
                continue
            if found.input_json is None and not is_there(found.run_id):
                unknown += 1
                continue
            nudge(found)
            self.delete(message)
            nudged += 1
        return Redriven(nudged, malformed, unknown)

    def delete(self, message: Received) -> None:
        """Delete a message: now, or when it comes back, if it was held for too long."""
        newest = self._held.get(message.message_id, message)
        try:
            self._queue.delete(newest)
        except ClientError as error:
            if not _is_stale(error):
                raise
            self._undeleted.add(message.message_id)
        else:
            self._undeleted.discard(message.message_id)
            self._held.pop(message.message_id, None)

    def _receive(self, most: int) -> list[Received]:
        wait = 0
        for _ in range(EMPTY_ANSWERS):
            if messages := self._queue.receive(HOLD, most, wait):
                return messages
            wait = LONG_POLL if self._may_hold_more() else 0
        return []

    def _may_hold_more(self) -> bool:
        """Whether the queue says that it holds messages that can be received, or says nothing."""
        try:
            return self._queue.attributes().get("ApproximateNumberOfMessages") != "0"
        except Exception:  # noqa: BLE001 - the right to ask is not needed: then a long poll finds out
            return True


def _is_stale(error: ClientError) -> bool:
    return str(error.response["Error"]["Code"]).endswith(_STALE)
