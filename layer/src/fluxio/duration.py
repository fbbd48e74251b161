"""Durations: seconds, or a timedelta."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, TypeAlias

Duration: TypeAlias = float | timedelta


def in_seconds(of: Any) -> Any:
    """A timedelta as seconds; anything else as it is, for whoever checks it."""
    return of.total_seconds() if isinstance(of, timedelta) else of
