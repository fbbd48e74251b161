"""The real module, applied by real Terraform: what a user sees of it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import boto3
import pytest

from fluxio_client import FluxioClient, RunParked, RunStatus
from tests.emulator.world import Deployed, until


def test_a_second_plan_is_empty(deployed: Deployed) -> None:
    assert deployed.terraform.plan(deployed.variables) == []


def test_the_same_zips_at_another_path_are_no_change(deployed: Deployed, tmp_path: Path) -> None:
    """As in a colleague's checkout, or on a CI runner."""
    moved = {
        name: shutil.copy(deployed.variables[name], tmp_path) for name in ("package", "layer_zip")
    }
    assert deployed.terraform.plan(deployed.variables | moved) == []


def test_a_run_started_by_the_thin_client_ends_on_the_deployed_worker(client: FluxioClient) -> None:
    started = client.start("OrderFulfillment", {"order_id": "o-1", "amount": 99.0})
    assert client.get(started.run_id).workflow == "OrderFulfillment"  # readable at once

    run = client.wait(started.run_id, timeout=60)

    assert run.status is RunStatus.SUCCEEDED
    assert run.result == {"fulfillment_id": "ful_abc", "status": "fulfilled"}
    assert {step.attempt for step in run.steps.values()} == {1}
    assert run.steps["charge_card"].output == {"charge_id": "ch_abc", "charged": 99.0}


def test_queue_and_schedule_call_a_version_that_has_been_published(deployed: Deployed) -> None:
    """An update changes the function first in its settings, seconds later in its code."""
    aws, worker = deployed.clients["lambda"], deployed.outputs["worker_function_name"]
    queue = deployed.outputs["queue_url"].rpartition("/")[2]
    alias = aws.get_alias(FunctionName=worker, Name="live")
    called = {
        mapping["FunctionArn"]
        for mapping in aws.list_event_source_mappings()["EventSourceMappings"]
        if mapping["EventSourceArn"].endswith(queue)
    }
    schedule = boto3.client("scheduler").get_schedule(Name=worker.replace("worker", "sweep"))

    assert alias["FunctionVersion"].isdecimal()
    assert called | {schedule["Target"]["Arn"]} == {alias["AliasArn"]}


def test_many_runs_at_once_all_end_and_are_listed(client: FluxioClient) -> None:
    started = [client.start("Chain", {"n": n}).run_id for n in range(30)]

    results = [client.wait(run_id, timeout=120).result for run_id in started]

    assert results == [{"n": n + 6} for n in range(30)]
    listed, page = [], None
    while True:
        found = client.list("Chain", status="SUCCEEDED", limit=7, page=page)
        listed += [run.run_id for run in found.runs]
        if (page := found.next_page) is None:
            break
    assert len(listed) == len(set(listed))
    assert set(started) <= set(listed)


def test_an_unknown_workflow_fails_its_run_and_says_so(client: FluxioClient) -> None:
    run = client.wait(client.start("Refund", {}).run_id, timeout=60)

    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert "no workflow 'Refund'" in run.error.message
    assert "OrderFulfillment" in run.error.message


def test_a_workflow_whose_module_is_missing_parks_its_run_and_says_so(client: FluxioClient) -> None:
    started = client.start("Broken", {})

    with pytest.raises(RunParked, match=r"no module 'shop\.nowhere'"):
        client.wait(started.run_id, timeout=60)


def test_a_message_that_is_not_a_nudge_ends_in_the_dead_letter_queue(deployed: Deployed) -> None:
    sqs = deployed.clients["sqs"]
    sqs.send_message(
        QueueUrl=deployed.outputs["queue_url"],
        MessageBody="not json",
        MessageGroupId="by-hand",
        MessageDeduplicationId="by-hand",
    )

    def dead() -> list[dict[str, Any]]:
        answer = sqs.receive_message(QueueUrl=deployed.outputs["dlq_url"], WaitTimeSeconds=1)
        messages: list[dict[str, Any]] = answer.get("Messages", [])
        return messages

    messages = until(dead, 90, "the message in the dead-letter queue")
    assert [message["Body"] for message in messages] == ["not json"]


def test_the_deployed_worker_sweeps_when_the_schedule_asks(deployed: Deployed) -> None:
    answer = deployed.clients["lambda"].invoke(
        FunctionName=deployed.outputs["worker_function_name"],
        Payload=json.dumps({"fluxio": "sweep"}),
    )

    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    assert set(payload) == {"nudged", "latest_ms"}
