"""While a step is replayed, no AWS SDK of this process writes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from botocore.client import BaseClient

from fluxio_protocol.errors import FluxioError

#: Operations that read, by how AWS names them; and what credentials come by.
_READS = re.compile(
    r"(BatchGet|Describe|Filter|Get|Head|List|Lookup|Query|Scan|Search|Select)[A-Z]\w*|Query|Scan"
    r"|AssumeRole\w*|CreateToken|Decrypt"
)


class WriteRefused(FluxioError):
    """A call that would write, or is not known to read, was not made: a replay writes nothing to AWS."""


@contextmanager
def no_writes() -> Iterator[list[str]]:
    """Refuse every call of boto3 and botocore but those that read, in all threads.

    Yields:
        The calls that were refused, as "service Operation".
    """
    refused: list[str] = []
    call = BaseClient._make_api_call

    def only_reads(client: Any, operation: str, arguments: Any) -> Any:
        if not _READS.fullmatch(operation):
            name = f"{client.meta.service_model.service_name} {operation}"
            refused.append(name)
            raise WriteRefused(f"{name} was not called: a replay writes nothing to AWS.")
        return call(client, operation, arguments)

    BaseClient._make_api_call = only_reads
    try:
        yield refused
    finally:
        BaseClient._make_api_call = call
