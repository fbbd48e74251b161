"""The main job, written as the README has it, runs to its end however the messages are batched."""

from __future__ import annotations

import re

import pytest

from fluxio import step, workflow
from fluxio_client import RunStatus, StepStatus
from tests.moto.pump import Calls, LogLines, World


@workflow
class OrderFulfillment:
    @step(retry=3, timeout=30)
    def validate_payment(self, order_id: str, amount: float) -> dict:
        return {"order_id": order_id, "token": "tok_abc", "amount": amount}

    @step(depends_on=["validate_payment"], retry=3)
    def charge_card(self, order_id: str, token: str, amount: float, **kwargs) -> dict:
        return {"charge_id": "ch_abc", "charged": amount}

    @step(depends_on=["validate_payment"], retry=2)
    def reserve_inventory(self, order_id: str, **kwargs) -> dict:
        return {"reservation_id": "res_abc"}

    @step(depends_on=["validate_payment"], retry=1)
    def send_confirmation(self, order_id: str, **kwargs) -> dict:
        return {"email_sent": True}

    @step(depends_on=["charge_card", "reserve_inventory", "send_confirmation"])
    def fulfill_order(self, order_id: str, charge_id: str, reservation_id: str, **kwargs) -> dict:
        return {"fulfillment_id": "ful_abc", "status": "fulfilled"}


ORDER = {"order_id": "o-1", "amount": 99}
FULFILLED = {"fulfillment_id": "ful_abc", "status": "fulfilled"}

both_ways = pytest.mark.parametrize("inline_branches", [10, 0], ids=["threads", "nudges"])


@both_ways
@pytest.mark.parametrize("batch_size", range(1, 11))
def test_it_runs_to_its_end_at_every_batch_size(
    world: World, batch_size: int, inline_branches: int
) -> None:
    run_id = world.engine.start_workflow(workflow_name="OrderFulfillment", input_data=ORDER)
    pump = world.pump(OrderFulfillment, batch_size=batch_size, inline_branches=inline_branches)
    pump.drain()
    run = world.client.get(run_id)
    assert (run.status, run.result, run.error) == (RunStatus.SUCCEEDED, FULFILLED, None)
    assert {name: (s.status, s.attempt) for name, s in run.steps.items()} == dict.fromkeys(
        OrderFulfillment.__dict__["__fluxio_workflow__"].steps, (StepStatus.SUCCEEDED, 1)
    )
    assert run.steps["charge_card"].output == {"charge_id": "ch_abc", "charged": 99.0}
    assert all(answer == {"batchItemFailures": []} for answer in pump.answers)
    assert world.dead_letters() == []


@both_ways
def test_several_runs_share_a_batch(world: World, inline_branches: int) -> None:
    ids = [world.client.start("OrderFulfillment", ORDER).run_id for _ in range(6)]
    pump = world.pump(OrderFulfillment, inline_branches=inline_branches, batch_size=10)
    records = pump.receive()
    assert len(records) == 6
    pump.invoke(records)
    pump.drain()
    assert [world.client.get(run_id).result for run_id in ids] == [FULFILLED] * 6


def test_the_engine_gives_back_the_run_id(world: World) -> None:
    run_id = world.engine.start_workflow(workflow_name="OrderFulfillment", input_data=ORDER)
    assert re.fullmatch(r"wf-[0-9a-f]{12}", run_id)
    assert world.client.get(run_id).input == ORDER


def test_an_ended_run_leaves_the_sweeper_and_will_expire(world: World) -> None:
    run = world.run(OrderFulfillment, ORDER)
    item = world.run_item(run.run_id)
    assert {"due", "wake_at", "failed"}.isdisjoint(item)
    assert int(item["ttl"]["N"]) == world.clock.now() // 1000 + 90 * 86_400
    assert world.pump(OrderFulfillment).sweep() == {"nudged": 0, "latest_ms": 0}


def test_a_message_that_is_delivered_again_changes_nothing(world: World, calls: Calls) -> None:
    world.client.start("OrderFulfillment", ORDER, run_id="once")
    pump = world.pump(OrderFulfillment)
    records = pump.receive()
    pump.invoke(records)
    before = world.run_item("once")
    calls.reset()
    records[0]["attributes"]["ApproximateReceiveCount"] = "2"
    pump.invoke(records)
    assert world.run_item("once") == before
    assert calls.writes == 0


class TestBudgets:
    """What a run costs is counted, not timed. A version's graph is stored once and not part of it."""

    def warm(self, world: World, inline_branches: int = 10) -> None:
        world.run(OrderFulfillment, ORDER, inline_branches=inline_branches)

    def test_with_threads_it_takes_7_writes_and_1_message(self, world: World, calls: Calls) -> None:
        self.warm(world)
        calls.reset()
        run = world.run(OrderFulfillment, ORDER)
        assert run.status is RunStatus.SUCCEEDED
        assert calls.writes <= 7
        assert calls.messages == 1

    def test_with_threads_it_takes_1_invocation(self, world: World) -> None:
        world.client.start("OrderFulfillment", ORDER)
        pump = world.pump(OrderFulfillment)
        pump.drain()
        assert len(pump.answers) == 1

    def test_with_nudges_it_takes_10_writes_and_3_messages(
        self, world: World, calls: Calls
    ) -> None:
        self.warm(world, inline_branches=0)
        calls.reset()
        run = world.run(OrderFulfillment, ORDER, inline_branches=0)
        assert run.status is RunStatus.SUCCEEDED
        assert calls.writes <= 10
        assert calls.messages <= 3

    def test_the_graph_of_a_version_is_written_once(self, world: World, calls: Calls) -> None:
        self.warm(world)
        graphs = [item for item in world.items() if item["sk"]["S"] == "def"]
        assert [item["pk"]["S"].rpartition("#")[0] for item in graphs] == ["def#OrderFulfillment"]
        calls.reset()
        self.warm(world)  # by a new worker, which reads before it writes
        assert calls.of("PutItem") == 1, "the run's own"

    def test_the_log_tells_what_a_message_cost(
        self, world: World, calls: Calls, log_lines: LogLines
    ) -> None:
        world.client.start("OrderFulfillment", ORDER)
        calls.reset()
        world.pump(OrderFulfillment).drain()
        (line,) = log_lines("message handled")
        assert (line["received"], line["verdict"], line["sent"]) == (1, "acknowledged", 0)
        assert line["writes"] == calls.writes
        assert line["reads"] == calls.of("GetItem") + calls.of("Query")
