"""Metrics are gathered in memory and written at the end, each line in CloudWatch's embedded metric format."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fluxio.metrics import METRICS, NAMESPACE, Metrics
from tests.embedded_metrics import UNITS, problems, samples

ROOT = Path(__file__).parents[2]
AT = 1_800_000_000_000

Written = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def metrics(monkeypatch: pytest.MonkeyPatch) -> Metrics:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-worker")
    return Metrics(lambda: AT)


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Written:
    """The lines since the last look, each of them valid."""

    def read() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
        for line in lines:
            assert problems(line) == [], line
        return lines

    return read


def test_nothing_is_written_before_the_end_and_nothing_twice(
    metrics: Metrics, written: Written
) -> None:
    metrics.count("takeovers")
    assert written() == []
    metrics.flush()
    assert len(written()) == 1
    metrics.flush()
    assert written() == []


def test_an_invocation_that_counted_nothing_writes_nothing(
    metrics: Metrics, written: Written
) -> None:
    metrics.flush()
    assert written() == []


def test_a_line_says_when_which_worker_and_how_much(metrics: Metrics, written: Written) -> None:
    metrics.count("runs_started", "Order")
    metrics.count("runs_started", "Order")
    metrics.took("run_duration", 250, "Order")
    metrics.flush()
    assert written() == [
        {
            "_aws": {
                "Timestamp": AT,
                "CloudWatchMetrics": [
                    {
                        "Namespace": NAMESPACE,
                        "Dimensions": [["worker"], ["worker", "workflow"]],
                        "Metrics": [
                            {"Name": "runs_started", "Unit": "Count"},
                            {"Name": "run_duration", "Unit": "Milliseconds"},
                        ],
                    }
                ],
            },
            "worker": "orders-worker",
            "workflow": "Order",
            "runs_started": 2,
            "run_duration": 250,
        }
    ]


def test_each_workflow_and_each_step_has_a_line_of_its_own(
    metrics: Metrics, written: Written
) -> None:
    for workflow in ("Order", "Refund"):
        metrics.count("runs_started", workflow)
        for step in ("charge", "ship"):
            metrics.took("step_duration", 5, workflow, step)
    metrics.count("takeovers")
    metrics.flush()
    assert [(line.get("workflow"), line.get("step")) for line in written()] == [
        ("Order", None),
        ("Order", "charge"),
        ("Order", "ship"),
        ("Refund", None),
        ("Refund", "charge"),
        ("Refund", "ship"),
        (None, None),
    ]


def test_failed_steps_are_counted_by_step_and_for_the_worker_as_a_whole(
    metrics: Metrics, written: Written
) -> None:
    metrics.count("step_failures", "Order", "charge")
    metrics.count("step_failures", "Order", "ship", by=2)
    metrics.took("step_duration", 9, "Order", "ship")
    metrics.flush()
    worker, order = ("worker", "orders-worker"), ("workflow", "Order")
    assert sorted(samples(written())) == [
        (("step_duration", (worker, order, ("step", "ship"))), 9),
        (("step_failures", (worker,)), 1),
        (("step_failures", (worker,)), 2),
        (("step_failures", (worker, order, ("step", "charge"))), 1),
        (("step_failures", (worker, order, ("step", "ship"))), 2),
    ]


@pytest.mark.parametrize("number", [1, 100, 101, 250])
def test_more_values_than_a_line_may_hold_take_several_lines(
    metrics: Metrics, written: Written, number: int
) -> None:
    for took in range(number):
        metrics.took("queue_delay", took)
    metrics.count("takeovers")
    metrics.flush()
    lines = written()
    assert len(lines) == -(-number // 100)
    found = [value for (name, _), value in samples(lines) if name == "queue_delay"]
    assert found == [*range(number)]
    assert [value for (name, _), value in samples(lines) if name == "takeovers"] == [1]


def test_two_clocks_that_disagree_make_no_negative_time(metrics: Metrics, written: Written) -> None:
    metrics.took("queue_delay", -3)
    metrics.flush()
    (line,) = written()
    assert line["queue_delay"] == 0


def test_all_metrics_at_once_under_the_longest_names_are_valid(
    metrics: Metrics, written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "w" * 64)
    for name, metric in METRICS.items():
        names = {"workflow": "f" * 64, "step": "s" * 40}
        given = {key: names[key] for key in metric.dimensions[-1][1:]}
        for _ in range(150):
            if metric.unit == "Count":
                metrics.count(name, **given)
            else:
                metrics.took(name, 10**12, **given)
    metrics.flush()
    assert {name for (name, _), _ in samples(written())} == {*METRICS}


def test_no_metric_needs_more_than_the_worker_its_workflow_and_its_step() -> None:
    for name, metric in METRICS.items():
        assert metric.unit in UNITS
        for dimensions in metric.dimensions:
            assert dimensions == ("worker", "workflow", "step")[: len(dimensions)], name
        assert len({*metric.dimensions}) == len(metric.dimensions)


VALID: dict[str, Any] = {
    "_aws": {
        "Timestamp": AT,
        "CloudWatchMetrics": [
            {"Namespace": "n", "Dimensions": [["d"]], "Metrics": [{"Name": "m", "Unit": "Count"}]}
        ],
    },
    "d": "x",
    "m": 1,
}


def _break(change: Callable[[dict[str, Any], dict[str, Any]], object]) -> dict[str, Any]:
    line = copy.deepcopy(VALID)
    change(line, line["_aws"]["CloudWatchMetrics"][0])
    return line


@pytest.mark.parametrize(
    "line",
    [
        _break(lambda line, _: line.pop("_aws")),
        _break(lambda line, _: line["_aws"].pop("Timestamp")),
        _break(lambda line, _: line["_aws"].update(Timestamp="now")),
        _break(lambda line, _: line.pop("d")),
        _break(lambda line, _: line.update(d="")),
        _break(lambda line, _: line.update(d="é")),
        _break(lambda line, _: line.update(d="x" * 1025)),
        _break(lambda line, _: line.pop("m")),
        _break(lambda line, _: line.update(m="1")),
        _break(lambda line, _: line.update(m=[])),
        _break(lambda line, _: line.update(m=[1] * 101)),
        _break(lambda line, _: line.update(more="x" * 1_048_576)),
        _break(lambda _, directive: directive.pop("Dimensions")),
        _break(lambda _, directive: directive.update(Namespace="")),
        _break(lambda _, directive: directive.update(Dimensions=[["d"] * 31])),
        _break(lambda _, directive: directive.update(Dimensions=[["d"], ["d"]])),
        _break(lambda _, directive: directive.update(Dimensions=[["d" * 251]])),
        _break(lambda _, directive: directive["Metrics"][0].update(Unit="Pieces")),
        _break(lambda _, directive: directive["Metrics"][0].update(Name="m" * 1025)),
        _break(lambda _, directive: directive.update(Metrics=[{"Name": "m"}] * 101)),
    ],
)
def test_the_schema_refuses_what_aws_does(line: dict[str, Any]) -> None:
    assert problems(VALID) == []
    assert problems(line) != []


ROW = re.compile(r"^\| `(\w+)` \| (\w+) \| ([\w,; ]+) \| (.+) \|$", re.MULTILINE)


def test_the_documented_table_is_the_one_that_the_worker_goes_by() -> None:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    rows = {name: (unit, dimensions) for name, unit, dimensions, _ in ROW.findall(text)}
    assert rows == {
        name: (metric.unit, "; ".join(", ".join(one) for one in metric.dimensions))
        for name, metric in METRICS.items()
    }


def test_the_documented_queries_are_those_that_the_module_saves() -> None:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    module = (ROOT / "modules/fluxio/logs.tf").read_text(encoding="utf-8")
    saved = re.findall(r"<<-EOT\n(.*?)    EOT", module, re.DOTALL)
    assert re.findall(r"```\n(.*?)```", text, re.DOTALL) == [
        query.replace("      ", "") for query in saved
    ]
    assert len(saved) == 2


def test_every_line_that_the_engine_logs_is_documented() -> None:
    text = (ROOT / "docs/metrics.md").read_text(encoding="utf-8")
    said = set()
    for path in (ROOT / "layer/src/fluxio").glob("*.py"):
        source = path.read_text(encoding="utf-8")
        said |= set(
            re.findall(r'\blog(?:_payload)?\(\s*(?:"[A-Z]+", )?\s*f?"([a-z][^"{]*)', source)
        )
        said |= set(re.findall(r'\blog\(\s*"[A-Z]+",\s*f?"([a-z][^"{]*)', source))
    assert len(said) >= 12
    for message in said:
        assert f"`{message.strip()}" in text, message
