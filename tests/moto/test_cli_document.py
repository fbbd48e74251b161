"""docs/cli.md: every command on the page is run, and the tables say what the code says."""

from __future__ import annotations

import io
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio_client.cli.exits import ExitCode
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
CONSOLE = "\n".join(re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = [line[2:] for line in CONSOLE.splitlines() if line.startswith("$ ")]

#: Commands of the page that are about the machine, not about a deployment.
ELSEWHERE = ('pip install "fluxio-client[cli]"', "fluxio --install-completion")

DECLINES = {"on": True}


@workflow
class OrderFulfillment:
    @step
    def charge(self, order_id: str, amount: float) -> dict:
        if order_id == "o-1004" and DECLINES["on"]:
            raise ValueError("declined")
        return {"charged": amount}

    @step(depends_on=["charge"])
    def ship(self, **kwargs: Any) -> dict:
        return {"shipped": True}


@workflow
class Approval:
    @step(awaits=["approved"])
    def publish(self, approved: dict) -> dict:
        return approved


def test_every_command_of_the_document_does_what_it_says(
    world: World,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    """In the order of the page, each with exit code 0; the worker works between any two of them."""
    fluxio = make_command(world, capfd, monkeypatch)
    pump = world.pump(OrderFulfillment, Approval)
    fluxio.lets_work(pump)
    monkeypatch.chdir(tmp_path)
    DECLINES["on"] = True
    (tmp_path / "order.json").write_text('{"order_id": "o-9"}')
    shutil.copytree(
        ROOT / "examples" / "order_fulfillment",
        tmp_path / "examples" / "order_fulfillment",
        ignore=shutil.ignore_patterns("terraform", "__pycache__"),
    )
    world.client.start("Approval", {}, run_id="order-o-1003")  # still open when the page cancels it
    order = {"order_id": "o-1004", "amount": 1.0}
    world.client.start("OrderFulfillment", order, run_id="order-o-1004")
    pump.drain()
    ran = [run for run in COMMANDS if run not in ELSEWHERE]
    for line in ran:
        if line.startswith("fluxio redrive"):
            DECLINES["on"] = False
        if line == "fluxio dlq list":
            _dead_letter(world, "order-o-1004")
        if line.startswith("fluxio cost"):
            fluxio.services.events = [{"message": json.dumps(handled("order-o-1001"))}]
        said = _run(fluxio, line, monkeypatch)
        assert said.code == ExitCode.OK, f"{line}\n{said.out}{said.err}"
        pump.drain()
        if "graph" in line and "--output" in line:
            assert (tmp_path / "order.svg").read_text().startswith("<svg")
        if "package" in line:
            assert (tmp_path / "build" / "orders.zip").is_file()
    assert world.client.get("order-o-1003").status == "CANCELLED"
    assert world.client.get("approval-1").status == "SUCCEEDED"
    assert world.client.get("order-o-1004").status == "SUCCEEDED"


def handled(run_id: str) -> dict[str, Any]:
    """The worker's line of a message."""
    return {"message": "message handled", "run_id": run_id, "writes": 3, "write_units": 3, "ms": 40}


def _run(fluxio: Command, line: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    text, pipe, command = line.rpartition(" | ")
    if pipe:
        monkeypatch.setattr("sys.stdin", io.StringIO(shlex.split(text)[1]))
    name, *arguments = shlex.split(command)
    assert name == "fluxio"
    return fluxio(*arguments)


def _dead_letter(world: World, run_id: str) -> None:
    world.sqs.send_message(
        QueueUrl=world.dlq_url,
        MessageBody=json.dumps({"run_id": run_id}),
        MessageGroupId=run_id,
        MessageDeduplicationId=str(world.clock.now()),
    )


def test_the_table_of_exit_codes_is_that_of_the_code() -> None:
    rows = dict(re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE))

    assert {int(code): " ".join(text.replace("`", "").split()) for code, text in rows.items()} == {
        int(code): code.meaning for code in ExitCode
    }
