"""`fluxio doctor`: nothing that is wrong with a deployment goes unsaid, and nothing that is right is blamed."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from botocore.exceptions import ClientError

from fluxio import step, workflow
from fluxio_client.cli.exits import ExitCode
from tests.moto.cli import Command, make_command
from tests.moto.pump import World


@workflow
class Order:
    @step
    def charge(self) -> dict:
        return {}


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    made = make_command(world, capfd, monkeypatch)
    table = {"TableName": world.table_name}
    world.dynamodb.update_time_to_live(
        **table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"}
    )
    world.dynamodb.update_continuous_backups(
        **table, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    for url in (world.queue_url, world.dlq_url):
        set_queue(world, url, SqsManagedSseEnabled="true")
    return made


def set_queue(world: World, url: str, **attributes: str) -> None:
    world.sqs.set_queue_attributes(QueueUrl=url, Attributes=attributes)


def denied(action: str) -> ClientError:
    message = f"User: kim is not authorized to perform: {action} on resource: * because no policy"
    return ClientError({"Error": {"Code": "AccessDeniedException", "Message": message}}, "Call")


def test_a_deployment_as_the_module_makes_it_is_ok_throughout(fluxio: Command) -> None:
    said = fluxio("doctor", "--strict")

    assert said.out.splitlines()[-1].endswith("0 WARN, 0 FAIL"), said.out
    assert said.code == ExitCode.OK


Break = Callable[[Command], None]

WRONG: dict[str, tuple[Break, str, str]] = {
    "no such table": (
        lambda at: at.monkeypatch.setenv("FLUXIO_TABLE_NAME", "nowhere"),
        "FAIL",
        "there is no table nowhere",
    ),
    "TTL off": (
        lambda at: at.world.dynamodb.update_time_to_live(
            TableName=at.world.table_name,
            TimeToLiveSpecification={"Enabled": False, "AttributeName": "ttl"},
        ),
        "WARN",
        "TTL on `ttl` is off",
    ),
    "no backups": (
        lambda at: at.world.dynamodb.update_continuous_backups(
            TableName=at.world.table_name,
            PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False},
        ),
        "WARN",
        "point-in-time recovery is off",
    ),
    "an index is missing": (
        lambda at: at.world.dynamodb.update_table(
            TableName=at.world.table_name,
            GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "due"}}],
        ),
        "FAIL",
        "indexes missing or not as they should be: due",
    ),
    "a slow queue": (
        lambda at: set_queue(at.world, at.world.queue_url, FifoThroughputLimit="perQueue"),
        "WARN",
        "lacks high throughput",
    ),
    "messages back too soon": (
        lambda at: set_queue(at.world, at.world.queue_url, VisibilityTimeout="30"),
        "FAIL",
        "messages come back after 30 s while it may still run for 120 s",
    ),
    "a dead letter": (
        lambda at: at.world.sqs.send_message(
            QueueUrl=at.world.dlq_url,
            MessageBody="x",
            MessageGroupId="x",
            MessageDeduplicationId="x",
        ),
        "FAIL",
        "1 message that nobody could act on",
    ),
    "no worker": (
        lambda at: setattr(at.services, "mapped", False),
        "FAIL",
        "no function takes messages from the queue",
    ),
    "the mapping is disabled": (
        lambda at: at.services.mapping.update(State="Disabled"),
        "FAIL",
        "the mapping from the queue to fluxio-worker is Disabled",
    ),
    "no partial batch answers": (
        lambda at: at.services.mapping.update(FunctionResponseTypes=[]),
        "FAIL",
        "lacks ReportBatchItemFailures",
    ),
    "an old runtime": (
        lambda at: at.services.function.update(Runtime="python3.9"),
        "FAIL",
        "its runtime is python3.9",
    ),
    "another handler": (
        lambda at: at.services.function.update(Handler="mine.handler"),
        "WARN",
        "its handler is mine.handler",
    ),
    "another table": (
        lambda at: at.services.function["Environment"]["Variables"].update(
            FLUXIO_TABLE_NAME="other"
        ),
        "FAIL",
        "its FLUXIO_TABLE_NAME is other",
    ),
    "the loop guard": (
        lambda at: setattr(at.services, "recursion", "Terminate"),
        "FAIL",
        "loop guard ends chains",
    ),
    "a worker that was stopped": (
        lambda at: setattr(at.services, "concurrency", 0),
        "FAIL",
        "its reserved concurrency is 0",
    ),
    "no layer": (
        lambda at: at.services.function.update(Layers=[]),
        "FAIL",
        "the worker has no layer",
    ),
    "another version": (
        lambda at: at.services.layer.update(Description="fluxio-layer-9.8.7-arm64.zip"),
        "WARN",
        "holds fluxio 9.8.7, this client is",
    ),
    "no schedule": (
        lambda at: setattr(at.services, "scheduled", False),
        "FAIL",
        "nothing invokes the worker each minute",
    ),
    "the schedule is off": (
        lambda at: at.services.schedule.update(State="DISABLED"),
        "FAIL",
        "fluxio-sweep is DISABLED",
    ),
    "the schedule is slow": (
        lambda at: at.services.schedule.update(ScheduleExpression="rate(1 hour)"),
        "WARN",
        "sweeps at rate(1 hour)",
    ),
    "the schedule does not sweep": (
        lambda at: at.services.schedule["Target"].update(Input="{}"),
        "FAIL",
        "nothing sweeps",
    ),
    "a denied call": (
        lambda at: at.services.denied.update(
            ListEventSourceMappings=denied("lambda:ListEventSourceMappings")
        ),
        "WARN",
        "not looked at: AWS denies lambda:ListEventSourceMappings",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_is_said_with_what_to_do(fluxio: Command, name: str) -> None:
    break_it, level, text = WRONG[name]
    break_it(fluxio)

    said = fluxio("doctor", "--json")

    found = [one for one in said.json["findings"] if text in one["text"]]
    assert found, [one for one in said.json["findings"] if one["level"] != "OK"]
    assert found[0]["level"] == level
    assert found[0]["remedy"]
    assert said.code == (ExitCode.FINDINGS if said.json["counts"]["FAIL"] else ExitCode.OK)
    assert level != "FAIL" or said.code == ExitCode.FINDINGS
    assert fluxio("doctor", "--strict").code == ExitCode.FINDINGS


def test_a_sweep_that_does_not_come_shows_in_the_runs_that_are_overdue(
    fluxio: Command, world: World
) -> None:
    world.client.start("Order", {})
    world.clock.advance(20 * 60)

    said = fluxio("doctor")

    assert said.code == ExitCode.FINDINGS
    assert "1 open run is overdue, by up to 15 min" in said.out


def test_doctor_changes_nothing(fluxio: Command, world: World) -> None:
    world.client.start("Order", {})
    before = json.dumps(list(world.items()), sort_keys=True)

    fluxio("doctor")

    assert json.dumps(list(world.items()), sort_keys=True) == before
    world.pump(Order).drain()
    (run,) = world.client.list("Order")
    assert run.status == "SUCCEEDED"
