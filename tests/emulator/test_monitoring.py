"""Alarms, dashboard and log of the real module, applied by real Terraform."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import boto3
import pytest

from fluxio.metrics import METRICS, NAMESPACE
from fluxio_client import FluxioClient, RunStatus
from tests.embedded_metrics import problems, samples
from tests.emulator.world import Deployed, Scratch, until

SEARCH = re.compile(r"""SEARCH\('\{([\w/,]+)\} ([^']+)', '(\w+)', \d+\)""")
TERM = re.compile(r'(\w+)="([^"]+)"')

_TABLE = [{"TableName"}, {"TableName", "GlobalSecondaryIndexName"}]

#: Metrics that alarms and dashboard may use, AWS's and fluxio's, with the dimensions under which they are kept.
KEPT: dict[str, dict[str, list[set[str]]]] = {
    "AWS/DynamoDB": {
        "ConsumedReadCapacityUnits": _TABLE,
        "ConsumedWriteCapacityUnits": _TABLE,
        "ReadThrottleEvents": _TABLE,
        "SuccessfulRequestLatency": [{"TableName", "Operation"}],
        "WriteThrottleEvents": _TABLE,
    },
    "AWS/Lambda": {
        name: [{"FunctionName"}]
        for name in ("ConcurrentExecutions", "Duration", "Errors", "Invocations", "Throttles")
    },
    "AWS/Logs": {"IncomingBytes": [{"LogGroupName"}]},
    "AWS/SQS": {
        name: [{"QueueName"}]
        for name in (
            "ApproximateAgeOfOldestMessage",
            "ApproximateNumberOfMessagesNotVisible",
            "ApproximateNumberOfMessagesVisible",
            "NumberOfEmptyReceives",
            "NumberOfMessagesDeleted",
            "NumberOfMessagesReceived",
            "NumberOfMessagesSent",
        )
    },
    NAMESPACE: {name: [{*one} for one in metric.dimensions] for name, metric in METRICS.items()},
}

#: A metric that somebody asks for: namespace, name, dimensions with their values.
Asked = tuple[str, str, dict[str, str]]


@pytest.fixture
def cloudwatch(deployed: Deployed) -> Any:
    return boto3.client("cloudwatch")


def asked_by_alarms(cloudwatch: Any) -> Iterator[Asked]:
    for alarm in cloudwatch.describe_alarms(AlarmTypes=["MetricAlarm"])["MetricAlarms"]:
        for one in alarm.get("Metrics") or [{"MetricStat": {"Metric": alarm}}]:
            if metric := one.get("MetricStat", {}).get("Metric"):
                dimensions = {each["Name"]: each["Value"] for each in metric["Dimensions"]}
                yield metric["Namespace"], metric["MetricName"], dimensions


def asked_by_dashboard(cloudwatch: Any) -> Iterator[Asked]:
    (name,) = [one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]]
    body = json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"])
    for widget in body["widgets"]:
        for metric in widget["properties"].get("metrics", []):
            options = metric[-1]
            if "expression" not in options:
                namespace, name, *said = metric[:-1]
                yield namespace, name, dict(zip(said[::2], said[1::2], strict=True))
            elif options["expression"].startswith("SEARCH"):
                found = SEARCH.fullmatch(options["expression"])
                assert found, options["expression"]
                namespace, *names = found[1].split(",")
                terms = dict(TERM.findall(found[2]))
                yield namespace, terms.pop("MetricName"), {**dict.fromkeys(names, "*"), **terms}


def test_every_metric_that_an_alarm_or_the_dashboard_asks_for_exists(
    deployed: Deployed, cloudwatch: Any
) -> None:
    asked = [*asked_by_alarms(cloudwatch), *asked_by_dashboard(cloudwatch)]
    assert len(asked) > 50
    worker = deployed.outputs["worker_function_name"]
    for namespace, name, dimensions in asked:
        assert {*dimensions} in KEPT[namespace][name], (namespace, name, dimensions)
        if namespace == NAMESPACE:
            assert dimensions["worker"] == worker
    shown = {name for namespace, name, _ in asked if namespace == NAMESPACE}
    assert shown == {*METRICS}, "a metric that nobody looks at"


