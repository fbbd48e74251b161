"""An upgrade in place, and back: the release before is applied from its zip, runs are brought into flight, and
this one is applied over it; then that one again, and this one once more.

As long as nothing is published there is no real release before this one. It is built from the sources of the
last commit before the form of the run item changed (`tests.simulation.versions.older`), at an earlier VERSION.
With the first published release, build that one's tag here.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

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
from tests.simulation.versions import older

VERSION = layer.version()
BEFORE = f"{VERSION.partition('a')[0].partition('b')[0].partition('rc')[0]}a0"
"""An earlier version, of the same series: the first of all its pre-releases."""

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


class Release(NamedTuple):
    """A release that can be put into the root."""

    module: dict[str, bytes]
    #: Modules of the user's zip besides the steps.
    steps: dict[str, str]


class Upgrade(NamedTuple):
    """A deployment that was upgraded, and the runs that it had before."""

    changes: list[str]
    versions: tuple[str, str]
    before: dict[str, Run]
    client: FluxioClient
    aws: Principal
    terraform: Terraform
    #: Applies one of the two releases.
    apply: Callable[[Release], dict[str, Any]]
    older: Release
    newer: Release


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upgrade]:
    """Runs are brought to a stand by the release before; then this one comes."""
    old = Release(earlier_module(tmp_path_factory.mktemp("before")), {})
    new = Release(current_module(), {"later.py": LATER})
    name = f"{NAME}-upgrade"
    work = ROOT / ".fluxio" / name
    root = work / "root"
    try:
        with emulator.running(name) as running:
            aws = Principal(running.endpoint, "test", "test")
            unpack(old, root)
            terraform = Terraform(root, work / "applied", running.environment())

            def apply(one: Release) -> dict[str, Any]:
                unpack(one, root)
                return terraform.apply({})

            first = apply(old)
            of = first["client_environment"]
            clients = {"dynamodb": aws.aws("dynamodb"), "sqs": aws.aws("sqs")}
            client = FluxioClient(of["FLUXIO_TABLE_NAME"], of["FLUXIO_QUEUE_URL"], **clients)
            before = bring_into_flight(client)
            second = apply(new)

            versions = (first["module_version"], second["module_version"])
            changes = terraform.changes[:]
            yield Upgrade(changes, versions, before, client, aws, terraform, apply, old, new)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def earlier_module(folder: Path) -> dict[str, bytes]:
    """The files of the module's zip, as the older sources give them at an earlier version."""
    copy_sources(folder)
    for name in ("client", "layer", "modules"):
        shutil.rmtree(folder / name)
    older.unpack(folder)
    (folder / "VERSION").write_text(f"{BEFORE}\n")
    version.stamp(folder)
    layers = layer.build(folder, folder / "layer" / "dist")
    return release.module(folder, [one for one in layers if layer.host_architecture() in one.name])


def current_module() -> dict[str, bytes]:
    """What `make release` would zip, with the layer that `make layer` has built."""
    return release.module(ROOT, [layer.zip_path(layer.host_architecture())])


def unpack(release: Release, root: Path) -> None:
    """A root with the module in it, as the quick start has it, and the steps beside it."""
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    for name, content in release.module.items():
        path = root / "fluxio" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    files = {"steps.py": STEPS, "entry_points.txt": MANIFEST, **release.steps}
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


#: What holds runs, messages or names stays. `terraform_data` is nothing outside of the state.
CHANGES = [
    "module.fluxio.aws_dynamodb_table.runs[0]: update",
    "module.fluxio.aws_lambda_alias.live[0]: update",
    "module.fluxio.aws_lambda_function.worker[0]: update",
    "module.fluxio.module.layer[0].aws_lambda_layer_version.engine[0]: replace",
    "module.fluxio.terraform_data.package[0]: replace",
]


def test_the_plan_replaces_nothing_but_the_layer(upgraded: Upgrade) -> None:
    assert sorted(upgraded.changes) == CHANGES
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
    assert {run.schema for run in upgraded.before.values()} == {1}  # as the older worker opens them


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


@pytest.fixture(scope="module")
def rolled_back(upgraded: Upgrade) -> list[str]:
    """The older release is in force again; what the apply changed."""
    upgraded.client.start("Approval", {}, run_id="by-newer")
    until(partial(waits, upgraded, "by-newer"), 60, "the newer worker's run waits")
    upgraded.apply(upgraded.older)
    return upgraded.terraform.changes[:]


class TestBackAndForth:
    """The older release once more, with runs in flight that newer workers opened; and then the newer one."""

    def test_the_plan_back_replaces_nothing_but_the_layer(self, rolled_back: list[str]) -> None:
        assert sorted(rolled_back) == CHANGES

    def test_new_runs_are_opened_and_ended_by_the_older_worker(
        self, upgraded: Upgrade, rolled_back: list[str]
    ) -> None:
        upgraded.client.start("Approval", {}, run_id="by-older")
        until(partial(waits, upgraded, "by-older"), 60, "the older worker's run waits")
        assert "schema" not in item_of(upgraded, "by-older")
        upgraded.client.start("Long", {}, run_id="wholly-by-older")
        assert ended(upgraded, "wholly-by-older").result == {"n": 2}

    def test_runs_that_the_newer_worker_opened_wait_for_it_and_go_on(
        self, upgraded: Upgrade, rolled_back: list[str]
    ) -> None:
        """So do those of the older one, which were opened after the rollback."""
        upgraded.client.signal("by-newer", "approved", {"by": "ada"})
        until(partial(put_back, upgraded, "by-newer"), 60, "the older worker puts it back")
        assert waits(upgraded, "by-newer")
        upgraded.apply(upgraded.newer)
        assert sorted(upgraded.terraform.changes) == CHANGES
        upgraded.client.signal("by-older", "approved", {"by": "kim"})
        assert ended(upgraded, "by-newer").result == {"approved_by": "ada"}
        assert ended(upgraded, "by-older").result == {"approved_by": "kim"}
        assert "schema" not in item_of(upgraded, "by-older")


def waits(upgraded: Upgrade, run_id: str) -> bool:
    """Whether an approval's first step has ended and the second one has not begun."""
    run = upgraded.client.get(run_id)
    return bool(run.steps) and [str(step.status) for step in run.steps.values()] == [
        "SUCCEEDED",
        "PENDING",
    ]


def item_of(upgraded: Upgrade, run_id: str) -> dict[str, Any]:
    """The run as it stands in the table."""
    key = layout.run_key(run_id)
    item: dict[str, Any] = upgraded.aws.aws("dynamodb").get_item(TableName="upgraded-runs", Key=key)
    return item["Item"]


def put_back(upgraded: Upgrade, run_id: str) -> bool:
    """Whether the worker's log says that a message of the run was put back."""
    found = upgraded.aws.aws("logs").filter_log_events(
        logGroupName="/aws/lambda/upgraded-worker", filterPattern='"message put back"'
    )
    return any(run_id in event["message"] for event in found["events"])


def ended(upgraded: Upgrade, run_id: str) -> Run:
    run = upgraded.client.wait(run_id, timeout=90)
    assert run.status is RunStatus.SUCCEEDED, run
    return run
