"""Logs: one JSON object a line on stderr, which Lambda takes to CloudWatch.

Lines carry ids, names, counts and times, never a payload or an exception's message.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")


def log(level: str, message: str, **fields: Any) -> None:
    """Write a line, unless FLUXIO_LOG_LEVEL (default INFO) is above its level."""
    least = os.environ.get("FLUXIO_LOG_LEVEL", "INFO").upper()
    if _LEVELS.index(level) < (_LEVELS.index(least) if least in _LEVELS else 1):
        return
    line = {"level": level, "message": message}
    _write(line | {name: value for name, value in fields.items() if value is not None})


def count(metric: str, at: int, **fields: Any) -> None:
    """Count one of something in CloudWatch: a log line in its embedded metric format.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html

    Args:
        metric: the metric's name in the namespace `fluxio`; its dimension `worker` is the function's name.
        at: milliseconds since 1970.
        fields: what else the line says, for who reads the log.
    """
    described = {
        "Namespace": "fluxio",
        "Dimensions": [["worker"]],
        "Metrics": [{"Name": metric, "Unit": "Count"}],
    }
    worker = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "local")
    _write(
        {"_aws": {"Timestamp": at, "CloudWatchMetrics": [described]}, "worker": worker, metric: 1}
        | fields
    )


def _write(line: dict[str, Any]) -> None:
    sys.stderr.write(json.dumps(line, default=str) + "\n")
