"""What a service that starts and watches runs may rely on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fluxio import Retry, step, workflow
from fluxio.manifest import Manifest
from fluxio_client import (
    FluxioClient,
    InvalidInput,
    NotNudged,
    PayloadError,
    RunExists,
    RunNotFound,
    RunParked,
    RunStatus,
    RunSummary,
    SettingError,
    WaitTimeout,
)
from fluxio_protocol import layout
from fluxio_protocol.queue import Nudge
from tests.moto.pump import Calls, World


@workflow
class Greeting:
    @step(retry=Retry(1, initial=10, jitter=0))
    def greet(self, name: str = "you") -> dict:
        if name == "nobody":
            raise LookupError(name)
        return {"greeting": f"Hello, {name}"}


T0 = 1_800_000_000_000


class Order(BaseModel):
    order_id: str
    lines: int


@dataclass
class Person:
    name: str


class TestStart:
    def test_a_run_can_be_read_at_once(self, world: World) -> None:
        started = world.client.start("Greeting", {"name": "Ada"})
        run = world.client.get(started.run_id)
        assert run == started
        assert re.fullmatch(r"wf-[0-9a-f]{12}", run.run_id)
        assert (run.workflow, run.status, run.input) == (
            "Greeting",
            RunStatus.PENDING,
            {"name": "Ada"},
        )
        assert (run.steps, run.result, run.error, run.ended) == ({}, None, None, False)
        assert run.created_at == world.clock.now()

    @pytest.mark.parametrize(
        ("given", "stored"),
        [
            (None, {}),
            ({}, {}),
            ({"a": [1, 2.5, None, True, "é"]}, {"a": [1, 2.5, None, True, "é"]}),
            (Order(order_id="o-1", lines=2), {"order_id": "o-1", "lines": 2}),
            (Person("Ada"), {"name": "Ada"}),
            ({"at": datetime(2030, 1, 2, tzinfo=timezone.utc)}, {"at": "2030-01-02T00:00:00Z"}),
        ],
    )
    def test_an_input_is_whatever_becomes_a_json_object(
        self, world: World, given: object, stored: object
    ) -> None:
        run_id = world.client.start("Greeting", given).run_id
        assert world.client.get(run_id).input == stored

    def test_it_sends_one_message_that_names_run_and_workflow(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        (record,) = world.pump(Greeting).receive()
        assert Nudge.from_json(record["body"]) == Nudge("g-1", "Greeting")

    def test_the_same_id_and_input_is_the_same_run(self, world: World) -> None:
        first = world.client.start("Greeting", {"name": "Ada", "n": 1}, run_id="g-1")
        world.clock.advance(60)
        again = world.client.start("Greeting", {"n": 1, "name": "Ada"}, run_id="g-1")
        assert again == first
        assert len(world.pump(Greeting).receive()) == 1

    def test_starting_again_gives_the_run_as_it_stands(self, world: World, calls: Calls) -> None:
        world.client.start("Greeting", {"name": "Ada"}, run_id="g-1")
        world.pump(Greeting).drain()
        calls.reset()
        again = world.client.start("Greeting", {"name": "Ada"}, run_id="g-1")
        assert (again.status, again.result) == (RunStatus.SUCCEEDED, {"greeting": "Hello, Ada"})
        assert calls.messages == 0

    @pytest.mark.parametrize("size", [10, 1_000])
    def test_the_same_id_with_another_input_is_refused(self, world: World, size: int) -> None:
        world.client.start("Greeting", {"name": "A" * size}, run_id="g-1")
        world.client.start("Greeting", {"name": "A" * size}, run_id="g-1")
        with pytest.raises(RunExists, match="run g-1 exists already, with another input: choose"):
            world.client.start("Greeting", {"name": "B" * size}, run_id="g-1")
        assert world.client.get("g-1").input == {"name": "A" * size}

    @pytest.mark.parametrize("size", [10, 1_000])
    def test_starting_again_needs_no_right_to_query(
        self, world: World, calls: Calls, size: int
    ) -> None:
        """A step that starts a run is repeated under the worker's role, which may not query the table."""
        world.client.start("Greeting", {"name": "A" * size}, run_id="g-1")
        world.client.start("Greeting", {"name": "A" * size}, run_id="g-1")
        assert (calls.of("Query"), calls.of("Scan")) == (0, 0)

    @pytest.mark.parametrize(("one", "other"), [(1, True), (0, False)])
    def test_a_number_is_another_input_than_a_truth_value(
        self, world: World, one: object, other: object
    ) -> None:
        world.client.start("Greeting", {"x": one}, run_id="g-1")
        with pytest.raises(RunExists):
            world.client.start("Greeting", {"x": other}, run_id="g-1")

    def test_the_same_id_for_another_workflow_is_refused(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        with pytest.raises(RunExists, match="of workflow Greeting, not Parting"):
            world.client.start("Parting", run_id="g-1")

    @pytest.mark.parametrize("run_id", ["a", "A.b_c:d-1", "0" * 64])
    def test_an_id_of_ones_own_may_be(self, world: World, run_id: str) -> None:
        run = world.client.start("Greeting", run_id=run_id)
        world.pump(Greeting).drain()
        assert run.run_id == run_id
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    @pytest.mark.parametrize(
        ("arguments", "error", "message"),
        [
            (("",), InvalidInput, "workflow name ''"),
            (("a b",), InvalidInput, "workflow name 'a b'"),
            (("1st",), InvalidInput, "beginning with a letter or '_'"),
            (("x" * 65,), InvalidInput, "use 1 to 64"),
            ((None,), InvalidInput, "workflow name None"),
            (("W", {}, ""), InvalidInput, "run id ''"),
            (("W", {}, "a/b"), InvalidInput, "run id 'a/b'"),
            (("W", {}, "x" * 65), InvalidInput, "use 1 to 64"),
            (("W", {}, "-x"), InvalidInput, "beginning with a letter or digit"),
            (("W", {}, "id\n"), InvalidInput, "run id"),
            (("W", {}, 7), InvalidInput, "run id is a int, not a string"),
            (("W", [1, 2]), InvalidInput, r"is \[1,2\], not a JSON object: pass a dict"),
            (("W", "text"), InvalidInput, 'is "text", not a JSON object'),
            (("W", 7), InvalidInput, "is 7, not a JSON object"),
            (("W", {"x": object()}), PayloadError, "input of W cannot be stored as JSON"),
            (("W", {"x": float("inf")}), PayloadError, "cannot be stored as JSON"),
            (("W", {"x": "\udc80"}), PayloadError, "cannot be stored as JSON"),
            (("W", {"x": "x" * 390_000}), PayloadError, "390,008 bytes .* at most 390,000"),
        ],
    )
    def test_what_cannot_be_started_is_refused_and_leaves_nothing(
        self,
        world: World,
        calls: Calls,
        arguments: tuple[Any, ...],
        error: type[Exception],
        message: str,
    ) -> None:
        with pytest.raises(error, match=message):
            world.client.start(*arguments)
        assert (calls.writes, calls.messages) == (0, 0)

    def test_the_largest_input_fits(self, world: World) -> None:
        text = "é" * ((390_000 - len('{"x":""}')) // 2)
        run_id = world.client.start("Greeting", {"x": text}).run_id
        assert world.client.get(run_id).input == {"x": text}

    def test_a_run_whose_message_was_not_accepted_is_stored_and_found_by_the_sweep(
        self, world: World
    ) -> None:
        client = FluxioClient(
            world.table_name,
            world.queue_url.replace(".fifo", "-gone.fifo"),
            dynamodb=world.dynamodb,
            sqs=world.sqs,
            now=world.clock.now,
        )
        with pytest.raises(
            NotNudged, match=r"run g-1 is stored, .* call start again with run_id='g-1'"
        ) as caught:
            client.start("Greeting", run_id="g-1")
        assert caught.value.__cause__ is not None
        assert world.client.get("g-1").status is RunStatus.PENDING
        world.pump(Greeting).pass_time(360, step=10)
        assert world.client.get("g-1").status is RunStatus.SUCCEEDED

    def test_starting_again_sends_the_message_that_was_not_accepted(self, world: World) -> None:
        broken = FluxioClient(
            world.table_name, world.queue_url, dynamodb=world.dynamodb, sqs=Unreachable()
        )
        with pytest.raises(NotNudged):
            broken.start("Greeting", run_id="g-1")
        world.client.start("Greeting", run_id="g-1")
        world.pump(Greeting).drain()
        assert world.client.get("g-1").status is RunStatus.SUCCEEDED


class Unreachable:
    """An SQS that does not answer."""

    def send_message_batch(self, **_: object) -> dict[str, Any]:
        raise ConnectionError("no route to host")


class TestGet:
    def test_a_run_that_is_not_there(self, world: World) -> None:
        with pytest.raises(RunNotFound, match=r"no run wf-0123456789ab .* FLUXIO_TABLE_NAME"):
            world.client.get("wf-0123456789ab")

    def test_an_id_that_cannot_be_one(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="run id 'a b'"):
            world.client.get("a b")

    def test_times_and_durations(self, world: World) -> None:
        world.client.start("Greeting", {"name": "Ada"}, run_id="g-1")
        world.clock.advance(1.5)
        world.pump(Greeting).drain()
        run = world.client.get("g-1")
        assert run.ended_at == run.created_at + 1_500
        assert run.duration == 1.5
        assert run.steps["greet"].started_at == run.ended_at
        assert run.steps["greet"].duration == 0


@pytest.mark.parametrize("same", [True, False])
@pytest.mark.parametrize(
    "reasons", [("TransactionConflict", "None"), ("None", "TransactionConflict")]
)
def test_two_starts_of_one_id_and_a_long_input_that_meet_are_one_run(
    world: World, monkeypatch: pytest.MonkeyPatch, same: bool, reasons: tuple[str, str]
) -> None:
    """DynamoDB cancels one of two transactions on the same items that are under way at once."""
    given = {"note": "x" * 1_000}
    transact = world.dynamodb.transact_write_items
    canceled = world.dynamodb.exceptions.TransactionCanceledException(
        {
            "Error": {"Code": "TransactionCanceledException"},
            "CancellationReasons": [{"Code": reason} for reason in reasons],
        },
        "TransactWriteItems",
    )
    others = [given if same else {"note": "y" * 1_000}]

    def met(**arguments: Any) -> Any:
        if others:
            other = others.pop()
            monkeypatch.setattr(world.dynamodb, "transact_write_items", transact)
            world.client.start("W", other, run_id="order-1")
            monkeypatch.setattr(world.dynamodb, "transact_write_items", met)
            raise canceled
        return transact(**arguments)

    monkeypatch.setattr(world.dynamodb, "transact_write_items", met)
    if same:
        assert world.client.start("W", given, run_id="order-1").status is RunStatus.PENDING
    else:
        with pytest.raises(RunExists, match="with another input"):
            world.client.start("W", given, run_id="order-1")
    assert len([*world.items()]) == 2


class TestList:
    """Runs of a workflow, newest first, over all shards of the index."""

    @pytest.fixture
    def ids(self, world: World) -> list[str]:
        """25 runs, a second apart, the oldest first; every fifth has failed, the last two are open."""
        client, pump = world.client, world.pump(Greeting, batch_size=10)
        found = []
        for at in range(25):
            name = "nobody" if at % 5 == 0 else "Ada"
            found.append(client.start("Greeting", {"name": name}, run_id=f"g-{at}").run_id)
            if at < 23:
                pump.drain()
            world.clock.advance(1)
        world.clock.advance(10)
        for record in pump.receive():
            if Nudge.from_json(record["body"]).run_id not in ("g-23", "g-24"):
                pump.invoke([record])
        client.start("Other", run_id="other")
        return found

    def pages(self, client: FluxioClient, limit: int, **options: Any) -> list[list[RunSummary]]:
        found, page = [], None
        for _ in range(30):
            answer = client.list("Greeting", limit=limit, page=page, **options)
            found.append(answer.runs)
            page = answer.next_page
            if page is None:
                return found
        raise AssertionError("the pages go round in circles")

    def test_listing(self, world: World, ids: list[str]) -> None:
        # One population of runs serves all the questions: making it takes the time.
        client, t0 = world.client, world.client.get("g-0").created_at
        newest = ids[::-1]

        everything = client.list("Greeting")
        assert [run.run_id for run in everything.runs] == newest
        assert everything.next_page is None
        assert {run.workflow for run in everything.runs} == {"Greeting"}

        for limit in (1, 7, 24, 25):
            pages = self.pages(client, limit)
            assert [run.run_id for page in pages for run in page] == newest, limit
            assert [len(page) for page in pages[:-1]] == [limit] * (len(pages) - 1)

        succeeded = [i for i in newest if int(i[2:]) % 5 and int(i[2:]) < 23]
        pages = self.pages(client, 4, status=RunStatus.SUCCEEDED)
        assert [run.run_id for page in pages for run in page] == succeeded
        assert [run.run_id for run in client.list("Greeting", status="PENDING").runs] == [
            "g-24",
            "g-23",
        ]
        assert client.list("Greeting", status="CANCELLED").runs == []

        failed = self.pages(client, 2, status="FAILED")
        flat = [run for page in failed for run in page]
        assert {run.run_id for run in flat} == {"g-0", "g-5", "g-10", "g-15", "g-20"}
        assert [len(page) for page in failed] == [2, 2, 1]
        assert flat == sorted(flat, key=lambda run: -(run.ended_at or 0))
        assert {run.status for run in flat} == {RunStatus.FAILED}

        since, until = t0 + 3_000, t0 + 6_000
        window = ["g-6", "g-5", "g-4", "g-3"]
        times: list[Callable[[int], Any]] = [
            int,
            lambda ms: datetime.fromtimestamp(ms / 1000, timezone.utc),
            lambda ms: datetime.fromtimestamp(ms / 1000, timezone(timedelta(hours=-5))),
        ]
        for form in times:
            listed = client.list("Greeting", since=form(since), until=form(until)).runs
            assert [run.run_id for run in listed] == window
        pages = self.pages(client, 3, since=since, until=until)
        assert [[run.run_id for run in page] for page in pages] == [window[:3], window[3:]]

        assert client.list("Nothing").runs == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"limit": 0}, "limit is 0: ask for 1 to 1,000"),
            ({"limit": 1_001}, "limit is 1001"),
            ({"limit": "50"}, "limit is '50'"),
            ({"since": 1_800_000_000}, "since is 1800000000: pass an aware datetime"),
            ({"until": 1.8e12}, "until is 1800000000000.0: pass an aware datetime"),
            ({"since": T0 + 1, "until": T0}, "until lies before since"),
            ({"status": "DONE"}, "status 'DONE' is none of PENDING, RUNNING"),
            ({"since": datetime(2030, 1, 1)}, "since is .* no time zone"),  # noqa: DTZ001
            ({"until": datetime(2030, 1, 1)}, "until is .* no time zone"),  # noqa: DTZ001
            ({"page": "rubbish"}, "page 'rubbish' is not a page of this listing of Greeting"),
            ({"page": "bm90IGpzb24"}, "is not a page"),
            ({"page": "é"}, "is not a page"),
        ],
    )
    def test_what_cannot_be_listed(
        self, world: World, arguments: dict[str, Any], message: str
    ) -> None:
        with pytest.raises(InvalidInput, match=message):
            world.client.list("Greeting", **arguments)

    def test_a_workflow_name_that_cannot_be_one(self, world: World) -> None:
        with pytest.raises(InvalidInput, match="workflow name 'a b'"):
            world.client.list("a b")

    def test_a_page_of_another_workflow_is_refused(self, world: World) -> None:
        for at in range(3):
            world.client.start("Greeting", run_id=f"g-{at}")
        page = world.client.list("Greeting", limit=1).next_page
        with pytest.raises(InvalidInput, match="is not a page of this listing of Parting"):
            world.client.list("Parting", page=page)

    def test_a_page_of_another_status_is_refused(self, world: World) -> None:
        for at in range(3):
            world.client.start("Greeting", run_id=f"g-{at}")
        page = world.client.list("Greeting", limit=1).next_page
        with pytest.raises(InvalidInput, match="is not a page"):
            world.client.list("Greeting", status="FAILED", page=page)


