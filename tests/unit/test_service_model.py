"""Each planted mistake is found in what a client sends, and nothing else is."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import boto3
import pytest
from botocore.config import Config

from tests.service_model import Call, Request, problems, read

pytestmark = pytest.mark.once

REGION = "us-east-1"


class Sent(Exception):
    """Stops a client after it has made its request."""


def sent(service: str, operation: str, **parameters: Any) -> Request:
    """What boto3 sends, with its own checks switched off."""
    client = boto3.client(
        service,
        region_name=REGION,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        endpoint_url="http://127.0.0.1:1",
        config=Config(parameter_validation=False, retries={"max_attempts": 0}),
    )
    made: list[Any] = []

    def stop(request: Any, **_: Any) -> None:
        made.append(request)
        raise Sent

    client.meta.events.register("before-send", stop)
    with pytest.raises(Sent):
        getattr(client, operation)(**parameters)
    (request,) = made
    path = request.url.removeprefix("http://127.0.0.1:1") or "/"
    body = request.body or b""
    headers = {
        name.lower(): value.decode() if isinstance(value, bytes) else value
        for name, value in request.headers.items()
    }
    return Request(
        request.method, path, headers, body.encode() if isinstance(body, str) else bytes(body)
    )


ALARM = {
    "AlarmName": "orders-dlq",
    "ComparisonOperator": "GreaterThanThreshold",
    "EvaluationPeriods": 1,
    "Threshold": 0.5,
    "ActionsEnabled": True,
    "Dimensions": [{"Name": "QueueName", "Value": "q.fifo"}, {"Name": "Other", "Value": "x"}],
}
SCHEDULE = {
    "Name": "orders-sweep",
    "ScheduleExpression": "rate(1 minute)",
    "FlexibleTimeWindow": {"Mode": "OFF"},
    "Target": {
        "Arn": "arn:aws:lambda:us-east-1:123456789012:function:f",
        "RoleArn": "arn:aws:iam::123456789012:role/r",
        "RetryPolicy": {"MaximumRetryAttempts": 0, "MaximumEventAgeInSeconds": 60},
    },
}
FUNCTION = {
    "FunctionName": "orders-worker",
    "Role": "arn:aws:iam::123456789012:role/r",
    "Code": {"ZipFile": b"PK\x05\x06"},
    "Timeout": 120,
    "MemorySize": 512,
    "Description": "fluxio worker",
    "Environment": {"Variables": {"A_NAME": "value"}},
}
TABLE = {
    "TableName": "orders-runs",
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "ProvisionedThroughput": {"ReadCapacityUnits": 1, "WriteCapacityUnits": 1},
}
QUEUE = {"QueueName": "q.fifo", "Attributes": {"FifoQueue": "true", "VisibilityTimeout": "150"}}
ROLE = {
    "RoleName": "orders-worker",
    "AssumeRolePolicyDocument": "{}",
    "Tags": [{"Key": "a", "Value": "1"}],
}
ENDPOINT = {
    "VpcId": "vpc-1",
    "ServiceName": "com.amazonaws.us-east-1.sqs",
    "SubnetIds": ["subnet-1", "subnet-2"],
    "PrivateDnsEnabled": True,
}
RETENTION = {"logGroupName": "/aws/lambda/f", "retentionInDays": 30}
TARGET = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/t",
    "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
    "MinCapacity": 1,
}

CALLS: list[tuple[str, str, str, dict[str, Any]]] = [
    ("cloudwatch", "put_metric_alarm", "PutMetricAlarm", ALARM),
    ("scheduler", "create_schedule", "CreateSchedule", SCHEDULE),
    ("lambda", "create_function", "CreateFunction", FUNCTION),
    ("dynamodb", "create_table", "CreateTable", TABLE),
    ("sqs", "create_queue", "CreateQueue", QUEUE),
    ("iam", "create_role", "CreateRole", ROLE),
    ("ec2", "create_vpc_endpoint", "CreateVpcEndpoint", ENDPOINT),
    ("logs", "put_retention_policy", "PutRetentionPolicy", RETENTION),
    ("application-autoscaling", "register_scalable_target", "RegisterScalableTarget", TARGET),
    ("lambda", "delete_alias", "DeleteAlias", {"FunctionName": "f", "Name": "live"}),
    ("lambda", "list_functions", "ListFunctions", {"MaxItems": 5}),
    ("kms", "list_aliases", "ListAliases", {"Limit": 5}),
    (
        "sns",
        "create_topic",
        "CreateTopic",
        {"Name": "t", "Attributes": {"DisplayName": "d"}, "Tags": [{"Key": "a", "Value": "b"}]},
    ),
    ("sts", "get_caller_identity", "GetCallerIdentity", {}),
]


@pytest.mark.parametrize(("service", "method", "operation", "given"), CALLS)
def test_a_request_is_read_as_what_was_meant(
    service: str, method: str, operation: str, given: dict[str, Any]
) -> None:
    """In every protocol that Terraform's provider speaks."""
    call = read(sent(service, method, **given))
    # What boto3 itself adds: a token that makes a repetition harmless.
    found = {name: value for name, value in call.parameters.items() if name != "ClientToken"}
    assert (call.service, call.operation, found) == (service, operation, given)
    assert problems(call) == []


