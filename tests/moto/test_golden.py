"""The items of tests/golden are what a worker writes and what a client reads, in every version."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio_client import RunStatus
from tests.moto.pump import Killed, World

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("golden/run_items.json").read_text())
RUN_ID = "wf-000000000001"


@workflow
class Golden:
    @step
    def first(self, n: int) -> dict:
        return {"x": n + 1}

    @step(depends_on=["first"], timeout=30)
    def second(self, x: int, after: str = "") -> dict:
        if after == "kill":
            raise Killed
        if after == "raise":
            raise ValueError("no such card")
        return {"y": x}

    @step(depends_on=["second"])
    def third(self, y: int) -> dict:
        return {"last": y + 1}


@pytest.mark.parametrize(
    ("name", "input"),
    [
        ("succeeded", {"n": 1}),
        ("running", {"n": 1, "after": "kill"}),
        ("failed", {"n": 1, "after": "raise"}),
    ],
)
def test_a_worker_writes_the_golden_item(world: World, name: str, input: dict[str, Any]) -> None:
    world.client.start("Golden", input, run_id=RUN_ID)
    world.clock.advance(1)
    world.pump(Golden).drain()
    assert world.run_item(RUN_ID) == GOLDEN[name]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_client_reads_the_golden_item(world: World, name: str) -> None:
    world.dynamodb.put_item(TableName=world.table_name, Item=GOLDEN[name])
    run = world.client.get(RUN_ID)
    assert run.status.value.lower() == name
    assert [listed.run_id for listed in world.client.list("Golden").runs] == [RUN_ID]
    failed = world.client.list("Golden", status=RunStatus.FAILED).runs
    assert len(failed) == (name == "failed")


def test_a_worker_goes_on_with_the_golden_run(world: World) -> None:
    item = GOLDEN["running"] | {"input": {"S": '{"n":1}'}}
    world.dynamodb.put_item(TableName=world.table_name, Item=item)
    next(world.tokens)  # token-1 is the dead worker's
    world.pump(Golden).pass_time(400, step=10)
    run = world.client.get(RUN_ID)
    assert (run.status, run.result) == (RunStatus.SUCCEEDED, {"last": 3})
    assert run.steps["second"].attempt == 2
