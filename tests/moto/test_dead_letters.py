"""The dead-letter queue: each message once, however slow the work, however the queue answers.

On the stand-in of the simulation, which takes receipt handles as seriously as SQS does.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fluxio.testing.aws import Aws, Call, FifoQueue
from fluxio.testing.platform import make_client
from fluxio_client import FluxioClient, NotNudged
from fluxio_client.cli.exits import ExitCode
from fluxio_client.dead_letters import DeadLetters
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store
from tests.moto.cli import Command, make_command
from tests.moto.pump import World

pytestmark = pytest.mark.once


@pytest.fixture
def cloud() -> Aws:
    return Aws()


def put(cloud: Aws, body: str, group: str) -> None:
    entry = {"Id": "0", "MessageBody": body, "MessageGroupId": group}
    cloud.sqs.client().send_message_batch(
        QueueUrl=cloud.dead_letters.url, Entries=[entry | {"MessageDeduplicationId": group}]
    )


def fill(cloud: Aws, client: FluxioClient, useless: int, runs: int) -> None:
    """So many messages that stay, and then so many that do not."""
    for at in range(useless):
        put(
            cloud,
            "not a nudge" if at % 2 else json.dumps({"run_id": f"gone-{at}"}),
            f"useless-{at}",
        )
    for at in range(runs):
        client.start("W", {}, run_id=f"r-{at}")
        put(cloud, json.dumps({"run_id": f"r-{at}"}), f"r-{at}")


def visible(cloud: Aws, queue: FifoQueue) -> list[str]:
    return [one.body for one in queue.messages if one.visible_at <= cloud.clock.at]


def redrive(
    cloud: Aws, client: FluxioClient, limit: int = 1000, seconds: float = 0.0
) -> tuple[int, int, int]:
    done = client.redrive_dead_letters(
        cloud.dead_letters.url, limit, seen=lambda: cloud.clock.advance(seconds)
    )
    return done.nudged, done.malformed, done.unknown


@pytest.mark.parametrize("seconds", [0, 1.5, 13, 70, 400])
@pytest.mark.parametrize(("useless", "runs"), [(3, 40), (25, 25), (40, 3), (31, 0), (0, 12)])
def test_a_redrive_that_takes_longer_than_messages_stay_hidden_counts_each_once(
    cloud: Aws, seconds: float, useless: int, runs: int
) -> None:
    client = make_client(cloud)
    fill(cloud, client, useless, runs)

    nudged, malformed, unknown = redrive(cloud, client, seconds=seconds)

    assert (nudged, malformed + unknown) == (runs, useless)
    assert len(cloud.dead_letters.messages) == useless
    assert len(visible(cloud, cloud.dead_letters)) == useless, "what stays can be read at once"


@pytest.mark.parametrize("limit", [1, 7, 10, 11, 25])
@pytest.mark.parametrize("seconds", [0, 70])
def test_no_more_than_the_limit_is_taken(cloud: Aws, limit: int, seconds: float) -> None:
    client = make_client(cloud)
    fill(cloud, client, useless=2, runs=28)

    assert sum(redrive(cloud, client, limit, seconds)) == limit

    left = [one.body for one in cloud.dead_letters.messages]
    assert len(left) == 30 - max(0, limit - 2)
    assert sorted(visible(cloud, cloud.dead_letters)) == sorted(left)
    assert sum(redrive(cloud, client)) == len(left)


def test_short_polls_that_find_nothing_by_mistake_do_not_end_it(cloud: Aws) -> None:
    """A short poll asks some of SQS's servers; a long one asks all."""

    def short_polls_are_empty(call: Call) -> dict[str, Any]:
        short = call.operation == "receive_message" and not call.arguments["WaitTimeSeconds"]
        return {} if short else call.land()

    client = make_client(cloud, short_polls_are_empty)
    fill(cloud, client, useless=3, runs=30)

    assert redrive(cloud, client) == (30, 1, 2)


@pytest.mark.parametrize("counted", [True, False], ids=["counts itself", "may not be asked"])
def test_every_other_answer_empty_by_mistake_does_not_end_it(cloud: Aws, counted: bool) -> None:
    asked = 0

    def every_other_answer_is_empty(call: Call) -> dict[str, Any]:
        nonlocal asked
        if call.operation == "get_queue_attributes" and not counted:
            raise call.error("AccessDenied")
        asked += call.operation == "receive_message"
        return {} if call.operation == "receive_message" and asked % 2 else call.land()

    client = make_client(cloud, every_other_answer_is_empty)
    fill(cloud, client, useless=3, runs=30)

    assert redrive(cloud, client) == (30, 1, 2)


def test_a_caller_who_may_not_give_back_still_hears_what_was_done(cloud: Aws) -> None:
    def no_right_to_give_back(call: Call) -> dict[str, Any]:
        if call.operation == "change_message_visibility":
            raise call.error("AccessDenied")
        return call.land()

    client = make_client(cloud, no_right_to_give_back)
    fill(cloud, client, useless=3, runs=5)

    assert redrive(cloud, client) == (5, 1, 2)
    cloud.clock.advance(3600)
    assert len(visible(cloud, cloud.dead_letters)) == 3


