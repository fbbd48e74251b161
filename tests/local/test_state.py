"""What `fluxio dev` has answered is in its file, whenever its process is killed."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from pathlib import Path
from typing import Any, ClassVar

import pytest
from botocore.exceptions import ClientError

from fluxio import step, workflow
from fluxio.deployment import Deployment
from fluxio.local.aws import TABLE, LocalAws
from fluxio.local.clock import LocalClock
from fluxio.local.recovery import put_back
from fluxio.local.state import State, StateError, remove
from fluxio.local.workers import Invocation
from fluxio.retry import ATTEMPTS_UNDER_CRASHES
from fluxio.services import Services
from fluxio.testing.death import Death
from fluxio.testing.platform import Workflows, acknowledged, logging_to, records_of, unheard
from fluxio.worker import Worker
from fluxio_client import FluxioClient, RunStatus
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store
from tests.local.world import Time, services
from tests.simulation.conformance import Backend

pytestmark = pytest.mark.once


@pytest.fixture
def backend(aws: LocalAws) -> Backend:
    return Backend(aws.dynamodb, aws.sqs, TABLE, aws.queue.url, aws.dead_letters.url)


@pytest.fixture
def killed(tmp_path: Path, time: Time, clock: LocalClock, request: pytest.FixtureRequest) -> Any:
    """The services of a process that starts on what the one before has left when it was killed just now."""
    copies = []

    def start() -> LocalAws:
        copy = tmp_path / f"copy-{len(copies)}"
        copy.mkdir()
        for file in tmp_path.glob("dev.sqlite*"):
            shutil.copy(file, copy / file.name)
        aws = services(copy / "dev.sqlite", time, clock)
        copies.append(aws)
        request.addfinalizer(aws.close)
        return aws

    return start


def messages(aws: LocalAws) -> list[list[tuple[Any, ...]]]:
    return [
        [(one.message_id, one.body, one.group, one.received) for one in queue.messages]
        for queue in (aws.queue, aws.dead_letters)
    ]


def write_in_every_way(at: Backend) -> Any:
    """Calls that write, one after the other."""
    one, other = at.fresh(), at.fresh()
    yield at.put(one, status="PENDING", steps={"a": {"attempt": 0}})
    yield at.update(one, "SET #0=:new", names={"#0": "status"}, new="RUNNING")
    put = {"TableName": at.table, "Item": at.key(other) | {"blob": {"B": b"\x00\xff"}}}
    delete = {"TableName": at.table, "Key": at.key(one)}
    yield at.dynamodb.transact_write_items(TransactItems=[{"Put": put}, {"Delete": delete}])
    yield at.dynamodb.delete_item(TableName=at.table, Key=at.key(other))
    yield at.send("g", "1", "2", "3")
    first, second = at.receive(2)
    yield first
    yield at.delete(first)
    yield at.hide(second, 0)
    for _ in range(10):
        yield [at.hide(message, 0) for message in at.receive()]
    yield at.receive()  # the dead-letter queue has them now
    yield at.send("h", "1", "1")


def test_each_answered_write_is_found_by_the_process_after_a_kill(
    backend: Backend, aws: LocalAws, killed: Any
) -> None:
    for written, _ in enumerate(write_in_every_way(backend)):
        found = killed()
        assert found.table.items == aws.table.items, written
        assert messages(found) == messages(aws), written
        assert found.queue.seen == aws.queue.seen, written
    assert len(aws.dead_letters.messages) == 2


def test_a_message_that_was_being_handled_is_there_again_and_one_that_waits_is_not(
    backend: Backend, killed: Any
) -> None:
    backend.send("held", "1")
    backend.send("waits", "1")
    held, waits = backend.receive()
    backend.hide(waits, 600)
    found = killed()
    again = found.sqs.receive_message(QueueUrl=found.queue.url, MaxNumberOfMessages=10)
    (message,) = again["Messages"]
    assert message["MessageId"] == held["MessageId"]
    assert message["Attributes"]["ApproximateReceiveCount"] == "2"


def test_what_is_sent_again_to_the_process_after_a_kill_is_done_once(
    backend: Backend, aws: LocalAws, killed: Any
) -> None:
    update = {
        "TableName": TABLE,
        "Key": backend.key("counter"),
        "UpdateExpression": "ADD n :one",
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    call = {"TransactItems": [{"Update": update}], "ClientRequestToken": "the-same"}
    aws.dynamodb.transact_write_items(**call)
    backend.send("g", "1")
    found = killed()
    found.dynamodb.transact_write_items(**call)
    Backend(found.dynamodb, found.sqs, TABLE, found.queue.url, found.dead_letters.url).send(
        "g", "1"
    )
    assert found.table.items["counter", "run"]["n"] == {"N": "1"}
    assert len(found.queue.messages) == 1


def test_a_write_that_could_not_be_put_down_is_not_answered_and_not_lost_for_the_next(
    backend: Backend, aws: LocalAws, killed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = State.commit

    def full(*_: Any) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(State, "commit", full)
    with pytest.raises(ClientError, match="disk is full"):
        backend.put("first")
    monkeypatch.setattr(State, "commit", commit)
    backend.put("second")
    assert killed().table.items.keys() == {("first", "run"), ("second", "run")}


@workflow
class Fragile:
    died: ClassVar[int] = 0

    @step
    def work(self) -> str:
        if Fragile.died > 0:
            Fragile.died -= 1
            raise Death
        return "done"


def deliver(aws: LocalAws) -> None:
    """Hand the messages there are to a fresh worker, until there are none or it dies."""
    store, queue = Store(aws.dynamodb, TABLE), Queue(aws.sqs, aws.queue.url)
    deployment = Deployment(Workflows.of(Fragile), store, 10)  # type: ignore[arg-type]
    worker = Worker(Services(store, queue, deployment, aws.clock.now), 120_000)
    with logging_to(unheard):
        while records := records_of(aws.sqs.receive_message(QueueUrl=aws.queue.url)):
            done = worker.handle({"Records": records}, Invocation.of(aws.clock, 120))
            for record in acknowledged(records, done):
                handle = record["receiptHandle"]
                aws.sqs.delete_message(QueueUrl=aws.queue.url, ReceiptHandle=handle)


def start(aws: LocalAws) -> FluxioClient:
    client = FluxioClient(
        TABLE, aws.queue.url, dynamodb=aws.dynamodb, sqs=aws.sqs, now=aws.clock.now
    )
    client.start("Fragile", run_id="r")
    return client


def test_a_step_that_was_running_runs_again_at_once(
    aws: LocalAws, killed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Fragile, "died", 1)
    start(aws)
    with pytest.raises(Death):
        deliver(aws)
    found = killed()
    assert put_back(found) == (["r"], ["work of r"])
    deliver(found)
    run = Store(found.dynamodb, TABLE).read("r")
    assert run is not None
    assert run.status is RunStatus.SUCCEEDED
    assert run.steps["work"].attempt == 2


def test_a_step_that_ends_its_process_each_time_is_given_up(
    aws: LocalAws, killed: Any, monkeypatch: pytest.MonkeyPatch, time: Time, tmp_path: Path
) -> None:
    monkeypatch.setattr(Fragile, "died", 100)
    client = start(aws)
    for _ in range(ATTEMPTS_UNDER_CRASHES - 1):
        with pytest.raises(Death):
            deliver(aws)
        for message in aws.queue.messages:
            message.visible_at = time.at  # as the next process finds it
        assert put_back(aws) == (["r"], ["work of r"])
    with pytest.raises(Death):
        deliver(aws)
    assert put_back(aws) == (["r"], [])
    time.at += 200_000  # the lease expires
    deliver(aws)
    run = client.get("r")
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error.type == "WorkerLost"


def test_two_processes_do_not_share_a_state(tmp_path: Path, aws: LocalAws) -> None:
    with pytest.raises(StateError, match="another `fluxio dev` is running"):
        State(tmp_path / "dev.sqlite")


def test_the_owner_alone_reads_the_state(tmp_path: Path, aws: LocalAws, backend: Backend) -> None:
    backend.put("r", secret="private")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("dev.sqlite*")}
    assert {"dev.sqlite", "dev.sqlite-wal"} <= modes.keys()
    assert set(modes.values()) == {0o600}


@pytest.mark.parametrize("content", [b"not a database", b"x" * 5000])
def test_a_file_that_is_no_state_is_refused_and_left_as_it_is(
    content: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "notes.txt"
    file.write_bytes(content)
    with pytest.raises(StateError, match="--reset"):
        State(file)
    assert file.read_bytes() == content


def test_a_state_of_another_form_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dev.sqlite"
    State(file).close()
    other = sqlite3.connect(file)
    other.execute("PRAGMA user_version=99")
    other.close()
    with pytest.raises(StateError, match="form 99"):
        State(file)
    remove(file)
    State(file).close()


def test_items_whose_time_is_over_go(backend: Backend, killed: Any, time: Time) -> None:
    backend.put("old", ttl=time.at // 1000 + 10)
    backend.put("new", ttl=time.at // 1000 + 1000)
    time.at += 100_000
    assert killed().table.items.keys() == {("new", "run")}
