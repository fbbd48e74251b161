"""What a step of the trial has in hand."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any, NamedTuple

from dev.aws_trial.deployment import Deployment
from dev.aws_trial.record import Record
from dev.aws_trial.target import Target
from dev.stage import say
from fluxio_client import FluxioClient, Run

AT_ONCE = 20
"""Starts and reads under way at a time."""

EMULATED_LOAD = 20
"""Runs where AWS gets hundreds: an emulator has one worker."""


class Said(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class Trial:
    """A target, a deployment on it, and ways to look at both."""

    def __init__(self, target: Target, record: Record) -> None:
        self.target, self.record = target, record
        self.deployment = Deployment(target, record)
        self.outputs: dict[str, Any] = {}

    def deployed(self, settings: Mapping[str, Any] | None = None, **variables: Any) -> FluxioClient:
        """See that the deployment has these settings, and return a client of it."""
        self.outputs = self.deployment.apply(settings, **variables)
        return self.client()

    def client(self) -> FluxioClient:
        return FluxioClient(
            self.outputs["table_name"],
            self.outputs["queue_url"],
            dynamodb=self.aws("dynamodb"),
            sqs=self.aws("sqs"),
        )

    def aws(self, service: str) -> Any:
        return self.target.aws_client(service)

    def pause(self, seconds: float, why: str) -> None:
        """Wait for what AWS does in its own time."""
        if self.target.is_aws and seconds >= 10:
            say(f"  waiting {seconds:.0f} s: {why}")
        self.target.pause(seconds)

    def load(self, wanted: int) -> int:
        """How many runs to start where AWS gets so many."""
        return wanted if self.target.is_aws else min(wanted, EMULATED_LOAD)

    def new_id(self, of: str) -> str:
        """A run's id that no earlier call of the step has used."""
        return f"trial-{of}-{time.time_ns()}"

    # ---- Runs -------------------------------------------------------------------------------------

    def run(self, workflow: str, given: Mapping[str, Any], seconds: float = 180) -> Run:
        """Start a run and wait for its end, at most so long."""
        client = self.client()
        started = client.start(workflow, dict(given), run_id=self.new_id(workflow.lower()))
        return self.ended([started.run_id], seconds)[0]

    def start(self, workflow: str, inputs: Sequence[Mapping[str, Any]]) -> list[str]:
        """Start many runs at once; their ids."""
        client, prefix = self.client(), self.new_id(workflow.lower())

        def begin(at: int) -> str:
            return client.start(workflow, dict(inputs[at]), run_id=f"{prefix}-{at}").run_id

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(begin, range(len(inputs))))

    def ended(self, run_ids: Sequence[str], seconds: float) -> list[Run]:
        """The runs, when they have ended or so many seconds have passed."""
        client, deadline = self.client(), time.monotonic() + seconds

        def wait(run_id: str) -> Run:
            return client.wait(run_id, timeout=max(0.0, deadline - time.monotonic()))

        with ThreadPoolExecutor(AT_ONCE) as pool:
            return list(pool.map(wait, run_ids))

    # ---- What the worker has written and counted ----------------------------------------------------

    def lines(
        self, pattern: str, since: float, *, wanted: int = 1, patience: float = 60
    ) -> list[dict[str, Any]]:
        """Lines of the worker's log since then that have a text in them, oldest first.

        CloudWatch takes some seconds to have a line.

        Args:
            pattern: the text.
            since: seconds since 1970.
            wanted: how many there must be.
            patience: how many seconds to wait for them.
        """
        deadline = time.monotonic() + (patience if self.target.is_aws else min(patience, 5))
        while True:
            found = list(self._lines(pattern, since))
            if len(found) >= wanted or time.monotonic() > deadline:
                return found
            time.sleep(1)

    def _lines(self, pattern: str, since: float) -> Iterator[dict[str, Any]]:
        pages = self.aws("logs").get_paginator("filter_log_events")
        asked = {
            "logGroupName": self.outputs["log_group"],
            "filterPattern": json.dumps(pattern),
            "startTime": int(since * 1000),
        }
        for page in pages.paginate(**asked):
            for event in page["events"]:
                yield {"@timestamp": event["timestamp"], **_parsed(event["message"])}

    def metric(
        self,
        name: str,
        since: float,
        *,
        namespace: str = "fluxio",
        dimensions: Mapping[str, str] | None = None,
        statistic: str = "Sum",
    ) -> list[float]:
        """A metric's values since then, a minute each, oldest first."""
        of = dimensions or {"worker": self.outputs["worker"]}
        begin = datetime.fromtimestamp(since, timezone.utc).replace(second=0, microsecond=0)
        answer = self.aws("cloudwatch").get_metric_statistics(
            Namespace=namespace,
            MetricName=name,
            Dimensions=[{"Name": key, "Value": value} for key, value in of.items()],
            StartTime=begin,
            EndTime=datetime.now(timezone.utc) + timedelta(minutes=1),
            Period=60,
            Statistics=[statistic],
        )
        points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
        return [float(point[statistic]) for point in points]

    def of_worker(self, name: str, since: float, statistic: str = "Sum") -> list[float]:
        """A metric that Lambda keeps of the worker."""
        of = {"FunctionName": self.outputs["worker"]}
        return self.metric(name, since, namespace="AWS/Lambda", dimensions=of, statistic=statistic)

    def alarms(self) -> dict[str, str]:
        """The states of the deployment's alarms by name."""
        answer = self.aws("cloudwatch").describe_alarms(
            AlarmNames=self.outputs["alarms"], AlarmTypes=["MetricAlarm", "CompositeAlarm"]
        )
        return {
            alarm["AlarmName"].removeprefix(f"{self.record.name}-"): alarm["StateValue"]
            for kind in ("MetricAlarms", "CompositeAlarms")
            for alarm in answer.get(kind, [])
        }

    def messages(self, queue: str = "queue_url") -> int:
        """How many messages are in a queue: visible, in flight and delayed."""
        names = [f"ApproximateNumberOfMessages{kind}" for kind in ("", "NotVisible", "Delayed")]
        answer = self.aws("sqs").get_queue_attributes(
            QueueUrl=self.outputs[queue], AttributeNames=names
        )
        return sum(int(answer["Attributes"][name]) for name in names)

    # ---- Commands ---------------------------------------------------------------------------------

    def fluxio(self, *arguments: str, role: str | None = None) -> Said:
        """The command `fluxio` in a process of its own, with the rights of a role if one is named."""
        given = (
            self.target.as_role(self.outputs["roles"][role]) if role else self.target.environment
        )
        done = subprocess.run(
            [str(Path(sys.executable).with_name("fluxio")), *arguments],
            env={**given, **self.outputs["client_environment"], "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            timeout=300,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    def until(self, done: Callable[[], Any], seconds: float, pause: float = 10) -> Any:
        """Ask until the answer is true, or so many seconds have passed; the last answer."""
        deadline = time.monotonic() + (seconds if self.target.is_aws else min(seconds, 5))
        while not (found := done()) and time.monotonic() < deadline:
            self.target.pause(pause)
        return found


def _parsed(message: str) -> dict[str, Any]:
    """A line of the log as the object it is; any other text under `text`."""
    try:
        found = json.loads(message)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"text": message}
