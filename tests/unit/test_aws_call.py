"""A lean call and botocore's own cannot be told apart, whatever AWS answers: here they get the same answers."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from functools import cache
from ipaddress import ip_address
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import botocore.session
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.client import BaseClient
from botocore.config import Config
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from botocore.exceptions import SSLError as BotocoreSSLError
from botocore.stub import Stubber
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from fluxio_protocol import aws_call, aws_exchange, settings
from fluxio_protocol.aws_answer import converter
from fluxio_protocol.aws_call import make_lean
from fluxio_protocol.aws_signature import Signer
from fluxio_protocol.store import Store, TransactionInvalid
from fluxio_protocol.transient import is_transient
from tests.golden.rows import CHANGES, NOW, RUN_ID
from tests.unit.http_answers import RESET, SILENCE, Answers, Last, answer, checked, refusal

Call = Callable[[Any], Any]
Make = Callable[..., Any]

KEY = {"pk": {"S": "r"}, "sk": {"S": "run"}}
ITEM = {
    **KEY,
    "steps": {"M": {"one": {"M": {"output": {"S": '{"a": null}'}, "attempt": {"N": "1"}}}}},
    "tags": {"L": [{"S": "é"}, {"NULL": True}, {"BOOL": False}, {"SS": ["a"]}, {"NS": ["1"]}]},
}
CONSUMED = {"TableName": "runs", "CapacityUnits": 1.5, "Table": {"WriteCapacityUnits": 1.0}}
BLOBS = {
    "b": {"B": "AAEC"},
    "bs": {"BS": ["AAEC", ""]},
    "deep": {"M": {"l": {"L": [{"B": "/w=="}]}}},
}


def update(client: Any) -> Any:
    return client.update_item(
        TableName="runs",
        Key=KEY,
        UpdateExpression="SET a=:a",
        ExpressionAttributeValues={":a": {"S": "é\u2028"}},
        ReturnValues="ALL_NEW",
    )


def get(client: Any) -> Any:
    return client.get_item(TableName="runs", Key=KEY, ConsistentRead=True)


def put(client: Any) -> Any:
    return client.put_item(TableName="runs", Item=ITEM)


def query(client: Any) -> Any:
    return client.query(TableName="runs", KeyConditionExpression="pk=:p", Limit=2)


def transact(client: Any) -> Any:
    put = {"Put": {"TableName": "runs", "Item": {**KEY, "b": {"B": b"\x00\x01"}}}}
    return client.transact_write_items(TransactItems=[put, put])


def send(client: Any) -> Any:
    entries = [{"Id": "0", "MessageBody": "x", "MessageGroupId": "g"}]
    return client.send_message_batch(QueueUrl="https://q/1/q.fifo", Entries=entries)


def receive(client: Any) -> Any:
    return client.receive_message(QueueUrl="https://q/1/q.fifo", MaxNumberOfMessages=2)


def hide(client: Any) -> Any:
    return client.change_message_visibility(
        QueueUrl="https://q/1/q.fifo", ReceiptHandle="r", VisibilityTimeout=5
    )


def delete(client: Any) -> Any:
    return client.delete_message(QueueUrl="https://q/1/q.fifo", ReceiptHandle="r")


OK = checked({"Attributes": ITEM})
THROTTLED = refusal("ProvisionedThroughputExceededException")
BROKEN = answer(b"", "500 Internal Server Error")
CONFLICT = [{"Code": "None"}, {"Code": "TransactionConflict", "Message": "under way"}]
CANCELLED = [{"Code": "ConditionalCheckFailed", "Item": {**ITEM, **BLOBS}}, {"Code": "None"}]
NO_QUEUE = refusal("QueueDoesNotExist").replace(
    b"Date:", b"x-amzn-query-error: AWS.SimpleQueueService.NonExistentQueue;Sender\r\nDate:"
)

CHUNKED = (
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nx-amzn-RequestId: R\r\n\r\n"
    b'12\r\n{"Attributes":{"a"\r\n10\r\n:{"S":"chunk"}}}\r\n0\r\n\r\n'
)

#: What is called, what the server answers, and how many requests that makes.
CASES: dict[str, tuple[Call, list[bytes], int]] = {
    "an update": (update, [checked({"Attributes": ITEM, "ConsumedCapacity": CONSUMED})], 1),
    "no checksum": (update, [answer({"Attributes": ITEM})], 1),
    "a put": (put, [checked({})], 1),
    "a put with no answer": (put, [answer(b"")], 1),
    "a read": (get, [checked({"Item": ITEM})], 1),
    "a read of blobs": (get, [checked({"Item": {**ITEM, **BLOBS}})], 1),
    "a read of nothing": (get, [checked({})], 1),
    "a page": (query, [checked({"Items": [ITEM, BLOBS], "Count": 2, "LastEvaluatedKey": KEY})], 1),
    "a transaction": (transact, [checked({"ConsumedCapacity": [CONSUMED, CONSUMED]})], 1),
    "members that no model knows": (
        update,
        [checked({"Attributes": {"a": {"S": "x", "Z": 1}, "b": {"Z": "q"}}, "Later": {"a": 1}})],
        1,
    ),
    "members that are null": (
        query,
        [checked({"Items": [None, {"a": {"S": None, "N": "1"}, "b": None}], "Count": None})],
        1,
    ),
    "an answer in chunks": (update, [CHUNKED], 1),
    "an answer in chunks, after another": (
        update,
        [b"HTTP/1.1 100 Continue\r\n\r\n" + CHUNKED],
        1,
    ),
    "an answer in chunks, with a length": (
        update,
        [CHUNKED.replace(b"x-amzn", b"Content-Length: 3\r\nx-amzn")],
        1,
    ),
    "an answer with no length": (
        update,
        [b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{"Attributes":{}}'],
        1,
    ),
    "an answer of before HTTP/1.1": (
        update,
        [OK.replace(b"HTTP/1.1", b"HTTP/1.0").replace(b"Date:", b"Connection: close\r\nDate:")],
        1,
    ),
    "a header in two lines": (update, [OK.replace(b"Date:", b"Via: a\r\n b\r\nDate:")], 1),
    "an answer that is cut short, once": (
        update,
        [answer(b'{"Attr', headers={"Connection": "close", "x-amz-crc32": "1"}, length=99), OK],
        2,
    ),
    "more than was announced": (update, [OK + b"rest"], 1),
    "a long answer": (update, [checked({"Attributes": {"a": {"S": "é" * 200_000}}})], 1),
    "a header twice": (update, [OK.replace(b"Date:", b"Via: a\r\nVia: b\r\nDate:")], 1),
    "a connection that AWS closes": (
        update,
        [OK.replace(b"Date:", b"Connection: close\r\nDate:")],
        1,
    ),
    "a checksum that is wrong, once": (update, [checked({}, wrong_by=1), OK], 2),
    "a checksum that is always wrong": (update, [checked({}, wrong_by=1)], 4),
    "a checksum that is no number": (
        update,
        [OK.replace(b"x-amz-crc32: ", b"x-amz-crc32: no")],
        1,
    ),
    "no JSON": (update, [answer(b"<html>a proxy</html>")], 1),
    "JSON that is no object": (update, [answer(b"[1]")], 1),
    "JSON of another form": (update, [answer({"Attributes": "text"})], 1),
    "another status of success": (update, [answer({"Attributes": ITEM}, "202 Accepted")], 1),
    "a condition that failed": (
        update,
        [refusal("ConditionalCheckFailedException", Item={**ITEM, **BLOBS})],
        1,
    ),
    "a transaction that was cancelled": (
        transact,
        [refusal("TransactionCanceledException", CancellationReasons=CANCELLED)],
        1,
    ),
    "a transaction in conflict": (
        transact,
        [refusal("TransactionCanceledException", CancellationReasons=CONFLICT)],
        1,
    ),
    "a write in conflict": (update, [refusal("TransactionConflictException")], 1),
    "no such table": (get, [refusal("ResourceNotFoundException")], 1),
    "a malformed call": (get, [refusal("ValidationException")], 1),
    "no rights": (get, [refusal("AccessDeniedException")], 1),
    "a token that expired": (get, [refusal("ExpiredTokenException")], 1),
    "a throttle, once": (update, [THROTTLED, OK], 2),
    "throttles": (update, [THROTTLED, refusal("ThrottlingException"), OK], 3),
    "a throttle that lasts": (update, [THROTTLED], 4),
    "a server's error, once": (update, [BROKEN, OK], 2),
    "a server's error in words": (
        update,
        [refusal("InternalServerError", "500 Internal Server Error"), OK],
        2,
    ),
    "a server's error that lasts": (update, [BROKEN], 4),
    "a proxy's error": (update, [answer(b"<html>busy</html>", "503 Service Unavailable"), OK], 2),
    "a reset, once": (update, [RESET, OK], 2),
    "a reset each time": (update, [RESET], 4),
    "silence, once": (update, [SILENCE, OK], 2),
    "silence": (update, [SILENCE], 4),
    "no HTTP": (update, [b"SSH-2.0-OpenSSH\r\n", OK], 2),
    "all kinds of failure": (update, [RESET, THROTTLED, checked({}, wrong_by=1), OK], 4),
    "messages sent": (send, [answer({"Successful": [{"Id": "0", "MessageId": "m"}]})], 1),
    "messages refused": (
        send,
        [answer({"Failed": [{"Id": "0", "SenderFault": False, "Code": "InternalError"}]})],
        1,
    ),
    "messages sent, after a throttle": (
        send,
        [refusal("ThrottlingException"), answer({"Successful": []})],
        2,
    ),
    "no such queue": (send, [NO_QUEUE], 1),
    "messages received": (
        receive,
        [
            answer(
                {
                    "Messages": [
                        {
                            "MessageId": "m",
                            "Body": "x",
                            "Attributes": {"SentTimestamp": "1"},
                            "MessageAttributes": {"a": {"BinaryValue": "AAEC"}},
                        }
                    ]
                }
            )
        ],
        1,
    ),
    "no messages": (receive, [answer({})], 1),
    "a message hidden": (hide, [answer(b"")], 1),
    "a message deleted": (delete, [answer({})], 1),
}

SQS = (send, receive, hide, delete)


class Outcome(NamedTuple):
    """What a caller sees of a call."""

    #: The answer, or the answer in the error.
    answer: Any
    error: str | None
    #: By which exceptions of its client the error may be caught.
    caught_as: list[str]
    transient: bool | None


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in (
        "AWS_PROFILE",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_LAMBDA_FUNCTION_NAME",
    ):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long botocore would have waited, each time; it does not wait."""
    waited: list[float] = []
    monkeypatch.setattr("botocore.endpoint.time", SimpleNamespace(sleep=waited.append))
    return waited


