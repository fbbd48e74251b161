"""Which policies of the module are looked at, and which findings are let through."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev import policies
from dev.policies import Finding, Policy
from dev.stage import DevError

ALLOW = json.dumps({"Version": "2012-10-17", "Statement": []})
EXCUSED = [("RESOURCE_STAR", sorted(excuse.actions)) for excuse in policies.EXCUSES]
NETWORK = EXCUSED[0][1]


def plan(**of: str) -> dict[str, Any]:
    """A plan's event with one policy for each name; those that end with _policy_json are outputs."""
    outputs = {name: {"after": text} for name, text in of.items() if name.endswith("_policy_json")}
    changes = [
        {"address": f"a.{name}", "name": name, "change": {"after": {"policy": text, "path": "/"}}}
        for name, text in of.items()
        if name not in outputs
    ]
    parts = {"output_changes": outputs, "resource_changes": changes}
    return {"type": "test_plan", "@testrun": "a_run", "test_plan": parts}


def every_policy() -> list[dict[str, Any]]:
    return [
        plan(
            client_policy_json=ALLOW,
            operator_policy_json=ALLOW + " ",
            worker=ALLOW + "  ",
            schedule=ALLOW + "   ",
            nudges=ALLOW + "    ",
            dlq=ALLOW + "     ",
            run_events=ALLOW + "      ",
            deployer_policy_json=ALLOW + "       ",
        )
    ]


def test_every_policy_of_the_plans_is_looked_at_once() -> None:
    events = [{"type": "version"}, *every_policy(), *every_policy()]
    found = list(policies.in_plans(events))
    assert {policy.of for policy in found} == policies.EXPECTED
    assert len(found) == 8
    assert found[0].at == "a_run, output client_policy_json"


def test_a_resource_that_is_destroyed_or_has_no_policy_is_passed_over() -> None:
    event = plan(worker=ALLOW)
    gone = {"address": "a.b", "name": "b", "change": {"after": None}}
    event["test_plan"]["resource_changes"] += [gone, {**gone, "change": {"after": {}}}]
    assert [policy.of for policy in policies.in_plans([event])] == ["worker"]


def looked_at(monkeypatch: pytest.MonkeyPatch, *found: tuple[str, Any]) -> None:
    """Check plans in which parliament finds this."""
    policy = Policy("a_run, output worker_policy_json", "worker", ALLOW)
    monkeypatch.setattr(policies, "_test_events", every_policy)
    monkeypatch.setattr(policies, "findings", lambda _: [Finding(policy, *one) for one in found])
    policies.check()


def test_an_excused_finding_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    looked_at(monkeypatch, *EXCUSED)


@pytest.mark.parametrize(
    "finding",
    [
        ("UNKNOWN_ACTION", "No such action"),
        ("RESOURCE_STAR", [*NETWORK, "ec2:RunInstances"]),
        ("RESOURCE_STAR", ["s3:GetObject"]),
    ],
)
def test_any_other_finding_fails_the_check_and_says_where(
    monkeypatch: pytest.MonkeyPatch, finding: tuple[str, Any]
) -> None:
    with pytest.raises(DevError, match=f"worker_policy_json: {finding[0]}"):
        looked_at(monkeypatch, *EXCUSED, finding)


def test_an_excuse_that_nothing_needs_any_more_fails_the_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(DevError, match="nothing needs RESOURCE_STAR"):
        looked_at(monkeypatch)


def test_plans_without_somebodys_policy_fail_the_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies, "_test_events", lambda: [plan(worker=ALLOW)])
    with pytest.raises(
        DevError, match="client, deployer, dlq, nudges, operator, run_events, schedule"
    ):
        policies.check()
