"""A cold start of the worker, to the end of its first run, beside that of a bare boto3 handler.

Each start is a fresh interpreter with what a function of that kind would have in Lambda: its modules, their
bytecode, and an event. Both speak to one table, which this process serves.

What a start does is counted exactly: the descriptions of services that it reads, the folders that it looks
into, the bytecode that it loads, the collections of garbage. Processor time is noisy. So the two take turns,
what counts is the least that each took, and there are more turns for as long as the ratio is above its bound.

    pytest tests/benchmarks/test_cold_start.py -s
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cached_property
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from dev import ROOT, STATE
from fluxio.testing.aws import Aws
from fluxio_protocol.clock import now_ms
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import Run, RunStatus
from fluxio_protocol.store import Store
from tests.unit.http_answers import Answers, Asked, answer

#: Turns that are taken at the least, and at the most.
ROUNDS = 10, 80

#: Processor time of the worker's cold start, in that of the bare handler's. Where collections cost the bare
#: handler less, the worker gains less by having fewer.
ALLOWED = 1.0 if sys.version_info < (3, 12) else 1.05

#: Bytes of bytecode that the worker may load, in those that the bare handler loads.
ALLOWED_BYTECODE = 1.05

#: Collections of garbage, in those that a bare handler has.
ALLOWED_COLLECTIONS = 0.5

PACKAGE = ROOT / "tests" / "emulator" / "package"
INPUT = json.dumps({"order_id": "o-1001", "amount": 99.0})

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

#: Goes before START where the start is counted, which takes time of its own.
COUNTED = """
import sys

files, folders = [], []

def see(event, arguments):
    if event == "open" and isinstance(arguments[0], str):
        files.append(arguments[0])
    elif event in ("os.listdir", "os.scandir"):
        folders.append(str(arguments[0]))

sys.addaudithook(see)
"""

START = """
import sys

name, event, *sys.path[:0] = sys.argv[1:]

import importlib, json, time

class Context:
    aws_request_id = "00000000-0000-4000-8000-000000000000"

    def get_remaining_time_in_millis(self):
        return 600_000

handler = importlib.import_module(name).lambda_handler
handler(json.loads(event), Context())
took = time.process_time()
"""

TELL_TIME = "print(json.dumps(1000 * took))"
TELL_COUNTS = """
import gc
collections = sum(generation["collections"] for generation in gc.get_stats())
print(json.dumps([sorted(set(files)), sorted(set(folders)), collections]))
"""


class Counts(NamedTuple):
    """What a cold start did."""

    files: list[str]
    folders: list[str]
    #: Of garbage, in all generations.
    collections: int

    @property
    def descriptions(self) -> set[str]:
        """The files of botocore's that describe services, partitions, endpoints and defaults."""
        inside = (re.search(r"botocore/data/(.*)", name) for name in self.files)
        return {found[1] for found in inside if found}

    @property
    def services(self) -> set[str]:
        """The services whose folders it has looked into."""
        inside = (re.search(r"botocore/data/([^/]+)", name) for name in self.folders)
        return {found[1] for found in inside if found}

    @property
    def bytecode(self) -> int:
        """Bytes of the bytecode that was loaded."""
        return sum(Path(name).stat().st_size for name in self.files if name.endswith(".pyc"))


class Served:
    """A table that other processes reach by HTTP, as they would DynamoDB."""

    def __init__(self) -> None:
        self.aws = Aws()
        self.store = Store(self.aws.dynamodb.client(), Aws.TABLE)
        self.begun: list[str] = []
        self._numbers = count(1)
        self._server = Answers(self._answer)

    def _answer(self, asked: Asked) -> bytes:
        operation = asked.headers["x-amz-target"].partition(".")[2]
        call = getattr(
            self.aws.dynamodb.client(), re.sub(r"(?<!^)([A-Z])", r"_\1", operation).lower()
        )
        try:
            return answer(call(**json.loads(asked.body)))
        except ClientError as error:
            code = error.response["Error"]["Code"]
            rest = {
                k: v for k, v in error.response.items() if k not in ("Error", "ResponseMetadata")
            }
            return answer({"__type": f"com.amazonaws#{code}", **rest}, "400 Bad Request")

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_ENDPOINT_URL": self._server.url,
            "AWS_LAMBDA_FUNCTION_NAME": "worker",
            "AWS_SECRET_ACCESS_KEY": "test",
            "FLUXIO_QUEUE_URL": f"{self._server.url}/123456789012/fluxio.fifo",
            "FLUXIO_TABLE_NAME": Aws.TABLE,
            "NO_PROXY": "127.0.0.1",
        }

    def message(self) -> dict[str, Any]:
        """The event with which a new run begins."""
        run_id, now = f"run-{next(self._numbers)}", now_ms()
        self.store.start(run_id, "OrderFulfillment", INPUT, now, now + 300_000)
        self.begun.append(run_id)
        attributes = {
            "ApproximateReceiveCount": "1",
            "MessageGroupId": run_id,
            "SentTimestamp": str(now),
        }
        body = Nudge(run_id, "OrderFulfillment").to_json()
        record = {"messageId": run_id, "receiptHandle": run_id, "body": body}
        return {"Records": [record | {"attributes": attributes}]}

    def runs(self) -> list[Run | None]:
        """The runs that were begun, as they stand."""
        return [self.store.read(run_id) for run_id in self.begun]

    def close(self) -> None:
        self._server.close()


