"""What `fluxio list` reads and shows, and where its pages go on."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio_client import InvalidInput, RunStatus
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.session import Session
from fluxio_client.listing import Listing
from fluxio_protocol import changes
from fluxio_protocol.changes import Change
from fluxio_protocol.run import Failure
from fluxio_protocol.store import Store
from tests.moto.cli import Command, make_command
from tests.moto.pump import Calls, World

pytestmark = pytest.mark.once

#: DynamoDB's Limit is a 32-bit integer.
INTEGER = 2**31 - 1


@workflow
class Order:
    @step
    def take(self) -> dict:
        return {}

    @step(depends_on=["take"], awaits=["approved"])
    def ship(self) -> dict:
        return {}


@workflow
class Approval:
    @step(awaits=["approved"])
    def publish(self) -> dict:
        return {}


def of_two_versions() -> list[type]:
    @workflow
    class Order:
        @step
        def take(self) -> dict:
            return {}

        @step(depends_on=["take"], awaits=["approved"])
        def send(self) -> dict:
            return {}

    return [Order]


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    command = make_command(world, capfd, monkeypatch)
    # The client whose calls are looked at.
    monkeypatch.setattr(Session, "dynamodb", world.dynamodb)
    return command


@pytest.fixture
def queries(world: World) -> Iterator[list[dict[str, Any]]]:
    """The arguments of each Query; one that DynamoDB would refuse fails the test."""
    found: list[dict[str, Any]] = []

    def see(params: dict[str, Any], **_: Any) -> None:
        found.append(params)
        assert params.get("Limit", 1) <= INTEGER
        start, values = params.get("ExclusiveStartKey"), params["ExpressionAttributeValues"]
        if start and ":since" in values:
            at = int(start[params["ExpressionAttributeNames"]["#range"]]["N"])
            assert int(values[":since"]["N"]) <= at <= int(values[":until"]["N"]), (
                "The provided starting key does not match the range key predicate"
            )

    events = world.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.Query", see)
    yield found
    events.unregister("provide-client-params.dynamodb.Query", see)


def start(world: World, count: int, workflow: str = "Order", prefix: str = "o") -> list[str]:
    """Runs a second apart."""
    ids = []
    for at in range(count):
        ids.append(world.client.start(workflow, run_id=f"{prefix}-{at}").run_id)
        world.clock.advance(1)
    return ids


def stop(world: World, run_id: str, change: Change) -> None:
    Store(world.dynamodb, world.table_name).apply(run_id, [change], world.clock.now())


@pytest.mark.parametrize(
    "call",
    [
        ["list"],
        ["list", "Order"],
        ["list", "Order", "Other"],
        ["list", "--open", "Order"],
        ["list", "--failed"],
        ["list", "Order", "--failed"],
        ["list", "--waiting"],
        ["list", "Order", "--waiting"],
    ],
    ids=" ".join,
)
def test_no_more_runs_are_read_than_are_shown(
    fluxio: Command, world: World, calls: Calls, queries: list[dict[str, Any]], call: list[str]
) -> None:
    ids = start(world, 40)
    failure = Failure("E", "why")
    for run_id in ids[:10]:
        stop(world, run_id, changes.fail_run(failure, world.clock.now()))
    for run_id in ids[10:20]:
        stop(world, run_id, changes.park(failure))
    calls.reset()

    said = fluxio(*call, "--limit", "5", "--json")

    assert len(said.json["runs"]) == 5
    assert said.json["more"]
    assert calls.of("GetItem") == 5
    assert calls.of("Query") <= 16, (
        "one for each shard, of each workflow; another where most is filtered"
    )
    assert all(query["Limit"] <= 7 for query in queries)


def test_open_runs_are_all_shown_the_newest_first_if_there_are_no_more(
    fluxio: Command, world: World
) -> None:
    ids = start(world, 12)
    stop(world, ids[3], changes.cancel(world.clock.now()))

    listed = fluxio("list", "--json").json

    assert [run["run_id"] for run in listed["runs"]] == [one for one in ids[::-1] if one != ids[3]]
    assert not listed["more"]
    assert not fluxio("list", "--limit", "11", "--json").json["more"]


def test_runs_that_the_index_shows_but_that_are_not_asked_for_do_not_use_up_the_limit(
    fluxio: Command, world: World
) -> None:
    start(world, 6, "Other", "x")
    ids = start(world, 3)
    start(world, 6, "Other", "y")

    listed = fluxio("list", "--open", "Order", "--limit", "3", "--json").json

    assert [run["run_id"] for run in listed["runs"]] == ids[::-1]


@pytest.mark.parametrize("status", [None, RunStatus.FAILED])
def test_a_page_goes_on_in_the_window_of_the_first_whenever_it_is_asked_for(
    fluxio: Command, world: World, queries: list[dict[str, Any]], status: RunStatus | None
) -> None:
    """`--since 60s` is another moment with each command; a cursor outside the window is refused."""
    ids = start(world, 20)
    if status:
        for run_id in ids:
            stop(world, run_id, changes.fail_run(Failure("E", "why"), world.clock.now()))
            world.clock.advance(1)
    more = ["--failed"] if status else []
    found: list[str] = []
    page: list[str] = []
    for _ in range(30):
        listed = fluxio("list", "Order", *more, "--since", "60s", "--limit", "3", "--json", *page)
        assert listed.code == ExitCode.OK, listed.err
        found += [run["run_id"] for run in listed.json["runs"]]
        world.clock.advance(45)
        if listed.json["next_page"] is None:
            break
        page = ["--page", listed.json["next_page"]]

    assert found == ids[::-1]


@pytest.mark.parametrize("window", [{}, {"since": 5_000}, {"until": -5_000}, {"since": 10**6}])
def test_a_page_asked_for_with_another_window_goes_on_in_its_own(
    world: World, queries: list[dict[str, Any]], window: dict[str, int]
) -> None:
    t0 = world.clock.now()
    ids = start(world, 20)
    first = world.client.list("Order", since=t0, until=t0 + 15_000, limit=4)
    times = {name: t0 + at for name, at in window.items()}

    rest = world.client.list("Order", page=first.next_page, limit=100, **times)  # type: ignore[arg-type]

    assert [run.run_id for page in (first, rest) for run in page] == ids[15::-1]


@pytest.mark.parametrize(
    "page",
    [
        "W10",
        "bm9uc2Vuc2U",
        "é",
        # A page of another client, and one that somebody has changed: cursors outside the window.
        "W1siT3JkZXIiLG51bGxdLHt9XQ",
        "W1siT3JkZXIiLG51bGxdLDUsOSx7IjAiOlsiby0xIiwxMl19XQ",
        "W1siT3JkZXIiLG51bGxdLDUsOSx7IjAiOlsiby0xIiwibm93Il19XQ",
    ],
)
def test_what_is_no_page_is_refused_in_a_sentence(world: World, page: str) -> None:
    with pytest.raises(InvalidInput, match="is not a page of this listing of Order"):
        world.client.list("Order", page=page)


def test_versions_are_shown_where_they_differ_and_can_be_asked_for(
    fluxio: Command, world: World
) -> None:
    old = [world.run(Order).run_id for _ in range(2)]
    version = world.client.get(old[0]).version
    assert version is not None
    other = world.run(Approval).run_id
    assert version not in fluxio("list", "Order", "Approval").out
    world.client.cancel(other)

    (newer,) = of_two_versions()
    world.clock.advance(1)
    new = world.run(newer).run_id

    for call in (["list"], ["list", "Order"], ["list", "--open", "Order"]):
        assert version in fluxio(*call).out
        records = fluxio(*call, "--json").json["runs"]
        assert {run["run_id"]: run["version"] for run in records} == {
            one: world.client.get(one).version for one in (*old, new)
        }
        of_it = fluxio(*call, "--version", version, "--json").json["runs"]
        assert sorted(run["run_id"] for run in of_it) == sorted(old)
    assert fluxio("list", "Order", "--version", "00000000", "--json").json["runs"] == []
    assert f"version {version}" in fluxio("show", old[0]).out.splitlines()[0]


@pytest.mark.parametrize("option", ["--failed", "--parked"])
def test_a_redrive_of_a_workflow_without_a_run_says_that_there_is_none(
    fluxio: Command, world: World, option: str
) -> None:
    said = fluxio("redrive", option, "Odrer")
    assert said.code == ExitCode.NOT_FOUND
    assert "no run of a workflow Odrer was found" in said.err

    start(world, 1)
    said = fluxio("redrive", option, "Order")
    assert said.code == ExitCode.OK
    assert "no run of Order is " in said.err


def test_a_listing_reads_as_far_as_it_is_taken(world: World, calls: Calls) -> None:
    start(world, 30)
    calls.reset()

    first = next(Listing(Store(world.dynamodb, world.table_name)).open(expected=1))

    assert first.startswith("o-")
    assert calls.of("Query") == 8