def test_what_a_worker_emits_raises_its_alarm_and_calls_a_person_until_it_is_over(
    deployed: Deployed,
    cloudwatch: Any,
    scratch: Scratch,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "package"))
    sys.modules.pop("shop.workflows", None)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", deployed.outputs["worker_function_name"])
    worker, _, _ = scratch.worker(inline_branches=10)
    run = scratch.client.start("Broken", {})
    scratch.drain(worker)
    assert scratch.client.get(run.run_id).status is RunStatus.WAITING
    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines()]
    emitted = [line for line in lines if "_aws" in line]

    def states() -> tuple[str, str]:
        names = ["fluxio-test-runs-parked", "fluxio-test-needs-a-person"]
        kinds = ["MetricAlarm", "CompositeAlarm"]
        found = cloudwatch.describe_alarms(AlarmNames=names, AlarmTypes=kinds)
        (alarm,), (composite,) = found["MetricAlarms"], found["CompositeAlarms"]
        return alarm["StateValue"], composite["StateValue"]

    def put(lines: list[dict[str, Any]], at: datetime) -> None:
        # CloudWatch would do this with the log; MiniStack does not.
        for (name, dimensions), value in samples(lines):
            cloudwatch.put_metric_data(
                Namespace=NAMESPACE,
                MetricData=[
                    {
                        "MetricName": name,
                        "Dimensions": [{"Name": of, "Value": said} for of, said in dimensions],
                        "Timestamp": at,
                        "Value": value,
                    }
                ],
            )

    assert states()[0] != "ALARM"
    put(emitted, datetime.now(timezone.utc) - timedelta(seconds=50))
    assert states() == ("ALARM", "ALARM")

    def over() -> bool:
        put([line | {"runs_parked": 0} for line in emitted], datetime.now(timezone.utc))
        return states()[0] == "OK"

    until(over, 30, "the end of the alarm")
    # Unless another alarm has gone off meanwhile: where nobody puts in the sweeps, that of their silence does.
    others = cloudwatch.describe_alarms(StateValue="ALARM", AlarmTypes=["MetricAlarm"])
    assert states()[1] == ("ALARM" if others["MetricAlarms"] else "OK")


def test_the_deployed_workers_log_tells_of_a_run_and_holds_its_metrics(
    deployed: Deployed, client: FluxioClient
) -> None:
    began = int(time.time() * 1000) - 1000
    run = client.start("OrderFulfillment", {"order_id": "o-7", "amount": 1.0})
    client.wait(run.run_id, timeout=60)

    def logged() -> list[dict[str, Any]]:
        events = deployed.clients["logs"].filter_log_events(
            logGroupName=f"/aws/lambda/{deployed.outputs['worker_function_name']}", startTime=began
        )["events"]
        texts = [event["message"].strip() for event in events]
        lines = [json.loads(text) for text in texts if text.startswith("{")]
        return lines if any("runs_succeeded" in line for line in lines) else []

    lines = until(logged, 30, "the worker's metrics")
    for line in lines:
        if "_aws" in line:
            assert problems(line) == [], line
    (started,) = [line for line in lines if "runs_started" in line]
    assert started["worker"] == deployed.outputs["worker_function_name"]
    about = [line for line in lines if line.get("run_id") == run.run_id]
    assert {line["message"] for line in about} == {
        "message handled",
        "run succeeded",
        "step returned",
    }
    (handled,) = [line for line in about if line["message"] == "message handled"]
    assert handled["verdict"] == "acknowledged"
    assert handled["request_id"]
    assert handled["write_units"] >= handled["writes"] >= 1
