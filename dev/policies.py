"""parliament over the module's policies: unknown actions, and resources or conditions that do not fit them.

    python -m dev.policies

The policies are those that the module's own tests plan (see `TESTS`), in every variant that is tested
there: of the worker, the schedules, the pipe, clients, operators, deployers and the queues. All of it
works offline: parliament brings its own copy of what AWS documents about the actions of each service.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from dev import ROOT, STATE
from dev.bootstrap import checkov_environment
from dev.stage import DevError, command_line, say
from dev.terraform import Terraform

TESTS = tuple(
    f"tests/{name}.tftest.hcl" for name in ("policies", "schedules", "events", "deployer")
)

EXPECTED = {"client", "operator", "schedule", "worker", "nudges", "dlq", "run_events", "deployer"}
"""Whose policies there are: to find fewer would mean to have looked in the wrong place."""

ANY_ROLE = "arn:aws:iam::123456789012:role/any"


class Excuse(NamedTuple):
    """A finding that is right as it stands, and why."""

    issue: str
    actions: frozenset[str]
    why: str


EXCUSES = (
    Excuse(
        "RESOURCE_STAR",
        frozenset(
            f"ec2:{action}"
            for action in (
                "AssignPrivateIpAddresses",
                "CreateNetworkInterface",
                "DeleteNetworkInterface",
                "UnassignPrivateIpAddresses",
            )
        ),
        "Lambda makes the network interfaces of a function in a VPC, whose ids cannot be known before. "
        "AWS's managed policy AWSLambdaVPCAccessExecutionRole has the same `*`: "
        "https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html",
    ),
    Excuse(
        "RESOURCE_STAR",
        frozenset({"cloudwatch:DescribeAlarms"}),
        "Composite alarms are shown to none whose right is confined to some: "
        "https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_DescribeAlarms.html",
    ),
)


class Policy(NamedTuple):
    """A policy, and where it was met first."""

    at: str
    of: str
    text: str


class Finding(NamedTuple):
    """What parliament says about a policy."""

    policy: Policy
    issue: str
    detail: Any

    def __str__(self) -> str:
        return f"{self.policy.at}: {self.issue}: {json.dumps(self.detail)}"


def check() -> None:
    """Plan the module's policies and hold them against what AWS documents.

    Raises:
        DevError: a policy has a finding that is not excused, or an excuse is needed no longer.
    """
    planned = list(in_plans(_test_events()))
    missing = EXPECTED - {policy.of for policy in planned}
    if missing:
        raise DevError(f"{', '.join(TESTS)}: no policy of {', '.join(sorted(missing))} is planned.")
    found = findings(planned)
    if wrong := [finding for finding in found if not excused(finding)]:
        raise DevError(
            "parliament found mistakes in the module's policies. Mend them, or add an excuse with its reason "
            "to EXCUSES in dev/policies.py.\n" + "\n".join(f"    {finding}" for finding in wrong)
        )
    if idle := [
        excuse for excuse in EXCUSES if not any(_covers(excuse, finding) for finding in found)
    ]:
        raise DevError(f"EXCUSES in dev/policies.py: nothing needs {idle[0].issue} any more.")
    say(f"parliament found nothing in {len(planned)} policies")


def in_plans(events: Iterable[Mapping[str, Any]]) -> Iterator[Policy]:
    """The different policies in what `terraform test -json -verbose` says, each once."""
    seen: set[str] = set()
    for event in events:
        if event["type"] != "test_plan":
            continue
        for place, of, text in _policies(event["test_plan"]):
            if text not in seen:
                seen.add(text)
                yield Policy(f"{event['@testrun']}, {place}", of, text)


def _policies(plan: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """Place, whose it is, text."""
    for name, output in plan.get("output_changes", {}).items():
        if name.endswith("_policy_json") and output["after"]:
            yield f"output {name}", name.removesuffix("_policy_json"), output["after"]
    for resource in plan.get("resource_changes", ()):
        for name in ("policy", "assume_role_policy"):
            text = (resource["change"]["after"] or {}).get(name)
            if isinstance(text, str):
                yield f"{resource['address']}.{name}", resource["name"], text


def findings(policies: Sequence[Policy]) -> list[Finding]:
    """What parliament says about them. A role's trust policy names no resource: it is the role's own."""
    answer = subprocess.run(
        [checkov_environment(), "-I", str(ROOT / "dev" / "policy_findings.py")],
        input=json.dumps([_with_resources(policy.text) for policy in policies]),
        capture_output=True,
        text=True,
    )
    if answer.returncode:
        raise DevError(f"parliament failed (exit {answer.returncode}).\n{answer.stderr}")
    return [
        Finding(policy, each["issue"], each["detail"])
        for policy, of_policy in zip(policies, json.loads(answer.stdout), strict=True)
        for each in of_policy
    ]


def _with_resources(text: str) -> str:
    policy = json.loads(text)
    for statement in policy["Statement"]:
        if statement["Action"] == "sts:AssumeRole":
            statement.setdefault("Resource", ANY_ROLE)
    return json.dumps(policy)


def excused(finding: Finding) -> bool:
    return any(_covers(excuse, finding) for excuse in EXCUSES)


def _covers(excuse: Excuse, finding: Finding) -> bool:
    detail = finding.detail if isinstance(finding.detail, list) else [finding.detail]
    return finding.issue == excuse.issue and set(map(str, detail)) == excuse.actions


def _test_events() -> list[dict[str, Any]]:
    terraform = Terraform(ROOT / "modules" / "fluxio", STATE / "check-fluxio")
    say(f"terraform plans the policies of {', '.join(TESTS)} …")
    return [event for tests in TESTS for event in terraform.test_events(tests)]


def main(arguments: list[str]) -> None:
    if arguments:
        raise DevError("say: python -m dev.policies")
    check()


if __name__ == "__main__":
    command_line(main)
