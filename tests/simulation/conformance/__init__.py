"""What the simulation takes DynamoDB and SQS to do, as one suite for every stand-in of them.

Each check is handed clients, a table with the module's indexes, and a FIFO queue with the module's settings.
It runs against the stand-in in this package, against moto (tests/moto) and against MiniStack (tests/emulator);
a backend skips only what it is known not to do, and says so. Time passes by long polls alone.
"""

from tests.simulation.conformance import (  # noqa: F401 - each adds its checks to the list
    conditions,
    messages,
    reads,
    refusals,
    transactions,
)
from tests.simulation.conformance.backend import CHECKS, Backend, Check, run
from tests.simulation.conformance.resources import create_other_table, create_queues, create_table

__all__ = [
    "CHECKS",
    "Backend",
    "Check",
    "create_other_table",
    "create_queues",
    "create_table",
    "run",
]
