"""Metrics: what an invocation counts and measures, written to the log in CloudWatch's embedded metric format.

Values are gathered in memory and written when the invocation ends: nothing waits for them between two writes
of a run, and CloudWatch makes the metrics from the log, so they cost no call. The price: what a worker had
counted when it was killed is lost with it. Only transitions that were applied count, so a write that was
refused, or came too late, counts nowhere. docs/metrics.md has the table, and a test that it is this one.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from fluxio.log import write_line
from fluxio.process import environment

NAMESPACE = "fluxio"

#: Values that one line may hold of a metric.
VALUES = 100


class Metric(NamedTuple):
    """A metric: its unit, and the sets of dimensions under which it is kept, the finest last."""

    unit: str
    dimensions: tuple[tuple[str, ...], ...]


_ALL = ("worker",)
_WORKFLOW = ("worker", "workflow")
_STEP = ("worker", "workflow", "step")
_COUNT, _TIME = "Count", "Milliseconds"

METRICS: Mapping[str, Metric] = {
    "runs_started": Metric(_COUNT, (_ALL, _WORKFLOW)),
    "runs_succeeded": Metric(_COUNT, (_ALL, _WORKFLOW)),
    "runs_failed": Metric(_COUNT, (_ALL, _WORKFLOW)),
    "runs_parked": Metric(_COUNT, (_ALL, _WORKFLOW)),
    "run_duration": Metric(_TIME, (_ALL, _WORKFLOW)),
    "step_duration": Metric(_TIME, (_STEP,)),
    "step_retries": Metric(_COUNT, (_STEP,)),
    "step_failures": Metric(_COUNT, (_ALL, _STEP)),
    "step_timeouts": Metric(_COUNT, (_STEP,)),
    "takeovers": Metric(_COUNT, (_ALL,)),
    "fenced_commits": Metric(_COUNT, (_ALL,)),
    "messages_refused": Metric(_COUNT, (_ALL,)),
    "queue_delay": Metric(_TIME, (_ALL,)),
    "sweeps": Metric(_COUNT, (_ALL,)),
    "sweep_finds": Metric(_COUNT, (_ALL,)),
    "sweep_lag": Metric(_TIME, (_ALL,)),
    "runs_stuck": Metric(_COUNT, (_ALL,)),
}


class Metrics:
    """What one invocation counts and measures.

    Args:
        now: the time in milliseconds since 1970.
    """

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        #: By what the dimensions beyond `worker` say: metric by metric its values. Of a count, their sum.
        self._values: dict[tuple[str, ...], dict[str, list[int]]] = {}

    def count(
        self, metric: str, workflow: str | None = None, step: str | None = None, by: int = 1
    ) -> None:
        """Count `by` of something."""
        values = self._of(metric, workflow, step)
        values[:] = [sum(values) + by]

    def took(
        self, metric: str, milliseconds: int, workflow: str | None = None, step: str | None = None
    ) -> None:
        """Take a time down. Two clocks may disagree by a little; a time is never less than nothing."""
        self._of(metric, workflow, step).append(max(milliseconds, 0))

    def _of(self, metric: str, workflow: str | None, step: str | None) -> list[int]:
        finest = METRICS[metric].dimensions[-1]
        given = {"workflow": workflow, "step": step}
        key = tuple(value for name in finest[1:] if (value := given[name]) is not None)
        return self._values.setdefault(key, {}).setdefault(metric, [])

    def flush(self) -> None:
        """Write what was gathered, a line for each set of values that the dimensions have, and forget it."""
        gathered, self._values = self._values, {}
        worker = environment("AWS_LAMBDA_FUNCTION_NAME", "local")
        at = self._now() if gathered else 0
        for key, metrics in gathered.items():
            said = {"worker": worker, **dict(zip(_STEP[1:], key, strict=False))}
            while metrics:
                some = {name: values[:VALUES] for name, values in metrics.items()}
                write_line(_line(at, said, some))
                metrics = {
                    name: values[VALUES:] for name, values in metrics.items() if values[VALUES:]
                }


def _line(at: int, said: dict[str, str], metrics: dict[str, list[int]]) -> dict[str, Any]:
    by_dimensions: dict[tuple[tuple[str, ...], ...], list[dict[str, str]]] = {}
    for name in metrics:
        described = {"Name": name, "Unit": METRICS[name].unit}
        by_dimensions.setdefault(METRICS[name].dimensions, []).append(described)
    directives = [
        {"Namespace": NAMESPACE, "Dimensions": [*map(list, sets)], "Metrics": described}
        for sets, described in by_dimensions.items()
    ]
    values = {name: one[0] if len(one) == 1 else one for name, one in metrics.items()}
    return {"_aws": {"Timestamp": at, "CloudWatchMetrics": directives}, **said, **values}
