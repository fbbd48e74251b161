"""The emulator's own life: one per name, found again, and gone without a trace."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import boto3
import pytest

from dev import STATE, emulator
from fluxio_client.cli.archive import write_zip

NAME = "test-of-the-emulator"

HANDLER = b"""
import json
import os
def handler(event, context):
    return os.getpid()
"""


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def start_a_lambda_worker(running: emulator.Emulator, folder: Path) -> int:
    """Deploy and invoke a function; returns the process that runs it."""
    write_zip(folder / "code.zip", {"code.py": HANDLER})
    functions = boto3.client(
        "lambda",
        endpoint_url=running.endpoint,
        region_name=emulator.REGION,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    functions.create_function(
        FunctionName="pid",
        Runtime="python3.12",
        Handler="code.handler",
        Role="arn:aws:iam::000000000000:role/any",
        Code={"ZipFile": (folder / "code.zip").read_bytes()},
    )
    functions.get_waiter("function_active_v2").wait(FunctionName="pid")
    return int(functions.invoke(FunctionName="pid")["Payload"].read())


def test_it_starts_is_found_again_and_leaves_nothing(tmp_path: Path) -> None:
    """Neither its process, nor the Lambda workers it started, nor a file stays."""
    with emulator.running(NAME) as running:
        assert running.fresh
        found = emulator.start(NAME)
        assert (found.pid, found.port, found.fresh) == (running.pid, running.port, False)
        worker = start_a_lambda_worker(running, tmp_path)
        assert is_alive(worker)
    assert not is_alive(running.pid)
    assert emulator.find(NAME) is None
    assert not (STATE / "emulators" / NAME).exists()
    deadline = time.monotonic() + 5
    while is_alive(worker) and time.monotonic() < deadline:
        time.sleep(0.05)  # killed; its new parent has yet to collect it
    assert not is_alive(worker)


def test_a_dead_emulator_is_replaced(tmp_path: Path) -> None:
    """What a crash leaves behind is not taken for a running server, whatever has its pid now."""
    folder = STATE / "emulators" / NAME
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "pid").write_text(str(os.getpid()))
    (folder / "emulator.json").write_text(
        f'{{"pid": {os.getpid()}, "port": 1, "auth": false, "fresh": false}}'
    )
    assert emulator.find(NAME) is None
    with emulator.running(NAME) as running:
        assert running.fresh
        assert running.pid != os.getpid()


def test_an_interrupt_ends_it(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a test leaves nothing running."""
    with pytest.raises(KeyboardInterrupt), emulator.running(NAME) as running:
        raise KeyboardInterrupt
    assert not is_alive(running.pid)


def test_an_execution_of_step_functions_begins_at_once() -> None:
    """As shipped, each sleeps for 150 ms first, by which `make bench` would flatter fluxio."""
    machine = {"StartAt": "only", "States": {"only": {"Type": "Pass", "End": True}}}
    took = []
    with emulator.running(f"{NAME}-step-functions") as running:
        states = boto3.client(
            "stepfunctions",
            endpoint_url=running.endpoint,
            region_name=emulator.REGION,
            aws_access_key_id="test",
            aws_secret_access_key="test",
        )
        role = "arn:aws:iam::000000000000:role/any"
        arn = states.create_state_machine(
            name="pass", roleArn=role, definition=json.dumps(machine)
        )["stateMachineArn"]
        for _ in range(10):  # the least is that which the machine disturbed least
            execution = states.start_execution(stateMachineArn=arn)["executionArn"]
            while (run := states.describe_execution(executionArn=execution))["status"] == "RUNNING":
                pass
            took.append((run["stopDate"] - run["startDate"]).total_seconds())
    assert min(took) < 0.1
