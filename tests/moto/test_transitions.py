"""Every row of the transition table against every status of run and step, in a DynamoDB that is strict."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio_client import RunStatus, StepStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout, run_item
from fluxio_protocol.changes import Change
from fluxio_protocol.run import ENDED, Run
from fluxio_protocol.store import Store
from fluxio_protocol.transitions import Guard, Transition
from tests.golden.rows import (
    CHANGES,
    FIRST_CLAIM,
    GRAPH,
    NOT_COUNTED,
    NOW,
    RUN_ID,
    TOGETHER,
    UNSEEN_CLAIM,
    item,
)
from tests.moto.pump import World

pytestmark = pytest.mark.once


@pytest.fixture
def store(world: World) -> Store:
    made = Store(world.dynamodb, world.table_name)
    made.put_graph("W", GRAPH)
    return made


#: Each row on runs of both schemas; some rows that of the first one never gets.
ROWS = [
    (name, schema)
    for name in CHANGES
    for schema in (1, 2)
    if schema == 2 or name not in NOT_COUNTED
]


def put(world: World, stored: layout.Item) -> layout.Item:
    world.dynamodb.put_item(TableName=world.table_name, Item=stored)
    return stored


def holding(row: Transition) -> dict[str, Any]:
    """What an item needs besides the statuses for this row's guards to hold."""
    return {"version": None} if Guard.UNOPENED in row.guards else {}


@pytest.mark.parametrize(("name", "schema"), ROWS)
def test_a_row_applies_from_its_statuses_and_from_no_other(
    world: World, store: Store, name: str, schema: int
) -> None:
    row = CHANGES[name].row
    step_statuses = StepStatus if row.step_from else [StepStatus.PENDING]
    for run_status in RunStatus:
        for step_status in step_statuses:
            before = put(world, item(run_status, step_status, schema, **holding(row)))
            written = store.apply(RUN_ID, [CHANGES[name]], NOW, schema=schema)
            legal = run_status in CHANGES[name].run_from and (
                not row.step_from or step_status in CHANGES[name].step_from
            )
            assert written.applied == legal, (run_status, step_status)
            assert written.run is not None
            after = world.run_item(RUN_ID)
            if not legal:
                assert after == before
                assert written.run == read(before)
                continue
            assert written.run == read(after)
            assert written.run.status is (row.run_to or run_status)
            if row.name != "open":  # which begins anew
                assert written.run.steps["mine"].status is (row.step_to or step_status)
            check_effects(row, before, after, written.run)


def read(stored: layout.Item) -> Run:
    """The run that an item holds; of schema 1 it says by itself which steps there are."""
    graph = GRAPH if "version" in stored and "schema" in stored else None
    return run_item.run_from_item(stored, None, graph)


def check_effects(row: Transition, before: layout.Item, after: layout.Item, run: Run) -> None:
    """What a row changes beyond the statuses."""
    stored = layout.plain(after["steps"]).get("mine", {})
    if isinstance(stored, dict):
        assert not (row.drops - CHANGES[row.name].values.keys()) & stored.keys()
    taken = row.step_to is StepStatus.RUNNING
    if row.step_from:
        mine = run.steps["mine"]
        assert mine.attempt == (3 if taken else 2)
        released = row.name == "release"
        assert mine.token == ("new-token" if taken else None if released else "token")
    if row.closes:
        assert {"due", "wake_at"}.isdisjoint(after)
    else:
        assert {"due", "wake_at"} <= after.keys()
    if row.run_to is not None:
        assert ("ttl" in after) == (row.run_to in ENDED)
        assert ("failed" in after) == (row.run_to is RunStatus.FAILED)
    if "version" in after and row.name != "open" and run.steps["mine"].status is row.step_to:
        assert run.steps["after"].completed_deps == (1 if row.final else 0)
    for kept in ("workflow", "workflow_shard", "created_at", "input"):
        assert after[kept] == before[kept]