@pytest.fixture
def server() -> Iterator[Answers]:
    made = Answers(OK)
    yield made
    made.close()


@cache
def session() -> Any:
    return botocore.session.get_session()


def plain(service: str, url: str, **config: Any) -> Any:
    """botocore's client, as `settings.aws_client` makes it but for its patience."""
    made = session().create_client(
        service,
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
        aws_session_token=os.environ.get("AWS_SESSION_TOKEN"),
        config=Config(
            retries={"mode": "standard", "total_max_attempts": 4},
            **{"read_timeout": 10, **config},
        ),
    )
    if moto := sys.modules.get("moto.core.models"):  # other tests have imported it
        made.meta.events.unregister("before-send", moto.botocore_stubber)
    return made


def lean(service: str, url: str, **config: Any) -> Any:
    made = make_lean(plain(service, url, **config))
    assert is_lean(made)
    return made


def is_lean(client: Any) -> bool:
    return isinstance(client._serializer, aws_call._Serializer)


def outcome(client: Any, call: Call) -> Outcome:
    try:
        return Outcome(call(client), None, [], None)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is compared
        known = [
            name
            for name in dir(client.exceptions)
            if isinstance(kind := getattr(client.exceptions, name), type)
            and isinstance(error, kind)
        ]
        found = error.response if isinstance(error, ClientError) else None
        return Outcome(found, f"{type(error).__name__}: {error}", known, is_transient(error))


