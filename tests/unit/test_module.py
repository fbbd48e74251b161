"""The Terraform module's README says what it takes, gives and raises; it asks for metrics that exist."""

from __future__ import annotations

import re
from pathlib import Path

from fluxio.metrics import METRICS

ROOT = Path(__file__).parents[2]
MODULE = ROOT / "modules" / "fluxio"
README = (MODULE / "README.md").read_text(encoding="utf-8")


def blocks(kind: str) -> dict[str, str]:
    """The description of each variable or output, by name."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf")))
    found = re.findall(rf'^{kind} "(\w+)" {{\n  description = "(.*)"$', text, re.MULTILINE)
    return {name: described.replace('\\"', '"') for name, described in found}


def rows(heading: str) -> list[list[str]]:
    """The cells of the table below a heading of the README."""
    section = README.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("| `")]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_readme_has_every_input_with_its_description() -> None:
    assert {name.strip("`"): described for name, _, described in rows("Inputs")} == blocks(
        "variable"
    )


def test_the_readme_has_every_output_with_its_description() -> None:
    assert {name.strip("`"): described for name, described in rows("Outputs")} == blocks("output")


def test_the_readme_has_every_alarm() -> None:
    variables = (MODULE / "variables.tf").read_text(encoding="utf-8")
    thresholds = re.findall(r"^    (\w+) += optional\(object\({ enabled", variables, re.MULTILINE)
    assert [row[0].strip("`") for row in rows("Alarms")] == sorted(thresholds)
    assert len(thresholds) == 10


def test_alarms_and_dashboard_ask_for_all_metrics_of_the_worker_and_for_no_others() -> None:
    alarms = (MODULE / "alarms.tf").read_text(encoding="utf-8")
    dashboard = (MODULE / "dashboard.tf").read_text(encoding="utf-8")
    alarmed = set(re.findall(r'metric  = "([a-z_]+)"', alarms))
    shown = set(re.findall(r'"fluxio", "([a-z_]+)"', dashboard))
    searched = set(re.findall(r'local[.]find[.]\w+}=\\"([a-z_]+)\\"', dashboard))
    by_step = set(re.findall(r"(step_\w+) = ", dashboard))
    assert alarmed == {"runs_failed", "runs_parked", "runs_stuck", "sweeps"}
    assert alarmed | shown | searched | by_step == {*METRICS}
