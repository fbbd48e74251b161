"""The layer's zips: the same for the same sources, complete, and enough to run a worker."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT, layer
from dev.bootstrap import SUPPORTED, interpreters
from dev.emulator import Emulator
from fluxio_client import RunStatus
from tests.emulator.runtime_api import (
    BOTO3,
    RUNTIME_CLIENT,
    Died,
    Function,
    function,
    runtime_folder,
)
from tests.emulator.world import Deployed, Scratch

PACKAGE = Path(__file__).parent / "package"
ORDER = {"order_id": "o-1001", "amount": 99.0}

ELF_MACHINE = {"x86_64": 62, "arm64": 183}
"""Byte 18 of a shared object, https://refspecs.linuxfoundation.org/elf/gabi4+/ch4.eheader.html"""

ENOUGH = """
import sys
compiled = []
sys.addaudithook(lambda event, args: event == "compile" and compiled.append(str(args[1])))
sys.path += sys.argv[1:]
import fluxio.worker

import aws_xray_sdk.core
import boto3
import fluxio_client
import pydantic
import wrapt._wrappers

class Order(pydantic.BaseModel):
    amount: float

assert Order.model_validate({"amount": "9.5"}).amount == 9.5
for name in ("fluxio", "fluxio_client", "fluxio_protocol", "pydantic", "aws_xray_sdk", "wrapt"):
    assert sys.modules[name].__file__.startswith(sys.argv[1]), sys.modules[name].__file__
assert not [name for name in compiled if name.startswith(sys.argv[1] + "/fluxio")], compiled
"""

HANDLER = """
import os, sys
import fluxio, boto3

def lambda_handler(event, context):
    if event == "raise":
        raise ValueError("as asked")
    if event == "exit":
        os._exit(3)
    assert 0 < context.get_remaining_time_in_millis() <= 120_000
    return {"event": event, "fluxio": fluxio.__file__, "modules": sorted(sys.modules)}
"""


class Remote:
    """The worker in another process, in the place of one in this process."""

    def __init__(self, function: Function) -> None:
        self._function = function

    def handle(self, event: dict[str, Any], _context: object) -> Any:
        answer = self._function.invoke(event)
        assert not answer.failed, answer.payload
        return answer.payload


@pytest.fixture(scope="module")
def zips() -> dict[str, Path]:
    """What `make layer` left in layer/dist, built now if it is missing or old."""
    layer.main([])
    return {architecture: layer.zip_path(architecture) for architecture in layer.ARCHITECTURES}


