"""The Terraform module's README has every alarm, and alarms and dashboard ask for metrics that exist."""

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


def test_alarms_and_dashboard_ask_for_all_metrics_of_the_worker_and_for_no_others() -> None:
    alarms = (MODULE / "alarms.tf").read_text(encoding="utf-8")
    dashboard = (MODULE / "dashboard.tf").read_text(encoding="utf-8")
    alarmed = set(re.findall(r'metric  = "([a-z_]+)"', alarms))
    shown = set(re.findall(r'"fluxio", "([a-z_]+)"', dashboard))
    searched = set(re.findall(r'local[.]find[.]\w+}=\\"([a-z_]+)\\"', dashboard))
    by_step = set(re.findall(r"(step_\w+) = ", dashboard))
    assert alarmed == {"runs_failed", "runs_parked", "runs_stuck", "sweeps"}
    assert alarmed | shown | searched | by_step == {*METRICS}