#: What breaks a guard, and nothing else.
BREAKING: dict[Guard, list[dict[str, Any]]] = {
    Guard.FENCE: [{"mine__token": "another"}, {"mine__attempt": 3}, {"mine__token": None}],
    Guard.ATTEMPT: [{"mine__attempt": 3}],
    Guard.SINCE_SEEN: [{"mine__since": NOW - 1_000}],
    Guard.STEP_SEEN: [{"mine__attempt": 3}, {"mine__attempt": None}],
    Guard.BARRIER: [{"mine__completed_deps": 0}, {"mine__total_deps": 2}],
    Guard.SEALS_SEEN: [{"archives": 2}, {"archives": None}],
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

#: The guards that are asked for in runs of one schema only. In the other one, that a step is ready follows from
#: what the maker of its claim has seen.
ONLY_IN = {Guard.BARRIER: 1, Guard.SEALS_SEEN: 2}

GUARDED = [
    pytest.param(name, schema, breaking, id=f"{name} {schema}, {guard.value} {'+'.join(breaking)}")
    for name, schema in ROWS
    for guard in sorted(CHANGES[name].row.guards, key=lambda guard: guard.value)
    if ONLY_IN.get(guard, schema) == schema
    and (guard is not Guard.SEALS_SEEN or CHANGES[name].asks_for_seals)
    for breaking in BREAKING[guard]
]


@pytest.mark.parametrize(("name", "schema", "breaking"), GUARDED)
def test_a_row_is_refused_when_one_of_its_guards_does_not_hold(
    world: World, store: Store, name: str, schema: int, breaking: dict[str, Any]
) -> None:
    row = CHANGES[name].row
    run_status = min(CHANGES[name].run_from)
    step_status = min(CHANGES[name].step_from, default=StepStatus.PENDING)
    before = put(world, item(run_status, step_status, schema, **(holding(row) | breaking)))
    assert not store.apply(RUN_ID, [CHANGES[name]], NOW, schema=schema).applied
    assert world.run_item(RUN_ID) == before


class TestFirstClaim:
    """A step that was never claimed does not stand in the item; nor does one that is sealed."""

    def test_it_is_taken(self, world: World, store: Store) -> None:
        put(world, item("RUNNING", "SUCCEEDED"))
        for change in (FIRST_CLAIM, UNSEEN_CLAIM):
            put(world, item("RUNNING", "SUCCEEDED"))
            run = store.apply(RUN_ID, [change], NOW).run
            assert run is not None
            assert (run.steps["after"].status, run.steps["after"].attempt) == ("RUNNING", 1)

    @pytest.mark.parametrize("change", [FIRST_CLAIM, UNSEEN_CLAIM], ids=["seen", "unseen"])
    def test_it_is_taken_once(self, world: World, store: Store, change: Change) -> None:
        put(world, item("RUNNING", "SUCCEEDED"))
        assert store.apply(RUN_ID, [change], NOW).applied
        assert not store.apply(RUN_ID, [change], NOW).applied

    def test_by_one_who_has_not_seen_the_run_only_after_what_it_depends_on(
        self, world: World, store: Store
    ) -> None:
        for status in ("RUNNING", "PENDING", "FAILED"):
            put(world, item("RUNNING", status))
            assert not store.apply(RUN_ID, [UNSEEN_CLAIM], NOW).applied

    def test_not_if_steps_were_sealed_since(self, world: World, store: Store) -> None:
        put(world, item("RUNNING", "SUCCEEDED", archives=2, sealed="0-2"))
        assert not store.apply(RUN_ID, [FIRST_CLAIM], NOW).applied

    def test_not_of_a_sealed_step_by_one_who_has_not_seen_the_run(
        self, world: World, store: Store
    ) -> None:
        sealed = item("RUNNING", "SUCCEEDED", archives=2, sealed="0-3")
        sealed["steps"] = {"M": {}}
        put(world, sealed)
        root = to.claim("root", {}, first=True)
        for change in (UNSEEN_CLAIM, root):
            assert not store.apply(RUN_ID, [change], NOW).applied


def test_a_backoff_that_is_over_does_not_hold_a_claim_up(world: World, store: Store) -> None:
    put(world, item("RUNNING", "PENDING", mine__not_before=NOW))
    written = store.apply(RUN_ID, [CHANGES["claim"]], NOW)
    assert written.applied
    assert written.run is not None
    assert written.run.steps["mine"].not_before is None


@pytest.mark.parametrize(("name", "schema"), ROWS)
def test_no_row_makes_a_run_of_nothing(world: World, store: Store, name: str, schema: int) -> None:
    written = store.apply(RUN_ID, [CHANGES[name]], NOW, schema=schema)
    assert (written.applied, written.run) == (False, None)
    assert [one["sk"]["S"] for one in world.items()] == ["def"]


class TestTogether:
    """Rows in one write apply together or not at all."""

    @pytest.mark.parametrize("schema", [1, 2])
    @pytest.mark.parametrize("name", TOGETHER)
    def test_they_apply(self, world: World, store: Store, name: str, schema: int) -> None:
        if schema == 1 and name in NOT_COUNTED:
            return
        changes = TOGETHER[name]
        status = min(frozenset.intersection(*(change.run_from for change in changes)))
        step_status = next((min(c.row.step_from) for c in changes if c.step == "mine"), "PENDING")
        put(world, item(status, step_status, schema))
        assert store.apply(RUN_ID, changes, NOW, schema=schema).applied

    def test_a_completion_does_not_happen_without_the_claim_that_goes_with_it(
        self, world: World, store: Store
    ) -> None:
        before = put(world, item("RUNNING", "RUNNING", 1))
        changes = [CHANGES["complete"], to.claim("after", {}, first=True, total_deps=2)]
        assert not store.apply(RUN_ID, changes, NOW, schema=1).applied
        assert world.run_item(RUN_ID) == before

    @pytest.mark.parametrize("schema", [1, 2])
    def test_a_fan_in_is_claimed_by_the_write_that_completes_its_last_dependency(
        self, world: World, store: Store, schema: int
    ) -> None:
        put(world, item("RUNNING", "RUNNING", schema))
        changes = TOGETHER["complete and claim the next"]
        run = store.apply(RUN_ID, changes, NOW, schema=schema).run
        assert run is not None
        after = run.steps["after"]
        assert (after.status, after.attempt) == (StepStatus.RUNNING, 1)
        assert (after.completed_deps, after.total_deps) == (1, 1)


class TestAtAnAddress:
    """Rows apply to a part of a run, in an item of its own, as they do to the run."""

    PART = layout.Address(RUN_ID, "map#mine#1")

    def put_both(self, world: World, run: str, part: str) -> layout.Item:
        put(world, item("RUNNING", part) | layout.run_key(self.PART))
        return put(world, item("RUNNING", run))

    def test_a_row_changes_the_part_and_leaves_the_run_alone(
        self, world: World, store: Store
    ) -> None:
        before = self.put_both(world, "SUCCEEDED", "PENDING")

        written = store.apply(self.PART, [CHANGES["claim"]], NOW)

        assert written.applied
        assert written.run == store.read(self.PART)
        assert written.run is not None
        assert written.run.steps["mine"].status is StepStatus.RUNNING
        assert world.run_item(RUN_ID) == before

    def test_a_row_with_a_users_own_write_changes_the_part(
        self, world: World, store: Store
    ) -> None:
        before = self.put_both(world, "SUCCEEDED", "PENDING")
        own = {"pk": {"S": "own"}, "sk": {"S": "own"}}
        operation = {"Put": {"TableName": world.table_name, "Item": own}}

        written = store.apply(self.PART, [CHANGES["claim"]], NOW, [operation])

        assert written.run is not None
        assert written.run.steps["mine"].status is StepStatus.RUNNING
        assert world.run_item(RUN_ID) == before

    @pytest.mark.parametrize("operations", [0, 1])
    def test_a_row_that_is_refused_shows_the_part_as_it_is(
        self, world: World, store: Store, operations: int
    ) -> None:
        self.put_both(world, "PENDING", "SUCCEEDED")
        own = {"pk": {"S": "own"}, "sk": {"S": "own"}}
        operation = {"Put": {"TableName": world.table_name, "Item": own}}

        written = store.apply(self.PART, [CHANGES["claim"]], NOW, [operation] * operations)

        assert not written.applied
        assert written.run is not None
        assert written.run.steps["mine"].status is StepStatus.SUCCEEDED

    def test_a_run_is_at_the_address_of_its_id(self, world: World, store: Store) -> None:
        self.put_both(world, "PENDING", "SUCCEEDED")

        assert store.read(layout.Address(RUN_ID)) == store.read(RUN_ID)
        assert store.read(RUN_ID) != store.read(self.PART)