class TestWait:
    def test_it_returns_the_whole_run_when_it_has_ended(self, world: World) -> None:
        name = "Ada" * 500
        world.client.start("Greeting", {"name": name}, run_id="g-1")
        pump = world.pump(Greeting)
        client = self.client(world, after=3, do=pump.drain)
        run = client.wait("g-1", timeout=60)
        assert (run.status, run.result) == (
            RunStatus.SUCCEEDED,
            {"greeting": f"Hello, {name}"},
        )

    def test_it_returns_a_run_that_failed_too(self, world: World) -> None:
        world.client.start("Greeting", {"name": "nobody"}, run_id="g-1")
        pump = world.pump(Greeting)
        pump.drain()
        run = self.client(world, after=12, do=pump.drain).wait("g-1", timeout=60)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert str(run.error) == "step greet (attempt 2): LookupError: nobody"

    def test_it_gives_up_in_time_and_the_run_goes_on(self, world: World) -> None:
        world.client.start("Greeting", run_id="g-1")
        began = world.clock.now()
        with pytest.raises(WaitTimeout, match=r"run g-1 is PENDING after 7\.5 s\. It goes on"):
            world.client.wait("g-1", timeout=7.5)
        assert world.clock.now() == began + 7_500

    def test_it_looks_sooner_at_first_and_never_more_often_than_it_should(
        self, world: World
    ) -> None:
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            pauses.append(seconds)
            world.clock.advance(seconds)

        world.client.start("Greeting", run_id="g-1")
        with pytest.raises(WaitTimeout):
            self.client(world, sleep=sleep).wait(
                "g-1", timeout=timedelta(minutes=1), poll=timedelta(seconds=2)
            )
        assert pauses[0] <= 0.1
        assert max(pauses) == 2
        assert pauses[:-1] == sorted(pauses[:-1])

    @pytest.mark.parametrize(
        ("given", "message"),
        [
            ({"timeout": -1}, "timeout is -1; pass seconds 0 or more, .* or None to wait until"),
            ({"timeout": True}, "timeout is True"),
            ({"timeout": float("nan")}, "timeout is nan"),
            ({"poll": 0}, r"poll is 0; pass seconds 0\.01 or more, or a timedelta"),
            ({"poll": timedelta(milliseconds=1)}, "poll is datetime.timedelta"),
        ],
    )
    def test_it_takes_a_time_to_wait_and_nothing_else(
        self, world: World, given: dict[str, Any], message: str
    ) -> None:
        world.client.start("Greeting", run_id="g-1")
        with pytest.raises(InvalidInput, match=message):
            world.client.wait("g-1", **given)

    @pytest.mark.parametrize("hours", [-1, 1])
    def test_it_lasts_as_long_as_it_says_though_the_clock_is_set(
        self, world: World, hours: int
    ) -> None:
        passed = 0.0

        def sleep(seconds: float) -> None:
            nonlocal passed
            world.clock.advance(seconds + (hours * 3600 if passed == 0 else 0))
            passed += seconds

        world.client.start("Greeting", run_id="g-1")
        client = FluxioClient(
            world.table_name,
            world.queue_url,
            dynamodb=world.dynamodb,
            sqs=world.sqs,
            now=world.clock.now,
            sleep=sleep,
            monotonic=lambda: passed,
        )
        with pytest.raises(WaitTimeout):
            client.wait("g-1", timeout=5)
        assert passed == pytest.approx(5)

    def test_a_run_that_is_not_there(self, world: World) -> None:
        with pytest.raises(RunNotFound):
            world.client.wait("wf-0123456789ab")

    def test_a_parked_run_is_not_waited_for(self, world: World, tmp_path: Path) -> None:
        (tmp_path / "entry_points.txt").write_text("[fluxio.workflows]\nGreeting = gone:Greeting\n")
        world.client.start("Greeting", run_id="g-1")
        world.pump(manifest=Manifest([tmp_path])).lose_patience()
        with pytest.raises(RunParked, match=r"run g-1 is parked: .*no module 'gone'"):
            world.client.wait("g-1")

    def client(
        self,
        world: World,
        after: float = 0,
        do: Callable[[], None] = lambda: None,
        sleep: Callable[[float], None] | None = None,
    ) -> FluxioClient:
        """A client in whose sleep time goes by, and something happens after a while."""
        began = world.clock.now()

        def pass_time(seconds: float) -> None:
            world.clock.advance(seconds)
            if world.clock.now() >= began + after * 1000:
                do()

        return FluxioClient(
            world.table_name,
            world.queue_url,
            dynamodb=world.dynamodb,
            sqs=world.sqs,
            now=world.clock.now,
            sleep=sleep or pass_time,
            monotonic=lambda: world.clock.now() / 1000,
        )


