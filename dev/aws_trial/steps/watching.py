"""Steps that look at logs, metrics, alarms, traces, and at what time brings."""

from __future__ import annotations

import json
import time
from datetime import datetime, timedelta, timezone
from typing import Any

from dev.aws_trial.deployment import BACK
from dev.aws_trial.record import Outcome, Verdict, judged
from dev.aws_trial.steps.running import ORDER, lost
from dev.aws_trial.trial import Trial

QUARTER = 15 * 60
DAYS = 4
WITHOUT_WORKER = 10 * BACK + 120
"""Seconds of ten receipts, and two minutes to spare."""

OWN_KEYS = {"level", "message"}
"""What every line of the worker's own has."""


def a_quarter_of_an_hour(trial: Trial) -> Outcome:
    """Step 5."""
    trial.deployed()
    began = time.time()
    run = trial.run("OrderFulfillment", ORDER)
    trial.pause(QUARTER, "fifteen sweeps")
    sweeps = trial.metric("sweeps", began + 60)[:14]
    states = trial.alarms()
    counted = sum(trial.metric("runs_succeeded", began))
    lines = trial.lines(run.run_id, began, wanted=1)
    own = [line for line in lines if "text" not in line]
    strange = sorted({key for line in own for key in OWN_KEYS - line.keys()})
    figures = {
        "sweeps_a_minute": sweeps,
        "alarms": states,
        "runs_succeeded": counted,
        "keys_of_a_line": sorted(own[-1]) if own else [],
        "lines_of_the_run": len(lines),
    }
    raised = [name for name, state in states.items() if state == "ALARM"]
    good = bool(sweeps) and set(sweeps) == {1.0} and not raised and counted >= 1
    seen = (
        f"{len(sweeps)} minutes with {sorted(set(sweeps))} sweeps each; raised: {', '.join(raised) or 'none'}; "
        f"runs_succeeded {counted:.0f}; keys that lines lack: {', '.join(strange) or 'none'}"
    )
    return judged(good and not strange and bool(own), seen, **figures)


def debug_lines(trial: Trial) -> Outcome:
    """Step 6."""
    found = {}
    leaks = 0
    for log_format in ("JSON", "Text"):
        trial.deployed({"log_level": "DEBUG", "log_format": log_format})
        since = time.time()
        run = trial.run("OrderFulfillment", ORDER)
        lines = trial.lines("step begins", since, wanted=5)
        found[log_format] = sum(line.get("run_id") == run.run_id for line in lines)
        leaks += len(trial.lines("TableName", since, wanted=0, patience=0))
    seen = (
        f"`step begins` of five steps: {found['JSON']} lines with JSON, {found['Text']} with Text; "
        f"lines with an SDK's request: {leaks}"
    )
    return judged(min(found.values()) >= 5 and not leaks, seen, **found)


def traces(trial: Trial) -> Outcome:
    """Step 18."""
    trial.deployed({"tracing": "Active"})
    run = trial.run("OrderFulfillment", ORDER)
    if run.trace is None:
        return judged(False, "the run has no trace, so it was not sampled: run this step again")
    trial.pause(60, "X-Ray")
    xray = trial.aws("xray")
    answer = xray.batch_get_traces(TraceIds=[run.trace])
    segments = [
        json.loads(segment["Document"])
        for trace in answer["Traces"]
        for segment in trace["Segments"]
    ]
    origins = sorted({segment.get("origin", "fluxio") for segment in segments})
    names = sorted({segment["name"] for segment in segments})
    seen = f"{len(segments)} segments of {', '.join(names) or 'nothing'}, from {', '.join(origins)}"
    good = len(segments) > 1 and any("Lambda" in origin for origin in origins)
    return judged(good, seen, segments=len(segments), origins=origins, trace=run.trace)


