"""What the pages of `fluxio ui` show, in this process."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from fluxio import StepContext, step, workflow
from fluxio_client.cli.session import Session
from fluxio_protocol import limits
from fluxio_protocol.store import Store
from tests.moto.cli import make_command
from tests.moto.pages import Pages, text_of
from tests.moto.pump import World


@workflow
class Order:
    @step
    def take(self, order_id: str) -> dict:
        return {"taken": order_id}

    @step(depends_on=["take"])
    def charge(self, order_id: str) -> dict:
        if order_id.startswith("broke"):
            raise ValueError(f"card of {order_id} was declined")
        return {"charged": True}

    @step(depends_on=["take"], awaits=["approved"])
    def approve(self) -> dict:
        return {}

    @step(depends_on=["charge", "approve"])
    def ship(self) -> dict:
        return {"shipped": True}


@workflow
class Quick:
    @step
    def only(self) -> dict:
        return {"x" * 10: "y" * 100_000}


@pytest.fixture
def session(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Session:
    make_command(world, capfd, monkeypatch)
    monkeypatch.setattr(Session, "dynamodb", world.dynamodb)
    return Session()


@pytest.fixture
def pages(session: Session) -> Pages:
    return Pages(session)


def start(world: World, run_id: str, order_id: str = "o-1", signalled: bool = False) -> None:
    world.client.start("Order", {"order_id": order_id}, run_id)
    if signalled:
        world.client.signal(run_id, "approved", {"by": "kim"})
    world.pump(Order).drain()


def links(html: str) -> list[str]:
    return re.findall(r'href="([^"]+)"', html)


# --- the pages


def test_the_overview_counts_what_is_open_failed_and_waits_for_a_person(
    world: World, pages: Pages
) -> None:
    start(world, "r-open")
    start(world, "r-bad", "broke-1")
    world.sqs.send_message(
        QueueUrl=world.dlq_url, MessageBody="{}", MessageGroupId="a", MessageDeduplicationId="a"
    )

    said = pages.text("/")

    assert "1 open" in said
    assert "1 failed" in said
    assert "1 waiting for a signal" in said
    assert "1 dead letters" in said
    assert "card of broke-1 was declined" in said
    assert "r-open" in said


def test_the_overview_says_by_how_much_the_sweep_is_late(world: World, pages: Pages) -> None:
    world.client.start("Order", {"order_id": "o-1"}, "r-1")
    assert "none overdue" in pages.text("/")

    world.clock.advance(3 * 3600)

    assert "2 h 55 min overdue" in pages.text("/")


def test_a_list_is_filtered_by_its_address_and_paged_to_its_end(
    world: World, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fluxio_client.ui.runs.LIMIT", 2)
    for number in range(5):
        world.client.start("Quick", None, f"q-{number}")
        world.clock.advance(1)
    path: str | None = "/runs?workflow=Quick"
    seen = []

    while path:
        page = pages.get(path)
        seen.append(re.findall(r">(q-\d+)<", page.text))
        assert 'value="Quick"' in page.text  # what was asked for stays in the form
        following = [link for link in links(page.text) if "page=" in link]
        path = following[0].replace("&amp;", "&") if following else None

    assert seen == [["q-4", "q-3"], ["q-2", "q-1"], ["q-0"]]
    assert "fluxio list Quick --page" in text_of(page.text)


@pytest.mark.parametrize(
    ("query", "shown", "command"),
    [
        ("show=failed", {"r-bad"}, "fluxio list --failed"),
        ("", {"r-open"}, "fluxio list"),
        ("show=waiting", {"r-open"}, "fluxio list --waiting"),
        ("workflow=Order", {"r-open", "r-bad", "r-good"}, "fluxio list Order"),
        ("workflow=Order&show=SUCCEEDED", {"r-good"}, "fluxio list Order --status SUCCEEDED"),
        ("workflow=Order&since=30s", {"r-good"}, "fluxio list Order --since 30s"),
    ],
)
def test_a_list_shows_what_the_command_lists(
    world: World, pages: Pages, query: str, shown: set[str], command: str
) -> None:
    start(world, "r-open")
    start(world, "r-bad", "broke-1")
    world.clock.advance(60)
    start(world, "r-good", signalled=True)

    answer = pages.get(f"/runs?{query}")

    found = {link.removeprefix("/runs/") for link in links(answer.text) if "/runs/" in link}
    assert found == shown
    assert command in text_of(answer.text)


def test_a_run_shows_its_graph_its_steps_and_why_it_failed(world: World, pages: Pages) -> None:
    start(world, "r-bad", "broke-1")

    answer = pages.get("/runs/r-bad")
    said = text_of(answer.text)

    assert "FAILED" in said
    assert "attempt 1 failed: ValueError: card of broke-1 was declined" in said
    assert "fluxio show r-bad" in said
    svg = answer.text[answer.text.index('<svg class="graph"') : answer.text.index("</svg>")]
    assert 'class="state-failed"' in svg
    assert 'class="edge taken"' in svg
    assert '<a href="/runs/r-bad/steps/charge">' in svg
    assert "style" not in svg  # the policy forbids styles in a page


def test_a_timeline_has_a_bar_for_each_step_that_was_begun(world: World, pages: Pages) -> None:
    start(world, "r-open")

    answer = pages.get("/runs/r-open?view=timeline")

    assert len(re.findall(r'<svg class="bar', answer.text)) == 2
    assert "Not begun: approve, ship" in text_of(answer.text)


def test_a_step_shows_its_attempts_error_and_neighbours(world: World, pages: Pages) -> None:
    start(world, "r-bad", "broke-1")

    answer = pages.get("/runs/r-bad/steps/charge")

    said = text_of(answer.text)
    assert "Attempts 1" in said
    assert "ValueError in attempt 1 card of broke-1 was declined" in said
    assert {"/runs/r-bad/steps/take", "/runs/r-bad/steps/ship"} <= {*links(answer.text)}


@pytest.mark.parametrize("view", ["steps", "timeline"])
def test_no_payload_stands_on_a_page_before_it_is_asked_for(
    world: World, pages: Pages, view: str
) -> None:
    start(world, "r-1", "secret-order", signalled=True)

    for path in ("/", "/runs?workflow=Order", f"/runs/r-1?view={view}", "/runs/r-1/steps/take"):
        assert "secret-order" not in pages.get(path).text

    assert "secret-order" in pages.get("/runs/r-1/payload?of=input").text


def test_values_are_shown_cut_and_downloaded_whole_as_text(world: World, pages: Pages) -> None:
    world.client.start("Quick", None, "q-1")
    world.pump(Quick).drain()
    assert "output only" in pages.text("/runs/q-1?view=payloads")

    shown = pages.get("/runs/q-1/payload?of=output:only")
    whole = pages.get("/runs/q-1/payload?of=output:only&download=1")

    assert 60_000 < shown.text.count("y") < 70_000
    assert "It is longer than is shown here" in shown.text
    assert whole.json() == {"x" * 10: "y" * 100_000}
    assert whole.headers["content-type"].startswith("text/plain")
    assert whole.headers["content-disposition"].startswith("attachment")
    assert whole.headers["x-content-type-options"] == "nosniff"


def test_a_run_shows_what_it_cost_by_the_workers_log(
    world: World, pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(world, "r-1", signalled=True)
    assert "has no line" in text_of(pages.get("/runs/r-1?view=cost").text)
    line = {"message": "message handled", "run_id": "r-1", "writes": 8, "write_units": 8, "ms": 930}
    services = pages.site.session.aws("logs")
    services.events.append({"message": json.dumps(line)})

    said = pages.text("/runs/r-1?view=cost")

    assert "9 table writes" in said
    assert "930 ms at 512 MB" in said
    assert "Step Functions Standard" in said
    assert "fluxio cost r-1" in said


def test_a_run_leads_to_the_one_that_started_it_and_to_those_that_it_has_started(
    world: World, pages: Pages
) -> None:
    @workflow
    class Parent:
        @step
        def begin(self, ctx: StepContext) -> dict:
            return {"child": ctx.start("Order", {"order_id": "o-1"})}

    world.client.start("Parent", {}, "p-1")
    world.pump(Parent, Order).drain()
    child = world.client.get("p-1").started["begin"][0]

    assert f"/runs/{child}" in links(pages.get("/runs/p-1").text)
    assert "/runs/p-1" in links(pages.get(f"/runs/{child}").text)


def test_the_raw_item_is_what_the_table_has(world: World, pages: Pages) -> None:
    start(world, "r-1")

    said = pages.text("/runs/r-1?view=item")

    assert '"workflow": "Order"' in said
    assert '"pk": "r-1"' in said


def test_dead_letters_are_shown_with_their_runs_and_stay(world: World, pages: Pages) -> None:
    start(world, "r-bad", "broke-1")
    for body in ('{"run_id": "r-bad", "workflow": "Order"}', "no nudge"):
        world.sqs.send_message(
            QueueUrl=world.dlq_url,
            MessageBody=body,
            MessageGroupId=body[:3].strip('{" '),
            MessageDeduplicationId=str(len(body)),
        )

    for _ in range(2):
        said = pages.text("/dead-letters")
        assert "r-bad" in said
        assert "card of broke-1 was declined" in said
        assert "no nudge" in said


def test_a_workflow_shows_its_versions_each_with_its_graph(world: World, pages: Pages) -> None:
    start(world, "r-1")
    version = world.client.get("r-1").version

    @workflow
    class Order:
        @step
        def other(self) -> dict:
            return {}

    world.clock.advance(1)
    world.client.start("Order", {}, "r-2")
    world.pump(Order).drain()

    newest = pages.get("/workflows/Order")
    older = pages.get(f"/workflows/Order?version={version}")

    assert "other" in newest.text
    assert "approve" not in newest.text
    assert "approve" in older.text
    assert pages.get("/workflows/Order?version=none").status_code == 404
    assert "Order" in pages.text("/workflows")


def test_a_log_link_leads_to_the_workers_log_of_that_step(world: World, pages: Pages) -> None:
    start(world, "r-1")

    answer = pages.get("/runs/r-1/logs?step=take")

    assert answer.status_code == 303
    place = answer.headers["location"]
    assert place.startswith("https://us-east-1.console.aws.amazon.com/cloudwatch/home?region=")
    assert "r-1" in place
    assert "*2faws*2flambda*2ffluxio-worker" in place


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/runs/",
        "/workflows/",
        "/runs/no-such-run",
        "/runs/r-1/steps/none",
        "/runs/r-1?view=none",
        "/runs/r-1/payload?of=none",
        "/static/none.js",
        "/static/..%2fapp.py",
    ],
)
def test_what_is_not_there_is_a_404_with_a_way_on(world: World, pages: Pages, path: str) -> None:
    start(world, "r-1")

    answer = pages.get(path)

    assert answer.status_code == 404
    assert 'href="/runs"' in answer.text


@pytest.mark.parametrize("path", ["/runs?show=NONE", "/runs?since=soon", "/runs?workflow=a%2Fb"])
def test_a_filter_that_is_none_is_a_400_that_says_so(pages: Pages, path: str) -> None:
    answer = pages.get(path)

    assert answer.status_code == 400
    assert "main" in answer.text


def test_a_failure_of_aws_is_a_page_that_says_what_to_do(
    pages: Pages, monkeypatch: pytest.MonkeyPatch
) -> None:
    from botocore.exceptions import NoCredentialsError

    def refuse(*_: object, **__: object) -> None:
        raise NoCredentialsError

    monkeypatch.setattr(pages.site.session.store, "due", refuse)

    answer = pages.get("/")

    assert answer.status_code == 502
    assert "no AWS credentials found" in answer.text


def test_statuses_and_kinds_of_a_later_version_are_shown_as_they_are(
    world: World, pages: Pages
) -> None:
    start(world, "r-1")
    key = {"pk": {"S": "r-1"}, "sk": {"S": "run"}}
    world.dynamodb.update_item(
        TableName=world.table_name,
        Key=key,
        UpdateExpression="SET #s=:s",
        ExpressionAttributeNames={"#s": "status"},
        ExpressionAttributeValues={":s": {"S": "PONDERING"}},
    )

    answer = pages.get("/runs/r-1")

    assert answer.status_code == 200
    assert "PONDERING is a status unknown to this client" in text_of(answer.text)
    assert "state-unknown" in answer.text


def test_without_the_extra_the_command_says_how_to_get_it(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fluxio = make_command(world, capfd, monkeypatch)
    monkeypatch.setattr("fluxio_client.cli.ui.find_spec", lambda _: None)

    said = fluxio("ui")

    assert said.code == 1
    assert 'pip install "fluxio-client[ui]"' in said.err


def test_the_command_says_the_address_that_lets_in_and_draws_nothing_meanwhile(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fluxio = make_command(world, capfd, monkeypatch)
    monkeypatch.setattr("uvicorn.Server.run", lambda *_: None)

    said = fluxio("ui", "--no-browser")
    as_json = fluxio("ui", "--no-browser", "--json")

    assert (said.code, as_json.code) == (0, 0)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/enter\?token=[\w-]{43}\n", said.out)
    assert as_json.json["address"].startswith("http://127.0.0.1:")


# --- live, and what looking costs


def test_an_open_run_is_looked_at_again_and_an_ended_one_is_not(world: World, pages: Pages) -> None:
    start(world, "r-1")
    before = pages.get("/runs/r-1?live=1")
    assert 'id="live" data-live' in before.text
    assert "<html" not in before.text

    world.client.signal("r-1", "approved")
    world.pump(Order).drain()
    after = pages.get("/runs/r-1?live=1", **{"if-none-match": before.headers["etag"]})

    assert after.status_code == 200
    assert "data-live" not in after.text
    assert "SUCCEEDED" in after.text


@pytest.mark.parametrize("view", ["payloads", "item"])
def test_a_view_that_does_not_change_is_not_looked_at_again(
    world: World, pages: Pages, view: str
) -> None:
    start(world, "r-1")

    assert "data-live" not in pages.get(f"/runs/r-1?view={view}").text


def test_a_look_at_a_run_that_is_as_it_was_sends_nothing(world: World, pages: Pages) -> None:
    start(world, "r-1")
    before = pages.get("/runs/r-1?live=1")

    again = pages.get("/runs/r-1?live=1", **{"if-none-match": before.headers["etag"]})

    assert again.status_code == 304
    assert again.content == b""


READS = ("GetItem", "BatchGetItem", "Query", "Scan")


class Reads:
    """The calls that read the table, and their units by the sizes of what they answered."""

    def __init__(self, dynamodb: Any) -> None:
        self.calls: list[str] = []
        self.units = 0.0
        self._asked: dict[str, Any] = {}
        self._events = dynamodb.meta.events
        for name in READS:
            self._events.register(f"provide-client-params.dynamodb.{name}", self._ask)
            self._events.register(f"after-call.dynamodb.{name}", self._count)

    def _ask(self, params: dict[str, Any], **_: Any) -> None:
        self._asked = params

    def _count(self, parsed: dict[str, Any], model: Any, **_: Any) -> None:
        consistent = self._asked.get("ConsistentRead", False)
        self.calls.append(f"{model.name}{' consistent' if consistent else ''}")
        if model.name == "GetItem":
            sizes = [limits.item_bytes(parsed.get("Item", {}))]
        elif model.name == "BatchGetItem":
            sizes = [
                limits.item_bytes(item) for some in parsed["Responses"].values() for item in some
            ]
        else:
            sizes = [sum(map(limits.item_bytes, parsed["Items"]))]
        blocks = sum(max(1, -(-size // 4096)) for size in sizes)
        self.units += blocks * (1 if consistent else 0.5)

    def close(self) -> None:
        for name in READS:
            self._events.unregister(f"provide-client-params.dynamodb.{name}", self._ask)
            self._events.unregister(f"after-call.dynamodb.{name}", self._count)


@pytest.fixture
def reads(world: World) -> Iterator[Reads]:
    counted = Reads(world.dynamodb)
    yield counted
    counted.close()


@pytest.mark.parametrize(
    ("path", "calls", "units"),
    [
        ("/runs/r-1?live=1", ["GetItem consistent"], 1),
        ("/runs/r-1", ["GetItem consistent"], 1),
        ("/runs/r-1?view=timeline", ["GetItem consistent"], 1),
        ("/runs/r-1?view=payloads", ["GetItem consistent"], 1),
        ("/runs/r-1/payload?of=input", ["GetItem consistent"], 1),
        ("/runs/r-1?view=item", ["GetItem consistent"] * 2, 2),
        ("/", ["Query"] * 8 + ["BatchGetItem", "Scan"], 5),
        ("/runs?workflow=Order", ["Query"] * 8 + ["BatchGetItem"] * 2, 5),
        ("/runs?show=failed", ["Scan"], 0.5),
        ("/help", [], 0),
    ],
)
def test_a_page_reads_as_much_as_it_says(
    world: World, pages: Pages, reads: Reads, path: str, calls: list[str], units: float
) -> None:
    """A graph is read once for all looks at its runs."""
    start(world, "r-1")
    pages.get("/runs/r-1")
    reads.calls.clear()
    reads.units = 0

    answer = pages.get(path)

    assert answer.status_code == 200
    assert reads.calls == calls
    assert reads.units == units
    if "live=1" not in path:
        assert f"{len(calls)} read{'' if len(calls) == 1 else 's'} of the table" in answer.text


def test_an_archive_of_steps_is_read_once_for_all_looks(
    world: World, pages: Pages, reads: Reads
) -> None:
    """A run of many steps keeps those that ended long ago in items of their own."""
    start(world, "r-1", signalled=True)
    run = world.client.get("r-1")
    item = world.run_item("r-1")
    records = {name: record["S"] for name, record in item["steps"]["M"].items() if "S" in record}
    Store(world.dynamodb, world.table_name).payloads.put_archive(
        "r-1", 1, {"take": records["take"]}, run.created_at
    )
    world.dynamodb.update_item(
        TableName=world.table_name,
        Key={"pk": {"S": "r-1"}, "sk": {"S": "run"}},
        UpdateExpression="SET archives=:one, sealed=:first REMOVE steps.take",
        ExpressionAttributeValues={":one": {"N": "1"}, ":first": {"S": "0"}},
    )

    first = pages.text("/runs/r-1/steps/take")
    assert "Attempts 1" in first
    reads.calls.clear()
    pages.get("/runs/r-1")

    assert reads.calls == ["GetItem consistent"]


def test_a_first_look_at_a_run_takes_less_than_60_kilobytes(world: World, pages: Pages) -> None:
    start(world, "r-1")

    paths = ("/runs/r-1", "/static/fluxio.css", "/static/fluxio.js", "/static/icon.svg")

    assert sum(len(pages.get(path).content) for path in paths) < 60_000
