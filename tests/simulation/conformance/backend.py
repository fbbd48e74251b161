"""What a check is handed, and the list of checks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest
from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


@dataclass
class Backend:
    """A stand-in for the two services. The queue's visibility is long, maxReceiveCount is 10."""

    dynamodb: Any
    sqs: Any
    table: str
    queue_url: str
    dlq_url: str
    #: Makes a table of the user's: its name, and the attributes of its key; None: there can be none.
    new_table: Callable[[str, tuple[str, ...]], object] | None = None
    _numbers: Any = field(default_factory=count)

    def fresh(self, name: str = "c") -> str:
        """A name that no other check uses."""
        return f"{name}-{next(self._numbers)}"

    # --- DynamoDB in short

    def key(self, pk: str) -> Item:
        return {"pk": {"S": pk}, "sk": {"S": "run"}}

    def put(self, pk: str, **attributes: Any) -> Item:
        item = self.key(pk) | {name: wire(value) for name, value in attributes.items()}
        self.dynamodb.put_item(TableName=self.table, Item=item)
        return item

    def get(self, pk: str) -> Item | None:
        answer = self.dynamodb.get_item(TableName=self.table, Key=self.key(pk), ConsistentRead=True)
        found: Item | None = answer.get("Item")
        return found

    def update(
        self, pk: str, update: str, condition: str | None = None, **more: Any
    ) -> dict[str, Any]:
        arguments = self.updating(pk, update, condition, **more)
        answer: dict[str, Any] = self.dynamodb.update_item(ReturnValues="ALL_NEW", **arguments)
        return answer

    def updating(
        self, pk: str, update: str, condition: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The arguments of an update: values by name, names as they stand in the expressions."""
        arguments: dict[str, Any] = {
            "TableName": self.table,
            "Key": self.key(pk),
            "UpdateExpression": update,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition is not None:
            arguments["ConditionExpression"] = condition
        names = more.pop("names", None)
        if names is not None:
            arguments["ExpressionAttributeNames"] = names
        if more:
            arguments["ExpressionAttributeValues"] = {
                f":{name}": wire(value) for name, value in more.items()
            }
        return arguments

    # --- SQS in short

    def send(self, group: str, *deduplication_ids: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(at),
                    "MessageBody": f"{group}/{name}",
                    "MessageGroupId": group,
                    "MessageDeduplicationId": f"{group}/{name}",
                    **more,
                }
                for at, name in enumerate(deduplication_ids)
            ],
        )
        return answer

    def receive(self, most: int = 10, wait: int = 0, **more: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=more.pop("queue_url", self.queue_url),
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            AttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **more,
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def delete(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.queue_url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    def empty(self) -> None:
        """Delete what other checks left."""
        while found := self.receive():
            self.delete(*found)


Check = Callable[[Backend], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Add a check to the suite."""
    CHECKS.append(function)
    return function


def run(one: Check, backend: Backend, cannot: dict[str, str]) -> None:
    """Run a check, or skip it for the reason why this backend fails it."""
    name = one.__name__
    unknown = cannot.keys() - {known.__name__ for known in CHECKS}
    assert not unknown, f"no such checks: {unknown}"
    if name in cannot:
        pytest.skip(cannot[name])
    backend.empty()
    one(backend)


def wire(value: Any) -> dict[str, Any]:
    """A Python value in DynamoDB's wire format."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"M": {name: wire(part) for name, part in value.items()}}


def refused(code: str) -> Any:
    """The call inside is answered with this error."""
    return pytest.raises(ClientError, match=code)
