"""Starts a run, handles its message in a process of its own, and says whether that imported the SDK of X-Ray.

python -m tests.moto.one_message
"""

from __future__ import annotations

import os
import sys

import boto3
from moto import mock_aws

from fluxio import step, workflow
from tests.moto.conftest import create_table
from tests.moto.pump import Clock, World


@workflow
class One:
    @step
    def one(self) -> dict:
        return {}


def main() -> None:
    os.environ |= {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}
    invocation = os.environ.pop("_X_AMZN_TRACE_ID", None)
    with mock_aws():
        dynamodb, sqs = (
            boto3.client(name, region_name="us-east-1") for name in ("dynamodb", "sqs")
        )
        create_table(dynamodb, "runs")
        queue_url = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})[
            "QueueUrl"
        ]
        world = World(dynamodb, sqs, "runs", queue_url, "", Clock())
        run_id = world.client.start("One").run_id  # outside the invocation
        if invocation is not None:
            os.environ["_X_AMZN_TRACE_ID"] = invocation
        world.pump(One).drain()
        status = world.client.get(run_id).status
    sys.stdout.write(f"{status} {'aws_xray_sdk' in sys.modules}\n")


if __name__ == "__main__":
    main()
