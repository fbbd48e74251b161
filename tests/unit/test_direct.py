"""Calls that are made directly do what botocore's client does, whatever comes back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, EndpointConnectionError, ReadTimeoutError

from fluxio_protocol import direct as module
from fluxio_protocol import settings
from fluxio_protocol.direct import DirectClient, direct
from fluxio_protocol.store import Store, TransactionInvalid
from tests.golden.rows import CHANGES, NOW, RUN_ID, item

pytestmark = pytest.mark.once

ITEM = {
    "pk": {"S": "r"},
    "n": {"N": "1"},
    "m": {"M": {"é": {"L": [{"BOOL": True}, {"NULL": True}]}}},
}
UPDATE: dict[str, Any] = {
    "TableName": "t",
    "Key": {"pk": {"S": "r"}},
    "UpdateExpression": "SET a=:a",
    "ExpressionAttributeValues": {":a": {"S": "é"}},
}
REFUSED = {
    "__type": "com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException",
    "message": "The conditional request failed",
    "Item": ITEM,
}


class Raw:
    """The body of an answer."""

    def __init__(self, content: bytes) -> None:
        self.content = content

    def stream(self, *_: Any, **__: Any) -> Iterator[bytes]:
        yield self.content


def answer(status: int, body: Any, crc32: str | None = None) -> AWSResponse:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"x-amz-crc32": crc32 or str(zlib.crc32(content)), "x-amzn-requestid": "q"}
    return AWSResponse("http://x", status, headers, Raw(content))


def error(status: int, code: str) -> AWSResponse:
    return answer(status, {"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": "no"})


class Script:
    """What the service answers, one call after the other."""

    def __init__(self, client: Any, *answers: Any) -> None:
        self.answers = [*answers]
        self.requests: list[Any] = []
        client.meta.events.register_first("before-send.dynamodb", self._answer)

    def _answer(self, request: Any, **_: Any) -> AWSResponse:
        self.requests.append(request)
        found = self.answers.pop(0)
        if isinstance(found, Exception):
            raise found
        return found  # type: ignore[no-any-return]


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "session",
        "AWS_DEFAULT_REGION": "eu-central-1",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    monkeypatch.setattr("time.sleep", lambda _: None)
    settings._session.cache_clear()


def plain() -> Any:
    config = Config(retries={"mode": "standard", "total_max_attempts": 4})
    return botocore.session.get_session().create_client("dynamodb", config=config)


def outcome(client: Any, *answers: Any) -> tuple[Any, int]:
    """What a call comes to, and how many requests that took."""
    script = Script(client, *answers)
    try:
        found = client.update_item(**UPDATE)
    except ClientError as caught:
        parts = {name: caught.response.get(name) for name in ("Error", "Item")}
        return (type(caught).__name__, parts), len(script.requests)
    except Exception as caught:  # noqa: BLE001 - it is compared
        return type(caught), len(script.requests)
    return {name: of for name, of in found.items() if name != "ResponseMetadata"}, len(
        script.requests
    )


TIMEOUT = ReadTimeoutError(endpoint_url="http://x")
UNREACHED = EndpointConnectionError(endpoint_url="http://x")
DONE = {"Attributes": ITEM, "ConsumedCapacity": {"TableName": "t", "CapacityUnits": 1.5}}


@pytest.mark.parametrize(
    "script",
    [
        lambda: [answer(200, DONE)],
        lambda: [answer(400, REFUSED)],
        lambda: [error(400, "ThrottlingException"), answer(200, DONE)],
        lambda: [error(400, "ProvisionedThroughputExceededException"), answer(400, REFUSED)],
        lambda: [error(500, "InternalServerError"), answer(200, DONE)],
        lambda: [answer(503, b"<html>"), answer(200, DONE)],
        lambda: [TIMEOUT, answer(200, DONE)],
        lambda: [UNREACHED, answer(200, DONE)],
        lambda: [answer(200, b"{cut", "1"), answer(200, DONE)],
    ],
    ids=[
        "success", "condition", "throttle", "throttle, then condition", "500", "no JSON", "timeout",
        "no connection", "damaged",
    ],
)  # fmt: skip
def test_it_comes_to_what_botocores_client_comes_to(script: Any) -> None:
    made = settings.aws_client("dynamodb")
    assert isinstance(made, DirectClient)
    assert outcome(made, *script()) == outcome(plain(), *script())


@pytest.mark.parametrize(
    "of",
    [
        lambda: error(400, "ResourceNotFoundException"),
        lambda: error(400, "TransactionConflictException"),
        lambda: error(400, "ValidationException"),
        lambda: error(400, "AccessDeniedException"),
        lambda: error(400, "ThrottlingException"),
        lambda: TIMEOUT,
    ],
    ids=["not found", "conflict", "invalid", "denied", "throttle", "timeout"],
)
def test_what_lasts_is_the_error_of_botocores_client_after_one_call_more(of: Any) -> None:
    found, requests = outcome(settings.aws_client("dynamodb"), *(of() for _ in range(9)))
    wanted, calls = outcome(plain(), *(of() for _ in range(9)))
    assert (found, requests) == (wanted, calls + 1)


def test_bytes_are_read_by_botocore() -> None:
    stored = {"Attributes": {"pk": {"S": "r"}, "b": {"B": "AAE="}, "bs": {"BS": ["Ag=="]}}}
    found, _ = outcome(settings.aws_client("dynamodb"), answer(200, stored), answer(200, stored))
    assert found["Attributes"] == {
        "pk": {"S": "r"},
        "b": {"B": b"\x00\x01"},
        "bs": {"BS": [b"\x02"]},
    }


def test_the_request_is_botocores_but_for_who_asks() -> None:
    made, other = settings.aws_client("dynamodb"), plain()
    mine, its = (Script(client, answer(200, DONE)) for client in (made, other))
    for client in (made, other):
        client.update_item(**UPDATE)
    ours, theirs = mine.requests[0], its.requests[0]
    assert (ours.method, ours.url) == (theirs.method, theirs.url)
    assert json.loads(ours.body) == json.loads(theirs.body)
    for name in ("X-Amz-Target", "Content-Type", "X-Amz-Security-Token"):
        assert text(ours.headers[name]) == text(theirs.headers[name])
    assert b"Credential=key/" in ours.headers["Authorization"].encode()
    assert "eu-central-1/dynamodb/aws4_request" in str(ours.headers["Authorization"])


def text(header: Any) -> str:
    return header.decode() if isinstance(header, bytes) else str(header)


def test_credentials_that_were_renewed_are_used_at_once() -> None:
    made = settings.aws_client("dynamodb")
    script = Script(made, answer(200, DONE), answer(200, DONE))
    made.update_item(**UPDATE)
    settings._session().get_credentials().token = "another"
    made.update_item(**UPDATE)
    assert [str(one.headers["X-Amz-Security-Token"]) for one in script.requests] == [
        "session", "another",
    ]  # fmt: skip


def test_the_client_is_botocores_own_where_its_parts_are_not_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    client = plain()
    monkeypatch.delattr(client, "_endpoint")
    assert direct(client, botocore.session.get_session()) is client
    monkeypatch.setattr(module, "DirectClient", None)
    with pytest.raises(TypeError):
        direct(client, None)


def test_a_users_malformed_operation_is_refused_though_the_client_checks_nothing() -> None:
    made = settings.aws_client("dynamodb")
    script = Script(made)
    malformed = {"Put": {"TableName": "ledger", "Item": {"pk": "no attribute value"}}}
    with pytest.raises(TransactionInvalid, match="Invalid type"):
        Store(made, "t").apply(RUN_ID, [CHANGES["complete"]], NOW, [malformed])
    assert script.requests == []


def test_a_store_reads_a_run_from_a_refusal() -> None:
    made = settings.aws_client("dynamodb")
    stored = item("RUNNING", "RUNNING", 1)
    Script(made, answer(400, REFUSED | {"Item": stored}))
    written = Store(made, "t").apply(RUN_ID, [CHANGES["complete"]], NOW)
    assert not written.applied
    assert written.run is not None
    assert written.run.steps["mine"].token == "token"
