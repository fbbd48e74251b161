"""`fluxio replay`: a step runs here with what it had there, and nothing is written to AWS."""

from __future__ import annotations

import importlib
import io
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fluxio.deployment import Deployment
from fluxio.local.aws import TABLE, LocalAws
from fluxio.local.endpoint import Endpoint, environment
from fluxio.local.workers import Invocation
from fluxio.manifest import Manifest
from fluxio.services import Services
from fluxio.testing.platform import acknowledged, logging_to, records_of, unheard
from fluxio.worker import Worker
from fluxio_client import FluxioClient
from fluxio_client.cli.app import run
from fluxio_client.cli.exits import ExitCode
from fluxio_protocol import settings
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store
from tests.local.world import KEY, Time

MANIFEST = """
[fluxio.workflows]
Orders = orders_to_replay:Orders
Other = orders_to_replay:Other
Rounds = orders_to_replay:Rounds
"""

CODE = """
from pathlib import Path
import boto3
from pydantic import BaseModel
from fluxio import Again, StepContext, maybe, step, workflow

class Price(BaseModel):
    amount: int

@workflow
class Other:
    @step
    def only(self) -> None: ...

@workflow
class Rounds:
    @step(when=lambda order_id: order_id != "o-4711")
    def wrap(self, order_id: str) -> dict:
        return {"paper": "red"}

    @step(depends_on=[maybe(wrap)])
    def poll(self, ctx: StepContext, wrap: dict | None) -> Again:
        if HERE:
            seen.append((ctx.round, ctx.state, wrap))
        return Again(after=600, state={"page": ctx.round + 1})

@workflow
class Orders:
    @step
    def quote(self, order_id: str) -> dict:
        return {"price": {"amount": 987654}, "text": "long " * 20_000}

    @step(depends_on=["quote"], awaits=["approved"])
    def charge(self, order_id: str, price: Price, approved: dict, text: str, ctx: StepContext) -> dict:
        if HERE:
            seen.append((order_id, price, approved, len(text), ctx.idempotency_key, ctx.attempt))
            ctx.transact({"Put": {"TableName": "ledger", "Item": {"pk": {"S": "secret-4711"}}}})
            ctx.start(Other, run_id="another")
        return {"charged": price.amount}

    @step(depends_on=["charge"])
    def write(self, charged: int) -> str:
        if HERE:
            sqs = boto3.client("sqs")
            sqs.get_queue_attributes(QueueUrl=QUEUE, AttributeNames=["All"])
            sqs.send_message(QueueUrl=QUEUE, MessageBody="x", MessageGroupId="g")
        return "written"

    @step(depends_on=["quote"])
    def broken(self, order_id: str) -> None:
        if HERE:
            raise LookupError(f"no {order_id}")
"""

ORDER = {"order_id": "o-4711"}


class Said(NamedTuple):
    """What a call of the command left behind."""

    code: int
    out: str
    err: str


class Shop:
    """A deployment in which a run of Orders has ended, and a folder with its code."""

    def __init__(self, aws: LocalAws, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.aws = aws
        self.folder = folder
        (folder / "entry_points.txt").write_text(MANIFEST)
        (folder / "orders_to_replay.py").write_text(CODE)
        monkeypatch.syspath_prepend(str(folder))
        store, queue = Store(aws.dynamodb, TABLE), Queue(aws.sqs, aws.queue.url)
        deployment = Deployment(Manifest([folder]), store, 10)
        self._worker = Worker(Services(store, queue, deployment, aws.clock.now), 120_000)
        self.client = FluxioClient(
            TABLE, aws.queue.url, dynamodb=aws.dynamodb, sqs=aws.sqs, now=aws.clock.now
        )
        self.module: Any = importlib.import_module("orders_to_replay")
        self.seen: list[Any] = []
        vars(self.module).update(HERE=False, QUEUE=aws.queue.url, seen=self.seen)

    def work(self) -> None:
        url = self.aws.queue.url
        with logging_to(unheard):
            while records := records_of(self.aws.sqs.receive_message(QueueUrl=url)):
                context = Invocation.of(self.aws.clock, 120)
                done = self._worker.handle({"Records": records}, context)
                for record in acknowledged(records, done):
                    self.aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])