def test_a_redrive_that_breaks_off_gives_back_what_it_held_and_can_be_repeated(cloud: Aws) -> None:
    sent = 0

    def the_fifth_is_not_taken(call: Call) -> dict[str, Any]:
        nonlocal sent
        sent += call.operation == "send_message_batch"
        if call.operation == "send_message_batch" and sent == 5:
            raise call.error("AccessDenied")
        return call.land()

    fill(cloud, make_client(cloud), useless=3, runs=9)
    client = make_client(cloud, the_fifth_is_not_taken)

    with pytest.raises(NotNudged):
        redrive(cloud, client)
    assert len(visible(cloud, cloud.dead_letters)) == 3 + 5
    assert redrive(cloud, client) == (5, 1, 2)


def test_messages_of_one_group_are_dealt_with_together(cloud: Aws) -> None:
    client = make_client(cloud)
    for at in range(4):
        body = json.dumps({"run_id": client.start("W", {}, run_id=f"r-{at}").run_id})
        entry = {"Id": "0", "MessageBody": "hello" if at == 0 else body, "MessageGroupId": "g"}
        cloud.sqs.client().send_message_batch(
            QueueUrl=cloud.dead_letters.url, Entries=[entry | {"MessageDeduplicationId": f"{at}"}]
        )

    assert redrive(cloud, client, seconds=70) == (3, 1, 0)


@pytest.mark.parametrize("seconds", [0, 50, 130])
def test_all_can_be_deleted_however_long_each_takes(cloud: Aws, seconds: float) -> None:
    fill(cloud, make_client(cloud), useless=20, runs=20)
    deleted = 0

    with DeadLetters(Queue(cloud.sqs.client(), cloud.dead_letters.url)) as dead:
        for message in dead.messages(1000):
            cloud.clock.advance(seconds)
            dead.delete(message)
            deleted += 1

    assert deleted == 40
    assert cloud.dead_letters.messages == []


# --- the commands


@pytest.fixture
def slow(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command where each look at a run takes 20 seconds; 12 messages of runs, 5 of none."""
    read = Store.read

    def slowly(store: Store, run_id: str) -> Any:
        world.clock.advance(20)
        return read(store, run_id)

    for at in range(17):
        run_id = world.client.start("W", {}, run_id=f"r-{at}").run_id if at < 12 else f"gone-{at}"
        world.sqs.send_message(
            QueueUrl=world.dlq_url,
            MessageBody=json.dumps({"run_id": run_id}),
            MessageGroupId=run_id,
            MessageDeduplicationId=run_id,
        )
    monkeypatch.setattr(Store, "read", slowly)
    return make_command(world, capfd, monkeypatch)


def left(world: World) -> int:
    attributes = world.sqs.get_queue_attributes(QueueUrl=world.dlq_url, AttributeNames=["All"])
    return int(attributes["Attributes"]["ApproximateNumberOfMessages"])


@pytest.mark.once
def test_a_slow_list_shows_each_message_once_and_takes_none(slow: Command, world: World) -> None:
    found = slow("dlq", "list", "--json").json["messages"]

    assert sorted(one["run_id"] for one in found) == sorted(
        [f"r-{at}" for at in range(12)] + [f"gone-{at}" for at in range(12, 17)]
    )
    assert left(world) == 17
    assert len(slow("dlq", "list", "--limit", "3", "--json").json["messages"]) == 3


@pytest.mark.once
def test_a_slow_purge_deletes_what_it_says(slow: Command, world: World) -> None:
    useless = slow("dlq", "purge", "--useless", "--yes", "--json")
    assert (useless.json["deleted"], useless.json["kept"]) == (5, 12)
    assert left(world) == 12
    assert slow("dlq", "purge", "--yes", "--json", "--limit", "7").json["deleted"] == 7
    assert left(world) == 5


@pytest.mark.once
def test_a_slow_redrive_says_what_it_did(slow: Command, world: World) -> None:
    said = slow("dlq", "redrive", "--yes", "--json")

    assert said.code == ExitCode.OK
    assert (said.json["nudged"], said.json["unknown"]) == (12, 5)
    assert left(world) == 5


@pytest.mark.once
def test_a_look_that_cannot_give_back_says_how_long_messages_stay_hidden(
    slow: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(queue: Queue, *_: Any) -> None:
        message = (
            "User: kim is not authorized to perform: sqs:ChangeMessageVisibility on resource: q"
        )
        error = {"Code": "AccessDenied", "Message": message}
        raise ClientError({"Error": error}, "ChangeMessageVisibility")

    monkeypatch.setattr(Queue, "hide", denied)

    said = slow("dlq", "list")

    assert said.code == ExitCode.OK
    assert "gone-12" in said.out
    assert "denies sqs:ChangeMessageVisibility" in said.err
    assert "2 min" in said.err
