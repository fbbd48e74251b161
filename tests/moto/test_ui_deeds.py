"""What a person does by the pages of `fluxio ui`, and that the page shows what became of it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from pydantic import BaseModel, Field, TypeAdapter

from fluxio import step, workflow
from fluxio_client import RunStatus
from fluxio_client.cli.session import Session
from fluxio_client.ui.forms import fields_of, object_of, schema_like
from fluxio_client.ui.schemas import Schemas, schemas_of
from fluxio_protocol.errors import FluxioError, InvalidInput
from tests.moto.cli import make_command
from tests.moto.pages import Pages, text_of
from tests.moto.pump import World

pytestmark = pytest.mark.once

BROKEN: set[str] = set()


@workflow
class Order:
    @step
    def charge(self, order_id: str) -> dict:
        if order_id in BROKEN:
            raise ValueError("the card network is down")
        return {}

    @step(depends_on=["charge"], awaits=["approved"])
    def ship(self, approved: dict) -> dict:
        return approved


@pytest.fixture
def session(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Session:
    make_command(world, capfd, monkeypatch)
    monkeypatch.setattr(Session, "dynamodb", world.dynamodb)
    BROKEN.clear()
    return Session()


@pytest.fixture
def pages(session: Session) -> Pages:
    return Pages(session)


def started(world: World, run_id: str, order_id: str = "o-1", **more: Any) -> None:
    world.client.start("Order", {"order_id": order_id, **more}, run_id)
    world.pump(Order).drain()


def after(pages: Pages, answer: Any) -> str:
    """What the page says that a deed leads to."""
    assert answer.status_code == 303, text_of(answer.text)
    return pages.text(answer.headers["location"])


# --- start


def test_a_start_by_the_fields_of_the_newest_run_begins_a_run_with_that_input(
    world: World, pages: Pages
) -> None:
    started(world, "r-1", "the-first", amount=3, gift=True, lines=[1])
    form = pages.get("/workflows/Order/start")
    assert 'name="field.order_id"' in form.text
    assert "the-first" not in form.text  # the names and types of an input, not its values

    answer = pages.post(
        "/workflows/Order/start",
        **{
            "field.order_id": "o-2",
            "field.amount": "12.5",
            "field.gift": "false",
            "field.lines": '[{"sku": "a"}]',
            "run_id": "r-2",
        },
    )

    assert "The run was started." in after(pages, answer)
    assert world.client.get("r-2").input == {
        "order_id": "o-2",
        "amount": 12.5,
        "gift": False,
        "lines": [{"sku": "a"}],
    }


def test_a_start_by_json_begins_a_run_and_to_send_it_twice_starts_one(
    world: World, pages: Pages
) -> None:
    form = {"as": "json", "json": '{"order_id": "o-3"}', "run_id": "r-3"}

    assert "The run was started." in after(pages, pages.post("/workflows/Order/start", **form))
    world.clock.advance(1)
    assert "was there already" in after(pages, pages.post("/workflows/Order/start", **form))

    assert len(world.client.list("Order").runs) == 1


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ({"as": "json", "json": "{", "run_id": "r-1"}, "the input is not JSON"),
        ({"as": "json", "json": "[1]", "run_id": "r-1"}, "not a JSON object"),
        ({"as": "json", "json": '{"a": 1, "a": 2}', "run_id": "r-1"}, "the name 'a' twice"),
        ({"as": "json", "json": "{}", "run_id": "a/b"}, "run id 'a/b'"),
        ({"as": "json", "json": '{"order_id": "other"}', "run_id": "r-0"}, "with another input"),
        ({"field.amount": "many", "run_id": "r-1"}, "amount is not JSON"),
        ({"field.amount": "true", "run_id": "r-1"}, "no number"),
    ],
)
def test_a_start_that_is_refused_says_why_beside_what_was_typed(
    world: World, pages: Pages, form: dict[str, str], said: str
) -> None:
    started(world, "r-0", amount=3)

    answer = pages.post("/workflows/Order/start", **form)

    assert 400 <= answer.status_code < 500
    assert said in text_of(answer.text)
    for value in form.values():
        assert value in text_of(answer.text.replace('value="', ">")) or value in ("json", "r-1")
    assert len(world.client.list("Order").runs) == 1


class Line(BaseModel):
    sku: str


class Typed(BaseModel):
    order_id: str
    amount: float = Field(gt=0, description="in euros")
    gift: bool = False
    note: str | None = None
    lines: list[Line] = []


def test_a_form_of_a_known_type_says_what_is_required_and_helps(session: Session) -> None:
    schema = TypeAdapter(Typed).json_schema()
    pages = Pages(session, schemas=Schemas({"Order": schema}))

    answer = pages.get("/workflows/Order/start")

    assert "order_id (required)" in text_of(answer.text)
    assert "in euros" in text_of(answer.text)
    kinds = {field.name: field.kind for field in fields_of(schema)}
    assert kinds == {
        "order_id": "text",
        "amount": "number",
        "gift": "choice",
        "note": "text",
        "lines": "json",
    }
    refused = pages.post("/workflows/Order/start", **{"field.amount": "1", "run_id": "r-1"})
    assert "order_id is missing" in text_of(refused.text)


def test_a_form_of_a_signal_goes_by_its_type(world: World, session: Session) -> None:
    started(world, "r-1")
    schema = {"properties": {"by": {"type": "string"}}, "required": ["by"]}
    pages = Pages(session, schemas=Schemas({}, {"Order": {"approved": schema}}))
    assert 'name="field.by"' in pages.get("/runs/r-1/signal?name=approved").text
    assert 'name="payload"' in pages.get("/runs/r-1/signal?name=approved&json=1").text

    form = {"name": "approved", "as": "fields"}
    assert "by is missing" in text_of(pages.post("/runs/r-1/signal", **form).text)
    answer = pages.post("/runs/r-1/signal", **form, **{"field.by": "kim"})

    assert answer.status_code == 303
    assert world.client.get("r-1").signals == {"approved": {"by": "kim"}}


CODE = """
from typing import TypedDict
from pydantic import BaseModel
from fluxio import step, workflow

