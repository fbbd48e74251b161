"""The worker's most frequent calls, made of botocore's own parts but without its client's way to them.

A worker makes an UpdateItem for each step. Of the time that botocore's client needs for one, most goes into
looking up, for each call anew, what is the same each time: the endpoint, the shape of the arguments, handlers.
Here a request is signed by botocore's `SigV4Auth`, with its credentials, and sent by the client's own HTTP
session, with its connections, timeouts, proxies and certificates.

Only two answers are taken: success, and a condition that does not hold. After any other one, and after an error
on the way, the call is made again by botocore's client, which waits, repeats and raises as it does for every
other service. A write that was applied and not answered may so be sent once more, as botocore itself does.
"""

from __future__ import annotations

import json
import zlib
from typing import Any

from fluxio_protocol.answers import may_have_bytes

_TARGET = "DynamoDB_20120810."
_REFUSED = "ConditionalCheckFailedException"


class DirectClient:
    """A DynamoDB client of botocore's that makes calls of `get_item`, `put_item` and `update_item` directly.

    Args:
        client: botocore's client, which makes all other calls.
        session: botocore's session, whose credentials sign.
    """

    def __init__(self, client: Any, session: Any) -> None:
        from botocore.auth import SigV4Auth
        from botocore.awsrequest import AWSRequest

        self._client = client
        self.exceptions, self.meta = client.exceptions, client.meta
        self._http = client._endpoint.http_session
        self._credentials = session.get_credentials()
        self._region = client.meta.region_name
        self._url = client.meta.endpoint_url.rstrip("/") + "/"
        self._headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "User-Agent": client.meta.config.user_agent or "fluxio",
        }
        self._auth, self._request = SigV4Auth, AWSRequest

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def get_item(self, **arguments: Any) -> dict[str, Any]:
        """GetItem, as boto3 has it."""
        answer = self._send("GetItem", arguments)
        return self._client.get_item(**arguments) if answer is None else answer

    def put_item(self, **arguments: Any) -> dict[str, Any]:
        """PutItem, as boto3 has it."""
        answer = self._send("PutItem", arguments)
        return self._client.put_item(**arguments) if answer is None else answer

    def update_item(self, **arguments: Any) -> dict[str, Any]:
        """UpdateItem, as boto3 has it."""
        answer = self._send("UpdateItem", arguments)
        return self._client.update_item(**arguments) if answer is None else answer

    def _send(self, operation: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
        """The answer; None if botocore's client should make the call.

        Raises:
            ConditionalCheckFailedException: the condition does not hold.
        """
        try:
            request = self._request(
                "POST",
                self._url,
                self._headers | {"X-Amz-Target": _TARGET + operation},
                json.dumps(arguments).encode(),
            )
            frozen = self._credentials.get_frozen_credentials()
            self._auth(frozen, "dynamodb", self._region).add_auth(request)
            prepared = request.prepare()
            # What listens to botocore's requests hears of this one, too, and may answer it.
            responses = self._client.meta.events.emit(
                f"before-send.dynamodb.{operation}", request=prepared
            )
            response = next((one for _, one in responses if one is not None), None)
            response = response or self._http.send(prepared)
            content = response.content
        except Exception:  # noqa: BLE001 - whatever it is, it comes again, and botocore's client says what
            return None
        answered = _whole(content, response.headers.get("x-amz-crc32"))
        if answered is None or may_have_bytes(content):
            return None
        if response.status_code == 200:
            return answered
        if str(answered.get("__type", "")).endswith(f"#{_REFUSED}"):
            message = answered.get("message", answered.get("Message", ""))
            error = {"Error": {"Code": _REFUSED, "Message": message}}
            metadata = {"HTTPStatusCode": response.status_code}
            raise self.exceptions.ConditionalCheckFailedException(
                {**answered, **error, "ResponseMetadata": metadata}, operation
            )
        return None


def _whole(content: bytes, crc32: str | None) -> dict[str, Any] | None:
    """What an answer says; None if it has been damaged on its way."""
    if crc32 is not None and crc32 != str(zlib.crc32(content)):
        return None
    try:
        answered = json.loads(content)
    except ValueError:
        return None
    return answered if isinstance(answered, dict) else None


def direct(client: Any, session: Any) -> Any:
    """The client with the direct calls; itself where this botocore is built otherwise than those before it."""
    try:
        return DirectClient(client, session)
    except (AttributeError, ImportError):
        return client
