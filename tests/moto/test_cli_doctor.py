"""`fluxio doctor`: nothing that is wrong with a deployment goes unsaid, and nothing that is right is blamed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import botocore.session
import pytest
from botocore import exceptions
from botocore.exceptions import ClientError

from fluxio import step, workflow
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_client.listing import Listing
from fluxio_protocol import changes, settings
from fluxio_protocol.run import Failure
from fluxio_protocol.store import Store
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once


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


def describe_index(at: Command, name: str = "by_workflow", **described: Any) -> None:
    """Have DescribeTable say so of an index."""
    client = at.world.dynamodb
    describe_table = client.describe_table

    def describe(**arguments: Any) -> Any:
        answer = describe_table(**arguments)
        for index in answer["Table"]["GlobalSecondaryIndexes"]:
            if index["IndexName"] == name:
                index.update(described)
        return answer

    at.monkeypatch.setattr(Session, "dynamodb", client)
    at.monkeypatch.setattr(client, "describe_table", describe)


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
    "an index of the version before": (
        lambda at: describe_index(
            at, Projection={"ProjectionType": "INCLUDE", "NonKeyAttributes": ["status"]}
        ),
        "WARN",
        "indexes with attributes that fluxio does not read, which cost write units: by_workflow (status)",
    ),
    "an index of everything": (
        lambda at: describe_index(at, Projection={"ProjectionType": "ALL"}),
        "WARN",
        "which cost write units: by_workflow (ALL)",
    ),
    "an index that is being filled": (
        lambda at: describe_index(at, IndexStatus="CREATING", Backfilling=True),
        "FAIL",
        "by_workflow is CREATING: until it is ACTIVE, no command that needs it works; runs go on",
    ),
    "an index that lacks what listings show": (
        lambda at: describe_index(at, "failed", Projection={"ProjectionType": "KEYS_ONLY"}),
        "FAIL",
        "indexes missing or not as they should be: failed",
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


class NoAnswer:
    """A client of a service that cannot be asked anything."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def __getattr__(self, call: str) -> Callable[..., Any]:
        def ask(*_: Any, **__: Any) -> Any:
            raise self._error

        return ask


def unanswered(fluxio: Command, error: Exception, *services: str) -> None:
    """Let calls of these services end so; of all, if none is named."""
    aws = Session.aws

    def service(of: Session, name: str) -> Any:
        return NoAnswer(error) if not services or name in services else aws(of, name)

    fluxio.monkeypatch.setattr(Session, "aws", service)


