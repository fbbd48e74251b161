"""One redrive resumes a run, however many of its steps failed and whatever happens meanwhile."""

from __future__ import annotations

import pytest

from fluxio import step, workflow
from fluxio.definition import definition_of
from fluxio_client import RunStatus, StepStatus
from fluxio_protocol import changes as to
from fluxio_protocol.run import Failure
from fluxio_protocol.store import Store
from tests.moto.pump import Killed, World

pytestmark = pytest.mark.once


def wide(branches: int) -> type:
    """Branches that all begin at once."""

    def branch(number: int) -> object:
        def run(self: object) -> dict[str, int]:
            return {}

        run.__name__ = f"branch_{number:02}"
        return step(run)

    return workflow(type("Wide", (), {f"branch_{n:02}": branch(n) for n in range(branches)}))


def failed(world: World, cls: type, *, steps: int) -> str:
    """A run of it that FAILED with so many of its steps; the others are under way in other workers."""
    definition = definition_of(cls)
    assert definition is not None
    run_id, now = world.client.start(definition.name).run_id, world.clock.now()
    claims = {name: to.claim_values(name, now + 70_000, "", now) for name in definition.steps}
    store = Store(world.dynamodb, world.table_name)
    store.apply(run_id, [to.open_run(definition.name, definition.graph, claims)], now)
    names = list(definition.steps)[:steps]
    failure = Failure("E", "the service behind it is down", next(iter(definition.steps)), 1)
    store.apply(run_id, [to.fail_run(failure, now)], now)
    for name in names:
        store.apply(run_id, [to.fail(name, name, 1, failure, RunStatus.FAILED, now)], now)
    return run_id


@pytest.mark.parametrize("steps", [0, 1, 41, 99])
def test_however_many_steps_failed(world: World, steps: int) -> None:
    cls = wide(99)
    run_id = failed(world, cls, steps=steps)
    run = world.client.redrive(run_id)
    assert run.status is RunStatus.RUNNING
    assert sum(one.status is StepStatus.PENDING for one in run.steps.values()) == steps
    for one in run.steps.values():  # the attempt under way is the first of those it has anew
        assert one.attempt - one.redriven_at == (one.status is StepStatus.RUNNING)


def test_a_redrive_that_dies_between_its_writes_can_be_repeated(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = failed(world, wide(90), steps=90)
    calls: list[object] = []
    update_item = world.dynamodb.update_item

    def dies_at_the_second(**arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 2:
            raise Killed
        return update_item(**arguments)

    with monkeypatch.context() as patched:
        patched.setattr(world.dynamodb, "update_item", dies_at_the_second)
        with pytest.raises(Killed):
            world.client.redrive(run_id)
    assert world.client.get(run_id).status is RunStatus.FAILED
    run = world.client.redrive(run_id)
    assert run.status is RunStatus.RUNNING
    assert {one.status for one in run.steps.values()} == {StepStatus.PENDING}


@workflow
class Two:
    @step()
    def one(self) -> dict[str, int]:
        return {}

    @step()
    def other(self) -> dict[str, int]:
        return {}


def test_a_branch_that_fails_behind_the_redrives_back_is_retried_with_the_run(world: World) -> None:
    run_id = failed(world, Two, steps=1)
    world.client.redrive(run_id)
    store, now = Store(world.dynamodb, world.table_name), world.clock.now()
    late = to.fail("other", "other", 1, Failure("E", "no", "other", 1), RunStatus.FAILED, now)
    assert not store.apply(run_id, [late], now).applied  # decided on before the redrive
    world.pump(Two).pass_time(300)
    assert world.client.get(run_id).status is RunStatus.SUCCEEDED