@pytest.fixture
def shop(
    aws: LocalAws, port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Shop]:
    for name, value in environment(port, KEY).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(settings, "_session", settings._session.__wrapped__)
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)
    shop = Shop(aws, tmp_path, monkeypatch)
    shop.client.start("Orders", ORDER, run_id="r-1")
    shop.client.signal("r-1", "approved", {"by": "kim"})
    shop.work()
    assert shop.client.get("r-1").ended
    shop.module.HERE = True
    yield shop
    del sys.modules["orders_to_replay"]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The operations that were asked for by HTTP."""
    asked: list[str] = []
    called = Endpoint._called

    def counted(self: Any, service: str, name: str, operation: str, body: bytes) -> bytes:
        asked.append(name)
        return called(self, service, name, operation, body)

    monkeypatch.setattr(Endpoint, "_called", counted)
    return asked


@pytest.fixture
def replay(shop: Shop, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def called(step: str, *options: str, run_id: str = "r-1") -> Said:
        capsys.readouterr()
        code = run(["replay", run_id, step, str(shop.folder), *options])
        return Said(code, *capsys.readouterr())

    return called


def test_a_step_is_given_what_it_had_there_as_the_worker_binds_it(
    shop: Shop, replay: Callable[..., Said]
) -> None:
    said = replay("charge", "--yes")
    assert said.code == ExitCode.OK, said
    price = shop.module.Price(amount=987654)
    assert shop.seen == [("o-4711", price, {"by": "kim"}, 100_000, "r-1/charge", 1)]
    assert "the same as there" in said.out
    assert "the output of quote: 100,037 bytes, from an item of its own" in said.err


def test_nothing_is_written_to_aws(
    shop: Shop, replay: Callable[..., Said], calls: list[str]
) -> None:
    items, sent = dict(shop.aws.table.items), len(shop.aws.queue.messages)
    said = replay("charge", "--yes")
    assert "not done: ctx.transact Put in table ledger" in said.out
    assert "not done: ctx.start of Other as another" in said.out
    said = replay("write", "--yes")
    assert said.code == ExitCode.UNSUCCESSFUL
    assert "not called: sqs SendMessage" in said.out
    assert set(calls) == {"GetItem", "GetQueueAttributes"}
    assert (dict(shop.aws.table.items), len(shop.aws.queue.messages)) == (items, sent)


def test_payloads_stay_off_the_screen_unless_they_are_asked_for(
    replay: Callable[..., Said],
) -> None:
    for options in ([], ["--json"]):
        said = replay("charge", "--yes", *options)
        assert not [text for text in ("4711", "kim", "987654") if text in said.out + said.err]
    said = replay("charge", "--yes", "--payloads")
    assert all(
        text in said.out + said.err
        for text in ("o-4711", "kim", "secret-4711", '"charged": 987654')
    )


def test_a_payload_that_is_gone_is_said_and_may_be_given(
    shop: Shop, replay: Callable[..., Said]
) -> None:
    del shop.aws.table.items["r-1", "out#quote#1"]
    said = replay("charge", "--yes")
    assert said.code == ExitCode.ERROR
    assert (
        "the output of quote is gone: its item 'out#quote#1' was deleted, or has expired"
        in said.err
    )
    assert "--with quote=JSON" in said.err
    assert shop.seen == []
    made_up = json.dumps({"price": {"amount": 7}, "text": ""})
    said = replay(
        "charge", "--yes", "--with", f"quote={made_up}", "--with", 'input={"order_id": "x"}'
    )
    assert said.code == ExitCode.OK, said
    assert shop.seen[0][:2] == ("x", shop.module.Price(amount=7))
    assert "other than there" in said.out


def test_what_is_not_there_yet_is_said(shop: Shop, replay: Callable[..., Said]) -> None:
    shop.client.start("Orders", ORDER, run_id="r-2")
    shop.work()
    said = replay("charge", "--yes", run_id="r-2")
    assert "the payload of signal approved is not there: the signal has not come" in said.err
    said = replay("write", "--yes", run_id="r-2")
    assert "the output of charge is not there: the step is PENDING" in said.err
    assert replay("charge", "--yes", "--with", 'approved={"by": "me"}', run_id="r-2").code == 0
    assert shop.seen[0][2] == {"by": "me"}


def test_a_round_is_replayed_with_what_it_kept_and_without_what_was_skipped(
    shop: Shop, replay: Callable[..., Said], time: Time
) -> None:
    shop.module.HERE = False
    shop.client.start("Rounds", ORDER, run_id="r-3")
    shop.work()
    shop.module.HERE = True
    said = replay("poll", "--yes", "--payloads", run_id="r-3")
    assert said.code == ExitCode.OK, said
    assert shop.seen == [(1, {"page": 1}, None)]
    assert "the output of wrap: 0 bytes, is not there: the step is SKIPPED" in said.err
    assert "asked to be run again in 600 s, with a state" in said.out
    assert '"page": 2' in said.out
    said = replay("wrap", "--yes", run_id="r-3")
    assert "its `when` says no" in said.err


def test_without_a_yes_no_code_is_run(shop: Shop, replay: Callable[..., Said]) -> None:
    said = replay("charge")
    assert said.code == ExitCode.USAGE
    assert "--yes" in said.err
    assert shop.seen == []


def test_a_step_that_raises_shows_its_own_lines(replay: Callable[..., Said]) -> None:
    said = replay("broken", "--yes")
    assert said.code == ExitCode.UNSUCCESSFUL
    assert "LookupError: no o-4711" in said.out
    assert "in broken" in said.out
    assert "fluxio/" not in said.out.replace("fluxio/local/test", "")


def test_the_debugger_stops_at_the_first_line_and_where_it_raises(
    replay: Callable[..., Said], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "stdin", io.StringIO("p 'first ' + order_id\nc\np 'then ' + order_id\nq\n")
    )
    said = replay("broken", "--yes", "--pdb")
    assert "'first o-4711'" in said.out
    assert "'then o-4711'" in said.out
    assert said.code == ExitCode.UNSUCCESSFUL


@pytest.mark.parametrize(
    ("arguments", "code", "told"),
    [
        (["nothing"], ExitCode.USAGE, "it has quote, charge, write, broken"),
        (["charge", "--with", "other=1"], ExitCode.USAGE, "it is given: input, quote, approved"),
        (["charge", "--with", "quote"], ExitCode.USAGE, "NAME=JSON"),
        (["charge", "--with", "quote={"], ExitCode.USAGE, "is not JSON"),
        (["charge", "--with", 'quote={"text": ""}'], ExitCode.ERROR, "cannot be called"),
    ],
)
def test_what_cannot_be_replayed_is_said(
    arguments: list[str], code: ExitCode, told: str, replay: Callable[..., Said]
) -> None:
    said = replay(*arguments, "--yes")
    assert (said.code, told in said.err) == (code, True), said


def test_a_run_that_is_not_there_is_said(replay: Callable[..., Said]) -> None:
    assert replay("charge", run_id="none").code == ExitCode.NOT_FOUND