@pytest.mark.parametrize(
    "error",
    [
        exceptions.NoCredentialsError(),
        exceptions.EndpointConnectionError(endpoint_url="http://localhost:1"),
        exceptions.TokenRetrievalError(provider="sso", error_msg="x"),
        ClientError({"Error": {"Code": "ExpiredTokenException", "Message": "x"}}, "Call"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_without_credentials_or_endpoint_doctor_says_so_once_as_the_other_commands_do(
    fluxio: Command, error: Exception
) -> None:
    unanswered(fluxio, error)

    said, other = fluxio("doctor"), fluxio("show", "o-1")

    assert said == other
    assert said.code == ExitCode.AWS
    assert said.err.count("\n") == 1


def test_without_a_region_doctor_says_so_once_as_the_other_commands_do(fluxio: Command) -> None:
    fluxio.monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    fluxio.monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    fluxio.monkeypatch.setattr(settings, "_session", botocore.session.Session)

    said, other = fluxio("doctor"), fluxio("show", "o-1")

    assert said == other
    assert said.code == ExitCode.USAGE
    assert said.err.startswith("error: the AWS Region is not set: say --region, or set ")


def test_one_service_that_cannot_be_reached_is_said_once_and_the_rest_is_looked_at(
    fluxio: Command,
) -> None:
    unanswered(fluxio, exceptions.EndpointConnectionError(endpoint_url="http://x"), "lambda")

    said = fluxio("doctor")

    assert said.code == ExitCode.FINDINGS
    assert said.out.count("cannot be reached") == 1
    assert "1 FAIL" in said.out
    assert "you may show runs" in said.out


def test_what_is_denied_and_needed_by_several_checks_is_said_once(fluxio: Command) -> None:
    fluxio.services.denied["ListEventSourceMappings"] = denied("lambda:ListEventSourceMappings")

    assert fluxio("doctor").out.count("AWS denies lambda:ListEventSourceMappings") == 1


def test_a_table_that_is_not_fluxios_raises_the_question_of_its_name_first(
    fluxio: Command, world: World
) -> None:
    other = f"{world.table_name}-other"
    world.dynamodb.create_table(
        TableName=other,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    fluxio.monkeypatch.setenv("FLUXIO_TABLE_NAME", other)

    findings = fluxio("doctor", "--json").json["findings"]

    about = [one for one in findings if one["area"] == "table" and one["level"] == "FAIL"]
    assert [one["text"] for one in about] == [
        f"{other} has the keys id, not pk, sk",
        "indexes missing or not as they should be: by_workflow, due, failed",
    ]
    for one in about:
        assert one["remedy"].startswith("is --table-name or FLUXIO_TABLE_NAME the module's output")


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


def findings(said: Any, area: str) -> dict[str, str]:
    """What was found of an area: texts and their levels."""
    return {one["text"]: one["level"] for one in said.json["findings"] if one["area"] == area}


@pytest.mark.parametrize(
    "description",
    [
        "fluxio engine {}",
        "fluxio-layer-{}-arm64.zip",
        "the platform team's fluxio engine {} (arm64)",
    ],
)
def test_the_layers_version_is_read_from_what_the_module_calls_it(
    fluxio: Command, monkeypatch: pytest.MonkeyPatch, description: str
) -> None:
    def no_download(*_: Any, **__: Any) -> Any:
        raise AssertionError("the layer is not downloaded")

    monkeypatch.setattr("urllib.request.urlopen", no_download)
    fluxio.services.layer.update(
        Description=description.format(client_version()), Content={"Location": "https://s3/layer"}
    )

    said = fluxio("doctor", "--strict", "--json")

    assert said.code == ExitCode.OK
    assert list(findings(said, "layer").values()) == ["OK"]


@pytest.mark.parametrize(
    ("layer", "client", "level", "remedy"),
    [
        ("0.1.1", "0.1.0", "OK", None),
        ("0.1.0", "0.1.12", "OK", None),
        ("0.2.0", "0.1.9", "WARN", 'pip install "fluxio-client[cli]==0.2.0"'),
        ("0.9.0", "0.10.0", "WARN", "deploy the layer of 0.10.0"),
        ("1.0.0", "0.10.0", "WARN", 'pip install "fluxio-client[cli]==1.0.0"'),
    ],
)
def test_versions_of_a_series_go_together_and_else_the_older_is_to_be_upgraded(
    fluxio: Command,
    monkeypatch: pytest.MonkeyPatch,
    layer: str,
    client: str,
    level: str,
    remedy: str | None,
) -> None:
    monkeypatch.setattr("fluxio_client.cli.checks.layer.client_version", lambda: client)
    fluxio.services.layer.update(Description=f"fluxio engine {layer}")

    (found,) = [
        one for one in fluxio("doctor", "--json").json["findings"] if one["area"] == "layer"
    ]

    assert found["level"] == level
    assert (found["remedy"] or "").startswith(remedy or "")


@pytest.mark.parametrize("count", [1, 3])
def test_doctor_fails_while_runs_are_parked(fluxio: Command, world: World, count: int) -> None:
    for _ in range(count):
        world.client.start("Unheard", {})
    for at in range(count):
        change = changes.park(Failure("DeploymentError", "there is no step charge"))
        run_id = world.client.start("Order", run_id=f"o-{at}").run_id
        Store(world.dynamodb, world.table_name).apply(run_id, [change], world.clock.now())

    said = fluxio("doctor", "--json")

    assert said.code == ExitCode.FINDINGS
    (text,) = [text for text, level in findings(said, "runs").items() if level == "FAIL"]
    assert text.startswith(f"{count} {'is' if count == 1 else 'are'} parked, of Order")
    for at in range(count):
        world.client.cancel(f"o-{at}")
    assert findings(fluxio("doctor", "--json"), "runs")["none is parked"] == "OK"


def test_a_table_that_is_too_large_to_find_every_parked_run_in_time_is_said_to_be(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.client.start("Order")

    def slowly(listing: Listing, *_: Any) -> Iterator[list[Any]]:
        while True:
            world.clock.advance(6)
            yield []

    monkeypatch.setattr(Listing, "in_status", slowly)

    found = findings(fluxio("doctor", "--json"), "runs")

    assert found["there are too many to look at all of them in 10 s"] == "WARN"


def test_settings_that_a_key_of_ones_own_hides_are_not_called_wrong(fluxio: Command) -> None:
    """https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html"""
    fluxio.services.function["Environment"] = {
        "Error": {"ErrorCode": "AccessDeniedException", "Message": "kms:Decrypt is not allowed"}
    }

    said = fluxio("doctor", "--json")

    (text,) = [text for text in findings(said, "worker") if "settings were not looked at" in text]
    assert findings(said, "worker")[text] == "WARN"
    assert said.code == ExitCode.OK


@pytest.mark.parametrize(
    ("runtime", "days", "level"),
    [
        ("python3.10", 0, "WARN"),
        ("python3.11", 0, "OK"),
        ("python3.11", 100, "WARN"),
        ("python3.14", 99, "OK"),
    ],
)
def test_a_runtime_whose_support_ends_is_said_in_time(
    fluxio: Command, world: World, runtime: str, days: int, level: str
) -> None:
    fluxio.services.function.update(Runtime=runtime)
    world.clock.advance(days * 86_400)

    said = fluxio("doctor", "--json")

    ends = [text for text in findings(said, "worker") if text.startswith(f"AWS supports {runtime}")]
    assert bool(ends) == (level == "WARN")
    assert all(findings(said, "worker")[text] == "WARN" for text in ends)


def test_a_worker_from_a_container_image_is_looked_at_too(fluxio: Command) -> None:
    del fluxio.services.function["Runtime"]

    assert fluxio("doctor").code == ExitCode.OK


@pytest.mark.parametrize("call", [["doctor", "--strict"], ["cost", "o-1"]], ids=" ".join)
def test_a_mapping_on_a_later_page_is_found(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch, call: list[str]
) -> None:
    """A page may be empty and still name a next one."""
    pages = iter([[], [], [fluxio.services.mapping]])
    markers: list[str | None] = []

    def page(EventSourceArn: str, Marker: str | None = None) -> dict[str, Any]:  # noqa: N803
        markers.append(Marker)
        more = {"NextMarker": str(len(markers))} if len(markers) < 3 else {}
        return {"EventSourceMappings": next(pages), **more}

    monkeypatch.setattr(fluxio.services, "list_event_source_mappings", page)
    world.client.start("Order", run_id="o-1")
    world.pump(Order).drain()

    said = fluxio(*call)

    assert markers == [None, "1", "2"]
    assert "no function takes messages" not in said.out + said.err
