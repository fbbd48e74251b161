"""parliament itself: it sees the mistakes that an emulator, which knows no list of actions, lets pass."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev import policies
from dev.policies import Policy

TABLE = "arn:aws:dynamodb:us-east-1:123456789012:table/orders-runs"


def issues(**statement: Any) -> list[str]:
    text = json.dumps(
        {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Sid": "One", **statement}]}
    )
    return [finding.issue for finding in policies.findings([Policy("here", "worker", text)])]


def test_a_right_that_exists_for_a_resource_that_it_takes_is_well() -> None:
    assert issues(Action="dynamodb:GetItem", Resource=TABLE) == []


@pytest.mark.parametrize(
    ("statement", "issue"),
    [
        ({"Action": "dynamodb:GetItems", "Resource": TABLE}, "UNKNOWN_ACTION"),
        ({"Action": "dynamo:GetItem", "Resource": TABLE}, "UNKNOWN_PREFIX"),
        ({"Action": "sqs:SendMessage", "Resource": TABLE}, "RESOURCE_MISMATCH"),
        ({"Action": "dynamodb:GetItem", "Resource": "*"}, "RESOURCE_STAR"),
        (
            {
                "Action": "dynamodb:GetItem",
                "Resource": TABLE,
                "Condition": {"StringEquals": {"s3:prefix": "x"}},
            },
            "UNKNOWN_CONDITION_FOR_ACTION",
        ),
        ({"Action": "dynamodb:GetItem", "Resource": TABLE, "Sid": "not a sid"}, "INVALID_SID"),
    ],
)
def test_a_mistake_is_found(statement: dict[str, Any], issue: str) -> None:
    assert issue in issues(**statement)


def test_a_trust_policy_is_looked_at_although_it_names_no_resource() -> None:
    service = {"Service": "lambda.amazonaws.com"}
    assert issues(Action="sts:AssumeRole", Principal=service) == []
    wrong = {"StringEquals": {"aws:NoSuchKey": "1"}}
    assert issues(Action="sts:AssumeRole", Principal=service, Condition=wrong) != []
