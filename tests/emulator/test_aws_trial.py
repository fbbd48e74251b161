"""The trial of docs/aws-trial.md from its first resource to its last, against MiniStack.

A subset of its steps, for the sake of time: those whose answers an emulator can give, and one of each kind that
it cannot. The others apply again, or wait for what only AWS does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from dev import ROOT, emulator
from dev.aws_trial.__main__ import FOLDER
from tests.emulator.conftest import NAME

STEPS = "1-4,12,16,18"


class Tried(NamedTuple):
    """What the trial said, and what it wrote."""

    process: subprocess.CompletedProcess[str]
    report: dict[str, Any]
    page: str

    def verdict(self, number: int) -> str | None:
        (step,) = [one for one in self.report["steps"] if one["number"] == number]
        return step["result"] and step["result"]["verdict"]


@pytest.fixture(scope="module")
def tried() -> Iterator[Tried]:
    name = f"{NAME}-trial"
    folder = FOLDER / f"fluxio-trial-on-{name}"
    try:
        process = subprocess.run(
            [sys.executable, "-m", "dev.aws_trial", "--emulator", name, "--only", STEPS],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert (folder / "report.json").is_file(), process.stdout + process.stderr
        report = json.loads((folder / "report.json").read_text())
        yield Tried(process, report, (folder / "report.md").read_text())
    finally:
        emulator.stop(name)
        shutil.rmtree(folder, ignore_errors=True)


def test_it_says_what_it_makes_before_it_makes_anything(tried: Tried) -> None:
    said = tried.process.stdout
    assert 0 < said.index("three DynamoDB tables") < said.index("terraform apply")


def test_steps_that_an_emulator_can_answer_are_as_expected(tried: Tried) -> None:
    assert tried.process.returncode == 0, tried.process.stdout + tried.process.stderr
    # Without a provider 6 on the machine, half of step 2 has no answer.
    assert tried.verdict(2) in ("pass", "figure")
    assert tried.verdict(4) == "pass"


def test_steps_that_only_aws_can_answer_are_marked_and_not_passed(tried: Tried) -> None:
    assert {number: tried.verdict(number) for number in (1, 3, 12, 16, 18)} == dict.fromkeys(
        (1, 3, 12, 16, 18), "needs AWS"
    )
    assert "broke off" not in tried.page


def test_steps_that_were_not_chosen_have_no_result(tried: Tried) -> None:
    assert [tried.verdict(number) for number in (5, 20)] == [None, None]


def test_at_the_end_everything_is_gone_and_nothing_runs(tried: Tried) -> None:
    assert tried.verdict(21) == "pass"
    assert tried.report["left"] == []
    assert tried.report["deployed"] is False
    assert emulator.find(tried.report["on"]) is None
