"""The items of tests/golden: what a worker writes (of schema 2) and what every version reads (of both)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio.definition import definition_of
from fluxio_client import RunStatus
from fluxio_protocol.store import Store
from tests.moto.pump import Killed, World

FOLDER = Path(__file__).parents[1] / "golden"
ITEMS = {schema: json.loads((FOLDER / f"run_items_{schema}.json").read_text()) for schema in (1, 2)}
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
    assert world.run_item(RUN_ID) == ITEMS[2][name]


def put(world: World, schema: int, name: str, **changed: Any) -> None:
    """Store a golden item, and the graph that the worker which opened it has stored before."""
    definition = definition_of(Golden)
    assert definition is not None
    Store(world.dynamodb, world.table_name).put_graph("Golden", definition.graph)
    world.dynamodb.put_item(TableName=world.table_name, Item=ITEMS[schema][name] | changed)


@pytest.mark.parametrize("schema", ITEMS)
@pytest.mark.parametrize("name", ["succeeded", "running", "failed"])
def test_a_client_reads_the_golden_item(world: World, name: str, schema: int) -> None:
    put(world, schema, name)
    run = world.client.get(RUN_ID)
    assert run.status.value.lower() == name
    assert [*run.steps] == ["first", "second", "third"]
    first, second, third = run.steps.values()
    assert (first.status, first.output, first.duration) == ("SUCCEEDED", {"x": 2}, 0)
    assert second.status == name.upper()
    assert third.status == ("SUCCEEDED" if name == "succeeded" else "PENDING")
    assert third.output == ({"last": 3} if name == "succeeded" else None)
    assert [step.total_deps for step in run.steps.values()][:-1] == (
        [0, 0] if schema == 1 and name == "succeeded" else [0, 1]
    )
    assert [listed.run_id for listed in world.client.list("Golden").runs] == [RUN_ID]
    failed = world.client.list("Golden", status=RunStatus.FAILED).runs
    assert len(failed) == (name == "failed")


@pytest.mark.parametrize("schema", ITEMS)
def test_a_worker_goes_on_with_the_golden_run(world: World, schema: int) -> None:
    put(world, schema, "running", input={"S": '{"n":1}'})
    next(world.tokens)  # token-1 is the dead worker's
    world.pump(Golden).pass_time(400, step=10)
    run = world.client.get(RUN_ID)
    assert (run.status, run.result) == (RunStatus.SUCCEEDED, {"last": 3})
    assert run.steps["second"].attempt == 2
