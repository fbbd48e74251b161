"""One MiniStack and one apply of the real module, shared by all tests here."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from dev import ROOT, emulator, layer
from dev.package import package
from dev.terraform import Terraform
from fluxio_client import FluxioClient
from tests.emulator.guarded import Guarded
from tests.emulator.world import Deployed, Scratch

HERE = Path(__file__).resolve().parent
NAME = f"test-{os.getpid()}"  # two test runs at a time do not meet
WORK = ROOT / ".fluxio" / NAME


@pytest.fixture(scope="session")
def ministack() -> Iterator[emulator.Emulator]:
    """An AWS emulator with nothing in it; while it runs, all SDK calls of these tests go to it."""
    with emulator.running(NAME) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        patch.delenv("AWS_PROFILE", raising=False)
        yield running


@pytest.fixture(scope="session")
def deployed(ministack: emulator.Emulator) -> Iterator[Deployed]:
    """The example's root with the steps of these tests, applied by Terraform.

    It goes away with its emulator: that a destroy leaves nothing is shown once, in test_examples.py.
    """
    terraform, variables, outputs = _applied(ministack, WORK)
    clients = {name: boto3.client(name) for name in ("dynamodb", "sqs", "lambda", "logs")}
    yield Deployed(terraform, variables, outputs, clients)
    shutil.rmtree(WORK, ignore_errors=True)


@pytest.fixture
def client(deployed: Deployed) -> FluxioClient:
    """The thin client on the deployment, as a user has it."""
    return FluxioClient(deployed.outputs["table_name"], deployed.outputs["queue_url"])


@pytest.fixture
def scratch(deployed: Deployed, request: pytest.FixtureRequest) -> Iterator[Scratch]:
    """The module's table with a queue that no Lambda polls: workers run in this process, and are counted."""
    made = Scratch.make(deployed, HERE / "package")
    yield made
    made.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[Guarded]:
    """The module once more, in an emulator of its own that enforces IAM policies.

    It takes an apply of its own, so it lives only as long as the module of tests that asks for it; what was
    applied goes away with the emulator.
    """
    name = f"{NAME}-access"
    work = ROOT / ".fluxio" / name
    try:
        with emulator.running(name, auth=True) as running:
            yield Guarded(running, _applied(running, work)[2])
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _applied(
    running: emulator.Emulator, work: Path
) -> tuple[Terraform, dict[str, str], dict[str, Any]]:
    """The example's root with the steps of these tests: Terraform, its variables and its outputs."""
    steps = package(HERE / "package", work / "steps.zip", ["shop", "entry_points.txt"])
    root = ROOT / "examples" / "order_fulfillment" / "terraform"
    terraform = Terraform(root, work / "terraform", running.environment())
    variables = {
        "name": "fluxio-test",
        "package": str(steps),
        "layer_zip": str(layer.zip_path(layer.host_architecture())),
        "endpoint": running.endpoint,
        "region": emulator.REGION,
        "park_after": "1",
    }
    return terraform, variables, terraform.apply(variables)
