"""The time as the table has it, and how long the sweeper waits."""

from __future__ import annotations

import time

#: Milliseconds until the sweeper looks after an open run of which it has heard nothing.
WATCHDOG_MS = 300_000


def now_ms() -> int:
    """The time, in milliseconds since 1970."""
    return time.time_ns() // 1_000_000
