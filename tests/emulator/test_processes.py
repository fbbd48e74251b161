"""Real processes, really killed: every run ends all the same, and money moves exactly once.

pytest tests/emulator/test_processes.py -s                the figures
PLANT=apart pytest tests/emulator/test_processes.py       must fail: see PLANTS in worker_process.py
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, NamedTuple
from uuid import uuid4

import pytest

from dev.emulator import Emulator
from fluxio_client import FluxioClient, NotNudged, Run, RunStatus, StepStatus, client
from fluxio_protocol import layout
from fluxio_protocol.clock import now_ms
from fluxio_protocol.store import Store
from tests.emulator.fleet import Fleet
from tests.emulator.world import Deployed, until

PACKAGE = Path(__file__).parent / "package"

RUNS = 500
"""In flight at once; every twentieth of them stumbles once by itself."""

FORGOTTEN = 20
"""Of these the client dies between storing the run and sending its message."""

SEED = 20_251
ACCOUNTS = [f"account-{number}" for number in range(10)]

WORKERS = 3
FUNCTION_TIMEOUT = 10.0
VISIBILITY = 6
"""Seconds; shorter than the function's timeout, so that messages come back while they are worked on, too."""

LEASE = 3.0
"""Seconds: the steps' timeout of 2 and a margin of 1."""

WATCHDOG = 30.0

STRIKES = 80
"""Kills and freezes; about 50 are reached where nothing else is at work on two cores."""

LIFE = (0.5, 7.0)
"""Seconds a process works until it is killed or frozen, drawn at random."""

FREEZE = (5.0, 8.0)
"""Seconds: longer than a lease, and as a rule than what is left of the message's visibility."""

STOPS = 0.01
"""How many transactions in one find their process frozen when it was about to send them."""

PATIENCE = 900.0
"""Seconds for all of it; about 60 where nothing else is at work on two cores."""

LAMBDA_KILLS = 3
LAMBDA_RUNS = 40
"""Each kill strikes a batch of 10 at most, so that there is something left for the next."""


