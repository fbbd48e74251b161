"""The endpoint of `fluxio dev` is DynamoDB and SQS to every client on this machine, and to nothing else."""

from __future__ import annotations

import http.client
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fluxio.local.aws import TABLE, LocalAws
from fluxio.local.clock import LocalClock
from fluxio.local.endpoint import ADDRESS, LARGEST_REQUEST, queue_url
from fluxio.local.state import State
from fluxio_client import FluxioClient, RunStatus
from fluxio_protocol.aws_call import make_lean
from tests.local.world import KEY, client
from tests.simulation import conformance
from tests.simulation.conformance import Backend, Check

pytestmark = pytest.mark.once


@pytest.fixture
def backend(port: int) -> Backend:
    urls = [queue_url(port, name) for name in ("fluxio.fifo", "fluxio-dlq.fifo")]
    return Backend(client("dynamodb", port), client("sqs", port), TABLE, *urls)


@pytest.mark.parametrize("check", conformance.CHECKS, ids=lambda check: check.__name__)
def test_it_does_by_http_as_aws_does(check: Check, backend: Backend) -> None:
    conformance.run(check, backend, cannot={})


def test_the_client_and_its_lean_calls_work_unchanged(port: int) -> None:
    lean = {name: make_lean(client(name, port)) for name in ("dynamodb", "sqs")}
    fluxio = FluxioClient(TABLE, queue_url(port), **lean)
    run = fluxio.start("Any", {"text": "ä" * 500}, run_id="r-1")
    assert fluxio.start("Any", {"text": "ä" * 500}, run_id="r-1").run_id == run.run_id
    assert fluxio.get("r-1").input == {"text": "ä" * 500}
    assert [found.run_id for found in fluxio.list("Any")] == ["r-1"]
    assert fluxio.cancel("r-1").status is RunStatus.CANCELLED


def request(port: int, body: bytes = b"{}", **headers: str) -> tuple[int, str, dict[str, str]]:
    """A request that asks for a run as boto3 would, but for what is given here."""
    usual = {
        "Host": f"127.0.0.1:{port}",
        "X-Amz-Target": "DynamoDB_20120810.GetItem",
        "Content-Type": "application/x-amz-json-1.0",
        "Authorization": f"AWS4-HMAC-SHA256 Credential={KEY}/20270115/us-east-1/dynamodb/aws4_request",
        "Content-Length": str(len(body)),
    }
    asked = usual | {name.replace("_", "-"): value for name, value in headers.items()}
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.putrequest("POST", "/", skip_host=True)
    for name, value in asked.items():
        if value:
            connection.putheader(name, value)
    connection.endheaders(body)
    answer = connection.getresponse()
    found = answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
    connection.close()
    return found


GET = b'{"TableName": "fluxio", "Key": {"pk": {"S": "r"}, "sk": {"S": "run"}}}'


def test_a_call_of_this_machine_is_answered(port: int) -> None:
    assert request(port, GET)[:2] == (200, "{}")
    assert request(port, GET, Host="localhost")[0] == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example:3589"},
        {"Host": "127.0.0.1.attacker.example"},
        {"Host": ""},
        {"Origin": "http://127.0.0.1:8000"},
        {"Origin": "null"},
        {"Sec_Fetch_Site": "same-origin"},
    ],
    ids=lambda headers: " ".join(f"{name}={value}" for name, value in headers.items()),
)
def test_no_page_in_a_browser_gets_an_answer(headers: dict[str, str], port: int) -> None:
    status, text, answered = request(port, GET, **headers)
    assert status == 403
    assert "Item" not in text
    assert not [name for name in answered if name.startswith("access-control")]


