"""When a step's timer, its signals' timeouts and its deadline are over, as far as its run tells.

Nothing is written when such a clock starts. The steps before have ended for good, and say when; so each worker
that looks finds the same time.
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from typing import Any, NamedTuple

from fluxio_protocol.node import Node
from fluxio_protocol.run import Run, Step

#: In the path of a timer: the run's input.
INPUT = "input"

#: Milliseconds since 1970 that a timer may wait for at the most: the year 9999.
LATEST = 253_402_300_799_000


class Clocks(NamedTuple):
    """What a step waits for that comes with time, in milliseconds since 1970."""

    #: When its timer is over; None if it has none.
    timer: int | None = None
    #: Whether that stands in a value that was not read.
    unread: bool = False
    #: Why that is no time.
    problem: str | None = None
    #: When each signal's timeout is over, for those that have neither come nor lapsed.
    signals: tuple[tuple[int, str], ...] = ()
    #: When the step must have ended.
    deadline: int | None = None


_NONE = Clocks()


def clocks(run: Run, step: Step, node: Node) -> Clocks:
    """What a step waits for that comes with time, if the steps before it have ended."""
    if not node.has_clock:
        return _NONE
    since = edges_in(run, node)
    if since is None:
        return _NONE
    timer, unread, problem = _timer(run, step, node, since)
    # A redrive begins a step's timeouts anew. Its timer has been waited for.
    start = since if step.since is None else step.since
    missing = [
        (start + node.timeouts[name].after, name)
        for name in run.awaiting(step.name)
        if name in node.timeouts and name not in run.lapsed
    ]
    deadline = None if node.deadline is None else start + node.deadline
    return Clocks(timer, unread, problem, tuple(sorted(missing)), deadline)


def edges_in(run: Run, node: Node) -> int | None:
    """When all that a step depends on had ended; None if that is not known."""
    if not node.depends_on:
        return run.created_at if run.opened_at is None else run.opened_at
    ended = [run.steps[name].ended_at for name in node.depends_on]
    known = [at for at in ended if at is not None]
    return max(known) if len(known) == len(ended) else None


def _timer(run: Run, step: Step, node: Node, start: int) -> tuple[int | None, bool, str | None]:
    if node.timer is None:
        return None, False, None
    if node.timer.after is not None:
        return start + node.timer.after, False, None
    path = node.timer.at or ""
    at = run.timers.get(step.name)
    if at is None:
        source, _, fields = path.partition(".")
        text = run.input_json if source == INPUT else run.steps[source].output_json
        if text is None:
            return None, True, None
        at = time_in(json.loads(text), fields, path)
    return (at, False, None) if isinstance(at, int) else (None, False, at)


def time_in(value: Any, fields: str, path: str) -> int | str:
    """The time that stands in a value, in milliseconds since 1970; or why there is none.

    Args:
        value: the run's input, or a step's output.
        fields: names of fields, with dots between; "" for the value itself.
        path: what is said of it: the timer's `at`.
    """
    for name in fields.split(".") if fields else ():
        if not isinstance(value, dict) or name not in value:
            return f"{path}: there is no {name!r}"
        value = value[name]
    if isinstance(value, str):
        text = f"{value[:-1]}+00:00" if value[-1:] in "Zz" else value
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return f"{path}: this text is no time in ISO 8601, such as 2027-01-31T09:00:00Z"
        value = (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return f"{path}: a {type(value).__name__} is no time; use a text in ISO 8601, or seconds since 1970"
    if not 0 <= value * 1000 <= LATEST:
        return f"{path}: this is no time between 1970 and 9999"
    return round(value * 1000)
