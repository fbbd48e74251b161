"""AWS calls at less than half of botocore's processor time, made by botocore's own clients.

Most of a worker's processor time goes into its calls, and most of a call's into what never changes: botocore
validates the arguments against the service's model, walks the answer along that model, and puts its user agent
together twice. `make_lean` replaces those parts of a client, and the signing and the reading of an answer, for
the operations that runs are made of. All else stays botocore's: the client and its methods, endpoints,
credentials, connections with their TLS and proxies, errors, and retries with their quota. Arguments are not
validated: fluxio's own are well-formed, and the operations of `ctx.transact` are looked at by `Store`.

The way back is the design. A lean call is one attempt, made where botocore lets an event handler answer a call
(`before-call`). Any outcome other than a whole answer with the status 200 is handed to botocore as the outcome
of its own first attempt (`before-send`), and botocore goes on from there: it parses the error, counts the
attempt, waits and tries again. So there is one source of what a failure looks like.

Calls in which another handler takes part (moto's, for example) are botocore's from the start, and so is every
call where a name of botocore's that is used here has moved.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4
from zlib import crc32

from botocore.auth import SigV4Auth

from fluxio_protocol.aws_answer import Convert, converter
from fluxio_protocol.aws_exchange import Answer, Exchange, Request
from fluxio_protocol.aws_signature import Signer

#: The operations that are called lean, by the service's name in botocore's events.
OPERATIONS = {
    "dynamodb": {
        "BatchGetItem",
        "GetItem",
        "PutItem",
        "Query",
        "TransactWriteItems",
        "UpdateItem",
    },
    "sqs": {"ChangeMessageVisibility", "DeleteMessage", "ReceiveMessage", "SendMessageBatch"},
}

#: The steps of a call that a lean one passes over. A handler that is not botocore's own keeps calls botocore's.
_PASSED_OVER = (
    "request-created",
    "choose-signer",
    "before-sign",
    "before-send",
    "before-parse",
    "response-received",
    "needs-retry",
)

_BOTOCORE = logging.getLogger("botocore")


def make_lean(client: Any) -> Any:
    """The client, whose calls cost less from now on; unchanged if this botocore is made otherwise."""
    try:
        _LeanCalls(client).take_over()
    except Exception as error:  # noqa: BLE001 - the client works without; it only costs more
        _BOTOCORE.debug("calls of fluxio are botocore's own: %r", error)
    return client


class _LeanCalls:
    """The lean calls of one client. Making one changes nothing: it looks whether all is there."""

    def __init__(self, client: Any) -> None:
        self._client = client
        service_model = client.meta.service_model
        self._service: str = service_model.service_id.hyphenize()
        self._operations = OPERATIONS[self._service]
        if (
            getattr(service_model, "resolved_protocol", service_model.metadata["protocol"])
            != "json"
        ):
            raise NotImplementedError("the service's protocol is not JSON")
        if getattr(client.meta.config, "auth_scheme_preference", None):
            raise NotImplementedError("the way of signing is configured")
        attempts = client.meta.config.retries["total_max_attempts"]
        self._attempt = f"attempt=1; max={attempts}"
        self._exchange = Exchange(client._endpoint.http_session, client.meta.config.read_timeout)
        self._signer = Signer()
        self._hosts: dict[str, str] = {}
        self._serializer = _Serializer(client._serializer, self._operations)
        self._user_agent = _UserAgent(client._user_agent_creator)
        self._emitter = client.meta.events._emitter
        #: The emitter's cache when its handlers were last looked at; each change of them makes a new one.
        self._looked_at: Any = None
        self._alone = False
        self._all_are_botocores()
        self._convert: dict[str, Convert] = {}
        self._first = threading.local()

    def take_over(self) -> None:
        """Make the client's calls lean."""
        events = self._client.meta.events
        events.register(f"before-send.{self._service}", self._before_send)
        # The last of all: botocore's own add headers, and a Stubber answers instead.
        events.register_last("before-call", self._before_call)
        self._client._serializer = self._serializer
        self._client._user_agent_creator = self._user_agent

    def _before_call(
        self,
        model: Any,
        params: dict[str, Any],
        request_signer: Any,
        context: dict[str, Any],
        **_: Any,
    ) -> tuple[Any, dict[str, Any]] | None:
        """A call's answer; None: botocore makes the call, or goes on after its first attempt."""
        self._first.outcome = None
        if model.name not in self._operations or not self._all_are_botocores():
            return None
        try:
            request = self._signed(params, request_signer, context)
            convert = self._converter(model)
        except Exception:  # noqa: BLE001 - botocore meets the same, and raises it in its own way
            return None
        try:
            answer = self._exchange.send(request)
        except Exception as error:  # noqa: BLE001 - botocore says what is to be done
            self._first.outcome = error
            return None
        parsed = _parsed(answer, convert)
        if parsed is None:
            self._first.outcome = answer.of_botocore()
            return None
        return answer, parsed

    def _before_send(self, **_: Any) -> Any:
        """What became of a call's first attempt, for botocore, which is about to make it."""
        outcome, self._first.outcome = getattr(self._first, "outcome", None), None
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def _all_are_botocores(self) -> bool:
        """Whether nobody but botocore takes part in what is passed over, or wants to read of it in its log."""
        if self._emitter._lookup_cache is not self._looked_at:
            self._alone = all(
                handler == self._before_send or handler.__module__.startswith("botocore.")
                for event in _PASSED_OVER
                for operation in self._operations
                for handler in self._emitter._handlers.prefix_search(
                    f"{event}.{self._service}.{operation}"
                )
            )
            self._looked_at = self._emitter._lookup_cache
        return self._alone and not _BOTOCORE.isEnabledFor(logging.DEBUG)

    def _signed(self, params: dict[str, Any], signer: Any, context: dict[str, Any]) -> Request:
        """The request of a call.

        Raises:
            NotImplementedError: there is more to it than is known here.
            ValueError: a header has a line break in it.
        """
        if (context.get("auth_type") or signer.signature_version) != "v4":
            raise NotImplementedError("another way of signing")
        signing = context.get("signing", {})
        service = signing.get("signing_name") or signer.signing_name
        region = signing.get("region") or signer.region_name
        auth = signer.get_auth_instance(service, region, "v4")
        if type(auth) is not SigV4Auth:
            raise NotImplementedError("another way of signing")
        url, body = params["url"], params["body"]
        if url not in self._hosts:
            self._hosts[url] = _host(url)
        host = self._hosts[url]
        headers = self._signer.signed(
            auth.credentials, region, service, host, params["headers"], body
        )
        # botocore adds them when it has signed.
        invocation = str(uuid4())
        context.setdefault("retries", {})["invocation-id"] = invocation
        headers["amz-sdk-invocation-id"] = invocation
        headers["amz-sdk-request"] = self._attempt
        headers["Content-Length"] = str(len(body))
        return Request.make(url, host, headers, body)

    def _converter(self, model: Any) -> Convert:
        if model.name not in self._convert:
            self._convert[model.name] = converter(model.output_shape)
        return self._convert[model.name]