def test_a_browser_is_not_allowed_another_origin(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("OPTIONS", "/", headers={"Origin": "http://a.example"})
    answer = connection.getresponse()
    assert answer.status == 403
    assert not [
        name for name, _ in answer.getheaders() if name.lower().startswith("access-control")
    ]


@pytest.mark.parametrize("authorization", ["", "AWS4-HMAC-SHA256 Credential=other/1/2/3/4", KEY])
def test_nobody_without_the_key_of_the_state_gets_an_answer(authorization: str, port: int) -> None:
    status, text, _ = request(port, GET, Authorization=authorization)
    assert status == 400
    assert "UnrecognizedClientException" in text


def test_steps_reach_it_whatever_their_credentials_are(port: int) -> None:
    """In the steps' environment the key stands in the URL: their own credentials are for AWS."""
    theirs = client("dynamodb", port, key="AKIATHEIRS")
    with pytest.raises(ClientError, match="UnrecognizedClientException"):
        theirs.get_item(TableName=TABLE, Key={"pk": {"S": "r"}, "sk": {"S": "run"}})
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    target = {"X-Amz-Target": "DynamoDB_20120810.GetItem"}
    connection.request("POST", f"/{KEY}/", GET, target)
    assert connection.getresponse().status == 200


def test_it_listens_on_loopback_alone(port: int) -> None:
    assert ADDRESS == "127.0.0.1"
    for address, answers in {"127.0.0.1": True, "127.0.0.2": False}.items():
        with socket.socket() as other:
            assert (other.connect_ex((address, port)) == 0) is answers


@pytest.mark.parametrize(
    ("body", "headers", "expected"),
    [
        (b"{", {}, (400, "SerializationException")),
        (b"[]", {}, (400, "SerializationException")),
        (b"[" * 100_000, {}, (400, "SerializationException")),
        (b'{"Unknown": 1}', {}, (400, "ValidationException")),
        (b'{"TableName": "fluxio", "Key": 5}', {}, (400, "ValidationException")),
        (b'{"TableName": "mine", "Key": {}}', {}, (400, "ResourceNotFoundException")),
        (
            b"{}",
            {"X_Amz_Target": "DynamoDB_20120810.DropTable"},
            (400, "UnknownOperationException"),
        ),
        (b"{}", {"X_Amz_Target": ""}, (400, "UnknownOperationException")),
        (b"", {"Content_Length": ""}, (411, "Content-Length")),
        (b"", {"Content_Length": "-1"}, (411, "Content-Length")),
        (b"", {"Content_Length": str(LARGEST_REQUEST + 1)}, (413, "bytes at most")),
    ],
)
def test_a_wrong_request_is_told_what_is_wrong_and_the_server_goes_on(
    body: bytes, headers: dict[str, str], expected: tuple[int, str], port: int
) -> None:
    status, text, _ = request(port, body, **headers)
    assert (status, expected[1] in text) == (expected[0], True), text
    assert request(port, GET)[0] == 200


@pytest.mark.parametrize("service", ["sts", "lambda", "logs", "s3"])
def test_another_service_is_refused_in_its_own_protocol(service: str, port: int) -> None:
    calls: dict[str, Any] = {
        "sts": lambda it: it.get_caller_identity(),
        "lambda": lambda it: it.list_functions(),
        "logs": lambda it: it.describe_log_groups(),
        "s3": lambda it: it.create_bucket(Bucket="b"),
    }
    with pytest.raises(ClientError):
        calls[service](client(service, port))


@pytest.mark.parametrize("operation", ["get_item", "batch_get_item", "query", "scan"])
def test_a_caller_may_ask_what_a_read_costs(operation: str, backend: Backend) -> None:
    item = backend.put("r-1", status="RUNNING")
    asked: dict[str, dict[str, Any]] = {
        "get_item": {"TableName": TABLE, "Key": backend.key("r-1")},
        "batch_get_item": {"RequestItems": {TABLE: {"Keys": [backend.key("r-1")]}}},
        "query": {
            "TableName": TABLE,
            "KeyConditionExpression": "pk=:pk",
            "ExpressionAttributeValues": {":pk": {"S": "r-1"}},
        },
        "scan": {"TableName": TABLE},
    }
    call = getattr(backend.dynamodb, operation)
    answer = call(**asked[operation], ReturnConsumedCapacity="TOTAL")
    listed = answer.get("Responses", {}).get(TABLE) or answer.get("Items") or [answer["Item"]]
    assert listed == [item]


def test_errors_of_sqs_have_the_codes_that_callers_go_by(port: int) -> None:
    with pytest.raises(ClientError) as caught:
        client("sqs", port).receive_message(QueueUrl=queue_url(port, "none.fifo"))
    assert caught.value.response["Error"]["Code"] == "AWS.SimpleQueueService.NonExistentQueue"


def test_a_long_poll_without_messages_takes_its_time(aws: LocalAws, backend: Backend) -> None:
    before = aws.clock.now()
    assert backend.receive(wait=2) == []
    assert before + 2000 <= aws.clock.now() < before + 3000


def test_a_message_that_arrives_ends_a_long_poll(tmp_path: Path) -> None:
    waits = threading.Event()

    def nap(condition: threading.Condition, _: float) -> None:
        waits.set()
        condition.wait(30)  # nothing but a message ends it

    aws = LocalAws(State(tmp_path / "other.sqlite"), LocalClock(), 120, nap=nap)
    at = Backend(aws.dynamodb, aws.sqs, TABLE, aws.queue.url, aws.dead_letters.url)
    found: list[Any] = []
    poll = threading.Thread(target=lambda: found.extend(at.receive(wait=20)))
    poll.start()
    assert waits.wait(20)
    at.send("g", "1")
    poll.join(20)
    assert [message["Body"] for message in found] == ["g/1"]
    aws.close()
