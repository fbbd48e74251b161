"""The GitHub workflows: nothing that can be exchanged from outside, and no right too many."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

WORKFLOWS = sorted((Path(__file__).parents[2] / ".github" / "workflows").glob("*.yml"))
PIN = re.compile(r"uses: [\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")

RIGHTS = {
    "ci.yml": {"check": {"contents": "read"}, "test": {"contents": "read"}},
    "release.yml": {
        "build": {"contents": "read"},
        "attest": {"id-token": "write", "attestations": "write"},
        "pypi": {"id-token": "write"},
        "github": {"contents": "write"},
    },
}
"""Every right that a job has. To ask for more takes a change here, too."""


def jobs(workflow: Path) -> dict[str, Any]:
    parsed: dict[str, Any] = yaml.safe_load(workflow.read_text())
    assert parsed["permissions"] == {}, "what a job is not given it must not have"
    found: dict[str, Any] = parsed["jobs"]
    return found


def test_every_workflow_is_known_here() -> None:
    """A new one says its rights first."""
    assert [workflow.name for workflow in WORKFLOWS] == sorted(RIGHTS)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_action_is_pinned_by_commit_and_says_its_version(workflow: Path) -> None:
    """A tag can be moved to other code, a commit cannot."""
    used = [line.strip(" -") for line in workflow.read_text().splitlines() if "uses:" in line]
    assert used
    assert [line for line in used if not PIN.fullmatch(line)] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_has_the_rights_it_needs_and_no_other(workflow: Path) -> None:
    """What runs the project's code can neither publish nor sign."""
    rights = {name: job["permissions"] for name, job in jobs(workflow).items()}
    assert rights == RIGHTS[workflow.name]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_every_job_ends_by_itself(workflow: Path) -> None:
    """The default is six hours."""
    assert all(job["timeout-minutes"] <= 90 for job in jobs(workflow).values())


def test_one_action_has_one_pin() -> None:
    """Two versions of an action side by side are an update that was forgotten."""
    pins: dict[str, set[str]] = {}
    for workflow in WORKFLOWS:
        for action, commit in re.findall(r"uses: (\S+)@(\S+)", workflow.read_text()):
            pins.setdefault(action, set()).add(commit)
    assert {action: found for action, found in pins.items() if len(found) > 1} == {}


def test_nothing_is_published_that_was_not_tested_and_attested() -> None:
    """The order of the release's jobs."""
    found = jobs(next(path for path in WORKFLOWS if path.name == "release.yml"))
    commands = [step["run"] for step in found["build"]["steps"] if "run" in step]
    assert "--tag" in commands[0]
    assert commands.index("make test") < commands.index("make release")
    assert found["attest"]["needs"] == "build"
    assert "attest" in found["pypi"]["needs"]
    assert {"attest", "pypi"} <= set(found["github"]["needs"])
