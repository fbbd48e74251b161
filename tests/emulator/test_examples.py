"""The examples, each as its files stand: applied by real Terraform, planned again, used, and destroyed.

All of them lie in one root, since most of an apply is waiting for queues, and those can be waited for together.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
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


def test_a_topic_hears_of_each_end_of_a_run_and_of_nothing_else(applied: Applied) -> None:
    """A run that is redriven and fails again ends twice."""
    sns, reports = applied.aws.aws("sns"), applied.clients["reports"]
    (topic,) = (
        one["TopicArn"]
        for one in sns.list_topics()["Topics"]
        if one["TopicArn"].endswith(":reports-ended")
    )
    with Ear(applied.aws) as ear:
        sns.subscribe(
            TopicArn=topic,
            Protocol="sqs",
            Endpoint=ear.arn,
            Attributes={"RawMessageDelivery": "true"},
        )
        reports.start("SalesReport", {"at": "2026-11-24T01:00:00Z", "regions": ["eu"]}, "good")
        reports.start("SalesReport", {"at": "never", "regions": []}, "bad")
        good, first = (reports.wait(run_id, timeout=60) for run_id in ("good", "bad"))
        reports.redrive("bad")
        second = until(lambda: ended_after(reports, first), 60, "the redriven run fails again")
        # A run of another test may have ended just before the topic was listened to.
        heard = ear.messages(3, lambda event: event["run_id"] in ("good", "bad"))

    assert sorted(heard, key=lambda event: int(event["ended_at"])) == sorted(
        (event_of(run, "reports") for run in (good, first, second)),
        key=lambda event: int(event["ended_at"]),
    )


def test_a_bus_hears_of_the_statuses_that_were_asked_for(applied: Applied) -> None:
    events, orders = applied.aws.aws("events"), applied.clients["complete"]
    with Ear(applied.aws) as ear:
        events.put_rule(
            Name="ended",
            EventBusName="orders-production",
            EventPattern=json.dumps({"source": ["fluxio"], "detail-type": ["fluxio run ended"]}),
        )
        events.put_targets(
            Rule="ended",
            EventBusName="orders-production",
            Targets=[{"Id": "ear", "Arn": ear.arn}],
        )
        orders.start("OrderFulfillment", {"order_id": "o-1", "amount": 1.0}, "heard-not")
        orders.start("OrderFulfillment", {}, "heard")
        assert orders.wait("heard-not", timeout=60).status is RunStatus.SUCCEEDED
        failed = orders.wait("heard", timeout=60)
        (heard,) = ear.messages(1)
        events.remove_targets(Rule="ended", EventBusName="orders-production", Ids=["ear"])
        events.delete_rule(Name="ended", EventBusName="orders-production")

    assert heard["detail"] == event_of(failed, "orders-production")
    assert failed.status is RunStatus.FAILED


class Ear:
    """A queue that listens, and is gone after the `with` block."""

    def __init__(self, aws: Principal) -> None:
        self._sqs = aws.aws("sqs")

    def __enter__(self) -> Ear:
        self._url = self._sqs.create_queue(QueueName="ear")["QueueUrl"]
        asked = self._sqs.get_queue_attributes(QueueUrl=self._url, AttributeNames=["QueueArn"])
        self.arn = asked["Attributes"]["QueueArn"]
        return self

    def __exit__(self, *_: object) -> None:
        self._sqs.delete_queue(QueueUrl=self._url)

    def messages(self, count: int, wanted: Callable[[Any], bool] = lambda _: True) -> list[Any]:
        """What has come of what is wanted once there is so much, and in two seconds after that."""
        heard: list[Any] = []

        def listen(seconds: int) -> int:
            answer = self._sqs.receive_message(
                QueueUrl=self._url, MaxNumberOfMessages=10, WaitTimeSeconds=seconds
            )
            said = [json.loads(one["Body"]) for one in answer.get("Messages", [])]
            heard.extend(filter(wanted, said))
            return len(heard)

        until(lambda: listen(1) >= count, 30, f"{count} events")
        listen(2)
        return heard


def ended_after(client: FluxioClient, before: Run) -> Run | None:
    """The run, if it has ended again since."""
    run = client.get(before.run_id)
    return run if run.ended and run.ended_at != before.ended_at else None


def event_of(run: Run, deployment: str) -> dict[str, str]:
    """What is told of its end: no input, no result, no error."""
    return {
        "deployment": deployment,
        "run_id": run.run_id,
        "workflow": run.workflow,
        "status": run.status.value,
        "created_at": str(run.created_at),
        "ended_at": str(run.ended_at),
    }


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
