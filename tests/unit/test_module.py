"""The Terraform module: its README has every alarm, its tests refuse what they should, its alarms exist."""

from __future__ import annotations

import re
from pathlib import Path

from fluxio.metrics import METRICS

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "modules" / "fluxio"
README = (MODULE / "README.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the README."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_readme_has_every_alarm() -> None:
    variables = (MODULE / "variables.tf").read_text(encoding="utf-8")
    thresholds = re.findall(r"^    (\w+) += optional\(object\({ enabled", variables, re.MULTILINE)
    assert [row[0].strip("`") for row in rows("Alarms")] == sorted(thresholds)
    assert len(thresholds) == 10


def test_every_input_that_is_validated_is_refused_in_a_test_of_the_module() -> None:
    variables = (MODULE / "variables.tf").read_text(encoding="utf-8")
    blocks = re.findall(r'^variable "(\w+)" {(.*?)^}', variables, re.MULTILINE | re.DOTALL)
    validated = {name for name, block in blocks if "validation {" in block}
    tests = "".join(path.read_text(encoding="utf-8") for path in MODULE.glob("tests/*.tftest.hcl"))
    expected = " ".join(re.findall(r"expect_failures = \[(.*?)\]", tests, re.DOTALL))
    assert len(validated) > 30
    assert validated - set(re.findall(r"\bvar\.(\w+)", expected)) == set()


def test_alarms_and_dashboard_ask_for_all_metrics_of_the_worker_and_for_no_others() -> None:
    alarms = (MODULE / "alarms.tf").read_text(encoding="utf-8")
    dashboard = (MODULE / "dashboard.tf").read_text(encoding="utf-8")
    alarmed = set(re.findall(r'metric  = "([a-z_]+)"', alarms))
    shown = set(re.findall(r'"fluxio", "([a-z_]+)"', dashboard))
    searched = set(re.findall(r'local[.]find[.]\w+}=\\"([a-z_]+)\\"', dashboard))
    by_step = set(re.findall(r"(step_\w+) = ", dashboard))
    assert alarmed == {"runs_failed", "runs_parked", "runs_stuck", "sweeps"}
    assert alarmed | shown | searched | by_step == {*METRICS}
