"""Logs: one JSON object a line on stderr, which Lambda takes to CloudWatch.

Lines carry ids, names, counts and times; never an exception's message, and a payload only where
FLUXIO_LOG_PAYLOADS is 1. Those that concern a run say so in the same fields everywhere: `run_id`, `workflow`,
`step`, `attempt`.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

from fluxio.process import environment, write_stderr

#: Lambda's own names: its log filter (`application_log_level`) knows no others.
#: https://docs.aws.amazon.com/lambda/latest/dg/monitoring-cloudwatchlogs-log-level.html
_LEVELS = ("DEBUG", "INFO", "WARN", "ERROR")

#: Other names that FLUXIO_LOG_LEVEL may have for them.
_ALSO = {"TRACE": "DEBUG", "WARNING": "WARN", "FATAL": "ERROR", "CRITICAL": "ERROR"}

#: The encoder is the engine's own: `json.dumps` is replaced by faster ones here and there.
_to_json = json.JSONEncoder(default=str).encode

#: Characters after which a payload is cut.
PAYLOAD = 4_000


def log(level: str, message: str, **fields: Any) -> None:
    """Write a line, unless FLUXIO_LOG_LEVEL (default INFO) is above its level."""
    least = environment("FLUXIO_LOG_LEVEL", "INFO").upper()
    least = _ALSO.get(least, least)
    if _LEVELS.index(level) < (_LEVELS.index(least) if least in _LEVELS else 1):
        return
    line = {"level": level, "message": message}
    write_line(line | {name: value for name, value in fields.items() if value is not None})


def log_payload(message: str, payload: Any, **fields: Any) -> None:
    """Write a line with what a step is given or returns, whatever the level, if that was asked for.

    Args:
        message: what the line is about.
        payload: text, or anything else, which is written as JSON as far as that goes.
        fields: the ids.
    """
    if environment("FLUXIO_LOG_PAYLOADS") != "1":
        return
    try:
        text = payload if isinstance(payload, str) else json.dumps(payload, default=repr)
    except BaseException as error:  # noqa: BLE001 - a user's __repr__, a circle: no step fails for its log
        text = f"<cannot be shown: {type(error).__name__}>"
    if len(text) > PAYLOAD:
        text = text[: PAYLOAD - 1] + "…"
    write_line({"level": "INFO", "message": message, **fields, "payload": text})


def write_line(line: dict[str, Any]) -> None:
    """Write a line as it is: for metrics, which no level keeps back."""
    _write(line)


def _write(line: dict[str, Any]) -> None:
    # No run depends on a line: one that cannot be made or written is dropped.
    with suppress(Exception):
        write_stderr(_to_json(line) + "\n")
