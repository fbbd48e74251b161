"""What runs cost: counted by what the worker logged, priced by the table in `prices`.

And what the same graph would cost elsewhere, counted by the rules of those services.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fluxio_client.cli.prices import PRICES
from fluxio_protocol.graph import Graph

#: The message of the worker's line for each message that it has handled.
HANDLED = "message handled"
ACKNOWLEDGED = "acknowledged"

#: What the client's own start adds to what the worker logs: one write of the run item, into two indexes,
#: and one message.
START_WRITE_UNITS, START_INDEX_UNITS = 1, 2

#: Requests for a message that is taken: one to send, one to receive, one to delete it; for one put back,
#: one to receive it and one to set when it comes back.
REQUESTS_SENT, REQUESTS_TAKEN = 1, 2

MILLION = 10**6

NOT_COUNTED = (
    "invocations whose worker died before it wrote its line (crash, out of memory, timeout): the log's figures "
    "lack their requests, time and writes; the storage of runs (DynamoDB), of logs and of metrics; alarms, "
    "dashboard, X-Ray; the sweep each minute and the polling of an idle queue (well under a dollar a month "
    "each); cold starts; reads by clients, such as listings; data transfer; the free tier. SQS is counted "
    "without batching, so at most."
)


@dataclass
class Usage:
    """What some runs have used up."""

    runs: int = 0
    writes: float = 0
    write_units: float = 0
    index_write_units: float = 0
    reads: float = 0
    messages: float = 0
    #: Messages that a worker took, also those that others sent: signals, redrives, sweeps.
    taken: float = 0
    requests: float = 0
    milliseconds: float = 0
    invocations: set[str] = field(default_factory=set)
    attempts: int = 0
    #: Milliseconds of steps, by their last attempts.
    step_milliseconds: float = 0
    #: Runs without any line in the log.
    unseen: int = 0

    def add_start(self) -> None:
        """The client's part of one run."""
        self.runs += 1
        self.writes += 1
        self.write_units += START_WRITE_UNITS
        self.index_write_units += START_INDEX_UNITS
        self.messages += 1
        self.requests += REQUESTS_SENT

    def add_line(self, line: Mapping[str, Any]) -> None:
        """One message that the worker has handled."""
        self.writes += line.get("writes", 0)
        self.write_units += line.get("write_units", 0)
        self.index_write_units += line.get("index_write_units", 0)
        self.reads += line.get("reads", 0)
        self.messages += line.get("sent", 0)
        self.taken += 1
        self.requests += line.get("sent", 0) * REQUESTS_SENT + REQUESTS_TAKEN
        self.milliseconds += line.get("ms", 0)
        if line.get("request_id"):
            self.invocations.add(str(line["request_id"]))

    def per_run(self, amount: float) -> float:
        """An amount, for one run."""
        return amount / self.runs if self.runs else 0.0


class Line(NamedTuple):
    """One line of a bill, for one run and for a million of them."""

    what: str
    amount: float
    unit: str
    dollars_per_million: float


def _line(what: str, price: str, amount: float) -> Line:
    found = PRICES[price]
    return Line(what, amount, found.unit, found.of(amount) * MILLION)


class Compute(NamedTuple):
    """The worker's function, as its duration is billed."""

    memory_mb: int
    architecture: str

    def line(self, milliseconds: float) -> Line:
        """Duration in GB-seconds."""
        price = f"lambda_{self.architecture}"
        return _line("Lambda duration", price, milliseconds / 1000 * self.memory_mb / 1024)


def bill(usage: Usage, compute: Compute) -> list[Line]:
    """What one run costs with fluxio, line by line."""
    per_run = usage.per_run
    return [
        _line("DynamoDB, table", "dynamodb_write", per_run(usage.write_units)),
        _line("DynamoDB, indexes", "dynamodb_write", per_run(usage.index_write_units)),
        _line("DynamoDB, reads", "dynamodb_read", per_run(usage.reads)),
        _line("SQS FIFO", "sqs_fifo", per_run(usage.requests)),
        _line("Lambda requests", "lambda_request", per_run(len(usage.invocations))),
        compute.line(per_run(usage.milliseconds)),
    ]


def transitions(graph: Graph, attempts: float) -> float:
    """State transitions of the same graph in Step Functions: each attempt, and a Parallel per fan-out."""
    return attempts + sum(len(wave) > 1 for wave in graph.waves)


def operations(graph: Graph, attempts: float) -> float:
    """Durable operations of the same graph: the execution, each attempt, each fan-out and its branches."""
    return 1 + attempts + sum(1 + len(wave) for wave in graph.waves if len(wave) > 1)


def step_functions(graph: Graph, usage: Usage, compute: Compute) -> list[Line]:
    """The same run in Step Functions Standard, with a Lambda invocation for each attempt."""
    attempts = usage.per_run(usage.attempts)
    return [
        _line("state transitions", "step_functions", transitions(graph, attempts)),
        _line("Lambda requests", "lambda_request", attempts),
        compute.line(usage.per_run(usage.step_milliseconds)),
    ]


def durable_functions(graph: Graph, usage: Usage, compute: Compute) -> list[Line]:
    """The same run as a Lambda durable function, with the invocations that fluxio took."""
    return [
        _line(
            "durable operations",
            "durable_operation",
            operations(graph, usage.per_run(usage.attempts)),
        ),
        _line("Lambda requests", "lambda_request", usage.per_run(len(usage.invocations))),
        compute.line(usage.per_run(usage.milliseconds)),
    ]


def total(lines: Iterable[Line]) -> float:
    """Dollars for a million runs."""
    return sum(line.dollars_per_million for line in lines)
