"""DynamoDB's and SQS's JSON protocols over HTTP, on loopback only, for the operations that fluxio uses.

Both take a POST whose header `X-Amz-Target` names the operation and whose body has its parameters
(https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Programming.LowLevelAPI.html). The stand-in
takes and gives the same parameters and answers, so nothing is translated but errors and the URLs of queues.

A browser must not get here: a page in it could send requests to a loopback port, and with a name that is made
to resolve to 127.0.0.1 even read the answers. So requests with an `Origin` are refused, and so are those whose
`Host` is no name of this machine's loopback; no header allows another origin anything. Other users of the
machine are kept out by the access key, which only the owner of the state can read.
"""

from __future__ import annotations

import json
import re
import socket
import traceback
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from botocore.exceptions import ClientError

from fluxio.local.aws import DEAD_LETTERS, QUEUE, TABLE, LocalAws
from fluxio.local.state import to_json
from fluxio.testing.clients import SHAPES, client_error
from fluxio_protocol import settings

ADDRESS = "127.0.0.1"

#: F-L-U-X on a telephone's keys.
PORT = 3589

ACCOUNT, REGION = "000000000000", "us-east-1"

#: Bytes of the largest request that DynamoDB takes.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
LARGEST_REQUEST = 16 * 1024 * 1024

#: The operations, by the service's name in `X-Amz-Target`.
OPERATIONS = {
    "DynamoDB_20120810": {
        "BatchGetItem": "batch_get_item",
        "DeleteItem": "delete_item",
        "GetItem": "get_item",
        "PutItem": "put_item",
        "Query": "query",
        "Scan": "scan",
        "TransactWriteItems": "transact_write_items",
        "UpdateItem": "update_item",
    },
    "AmazonSQS": {
        "ChangeMessageVisibility": "change_message_visibility",
        "DeleteMessage": "delete_message",
        "GetQueueAttributes": "get_queue_attributes",
        "ReceiveMessage": "receive_message",
        "SendMessageBatch": "send_message_batch",
    },
}

_READS = {"batch_get_item", "get_item", "query", "scan"}

_JSON = {"Content-Type": "application/x-amz-json-1.0"}

_CREDENTIAL = re.compile(r"\bCredential=([^/,\s]+)/")


class Answer(NamedTuple):
    """An answer of HTTP."""

    status: int
    body: bytes
    headers: dict[str, str]


def queue_url(port: int, name: str = QUEUE) -> str:
    return f"http://{ADDRESS}:{port}/{ACCOUNT}/{name}"


def environment(port: int, access_key: str) -> dict[str, str]:
    """With what set the client, the command and every SDK of AWS get here."""
    return {
        "FLUXIO_TABLE_NAME": TABLE,
        "FLUXIO_QUEUE_URL": queue_url(port),
        "AWS_ENDPOINT_URL": f"http://{ADDRESS}:{port}",
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": access_key,
        "AWS_SECRET_ACCESS_KEY": "not-checked",
    }


def environment_of_steps(port: int, access_key: str, own_tables: bool) -> dict[str, str]:
    """With what set fluxio's own clients get here, and with tables of the user's every client of DynamoDB.

    All else that a step speaks to is AWS itself, with the credentials that it has.
    """
    url = f"http://{ADDRESS}:{port}/{access_key}"
    found = {
        "FLUXIO_TABLE_NAME": TABLE,
        "FLUXIO_QUEUE_URL": queue_url(port),
        settings.ENDPOINT_URL: url,
    }
    return found | {"AWS_ENDPOINT_URL_DYNAMODB": url} if own_tables else found


