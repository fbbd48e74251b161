"""Table and queues as the module makes them."""

from __future__ import annotations

import json
from typing import Any

from fluxio_protocol import layout


def create_table(dynamodb: Any, name: str, **more: Any) -> None:
    """The table with its indexes; `more` are other arguments of CreateTable."""
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": kind}
            for attribute, kind in layout.KEY_TYPES.items()
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": name,
                "KeySchema": _schema(index.hash_key, index.range_key),
                "Projection": {
                    "ProjectionType": "INCLUDE",
                    "NonKeyAttributes": list(index.projected),
                }
                if index.projected
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for name, index in layout.INDEXES.items()
        ],
        **more,
    )


def create_other_table(dynamodb: Any, name: str, keys: tuple[str, ...]) -> None:
    """A table of the user's, with a key of strings of its own."""
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema(*keys),
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key in keys],
    )


def create_queues(sqs: Any, name: str) -> tuple[str, str]:
    """The queue and its dead-letter queue: their URLs."""
    dlq_url: str = sqs.create_queue(QueueName=f"{name}-dlq.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    described = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    queue_url: str = sqs.create_queue(
        QueueName=f"{name}.fifo",
        Attributes={
            "FifoQueue": "true",
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
            "VisibilityTimeout": "150",
            "RedrivePolicy": json.dumps(
                {
                    "deadLetterTargetArn": described["Attributes"]["QueueArn"],
                    "maxReceiveCount": 10,
                }
            ),
        },
    )["QueueUrl"]
    return queue_url, dlq_url


def _schema(*keys: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": key, "KeyType": kind}
        for key, kind in zip(keys, ("HASH", "RANGE"), strict=False)
    ]
