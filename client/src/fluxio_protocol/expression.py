"""The expressions of a write: rows of the transition table as one condition and one update.

Pure: no boto3 and no clock, so that `decide` and the tests build the very expressions that the store sends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fluxio_protocol import layout, limits
from fluxio_protocol.changes import Change
from fluxio_protocol.run import ENDED, RunStatus, StepStatus
from fluxio_protocol.run_item import SCHEMA
from fluxio_protocol.transitions import Guard, IllegalTransition

#: A write of so few parts surely fits: it has half of what an expression may have, at the most.
_SURE_PARTS = 60

#: What one part takes of each expression at the most: bytes, and operators.
PART_BYTES = limits.EXPRESSION_BYTES // (2 * _SURE_PARTS)
PART_OPERATORS = limits.OPERATORS // (2 * _SURE_PARTS)


class Expression:
    """Condition and update of one write, with its placeholders."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}
        self._values: list[dict[str, Any]] = []
        self._conditions: list[str] = []
        self._sets: list[str] = []
        self._removes: list[str] = []

    def path(self, *parts: str) -> str:
        """A document path, each part behind a placeholder."""
        return ".".join(self._names.setdefault(part, f"#{len(self._names)}") for part in parts)

    def value(self, of: str | int | dict[str, Any]) -> str:
        """A value behind a placeholder."""
        wire = layout.value(of)
        if wire not in self._values:
            self._values.append(wire)
        return f":{self._values.index(wire)}"

    def require(self, condition: str) -> None:
        """One more clause that must hold."""
        if condition not in self._conditions:
            self._conditions.append(condition)

    def set(self, path: str, to: str) -> None:
        """Set an attribute to a value or an arithmetic expression."""
        self._sets.append(f"{path}={to}")

    def remove(self, path: str) -> None:
        """Remove an attribute."""
        self._removes.append(path)

    @property
    def fits(self) -> bool:
        """Whether DynamoDB takes expressions of this length and of so many operators."""
        return not any(limits.expression_refusals(self.arguments()))

    def arguments(self) -> dict[str, Any]:
        """The arguments of UpdateItem (and of an Update in a transaction)."""
        update = "SET " + ",".join(self._sets) if self._sets else ""
        if self._removes:
            update += " REMOVE " + ",".join(self._removes)
        return {
            "ConditionExpression": " AND ".join(self._conditions),
            "UpdateExpression": update,
            "ExpressionAttributeNames": {alias: name for name, alias in self._names.items()},
            "ExpressionAttributeValues": {f":{at}": value for at, value in enumerate(self._values)},
        }


def expression(
    changes: Sequence[Change], now: int, retention_days: int, schema: int = SCHEMA
) -> Expression:
    """One write out of the rows it applies: their conditions all hold, or nothing is changed.

    Args:
        changes: the rows.
        now: the caller's time.
        retention_days: how many days a run is kept after it ended.
        schema: the form of the run's item; see `run_item`.
    """
    made = Expression()
    run_sources = frozenset.intersection(*(change.run_from for change in changes))
    if not run_sources:
        names = ", ".join(change.row.name for change in changes)
        raise IllegalTransition(f"the rows {names} have no status of the run in common.")
    if run_sources != frozenset(RunStatus):
        made.require(one_of(made, made.path("status"), run_sources))
    steps = CountedSteps(made, changes) if schema == 1 else Steps(made)
    for change in changes:
        if change.step is None:
            _change_run(made, change, now, retention_days, steps)
        else:
            _change_step(made, change, now, steps)
        if change.started and change.step is not None:
            made.set(made.path(layout.started_attribute(change.step)), made.value(change.started))
        if schema != 1 and Guard.SEALS_SEEN in change.row.guards and change.asks_for_seals:
            archives, seen = made.path("archives"), change.archives_seen
            made.require(
                f"{archives}={made.value(seen)}" if seen else f"attribute_not_exists({archives})"
            )
    steps.close()
    return made


def parts(change: Change) -> int:
    """How many parts a change counts as where a write is measured roughly."""
    named = len(change.dependents) + len(change.signals) + len(change.waiting)
    named += len(change.sources) + len(change.sealed) + len(change.lapsed)
    return 8 + len(change.values) + named


def fits(changes: Sequence[Change], now: int, schema: int = SCHEMA) -> bool:
    """Whether the changes can go into one write.

    It is asked at each commit, so the expressions are made and measured only for a write of many parts.
    """
    if sum(parts(change) for change in changes) <= _SURE_PARTS:
        return True
    # The days of retention end up in a value, which is no part of an expression's text.
    return expression(changes, now, 0, schema).fits


