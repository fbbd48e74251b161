"""What belongs to a run goes when the run goes, its long values too; and an open run never loses one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluxio import StepContext, step, workflow
from fluxio_client import RunStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout, values
from fluxio_protocol.payloads import Payloads
from fluxio_protocol.store import Store
from tests.moto.conftest import create_table
from tests.moto.pump import Calls, Killed, World

pytestmark = pytest.mark.once

LONG = "x" * 2_100
DAY = 86_400
RETENTION = 90


@workflow(timeout=3_600)
class Long:
    """Everything that can be long: input, signal, outputs, and a result of several of them."""

    fails = False

    @step
    def first(self, note: str = "") -> dict[str, str]:
        return {"text": LONG}

    @step(depends_on=["first"], awaits=["go"])
    def left(self, text: str, go: str) -> str:
        if Long.fails:
            raise RuntimeError("no")
        return LONG

    @step(depends_on=["first"])
    def right(self, text: str) -> str:
        return LONG


@pytest.fixture(autouse=True)
def fails(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    monkeypatch.setattr(Long, "fails", False)
    return lambda really: monkeypatch.setattr(Long, "fails", really)


def start(world: World, signal: bool = True) -> str:
    run_id = world.client.start("Long", {"note": LONG}).run_id
    if signal:
        world.client.signal(run_id, "go", LONG)
    return run_id


def kept(world: World, run_id: str) -> dict[str, float]:
    """Days from now until each item with a long value of a run may be deleted."""
    return {
        item["sk"]["S"]: int(item["ttl"]["N"]) / DAY - world.clock.now() / 1000 / DAY
        for item in world.items()
        if item["pk"]["S"] == run_id and item["sk"]["S"] != layout.RUN
    }


def goes_with_the_run(world: World, run_id: str) -> bool:
    """Whether every item of an ended run has the run's own time to live."""
    items = [item for item in world.items() if item["pk"]["S"] == run_id]
    assert len(items) > 1
    return {item["ttl"]["N"] for item in items} == {world.run_item(run_id)["ttl"]["N"]}


ALL = {"input", "out#first#1", "out#left#1", "out#right#1", "result", "signal#go"}


def test_what_is_long_goes_with_a_run_that_succeeded(world: World) -> None:
    run_id = start(world)
    assert min(kept(world, run_id).values()) > 400
    world.clock.advance(60)
    world.pump(Long).drain()
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED
    assert kept(world, run_id) == pytest.approx(dict.fromkeys(ALL, RETENTION), abs=0.01)
    assert goes_with_the_run(world, run_id)


@pytest.mark.parametrize("inline_branches", [0, 10])
def test_and_with_one_that_failed(
    world: World, fails: Callable[[bool], None], inline_branches: int
) -> None:
    fails(True)
    run_id = start(world)
    world.pump(Long, inline_branches=inline_branches).pass_time(200)
    assert world.client.get(run_id).status is RunStatus.FAILED
    assert {"input", "out#first#1", "signal#go"} <= kept(world, run_id).keys()
    assert goes_with_the_run(world, run_id)


def test_and_with_one_that_was_cancelled(world: World) -> None:
    run_id = start(world, signal=False)
    world.pump(Long).drain()
    world.client.cancel(run_id)
    assert kept(world, run_id).keys() == {"input", "out#first#1", "out#right#1"}
    assert goes_with_the_run(world, run_id)


def test_and_with_one_whose_time_is_over(world: World) -> None:
    run_id = start(world, signal=False)
    pump = world.pump(Long)
    pump.drain()
    pump.pass_time(3_700, step=100)
    assert world.client.get(run_id).status is RunStatus.FAILED
    assert goes_with_the_run(world, run_id)


def test_and_with_one_that_no_worker_could_open(world: World) -> None:
    run_id = world.client.start("Unknown", {"note": LONG}).run_id
    world.pump(Long).lose_patience()
    run = world.client.get(run_id)
    if run.status is RunStatus.WAITING:  # parked: it has not ended
        world.client.cancel(run_id)
    assert goes_with_the_run(world, run_id)


def test_what_a_step_brings_after_the_run_has_ended_goes_with_it(world: World) -> None:
    @workflow
    class Late:
        @step
        def slow(self, ctx: StepContext) -> str:
            world.client.cancel(ctx.run_id)
            return LONG

    run_id = world.client.start("Late", {"note": LONG}).run_id
    world.pump(Late).drain()
    assert kept(world, run_id).keys() == {"input", "out#slow#1"}
    assert goes_with_the_run(world, run_id)