class TestSettings:
    @pytest.mark.parametrize("call", ["start", "get", "list"])
    def test_a_table_that_is_not_there_is_named(self, world: World, call: str) -> None:
        client = FluxioClient(
            "no-such-table", world.queue_url, dynamodb=world.dynamodb, sqs=world.sqs
        )
        with pytest.raises(SettingError, match="there is no table 'no-such-table' in this Region"):
            getattr(client, call)("Greeting")

    def test_table_and_queue_come_from_the_environment(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_TABLE_NAME", world.table_name)
        monkeypatch.setenv("FLUXIO_QUEUE_URL", world.queue_url)
        run_id = FluxioClient().start("Greeting").run_id
        assert world.client.get(run_id).workflow == "Greeting"

    @pytest.mark.parametrize(
        ("environment", "argument", "days"), [(None, None, 90), ("7", None, 7), ("7", 3, 3)]
    )
    def test_a_run_that_the_client_ends_is_kept_as_long_as_the_deployment_keeps_its_runs(
        self,
        world: World,
        monkeypatch: pytest.MonkeyPatch,
        environment: str | None,
        argument: int | None,
        days: int,
    ) -> None:
        if environment:
            monkeypatch.setenv("FLUXIO_RETENTION_DAYS", environment)
        client = FluxioClient(
            world.table_name,
            world.queue_url,
            dynamodb=world.dynamodb,
            sqs=world.sqs,
            retention_days=argument,
            now=world.clock.now,
        )
        client.cancel(client.start("Greeting", run_id="unwanted").run_id)

        row = world.dynamodb.get_item(TableName=world.table_name, Key=layout.run_key("unwanted"))
        assert int(row["Item"]["ttl"]["N"]) == world.clock.now() // 1000 + days * 86_400

    @pytest.mark.parametrize("missing", ["FLUXIO_TABLE_NAME", "FLUXIO_QUEUE_URL"])
    def test_a_missing_variable_is_named_with_the_output_that_has_it(
        self, monkeypatch: pytest.MonkeyPatch, missing: str
    ) -> None:
        monkeypatch.setenv("FLUXIO_TABLE_NAME", "table")
        monkeypatch.setenv("FLUXIO_QUEUE_URL", "https://sqs.example/1/queue.fifo")
        monkeypatch.delenv(missing)
        output = missing.removeprefix("FLUXIO_").lower()
        with pytest.raises(SettingError, match=f"{missing} is not set.*output `{output}`"):
            FluxioClient()
