"""A worker in a process of its own, to be killed: what Lambda and its event source mapping are on AWS.

    python worker_process.py worker  --at-work <folder> --function-timeout 10 --lease-margin 1
    python worker_process.py sweeper --at-work <folder> --every 1 --watchdog 30

The environment is that of the deployed function: FLUXIO_TABLE_NAME, FLUXIO_QUEUE_URL and so on, with
LAMBDA_TASK_ROOT for the folder with the steps. A worker takes batches from the queue, hands them to
`Worker.handle`, deletes what does not come back, and is ended in mid-work when the function's time is
over. A sweeper does what the schedule asks the deployed worker for. Both end when their parent does.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from fluxio import claims, sweeper
from fluxio.worker import Worker
from fluxio_protocol import settings
from fluxio_protocol.calls import Calls
from fluxio_protocol.clock import WATCHDOG_MS
from fluxio_protocol.store import Store

#: The exit code of a worker whose invocation took longer than the function may.
TIMED_OUT = 75


class Context:
    """The part of Lambda's context object that the worker reads."""

    def __init__(self, seconds: float) -> None:
        self._ends = time.monotonic() + seconds

    def get_remaining_time_in_millis(self) -> int:
        return max(0, round((self._ends - time.monotonic()) * 1000))


def work(worker: Worker, function_timeout: float, batch_size: int, at_work: Path) -> None:
    sqs, queue_url = settings.aws_client("sqs"), settings.queue_url()
    while parent_lives():
        answer = sqs.receive_message(
            QueueUrl=queue_url,
            MaxNumberOfMessages=batch_size,
            WaitTimeSeconds=1,
            AttributeNames=["All"],
        )
        records = [
            {
                "messageId": message["MessageId"],
                "receiptHandle": message["ReceiptHandle"],
                "body": message["Body"],
                "attributes": message["Attributes"],
            }
            for message in answer.get("Messages", [])
        ]
        if not records:
            continue
        at_work.touch()
        end = threading.Timer(function_timeout, os._exit, [TIMED_OUT])
        end.daemon = True
        end.start()
        answer = worker.handle({"Records": records}, Context(function_timeout))
        end.cancel()
        back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in back:
                # One that came back meanwhile is no longer this worker's to delete.
                with suppress(sqs.exceptions.ReceiptHandleIsInvalid):
                    sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"])


def sweep(worker: Worker, every: float, at_work: Path) -> None:
    while parent_lives():
        at_work.touch()
        worker.handle({"fluxio": "sweep"}, Context(60))
        time.sleep(every)


def stop_before_transactions(chance: float, stopped: Path) -> None:
    """Now and then stand still in the moment the fence is for: a step has returned, and is not committed.

    Struck at random a process is hardly ever there. Elsewhere in a step it is the step's own timeout that ends
    the attempt when the process goes on, and the fence has nothing to do.

    Args:
        chance: of one transaction, from 0 to 1.
        stopped: a file that says so to whoever is to let the process go on.
    """
    as_it_is = Calls.write

    def write(self: Calls, call: str, **arguments: Any) -> Any:
        if call == "transact_write_items" and random.random() < chance:
            stopped.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        return as_it_is(self, call, **arguments)

    Calls.write = write  # type: ignore[method-assign]


_parent = os.getppid()


def parent_lives() -> bool:
    return os.getppid() == _parent


# --- faults to plant, by which the tests show that they would find them: PLANT=<name> for pytest


def apart() -> None:
    """The user's writes go in a transaction of their own, before the step's completion."""

    def apply_with(
        self: Store, run_id: str, update: Any, operations: Sequence[Any], *more: Any
    ) -> Any:
        self.calls.write("transact_write_items", TransactItems=list(operations))
        return as_it_is(self, run_id, update, [], *more)

    as_it_is = Store._apply_with
    Store._apply_with = apply_with  # type: ignore[method-assign]


PLANTS = {"apart": apart}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["worker", "sweeper"])
    parser.add_argument(
        "--at-work",
        type=Path,
        required=True,
        help="a folder; a file named by the process id appears there when it begins to work",
    )
    parser.add_argument(
        "--stop-before-transactions", type=float, default=0.0, help="the chance of one, from 0 to 1"
    )
    parser.add_argument("--function-timeout", type=float, default=60.0, help="seconds")
    parser.add_argument("--batch-size", type=int, default=10)
    parser.add_argument("--every", type=float, default=60.0, help="seconds between two sweeps")
    parser.add_argument(
        "--lease-margin",
        type=float,
        default=claims.LEASE_MARGIN / 1000,
        help="seconds a lease holds beyond the step's timeout; all processes here have one clock",
    )
    parser.add_argument(
        "--watchdog",
        type=float,
        default=WATCHDOG_MS / 1000,
        help="seconds after which a run that is still open is nudged again",
    )
    parser.add_argument("--plant", choices=PLANTS)
    given = parser.parse_args()
    claims.LEASE_MARGIN = round(given.lease_margin * 1000)
    sweeper.WATCHDOG_MS = round(given.watchdog * 1000)  # type: ignore[attr-defined]
    if given.plant:
        PLANTS[given.plant]()
    sys.path.insert(0, os.environ["LAMBDA_TASK_ROOT"])
    worker, at_work = Worker.from_environment(), given.at_work / str(os.getpid())
    if given.stop_before_transactions:
        stop_before_transactions(given.stop_before_transactions, at_work.with_suffix(".stopped"))
    if given.what == "worker":
        work(worker, given.function_timeout, given.batch_size, at_work)
    else:
        sweep(worker, given.every, at_work)


if __name__ == "__main__":
    main()
