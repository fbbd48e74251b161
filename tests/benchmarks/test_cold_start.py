"""A cold start of the built layer, to the end of its first run, beside that of a bare boto3 handler.

Each start is a fresh interpreter that sees what a function would see in Lambda: its own code, the unzipped
layer, a runtime with boto3, and an event. Both handlers speak to one emulator.

Times are noisy, so the two take turns, and what counts is the ratio of the least processor time that each takes
from the interpreter's start on: other processes of the machine have little part in that. Waiting for the
emulator is not in it (the worker makes five calls, the other handler six). The time by the clock is printed.

    pytest tests/benchmarks/test_cold_start.py -s
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import pytest

from dev import ROOT, emulator, layer
from fluxio_client import FluxioClient, RunStatus
from tests.emulator.runtime_api import BOTO3, runtime_folder
from tests.moto.conftest import create_table

ROUNDS = 20
ALLOWED = 1.0
"""The worker's cold start to that of a bare handler."""

PACKAGE = ROOT / "tests" / "emulator" / "package"
ORDER = {"order_id": "o-1001", "amount": 99.0}

BARE = """
import os
import boto3

dynamodb, sqs = boto3.client("dynamodb"), boto3.client("sqs")

def lambda_handler(event, context):
    for n in range(6):
        dynamodb.update_item(
            TableName=os.environ["FLUXIO_TABLE_NAME"],
            Key={"pk": {"S": "bare"}, "sk": {"S": "run"}},
            UpdateExpression="SET #n = :n",
            ExpressionAttributeNames={"#n": "n"},
            ExpressionAttributeValues={":n": {"N": str(n)}},
        )
"""

START = """
import sys

name, event, *sys.path[:0] = sys.argv[1:]

import importlib, json, time

class Context:
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self):
        return 60_000

handler = importlib.import_module(name).lambda_handler
handler(json.loads(event), Context())
print(time.process_time(), time.time())
"""


class Start(NamedTuple):
    """What a cold start took, in milliseconds until the event was handled."""

    processor: float
    clock: float


class Function:
    """A function that is started again and again.

    Args:
        module: the module of its `lambda_handler`.
        path: where Python looks for modules: the function's code, its layer, the runtime.
        event: makes the event of a start.
    """

    def __init__(self, module: str, path: list[Path], event: Callable[[], Any] = dict) -> None:
        self._module, self._path, self._event = module, path, event
        self.starts: list[Start] = []

    def start(self) -> None:
        """One cold start, with one invocation."""
        event = json.dumps(self._event())
        began = time.time()
        done = subprocess.run(
            # -I -S: no site-packages, no PYTHON* variables. -B: neither code nor layer can be written to.
            [sys.executable, "-I", "-S", "-B", "-c", START, self._module, event, *self._path],
            env=os.environ | {"AWS_LAMBDA_FUNCTION_NAME": "worker"},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        processor, ended = map(float, done.stdout.split())
        self.starts.append(Start(1000 * processor, 1000 * (ended - began)))

    @property
    def least(self) -> Start:
        """The quietest start, by each measure for itself."""
        return Start(*map(min, zip(*self.starts, strict=True)))


@pytest.fixture
def deployment() -> Iterator[FluxioClient]:
    """A table and a queue in an emulator, to which the environment leads."""
    name = f"cold-start-{os.getpid()}"
    with emulator.running(name) as running, pytest.MonkeyPatch.context() as patch:
        for variable, value in running.environment().items():
            patch.setenv(variable, value)
        patch.delenv("AWS_PROFILE", raising=False)
        create_table(boto3.client("dynamodb"), "runs")
        queue = boto3.client("sqs").create_queue(
            QueueName="runs.fifo", Attributes={"FifoQueue": "true"}
        )
        patch.setenv("FLUXIO_TABLE_NAME", "runs")
        patch.setenv("FLUXIO_QUEUE_URL", queue["QueueUrl"])
        yield FluxioClient("runs", queue["QueueUrl"])


@pytest.fixture
def opt(tmp_path: Path) -> Path:
    """The folder with the layer, as Lambda unpacks it."""
    layer.main([])
    with zipfile.ZipFile(layer.zip_path(layer.host_architecture())) as zipped:
        zipped.extractall(tmp_path / "opt")
    return tmp_path / "opt" / "python"


def test_a_cold_start_takes_no_more_than_that_of_a_bare_handler(
    deployment: FluxioClient, opt: Path, tmp_path: Path
) -> None:
    """From nothing to the end of a first run of five steps, and to the last of six updates."""
    runtime = runtime_folder(tmp_path / "runtime", BOTO3)
    task = tmp_path / "task"
    task.mkdir()
    (task / "bare.py").write_text(BARE)
    begun: list[str] = []

    def message() -> dict[str, Any]:
        """The event with which a new run begins."""
        begun.append(deployment.start("OrderFulfillment", ORDER).run_id)
        (received,) = boto3.client("sqs").receive_message(
            QueueUrl=os.environ["FLUXIO_QUEUE_URL"], AttributeNames=["All"]
        )["Messages"]
        record = {
            "messageId": received["MessageId"],
            "receiptHandle": received["ReceiptHandle"],
            "body": received["Body"],
            "attributes": received["Attributes"],
        }
        return {"Records": [record]}

    bare = Function("bare", [task, runtime])
    worker = Function("fluxio.worker", [PACKAGE, opt, runtime], message)
    functions = (bare, worker)
    for (
        function
    ) in functions:  # the files are in the cache from here on, and the graph in the table
        function.start()
        function.starts.clear()
    for _ in range(ROUNDS):
        for function in functions:
            function.start()

    for run_id in begun:
        assert deployment.get(run_id).status is RunStatus.SUCCEEDED
    ratios = Start(*(a / b for a, b in zip(worker.least, bare.least, strict=True)))
    sys.stdout.write(
        f"\ncold start to the first run's end: bare handler {bare.least.processor:.0f} ms of processor time, "
        f"worker {worker.least.processor:.0f} ms, ratio {ratios.processor:.2f}; by the clock "
        f"{bare.least.clock:.0f} and {worker.least.clock:.0f} ms, ratio {ratios.clock:.2f}\n"
    )
    assert ratios.processor <= ALLOWED