class Ledger:
    """Accounts, and counters of what happened to each run; see `package/shop/ledger.py`."""

    def __init__(self, dynamodb: Any) -> None:
        self._dynamodb = dynamodb
        self.table = f"ledger-{uuid4().hex[:8]}"
        dynamodb.create_table(
            TableName=self.table,
            KeySchema=[{"AttributeName": "account", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "account", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def balances(self) -> dict[str, int]:
        pages = self._dynamodb.get_paginator("scan").paginate(TableName=self.table)
        return {
            item["account"]["S"]: int(item["balance"]["N"])
            for page in pages
            for item in page["Items"]
        }

    def close(self) -> None:
        self._dynamodb.delete_table(TableName=self.table)


class Transfers:
    """Runs of the workflow Transfer, and what the ledger must say when all have ended."""

    def __init__(self, client: FluxioClient, ledger: Ledger, prefix: str) -> None:
        self.client, self.ledger, self._prefix = client, ledger, prefix
        self.run_ids: list[str] = []
        self.expected: dict[str, int] = {}

    def start(self, random: Random, client: FluxioClient | None = None) -> None:
        source, target = random.sample(ACCOUNTS, 2)
        amount = random.randint(1, 1000)
        number = len(self.run_ids)
        run_id = f"{self._prefix}-{number}"
        self.run_ids.append(run_id)
        self.expected[source] = self.expected.get(source, 0) - amount
        self.expected[target] = self.expected.get(target, 0) + amount
        given = {"ledger": self.ledger.table, "source": source, "target": target, "amount": amount}
        given["stumble"] = number % 20 == 0
        (client or self.client).start("Transfer", given, run_id=run_id)

    def check_all_succeeded(self) -> list[Run]:
        runs = [self.client.get(run_id) for run_id in self.run_ids]
        others = [(run.run_id, run.status, run.error) for run in runs if run.status != "SUCCEEDED"]
        assert others == []
        return runs

    def check_ledger(self) -> int:
        """Every unit is where it belongs. Returns how often the unguarded effect was repeated."""
        balances = self.ledger.balances()
        moved = {run_id: balances.get(f"moved#{run_id}", 0) for run_id in self.run_ids}
        closed = {run_id: balances.get(f"closed#{run_id}", 0) for run_id in self.run_ids}
        noticed = [balances.get(f"noticed#{run_id}", 0) for run_id in self.run_ids]
        once = dict.fromkeys(self.run_ids, 1)
        assert _unlike(moved, once) == {}, "runs whose transfer did not happen exactly once"
        assert _unlike(closed, once) == {}, "runs whose fan-in did not happen exactly once"
        accounts = {name: balances.get(name, 0) for name in self.expected}
        assert accounts == self.expected
        assert sum(accounts.values()) == 0
        assert min(noticed) >= 1, "an effect outside of a transaction happens at least once"
        return sum(noticed) - len(noticed)


def _unlike(found: dict[str, int], wanted: dict[str, int]) -> dict[str, int]:
    return {name: count for name, count in found.items() if count != wanted[name]}


class Queues(NamedTuple):
    """A queue like the module's that no Lambda polls, and its dead-letter queue."""

    sqs: Any
    url: str
    dlq_url: str

    @classmethod
    def make(cls, sqs: Any) -> Queues:
        name = f"scratch-{uuid4().hex[:8]}"
        fifo = {"FifoQueue": "true"}
        dlq = sqs.create_queue(QueueName=f"{name}-dlq.fifo", Attributes=fifo)["QueueUrl"]
        asked = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["QueueArn"])
        redrive = {"deadLetterTargetArn": asked["Attributes"]["QueueArn"], "maxReceiveCount": 10}
        attributes = fifo | {
            "VisibilityTimeout": str(VISIBILITY),
            "RedrivePolicy": json.dumps(redrive),
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
        url = sqs.create_queue(QueueName=f"{name}.fifo", Attributes=attributes)["QueueUrl"]
        return cls(sqs, url, dlq)

    def depth(self, url: str) -> int:
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        answer = self.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def close(self) -> None:
        for url in (self.url, self.dlq_url):
            self.sqs.delete_queue(QueueUrl=url)


@pytest.fixture(scope="module")
def ledger(deployed: Deployed) -> Iterator[Ledger]:
    made = Ledger(deployed.clients["dynamodb"])
    yield made
    made.close()


@pytest.fixture
def queues(deployed: Deployed) -> Iterator[Queues]:
    made = Queues.make(deployed.clients["sqs"])
    yield made
    made.close()


class Silent:
    """An SQS client whose process dies before its message is sent."""

    def send_message_batch(self, **_: Any) -> Any:
        raise ConnectionResetError("killed")


@pytest.fixture(scope="module", autouse=True)
def deserted(deployed: Deployed, ministack: Emulator) -> Iterator[Transfers]:
    """Runs on the deployed worker whose Lambda process was killed: the last test here sees them end.

    Their messages come back after the queue's 90 s, in which the other test runs.
    """
    made = Ledger(deployed.clients["dynamodb"])
    starter = FluxioClient(deployed.outputs["table_name"], deployed.outputs["queue_url"])
    transfers = Transfers(starter, made, "deserted")
    function_name = deployed.outputs["worker_function_name"]
    random = Random(SEED)
    for _ in range(LAMBDA_RUNS):
        transfers.start(random)
    killed: set[int] = set()
    while len(killed) < LAMBDA_KILLS:
        alive = until(lambda: _lambda_processes(ministack, function_name), 60, "a Lambda process")
        until(lambda: _at_work(starter, transfers.run_ids), 60, "a step at work", pause=0.005)
        for pid in alive:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        killed.update(alive)
    yield transfers
    made.close()


def _at_work(starter: FluxioClient, run_ids: list[str]) -> bool:
    """Whether a step was claimed a moment ago: an older claim may be that of a process that is dead."""
    return any(
        step.status is StepStatus.RUNNING and (step.started_at or 0) > now_ms() - 100
        for run_id in run_ids
        for step in starter.get(run_id).steps.values()
    )


def _lambda_processes(ministack: Emulator, function_name: str) -> list[int]:
    """The processes in which this emulator runs a function."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,command="], capture_output=True, text=True, check=True
    )
    found = [line.split(None, 2) for line in listed.stdout.splitlines()]
    return [
        int(pid)
        for pid, parent, command in (parts for parts in found if len(parts) == 3)
        if int(parent) == ministack.pid and f"ministack-lambda-{function_name}-" in command
    ]


def test_500_runs_end_and_the_ledger_balances_whatever_process_is_killed_or_frozen(
    deployed: Deployed,
    ledger: Ledger,
    queues: Queues,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "WATCHDOG_MS", int(WATCHDOG * 1000))
    table, dynamodb = deployed.outputs["table_name"], deployed.clients["dynamodb"]
    starter = FluxioClient(table, queues.url, dynamodb=dynamodb, sqs=queues.sqs)
    dying = FluxioClient(table, queues.url, dynamodb=dynamodb, sqs=Silent())
    transfers, store, random = (
        Transfers(starter, ledger, "run"),
        Store(dynamodb, table),
        Random(SEED),
    )

    def environment() -> dict[str, str]:
        return os.environ | {
            "FLUXIO_TABLE_NAME": table,
            "FLUXIO_QUEUE_URL": queues.url,
            "FLUXIO_INLINE_BRANCHES": str(random.choice([0, 10])),  # both ways of a fan-out
            "FLUXIO_LOG_LEVEL": "WARNING",
            "LAMBDA_TASK_ROOT": str(PACKAGE),
        }

    margin = ["--lease-margin", str(LEASE - 2)]
    plant = ["--plant", os.environ["PLANT"]] if "PLANT" in os.environ else []
    timeout = ["--function-timeout", str(FUNCTION_TIMEOUT), "--batch-size", "5"]
    stops = ["--stop-before-transactions", str(STOPS)]
    worker = ["worker", *timeout, *margin, *stops, *plant]
    sweeper = ["sweeper", "--every", "1", "--watchdog", str(WATCHDOG)]

    def open_runs() -> int:
        mine = set(transfers.run_ids)
        found = (store.due(shard, 10**15, 10_000) for shard in range(layout.SHARDS))
        return sum(run_id in mine for some in found for run_id, _ in some)

    began = time.monotonic()
    members = [*[worker] * WORKERS, sweeper]
    fleet = Fleet(members, environment, tmp_path, random, STRIKES, LIFE, FREEZE)
    try:
        for number in range(RUNS):
            if number % (RUNS // FORGOTTEN) == 1:
                with pytest.raises(NotNudged):
                    transfers.start(random, dying)
            else:
                transfers.start(random)
            fleet.tend()
        started = time.monotonic() - began
        while left := open_runs():
            spent = time.monotonic() - began
            assert spent < PATIENCE, f"{left} runs are still open:\n{fleet.log[-3000:]}"
            for _ in range(20):
                fleet.tend()
                time.sleep(0.02)
        ended = time.monotonic() - began

        def empty() -> bool:
            fleet.tend()
            return queues.depth(queues.url) == 0

        fleet.leave_in_peace()
        runs = transfers.check_all_succeeded()
        repeats = transfers.check_ledger()
        until(empty, 60, "the queue is empty, nothing goes round in it")
    finally:
        fleet.close()

    attempts = [step.attempt for run in runs for step in run.steps.values()]
    again = [attempt for attempt in attempts if attempt > 1]
    taken_over = fleet.log.count('"step taken over"')
    sys.stdout.write(
        f"\n{RUNS} runs, {FORGOTTEN} of them never nudged by their starter, on {WORKERS} worker processes: "
        f"started in {started:.0f} s, all ended after {ended:.0f} s"
        f"\n  {fleet.kills} processes killed, {fleet.freezes + fleet.stops} frozen for {FREEZE[0]:.0f} to "
        f"{FREEZE[1]:.0f} s ({fleet.stops} of them when about to commit), {fleet.timeouts} ended by "
        "their function's timeout"
        f"\n  {taken_over} steps taken over from the dead and the frozen; {len(again)} of {len(attempts)} "
        f"steps needed more than one attempt, at most {max(attempts)}; {RUNS // 20} failed by themselves"
        f"\n  the ledger balances; without ctx.transact, {repeats} of {RUNS} effects were repeated\n"
    )
    assert queues.depth(queues.dlq_url) == 0, "healthy runs' messages are in the dead-letter queue"
    assert fleet.kills >= 10
    assert taken_over > 0


def test_runs_end_and_the_ledger_balances_though_lambda_kills_the_worker_in_mid_run(
    deserted: Transfers,
) -> None:
    for run_id in deserted.run_ids:
        assert deserted.client.wait(run_id, timeout=240).status is RunStatus.SUCCEEDED

    repeats = deserted.check_ledger()

    runs = deserted.check_all_succeeded()
    again = [step for run in runs for step in run.steps.values() if step.attempt > 1]
    seconds = max(run.duration or 0 for run in runs)
    sys.stdout.write(
        f"\n{len(runs)} runs on the deployed worker, whose process was killed {LAMBDA_KILLS} times: all ended "
        f"within {seconds:.0f} s, {len(again)} steps needed more than one attempt, "
        f"{repeats} effects without ctx.transact were repeated\n"
    )
    stumbled = -(-LAMBDA_RUNS // 20)
    assert len(again) > stumbled, "no step was taken from the dead"
