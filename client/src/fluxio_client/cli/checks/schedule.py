"""The schedule that starts the sweep."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from fluxio_client.cli.checks.examination import Examination, unqualified
from fluxio_client.cli.checks.finding import APPLY, Finding, fail, ok, warn

SWEEP = {"fluxio": "sweep"}


def schedule(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    scheduler, worker = at.session.aws("scheduler"), unqualified(at.worker["FunctionArn"])
    pages = scheduler.get_paginator("list_schedules").paginate()
    found = [
        schedule
        for page in pages
        for schedule in page["Schedules"]
        if unqualified(schedule.get("Target", {}).get("Arn", "")) == worker
    ]
    if not found:
        yield fail(
            "schedule",
            "nothing invokes the worker each minute: timers and lost messages wait",
            APPLY,
        )
        return
    schedules = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one.get("GroupName", "default"))
        for one in found
    ]
    sweeping = [schedule for schedule in schedules if _sweeps(schedule)]
    if not sweeping:
        names = ", ".join(schedule["Name"] for schedule in schedules)
        yield fail("schedule", f"nothing sweeps: {names} sends another input", APPLY)
    for schedule in sweeping:
        yield from _sweep(schedule)


def _sweeps(schedule: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(schedule["Target"].get("Input", "")) == SWEEP)
    except ValueError:
        return False


def _sweep(schedule: dict[str, Any]) -> Iterator[Finding]:
    name, expression = schedule["Name"], schedule["ScheduleExpression"]
    if schedule.get("State", "ENABLED") != "ENABLED":
        yield fail(
            "schedule",
            f"{name} is {schedule['State']}: timers and lost messages wait",
            "enable it: " + APPLY,
        )
    elif expression in ("rate(1 minute)", "rate(1 minutes)", "cron(* * * * ? *)"):
        yield ok("schedule", f"{name} sweeps each minute")
    else:
        yield warn("schedule", f"{name} sweeps at {expression}, not each minute", APPLY)
