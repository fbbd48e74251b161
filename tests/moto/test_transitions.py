"""Every row of the transition table against every status of run and step, in a DynamoDB that is strict."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio_client import RunStatus, StepStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.run import ENDED
from fluxio_protocol.store import Store
from fluxio_protocol.transitions import Guard, Transition
from tests.golden.rows import CHANGES, NOW, RUN_ID, TOGETHER, item
from tests.moto.pump import World

pytestmark = pytest.mark.once


@pytest.fixture
def store(world: World) -> Store:
    return Store(world.dynamodb, world.table_name)


def put(world: World, stored: layout.Item) -> layout.Item:
    world.dynamodb.put_item(TableName=world.table_name, Item=stored)
    return stored


def holding(row: Transition) -> dict[str, Any]:
    """What an item needs besides the statuses for this row's guards to hold."""
    return {"version": None} if Guard.UNOPENED in row.guards else {}


@pytest.mark.parametrize("name", CHANGES)
def test_a_row_applies_from_its_statuses_and_from_no_other(
    world: World, store: Store, name: str
) -> None:
    row = CHANGES[name].row
    step_statuses = StepStatus if row.step_from else [StepStatus.PENDING]
    for run_status in RunStatus:
        for step_status in step_statuses:
            before = put(world, item(run_status, step_status, **holding(row)))
            written = store.apply(RUN_ID, [CHANGES[name]], NOW)
            legal = run_status in CHANGES[name].run_from and (
                not row.step_from or step_status in row.step_from
            )
            assert written.applied == legal, (run_status, step_status)
            assert written.run is not None
            after = world.run_item(RUN_ID)
            if not legal:
                assert after == before
                assert written.run == layout.run_from_item(before)
                continue
            assert written.run == layout.run_from_item(after)
            assert written.run.status is (row.run_to or run_status)
            if row.name != "open":  # which lays the steps out anew
                assert written.run.steps["mine"].status is (row.step_to or step_status)
            check_effects(row, before, after)


def check_effects(row: Transition, before: layout.Item, after: layout.Item) -> None:
    """What a row changes beyond the statuses."""
    mine = layout.plain(after["steps"]).get("mine", {})
    for dropped in row.drops - CHANGES[row.name].values.keys():
        assert dropped not in mine
    taken = row.step_to is StepStatus.RUNNING
    if row.step_from:
        assert mine["attempt"] == (3 if taken else 2)
        assert mine["token"] == ("new-token" if taken else "token")
    if row.closes:
        assert {"due", "wake_at"}.isdisjoint(after)
    else:
        assert {"due", "wake_at"} <= after.keys()
    if row.run_to is not None:
        assert ("ttl" in after) == (row.run_to in ENDED)
        assert ("failed" in after) == (row.run_to is RunStatus.FAILED)
    if row.name != "open":
        counted = layout.plain(after["steps"])["after"]["completed_deps"]
        assert counted == (1 if row.name == "complete" else 0)
    for kept in ("workflow", "workflow_shard", "created_at", "input"):
        assert after[kept] == before[kept]


#: What breaks a guard, and nothing else.
BREAKING: dict[Guard, list[dict[str, Any]]] = {
    Guard.FENCE: [{"mine__token": "another"}, {"mine__attempt": 3}, {"mine__token": None}],
    Guard.ATTEMPT: [{"mine__attempt": 3}],
    Guard.BARRIER: [{"mine__completed_deps": 0}, {"mine__total_deps": 2}],
    Guard.DUE: [{"mine__not_before": NOW + 1}],
    Guard.LEASE_OVER: [
        {"mine__lease_until": NOW + 1},
        {"mine__attempt": 3},
        {"mine__lease_until": None},
    ],
    Guard.WORKFLOW: [{"workflow": "Other"}],
    Guard.OVERDUE: [{"deadline": NOW + 1}, {"deadline": None}],
    Guard.SIGNALLED: [{"signal:go": None}],
    Guard.UNSIGNALLED: [{"signal:later": "{}"}],
    Guard.UNTAKEN: [{"mine__status": "RUNNING"}, {"mine__status": "SUCCEEDED"}],
    Guard.OPENED: [{"version": None}],
    Guard.UNOPENED: [{"version": "0a1b2c3d"}],
    Guard.WAKE_SEEN: [{"wake_at": NOW}, {"wake_at": None, "due": None}],
    Guard.END_SEEN: [{"ended_at": NOW}],
    Guard.PAYLOAD_SEEN: [{"signal:go": '{"sent":"anew"}'}, {"signal:go": None}],
    Guard.RUN_SEEN: [{"status": "FAILED"}, {"status": "CANCELLED"}],
    Guard.REDRIVE_SEEN: [{"mine__redriven_at": 1}],
}

GUARDED = [
    pytest.param(name, breaking, id=f"{name}, {guard.value} {'+'.join(breaking)}")
    for name, change in CHANGES.items()
    for guard in sorted(change.row.guards, key=lambda guard: guard.value)
    for breaking in BREAKING[guard]
]


@pytest.mark.parametrize(("name", "breaking"), GUARDED)
def test_a_row_is_refused_when_one_of_its_guards_does_not_hold(
    world: World, store: Store, name: str, breaking: dict[str, Any]
) -> None:
    row = CHANGES[name].row
    run_status = min(CHANGES[name].run_from)
    step_status = min(row.step_from, default=StepStatus.PENDING)
    before = put(world, item(run_status, step_status, **(holding(row) | breaking)))
    assert not store.apply(RUN_ID, [CHANGES[name]], NOW).applied
    assert world.run_item(RUN_ID) == before


def test_a_backoff_that_is_over_does_not_hold_a_claim_up(world: World, store: Store) -> None:
    put(world, item("RUNNING", "PENDING", mine__not_before=NOW))
    written = store.apply(RUN_ID, [CHANGES["claim"]], NOW)
    assert written.applied
    assert written.run is not None
    assert written.run.steps["mine"].not_before is None


@pytest.mark.parametrize("name", CHANGES)
def test_no_row_makes_a_run_of_nothing(world: World, store: Store, name: str) -> None:
    written = store.apply(RUN_ID, [CHANGES[name]], NOW)
    assert (written.applied, written.run) == (False, None)
    assert world.items() == []


class TestTogether:
    """Rows in one write apply together or not at all."""

    @pytest.mark.parametrize("name", TOGETHER)
    def test_they_apply(self, world: World, store: Store, name: str) -> None:
        changes = TOGETHER[name]
        status = min(frozenset.intersection(*(change.run_from for change in changes)))
        step_status = next(min(c.row.step_from) for c in changes if c.step == "mine")
        put(world, item(status, step_status))
        assert store.apply(RUN_ID, changes, NOW).applied

    def test_a_completion_does_not_happen_without_the_claim_that_goes_with_it(
        self, world: World, store: Store
    ) -> None:
        before = put(world, item("RUNNING", "RUNNING"))
        changes = [CHANGES["complete"], to.claim("after", {}, total_deps=2)]
        assert not store.apply(RUN_ID, changes, NOW).applied
        assert world.run_item(RUN_ID) == before

    def test_a_fan_in_is_claimed_by_the_write_that_completes_its_last_dependency(
        self, world: World, store: Store
    ) -> None:
        put(world, item("RUNNING", "RUNNING"))
        run = store.apply(RUN_ID, TOGETHER["complete and claim the next"], NOW).run
        assert run is not None
        after = run.steps["after"]
        assert (after.status, after.attempt) == (StepStatus.RUNNING, 1)
        assert (after.completed_deps, after.total_deps) == (1, 1)
