"""What lies between a client and its service: calls, the wire they go by, and boto3's exceptions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError


class ConditionalCheckFailedException(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class TransactionCanceledException(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class TransactionConflictException(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class ResourceNotFoundException(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class ReceiptHandleIsInvalid(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class QueueDoesNotExist(ClientError):  # type: ignore[misc]  # botocore has no types
    """As `client.exceptions` has it."""


class _Exceptions:
    ClientError = ClientError
    ConditionalCheckFailedException = ConditionalCheckFailedException
    TransactionCanceledException = TransactionCanceledException
    TransactionConflictException = TransactionConflictException
    ResourceNotFoundException = ResourceNotFoundException
    ReceiptHandleIsInvalid = ReceiptHandleIsInvalid
    QueueDoesNotExist = QueueDoesNotExist


#: Codes whose exception has another name.
SHAPES = {"AWS.SimpleQueueService.NonExistentQueue": "QueueDoesNotExist"}


def client_error(operation: str, code: str, message: str = "", **more: Any) -> ClientError:
    """The exception that boto3 raises for an answer."""
    kind = getattr(_Exceptions, SHAPES.get(code, code), ClientError)
    return kind({"Error": {"Code": code, "Message": message}, **more}, operation)


@dataclass
class Clock:
    """Milliseconds since 1970; stands still until it is moved."""

    at: int = 1_800_000_000_000

    def now(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.at += round(seconds * 1000)


@dataclass
class Call:
    """One call of a client. `land` lets the service answer it; it may land several times, or never."""

    service: str
    operation: str
    arguments: dict[str, Any]
    _handler: Callable[..., dict[str, Any]]
    landed: int = 0

    def land(self) -> dict[str, Any]:
        self.landed += 1
        return self._handler(**self.arguments)

    def error(self, code: str, message: str = "", **more: Any) -> ClientError:
        """What this call raises if it is answered so."""
        return client_error(self.operation, code, message, **more)

    def __str__(self) -> str:
        return f"{self.service}.{self.operation}"


Wire = Callable[[Call], dict[str, Any]]


def sound(call: Call) -> dict[str, Any]:
    """A wire on which nothing goes wrong."""
    return call.land()


class _Client:
    exceptions = _Exceptions

    def __init__(self, service: Any, wire: Wire) -> None:
        self._service = service
        self._wire = wire

    def _call(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
        handler = getattr(self._service, operation)
        return self._wire(Call(self._service.name, operation, arguments, handler))


class DynamoDBClient(_Client):
    """What boto3.client("dynamodb") offers, as far as fluxio asks for it."""

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("get_item", arguments)

    def batch_get_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("batch_get_item", arguments)

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("put_item", arguments)

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("update_item", arguments)

    def delete_item(self, **arguments: Any) -> dict[str, Any]:
        return self._call("delete_item", arguments)

    def query(self, **arguments: Any) -> dict[str, Any]:
        return self._call("query", arguments)

    def scan(self, **arguments: Any) -> dict[str, Any]:
        return self._call("scan", arguments)

    def transact_write_items(self, **arguments: Any) -> dict[str, Any]:
        # botocore makes the token up once a call, so that its own second try carries the first one's.
        arguments.setdefault("ClientRequestToken", self._service.new_client_token())
        return self._call("transact_write_items", arguments)


class SQSClient(_Client):
    """What boto3.client("sqs") offers, as far as fluxio asks for it."""

    def send_message_batch(self, **arguments: Any) -> dict[str, Any]:
        return self._call("send_message_batch", arguments)

    def receive_message(self, **arguments: Any) -> dict[str, Any]:
        return self._call("receive_message", arguments)

    def delete_message(self, **arguments: Any) -> dict[str, Any]:
        return self._call("delete_message", arguments)

    def change_message_visibility(self, **arguments: Any) -> dict[str, Any]:
        return self._call("change_message_visibility", arguments)

    def get_queue_attributes(self, **arguments: Any) -> dict[str, Any]:
        return self._call("get_queue_attributes", arguments)