def one_of(made: Expression, path: str, allowed: frozenset[Any]) -> str:
    """The clause that a status is one of those."""
    values = [made.value(status.value) for status in sorted(allowed)]
    return f"{path}={values[0]}" if len(values) == 1 else f"{path} IN ({','.join(values)})"


def _change_run(
    made: Expression, change: Change, now: int, retention_days: int, steps: Steps
) -> None:
    row = change.row
    if Guard.WAKE_SEEN in row.guards:
        assert change.wake_seen is not None
        made.require(f"{made.path('wake_at')}={made.value(change.wake_seen)}")
    if Guard.WORKFLOW in row.guards:
        assert change.workflow is not None
        made.require(f"{made.path('workflow')}={made.value(change.workflow)}")
    if Guard.OVERDUE in row.guards:
        made.require(f"{made.path('deadline')}<={made.value(now)}")
    if Guard.UNTAKEN in row.guards:
        untaken = frozenset({StepStatus.PENDING, StepStatus.FAILED})
        for step in change.waiting:
            made.require(steps.is_one_of(step, untaken, step in change.unclaimed))
        if not change.waiting:
            made.require(f"attribute_not_exists({made.path('version')})")
    if Guard.END_SEEN in row.guards:
        ended_at = made.path("ended_at")
        if change.end_seen is None:
            made.require(f"attribute_not_exists({ended_at})")
        else:
            made.require(f"{ended_at}={made.value(change.end_seen)}")
    if Guard.OPENED in row.guards:
        made.require(f"attribute_exists({made.path('version')})")
    if Guard.UNOPENED in row.guards:
        made.require(f"attribute_not_exists({made.path('version')})")
    if row.run_to is not None:
        made.set(made.path("status"), made.value(row.run_to.value))
    if row.name == "open":
        made.set(made.path("steps"), made.value({k: dict(v) for k, v in change.steps.items()}))
    for step in change.sealed:
        made.remove(made.path("steps", step))
    _change_signals(made, change)
    for name, value in change.values.items():
        if value is not None:
            made.set(made.path(name), made.value(value))
    if change.trace is not None:  # the caller of `start` may have put the run into a trace before
        path = made.path("trace")
        made.set(path, f"if_not_exists({path},{made.value(change.trace)})")
    if row.closes:
        made.remove(made.path("due"))
        made.remove(made.path("wake_at"))
    if row.reopens:
        for name in ("deadline", "ended_at", "error", "failed", "ttl"):
            made.remove(made.path(name))
    if row.run_to in ENDED:
        made.set(made.path("ttl"), made.value(now // 1000 + retention_days * 86_400))
    if row.run_to is RunStatus.FAILED:
        made.set(made.path("failed"), made.path("workflow"))


def _change_signals(made: Expression, change: Change) -> None:
    """The signals that a change is about, whether it is one of a step or of the run."""
    guards = change.row.guards
    for name in change.signals:
        attribute = layout.signal_attribute(name)
        if Guard.SIGNALLED in guards:
            made.require(f"attribute_exists({made.path(attribute)})")
        if Guard.UNSIGNALLED in guards:
            made.require(f"attribute_not_exists({made.path(attribute)})")
        if change.row.drops_signals:
            made.remove(made.path(attribute))
    if Guard.PAYLOAD_SEEN in guards:
        for name, text in change.payloads.items():
            made.require(f"{made.path(layout.signal_attribute(name))}={made.value(text)}")
    if Guard.SINCE_SEEN in guards:
        step, since = change.clock_of
        path = made.path("steps", step, "since")
        known = f"attribute_not_exists({path})" if since is None else f"{path}={made.value(since)}"
        made.require(known)
    for name, instead in change.lapsed.items():
        made.set(made.path(layout.signal_attribute(name)), made.value(dict(instead)))


def _change_step(made: Expression, change: Change, now: int, steps: Steps) -> None:
    row, step = change.row, change.step
    assert step is not None

    def at(attribute: str) -> str:
        return made.path("steps", step, attribute)

    _change_signals(made, change)
    if row.name == "claim" and steps.claim(change):
        return
    if change.first and row.name != "claim":
        steps.write_first(change)
        return
    made.require(one_of(made, at("status"), change.step_from))
    if Guard.FENCE in row.guards:
        assert change.token is not None
        made.require(f"{at('token')}={made.value(change.token)}")
    if Guard.LEASE_OVER in row.guards:
        made.require(f"{at('lease_until')}<={made.value(now)}")
    if row.guards & {Guard.FENCE, Guard.ATTEMPT, Guard.LEASE_OVER, Guard.STEP_SEEN}:
        assert change.attempt is not None
        made.require(f"{at('attempt')}={made.value(change.attempt)}")
    if Guard.REDRIVE_SEEN in row.guards:
        counted = f"{at('redriven_at')}={made.value(change.redrive_seen)}"
        never = f"attribute_not_exists({at('redriven_at')})"
        made.require(counted if change.redrive_seen else f"({never} OR {counted})")
    if Guard.DUE in row.guards:
        not_before = at("not_before")
        made.require(f"(attribute_not_exists({not_before}) OR {not_before}<={made.value(now)})")
    if row.final and steps.end(change):
        return
    if row.step_to is not None:
        made.set(at("status"), made.value(row.step_to.value))
    if row.step_to is StepStatus.RUNNING:
        made.set(at("attempt"), f"{at('attempt')}+{made.value(1)}")
    for name, value in change.values.items():
        if value is not None:
            made.set(at(name), made.value(value))
    for name in sorted(row.drops - change.values.keys()):
        made.remove(at(name))


class Steps:
    """How the steps of a run are written where one that was never claimed does not stand in its item."""

    def __init__(self, made: Expression) -> None:
        self._made = made

    def is_one_of(self, step: str, allowed: frozenset[StepStatus], unclaimed: bool) -> str:
        """The clause that a step, which is not sealed, has one of those statuses.

        `unclaimed` says that it was never claimed as the caller saw it; then it must not have been since.
        """
        if unclaimed:
            return f"attribute_not_exists({self._made.path('steps', step)})"
        return one_of(self._made, self._made.path("steps", step, "status"), allowed)

    def claim(self, change: Change) -> bool:
        """Write a claim, where it is written otherwise than each later one."""
        if not change.first:
            return False
        assert change.step is not None
        made, path = self._made, self._made.path("steps", change.step)
        made.require(f"attribute_not_exists({path})")
        for source in change.sources if Guard.BARRIER in change.row.guards else ():
            text = made.value("S")
            made.require(f"attribute_type({made.path('steps', source)},{text})")
        claimed = {"status": StepStatus.RUNNING.value, "attempt": 1, **change.values}
        made.set(path, made.value(claimed))
        return True

    def write_first(self, change: Change) -> None:
        """Write of a step of which nothing was ever written that it has ended."""
        assert change.step is not None
        assert change.row.step_to is not None
        made, path = self._made, self._made.path("steps", change.step)
        made.require(f"attribute_not_exists({path})")
        failed = {"status": change.row.step_to.value, **change.values}
        made.set(path, made.value(change.record if change.row.final else failed))

    def end(self, change: Change) -> bool:
        """Write that a step has ended for good, where that is more than to set attributes."""
        assert change.step is not None
        self._made.set(self._made.path("steps", change.step), self._made.value(change.record))
        return True

    def close(self) -> None:
        """Write what the changes together amount to."""


class CountedSteps(Steps):
    """How they are written in runs of schema 1: each is a map from the start, with a count of those before."""

    def __init__(self, made: Expression, changes: Sequence[Change]) -> None:
        super().__init__(made)
        self._counted: dict[str, int] = {}
        for change in changes:
            for dependent in change.dependents:
                self._counted[dependent] = self._counted.get(dependent, 0) + 1

    def is_one_of(self, step: str, allowed: frozenset[StepStatus], unclaimed: bool) -> str:
        assert not unclaimed or StepStatus.PENDING in allowed
        return one_of(self._made, self._made.path("steps", step, "status"), allowed)

    def claim(self, change: Change) -> bool:
        made, step = self._made, change.step
        assert step is not None
        if Guard.BARRIER not in change.row.guards:
            return False
        count = made.path("steps", step, "completed_deps")
        if step in self._counted:
            # Conditions are read before the write: count what this write adds.
            assert change.total_deps is not None
            made.require(f"{count}={made.value(change.total_deps - self._counted[step])}")
        else:
            made.require(f"{count}={made.path('steps', step, 'total_deps')}")
        return False

    def write_first(self, change: Change) -> None:
        raise IllegalTransition(f"the row {change.row.name} does not fit runs of schema 1.")

    def end(self, change: Change) -> bool:
        made, step = self._made, change.step
        assert step is not None
        for name in ("completed_deps", "total_deps"):
            made.remove(made.path("steps", step, name))
        return False

    def close(self) -> None:
        for dependent, count in self._counted.items():
            path = self._made.path("steps", dependent, "completed_deps")
            self._made.set(path, f"{path}+{self._made.value(count)}")
