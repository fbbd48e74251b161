"""A deploy harms no run: workers with the old code and the new one take turns at one queue for minutes."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio import step, workflow
from fluxio.definition import definition_of
from fluxio.plan import PATIENCE
from fluxio_client import RunStatus
from fluxio_protocol import changes as to
from fluxio_protocol.store import Store
from tests.moto.pump import World

pytestmark = pytest.mark.once


@workflow(name="Changing")
class Old:
    @step
    def a(self, number: int) -> dict[str, int]:
        return {"n": number}


@workflow(name="Changing")
class WithAStepMore:
    @step
    def a(self, number: int) -> dict[str, int]:
        return {"n": number}

    @step(depends_on=["a"])
    def b(self, n: int) -> int:
        return n


@workflow(name="Changing")
class WithAnotherArgument:
    """Its step `a` takes what the old one never heard of, from a step that is new."""

    @step
    def before(self) -> dict[str, int]:
        return {"amount": 7}

    @step(depends_on=["before"])
    def a(self, amount: int) -> int:
        return amount


@workflow(name="Changing")
class WithTheOldArgument:
    """It has that step already, and no edge from it."""

    @step
    def before(self) -> dict[str, int]:
        return {"amount": 7}

    @step
    def a(self, number: int) -> int:
        return number


def opened(world: World, cls: type, input: Any) -> str:
    """A run that a worker with this code has opened, and of which it has begun nothing."""
    definition = definition_of(cls)
    assert definition is not None
    run_id, store = (
        world.client.start(definition.name, input).run_id,
        Store(world.dynamodb, world.table_name),
    )
    store.put_graph(definition.name, definition.graph)
    store.apply(run_id, [to.open_run(definition.name, definition.graph, {})], world.clock.now())
    return run_id


@pytest.mark.parametrize("seconds", [1, 100, PATIENCE / 1000 - 20])
@pytest.mark.parametrize(
    ("old", "new"),
    [(Old, WithAStepMore), (WithTheOldArgument, WithAnotherArgument)],
)
def test_a_run_of_the_new_code_waits_while_the_old_one_takes_its_messages(
    world: World, old: type, new: type, seconds: float
) -> None:
    run_id = opened(world, new, {"number": 7} if old is Old else {})
    world.pump(old).pass_time(seconds, step=seconds)
    assert world.client.get(run_id).status is RunStatus.RUNNING
    world.pump(new).pass_time(200, step=10)
    run = world.client.get(run_id)
    assert (run.status, run.result) == (RunStatus.SUCCEEDED, 7)


def test_a_run_of_a_workflow_that_is_being_deployed_waits_for_it(world: World) -> None:
    run_id = world.client.start("Changing", {"number": 7}).run_id
    world.pump().pass_time(PATIENCE / 1000 - 20, step=10)
    assert world.client.get(run_id).status is RunStatus.PENDING
    world.pump(Old).pass_time(120, step=10)
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED


def test_what_lasts_is_said_by_the_run(world: World) -> None:
    run_id = opened(world, WithAStepMore, {"number": 7})
    world.pump(Old).lose_patience()
    run = world.client.get(run_id)
    assert run.parked
    assert run.error is not None
    assert "has no step b" in run.error.message


def test_arguments_that_never_fit_fail_the_run_by_name(world: World) -> None:
    run_id = opened(world, WithAnotherArgument, {})
    world.pump(WithTheOldArgument).lose_patience()
    run = world.client.get(run_id)
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.step) == ("BindingError", "a")


def test_a_graph_that_was_stored_a_moment_ago_is_found(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = opened(world, Old, {"number": 7})
    get_item = world.dynamodb.get_item

    def lags(**arguments: Any) -> Any:
        is_graph = arguments["Key"]["pk"]["S"].startswith("def#")
        return {} if is_graph and not arguments.get("ConsistentRead") else get_item(**arguments)

    monkeypatch.setattr(world.dynamodb, "get_item", lags)
    world.pump(WithAStepMore).drain()
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED
