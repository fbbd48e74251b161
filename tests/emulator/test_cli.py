"""`fluxio` as a user has it: a process of its own, on the module that Terraform applied."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.emulator.world import Deployed

FLUXIO = Path(sys.executable).with_name("fluxio")
ORDER = '{"order_id": "o-1", "amount": 99.0}'


class Said(NamedTuple):
    """What a process left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out)


Fluxio = Callable[..., Said]


@pytest.fixture
def fluxio(deployed: Deployed) -> Fluxio:
    """Runs the command on the deployment, without a terminal."""
    environment = {
        **os.environ,
        "COLUMNS": "100",
        "FLUXIO_TABLE_NAME": deployed.outputs["table_name"],
        "FLUXIO_QUEUE_URL": deployed.outputs["queue_url"],
    }

    def run(*arguments: str, stdin: str = "", **more: str) -> Said:
        done = subprocess.run(
            [FLUXIO, *arguments],
            env=environment | more,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=120,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="module")
def order(deployed: Deployed) -> str:
    """The id of a run that this module's tests look at."""
    return f"cli-{os.getpid()}"


def test_start_waits_for_the_worker_and_shows_what_it_did(fluxio: Fluxio, order: str) -> None:
    said = fluxio("start", "OrderFulfillment", "-i", "-", "--run-id", order, "--wait", stdin=ORDER)

    assert said.code == 0, said.err
    assert said.out.startswith(f"OrderFulfillment {order}  SUCCEEDED")
    assert '"fulfillment_id": "ful_abc"' in said.out


def test_show_says_in_which_instance_of_the_worker_each_step_ran(
    fluxio: Fluxio, order: str
) -> None:
    fluxio("start", "OrderFulfillment", "-i", ORDER, "--run-id", order, "--wait")

    record = fluxio("show", order, "--json").json

    assert [step["status"] for step in record["steps"]] == ["SUCCEEDED"] * 5
    assert all(step["ran_in"] for step in record["steps"])
    assert record["steps"][4]["depends_on"] == [
        "charge_card",
        "reserve_inventory",
        "send_confirmation",
    ]


def test_list_timeline_and_graph_show_the_run(fluxio: Fluxio, order: str, tmp_path: Path) -> None:
    fluxio("start", "OrderFulfillment", "-i", ORDER, "--run-id", order, "--wait")

    listed = fluxio("list", "OrderFulfillment", "--since", "1h", "--json").json["runs"]
    picture = tmp_path / "order.svg"

    assert order in {run["run_id"] for run in listed}
    assert "fulfill_order" in fluxio("timeline", order).out
    assert fluxio("graph", order, "-o", str(picture)).code == 0
    assert picture.read_text().count("SUCCEEDED") >= 5


def test_cost_reads_what_the_deployed_worker_has_logged(fluxio: Fluxio, order: str) -> None:
    fluxio("start", "OrderFulfillment", "-i", ORDER, "--run-id", order, "--wait")
    deadline = time.monotonic() + 30
    while (said := fluxio("cost", order, "--json")).code and time.monotonic() < deadline:
        time.sleep(0.5)  # the worker's line comes a moment after the run's end

    counted = said.json["per_run"]
    assert 5 <= counted["writes"] <= 9  # the fewer, the more branches end together
    assert counted["invocations"] >= 1
    assert counted["milliseconds"] > 0
    assert said.json["fluxio"]["dollars_per_million_runs"] < 150


def test_doctor_finds_nothing_wrong_with_what_the_module_makes(fluxio: Fluxio) -> None:
    for run in fluxio("list", "--status", "waiting", "--json").json["runs"]:
        fluxio("cancel", run["run_id"], "--yes")
    # A message that another test sent may reach the dead-letter queue only now, or be hidden there.
    deadline = time.monotonic() + 60
    while True:
        fluxio("dlq", "purge", "--yes")
        said = fluxio("doctor")
        if "FAIL  dlq" not in said.out or time.monotonic() > deadline:
            break

    assert said.code == 0, said.out
    assert said.out.splitlines()[-1].endswith("0 WARN, 0 FAIL"), said.out


def test_dead_letters_are_seen_sent_on_and_deleted(
    fluxio: Fluxio, deployed: Deployed, order: str
) -> None:
    fluxio("start", "OrderFulfillment", "-i", ORDER, "--run-id", order, "--wait")
    for body in (json.dumps({"run_id": order}), "no nudge"):
        deployed.clients["sqs"].send_message(
            QueueUrl=deployed.outputs["dlq_url"],
            MessageBody=body,
            MessageGroupId=body[:8],
            MessageDeduplicationId=f"{order}-{time.monotonic_ns()}",
        )

    looked = [fluxio("dlq", "list", "--json").json["messages"] for _ in range(2)]
    assert [len(messages) for messages in looked] == [2, 2]
    assert fluxio("dlq", "show", order).code == 0
    assert fluxio("doctor").code == 5
    assert fluxio("dlq", "redrive", "--json").json["nudged"] == 1
    assert fluxio("dlq", "purge", "--useless", "--yes", "--json").json["deleted"] == 1
    assert fluxio("dlq", "list", "--json").json["messages"] == []


def test_what_cannot_be_reached_is_one_line_and_exit_code_7(fluxio: Fluxio) -> None:
    said = fluxio("show", "o-1", AWS_ENDPOINT_URL="http://127.0.0.1:9")

    assert said.code == 7
    assert said.err.startswith("error: AWS cannot be reached")
    assert said.err.count("\n") == 1


def test_what_would_ask_does_not_hang_without_a_terminal(fluxio: Fluxio) -> None:
    said = fluxio("dlq", "purge")

    assert said.code == 2
    assert "--yes" in said.err
