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
    line |= {name: value for name, value in fields.items() if value is not None}
    sys.stderr.write(json.dumps(line, default=str) + "\n")
