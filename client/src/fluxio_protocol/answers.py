"""DynamoDB's and SQS's answers, read without a walk over every value of them.

botocore's parser asks the service's description for the type of each value of an answer, which takes it longer
than all else that a worker does for the call. What JSON says is what it arrives at, but for bytes and times: an
answer that may have any is left to it.
"""

from __future__ import annotations

from typing import Any

from botocore.parsers import JSONParser, ResponseParserFactory

#: What these operations answer has no times, and bytes only in attributes of the kinds B and BS.
PLAIN = frozenset(
    {
        "BatchGetItemOutput",
        "ChangeMessageVisibilityBatchResult",
        "ConditionalCheckFailedException",
        "DeleteItemOutput",
        "DeleteMessageBatchResult",
        "GetItemOutput",
        "GetQueueAttributesResult",
        "PutItemOutput",
        "QueryOutput",
        "ReceiveMessageResult",
        "ScanOutput",
        "SendMessageBatchResult",
        "SendMessageResult",
        "TransactWriteItemsOutput",
        "TransactionCanceledException",
        "UpdateItemOutput",
    }
)

#: How an attribute of bytes begins in JSON; a text that only looks so is read slowly, and rightly.
_BYTES = (b'"B"', b'"BS"', b'"BinaryValue"', b'"BinaryListValues"')


def may_have_bytes(content: bytes) -> bool:
    """Whether an answer may have attributes of bytes."""
    return any(mark in content for mark in _BYTES)


class PlainParser(JSONParser):  # type: ignore[misc]
    """Reads JSON as it is, where that is the answer."""

    def _handle_json_body(self, raw_body: bytes, shape: Any) -> Any:
        if getattr(shape, "name", None) not in PLAIN or may_have_bytes(raw_body):
            return super()._handle_json_body(raw_body, shape)
        return self._parse_body_as_json(raw_body)


class PlainParserFactory(ResponseParserFactory):  # type: ignore[misc]
    """Makes `PlainParser` for the services that answer in JSON."""

    def create_parser(self, protocol_name: str) -> Any:
        """The parser of a protocol."""
        if protocol_name == "json":
            return PlainParser(**self._defaults)
        return super().create_parser(protocol_name)
