"""Signature Version 4 of a POST to the root of a host, which is what DynamoDB and SQS are asked by.

botocore signs any kind of request, which takes as long as all else of a lean call. The key that signs is the
same for a day.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from botocore.auth import SIGNED_HEADERS_BLACKLIST

_UNSIGNED = frozenset(SIGNED_HEADERS_BLACKLIST)


class Signer:
    """Signs requests; keeps the key of the day."""

    def __init__(self) -> None:
        self._key: tuple[tuple[str, str], bytes] = (("", ""), b"")

    def signed(
        self,
        credentials: Any,
        region: str,
        service: str,
        host: str,
        headers: Mapping[str, str],
        body: bytes,
    ) -> dict[str, str]:
        """The headers of a request, with those that sign it.

        Args:
            credentials: botocore's, frozen.
            region: the Region to sign for.
            service: the service's name in signatures.
            host: what the header `Host` will say.
            headers: the others.
            body: what is sent.
        """
        at = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        made = {**headers, "X-Amz-Date": at}
        if credentials.token:
            made["X-Amz-Security-Token"] = credentials.token
        named = {name.lower(): " ".join(value.split()) for name, value in made.items()}
        named["host"] = host
        names = sorted(named.keys() - _UNSIGNED)
        listed = ";".join(names)
        lines = "".join(f"{name}:{named[name]}\n" for name in names)
        request = f"POST\n/\n\n{lines}\n{listed}\n{sha256(body).hexdigest()}"
        scope = f"{at[:8]}/{region}/{service}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{at}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = hmac.digest(
            self._key_of(credentials.secret_key, scope), text.encode(), "sha256"
        )
        made["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={listed}, Signature={signature.hex()}"
        )
        return made

    def _key_of(self, secret: str, scope: str) -> bytes:
        known, key = self._key  # read at once: another thread may replace it
        if known != (secret, scope):
            key = f"AWS4{secret}".encode()
            for part in scope.split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = ((secret, scope), key)
        return key
