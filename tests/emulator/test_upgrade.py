"""An upgrade in place: the release before is applied from its zip, runs are brought into flight, and this one
is applied over it.

As long as nothing is published there is no real release before this one. It is built from the same sources with
an earlier VERSION and with the index by_workflow as it was before it held keys only: an upgrade replaces
nothing but the layer and loses no run. With the first published release, build that one's tag here: then it is
shown of all that has changed.
"""

from __future__ import annotations

import json
import shutil
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pytest

from dev import ROOT, emulator, layer, release, version
from dev.terraform import Terraform
from fluxio_client import FluxioClient, Run, RunStatus
from fluxio_client.cli.archive import write_zip
from fluxio_protocol import layout
from fluxio_protocol.clock import now_ms
from tests.emulator.conftest import NAME
from tests.emulator.guarded import Principal
from tests.emulator.test_release import copy_sources
from tests.emulator.world import until

VERSION = layer.version()
BEFORE = f"{VERSION.partition('a')[0].partition('b')[0].partition('rc')[0]}a0"
"""An earlier version, of the same series: the first of all its pre-releases."""

INDEX = 'hash_key = "workflow_shard", range_key = "created_at", with = '
"""In table.tf, before what by_workflow has besides its keys."""

STEPS = '''
import time

from fluxio import Retry, StepContext, step, workflow


@workflow
class Approval:
    """Waits for somebody."""

    @step
    def ask(self) -> dict:
        return {"asked": True}

    @step(depends_on=["ask"], awaits=["approved"])
    def publish(self, approved: dict) -> dict:
        return {"approved_by": approved["by"]}


@workflow
class Patience:
    """Fails at first, and is tried again in an hour."""

    @step(retry=Retry(1, initial=3600, maximum=3600, jitter=0))
    def call(self, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError("ask again in an hour")
        return {"attempt": ctx.attempt}


@workflow
class Mended:
    """Fails, until somebody has mended what it needs and redrives it."""

    @step(retry=0)
    def first(self) -> dict:
        return {"first": "done once"}

    @step(depends_on=["first"], retry=0)
    def second(self, first: dict, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise FileNotFoundError("the invoice")
        return first


@workflow
class Long:
    """Is in the middle of its steps whenever one looks."""

    @step(retry=3, timeout=20)
    def one(self) -> dict:
        time.sleep(7)
        return {"n": 1}

    @step(depends_on=["one"], retry=3, timeout=20)
    def two(self, n: int) -> dict:
        time.sleep(7)
        return {"n": n + 1}
'''
MANIFEST = """
[fluxio.workflows]
Approval = steps:Approval
Patience = steps:Patience
Mended = steps:Mended
Long = steps:Long
Later = later:Later
"""
LATER = """
from fluxio import step, workflow


@workflow
class Later:
    @step
    def only(self) -> dict:
        return {"came": "later"}
"""

ROOT_MODULE = """
terraform {
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.100, < 7"
    }
  }
}

module "fluxio" {
  source       = "./fluxio"
  name         = "upgraded"
  package      = "${path.root}/steps.zip"
  architecture = "ARCHITECTURE"
  timeout      = 30
  park_after   = 1
}

output "module_version" {
  value = module.fluxio.module_version
}

output "client_environment" {
  value = module.fluxio.client_environment
}
"""


class Upgrade(NamedTuple):
    """A deployment that was upgraded, and the runs that it had before."""

    changes: list[str]
    versions: tuple[str, str]
    before: dict[str, Run]
    client: FluxioClient
    aws: Principal
    terraform: Terraform


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """Runs are brought to a stand by the release before; then this one comes."""
    old, new = earlier_module(tmp_path_factory.mktemp("before")), current_module()
    name = f"{NAME}-upgrade"
    work = ROOT / ".fluxio" / name
    root = work / "root"
    try:
        with emulator.running(name) as running:
            aws = Principal(running.endpoint, "test", "test")
            unpack(old, root)
            terraform = Terraform(root, work / "applied", running.environment())
            first = terraform.apply({})
            of = first["client_environment"]
            clients = {"dynamodb": aws.aws("dynamodb"), "sqs": aws.aws("sqs")}
            client = FluxioClient(of["FLUXIO_TABLE_NAME"], of["FLUXIO_QUEUE_URL"], **clients)
            before = bring_into_flight(client)

            unpack(new, root, **{"later.py": LATER})
            second = terraform.apply({})

            versions = (first["module_version"], second["module_version"])
            yield Upgrade(terraform.changes[:], versions, before, client, aws, terraform)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def earlier_module(folder: Path) -> dict[str, bytes]:
    """The files of the module's zip, built from these sources at an earlier version."""
    copy_sources(folder)
    (folder / "VERSION").write_text(f"{BEFORE}\n")
    table = folder / "modules" / "fluxio" / "table.tf"
    text = table.read_text()
    assert f"{INDEX}[]" in text
    table.write_text(text.replace(f"{INDEX}[]", f'{INDEX}["status", "ended_at"]'))
    version.stamp(folder)
    release.build(folder, folder / "dist")
    with zipfile.ZipFile(folder / "dist" / f"terraform-aws-fluxio-{BEFORE}.zip") as zipped:
        return {name: zipped.read(name) for name in zipped.namelist()}


def current_module() -> dict[str, bytes]:
    """What `make release` would zip, with the layer that `make layer` has built."""
    return release.module(ROOT, [layer.zip_path(layer.host_architecture())])


