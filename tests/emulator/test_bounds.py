"""The module with its inputs at their bounds: what Terraform sends for it, AWS would take."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from dev import ROOT, emulator, layer
from dev.package import package
from dev.terraform import Terraform
from fluxio_protocol import layout
from tests.emulator import bounds
from tests.emulator.conftest import NAME
from tests.emulator.guarded import Principal
from tests.emulator.recorder import Recorder, recording

LAYER_KEY = "k" * 1020 + ".zip"
"""https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html: at most 1,024 bytes."""

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "sts:AssumeRole",
                "Principal": {"Service": "lambda.amazonaws.com"},
            }
        ],
    }
)


class Applied(NamedTuple):
    """What Terraform has sent, and said at the end."""

    sent: Recorder
    outputs: dict[str, Any]


@pytest.fixture(scope="module")
def applied() -> Iterator[Applied]:
    name = f"{NAME}-bounds"
    work = ROOT / ".fluxio" / name
    try:
        with emulator.running(name) as running, recording(running.endpoint) as sent:
            there = make_what_is_there(Principal(running.endpoint, "test", "test"), work)
            root = work / "bounds"
            root.mkdir()
            environment = {
                **running.environment(),
                "AWS_ENDPOINT_URL": sent.endpoint,
                "AWS_MAX_ATTEMPTS": "2",
            }
            terraform = Terraform(root, work / "terraform", environment)
            for shift in (0, 1):
                (root / "main.tf.json").write_text(json.dumps(bounds.root(there, shift), indent=2))
                outputs = terraform.apply({})
            yield Applied(sent, outputs)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def make_what_is_there(aws: Principal, folder: Path) -> bounds.Existing:
    """With names as long as they may be."""
    orders = ROOT / "examples" / "order_fulfillment"
    zipped = package(orders, folder / "orders.zip", ["orders", "entry_points.txt"])
    engine = folder / "engine.zip"
    shutil.copyfile(layer.zip_path(layer.host_architecture()), engine)

    aws.aws("s3").create_bucket(Bucket="a" * 63)
    aws.aws("s3").put_object(Bucket="a" * 63, Key="k" * 1000, Body=zipped.read_bytes())
    aws.aws("s3").put_object(Bucket="a" * 63, Key=LAYER_KEY, Body=engine.read_bytes())
    role, function, table = "r" * 64, "f" * 64, "t" * 255
    role_arn = aws.aws("iam").create_role(RoleName=role, AssumeRolePolicyDocument=TRUST)["Role"][
        "Arn"
    ]
    published = aws.aws("lambda").publish_layer_version(
        LayerName="l" * 64, Content={"ZipFile": empty_zip()}
    )
    aws.aws("lambda").create_function(
        FunctionName=function,
        Role=role_arn,
        Runtime="python3.12",
        Handler="h.h",
        Timeout=10,
        Code={"ZipFile": empty_zip()},
    )
    queues = [make_queue(aws.aws("sqs"), letter * 75 + ".fifo") for letter in "qd"]
    table_arn = make_table(aws.aws("dynamodb"), table)
    ec2 = aws.aws("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/24")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.0.{at * 16}/28")["Subnet"]["SubnetId"]
        for at in range(16)
    ]
    group = ec2.create_security_group(VpcId=vpc, GroupName="g", Description="g")["GroupId"]
    return bounds.Existing(
        package=zipped,
        package_s3={"bucket": "a" * 63, "key": "k" * 1000},
        layer_zip=engine,
        layer_s3={"bucket": "a" * 63, "key": LAYER_KEY},
        layer_arn=published["LayerVersionArn"],
        key_arn=aws.aws("kms").create_key()["KeyMetadata"]["Arn"],
        subnet_ids=subnets,
        security_group_ids=[group],
        table={"name": table, "arn": table_arn},
        queue=queues[0],
        dlq=queues[1],
        role=role,
        role_arn=role_arn,
        function=function,
        event_bus=aws.aws("events").create_event_bus(Name="b" * 256)["EventBusArn"],
        topic=aws.aws("sns").create_topic(Name="t" * 256)["TopicArn"],
    )


def make_queue(sqs: Any, name: str) -> dict[str, str]:
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true"})["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
    return {"name": name, "arn": attributes["QueueArn"], "url": url}


def make_table(dynamodb: Any, name: str) -> str:
    """Returns its ARN."""
    made = dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=key_schema("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": key, "AttributeType": kind} for key, kind in layout.KEY_TYPES.items()
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index_name,
                "KeySchema": key_schema(index.hash_key, index.range_key),
                "Projection": {"ProjectionType": "ALL"},
            }
            for index_name, index in layout.INDEXES.items()
        ],
    )
    dynamodb.update_time_to_live(
        TableName=name, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    return str(made["TableDescription"]["TableArn"])


def key_schema(partition: str, sort: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": partition, "KeyType": "HASH"},
        {"AttributeName": sort, "KeyType": "RANGE"},
    ]


def empty_zip() -> bytes:
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").close()
    return content.getvalue()


def test_aws_would_take_every_request_that_terraform_sends_at_the_bounds_of_the_inputs(
    applied: Applied,
) -> None:
    """First one bound and then the other, so that what an update sends is held against the models as well."""
    assert applied.sent.problems() == []
    assert applied.sent.missing() == set()


def test_what_provider_and_emulator_let_pass_is_found(ministack: emulator.Emulator) -> None:
    """Two mistakes on purpose: a description that is too long, and a trust policy that is."""
    work = ROOT / ".fluxio" / f"{NAME}-planted"
    services = [f"service-{at}.amazonaws.com" for at in range(100)]
    statement = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"Service": services}}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    (work / "planted").mkdir(parents=True)
    (work / "planted" / "empty.zip").write_bytes(empty_zip())
    layer_version = {"layer_name": "l", "filename": "empty.zip", "description": "d" * 257}
    resources = {
        "aws_lambda_layer_version": {"this": layer_version},
        "aws_iam_role": {"this": {"name": "r", "assume_role_policy": policy}},
    }
    (work / "planted" / "main.tf.json").write_text(json.dumps({"resource": resources}))
    try:
        with recording(ministack.endpoint) as sent:
            environment = ministack.environment() | {"AWS_ENDPOINT_URL": sent.endpoint}
            terraform = Terraform(work / "planted", work / "terraform", environment)
            terraform.apply({})
            found = sent.problems()
    finally:
        shutil.rmtree(work, ignore_errors=True)
        boto3.client("iam").delete_role(RoleName="r")
        boto3.client("lambda").delete_layer_version(LayerName="l", VersionNumber=1)
    assert [line.partition(" long,")[0].rpartition(":")[0] for line in found] == [
        "iam:CreateRole: AssumeRolePolicyDocument",
        "lambda:PublishLayerVersion: Description",
    ]


def test_updates_were_sent_as_well(applied: Applied) -> None:
    sent = {str(call) for call in applied.sent.calls()}
    assert {
        "dynamodb:UpdateTable",
        "lambda:UpdateFunctionConfiguration",
        "lambda:UpdateEventSourceMapping",
        "sqs:SetQueueAttributes",
    } <= sent


def test_policies_with_the_longest_names_fit_a_managed_policy(applied: Applied) -> None:
    """https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html: 6,144 without white space."""
    sizes = {name: len("".join(text.split())) for name, text in applied.outputs.items()}
    assert len(sizes) == 15
    assert {name: size for name, size in sizes.items() if size > 6144} == {}
