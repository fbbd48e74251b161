"""When the records of steps that have succeeded leave the run item, which every write of the run pays for."""

from __future__ import annotations

from collections.abc import Sequence

from fluxio.hand import Hand
from fluxio.plan import Plan
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.changes import Change
from fluxio_protocol.limits import text_bytes, value_bytes
from fluxio_protocol.run import Run, RunStatus, Step, StepStatus
from fluxio_protocol.run_item import ended_text, sealed_places, sealed_text
from fluxio_protocol.values import ITEM_OVERHEAD, UNIT, writes_left

#: Bytes of records that are worth an archive, where the run item shrinks to one write unit by it: so many that
#: as many more would not fit the archive's own unit. Where it does not shrink so far, they must be as many as
#: stay: so an archive is written each time that the item has doubled.
WORTHWHILE = (UNIT - ITEM_OVERHEAD) // 2

#: Steps that one write seals at the most, so that its expression stays short.
AT_ONCE = 60


def to_seal(run: Run, changes: Sequence[Change], plan: Plan, at_once: int) -> tuple[str, ...]:
    """The steps whose records are to be sealed in the write of these changes; none if that does not pay.

    An archive is paid for when it is written and when the run ends and it is given its time to live. It spares
    what its records would add to each write that is still to come.
    """
    if run.schema == 1 or run.status is not RunStatus.RUNNING:
        return ()
    size = run.item_bytes + sum(growth(run, change) for change in changes)
    if size <= UNIT:
        return ()
    names = sealable(run, plan)
    records = sum(record_bytes(run, run.steps[name]) for name in names)
    rest = size - records
    if records < (WORTHWHILE if rest <= UNIT else rest):
        return ()
    spared = (units(size) - units(rest)) * (1 + writes_left(run, plan.graph, at_once))
    return names if spared > 2 * units(records + ITEM_OVERHEAD) else ()


def sealable(run: Run, plan: Plan) -> tuple[str, ...]:
    """The steps whose records may leave the run item in one write.

    A step without dependents stays: what it returned belongs to the run's result. If not all fit, those are
    taken that come first, so that no step is sealed before those that it depends on.
    """
    graph = plan.graph
    in_order = (name for level in graph.waves for name in level if graph.dependents[name])
    steps = (run.steps[name] for name in in_order)
    # Of a sealed step only that it has succeeded is seen in the item; and clocks count from when steps ended.
    timed = {
        source
        for name, node in graph.nodes.items()
        if node.has_clock and not run.steps[name].settled
        for source in node.depends_on
    }
    return tuple(
        step.name
        for step in steps
        if step.status is StepStatus.SUCCEEDED and not step.sealed and step.name not in timed
    )[:AT_ONCE]


def seal(run: Run, hand: Hand, plan: Plan) -> tuple[Change, ...]:
    """The change that takes what this holder's last archive has out of the run item."""
    if hand.archive is None or hand.archive[0] != run.archives + 1:
        return ()
    number, names = hand.archive
    place = {name: at for at, name in enumerate(plan.graph.depends_on)}
    places = sealed_places(run.sealed) | {place[name] for name in names}
    return (to.seal(names, number, sealed_text(places)),)


def record(run: Run, step: Step) -> str:
    """The record of a step that has succeeded, as the run item has it."""
    assert step.token is not None
    assert step.started_at is not None
    assert step.ended_at is not None
    output = None if step.output_ref else step.output_json
    return ended_text(
        step.attempt, step.token, step.started_at, step.ended_at, run.created_at, output
    )


def record_bytes(run: Run, step: Step) -> int:
    """What a step that has succeeded takes of the run item."""
    return 1 + text_bytes(step.name) + text_bytes(record(run, step))


def growth(run: Run, change: Change) -> int:
    """By how many bytes a change makes the run item longer: roughly, for what seldom matters."""
    if change.row.final:
        assert change.step is not None
        step = run.steps[change.step]
        if change.first:
            return 1 + text_bytes(change.step) + text_bytes(change.record)
        claimed = to.claim_values(
            step.token or "", step.lease_until or 0, step.owner or "", step.started_at or 0
        )
        return text_bytes(change.record) - _claim_bytes(claimed)
    if change.row.name == "claim" and change.first:
        assert change.step is not None
        return 1 + text_bytes(change.step) + _claim_bytes(change.values)
    return 0


def _claim_bytes(values: object) -> int:
    assert isinstance(values, dict)
    return value_bytes(layout.value({"status": "RUNNING", "attempt": 1, **values}))


def units(size: int) -> int:
    """The write units of an item."""
    return -(-size // UNIT)