def unpack(module: dict[str, bytes], root: Path, **steps: str) -> None:
    """A root with the module in it, as the quick start has it, and the steps beside it."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, content in module.items():
        path = root / "fluxio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    files = {"steps.py": STEPS, "entry_points.txt": MANIFEST, **steps}
    write_zip(root / "steps.zip", {name: text.encode() for name, text in files.items()})
    text = ROOT_MODULE.replace("ARCHITECTURE", layer.host_architecture())
    (root / "main.tf").write_text(text)


def bring_into_flight(client: FluxioClient) -> dict[str, Run]:
    """A run in each state that lasts, and one whose steps take longer than the plan that comes next."""
    stands: dict[str, Callable[[Run], bool]] = {
        "Approval": lambda run: run.steps["publish"].completed_deps == 1,
        "Patience": lambda run: run.steps["call"].not_before is not None,
        "Mended": lambda run: run.status is RunStatus.FAILED,
        "Later": lambda run: run.parked,
    }
    for workflow in stands:
        client.start(workflow, {}, run_id=workflow)
    for workflow, stand in stands.items():
        until(partial(_look, client, workflow, stand), 60, f"{workflow} stands")
    client.start("Long", {}, run_id="Long")
    return {workflow: client.get(workflow) for workflow in (*stands, "Long")}


def _look(client: FluxioClient, run_id: str, stand: Callable[[Run], bool]) -> bool:
    run = client.get(run_id)
    return (bool(run.steps) or run.parked) and stand(run)


def test_the_plan_replaces_nothing_but_the_layer(upgraded: Upgrade) -> None:
    """What holds runs, messages or names stays. `terraform_data` is nothing outside of the state."""
    assert sorted(upgraded.changes) == [
        "module.fluxio.aws_dynamodb_table.runs[0]: update",
        "module.fluxio.aws_lambda_alias.live[0]: update",
        "module.fluxio.aws_lambda_function.worker[0]: update",
        "module.fluxio.module.layer[0].aws_lambda_layer_version.engine[0]: replace",
        "module.fluxio.terraform_data.package[0]: replace",
    ]
    assert upgraded.versions == (BEFORE, VERSION)


def test_the_index_is_made_anew_with_its_keys_only_and_the_runs_are_in_it(
    upgraded: Upgrade,
) -> None:
    dynamodb = upgraded.aws.aws("dynamodb")
    described = dynamodb.describe_table(TableName="upgraded-runs")["Table"]
    projections = {
        index["IndexName"]: index["Projection"] for index in described["GlobalSecondaryIndexes"]
    }
    assert projections["by_workflow"] == {"ProjectionType": "KEYS_ONLY"}
    assert {*projections} == {*layout.INDEXES}
    for workflow, run in upgraded.before.items():
        (listed,) = upgraded.client.list(workflow)
        assert (listed.run_id, listed.created_at) == (run.run_id, run.created_at)
        assert listed.status.known


def test_a_second_plan_is_empty(upgraded: Upgrade) -> None:
    assert upgraded.terraform.plan({}) == []


def test_the_runs_were_in_flight(upgraded: Upgrade) -> None:
    """None had ended before: else what follows would show nothing."""
    assert {name: run.status for name, run in upgraded.before.items()} == {
        "Approval": RunStatus.RUNNING,
        "Patience": RunStatus.RUNNING,
        "Mended": RunStatus.FAILED,
        "Later": RunStatus.WAITING,
        "Long": upgraded.before["Long"].status,
    }
    assert not upgraded.before["Long"].ended


def test_a_run_that_waits_for_a_signal_goes_on_when_it_comes(upgraded: Upgrade) -> None:
    upgraded.client.signal("Approval", "approved", {"by": "ada"})
    assert ended(upgraded, "Approval").result == {"approved_by": "ada"}


def test_a_run_that_was_just_started_ends(upgraded: Upgrade) -> None:
    """Whichever engine had it: its attempts were not interrupted, or were made up for."""
    assert ended(upgraded, "Long").result == {"n": 2}


def test_a_run_in_a_long_backoff_goes_on_when_that_is_over(upgraded: Upgrade) -> None:
    """The hour is taken out of the table; then a sweep of the new release finds the run."""
    upgraded.aws.aws("dynamodb").update_item(
        TableName="upgraded-runs",
        Key=layout.run_key("Patience"),
        UpdateExpression="SET wake_at = :now, steps.#step.not_before = :now",
        ExpressionAttributeNames={"#step": "call"},
        ExpressionAttributeValues={":now": {"N": str(now_ms())}},
    )
    upgraded.aws.aws("lambda").invoke(
        FunctionName="upgraded-worker:live", Payload=json.dumps({"fluxio": "sweep"})
    )
    assert ended(upgraded, "Patience").result == {"attempt": 2}


def test_a_run_that_had_failed_goes_on_where_it_failed(upgraded: Upgrade) -> None:
    upgraded.client.redrive("Mended")
    run = ended(upgraded, "Mended")
    assert run.result == {"first": "done once"}
    assert {name: step.attempt for name, step in run.steps.items()} == {"first": 1, "second": 2}


def test_a_run_that_was_parked_goes_on_once_its_module_is_there(upgraded: Upgrade) -> None:
    """The package that comes with the upgrade has what was missing."""
    upgraded.client.redrive("Later")
    assert ended(upgraded, "Later").result == {"came": "later"}


def ended(upgraded: Upgrade, run_id: str) -> Run:
    run = upgraded.client.wait(run_id, timeout=90)
    assert run.status is RunStatus.SUCCEEDED, run
    return run
