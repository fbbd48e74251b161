"""What the command writes on whatever is at its other end: a terminal, a pipe, any encoding, nothing at all."""

from __future__ import annotations

import io
import json
import os
import sys
import unicodedata
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from fluxio import step, workflow
from fluxio_client.cli import app
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.printable import printable, printable_json
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once

#: A sequence of each kind that a terminal obeys instead of showing it.
OBEYED = {
    "clear the screen": "\x1b[2J",
    "name the window": "\x1b]0;SUCCEEDED\x07",
    "C1 control sequence": "\x9b2J",
    "delete": "\x7f",
    "backspace": "ok\x08\x08",
    "right to left": "\u202egnp.exe",
    "isolate": "\u2066x",
    "zero width": "a\u200bb",
    "line separator": "\u2028",
    "tag": "\U000e0041",
    "byte order mark": "\ufeff",
}
HOSTILE = "".join(OBEYED.values())


@workflow
class Refuses:
    @step
    def look_up(self, name: str) -> dict:
        return {"name": name}

    @step(depends_on=["look_up"], awaits=["go"])
    def parse(self, name: str) -> dict:
        raise type(f"No{name}", (ValueError,), {})(f"no such customer: {name}\rSUCCEEDED")


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    return make_command(world, capfd, monkeypatch)


@pytest.fixture
def refused(world: World) -> str:
    """A run into which somebody has put hostile text wherever text can come from outside."""
    client, pump = world.client, world.pump(Refuses)
    run_id = client.start("Refuses", {"name": HOSTILE}, run_id="r-1").run_id
    pump.drain()
    client.signal(run_id, "go", {"by": HOSTILE})
    pump.drain()
    # And what no check lets pass, but another program could write into the table.
    item = world.run_item(run_id)
    item["steps"]["M"][f"step{HOSTILE}"] = item["steps"]["M"]["look_up"]
    graph = client.graph(client.get(run_id))
    assert graph is not None
    item["version"]["S"] += HOSTILE
    definition = layout.definition_key("Refuses", item["version"]["S"])
    edges = json.loads(graph.to_json()) | {f"step{HOSTILE}": []}
    definition["graph"] = {"S": json.dumps(edges)}
    for stored in (item, definition):
        world.dynamodb.put_item(TableName=world.table_name, Item=stored)
    return run_id


def acts(text: str) -> list[str]:
    """The characters of a text that a terminal may obey."""
    return [
        one for one in text if one != "\n" and unicodedata.category(one) in ("Cc", "Cf", "Zl", "Cs")
    ]


@pytest.mark.parametrize(
    "call",
    [
        ["show", "r-1"],
        ["show", "r-1", "--input", "--output"],
        ["show", "r-1", "--watch"],
        ["list", "Refuses"],
        ["list", "--failed"],
        ["timeline", "r-1"],
        ["graph", "r-1"],
        ["redrive", "r-1"],
        ["show", f"r{HOSTILE}"],
        ["signal", "r-1", f"go{HOSTILE}"],
        ["start", f"Refuses{HOSTILE}"],
        [f"--{HOSTILE}"],
        ["dlq", "list"],
        ["dlq", "show", "r-1"],
        ["dlq", "show", "not-a-nudge"],
    ],
    ids=lambda call: " ".join(call).replace(HOSTILE, "…"),
)
@pytest.mark.usefixtures("refused")
def test_text_from_outside_is_shown_and_never_obeyed(
    fluxio: Command, world: World, call: list[str]
) -> None:
    for body in (json.dumps({"run_id": "r-1", "step": HOSTILE}), f"not a nudge {HOSTILE}"):
        world.sqs.send_message(
            QueueUrl=world.dlq_url,
            MessageBody=body,
            MessageGroupId="g",
            MessageDeduplicationId=str(len(body)),
        )
    if call[-1] == "not-a-nudge":
        messages = fluxio("dlq", "list", "--json").json["messages"]
        call = ["dlq", "show", messages[1]["message_id"]]

    said = fluxio(*call)

    assert "Traceback" not in said.err
    assert acts(said.out + said.err) == []


def test_what_was_escaped_can_still_be_read(fluxio: Command, refused: str) -> None:
    said = " ".join(fluxio("show", refused).out.split())

    assert "no such customer:" in said
    for shown in (r"\x1b[2J", r"\x1b]0;SUCCEEDED\x07", r"\x9b2J", r"\x08", r"\u202egnp.exe"):
        assert shown in said


def test_json_keeps_text_from_outside_as_it_is(fluxio: Command, refused: str) -> None:
    record = fluxio("show", refused, "--json", "--input").json

    assert record["input"] == {"name": HOSTILE}
    assert record["error"]["message"] == f"no such customer: {HOSTILE}\rSUCCEEDED"


def test_a_picture_shows_it_too(fluxio: Command, refused: str, tmp_path: Path) -> None:
    target = tmp_path / "run.svg"

    assert fluxio("graph", refused, "-o", str(target)).code == ExitCode.OK

    text = target.read_text(encoding="utf-8")
    assert acts(text) == []
    assert "no such customer" in "".join(ElementTree.fromstring(text).itertext())