@pytest.mark.parametrize("warm", [False, True], ids=["a first call", "a later call"])
@pytest.mark.parametrize("case", CASES)
def test_a_lean_call_ends_as_botocores_own_does_after_as_many_requests(
    case: str, warm: bool, server: Answers, pauses: list[float]
) -> None:
    call, script, requests = CASES[case]
    service = "sqs" if call in SQS else "dynamodb"
    patience = 0.3 if SILENCE in script else 10
    found = []
    for make in (plain, lean):
        client = make(service, server.url, read_timeout=patience)
        if warm:
            server.script = [answer({})]
            call(client)
        server.script, server.asked = list(script), []
        pauses.clear()
        found.append(outcome(client, call))
        assert len(server.asked) == requests
        assert len(pauses) == requests - 1
        assert len({asked.headers["amz-sdk-invocation-id"] for asked in server.asked}) == 1
        server.script = [answer({})]
        assert call(client)["ResponseMetadata"]["HTTPStatusCode"] == 200, "the next call is fine"
    of_botocore, of_lean = found
    assert of_lean == of_botocore


@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize("call", [update, put, get, query, transact, send, receive, hide, delete])
def test_a_lean_request_is_botocores_to_the_byte(
    call: Call, token: str | None, server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    if token:
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
    monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "worker")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    monkeypatch.setattr("uuid.uuid4", lambda: "0" * 8)
    monkeypatch.setattr(aws_call, "uuid4", lambda: "0" * 8)
    server.script = [answer({})]
    service = "sqs" if call in SQS else "dynamodb"
    requests = []
    for make in (plain, lean):
        client = make(service, server.url)
        call(client), call(client)
        requests.append([(asked.headers, asked.body) for asked in server.asked[-2:]])
    for (of_botocore, botocores_body), (of_lean, leans_body) in zip(*requests, strict=True):
        assert leans_body == botocores_body
        assert signed_with(of_lean) == signed_with(of_botocore)
        assert unsigned(of_lean) == unsigned(of_botocore)