def test_alarms_are_read_in_the_query_protocol_as_well() -> None:
    """boto3 speaks CBOR to CloudWatch, the provider the query protocol."""
    fields = {
        "Action": "PutMetricAlarm",
        "Version": "2010-08-01",
        "AlarmName": "a",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": "1",
        "Metrics.member.1.Id": "all",
        "Metrics.member.1.ReturnData": "true",
        "Metrics.member.1.MetricStat.Metric.Dimensions.member.1.Name": "QueueName",
        "Metrics.member.1.MetricStat.Metric.Dimensions.member.1.Value": "q",
        "Metrics.member.1.MetricStat.Period": "60",
        "Metrics.member.1.MetricStat.Stat": "Sum",
        "AlarmActions": "",
    }
    authorization = "AWS4-HMAC-SHA256 Credential=x/20260101/us-east-1/monitoring/aws4_request, …"
    headers = {
        "authorization": authorization,
        "content-type": "application/x-www-form-urlencoded; charset=utf-8",
    }
    call = read(Request("POST", "/", headers, urlencode(fields).encode()))
    metric = {"Dimensions": [{"Name": "QueueName", "Value": "q"}]}
    assert call.parameters == {
        "AlarmName": "a",
        "ComparisonOperator": "GreaterThanThreshold",
        "EvaluationPeriods": 1,
        "Metrics": [
            {
                "Id": "all",
                "ReturnData": True,
                "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"},
            }
        ],
        "AlarmActions": [],
    }
    assert problems(call) == []


MISTAKES: list[tuple[str, str, dict[str, Any], str]] = [
    # too long, too many, too large
    ("cloudwatch", "PutMetricAlarm", {**ALARM, "AlarmDescription": "x" * 1025}, "AlarmDescription"),
    ("lambda", "CreateFunction", {**FUNCTION, "Description": "x" * 257}, "Description"),
    ("lambda", "CreateFunction", {**FUNCTION, "MemorySize": 10241}, "MemorySize"),
    (
        "cloudwatch",
        "PutMetricAlarm",
        {**ALARM, "AlarmActions": ["arn:aws:sns:us-east-1:1:t"] * 6},
        "AlarmActions",
    ),
    # below the least
    (
        "dynamodb",
        "CreateTable",
        {**TABLE, "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 1}},
        "ProvisionedThroughput.ReadCapacityUnits",
    ),
    ("cloudwatch", "PutMetricAlarm", {**ALARM, "EvaluationPeriods": 0}, "EvaluationPeriods"),
    # none of the values
    ("cloudwatch", "PutMetricAlarm", {**ALARM, "ComparisonOperator": "Greater"}, "none of"),
    ("dynamodb", "CreateTable", {**TABLE, "BillingMode": "ON_DEMAND"}, "BillingMode"),
    (
        "scheduler",
        "CreateSchedule",
        {**SCHEDULE, "FlexibleTimeWindow": {"Mode": "off"}},
        "FlexibleTimeWindow.Mode",
    ),
    # another form
    ("scheduler", "CreateSchedule", {**SCHEDULE, "Name": "orders sweep"}, "Name"),
    ("lambda", "CreateFunction", {**FUNCTION, "FunctionName": "a function"}, "FunctionName"),
    ("dynamodb", "CreateTable", {**TABLE, "TableName": "t" * 256}, "TableName"),
    # missing, unknown, of another type
    ("iam", "CreateRole", {"RoleName": "r"}, "AssumeRolePolicyDocument"),
    ("sqs", "CreateQueue", {**QUEUE, "Fifo": True}, "Fifo"),
    ("logs", "PutRetentionPolicy", {**RETENTION, "retentionInDays": "30"}, "retentionInDays"),
    # documented, and in no model
    ("sqs", "CreateQueue", {"QueueName": "q" * 76 + ".fifo"}, "QueueName"),
    (
        "sqs",
        "CreateQueue",
        {**QUEUE, "Attributes": {"VisibilityTimeout": "43201"}},
        "VisibilityTimeout",
    ),
    ("lambda", "CreateFunction", {**FUNCTION, "FunctionName": "f" * 65}, "FunctionName"),
    ("iam", "CreateRole", {**ROLE, "AssumeRolePolicyDocument": "x" * 2049}, "AssumeRole"),
    (
        "lambda",
        "UpdateFunctionConfiguration",
        {"FunctionName": "f", "Environment": {"Variables": {"A1": "x" * 4096}}},
        "Environment",
    ),
]


@pytest.mark.parametrize(("service", "operation", "given", "member"), MISTAKES)
def test_what_the_service_would_refuse_is_found_and_named(
    service: str, operation: str, given: dict[str, Any], member: str
) -> None:
    found = problems(Call(service, operation, given))
    assert len(found) == 1, found
    assert f"{service}:{operation}" in found[0]
    assert member in found[0]


def test_a_field_that_the_service_does_not_know_is_found_in_every_protocol() -> None:
    for service, method, given, body in (
        ("iam", "create_role", ROLE, b"&Wrong=1"),
        ("ec2", "create_vpc_endpoint", ENDPOINT, b"&Wrong.1=1"),
    ):
        request = sent(service, method, **given)
        assert "Wrong" in problems(read(request._replace(body=request.body + body)))[0]
    request = sent("dynamodb", "create_table", **TABLE)
    wrong = request.body.replace(b"{", b'{"Wrong": 1, ', 1)
    assert "Wrong" in problems(read(request._replace(body=wrong)))[0]


def test_a_request_that_no_operation_takes_is_an_error() -> None:
    request = sent("lambda", "list_functions")
    with pytest.raises(ValueError, match="no operation at GET /2099"):
        read(request._replace(target="/2099/functions"))