@pytest.mark.parametrize(
    "text",
    ["Łódź", "नमस्ते", "क्\u200dष", "👩\u200d💻", "a\u00a0b", "10 €", "a\tb\nc", "\U0010fffd"],
)
def test_what_people_write_stays_as_they_wrote_it(text: str) -> None:
    assert printable(text) == text
    assert json.loads(printable_json(text)) == text


@pytest.mark.parametrize("text", OBEYED.values(), ids=OBEYED)
def test_a_payload_is_shown_as_json_whatever_is_in_it(text: str) -> None:
    shown = printable_json({text: [text]})

    assert acts(shown) == []
    assert json.loads(shown) == {text: [text]}


# --- encodings


@workflow
class Abroad:
    @step
    def first(self) -> dict:
        return {"city": "Łódź 🚚"}

    @step(depends_on=["first"])
    def second(self, city: str) -> dict:
        raise ValueError(f"no such city: {city}")


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437", "utf-8"])
@pytest.mark.parametrize(
    "call",
    [["show"], ["show", "--output"], ["list", "Abroad"], ["list", "--failed"], ["show", "--json"]],
    ids=" ".join,
)
def test_an_output_that_lacks_a_character_gets_the_rest(
    fluxio: Command,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    encoding: str,
    call: list[str],
) -> None:
    run = world.run(Abroad)
    if call[0] == "show":
        call = ["show", run.run_id, *call[1:]]
    out = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding=encoding))

    assert fluxio(*call).code == ExitCode.OK

    sys.stdout.flush()
    written = out.getvalue().decode(encoding)
    assert "no such city" in written
    if "--json" in call:
        assert json.loads(written)["error"]["message"] == "no such city: Łódź 🚚"


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize("call", ["show", "list", "nonsense", "--version"])
def test_a_stream_that_is_not_there_is_no_crash(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch, stream: str, call: str
) -> None:
    """A shell's `>&-`, or a Windows service."""
    run = world.run(Abroad)
    monkeypatch.setattr(sys, stream, None)

    code = app.run(["show", run.run_id] if call == "show" else [call])

    assert code == (ExitCode.USAGE if call == "nonsense" else ExitCode.OK)


class Unencoded(io.StringIO):
    """A stream of text that never becomes bytes: its encoding is None."""


@pytest.mark.parametrize("call", ["show", "timeline", "list", "graph"])
def test_a_stream_without_an_encoding_takes_all(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    run = world.run(Abroad)
    monkeypatch.setattr(sys, "stdout", Unencoded())

    assert app.run(["list", "Abroad"] if call == "list" else [call, run.run_id]) == ExitCode.OK


@pytest.mark.parametrize("runs", [1, 60], ids=["less than a buffer", "more than a buffer"])
@pytest.mark.parametrize("more", [[], ["--json"]], ids=["text", "json"])
def test_a_reader_that_has_gone_ends_the_command_quietly(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch, more: list[str], runs: int
) -> None:
    """As `fluxio list | head -1` does."""
    for at in range(runs):
        world.client.start("Abroad", {"at": at}, run_id=f"run-with-quite-a-long-name-{at}" * 2)
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w", encoding="utf-8") as gone:
        monkeypatch.setattr(sys, "stdout", gone)
        said = fluxio("list", *more)
        monkeypatch.undo()

    assert said.code == ExitCode.OK
    assert "Traceback" not in said.err


# --- values on the command line


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("source", ["file", "stdin"])
def test_an_input_is_read_as_any_editor_writes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, encoding: str, source: str
) -> None:
    written = '{"city": "Łódź"}\r\n'.encode(encoding)
    (tmp_path / "order.json").write_bytes(written)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(written), encoding="ascii"))

    given = "-" if source == "stdin" else f"@{tmp_path / 'order.json'}"

    assert read_json(given, "--input") == {"city": "Łódź"}


def nested(depth: int) -> str:
    return "[" * depth + "]" * depth


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ('{"amount": 1, "amount": 100}', "the name 'amount' twice"),
        ('{"lines": [{"sku": "a"}, {"sku": "a", "sku": "b"}]}', "the name 'sku' twice"),
        (nested(200_000), "nested too deeply"),
        ("{'order': 1}", "is not JSON"),
    ],
    ids=["twice", "twice, further in", "deep", "no JSON"],
)
def test_an_input_that_cannot_be_meant_is_refused(given: str, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        read_json(given, "--input")


def test_bytes_that_are_no_text_are_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0")

    with pytest.raises(InvalidInput, match="cannot be read"):
        read_json(f"@{tmp_path / 'photo.jpg'}", "--input")


def test_a_command_line_of_other_bytes_is_one_line(fluxio: Command) -> None:
    """What the shell hands over need not be UTF-8."""
    argument: Any = os.fsdecode(b"r-\xff")

    said = fluxio("show", argument)

    assert said.code == ExitCode.USAGE
    assert len(said.err.splitlines()) == 1
