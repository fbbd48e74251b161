"""A schedule of the module starts one run each time, however often its message comes, whatever fails."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from fluxio import step, workflow
from fluxio_client import RunStatus
from fluxio_protocol.queue import Nudge, Queue
from tests.moto.cli import make_command
from tests.moto.pump import Calls, Killed, World

pytestmark = pytest.mark.once

RUN = "nightly-2026-11-25T02:00:00Z"
NUDGE = Nudge(RUN, "Report", input_json='{"region":"eu"}')

made: list[str] = []


@workflow
class Report:
    @step
    def make(self, region: str) -> str:
        made.append(region)
        return f"report of {region}"


@pytest.fixture(autouse=True)
def none_made() -> None:
    made.clear()


def fire(world: World, occasion: str = "") -> None:
    """The message comes; with an occasion, once more, as after SQS's five minutes."""
    Queue(world.sqs, world.queue_url).send([NUDGE._replace(occasion=occasion)])


def test_a_schedule_starts_a_run_whose_id_is_its_time(world: World) -> None:
    fire(world)
    world.pump(Report).drain()
    run = world.client.get(RUN)
    assert (run.status, run.workflow) == (RunStatus.SUCCEEDED, "Report")
    assert (run.input, run.result) == ({"region": "eu"}, "report of eu")


def test_it_starts_one_run_however_often_its_message_comes(world: World) -> None:
    pump = world.pump(Report)
    for occasion in ("", "again", "and-again"):
        fire(world, occasion)
        pump.drain()
    assert made == ["eu"]


def test_a_run_of_that_id_that_is_there_already_is_left_as_it_is(world: World) -> None:
    world.client.start("Report", {"region": "us"}, run_id=RUN)
    fire(world, "once")
    world.pump(Report).drain()
    assert world.client.get(RUN).result == "report of us"
    assert made == ["us"]


def test_a_start_that_dynamodb_does_not_take_is_tried_again(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, tries = world.dynamodb.put_item, []

    def unreachable_at_first(**arguments: Any) -> Any:
        tries.append(arguments)
        if len(tries) <= 12:
            raise EndpointConnectionError(endpoint_url="https://dynamodb")
        return put(**arguments)

    monkeypatch.setattr(world.dynamodb, "put_item", unreachable_at_first)
    fire(world)
    world.pump(Report).pass_time(1800, step=5)
    assert len(tries) > 12, "more often than the dead-letter queue lets a message be received"
    assert world.client.get(RUN).status is RunStatus.SUCCEEDED
    assert made == ["eu"]


def test_a_worker_that_dies_after_the_start_loses_no_run(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    put, deaths = world.dynamodb.put_item, []

    def die_once(**arguments: Any) -> Any:
        answer = put(**arguments)
        if not deaths:
            deaths.append(1)
            raise Killed
        return answer

    monkeypatch.setattr(world.dynamodb, "put_item", die_once)
    fire(world)
    world.pump(Report).pass_time(300, step=10)
    assert deaths
    assert made == ["eu"]
    assert world.client.get(RUN).status is RunStatus.SUCCEEDED


def test_a_start_costs_one_write_more_than_the_run_itself(world: World, calls: Calls) -> None:
    pump = world.pump(Report)
    for run_id in ("that-stores-the-graph", "by-hand"):
        world.client.start("Report", {"region": "eu"}, run_id=run_id)
        calls.reset()
        pump.drain()
    by_hand = calls.writes
    fire(world)
    calls.reset()
    pump.drain()
    assert calls.writes == by_hand + 1


def test_a_message_in_the_dead_letter_queue_starts_its_run_when_it_is_redriven(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Queue(world.sqs, world.dlq_url).send([NUDGE])
    invoke = make_command(world, capfd, monkeypatch)
    (letter,) = json.loads(invoke("dlq", "list", "--json").out)["messages"]
    assert (letter["run_id"], letter["run"], letter["malformed"]) == (RUN, None, None)
    assert "0 messages deleted, 1 kept" in invoke("dlq", "purge", "--useless", "--yes").out
    assert world.client.redrive_dead_letters(world.dlq_url).nudged == 1
    world.pump(Report).drain()
    assert world.client.get(RUN).result == "report of eu"
