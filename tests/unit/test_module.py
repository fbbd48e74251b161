"""The Terraform module: its README has every alarm, its tests refuse what they should, its alarms exist."""

from __future__ import annotations

import json
import re
from pathlib import Path

from fluxio.metrics import METRICS
from fluxio_protocol import layout
from fluxio_protocol.run import ENDED

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


def test_the_table_has_the_indexes_that_clients_and_workers_read() -> None:
    """And no attribute in one that is not read from it: each would be write units."""
    text = (MODULE / "table.tf").read_text(encoding="utf-8")
    line = r'^    (\w+) += { hash_key = "(\w+)", range_key = "(\w+)", with = (\[.*\]) }$'
    made = {
        name: layout.Index(hash_key, range_key, tuple(json.loads(projected)))
        for name, hash_key, range_key, projected in re.findall(line, text, re.MULTILINE)
    }
    kinds = re.findall(r'^  attribute {\n    name = "(\w+)"\n    type = "(\w)"', text, re.MULTILINE)

    assert made == layout.INDEXES
    assert dict(kinds) == layout.KEY_TYPES


def test_run_events_tell_of_every_status_in_which_a_run_has_ended() -> None:
    """By default, by what an input may name, and by what the filter takes for the end."""
    texts = [(MODULE / name).read_text(encoding="utf-8") for name in ("variables.tf", "events.tf")]
    listed = re.findall(r'\["SUCCEEDED"[^]]*\]', "".join(texts))
    assert len(listed) == 3
    for one in listed:
        assert set(json.loads(one)) == {status.value for status in ENDED}


BLOCK = re.compile(r'^resource "(\w+)" "(\w+)" {\n(.*?)^}', re.MULTILINE | re.DOTALL)


def resources() -> dict[str, str]:
    """The module's resources, by address, as their blocks stand in the files."""
    text = "".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf")))
    return {f"{kind}.{name}": block for kind, name, block in BLOCK.findall(text)}


def test_what_may_vanish_is_gone_only_after_those_who_name_it() -> None:
    """Terraform destroys before it updates: AWS refuses, or those who still name what is gone miss it.

    So each resource with a count or for_each that others name has `create_before_destroy`, or says why not.
    """
    everything = "".join(path.read_text(encoding="utf-8") for path in MODULE.glob("*.tf"))
    outputs = (MODULE / "outputs.tf").read_text(encoding="utf-8")
    found = resources()
    assert "aws_cloudwatch_metric_alarm.this" in found
    counted = {
        address: block
        for address, block in found.items()
        if re.search(r"^  (count|for_each) +=", block, re.MULTILINE)
    }
    named = {
        address
        for address, block in counted.items()
        if re.search(
            rf"\b{re.escape(address)}\b", everything.replace(block, "").replace(outputs, "")
        )
    }
    unexplained = {
        address
        for address in named
        if "create_before_destroy = true" not in counted[address]
        and "  # Order of deletion: " not in counted[address]
    }
    assert unexplained == set()
    assert "create_before_destroy = true" in counted["aws_cloudwatch_metric_alarm.this"], (
        "CloudWatch deletes no alarm that a composite one names"
    )


def test_no_lookup_decides_what_is_made_or_replaced() -> None:
    """A `depends_on` of the whole module puts lookups off, and what hangs on one is then unknown.

    What is left to look up are the account, the Region and the partition, for the ARNs in policies.
    """
    text = "".join(path.read_text(encoding="utf-8") for path in MODULE.glob("*.tf"))
    looked_up = set(re.findall(r'^data "(\w+)"', text, re.MULTILINE))
    assert looked_up == {
        "aws_caller_identity",
        "aws_iam_policy_document",
        "aws_partition",
        "aws_region",
    }
    mapping = resources()["aws_lambda_event_source_mapping.nudges"]
    assert re.search(r"event_source_arn += local\.made\.queue_arn\n", mapping)
