"""What there is of a trial in an account: by its name before it begins, by its tag after it has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from botocore.exceptions import ClientError

from dev.aws_trial.deployment import TAG
from dev.aws_trial.target import Target

ABSENT = {
    "NoSuchEntity",
    "ResourceNotFoundException",
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}


def by_name(target: Target, name: str) -> list[str]:
    """What is there under the names that a deployment would take."""
    return list(_by_name(target, name))


def _by_name(target: Target, name: str) -> Iterator[str]:
    aws = target.aws_client
    asks: dict[str, Callable[[], Any]] = {
        f"function {name}-worker": lambda: aws("lambda").get_function(
            FunctionName=f"{name}-worker"
        ),
        f"schedule {name}-sweep": lambda: aws("scheduler").get_schedule(Name=f"{name}-sweep"),
    }
    for table in (f"{name}-runs", f"{name}-ledger", f"{name}-elsewhere"):
        asks[f"table {table}"] = partial(aws("dynamodb").describe_table, TableName=table)
    for queue in (f"{name}-nudges.fifo", f"{name}-nudges-dlq.fifo"):
        asks[f"queue {queue}"] = partial(aws("sqs").get_queue_url, QueueName=queue)
    for role in (f"{name}-{of}" for of in ("worker", "sweep", "client", "operator")):
        asks[f"role {role}"] = partial(aws("iam").get_role, RoleName=role)
    for what, ask in asks.items():
        try:
            ask()
        except ClientError as error:
            if error.response["Error"]["Code"] not in ABSENT:
                raise
        else:
            yield what
    yield from _listed(target, name)


def _listed(target: Target, name: str) -> Iterator[str]:
    """What can only be found in a list."""
    aws = target.aws_client
    group = f"/aws/lambda/{name}-worker"
    for found in aws("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
        yield f"log group {found['logGroupName']}"
    alarms = aws("cloudwatch").describe_alarms(
        AlarmNamePrefix=f"{name}-", AlarmTypes=["MetricAlarm", "CompositeAlarm"]
    )
    for kind in ("MetricAlarms", "CompositeAlarms"):
        for alarm in alarms.get(kind, []):
            yield f"alarm {alarm['AlarmName']}"
    for board in aws("cloudwatch").list_dashboards(DashboardNamePrefix=name)["DashboardEntries"]:
        if board["DashboardName"] == name:
            yield f"dashboard {name}"
    for page in aws("lambda").get_paginator("list_layers").paginate():
        for layer in page["Layers"]:
            if layer["LayerName"] == f"{name}-engine":
                yield f"layer {name}-engine"


def by_tag(target: Target, tag: str) -> list[str]:
    """ARNs of what carries the trial's tag. AWS takes some minutes to forget what was deleted."""
    pages = target.aws_client("resourcegroupstaggingapi").get_paginator("get_resources")
    filters = [{"Key": TAG, "Values": [tag]}]
    return [
        found["ResourceARN"]
        for page in pages.paginate(TagFilters=filters)
        for found in page["ResourceTagMappingList"]
    ]


def is_key_that_waits(target: Target, arn: str) -> bool:
    """Whether it is a KMS key whose deletion is under way: it costs nothing, and goes by itself."""
    if ":kms:" not in arn:
        return False
    answer = target.aws_client("kms").describe_key(KeyId=arn)
    return bool(answer["KeyMetadata"]["KeyState"] == "PendingDeletion")