def _host(url: str) -> str:
    """What the header `Host` says for a URL.

    Raises:
        NotImplementedError: it is not the root of a host.
    """
    parts = urlsplit(url)
    if parts.path != "/" or parts.query or parts.username or parts.hostname is None:
        raise NotImplementedError("not the root of a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    usual = {"http": 80, "https": 443}[parts.scheme]
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"


def _parsed(answer: Answer, convert: Convert) -> dict[str, Any] | None:
    """The answer of a call that succeeded, as botocore's parser has it; None: it is not such an answer."""
    if answer.status_code != 200:
        return None
    headers = dict(answer.headers)
    told = {"HTTPStatusCode": 200, "HTTPHeaders": headers, "RetryAttempts": 0}
    if "x-amzn-requestid" in headers:
        told["RequestId"] = headers["x-amzn-requestid"]
    try:
        checksum = headers.get("x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(answer.content):
            return None
        parsed: dict[str, Any] = convert(json.loads(answer.content or b"{}"))
        parsed["ResponseMetadata"] = told
    except Exception:  # noqa: BLE001 - whatever it is, botocore makes of it what it does
        return None
    return parsed


class _UserAgent:
    """botocore's user agent, put together once."""

    def __init__(self, made_by: Any) -> None:
        self._make = made_by.to_string
        self._made: str | None = None

    def to_string(self) -> str:
        if self._made is None:
            self._made = self._make()
        return self._made


class _Serializer:
    """botocore's serializer, which sees the first call of each operation, and then none.

    The arguments have the form of JSON already; where a value has not, the call is botocore's to serialize, or
    to refuse.
    """

    def __init__(self, made_by: Any, operations: set[str]) -> None:
        self._serialize = made_by.serialize_to_request
        self._operations = operations
        self._seen: dict[str, dict[str, Any]] = {}

    def serialize_to_request(self, parameters: dict[str, Any], model: Any) -> dict[str, Any]:
        seen = self._seen.get(model.name)
        if seen is not None:
            try:
                body = json.dumps(parameters).encode()
            except TypeError:
                pass
            else:
                return seen | {"headers": {**seen["headers"]}, "body": body}
        made: dict[str, Any] = self._serialize(parameters, model)
        if model.name in self._operations and made["url_path"] == "/" and not made["query_string"]:
            self._seen[model.name] = made | {"headers": {**made["headers"]}}
        return made
