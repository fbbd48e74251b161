"""The queue: the one module that speaks SQS.

A message is a nudge: it says "look at this run" and carries no truth. Whatever it says is checked against
the run item, so a nudge that is late, doubled or wrong does no harm.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

from fluxio_protocol import layout
from fluxio_protocol.errors import (
    FluxioError,
    InvalidInput,
    MalformedNudge,
    PayloadError,
    SettingError,
)
from fluxio_protocol.trace import Trace

#: Entries of one SendMessageBatch.
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-batch-api-actions.html
BATCH = 10

#: How often the entries of a batch that SQS did not accept are sent again before the sender gives up.
SEND_TRIES = 3

#: How the occasions of redrives begin: of all of them; and where the client knows every item of a run, and has
#: kept them. Clients of versions before schema 2 of the run item do not.
REDRIVE, REDRIVE_KEPT = "redrive:", "redrive:k"


class QueueError(FluxioError):
    """SQS did not accept a message after several tries."""


class Nudge(NamedTuple):
    """Look at this run.

    Attributes:
        run_id: which run.
        workflow: the run's workflow, as a hint that spares the worker a read; None if the sender does not know.
        step: the step to begin with; None means the run as a whole.
        attempt: the attempt of the step that the nudge asks for.
        occasion: tells nudges apart that are otherwise alike and must not be taken for duplicates: the
            sweep, the redrive, the renewal that sent it.
        input_json: the input of the run, as JSON, where the worker is to start the run if it is not there: a
            schedule of the module sends such a nudge.
    """

    run_id: str
    workflow: str | None = None
    step: str | None = None
    attempt: int = 1
    occasion: str = ""
    input_json: str | None = None

    @property
    def group_id(self) -> str:
        """The FIFO group: what does not depend on each other waits for no message that is put back.

        Branches of a run have a group each, and so have its sweeps, its redrives, each of its signals, and each
        message that waits for another deployment: hidden together they would come back when the first is due.
        """
        kind, _, _ = self.occasion.partition(":")
        if kind == "blocked":
            return f"{self.run_id}/{self.step or ''}/{self.occasion}"
        if self.step is not None:
            return f"{self.run_id}/{self.step}"
        return f"{self.run_id}/{self.occasion if kind == 'signal' else kind}"

    @property
    def deduplication_id(self) -> str:
        """Equal for equal nudges, so that sending one again within five minutes does nothing."""
        return f"{self.run_id}/{self.step or ''}/{self.attempt}/{self.occasion}"

    def to_json(self) -> str:
        """The message body."""
        parts = {
            "run_id": self.run_id,
            "workflow": self.workflow,
            "step": self.step,
            "attempt": self.attempt if self.step else None,
            "occasion": self.occasion or None,
            "input": None if self.input_json is None else json.loads(self.input_json),
        }
        return json.dumps({name: part for name, part in parts.items() if part is not None})

    @classmethod
    def from_json(cls, body: str) -> Nudge:
        """The nudge in a message body.

        Raises:
            MalformedNudge: it is not JSON, lacks `run_id`, or a field has the wrong type; or it is to start a
                run and has no workflow, or an input that a run cannot have.
        """
        try:
            parts = json.loads(body)
        except (ValueError, RecursionError) as error:
            raise MalformedNudge(f"the body is not JSON ({error}).") from None
        if not isinstance(parts, dict):
            raise MalformedNudge("the body is not a JSON object.")
        try:
            layout.check_run_id(parts.get("run_id", ""))
        except InvalidInput:
            # What stands there instead may be anybody's: it does not go into a log.
            raise MalformedNudge("the field 'run_id' is missing, or is no run id.") from None
        for name, kind in (("workflow", str), ("step", str), ("attempt", int), ("occasion", str)):
            if name in parts and type(parts[name]) is not kind:
                raise MalformedNudge(f"the field {name!r} is not of type {kind.__name__}.")
        known = ("run_id", "workflow", "step", "attempt", "occasion")
        nudge = cls(**{name: part for name, part in parts.items() if name in known})
        if "input" not in parts:
            return nudge
        try:
            layout.check_workflow(nudge.workflow)
            text = layout.encode(parts["input"], "the field 'input'")
        except InvalidInput:
            raise MalformedNudge("the field 'workflow' is missing, or names no workflow.") from None
        except PayloadError as error:
            raise MalformedNudge(str(error)) from None
        if not text.startswith("{"):
            raise MalformedNudge("the field 'input' is not a JSON object.")
        return nudge._replace(input_json=text)


class Received(NamedTuple):
    """A message as it was received."""

    message_id: str
    receipt_handle: str
    body: str
    #: When SQS took it, in milliseconds since 1970; a dead-letter queue counts from its arrival there.
    sent_at: int | None = None
    group_id: str | None = None
    #: How often it was received from the queue it is in.
    receives: int = 1


class Queue:
    """The FIFO queue of one deployment.

    Args:
        client: a boto3 SQS client.
        queue_url: the queue the module made.
    """

    def __init__(self, client: Any, queue_url: str) -> None:
        self._client = client
        self._url = queue_url
        #: Messages accepted so far.
        self.sent = 0

    def send(self, nudges: Sequence[Nudge], trace: Trace | None = None) -> None:
        """Send nudges, the entries of a half-accepted batch again.

        Args:
            nudges: what to send.
            trace: the trace that all of them are in. Without one SQS keeps the header of the sender's own
                invocation, which botocore hands it inside Lambda; so no receiver may rely on a header.

        Raises:
            QueueError: some were not accepted after `SEND_TRIES` tries.
        """
        for start in range(0, len(nudges), BATCH):
            self._send_batch(nudges[start : start + BATCH], trace)

    def _send_batch(self, nudges: Sequence[Nudge], trace: Trace | None) -> None:
        header = {"DataType": "String", "StringValue": trace.header} if trace else None
        traced = {"MessageSystemAttributes": {"AWSTraceHeader": header}} if header else {}
        left = {str(at): nudge for at, nudge in enumerate(nudges)}
        failed: list[dict[str, Any]] = []
        for _ in range(SEND_TRIES):
            entries = [
                {
                    "Id": at,
                    "MessageBody": nudge.to_json(),
                    "MessageGroupId": nudge.group_id,
                    "MessageDeduplicationId": nudge.deduplication_id,
                    **traced,
                }
                for at, nudge in left.items()
            ]
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
            failed = answer.get("Failed", [])
            self.sent += len(left) - len(failed)
            left = {entry["Id"]: left[entry["Id"]] for entry in failed}
            if not left:
                return
        raise QueueError(
            f"SQS did not accept {len(left)} of {len(nudges)} messages after {SEND_TRIES} tries: "
            f"{failed[0].get('Code')} {failed[0].get('Message', '')}"
        )

    def receive(self, visibility: int = 60, most: int = BATCH, wait: int = 0) -> list[Received]:
        """Some messages, if there are any; for the dead-letter queue, which no worker reads.

        Args:
            visibility: seconds for which no other receiver sees them.
            most: at most so many, 1 to 10.
            wait: seconds to wait for the first; 0 is a short poll, whose answer may be empty by mistake.
        """
        try:
            answer = self._client.receive_message(
                QueueUrl=self._url,
                MaxNumberOfMessages=most,
                VisibilityTimeout=visibility,
                WaitTimeSeconds=wait,
                AttributeNames=["ApproximateReceiveCount", "MessageGroupId", "SentTimestamp"],
            )
        except self._client.exceptions.QueueDoesNotExist as error:
            raise SettingError(
                f"there is no queue {self._url!r} in this Region: pass the module's output `dlq_url`, and set "
                "AWS_DEFAULT_REGION to its Region."
            ) from error
        return [
            Received(
                message["MessageId"],
                message["ReceiptHandle"],
                message["Body"],
                int(at["SentTimestamp"]) if "SentTimestamp" in at else None,
                at.get("MessageGroupId"),
                int(at.get("ApproximateReceiveCount", 1)),
            )
            for message in answer.get("Messages", [])
            for at in [message.get("Attributes", {})]
        ]

    def delete(self, message: Received) -> None:
        """Delete a received message."""
        self._client.delete_message(QueueUrl=self._url, ReceiptHandle=message.receipt_handle)

    def hide(self, receipt_handle: str, seconds: int) -> None:
        """Let a received message come back after so many seconds."""
        self._client.change_message_visibility(
            QueueUrl=self._url, ReceiptHandle=receipt_handle, VisibilityTimeout=seconds
        )

    def attributes(self) -> dict[str, str]:
        """What SQS says of the queue: its settings, and about how many messages it holds."""
        answer = self._client.get_queue_attributes(QueueUrl=self._url, AttributeNames=["All"])
        found: dict[str, str] = answer["Attributes"]
        return found

    def dead_letter_queue_url(self) -> str | None:
        """The URL of the queue's dead-letter queue, which is of the same account and Region; None without."""
        policy = self.attributes().get("RedrivePolicy")
        if policy is None:
            return None
        name = json.loads(policy)["deadLetterTargetArn"].rpartition(":")[2]
        return f"{self._url.rpartition('/')[0]}/{name}"
