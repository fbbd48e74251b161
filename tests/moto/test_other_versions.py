"""Client and worker with what another version of fluxio has written: shown as unknown, and nothing breaks."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Callable
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio_client import RunEnded, RunStatus, StepStatus, UnknownStatus, WaitTimeout
from fluxio_client.cli.exits import ExitCode
from fluxio_protocol import layout, run_item
from fluxio_protocol.graph import SCHEMA
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

Item = dict[str, Any]
Change = Callable[[Item], None]


@workflow
class Order:
    @step
    def take(self) -> dict:
        return {"order": 1}

    @step(depends_on=["take"], awaits=["approved"])
    def charge(self, order: int) -> dict:
        return {"charged": order}

    @step(depends_on=["charge"])
    def ship(self) -> dict:
        return {}


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return make_command(world, capfd, monkeypatch)


def step_of(item: Item, name: str = "charge") -> Item:
    claimed = {"status": {"S": "PENDING"}, "attempt": {"N": "1"}}
    found: Item = item["steps"]["M"].setdefault(name, {"M": claimed})["M"]
    return found


def run_status(item: Item) -> None:
    item["status"] = {"S": "SUSPENDED"}


def run_status_at_its_end(item: Item) -> None:
    item |= {"status": {"S": "ABANDONED"}, "ended_at": item["created_at"]}
    del item["due"], item["wake_at"]


def step_status(item: Item) -> None:
    step_of(item)["status"] = {"S": "POLLING"}


def step_without_a_status(item: Item) -> None:
    del step_of(item)["status"]


def attributes(item: Item) -> None:
    item |= {
        "v": {"N": "7"},
        "parent": {"S": "wf-1"},
        "tags": {"SS": ["a", "b"]},
        "labels": {"L": [{"S": "x"}, {"BOOL": True}]},
        "signal:later": {"M": {"ref": {"S": "s3://bucket/key"}}},
    }
    step_of(item).update({"polls": {"N": "3"}, "undo": {"M": {}}, "nothing": {"NULL": True}})


def entry_of_another_form(item: Item) -> None:
    item["steps"]["M"]["pause"] = {"S": "until 2030"}


def awaits_as_a_list(item: Item) -> None:
    step_of(item)["awaits"] = {"L": [{"S": "approved"}]}


def error_of_another_form(item: Item) -> None:
    step_of(item)["error"] = {"S": '[{"class": "E"}]'}
    item["error"] = {"S": "no JSON at all"}


NEWER: dict[str, Change] = {
    change.__name__: change
    for change in (
        run_status, run_status_at_its_end, step_status, step_without_a_status, attributes,
        entry_of_another_form, awaits_as_a_list, error_of_another_form,
    )
}  # fmt: skip

NODES = {
    "take": {"kind": "step"},
    "pause": {"kind": "timer", "depends_on": ["take"], "seconds": 60},
    "charge": {"kind": "step", "depends_on": ["pause"], "any_of": True, "awaits": ["approved"]},
    "ship": ["charge", "somewhere else"],
    "later": "2030-01-01",
}


def newer_graph(world: World, item: Item) -> None:
    """A graph with nodes of kinds and forms that are not known here."""
    item["version"] = {"S": "f00dfeed"}
    stored = layout.definition_key("Order", "f00dfeed") | {"graph": {"S": json.dumps(NODES)}}
    world.dynamodb.put_item(TableName=world.table_name, Item=stored)


def rewritten(world: World, change: Change) -> str:
    """A run that waits for its signal, as a later version has changed it."""
    run_id = world.run(Order).run_id
    item = world.run_item(run_id)
    change(item)
    world.dynamodb.put_item(TableName=world.table_name, Item=item)
    return run_id


@pytest.fixture(params=[*NEWER, "graph"])
def newer(request: pytest.FixtureRequest, world: World) -> str:
    if request.param == "graph":
        return rewritten(world, lambda item: newer_graph(world, item))
    return rewritten(world, NEWER[request.param])


@pytest.mark.parametrize(
    "call",
    [
        "show RUN",
        "show RUN --json --input --output",
        "show RUN --output",
        "show RUN --exit-code",
        "list",
        "list --json",
        "list Order",
        "list Order --json",
        "list --waiting",
        "list --open Order",
        "timeline RUN",
        "timeline RUN --json",
        "graph RUN",
        "graph RUN -f svg",
        "graph RUN --json",
        "graph Order",
    ],
)
@pytest.mark.once
def test_every_look_at_what_a_later_version_wrote_works(
    fluxio: Command, newer: str, call: str
) -> None:
    said = fluxio(*call.replace("RUN", newer).split())

    assert said.code in (ExitCode.OK, ExitCode.NOT_ENDED, ExitCode.UNSUCCESSFUL), said.err
    if "--json" in call:
        assert said.json


def test_the_client_reads_what_a_later_version_wrote(world: World, newer: str) -> None:
    run = world.client.get(newer)

    assert {"take", "charge", "ship"} <= {*run.steps}
    assert [one.run_id for one in world.client.list("Order")] == [newer]
    if run.ended:
        assert world.client.wait(newer, timeout=1) == run
    else:
        with pytest.raises(WaitTimeout):
            world.client.wait(newer, timeout=1)
    assert pickle.loads(pickle.dumps(run)) == copy.deepcopy(run) == run


@pytest.mark.parametrize(
    ("change", "word"),
    [(run_status, "SUSPENDED"), (run_status_at_its_end, "ABANDONED"), (step_status, "POLLING")],
)
@pytest.mark.once
def test_an_unknown_status_is_shown_as_it_is_and_said_to_be_unknown(
    fluxio: Command, world: World, change: Change, word: str
) -> None:
    run_id = rewritten(world, change)

    shown = " ".join(fluxio("show", run_id).out.split())
    assert f"{word} is a status unknown to this client" in shown
    assert word in json.dumps(fluxio("show", run_id, "--json").json)


@pytest.mark.once
def test_an_unknown_kind_of_node_is_shown_as_unknown(fluxio: Command, world: World) -> None:
    run_id = rewritten(world, lambda item: newer_graph(world, item))

    shown = " ".join(fluxio("show", run_id).out.split())
    assert "timer: unknown to this client" in shown
    for format_ in ("mermaid", "svg"):
        drawn = fluxio("graph", run_id, "-f", format_).out
        assert "unknown: timer" in drawn
        assert "unknown: step with any_of" in drawn


def test_a_known_status_is_a_member_and_an_unknown_one_is_not(world: World) -> None:
    run = world.client.get(rewritten(world, run_status))

    assert run.status == "SUSPENDED"
    assert not run.status.known
    assert run.status not in list(RunStatus)
    assert run.steps["charge"].status is StepStatus.PENDING
    assert all(status.known for status in RunStatus)


@pytest.mark.parametrize("call", ["cancel", "signal", "redrive"])
def test_a_run_in_an_unknown_status_is_not_moved(world: World, call: str) -> None:
    run_id = rewritten(world, run_status)
    before = world.run_item(run_id)

    with pytest.raises(UnknownStatus, match=r"is SUSPENDED, .* Upgrade fluxio-client"):
        getattr(world.client, call)(*[run_id, "approved"][: 2 if call == "signal" else 1])

    assert world.run_item(run_id) == before


@pytest.mark.parametrize("call", ["cancel", "signal"])
def test_a_run_that_is_being_compensated_is_not_moved(world: World, call: str) -> None:
    def compensating(item: Item) -> None:
        item["status"] = {"S": "COMPENSATING"}

    run_id = rewritten(world, compensating)
    with pytest.raises(RunEnded, match="is COMPENSATING"):
        getattr(world.client, call)(*[run_id, "approved"][: 2 if call == "signal" else 1])


def test_a_run_that_ended_in_an_unknown_status_cannot_be_signalled(world: World) -> None:
    run_id = rewritten(world, run_status_at_its_end)

    with pytest.raises((UnknownStatus, RunEnded)):
        world.client.signal(run_id, "approved")


@pytest.mark.parametrize("change", [run_status, step_status], ids=lambda change: change.__name__)
def test_an_older_worker_leaves_what_it_does_not_know_to_a_newer_one(
    world: World, change: Change
) -> None:
    run_id = rewritten(world, change)
    before = world.run_item(run_id)

    world.send(json.dumps({"run_id": run_id}))
    world.pump(Order).drain()

    assert world.run_item(run_id) == before


def test_an_older_worker_does_not_go_by_a_graph_that_it_knows_in_part(world: World) -> None:
    run_id = rewritten(world, lambda item: newer_graph(world, item))
    world.client.signal(run_id, "approved")
    pump = world.pump(Order)
    for _ in range(5):
        pump.drain()
        world.clock.advance(120)
    pump.pass_time(1200, step=10)

    run = world.client.get(run_id)

    assert run.steps["charge"].attempt == 0
    assert run.parked
    assert "written by a later version of fluxio" in str(run.error)


def test_a_newer_client_reads_an_item_with_nothing_but_what_the_first_version_wrote() -> None:
    item = {
        "pk": {"S": "r"},
        "sk": {"S": "run"},
        "workflow": {"S": "Order"},
        "status": {"S": "RUNNING"},
        "created_at": {"N": "1800000000000"},
        "steps": {"M": {"take": {"M": {"status": {"S": "PENDING"}}}}},
    }
    run = run_item.run_from_item(item)

    assert (run.steps["take"].attempt, run.steps["take"].awaits, run.version) == (0, (), None)


@pytest.mark.parametrize(
    "item",
    [
        {"pk": {"S": "r"}, "workflow_shard": {"S": "Order#1"}, "created_at": {"N": "5"}},
        {"pk": {"S": "r"}, "failed": {"S": "Order"}, "ended_at": {"N": "5"}},
    ],
    ids=["by_workflow", "failed"],
)
def test_an_index_that_holds_less_can_be_listed(item: Item) -> None:
    summary = run_item.summary_from_item(item)

    assert (summary.run_id, summary.workflow, summary.created_at) == ("r", "Order", 5)
    assert summary.status == layout.UNKNOWN


def test_a_run_whose_graph_is_of_a_later_schema_is_shown_and_parked(world: World) -> None:
    run_id = world.run(Order).run_id
    item = world.run_item(run_id)
    key = layout.definition_key("Order", item["version"]["S"])
    stored = world.dynamodb.get_item(TableName=world.table_name, Key=key)["Item"]
    later = layout.definition_key("Order", "f00dfeed") | {
        "schema": {"N": str(SCHEMA + 1)},
        "graph": stored["graph"],
    }
    item["version"] = {"S": "f00dfeed"}
    for changed in (item, later):
        world.dynamodb.put_item(TableName=world.table_name, Item=changed)

    world.client.signal(run_id, "approved")
    world.pump(Order).lose_patience()

    run = world.client.get(run_id)
    assert run.parked
    assert "was written by a later version of fluxio" in str(run.error)
    graph = world.client.graph(run)
    assert graph is not None
    assert graph.depends_on["ship"] == ("charge",)
