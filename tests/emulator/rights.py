"""What is tried next to each statement of the module's policies: some of it allowed, the rest not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from tests.emulator.guarded import Guarded, Principal

KEY = {"pk": {"S": "somebody"}, "sk": {"S": "run"}}
ITEM = {"Item": KEY}
ANYBODY = '{"Version": "2012-10-17", "Statement": []}'


class Call(NamedTuple):
    """A call that somebody tries."""

    #: The statement it lies next to.
    sid: str
    what: str
    service: str
    operation: str
    arguments: Callable[[Guarded], dict[str, Any]]

    @property
    def action(self) -> str:
        """What IAM calls it."""
        name = "invoke_function" if self.operation == "invoke" else self.operation
        return f"{self.service}:{name.title().replace('_', '')}"

    def by(self, principal: Principal, guarded: Guarded) -> bool:
        """Whether it is allowed."""
        return principal.may(self.service, self.operation, **self.arguments(guarded))

    def __str__(self) -> str:
        return f"{self.sid}-{self.what}"


def table_call(sid: str, operation: str, **arguments: Any) -> Call:
    return Call(
        sid, operation, "dynamodb", operation, lambda at: {"TableName": at.table} | arguments
    )


def query(sid: str, index: str | None, hash_name: str, hash_value: dict[str, str]) -> Call:
    arguments = {
        "KeyConditionExpression": "#hash=:hash",
        "ExpressionAttributeNames": {"#hash": hash_name},
        "ExpressionAttributeValues": {":hash": hash_value},
    }
    if index:
        arguments["IndexName"] = index
    return table_call(sid, "query", **arguments)._replace(what=f"query of {index or 'the table'}")


def condition_check(sid: str) -> Call:
    def arguments(at: Guarded) -> dict[str, Any]:
        check = {"TableName": at.table, "Key": KEY, "ConditionExpression": "attribute_exists(pk)"}
        return {"TransactItems": [{"ConditionCheck": check}]}

    return Call(sid, "condition check", "dynamodb", "transact_write_items", arguments)


def queue_call(sid: str, operation: str, dlq: bool = False, **arguments: Any) -> Call:
    return Call(
        sid,
        f"{operation} on the {'dead-letter queue' if dlq else 'queue'}",
        "sqs",
        operation,
        lambda at: {"QueueUrl": at.dlq_url if dlq else at.queue_url} | arguments,
    )


def account_call(sid: str, service: str, operation: str, **arguments: Any) -> Call:
    return Call(sid, f"{service} {operation}", service, operation, lambda _: arguments)


QUERIES = {
    "table": (None, "pk", {"S": "somebody"}),
    "by_workflow": ("by_workflow", "workflow_shard", {"S": "Chain#0"}),
    "failed": ("failed", "failed", {"S": "Chain"}),
    "due": ("due", "due", {"N": "0"}),
}
MESSAGE = {"MessageBody": "{}", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
RECEIPT = {"ReceiptHandle": "none"}
HIDE = RECEIPT | {"VisibilityTimeout": 0}
PLUS = {
    "Key": KEY,
    "UpdateExpression": "SET a=:a",
    "ExpressionAttributeValues": {":a": {"S": "a"}},
}
LOG = {"logGroupName": "/aws/lambda/fluxio-test-worker"}
OTHER_LOG = {"logGroupName": "/aws/lambda/another"}
WORKER = {"FunctionName": "fluxio-test-worker"}
TRUST = {"RoleName": "fluxio-test-worker", "PolicyDocument": ANYBODY}

#: The emulator takes writing to a stream for writing to its group, so only AWS can grant these rights:
#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
NOT_GRANTED_HERE = {
    ("WriteItsOwnLog", "logs:CreateLogStream"),
    ("WriteItsOwnLog", "logs:PutLogEvents"),
    # It asks for other rights than AWS: PutFunctionConcurrency, GetFunction and ListLayers.
    ("LookAtTheWorker", "lambda:GetFunctionConcurrency"),
    ("LookAtTheWorker", "lambda:GetFunctionRecursionConfig"),
    ("LookAtItsLayers", "lambda:GetLayerVersion"),
}

CLIENT_MAY = [
    table_call("StartReadAndSteerRuns", "get_item", Key=KEY),
    table_call("StartReadAndSteerRuns", "put_item", **ITEM),
    table_call("StartReadAndSteerRuns", "update_item", **PLUS),
    query("StartReadAndSteerRuns", *QUERIES["table"]),
    Call(
        "StartReadAndSteerRuns",
        "batch_get_item",
        "dynamodb",
        "batch_get_item",
        lambda at: {"RequestItems": {at.table: {"Keys": [KEY]}}},
    ),
    query("FindRuns", *QUERIES["by_workflow"]),
    query("FindRuns", *QUERIES["failed"]),
    query("FindRuns", *QUERIES["due"]),
    queue_call("NudgeTheWorker", "send_message", **MESSAGE),
]

CLIENT_MAY_NOT = [
    table_call("StartReadAndSteerRuns", "scan"),
    table_call("StartReadAndSteerRuns", "delete_item", Key=KEY),
    condition_check("StartReadAndSteerRuns"),
    table_call("StartReadAndSteerRuns", "describe_table"),
    table_call("StartReadAndSteerRuns", "update_table", BillingMode="PAY_PER_REQUEST"),
    table_call("StartReadAndSteerRuns", "delete_table"),
    table_call("FindRuns", "scan", IndexName="by_workflow"),
    queue_call("NudgeTheWorker", "receive_message"),
    queue_call("NudgeTheWorker", "delete_message", **RECEIPT),
    queue_call("NudgeTheWorker", "change_message_visibility", **HIDE),
    queue_call("NudgeTheWorker", "get_queue_attributes"),
    queue_call("NudgeTheWorker", "set_queue_attributes", Attributes={"DelaySeconds": "0"}),
    queue_call("NudgeTheWorker", "purge_queue"),
    queue_call("NudgeTheWorker", "delete_queue"),
    queue_call("NudgeTheWorker", "send_message", dlq=True, **MESSAGE),
    queue_call("NudgeTheWorker", "receive_message", dlq=True),
    account_call("NudgeTheWorker", "lambda", "invoke", FunctionName="fluxio-test-worker"),
    account_call("NudgeTheWorker", "iam", "put_role_policy", PolicyName="p", **TRUST),
]

WORKER_MAY = [
    table_call("ReadAndMoveRuns", "get_item", Key=KEY),
    table_call("ReadAndMoveRuns", "put_item", **ITEM),
    table_call("ReadAndMoveRuns", "update_item", **PLUS),
    query("FindRunsThatAreDue", *QUERIES["due"]),
    queue_call("SendNudges", "send_message", **MESSAGE),
    queue_call("TakeNudgesAndPostponeThem", "receive_message"),
    queue_call("TakeNudgesAndPostponeThem", "delete_message", **RECEIPT),
    queue_call("TakeNudgesAndPostponeThem", "change_message_visibility", **HIDE),
    queue_call("TakeNudgesAndPostponeThem", "get_queue_attributes"),
]

WORKER_MAY_NOT = [
    table_call("ReadAndMoveRuns", "scan"),
    table_call("ReadAndMoveRuns", "delete_item", Key=KEY),
    condition_check("ReadAndMoveRuns"),
    table_call("ReadAndMoveRuns", "describe_table"),
    table_call("ReadAndMoveRuns", "update_table", BillingMode="PAY_PER_REQUEST"),
    table_call("ReadAndMoveRuns", "delete_table"),
    query("FindRunsThatAreDue", *QUERIES["table"]),
    query("FindRunsThatAreDue", *QUERIES["by_workflow"]),
    query("FindRunsThatAreDue", *QUERIES["failed"]),
    queue_call("SendNudges", "send_message", dlq=True, **MESSAGE),
    queue_call("TakeNudgesAndPostponeThem", "purge_queue"),
    queue_call("TakeNudgesAndPostponeThem", "set_queue_attributes", Attributes={"DelaySeconds": "0"}),
    queue_call("TakeNudgesAndPostponeThem", "delete_queue"),
    queue_call("TakeNudgesAndPostponeThem", "receive_message", dlq=True),
    queue_call("TakeNudgesAndPostponeThem", "delete_message", dlq=True, **RECEIPT),
    account_call("WriteItsOwnLog", "logs", "create_log_group", **OTHER_LOG),
    account_call("WriteItsOwnLog", "logs", "get_log_events", logStreamName="s", **LOG),
    account_call("WriteItsOwnLog", "logs", "delete_log_group", **LOG),
    account_call("WriteItsOwnLog", "lambda", "invoke", FunctionName="fluxio-test-worker"),
    account_call("WriteItsOwnLog", "iam", "put_role_policy", PolicyName="p", **TRUST),
]  # fmt: skip

SCHEDULE_MAY = [
    account_call(
        "InvokeTheWorker",
        "lambda",
        "invoke",
        FunctionName="fluxio-test-worker:live",
        Payload='{"fluxio": "sweep"}',
    ),
]

SCHEDULE_MAY_NOT = [
    account_call("InvokeTheWorker", "lambda", "invoke", FunctionName="another"),
    account_call("InvokeTheWorker", "lambda", "get_function", FunctionName="fluxio-test-worker"),
    table_call("InvokeTheWorker", "get_item", Key=KEY),
    queue_call("InvokeTheWorker", "send_message", **MESSAGE),
]


OPERATOR_MAY = [
    table_call("FindFailedAndWaitingRuns", "scan", IndexName="failed"),
    table_call("FindFailedAndWaitingRuns", "scan", IndexName="by_workflow"),
    table_call("LookAtTheTable", "describe_table"),
    table_call("LookAtTheTable", "describe_time_to_live"),
    table_call("LookAtTheTable", "describe_continuous_backups"),
    queue_call("LookAtTheQueues", "get_queue_attributes"),
    queue_call("LookAtTheQueues", "get_queue_attributes", dlq=True),
    queue_call("ReadAndEmptyTheDlq", "receive_message", dlq=True),
    queue_call("ReadAndEmptyTheDlq", "delete_message", dlq=True, **RECEIPT),
    queue_call("ReadAndEmptyTheDlq", "change_message_visibility", dlq=True, **HIDE),
    account_call("LookAtTheWorker", "lambda", "get_function_configuration", **WORKER),
    account_call("ReadItsLog", "logs", "filter_log_events", **LOG),
    account_call("LookAtTheSchedule", "scheduler", "get_schedule", Name="fluxio-test-sweep"),
    account_call("FindMappingAndSchedule", "lambda", "list_event_source_mappings"),
    account_call("FindMappingAndSchedule", "scheduler", "list_schedules"),
]

OPERATOR_MAY_NOT = [
    table_call("FindRuns", "scan"),
    table_call("FindFailedAndWaitingRuns", "scan", IndexName="due"),
    table_call("LookAtTheTable", "delete_item", Key=KEY),
    table_call("LookAtTheTable", "update_table", BillingMode="PAY_PER_REQUEST"),
    table_call("LookAtTheTable", "delete_table"),
    queue_call("LookAtTheQueues", "receive_message"),
    queue_call("LookAtTheQueues", "delete_message", **RECEIPT),
    queue_call("LookAtTheQueues", "purge_queue"),
    queue_call("ReadAndEmptyTheDlq", "send_message", dlq=True, **MESSAGE),
    queue_call("ReadAndEmptyTheDlq", "purge_queue", dlq=True),
    queue_call("ReadAndEmptyTheDlq", "delete_queue", dlq=True),
    account_call("LookAtTheWorker", "lambda", "invoke", **WORKER),
    account_call("LookAtTheWorker", "lambda", "update_function_configuration", **WORKER),
    account_call("LookAtTheWorker", "lambda", "get_function_configuration", FunctionName="another"),
    account_call("LookAtItsLayers", "lambda", "list_layers"),
    account_call("ReadItsLog", "logs", "filter_log_events", **OTHER_LOG),
    account_call("ReadItsLog", "logs", "delete_log_group", **LOG),
    account_call("LookAtTheSchedule", "scheduler", "get_schedule", Name="another"),
    account_call("LookAtTheSchedule", "scheduler", "delete_schedule", Name="fluxio-test-sweep"),
    account_call("FindMappingAndSchedule", "iam", "put_role_policy", PolicyName="p", **TRUST),
]
