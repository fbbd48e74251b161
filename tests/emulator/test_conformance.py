"""MiniStack does what the simulation takes DynamoDB and SQS to do, but for what is listed here."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from uuid import uuid4

import boto3
import pytest

from dev.emulator import Emulator
from tests.simulation import conformance
from tests.simulation.conformance import Backend, Check

CANNOT = {
    "paths_that_overlap_are_refused": "MiniStack accepts them",
    "nothing_is_removed_under_a_map_that_is_not_there": "MiniStack takes it for done",
    "arithmetic_needs_a_number_on_both_sides": "MiniStack begins at 0 where nothing is",
    "every_value_and_name_that_is_used_is_given": "MiniStack takes an unknown name for an attribute",
    "a_transaction_that_does_not_fit_an_item_is_cancelled_for_that": "as for arithmetic",
    "a_message_is_hidden_for_twelve_hours_at_most": "MiniStack knows no limit",
}


@pytest.fixture(scope="module")
def backend(ministack: Emulator) -> Iterator[Backend]:
    dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")
    name = f"conformance-{uuid4().hex[:8]}"
    conformance.create_table(dynamodb, name)
    queue_url, dlq_url = conformance.create_queues(sqs, name)
    other = partial(conformance.create_other_table, dynamodb)
    yield Backend(dynamodb, sqs, name, queue_url, dlq_url, other)
    dynamodb.delete_table(TableName=name)
    sqs.delete_queue(QueueUrl=queue_url)
    sqs.delete_queue(QueueUrl=dlq_url)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_ministack_does_what_the_simulation_assumes(check: Check, backend: Backend) -> None:
    conformance.run(check, backend, CANNOT)