class Order(BaseModel):
    order_id: str
    amount: float = 1

class Approval(TypedDict):
    by: str

@workflow(input=Order)
class Typed:
    @step(awaits=["approved", "other"])
    def ship(self, approved: Approval, other: dict) -> dict:
        return {}

@workflow
class Plain:
    @step
    def only(self) -> dict:
        return {}
"""


def test_the_types_of_a_folder_are_read_in_a_process_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "flows.py").write_text(CODE)
    manifest = "[fluxio.workflows]\nTyped = flows:Typed\nPlain = flows:Plain\n"
    (tmp_path / "entry_points.txt").write_text(manifest)

    found = schemas_of(tmp_path)

    assert [field.name for field in fields_of(found.inputs["Typed"])] == ["order_id", "amount"]
    assert [field.name for field in fields_of(found.signals["Typed"]["approved"])] == ["by"]
    assert set(found.inputs) == {"Typed"}
    assert "flows" not in sys.modules


@pytest.mark.parametrize("code", ["raise ValueError('broken here')", "import nothing_of_this_name"])
def test_a_folder_that_cannot_be_imported_is_said_to_be_so(tmp_path: Path, code: str) -> None:
    (tmp_path / "flows.py").write_text(code)
    (tmp_path / "entry_points.txt").write_text("[fluxio.workflows]\nTyped = flows:Typed\n")

    with pytest.raises(FluxioError, match=r"broken here|nothing_of_this_name"):
        schemas_of(tmp_path)
    with pytest.raises(FluxioError, match="is no folder"):
        schemas_of(tmp_path / "none")


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"enum": ["a", "b"]}, "choice"),
        ({"$ref": "#/$defs/E"}, "choice"),
        ({"type": ["integer", "null"]}, "number"),
        ({"anyOf": [{"type": "number"}, {"type": "string"}]}, "number"),
        ({"anyOf": [{"type": "object"}, {"type": "string"}]}, "json"),
        ({}, "json"),
        (True, "json"),
    ],
)
def test_each_type_has_a_field_that_fits_it(schema: Any, kind: str) -> None:
    whole = {"properties": {"a": schema}, "$defs": {"E": {"enum": [1, 2]}}}

    assert [field.kind for field in fields_of(whole)] == [kind]


@pytest.mark.parametrize("example", [None, [], "text", {}, {str(n): 1 for n in range(41)}])
def test_an_input_that_is_no_small_object_is_typed_as_json(example: Any) -> None:
    assert fields_of(schema_like(example)) == []


def test_what_is_chosen_has_to_be_offered() -> None:
    fields = fields_of({"properties": {"a": {"enum": ["x", 1]}}})

    assert object_of(fields, {"field.a": '"x"'}) == {"a": "x"}
    assert object_of(fields, {"field.a": "1"}) == {"a": 1}
    with pytest.raises(InvalidInput, match="none of"):
        object_of(fields, {"field.a": "2"})


# --- signal, cancel, redrive


def test_a_signal_by_the_page_lets_its_step_begin(world: World, pages: Pages) -> None:
    started(world, "r-1")
    assert "/runs/r-1/signal?name=approved" in pages.get("/runs/r-1").text

    answer = pages.post("/runs/r-1/signal", name="approved", payload='{"by": "kim"}')

    assert "The run has its signal." in after(pages, answer)
    world.pump(Order).drain()
    assert world.client.get("r-1").result == {"by": "kim"}


@pytest.mark.parametrize(
    ("name", "payload", "said"),
    [
        ("approved", "{", "the payload is not JSON"),
        ("other", "{}", "waits for a signal"),
        ("", "{}", "signal name ''"),
        ("approved", '{"by": "lee"}', "came before, with another payload"),
    ],
)
def test_a_signal_that_is_refused_says_why_beside_what_was_typed(
    world: World, pages: Pages, name: str, payload: str, said: str
) -> None:
    world.client.start("Order", {"order_id": "o-1"}, "r-1")
    BROKEN.add("o-1")
    world.client.signal("r-1", "approved", {"by": "kim"})
    world.pump(Order).drain()

    answer = pages.post("/runs/r-1/signal", name=name, payload=payload)

    assert 400 <= answer.status_code < 500
    assert said in text_of(answer.text)
    assert payload in text_of(answer.text)
    assert world.client.get("r-1").signals == {"approved": {"by": "kim"}}


def test_a_signal_takes_the_place_of_one_that_no_step_has_taken(world: World, pages: Pages) -> None:
    BROKEN.add("o-1")
    world.client.start("Order", {"order_id": "o-1"}, "r-1")
    world.client.signal("r-1", "approved", {"by": "kim"})
    world.pump(Order).drain()
    assert "Signal approved anew" in pages.text("/runs/r-1")

    answer = pages.post("/runs/r-1/signal", name="approved", payload='{"by": "lee"}', replace="yes")

    assert answer.status_code == 303
    assert world.client.get("r-1").signals == {"approved": {"by": "lee"}}


def test_a_run_is_cancelled_when_its_id_was_typed(world: World, pages: Pages) -> None:
    started(world, "r-1")

    refused = pages.post("/runs/r-1/cancel", typed="r-2")
    assert refused.status_code == 400
    assert world.client.get("r-1").status is RunStatus.RUNNING

    assert "The run is cancelled." in after(pages, pages.post("/runs/r-1/cancel", typed="r-1"))
    assert world.client.get("r-1").status is RunStatus.CANCELLED


def test_a_failed_run_is_sent_on_and_seen_to_end(world: World, pages: Pages) -> None:
    BROKEN.add("o-1")
    started(world, "r-1")
    BROKEN.clear()

    assert "The run was sent on" in after(pages, pages.post("/runs/r-1/redrive"))
    assert "only nudged" in after(pages, pages.post("/runs/r-1/redrive"))

    world.client.signal("r-1", "approved")
    world.pump(Order).drain()
    assert "SUCCEEDED" in pages.text("/runs/r-1")


def test_a_deed_that_the_run_refuses_says_so(world: World, pages: Pages) -> None:
    started(world, "r-1")
    world.client.cancel("r-1")

    answer = pages.post("/runs/r-1/redrive")

    assert answer.status_code == 409
    assert "only a run that FAILED" in text_of(answer.text)


# --- many at once


def test_runs_of_a_filter_are_sent_on_when_their_number_was_typed(
    world: World, pages: Pages
) -> None:
    for number in range(3):
        BROKEN.add(f"b-{number}")
        started(world, f"r-{number}", f"b-{number}")
        world.clock.advance(60)
    (link,) = [
        part.split('"')[0].replace("&amp;", "&")
        for part in pages.get("/runs?workflow=Order&show=failed&since=150s").text.split('href="')
        if part.startswith("/redrive")
    ]
    asked = dict(parse_qsl(urlsplit(link).query))
    assert "2 runs since 150s" in pages.text(link)

    for typed in ("3", "", "all"):
        refused = pages.post("/redrive", **asked, count=typed)
        assert refused.status_code == 409
        assert "the filter finds 2 now" in text_of(refused.text)
    assert {run.status for run in world.client.list("Order")} == {RunStatus.FAILED}

    done = pages.post("/redrive", **asked, count="2")

    assert "2 sent on" in text_of(done.text)
    still = [run.run_id for run in world.client.list("Order") if run.status is RunStatus.FAILED]
    assert still == ["r-0"]


@pytest.mark.parametrize("form", [{}, {"workflow": "Order"}, {"stopped": "failed", "count": "0"}])
def test_no_form_sends_on_all_runs_without_a_filter(pages: Pages, form: dict[str, str]) -> None:
    assert pages.post("/redrive", **form).status_code == 400


def dead(world: World, body: str) -> None:
    world.sqs.send_message(
        QueueUrl=world.dlq_url,
        MessageBody=body,
        MessageGroupId=str(len(body)),
        MessageDeduplicationId=str(hash(body)),
    )


def test_dead_letters_are_sent_on_and_what_is_left_is_deleted(world: World, pages: Pages) -> None:
    started(world, "r-1")
    dead(world, json.dumps({"run_id": "r-1", "workflow": "Order"}))
    dead(world, "no nudge")

    assert "1 sent on and deleted, 1 are no nudges" in text_of(
        pages.post("/dead-letters/redrive").text
    )
    assert "1 deleted" in text_of(pages.post("/dead-letters/purge", which="useless").text)
    assert "The dead-letter queue is empty" in pages.text("/dead-letters")


def test_all_dead_letters_are_deleted_only_when_their_number_was_typed(
    world: World, pages: Pages
) -> None:
    started(world, "r-1")
    dead(world, json.dumps({"run_id": "r-1", "workflow": "Order"}))

    refused = pages.post("/dead-letters/purge", which="all", count="7")
    assert refused.status_code == 400
    assert "Delete all" in pages.text("/dead-letters")

    assert "1 deleted" in text_of(pages.post("/dead-letters/purge", which="all", count="1").text)


# --- read-only


def test_read_only_pages_have_no_form_that_changes_something_and_take_none(
    world: World, session: Session
) -> None:
    BROKEN.add("o-1")
    started(world, "r-1")
    dead(world, "no nudge")
    pages = Pages(session, read_only=True)

    for path in ("/", "/runs?workflow=Order&show=failed", "/runs/r-1", "/runs/r-1/steps/charge"):
        assert 'method="post"' not in pages.get(path).text
        assert "…</a>" not in pages.get(path).text
    for path in ("/dead-letters", "/workflows/Order"):
        assert 'method="post"' not in pages.get(path).text
    assert "read-only" in pages.text("/")
    for path in (
        "/runs/r-1/redrive",
        "/runs/r-1/cancel",
        "/runs/r-1/signal",
        "/redrive",
        "/dead-letters/redrive",
        "/dead-letters/purge",
        "/workflows/Order/start",
    ):
        answer = pages.post(path, workflow="Order", stopped="failed", count="1", typed="r-1")
        assert answer.status_code in (404, 405)
    assert world.client.get("r-1").status is RunStatus.FAILED
