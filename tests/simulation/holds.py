"""Attempts in the hands of workers: a live worker keeps what it ran until it is committed or the lease ends.

The engine promises that a step's code runs once, unless it raises, its worker dies, or it overruns its lease
or its timeout. So an attempt that was begun and has not raised may be taken over, or given up as lost, only
if its worker died with it or held it until its time was nearly over. A worker that lets go earlier, because
a call failed or because it lost another step, breaks that promise.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

#: (run id, step, attempt).
Attempt = tuple[str, str, int]

#: Milliseconds before the end of a lease, or of an invocation, at which a worker may give up: what is left to
#: it is too short for a call, its pause and an answer.
NEARLY = 5_000


@dataclass
class Hold:
    """An attempt in the hand of an invocation."""

    holder: Hashable
    #: When Lambda ends that invocation.
    deadline: int
    #: When its worker was done with its message; None: it never was, because it died or is at it still.
    released_at: int | None = None


@dataclass
class Holds:
    """Which attempts are in whose hands.

    Args:
        skew: milliseconds by which a worker's clock is off at most.
    """

    skew: int = 0
    #: Attempts whose code raised, or was given up at its timeout, as the worker's log has it.
    raised: set[Attempt] = field(default_factory=set)
    #: Attempts whose `when` said no, and those that asked to be run again.
    declined: set[Attempt] = field(default_factory=set)
    asked_again: set[Attempt] = field(default_factory=set)
    #: When the lease of each attempt ends, by the clock of the worker that claimed it.
    leases: dict[Attempt, int] = field(default_factory=dict)
    _holds: dict[Attempt, Hold] = field(default_factory=dict)

    def begins(self, attempt: Attempt, holder: Hashable, deadline: int) -> None:
        """The code of an attempt is begun by an invocation that ends at `deadline`."""
        self._holds.setdefault(attempt, Hold(holder, deadline))

    def hear(self, line: Mapping[str, Any], holder: Hashable, deadline: int, now: int) -> None:
        """Take in a line that an invocation has logged."""
        message = line.get("message")
        if message == "step raised":
            self.raised.add(_attempt(line))
        elif message == "step skipped":
            self.declined.add(_attempt(line))
        elif message == "step asks to be run again":
            self.asked_again.add(_attempt(line))
            self.begins(_attempt(line), holder, deadline)
        elif message == "step returned":
            self.begins(_attempt(line), holder, deadline)
        elif message == "message handled":
            for hold in self._holds.values():
                if hold.holder == holder and hold.released_at is None:
                    hold.released_at = now

    def broken(self, attempt: Attempt) -> str | None:
        """What is wrong if another worker takes this attempt's step over, or gives it up as lost."""
        hold = self._holds.get(attempt)
        if hold is None or hold.released_at is None or attempt in self.raised:
            return None
        until = min(self.leases[attempt] - self.skew, hold.deadline)
        if hold.released_at >= until - NEARLY:
            return None
        return (
            f"attempt {attempt[2]} was let go by a live worker {until - hold.released_at} ms before its time "
            "was over, so that its code runs again"
        )


def _attempt(line: Mapping[str, Any]) -> Attempt:
    return line["run_id"], line["step"], line["attempt"]