def signed_with(headers: dict[str, str]) -> str:
    """Who signed, and over which headers; all but the signature, which has the time in it."""
    return headers["authorization"].partition(" Signature=")[0]


def unsigned(headers: dict[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name not in ("authorization", "x-amz-date", "amz-sdk-invocation-id")
    }


@pytest.mark.parametrize("token", [None, "session-token"])
@pytest.mark.parametrize(
    ("host", "headers", "body"),
    [
        ("dynamodb.eu-central-1.amazonaws.com", {"X-Amz-Target": "T.GetItem"}, b"{}"),
        ("127.0.0.1:4566", {"Content-Type": "application/x-amz-json-1.0"}, b""),
        ("h", {"User-Agent": "a", "X-Amzn-Trace-Id": "Root=1", "B": "  a   b ", "A": "1"}, b"\xff"),
    ],
)
def test_a_signature_is_botocores(
    host: str,
    headers: dict[str, str],
    body: bytes,
    token: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    signer = Signer()
    for at, secret in ((0, "one"), (1, "one"), (2, "another"), (86_400, "another")):
        credentials = Credentials("AKID", secret, token).get_frozen_credentials()
        for service, region in (("dynamodb", "eu-central-1"), ("sqs", "us-gov-west-1")):
            now = datetime.fromtimestamp(1_800_000_000 + at, timezone.utc)
            monkeypatch.setattr("time.gmtime", now.timetuple)
            monkeypatch.setattr("botocore.auth.get_current_datetime", lambda now=now: now)
            request = AWSRequest("POST", f"https://{host}/", dict(headers), body)
            SigV4Auth(credentials, service, region).add_auth(request)
            mine = signer.signed(credentials, region, service, host, headers, body)
            assert mine == dict(request.headers.items())


# ---- Connections


def test_calls_go_by_one_connection_while_it_lasts(server: Answers) -> None:
    client = lean("dynamodb", server.url)
    closing = OK.replace(b"Date:", b"connection: Close\r\nDate:")
    server.script = [OK, OK, RESET, OK, OK, closing, OK, OK + b"rest", OK]
    for _ in range(8):
        assert update(client)["Attributes"] == ITEM
    assert [asked.connection for asked in server.asked] == [0, 0, 0, 1, 1, 1, 2, 2, 3]


def test_an_answer_is_not_waited_for_longer_than_the_client_says(server: Answers) -> None:
    client = lean("dynamodb", server.url, read_timeout=0.3)
    update(client)
    idle(client).sock.settimeout(None)
    server.script = [SILENCE, OK]
    update(client)
    assert [asked.connection for asked in server.asked] == [0, 0, 1]


def test_a_connection_of_another_kind_is_botocores_to_use(
    server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What records or replaces HTTP puts a socket of its own there."""

    class Other(socket.socket):
        pass

    client = lean("dynamodb", server.url)
    update(client)
    idle(client).sock = Other(fileno=idle(client).sock.detach())
    monkeypatch.setattr(aws_exchange, "_read", None)
    assert update(client)["Attributes"] == ITEM
    assert [asked.connection for asked in server.asked] == [0, 0]


def idle(client: Any) -> Any:
    """The connection that the client has used last."""
    manager = client._endpoint.http_session._manager
    return manager.connection_from_url(client.meta.endpoint_url).pool.queue[-1]


def test_a_connection_that_aws_has_closed_meanwhile_costs_no_attempt(
    server: Answers, pauses: list[float]
) -> None:
    client = lean("dynamodb", server.url)
    server.script = [OK, Last(OK), OK]
    update(client), update(client)
    assert idle(client).sock.recv(1) == b"", "the close has arrived"
    update(client)
    assert [asked.connection for asked in server.asked] == [0, 0, 1]
    assert not pauses


def test_what_comes_too_late_is_no_answer_to_the_next_call(
    server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An alarm ends a call between its request and its answer."""

    class Alarm(BaseException):
        pass

    def ring(*_: Any) -> None:
        assert taken.wait(5), "the server has the request, and not the next one's turn"
        raise Alarm

    taken, next_call = threading.Event(), threading.Event()

    def late(_: Any) -> bytes:
        taken.set()
        next_call.wait(5)
        return checked({"Item": {"pk": {"S": "late"}}})

    def now(_: Any) -> bytes:
        next_call.set()
        return checked({"Item": {"pk": {"S": "mine"}}})

    client = lean("dynamodb", server.url, read_timeout=1)
    get(client)
    server.script = [late, now]
    with monkeypatch.context() as patch:
        patch.setattr(aws_exchange, "_read", ring)
        with pytest.raises(Alarm):
            get(client)
    assert get(client)["Item"]["pk"] == {"S": "mine"}


def test_a_client_that_was_closed_can_be_used_again(server: Answers) -> None:
    client = lean("dynamodb", server.url)
    for _ in range(3):
        update(client), update(client)
        client.close()
    assert [asked.connection for asked in server.asked] == [0, 0, 1, 1, 2, 2]


def test_a_header_with_a_line_break_is_not_sent(
    server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = lean("dynamodb", server.url)
    update(client)
    client._request_signer._credentials = Credentials("a", "s", "token\r\nX-Injected: 1")
    with pytest.raises(Exception, match="header value"):
        update(client)
    assert len(server.asked) == 1


def test_a_server_is_known_by_its_certificate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = make_certificate(tmp_path)
    server = Answers(OK, certificate=certificate)
    with pytest.raises(BotocoreSSLError):
        update(lean("dynamodb", server.url))
    assert not server.asked
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate))
    session.cache_clear()
    found = [update(client) for client in [lean("dynamodb", server.url)] for _ in range(3)]
    session.cache_clear()
    assert all(answered["Attributes"] == ITEM for answered in found)
    assert len({asked.connection for asked in server.asked}) == 1
    server.close()


def make_certificate(folder: Path) -> Path:
    """A certificate of 127.0.0.1 with its key, signed by itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    host = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(datetime(2020, 1, 1, tzinfo=timezone.utc))
        .not_valid_after(datetime(2120, 1, 1, tzinfo=timezone.utc))
        .add_extension(host, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = folder / "certificate.pem"
    path.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return path


# ---- Threads, credentials, quotas


def test_what_became_of_a_call_is_not_another_threads(server: Answers, pauses: list[float]) -> None:
    """While botocore takes on one thread's failed attempt, another thread makes a call."""
    client = lean("dynamodb", server.url)
    server.script = [refusal("ThrottlingException"), OK]
    frozen = client._request_signer._credentials.get_frozen_credentials()
    asked_for = count(1)

    def credentials() -> Any:
        if next(asked_for) == 2:  # botocore is about to make the request for itself
            other = threading.Thread(target=update, args=(client,))
            other.start()
            other.join()
        return frozen

    client._request_signer._credentials = SimpleNamespace(get_frozen_credentials=credentials)
    update(client)
    assert len(server.asked) == 3
    assert len(pauses) == 1


def test_what_became_of_one_call_is_never_anothers(server: Answers, pauses: list[float]) -> None:
    """A first attempt fails, and before botocore takes that on, its credentials are gone."""
    client = lean("dynamodb", server.url)
    server.script = [refusal("ThrottlingException"), answer({"TableNames": ["mine"]})]
    signer = client._request_signer
    credentials = iter([signer._credentials])
    signer._credentials = SimpleNamespace(
        get_frozen_credentials=lambda: next(credentials).get_frozen_credentials()
    )
    with pytest.raises(StopIteration):
        update(client)
    signer._credentials = SimpleNamespace(get_frozen_credentials=lambda: Credentials("a", "s"))
    assert client.list_tables()["TableNames"] == ["mine"]
    assert not pauses


@pytest.mark.parametrize("make", [plain, lean], ids=["botocore's own", "lean"])
def test_credentials_are_refreshed_when_they_expire(make: Make, server: Answers) -> None:
    now = datetime(2026, 11, 25, 12, tzinfo=timezone.utc)
    fresh = {
        "access_key": "second",
        "secret_key": "s",
        "token": "second-token",
        "expiry_time": "2026-11-25T20:00:00Z",
    }
    client = make("dynamodb", server.url)
    client._request_signer._credentials = RefreshableCredentials(
        "first", "s", "first-token", now + timedelta(hours=1), lambda: fresh, "test", lambda: now
    )
    update(client)
    now += timedelta(hours=2)
    update(client)
    assert [asked.headers["x-amz-security-token"] for asked in server.asked] == [
        "first-token",
        "second-token",
    ]
    assert ["Credential=second/" in asked.headers["authorization"] for asked in server.asked] == [
        False,
        True,
    ]


@pytest.mark.parametrize("make", [plain, lean], ids=["botocore's own", "lean"])
def test_without_credentials_botocore_says_so(
    make: Make, server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = make("dynamodb", server.url)
    client._request_signer._credentials = None
    with pytest.raises(NoCredentialsError):
        update(client)
    assert not server.asked


@pytest.mark.parametrize("make", [plain, lean], ids=["botocore's own", "lean"])
def test_an_endpoint_that_nobody_listens_at_is_named(make: Make, pauses: list[float]) -> None:
    client = make("dynamodb", "http://127.0.0.1:1")
    with pytest.raises(EndpointConnectionError, match=r"http://127\.0\.0\.1:1"):
        update(client)
    assert len(pauses) == 3


def test_the_quota_of_retries_recovers_with_calls_that_succeed(server: Answers) -> None:
    left = []
    for make in (plain, lean):
        client = make("dynamodb", server.url)
        server.script = [RESET]
        for _ in range(60):
            outcome(client, update)
        server.script, server.asked = [OK], []
        for _ in range(40):
            update(client)
        server.script, server.asked = [RESET], []
        for _ in range(10):
            outcome(client, update)
        left.append(len(server.asked))
    of_botocore, of_lean = left
    assert of_lean == of_botocore
    assert 10 < of_lean < 40, "some calls were repeated, but not all of them three times"


def test_a_malformed_operation_of_a_user_is_refused_before_it_is_sent(server: Answers) -> None:
    store = Store(lean("dynamodb", server.url), "runs")
    server.script = [answer({})]
    for _ in range(2):
        with pytest.raises(TransactionInvalid, match="Unknown parameter"):
            store.apply(RUN_ID, [CHANGES["complete"]], NOW, [{"Putt": {}}])
    assert not server.asked


def test_a_proxy_of_the_environment_is_used(
    server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", server.url)
    client = lean("dynamodb", "http://dynamodb.invalid")
    assert update(client)["Attributes"] == ITEM
    assert update(client)["Attributes"] == ITEM
    assert [asked.headers["host"] for asked in server.asked] == ["dynamodb.invalid"] * 2


@pytest.mark.parametrize("variable", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB"])
def test_the_endpoint_of_the_environment_is_used(
    variable: str, server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, server.url)
    settings._session.cache_clear()
    client = settings.aws_client("dynamodb")
    settings._session.cache_clear()
    assert is_lean(client)
    assert update(client)["Attributes"] == ITEM
    assert len(server.asked) == 1


# ---- Others take part


@pytest.mark.parametrize("event", aws_call._PASSED_OVER)
@pytest.mark.parametrize("name", ["{}", "{}.dynamodb", "{}.dynamodb.UpdateItem", "{}.*.UpdateItem"])
def test_a_handler_of_an_event_sees_each_call(event: str, name: str, server: Answers) -> None:
    client = lean("dynamodb", server.url)
    seen: list[str] = []

    def see(event_name: str, **_: Any) -> None:
        seen.append(event_name)

    update(client)
    client.meta.events.register(name.format(event), see)
    update(client), update(client)
    client.meta.events.unregister(name.format(event), see)
    update(client)
    assert seen == [f"{event}.dynamodb.UpdateItem"] * 2


def test_a_stubber_answers_in_place_of_aws(server: Answers) -> None:
    client = lean("dynamodb", server.url)
    with Stubber(client) as stubber:
        stubber.add_response("get_item", {"Item": {"pk": {"S": "stubbed"}}})
        assert get(client)["Item"] == {"pk": {"S": "stubbed"}}
    assert not server.asked


def test_what_wraps_the_calls_of_all_clients_goes_on_seeing_them(
    server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the SDK of X-Ray and OpenTelemetry do."""
    seen = []
    client = lean("dynamodb", server.url)
    make_call = BaseClient._make_api_call

    def wrapped(self: Any, name: str, arguments: Any) -> Any:
        seen.append(name)
        return make_call(self, name, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", wrapped)
    update(client)
    assert seen == ["UpdateItem"]


def test_botocores_log_has_each_call_when_it_is_asked_for(
    server: Answers, caplog: pytest.LogCaptureFixture
) -> None:
    client = lean("dynamodb", server.url)
    with caplog.at_level("DEBUG", logger="botocore"):
        update(client)
    assert any("Sending http request" in record.getMessage() for record in caplog.records)


# ---- Another botocore


class Without:
    """An object that lacks something, at the end of a path."""

    def __init__(self, real: Any, path: list[str]) -> None:
        vars(self).update(real=real, path=path)

    def __getattr__(self, name: str) -> Any:
        first, *rest = self.path
        if name != first:
            return getattr(self.real, name)
        if not rest:
            raise AttributeError(f"this botocore has no {name}")
        return Without(getattr(self.real, name), rest)

    def __setattr__(self, name: str, value: Any) -> None:
        setattr(self.real, name, value)


@pytest.mark.parametrize(
    "path",
    [
        "_endpoint",
        "_endpoint.http_session",
        "_endpoint.http_session._manager",
        "_serializer",
        "_serializer.serialize_to_request",
        "_user_agent_creator",
        "_user_agent_creator.to_string",
        "meta.config.retries",
        "meta.events._emitter",
        "meta.events._emitter._lookup_cache",
        "meta.events._emitter._handlers",
        "meta.events._emitter._handlers.prefix_search",
    ],
)
def test_a_botocore_without_what_is_needed_makes_its_own_calls(path: str, server: Answers) -> None:
    client = plain("dynamodb", server.url)
    make_lean(Without(client, path.split(".")))
    assert not is_lean(client)
    assert update(client)["Attributes"] == ITEM


@pytest.mark.parametrize("config", [{"auth_scheme_preference": "sigv4a,sigv4"}])
def test_another_way_of_signing_is_botocores(config: dict[str, Any], server: Answers) -> None:
    assert not is_lean(make_lean(plain("dynamodb", server.url, **config)))


@pytest.mark.parametrize(
    "wrong",
    [{"type_name": "timestamp"}, {"is_tagged_union": True}, {"serialization": {"name": "B"}}],
)
def test_an_answer_that_needs_more_than_is_known_here_is_botocores(
    wrong: dict[str, Any], server: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = lean("dynamodb", server.url)
    shape = client.meta.service_model.operation_model("UpdateItem").output_shape
    changed = shape if "is_tagged_union" in wrong else shape.members["ItemCollectionMetrics"]
    for name, value in wrong.items():
        monkeypatch.setattr(changed, name, value, raising=False)
    with pytest.raises(NotImplementedError):
        converter(shape)
