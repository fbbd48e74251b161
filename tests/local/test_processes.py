"""`fluxio dev` as a user starts it: killed at any moment, and restarted by a change of a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT
from fluxio_client import FluxioClient, Run, RunStatus
from fluxio_client.cli.app import run
from fluxio_client.cli.exits import ExitCode
from fluxio_protocol import settings
from tests.local.world import client

MANIFEST = "[fluxio.workflows]\nFlow = flow:Flow\n"

FLOW = """
import time
from pathlib import Path
import boto3
from fluxio import step, workflow

@workflow
class Flow:
    @step
    def first(self, marks: str, ctx) -> dict:
        Path(marks, "first").touch(exist_ok=False)
        payment = {"order_id": {"S": ctx.run_id}, "amount": {"N": "7"}}
        ctx.transact({"Put": {"TableName": "payments", "Item": payment}})
        return {"first": "done"}

    @step(depends_on=["first"])
    def second(self, marks: str, ctx) -> str:
        if not Path(marks, "second").exists():
            Path(marks, "second").touch()
            time.sleep(600)
        key = {"order_id": {"S": ctx.run_id}}
        paid = boto3.client("dynamodb").get_item(TableName="payments", Key=key)["Item"]
        return f"VERSION 1: {paid['amount']['N']} paid"
"""

PATIENCE = 30.0


class Dev:
    """`fluxio dev` on a folder, and a client of what it serves."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []

    def start(self, *options: str) -> dict[str, Any]:
        """Start it; what it says when it is ready."""
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "FLUXIO_"))
        } | {"HOME": str(self.folder)}
        self._processes.append(
            subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "fluxio_client.cli",
                    "dev",
                    str(self.folder),
                    "--port=0",
                    "--json",
                    "--table=payments=order_id",
                    *options,
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
                env=environment,
            )
        )
        return self.said()

    @property
    def process(self) -> subprocess.Popen[str]:
        return self._processes[-1]

    def said(self) -> dict[str, Any]:
        """The next line of JSON that it says."""
        assert self.process.stdout is not None
        while not (line := self.process.stdout.readline()).startswith("{"):
            assert line, "it has ended"
        said: dict[str, Any] = json.loads(line)
        return said

    def end(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                process.kill()
            process.communicate()


@pytest.fixture
def dev(tmp_path: Path) -> Iterator[Dev]:
    folder = tmp_path / "package"
    folder.mkdir()
    (folder / "entry_points.txt").write_text(MANIFEST)
    (folder / "flow.py").write_text(FLOW)
    dev = Dev(folder)
    yield dev
    dev.end()


def client_of(ready: dict[str, Any]) -> FluxioClient:
    environment = ready["environment"]
    port = int(environment["AWS_ENDPOINT_URL"].rpartition(":")[2])
    clients = {
        name: client(name, port, environment["AWS_ACCESS_KEY_ID"]) for name in ("dynamodb", "sqs")
    }
    return FluxioClient(
        environment["FLUXIO_TABLE_NAME"], environment["FLUXIO_QUEUE_URL"], **clients
    )


def wait_for(condition: Callable[[], Any]) -> None:
    until = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_run_goes_on_in_a_second_process_after_a_kill_in_mid_run(
    dev: Dev, tmp_path: Path
) -> None:
    marks = {"marks": str(tmp_path)}
    ready = dev.start()
    assert (ready["workflows"], ready["open_runs"]) == ({"Flow": 2}, [])
    started = client_of(ready).start("Flow", marks, run_id="r-1")
    wait_for((tmp_path / "second").exists)
    dev.process.kill()
    dev.process.wait()

    def begun() -> dict[str, Any] | None:
        try:
            return dev.start()
        except (
            AssertionError
        ):  # the process that had the state sees a moment later that it is alone
            return None

    found: list[dict[str, Any]] = []
    wait_for(lambda: found.append(again) or True if (again := begun()) else False)  # type: ignore[func-returns-value]
    ready = found[0]
    assert ready["open_runs"] == ["r-1"]
    assert ready["put_back"] == ["second of r-1"]
    ended: Run = client_of(ready).wait("r-1", timeout=PATIENCE)
    assert ended.status is RunStatus.SUCCEEDED
    assert ended.result == "VERSION 1: 7 paid"
    assert ended.created_at == started.created_at
    assert {step.name: step.attempt for step in ended.steps.values()} == {"first": 1, "second": 2}


def test_a_change_of_a_file_restarts_it_and_callers_hardly_notice(dev: Dev, tmp_path: Path) -> None:
    (tmp_path / "second").touch()
    ready = dev.start()
    fluxio = client_of(ready)
    flow = dev.folder / "flow.py"
    flow.write_text(f"{FLOW}\nthis is no Python\n")
    assert dev.said()["ready"] is False
    fluxio.start("Flow", {"marks": str(tmp_path)}, run_id="r-1")
    flow.write_text(
        FLOW.replace("VERSION 1", "VERSION 2")
        .replace("time.sleep(600)", "")
        .replace('return {"first": "done"}', 'breakpoint(); return {"first": "done"}')
    )
    again = dev.said()
    assert (again["ready"], again["environment"]) == (True, ready["environment"])
    assert dev.process.stdin is not None
    dev.process.stdin.write("p marks\nc\n")  # at the prompt of the debugger
    dev.process.stdin.flush()
    ended = fluxio.wait("r-1", timeout=PATIENCE)
    assert ended.result == "VERSION 2: 7 paid"
    dev.process.send_signal(2)
    out, _ = dev.process.communicate(timeout=PATIENCE)
    assert repr(str(tmp_path)) in out
    assert dev.process.returncode == 130


def test_the_command_and_the_example_work_in_the_environment_that_it_prints(
    dev: Dev, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    dev.folder = ROOT / "examples" / "order_fulfillment"
    ready = dev.start(f"--state={tmp_path / 'state' / 'dev.sqlite'}")
    for name, value in ready["environment"].items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(settings, "_session", settings._session.__wrapped__)  # it keeps credentials
    order = json.dumps({"order_id": "o-1", "amount": 99.0})

    def fluxio(*arguments: str) -> tuple[int, Any]:
        capsys.readouterr()
        code = run([*arguments, "--json"])
        return code, json.loads("".join(capsys.readouterr()))

    code, started = fluxio("start", "OrderFulfillment", "--input", order, "--wait")
    assert (code, started["status"]) == (ExitCode.OK, "SUCCEEDED")
    assert {step["name"]: step["attempt"] for step in started["steps"]}["charge_card"] == 2
    assert fluxio("list", "OrderFulfillment")[1]["runs"][0]["run_id"] == started["run_id"]
    assert fluxio("list", "--failed")[1]["runs"] == []
    assert fluxio("dlq", "list")[1]["messages"] == []
    code, refused = fluxio("doctor")
    assert (code, refused["error"]["type"]) == (ExitCode.USAGE, "SettingError")
    assert "fluxio dev does not serve DescribeTable" in refused["error"]["message"]
    exports = (tmp_path / "state" / "dev.env").read_text()
    assert all(f"export {name}=" in exports for name in ready["environment"])
