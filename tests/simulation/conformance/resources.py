"""Table and queues as the module makes them."""

from __future__ import annotations

import json
from typing import Any


def create_table(dynamodb: Any, name: str) -> None:
    """The table with its indexes."""
    indexes = {
        "by_workflow": ("workflow_shard", "created_at", ["status", "ended_at"]),
        "due": ("due", "wake_at", None),
        "failed": ("failed", "ended_at", ["status", "created_at"]),
    }
    kinds = {"pk": "S", "sk": "S", "workflow_shard": "S", "created_at": "N", "due": "N"}
    kinds |= {"wake_at": "N", "failed": "S", "ended_at": "N"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in kinds.items()
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": _schema(hash_key, range_key),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": projected}
                if projected
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for index, (hash_key, range_key, projected) in indexes.items()
        ],
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


def _schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]
