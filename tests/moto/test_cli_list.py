"""What `fluxio list` reads and shows, and where its pages go on."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fluxio import step, workflow
from fluxio_client import IndexNotReady, InvalidInput, RunStatus, listing
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.session import Session
from fluxio_client.listing import MOST_OPEN, Listing
from fluxio_protocol import calls, changes, layout
from fluxio_protocol.changes import Change
from fluxio_protocol.run import Failure, Page
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


@pytest.fixture
def read(world: World) -> Iterator[list[str]]:
    """The id of each run that a BatchGetItem asks for."""
    found: list[str] = []

    def see(params: dict[str, Any], **_: Any) -> None:
        (asked,) = params["RequestItems"].values()
        found.extend(key["pk"]["S"] for key in asked["Keys"])

    events = world.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.BatchGetItem", see)
    yield found
    events.unregister("provide-client-params.dynamodb.BatchGetItem", see)


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
    ("call", "most"),
    [
        # Open runs are read to see whether they are.
        ("list", 5),
        ("list --open Order", 5),
        # The index has no statuses; one run more than is shown tells that there are more.
        ("list Order", 5 + 6),
        ("list Order Other", 5 + 7),
        ("list --failed", 5),
        ("list Order --failed", 5),
        # Of parked runs there is no index.
        ("list --waiting", 5 + 40),
        ("list Order --waiting", 5 + 40),
    ],
)
def test_few_runs_are_read_that_are_not_shown(
    fluxio: Command,
    world: World,
    calls: Calls,
    queries: list[dict[str, Any]],
    read: list[str],
    call: str,
    most: int,
) -> None:
    ids = start(world, 40)
    failure = Failure("E", "why")
    for run_id in ids[:10]:
        stop(world, run_id, changes.fail_run(failure, world.clock.now()))
    for run_id in ids[10:20]:
        stop(world, run_id, changes.park(failure))
    calls.reset()

    said = fluxio(*call.split(), "--limit", "5", "--json")

    assert len(said.json["runs"]) == 5
    assert said.json["more"]
    assert len(read) <= most
    assert calls.of("BatchGetItem") <= 3
    assert calls.of("GetItem") == 0
    assert calls.of("Query") <= 16, (
        "one for each shard, of each workflow; another where most is filtered"
    )


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


def pages(world: World, limit: int, *most_open: int, **options: Any) -> list[Page]:
    """The pages of a listing of Order; for each, how many open runs there may be to look for it in `due`."""
    found, bounds = [], cycle(most_open or (MOST_OPEN,))
    page = None
    with pytest.MonkeyPatch.context() as patch:
        for bound in islice(bounds, 100):
            patch.setattr(listing, "MOST_OPEN", bound)
            found.append(world.client.list("Order", limit=limit, page=page, **options))
            page = found[-1].next_page
            if page is None:
                return found
    raise AssertionError("the pages go round in circles")


def ids_of(pages: list[Page]) -> list[str]:
    return [run.run_id for page in pages for run in page]


def test_open_runs_of_a_workflow_are_found_without_a_look_at_those_that_ended(
    world: World, calls: Calls, read: list[str]
) -> None:
    ids = start(world, 30)
    others = start(world, 2, "Other", "x")
    for run_id in ids[:27]:
        stop(world, run_id, changes.cancel(world.clock.now()))
    calls.reset()

    found = world.client.list("Order", status="PENDING")

    assert ids_of([found]) == ids[:26:-1]
    assert found.next_page is None
    assert sorted(read) == sorted(ids[27:] + others)
    assert calls.of("Query") == 8


@pytest.mark.parametrize(
    "most_open", [(1000,), (3,), (1000, 3), (3, 1000)], ids=["due", "by_workflow", "other", "back"]
)
@pytest.mark.parametrize("limit", [1, 4, 30])
@pytest.mark.parametrize("apart", [1, 0], ids=["a second apart", "at one moment"])
def test_each_open_run_is_on_one_page_wherever_it_is_found(
    world: World, most_open: tuple[int, ...], limit: int, apart: int
) -> None:
    ids = []
    for at in range(12):
        ids.append(world.client.start("Order", run_id=f"o-{at:02}").run_id)
        world.clock.advance(apart)
    stop(world, ids[3], changes.park(Failure("E", "why")))
    expected = [one for one in (ids[::-1] if apart else ids) if one != ids[3]]

    assert ids_of(pages(world, limit, *most_open, status="PENDING")) == expected


@pytest.mark.parametrize("status", [None, RunStatus.FAILED])
@pytest.mark.parametrize("limit", [1, 4])
def test_runs_of_one_moment_are_each_on_one_page(
    world: World, limit: int, status: RunStatus | None
) -> None:
    ids = [world.client.start("Order", run_id=f"o-{at:02}").run_id for at in range(20)]
    if status:
        for run_id in ids:
            stop(world, run_id, changes.fail_run(Failure("E", "why"), world.clock.now()))

    assert ids_of(pages(world, limit, status=status)) == ids


def test_a_search_for_a_rare_status_goes_on_from_page_to_page_with_bounded_reads(
    world: World, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH_KEYS", 5)
    monkeypatch.setattr(listing, "MOST_READ", 10)
    ids = start(world, 40)
    parked = [ids[35], ids[20], ids[19], ids[2]]
    for run_id in parked:
        stop(world, run_id, changes.park(Failure("E", "why")))

    first = world.client.list("Order", status="WAITING")
    assert ids_of([first]) == parked[:1]
    assert first.next_page
    assert len(read) == 10

    found = pages(world, 2, status="WAITING")
    assert ids_of(found) == parked
    assert [] in [page.runs for page in found]


def test_the_command_goes_on_until_it_has_found_what_is_asked_for(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "BATCH_KEYS", 5)
    monkeypatch.setattr(listing, "MOST_READ", 10)
    ids = start(world, 40)
    for run_id in (ids[1], ids[0]):
        stop(world, run_id, changes.park(Failure("E", "why")))

    for call in (["list", "Order"], ["list", "Order", "Other"], ["list"]):
        listed = fluxio(*call, "--status", "WAITING", "--json").json
        assert [run["run_id"] for run in listed["runs"]] == [ids[1], ids[0]]
        assert not listed["more"]
    said = fluxio("redrive", "--parked", "Order", "--yes")
    assert said.code == ExitCode.OK
    assert {world.client.get(one).status for one in ids[:2]} == {RunStatus.PENDING}


def test_a_page_that_an_earlier_version_has_named_is_gone_on_with(world: World) -> None:
    ids = start(world, 20)
    # Of each shard the last run that was shown, and its time.
    last = {str(layout.shard(one)): [one, world.client.get(one).created_at] for one in ids[:9:-1]}
    text = json.dumps([["Order", None], 0, None, last])
    page = urlsafe_b64encode(text.encode()).decode().rstrip("=")

    assert ids_of([world.client.list("Order", page=page)]) == ids[9::-1]


def test_a_run_that_only_the_index_still_shows_is_left_out_and_fills_no_place(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = start(world, 6)
    gone = {ids[4], ids[2]}
    batch_get = calls.Calls.batch_get

    def without(self: calls.Calls, run_ids: Any, *more: Any) -> dict[str, Any]:
        return batch_get(self, [one for one in run_ids if one not in gone], *more)

    monkeypatch.setattr(calls.Calls, "batch_get", without)

    assert [[run.run_id for run in page] for page in pages(world, 2)] == [
        [ids[5], ids[3]],
        [ids[1], ids[0]],
    ]


NO_INDEX = "The table does not have the specified index: by_workflow"
FILLING = "Cannot read from backfilling global secondary index: by_workflow"


@pytest.mark.parametrize("said", [NO_INDEX, FILLING], ids=["deleted", "being filled"])
@pytest.mark.parametrize("call", ["list Order", "list --waiting", "redrive --parked Order"])
def test_while_an_upgrade_makes_the_index_anew_it_is_said_and_runs_go_on(
    fluxio: Command, world: World, said: str, call: str
) -> None:
    def refuse(params: dict[str, Any], model: Any, **_: Any) -> None:
        if params.get("IndexName") == layout.INDEX_BY_WORKFLOW:
            raise ClientError({"Error": {"Code": "ValidationException", "Message": said}}, "Query")

    run = world.client.start("Approval")
    events = world.dynamodb.meta.events
    events.register("provide-client-params.dynamodb.*", refuse)
    try:
        answer = fluxio(*call.split())
        assert answer.code == ExitCode.ERROR
        assert "Traceback" not in answer.err
        said_in_a_line = " ".join(answer.err.split())
        assert "no index by_workflow that can be read now" in said_in_a_line
        assert "Runs go on meanwhile; repeat the call when it is ACTIVE" in said_in_a_line
        with pytest.raises(IndexNotReady, match="Runs go on meanwhile"):
            world.client.list("Approval")

        pump = world.pump(Approval)
        pump.drain()
        assert fluxio("list", "--json").json["runs"][0]["status"] == "RUNNING"
        world.client.signal(run.run_id, "approved")
        pump.drain()
        assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED
    finally:
        events.unregister("provide-client-params.dynamodb.*", refuse)


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