@pytest.mark.parametrize("call", [1, 3])
def test_a_worker_that_dies_before_it_has_seen_to_it_is_made_up_for(
    world: World, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    run_id = start(world)
    pump = world.pump(Long)
    update = Payloads._update
    calls = []

    def dies(self: Store, *arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == call:
            raise Killed
        update(self, *arguments)

    monkeypatch.setattr(Payloads, "_update", dies)
    pump.drain()
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED
    assert not goes_with_the_run(world, run_id)
    pump.pass_time(200)
    assert goes_with_the_run(world, run_id)
    seen = len(calls)
    pump.pass_time(200)
    assert len(calls) == seen, "once is enough"


def test_a_cancellation_that_broke_off_is_made_up_for_by_the_next(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = start(world)
    with monkeypatch.context() as patched:
        patched.setattr(Payloads, "_update", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            world.client.cancel(run_id)
    assert world.client.get(run_id).status is RunStatus.CANCELLED
    world.clock.advance(60)
    world.client.cancel(run_id)
    assert goes_with_the_run(world, run_id)


class TestRedrive:
    @pytest.fixture
    def run_id(self, world: World, fails: Callable[[bool], None]) -> str:
        """A run that has failed."""
        fails(True)
        run_id = start(world)
        world.pump(Long).drain()
        fails(False)
        assert goes_with_the_run(world, run_id)
        return run_id

    def test_a_run_that_is_redriven_keeps_its_values_again(self, world: World, run_id: str) -> None:
        world.clock.advance(80 * DAY)
        world.client.redrive(run_id)
        assert min(kept(world, run_id).values()) > 400
        world.pump(Long).drain()
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED
        assert kept(world, run_id).keys() >= {"out#left#2", "result"}
        assert goes_with_the_run(world, run_id)

    def test_a_redrive_that_dies_leaves_nothing_that_could_be_lost(
        self, world: World, run_id: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patched:
            patched.setattr(Store, "apply", lambda *_, **__: 1 / 0)
            with pytest.raises(ZeroDivisionError):
                world.client.redrive(run_id)
        assert min(kept(world, run_id).values()) > 400, "kept before the run is open again"
        world.clock.advance(60)
        world.client.redrive(run_id)
        world.pump(Long).drain()
        assert goes_with_the_run(world, run_id)

    def test_a_worker_that_is_late_takes_nothing_from_a_run_that_was_redriven(
        self, world: World, run_id: str
    ) -> None:
        run = world.client.get(run_id)
        assert run.ended_at is not None
        world.clock.advance(60)
        world.client.redrive(run_id)
        store = Store(world.dynamodb, world.table_name)
        store.payloads.expire(run_id, values.payload_keys(run), run.ended_at)
        assert min(kept(world, run_id).values()) > 400

    def test_it_undoes_the_end_that_it_saw_and_no_other(self, world: World, run_id: str) -> None:
        run = world.client.get(run_id)
        assert run.ended_at is not None
        store, now = Store(world.dynamodb, world.table_name), world.clock.now()
        other = to.redrive(True, layout.shard(run_id), run.ended_at - 1, now)
        assert not store.apply(run_id, [other], now).applied
        same = to.redrive(True, layout.shard(run_id), run.ended_at, now)
        assert store.apply(run_id, [same], now).applied

    def test_what_a_step_stored_between_its_look_and_its_write_is_kept_as_well(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        run_id = world.client.start("Long").run_id
        now, store = world.clock.now(), Store(world.dynamodb, world.table_name)
        item = world.run_item(run_id)
        done = {"status": "SUCCEEDED", "attempt": 1, "token": "t", "output_ref": "out#first#1"}
        failed: dict[str, Any] = {"status": "FAILED", "ended_at": now, "version": "0a1b2c3d"}
        item |= {name: layout.value(value) for name, value in failed.items()}
        apply = Store.apply

        def late(self: Store, *arguments: Any, **more: Any) -> Any:
            store.payloads.put(run_id, "out#first#1", LONG, now)
            store.payloads.expire(run_id, ["out#first#1"], now)
            seen = item | {"steps": layout.value({"first": done})}
            world.dynamodb.put_item(TableName=world.table_name, Item=seen)
            return apply(self, *arguments, **more)

        world.dynamodb.put_item(TableName=world.table_name, Item=item)
        monkeypatch.setattr(Store, "apply", late)
        world.client.redrive(run_id)
        assert kept(world, run_id)["out#first#1"] > 400


class TestOutputsThatWereNeverCommitted:
    def test_one_whose_transaction_was_refused(self, world: World) -> None:
        table = f"{world.table_name}-ledger"
        create_table(world.dynamodb, table)
        key = {"pk": {"S": "no"}, "sk": {"S": "no"}}
        check = {"TableName": table, "Key": key, "ConditionExpression": "attribute_exists(pk)"}

        @workflow
        class Refused:
            @step(retry=1)
            def pay(self, ctx: StepContext) -> str:
                if ctx.attempt == 1:
                    ctx.transact({"ConditionCheck": check})
                return LONG

            @step(depends_on=["pay"], awaits=["never"])
            def after(self, pay: str) -> None: ...

        run_id = world.client.start("Refused").run_id
        world.pump(Refused).pass_time(120)
        assert world.client.get(run_id).steps["pay"].attempt == 2
        found = kept(world, run_id)
        assert found["out#pay#1"] < RETENTION < 400 < found["out#pay#2"]

    def test_one_whose_worker_died_before_the_commit(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @workflow
        class Lost:
            @step
            def slow(self) -> str:
                return LONG

            @step(depends_on=["slow"], awaits=["never"])
            def after(self, slow: str) -> None: ...

        put = Payloads.put
        deaths = []

        def dies(self: Store, *arguments: Any) -> None:
            put(self, *arguments)
            if not deaths:
                deaths.append(arguments)
                raise Killed

        monkeypatch.setattr(Payloads, "put", dies)
        run_id = world.client.start("Lost").run_id
        world.pump(Lost).pass_time(400)
        assert world.client.get(run_id).steps["slow"].attempt == 2
        found = kept(world, run_id)
        assert found["out#slow#1"] < RETENTION < 400 < found["out#slow#2"]


def test_a_run_without_long_values_pays_nothing_for_it(world: World, calls: Calls) -> None:
    @workflow
    class Short:
        @step
        def only(self) -> str:
            return "short"

    world.run(Short)  # the first one stores the graph
    before = calls.writes
    run = world.run(Short)
    assert run.status is RunStatus.SUCCEEDED
    assert calls.writes - before == 3  # start, open, complete and finish


def test_an_item_that_is_not_there_is_not_made(world: World) -> None:
    store = Store(world.dynamodb, world.table_name)
    store.payloads.expire("wf-0123456789ab", ["input"], world.clock.now())
    store.payloads.keep("wf-0123456789ab", ["input"], world.clock.now(), world.clock.now())
    assert world.items() == []