@pytest.fixture(scope="module")
def unzipped(zips: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `python` folder of the layer for this machine."""
    folder = tmp_path_factory.mktemp("opt")
    with zipfile.ZipFile(zips[layer.host_architecture()]) as archive:
        archive.extractall(folder)
    return folder / "python"


@pytest.fixture(scope="module")
def boto3_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with boto3 and what it needs, all of it pure Python."""
    return runtime_folder(tmp_path_factory.mktemp("boto3"), BOTO3)


@pytest.fixture(scope="module")
def lambda_runtime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a function finds beside its code and its layers."""
    return runtime_folder(tmp_path_factory.mktemp("runtime"), [*BOTO3, *RUNTIME_CLIENT])


@pytest.fixture
def worker(
    unzipped: Path,
    lambda_runtime: Path,
    ministack: Emulator,
    deployed: Deployed,
    scratch: Scratch,
    tmp_path: Path,
) -> Iterator[Function]:
    """The worker straight from the layer, on the module's table and a queue of its own."""
    settings = {k: v for k, v in ministack.environment().items() if k.startswith("AWS_")}
    with function(
        "fluxio.worker.lambda_handler",
        code=PACKAGE,
        layers=[unzipped],
        runtime=lambda_runtime,
        log=tmp_path / "log",
        environment={
            **settings,
            "FLUXIO_TABLE_NAME": deployed.outputs["table_name"],
            "FLUXIO_QUEUE_URL": scratch.queue_url,
        },
    ) as started:
        yield started


@pytest.fixture
def plain_function(unzipped: Path, lambda_runtime: Path, tmp_path: Path) -> Iterator[Function]:
    """A function with a handler of its own that uses the layer."""
    code = tmp_path / "task"
    code.mkdir()
    (code / "lambda_handler.py").write_text(HANDLER)
    with function(
        "lambda_handler.lambda_handler",
        code=code,
        layers=[unzipped],
        runtime=lambda_runtime,
        log=tmp_path / "log",
    ) as started:
        yield started


def test_two_builds_of_one_source_are_byte_identical(zips: dict[str, Path], tmp_path: Path) -> None:
    """Neither the folder nor the time of a build, nor the age of a file, gets into the zips."""
    built = []
    for name, age in (("here", 0), ("and/also/there", 1_000_000_000)):
        source = tmp_path / name
        source.mkdir(parents=True)
        shutil.copy(ROOT / "VERSION", source)
        for project in ("client", "layer"):
            shutil.copytree(
                ROOT / project,
                source / project,
                ignore=shutil.ignore_patterns("dist", "__pycache__"),
                copy_function=shutil.copyfile if age else shutil.copy2,
            )
            if age:
                for path in (source / project).rglob("*"):
                    os.utime(path, (age, age))
        built.append(layer.build(source, tmp_path / f"dist-{age}"))
    for architecture, first, second in zip(zips, *built, strict=True):
        assert first.read_bytes() == second.read_bytes()
        assert first.read_bytes() == zips[architecture].read_bytes()


@pytest.mark.parametrize("architecture", layer.ARCHITECTURES)
def test_nothing_that_the_runtime_brings_is_in_the_zip(
    zips: dict[str, Path], architecture: str
) -> None:
    """boto3 of the layer would hide the runtime's own; traces of an installation have no place."""
    with zipfile.ZipFile(zips[architecture]) as archive:
        names = archive.namelist()
    assert all(name.startswith("python/") for name in names)
    tops = {name.split("/")[1].partition("-")[0].removesuffix(".py") for name in names}
    assert tops.isdisjoint({*layer.FROM_THE_RUNTIME, "python_dateutil", "bin"})
    assert {"fluxio", "fluxio_client", "fluxio_protocol", "pydantic", "aws_xray_sdk"} <= tops
    ends = ("RECORD", "INSTALLER", "direct_url.json")
    assert not [name for name in names if name.endswith(ends)]


@pytest.mark.parametrize("architecture", layer.ARCHITECTURES)
def test_what_is_for_tests_and_for_a_browser_is_in_the_wheels_and_not_in_the_zip(
    zips: dict[str, Path], architecture: str
) -> None:
    """`fluxio.testing`, `fluxio dev` and the pages of `fluxio ui` come with pip; no function carries them."""
    for wheel, file in zip(
        layer.wheels(),
        ("fluxio_client/ui/templates/base.html", "fluxio/testing/dynamodb.py"),
        strict=True,
    ):
        with zipfile.ZipFile(wheel) as archive:
            assert file in archive.namelist()
    with zipfile.ZipFile(zips[architecture]) as archive:
        names = archive.namelist()
    assert "python/fluxio/worker.py" in names
    assert not [name for name in names if re.match(r"python/fluxio/(testing|local)/", name)]
    assert not [name for name in names if re.match(r"python/fluxio-.*entry_points", name)]
    assert not [name for name in names if name.startswith("python/fluxio_client/ui/")]


@pytest.mark.parametrize("architecture", layer.ARCHITECTURES)
def test_bytecode_is_there_for_every_python_of_the_machine_that_built_it(
    zips: dict[str, Path], architecture: str
) -> None:
    """Of all that the engine brings along itself, and never without its source."""
    with zipfile.ZipFile(zips[architecture]) as archive:
        names = set(archive.namelist())
    found = {name for name in names if name.endswith(".pyc")}
    tags = [f"cpython-{version.replace('.', '')}" for version in interpreters()]

    def bytecode(module: str) -> set[str]:
        folder, _, file = module.rpartition("/")
        return {f"{folder}/__pycache__/{file.removesuffix('.py')}.{tag}.pyc" for tag in tags}

    modules = {name for name in names if name.endswith(".py")}
    assert found <= set().union(*map(bytecode, modules))
    for package in ("fluxio", "fluxio_client", "fluxio_protocol"):
        own = {name for name in modules if name.startswith(f"python/{package}/")}
        assert own
        for module in own - {name for name in own if "/cli/" in name}:
            assert bytecode(module) <= found


@pytest.mark.parametrize("architecture", layer.ARCHITECTURES)
def test_compiled_modules_are_there_for_every_python(
    zips: dict[str, Path], architecture: str
) -> None:
    """One zip serves five runtimes, and holds machine code of its own architecture alone."""
    with zipfile.ZipFile(zips[architecture]) as archive:
        compiled = {name: archive.read(name) for name in archive.namelist() if name.endswith(".so")}
    assert {content[18] for content in compiled.values()} == {ELF_MACHINE[architecture]}
    modules = {name.partition(".")[0] for name in compiled}
    for module in modules:
        for version in SUPPORTED:
            tag = f"{module}.cpython-{version.replace('.', '')}-"
            assert [name for name in compiled if name.startswith(tag)], (module, version)


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_layer_and_boto3_are_enough(version: str, unzipped: Path, boto3_alone: Path) -> None:
    """An interpreter that has nothing else imports the worker and all it may need; fluxio is not compiled."""
    python = interpreters().get(version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    done = subprocess.run(
        [python, "-I", "-S", "-B", "-c", ENOUGH, unzipped, boto3_alone],
        capture_output=True,
        text=True,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="the runtime client is built for Linux alone")
class TestUnderTheLambdaRuntime:
    """The function's process is AWS's own runtime client."""

    def test_a_handler_finds_the_layer(self, plain_function: Function, unzipped: Path) -> None:
        """An event goes in, the answer comes out, and fluxio is the layer's."""
        first = plain_function.invoke({"n": 1})
        assert not first.failed
        assert first.payload["event"] == {"n": 1}
        assert first.payload["fluxio"].startswith(str(unzipped))
        assert "pytest" not in first.payload["modules"]
        assert plain_function.invoke([2]).payload["event"] == [2]

    def test_what_a_handler_raises_is_told(self, plain_function: Function) -> None:
        """A failed invocation leaves the function alive for the next."""
        answer = plain_function.invoke("raise")
        assert answer.failed
        assert answer.payload["errorMessage"] == "as asked"
        assert not plain_function.invoke("again").failed

    def test_the_worker_carries_an_order_through(self, worker: Function, scratch: Scratch) -> None:
        """From the layer's zip, with nothing of this project's environment in sight."""
        run = scratch.client.start("OrderFulfillment", ORDER)
        assert scratch.drain(Remote(worker)) == 1
        ended = scratch.client.get(run.run_id)
        assert ended.status is RunStatus.SUCCEEDED, worker.log
        assert ended.result == {"fulfillment_id": "ful_abc", "status": "fulfilled"}

    def test_a_message_that_is_no_nudge_is_reported_alone(
        self, worker: Function, scratch: Scratch
    ) -> None:
        """It comes back, until the queue's redrive takes it; the rest of its batch is done."""
        scratch.sqs.send_message(
            QueueUrl=scratch.queue_url,
            MessageBody="not JSON",
            MessageGroupId="g",
            MessageDeduplicationId="d",
        )
        run = scratch.client.start("OrderFulfillment", ORDER)
        assert scratch.drain(Remote(worker), batch_size=10) == 1
        assert scratch.client.get(run.run_id).status is RunStatus.SUCCEEDED, worker.log
        left = scratch.sqs.get_queue_attributes(QueueUrl=scratch.queue_url, AttributeNames=["All"])
        assert left["Attributes"]["ApproximateNumberOfMessagesNotVisible"] == "1"

    def test_a_process_that_ends_is_noticed(self, plain_function: Function) -> None:
        """A crash test does not wait for an answer that cannot come."""
        with pytest.raises(Died, match="exit 3"):
            plain_function.invoke("exit")