def dead_letters(trial: Trial) -> Outcome:
    """Step 19."""
    trial.deployed()
    functions, worker = trial.aws("lambda"), trial.outputs["worker"]
    functions.put_function_concurrency(FunctionName=worker, ReservedConcurrentExecutions=0)
    try:
        run_ids = trial.start("Quick", [{"number": at} for at in range(3)])
        trial.pause(WITHOUT_WORKER, "ten receipts of each message that no worker takes")
        dead = trial.until(lambda: trial.messages("dlq_url"), 300)
        raised = trial.until(lambda: trial.alarms().get("dlq-not-empty") == "ALARM", 300)
    finally:
        functions.delete_function_concurrency(FunctionName=worker)
    said = trial.fluxio("dlq", "redrive", "--yes", role="operator")
    runs = trial.ended(run_ids, 300)
    left = trial.messages("dlq_url")
    calm = trial.until(lambda: trial.alarms().get("dlq-not-empty") == "OK", 600)
    seen = (
        f"{dead} messages in the DLQ, alarm {'raised' if raised else 'not raised'}; `fluxio dlq redrive` ended "
        f"with {said.code}; runs that did not succeed: {len(lost(runs))}; left: {left}; alarm "
        f"{'OK again' if calm else 'not OK again'}"
    )
    good = bool(dead and raised and calm) and not said.code and not lost(runs) and not left
    return judged(good, seen, in_dlq=dead)


def four_days(trial: Trial) -> Outcome:
    """Step 20: the first call begins, a call after four days tells."""
    trial.deployed({"retention_days": 1})
    note = trial.record.notes.setdefault(20, {})
    if "begun" not in note:
        run = trial.run("Quick", {"number": 1})
        note |= {"begun": time.time(), "run": run.run_id}
        trial.record.save()
    days = (time.time() - note["begun"]) / 86400
    if days < DAYS:
        seen = (
            f"begun {days:.1f} days ago. Leave the deployment alone, say `--only 20 --keep` again after "
            f"{DAYS} days, and then --destroy"
        )
        return Outcome(Verdict.SKIPPED, seen, {"days": round(days, 2)})
    key = {"pk": {"S": note["run"]}, "sk": {"S": "run"}}
    there = trial.aws("dynamodb").get_item(TableName=trial.outputs["table_name"], Key=key)
    queue = trial.outputs["queue_url"].rpartition("/")[2]
    polls = _total(trial, "AWS/SQS", "NumberOfEmptyReceives", {"QueueName": queue}, note["begun"])
    figures = {
        "days": round(days, 2),
        "empty_receives_a_month": round(polls / days * 30),
        "dollars_by_service": _dollars(trial, note["begun"]),
    }
    seen = f"the ended run is {'still there' if 'Item' in there else 'deleted by TTL'}"
    return judged("Item" not in there, seen, **figures)


def _total(
    trial: Trial, namespace: str, name: str, dimensions: dict[str, str], since: float
) -> float:
    answer = trial.aws("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=datetime.fromtimestamp(since, timezone.utc),
        EndTime=datetime.now(timezone.utc),
        Period=86400,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def _dollars(trial: Trial, since: float) -> Any:
    """What Cost Explorer says of the whole account by service: it knows a tag only after it was activated."""
    end = datetime.now(timezone.utc).date()
    begin = min(datetime.fromtimestamp(since, timezone.utc).date(), end - timedelta(days=1))
    answer = trial.aws("ce").get_cost_and_usage(
        TimePeriod={"Start": begin.isoformat(), "End": end.isoformat()},
        Granularity="DAILY",
        Metrics=["UnblendedCost"],
        GroupBy=[{"Type": "DIMENSION", "Key": "SERVICE"}],
    )
    spent: dict[str, float] = {}
    for day in answer["ResultsByTime"]:
        for group in day["Groups"]:
            service = group["Keys"][0]
            spent[service] = spent.get(service, 0) + float(
                group["Metrics"]["UnblendedCost"]["Amount"]
            )
    return {service: round(amount, 4) for service, amount in spent.items() if amount > 0.00005}
