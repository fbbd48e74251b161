"""DynamoDB and SQS in this process, at the level of boto3's clients: what Store and Queue speak to.

One clock moves both services, and nothing happens unless somebody calls. Every call of a client goes through
its `wire`, which is where tests put what goes wrong between a worker and AWS: it may let the call land once,
twice or never, lose its answer, or end its caller. `tests/simulation/conformance` holds them to what
moto and MiniStack do.
"""

from __future__ import annotations

from dataclasses import dataclass

from fluxio.testing.clients import Call, Clock, Wire, sound
from fluxio.testing.dynamodb import DynamoDB
from fluxio.testing.sqs import SQS, FifoQueue
from fluxio_protocol.layout import INDEXES

__all__ = ["Aws", "Call", "Clock", "FifoQueue", "Wire", "sound"]


@dataclass
class Aws:
    """A deployment of its own: a clock, the table, a ledger of the user's, the queue and its dead letters."""

    #: Seconds an invocation of the worker may take; the queue's visibility is 30 more, as in the module.
    function_timeout: int = 120

    TABLE = "fluxio"
    LEDGER = "ledger"

    def __post_init__(self) -> None:
        self.clock = Clock()
        self.dynamodb = DynamoDB(self.clock)
        self.sqs = SQS(self.clock)
        self.table = self.dynamodb.create_table(self.TABLE, INDEXES)
        self.ledger = self.dynamodb.create_table(self.LEDGER)
        self.dead_letters = self.sqs.create_queue("fluxio-dlq.fifo")
        self.queue = self.sqs.create_queue(
            "fluxio.fifo", self.function_timeout + 30, self.dead_letters
        )