class Endpoint:
    """Answers calls of the two services.

    Args:
        aws: the services.
        access_key: what callers must have, as their access key or as the path of the URL.
        port: where it is reached, for the URLs of queues.
    """

    def __init__(self, aws: LocalAws, access_key: str, port: int) -> None:
        self._aws = aws
        self._access_key = access_key
        self._port = port

    def refusal(self, headers: Any) -> Answer | None:
        """Why a request is none of an SDK on this machine; None if it may be one."""
        host = urlsplit(f"//{headers.get('Host', '')}").hostname
        if host not in (ADDRESS, "localhost", "::1"):
            return _text(403, "this is fluxio dev: it answers on 127.0.0.1 and localhost alone")
        if headers.get("Origin") is not None or headers.get("Sec-Fetch-Site") is not None:
            return _text(403, "this is fluxio dev: it does not answer browsers")
        return None

    def answer(self, path: str, headers: Any, body: bytes) -> Answer:
        """The answer to a request that `refusal` lets through."""
        service, _, name = headers.get("X-Amz-Target", "").partition(".")
        operation = OPERATIONS.get(service, {}).get(name)
        found = _CREDENTIAL.search(headers.get("Authorization", ""))
        try:
            if self._access_key not in (path.strip("/"), found and found[1]):
                raise client_error(
                    name,
                    "UnrecognizedClientException",
                    "the access key is not that of this `fluxio dev`: set the environment that it has printed",
                )
            if operation is None:
                wanted = name or headers.get("X-Amz-Target") or "a request without X-Amz-Target"
                raise client_error(
                    name,
                    "UnknownOperationException",
                    f"fluxio dev does not serve {wanted}: it has what fluxio needs of DynamoDB and SQS, and no "
                    "other service",
                )
            return Answer(200, self._called(service, name, operation, body), dict(_JSON))
        except ClientError as error:
            return _error(service, error)
        except Exception:  # noqa: BLE001 - it is told below, and the server goes on
            traceback.print_exc()
            what = client_error(name, "InternalServerError", "see the output of fluxio dev")
            what.response["ResponseMetadata"] = {"HTTPStatusCode": 500}
            return _error(service, what)

    def _called(self, service: str, name: str, operation: str, body: bytes) -> bytes:
        try:
            arguments = json.loads(body)
            if not isinstance(arguments, dict):
                raise ValueError("no object")
        except (ValueError, RecursionError) as error:
            raise client_error(
                name, "SerializationException", f"the body is not JSON: {error}"
            ) from None
        is_sqs = service == "AmazonSQS"
        queue = ""
        if is_sqs:
            queue = str(arguments.get("QueueUrl", "")).rpartition("/")[2]
            arguments["QueueUrl"] = self._aws.urls.get(queue, "")
        elif operation in _READS:
            arguments.pop("ReturnConsumedCapacity", None)  # the stand-in counts no reads
        client = self._aws.sqs if is_sqs else self._aws.dynamodb
        try:
            call: Callable[..., dict[str, Any]] = getattr(client, operation)
            answer = call(**arguments)
        except (
            TypeError,
            KeyError,
            AttributeError,
            ValueError,
            AssertionError,
            NotImplementedError,
        ) as error:
            # The stand-in takes for granted what boto3 would see to.
            raise client_error(
                name,
                "ValidationException",
                f"fluxio dev cannot read the parameters of {name}: {type(error).__name__}: {error}",
            ) from error
        if operation == "get_queue_attributes" and queue == QUEUE:
            arn = f"arn:aws:sqs:{REGION}:{ACCOUNT}:{DEAD_LETTERS}"
            policy = {
                "deadLetterTargetArn": arn,
                "maxReceiveCount": self._aws.queue.max_receive_count,
            }
            answer = {"Attributes": {**answer["Attributes"], "RedrivePolicy": json.dumps(policy)}}
        return to_json(answer).encode()


def _text(status: int, text: str) -> Answer:
    return Answer(status, f"{text}\n".encode(), {"Content-Type": "text/plain; charset=utf-8"})


def _error(service: str, error: ClientError) -> Answer:
    """An error as the service's protocol has it; boto3 makes the same exception of it again."""
    response = dict(error.response)
    said, told = response.pop("Error"), response.pop("ResponseMetadata", {})
    code, status = said["Code"], told.get("HTTPStatusCode", 400)
    if not service:
        # Services with other protocols find the code in XML, those with JSON in a header.
        text = f"<Code>{code}</Code><Message>{escape(said['Message'])}</Message>"
        body = f"<ErrorResponse><Error>{text}</Error></ErrorResponse>".encode()
        return Answer(status, body, {"Content-Type": "text/xml", "x-amzn-errortype": code})
    headers = dict(_JSON)
    if service == "AmazonSQS":
        # The code that SQS's older protocol has, which boto3 goes by.
        headers["x-amzn-query-error"] = f"{code};Sender"
    kind = "com.amazonaws.sqs" if service == "AmazonSQS" else "com.amazonaws.dynamodb.v20120810"
    answer = {
        "__type": f"{kind}#{SHAPES.get(code, code.rpartition('.')[2])}",
        "message": said["Message"],
        **response,
    }
    return Answer(status, to_json(answer).encode(), headers)


class _Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    #: Seconds that a connection may stay idle.
    timeout = 300
    wbufsize = 65_536  # an answer leaves in one piece
    disable_nagle_algorithm = True
    endpoint: Endpoint

    def do_POST(self) -> None:
        self._send(self._answered())

    def do_GET(self) -> None:
        self.close_connection = True
        refusal = self.endpoint.refusal(self.headers)
        self._send(
            refusal
            or _text(405, "this is fluxio dev, which speaks DynamoDB's and SQS's JSON protocols")
        )

    do_HEAD = do_PUT = do_DELETE = do_OPTIONS = do_PATCH = do_GET  # noqa: N815

    def _answered(self) -> Answer:
        length = self.headers.get("Content-Length", "")
        refusal = self.endpoint.refusal(self.headers)
        if refusal is None and not (length.isascii() and length.isdecimal()):
            refusal = _text(411, "a request has a Content-Length")
        if refusal is None and int(length) > LARGEST_REQUEST:
            refusal = _text(413, f"a request has {LARGEST_REQUEST} bytes at most")
        if refusal is not None:
            self.close_connection = True  # its body was not read
            return refusal
        return self.endpoint.answer(self.path, self.headers, self.rfile.read(int(length)))

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def version_string(self) -> str:
        return "fluxio-dev"

    def log_message(self, format: str, *args: Any) -> None:
        del format, args  # requests are not news


class Server(ThreadingHTTPServer):
    """The HTTP server, on a socket that listens already: it outlives this process.

    Args:
        listening: the socket.
        endpoint: what answers.
    """

    daemon_threads = True

    def __init__(self, listening: socket.socket, endpoint: Endpoint) -> None:
        handler = type("Handler", (_Handler,), {"endpoint": endpoint})
        super().__init__(listening.getsockname(), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listening

    def handle_error(self, request: Any, client_address: Any) -> None:
        del request, client_address  # a caller that has hung up


def listen(port: int) -> socket.socket:
    """A socket that listens on loopback.

    Raises:
        OSError: the port is taken.
    """
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((ADDRESS, port))
        listening.listen(128)
    except BaseException:
        listening.close()
        raise
    return listening