class Function:
    """A function that is started again and again.

    Args:
        served: the table that it writes to.
        module: the module of its `lambda_handler`.
        code: the folder of the function's own code.
        event: makes the event of a start.
    """

    def __init__(
        self, served: Served, module: str, code: Path, event: Callable[[], Any] = dict
    ) -> None:
        self._module, self._event = module, event
        self._path = [str(code), *(part for part in sys.path if Path(part).is_dir())]
        # No site-packages by themselves: their .pth files take time that a layer does not. Bytecode stands in
        # a folder of its own, also where this process is told to write none.
        self._python = [sys.executable, "-S", "-X", f"pycache_prefix={STATE / 'bytecode'}"]
        kept = {name: of for name, of in os.environ.items() if not name.startswith("PYTHON")}
        self._environment = kept | served.environment
        self._environment.pop("AWS_PROFILE", None)
        self.times: list[float] = []
        self._run(
            TELL_TIME
        )  # writes what bytecode there is not, and brings the files into the cache

    def _run(self, tell: str, before: str = "") -> Any:
        event = json.dumps(self._event())
        code = before + START + tell
        done = subprocess.run(
            [*self._python, "-c", code, self._module, event, *self._path],
            env=self._environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def start(self) -> None:
        """One cold start, with one invocation."""
        self.times.append(self._run(TELL_TIME))

    @property
    def least(self) -> float:
        """Milliseconds of processor time that the start took which was disturbed least."""
        return min(self.times)

    @cached_property
    def counts(self) -> Counts:
        """What a cold start does; the same each time."""
        return Counts(*self._run(TELL_COUNTS, before=COUNTED))


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    served = Served()
    yield served
    served.close()


@pytest.fixture(scope="module")
def bare(served: Served, tmp_path_factory: pytest.TempPathFactory) -> Function:
    task = tmp_path_factory.mktemp("task")
    (task / "bare.py").write_text(BARE)
    return Function(served, "bare", task)


@pytest.fixture(scope="module")
def worker(served: Served) -> Function:
    return Function(served, "fluxio.worker", PACKAGE, served.message)


def test_the_worker_reads_no_description_of_a_service_that_boto3_does_not(
    bare: Function, worker: Function
) -> None:
    """Each is read once: they are JSON of up to a megabyte."""
    opened = [name for name in worker.counts.descriptions if name.endswith(".gz")]
    assert {name.split("/")[0] for name in opened if "/" in name} == {"dynamodb", "sqs"}
    assert worker.counts.descriptions <= bare.counts.descriptions


def test_the_worker_looks_into_the_folders_of_its_two_services_alone(
    bare: Function, worker: Function
) -> None:
    assert worker.counts.services == {"dynamodb", "sqs"}
    assert len(bare.counts.services) > 100  # else this shows nothing


def test_the_worker_loads_hardly_more_bytecode_than_boto3_with_its_clients(
    bare: Function, worker: Function
) -> None:
    ratio = worker.counts.bytecode / bare.counts.bytecode
    sys.stdout.write(
        f"\nbytecode: bare handler {bare.counts.bytecode:,} bytes, worker {worker.counts.bytecode:,}, "
        f"ratio {ratio:.2f}\n"
    )
    assert ratio <= ALLOWED_BYTECODE


def test_the_collector_runs_far_less_often_than_in_a_bare_handler(
    bare: Function, worker: Function
) -> None:
    """It rests while the clients are made, and what is in memory then is frozen."""
    sys.stdout.write(
        f"collections: bare handler {bare.counts.collections}, worker {worker.counts.collections}\n"
    )
    assert worker.counts.collections <= bare.counts.collections * ALLOWED_COLLECTIONS


def test_a_cold_start_takes_no_more_processor_time_than_that_of_a_bare_handler(
    served: Served, bare: Function, worker: Function
) -> None:
    """From nothing to the end of a first run of five steps, and to the last of six updates."""
    least, most = ROUNDS
    while len(worker.times) < least or (
        worker.least > ALLOWED * bare.least and len(worker.times) < most
    ):
        bare.start()
        worker.start()
    assert [run and run.status for run in served.runs()] == [RunStatus.SUCCEEDED] * len(
        served.begun
    )
    ratio = worker.least / bare.least
    sys.stdout.write(
        f"\ncold start to the first run's end, {len(worker.times)} turns: bare handler {bare.least:.0f} ms of "
        f"processor time, worker {worker.least:.0f} ms, ratio {ratio:.2f}\n"
    )
    assert ratio <= ALLOWED
