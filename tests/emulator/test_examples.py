"""The examples, each as its files stand: applied by real Terraform, planned again, used, and destroyed.

All of them lie in one root, since most of an apply is waiting for queues, and those can be waited for together.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from dev import ROOT, emulator, layer
from dev.package import package
from dev.terraform import Terraform
from fluxio_client import FluxioClient, Run, RunStatus
from tests.emulator.conftest import NAME
from tests.emulator.guarded import Principal
from tests.emulator.recorder import Recorder, recording
from tests.emulator.world import left_behind, until

EXAMPLES = ROOT / "examples"
HERE = Path(__file__).resolve().parent
OF_ORDERS = ("minimal", "complete", "customer_key_and_vpc", "own_function", "provisioned")
"""Those that deploy order_fulfillment."""


class Applied(NamedTuple):
    """Everything that the examples make, and what Terraform has sent for it."""

    terraform: Terraform
    variables: dict[str, Any]
    clients: dict[str, FluxioClient]
    aws: Principal
    sent: Recorder


@pytest.fixture(scope="module")
def applied() -> Iterator[Applied]:
    name = f"{NAME}-examples"
    work = ROOT / ".fluxio" / name
    try:
        with emulator.running(name) as running, recording(running.endpoint) as sent:
            environment = running.environment() | {
                "AWS_ENDPOINT_URL": sent.endpoint,
                "AWS_MAX_ATTEMPTS": "2",
            }
            terraform = Terraform(HERE / "examples", work / "terraform", environment)
            variables = {"packages": packages(work), "layer_zip": str(engine(work))}
            outputs = terraform.apply(variables)
            aws = Principal(running.endpoint, "test", "test")
            clients = {name: client(aws, of) for name, of in outputs["clients"].items()}
            yield Applied(terraform, variables, clients, aws, sent)
            terraform.destroy()
            assert left_behind(aws.aws) == []
    finally:
        shutil.rmtree(work, ignore_errors=True)


def packages(folder: Path) -> dict[str, str]:
    """The zips of the examples' steps."""
    orders, reports, two = (
        EXAMPLES / name for name in ("order_fulfillment", "nightly_report", "two_workers")
    )
    made = {
        "orders": package(orders, folder / "orders.zip", ["orders", "entry_points.txt"]),
        "reports": package(reports, folder / "reports.zip", ["reports", "entry_points.txt"]),
        "sales": package(two / "sales", folder / "sales.zip", ["sales.py", "entry_points.txt"]),
        "shipping": package(
            two / "shipping", folder / "shipping.zip", ["shipping.py", "entry_points.txt"]
        ),
    }
    return {name: str(path) for name, path in made.items()}


def engine(folder: Path) -> Path:
    """The layer by a name that tells no architecture: the examples name theirs, the emulator runs on ours."""
    copy = folder / "engine.zip"
    shutil.copyfile(layer.zip_path(layer.host_architecture()), copy)
    return copy


def client(aws: Principal, environment: dict[str, str]) -> FluxioClient:
    """A client with what a deployment says that clients need."""
    return FluxioClient(
        environment["FLUXIO_TABLE_NAME"],
        environment["FLUXIO_QUEUE_URL"],
        dynamodb=aws.aws("dynamodb"),
        sqs=aws.aws("sqs"),
    )


def test_no_example_is_without_a_readme_or_left_out_here() -> None:
    """Whoever adds one finds that it must be applied here, too."""
    roots = {path.parent.name for path in EXAMPLES.glob("*/main.tf")}
    text = (HERE / "examples" / "main.tf").read_text()
    assert roots == {*OF_ORDERS, "nightly_report", "two_workers"}
    for root in roots:
        assert f'source = "../../../examples/{root}"' in text
        assert (EXAMPLES / root / "README.md").is_file()


def test_a_second_plan_is_empty(applied: Applied) -> None:
    assert applied.terraform.plan(applied.variables) == []


def test_aws_would_take_every_request_that_terraform_sends_for_an_example(applied: Applied) -> None:
    """As far as the services' own models say: lengths, enumerations, patterns, least and most."""
    assert applied.sent.problems() == []
    assert applied.sent.missing() == set()


def test_a_change_of_what_a_module_depends_on_replaces_nothing_of_it(applied: Applied) -> None:
    """A queue's mapping that is made anew is minutes without a worker, on AWS."""
    plan = applied.terraform.plan(applied.variables | {"theirs": "changed"})
    changes = [change for change in plan if not change.endswith(": read")]

    assert "terraform_data.theirs: update" in changes
    assert [change for change in changes if not change.endswith(": update")] == []
    assert [change for change in changes if "event_source_mapping" in change] == []


def test_a_run_goes_through_in_each(applied: Applied) -> None:
    """Started side by side: their workers do not wait for each other."""
    order = {"order_id": "o-1", "amount": 99.0}
    for name in OF_ORDERS:
        applied.clients[name].start("OrderFulfillment", order, run_id=f"run-{name}")

    for name in OF_ORDERS:
        run = end(applied.clients[name], f"run-{name}")
        assert run.result == {"fulfillment_id": "ful_abc", "status": "fulfilled"}


def test_a_schedule_starts_one_run_however_often_it_fires(applied: Applied) -> None:
    """Its own target, which fires each night, put on two schedules for this second."""
    scheduler, reports = applied.aws.aws("scheduler"), applied.clients["reports"]
    nightly = scheduler.get_schedule(Name="reports-nightly")
    at = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    for name in ("now", "now-again"):
        scheduler.create_schedule(
            Name=name,
            ScheduleExpression=f"at({at})",
            FlexibleTimeWindow={"Mode": "OFF"},
            Target=nightly["Target"],
        )
    try:
        until(lambda: reports.list("SalesReport").runs, 30, "the schedule starts a run")
        run = end(reports, f"nightly-{at}Z")
    finally:
        for name in ("now", "now-again"):
            scheduler.delete_schedule(Name=name)

    assert run.input == {"at": f"{at}Z", "regions": ["eu", "us"]}
    assert nightly["ScheduleExpressionTimezone"] == "Europe/Berlin"
    assert [one.run_id for one in reports.list("SalesReport").runs] == [run.run_id]


def test_a_step_of_one_worker_starts_a_run_of_the_other(applied: Applied) -> None:
    """Each in its own table."""
    sales, shipping = applied.clients["sales"], applied.clients["shipping"]

    sale = end(sales, sales.start("Sale", {"order_id": "o-1"}).run_id)
    shipment = end(shipping, "shipment-o-1")

    assert sale.result == {"shipment": "shipment-o-1"}
    assert shipment.result == {"tracking": "tr-pc-o-1"}
    assert [run.workflow for run in sales.list("Sale").runs] == ["Sale"]
    assert sales.list("Shipment").runs == shipping.list("Sale").runs == []


def end(client: FluxioClient, run_id: str) -> Run:
    run = client.wait(run_id, timeout=60)
    assert run.status is RunStatus.SUCCEEDED, run
    return run
