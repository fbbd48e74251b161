"""docs/operations.md: a deployment is broken, and found out about and mended by the page alone.

Each section of the page has a situation here. Its commands are read from the page and pasted into a shell, in
their order; nothing else mends anything. A section without a situation fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest

from dev.package import package
from fluxio_client import FluxioClient, RunStatus
from fluxio_client.client import now_ms
from tests.emulator.test_deployment import eventually
from tests.emulator.world import Deployed, Scratch
from tests.runbook import Command, sections

NAME = "fluxio-test"
WORKER = f"{NAME}-worker"
SETTINGS = "once-in-each-shell"
DEPLOYING = "deploying-by-hand"
ORDER = {"order_id": "o-1", "amount": 99.0}

WORKFLOWS = """
from fluxio import step, workflow

@workflow
class OrderFulfillment:
    @step
    def validate_payment(self, order_id: str) -> dict:
        return {{"token": "tok"}}

    @step(depends_on=["validate_payment"])
    def charge_card(self, token: str) -> dict:
        {charge}
"""
NOWHERE = """
from fluxio import step, workflow

@workflow
class Broken:
    @step
    def mend(self) -> dict:
        return {}
"""
MANIFEST = """
[fluxio.workflows]
OrderFulfillment = shop.workflows:OrderFulfillment
Broken = shop.nowhere:Broken
"""

pytestmark = pytest.mark.skipif(
    not (shutil.which("aws") and shutil.which("bash")),
    reason="the page's commands need the AWS CLI and bash",
)


class Night:
    """A deployment that gets broken, and somebody who has nothing but the page.

    Args:
        deployed: the deployment.
        scratch: a queue that no worker takes from: whoever nudges there loses the nudge.
        shell: the environment after the page's settings.
        folder: where the commands are pasted.
        undo: what is called in the end, whatever happens.
        hello: the id of a message that is no nudge.
    """

    def __init__(
        self,
        deployed: Deployed,
        scratch: Scratch,
        shell: Mapping[str, str],
        folder: Path,
        undo: ExitStack,
        hello: str,
    ) -> None:
        self.deployed = deployed
        self.client = FluxioClient(deployed.outputs["table_name"], deployed.outputs["queue_url"])
        self.scratch = scratch
        self.folder = folder
        self.undo = undo
        self.hello = hello
        self.lambda_ = deployed.clients["lambda"]
        self._shell = {**shell, "RUN": "none", "WORKFLOW": "OrderFulfillment"}

    # --- what the person does

    def look(self, anchor: str, **variables: str) -> str:
        """Paste what the section has for looking; returns all that was printed."""
        return self._paste(sections()[anchor].look, variables)

    def mend(self, anchor: str, **variables: str) -> str:
        """Paste what the section has for mending."""
        return self._paste(sections()[anchor].mend, variables)

    def _paste(self, commands: list[Command], variables: Mapping[str, str]) -> str:
        said = ""
        for command in commands:
            if not command.runs:
                continue
            shell = [sys.executable, "-c"] if command.python else ["bash", "-c"]
            done = subprocess.run(
                [*shell, command.text],
                cwd=self.folder,
                env={**self._shell, **variables},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=60,
            )
            said += f"$ {command.text}\n{done.stdout}{done.stderr}"
            # Doctor's 5 says that it has found something, which it is asked for.
            fine = {0, 5} if command.text.startswith("fluxio doctor") else {0}
            assert done.returncode in fine, said
        sys.stdout.write(said)  # a failing test shows it
        return said

    # --- what has happened before

    def run(
        self, run_id: str, workflow: str = "OrderFulfillment", ago: int = 0, lost: bool = False
    ) -> str:
        """Start a run so many minutes ago; with its nudge lost, no worker hears of it."""
        queue = self.scratch.queue_url if lost else self.deployed.outputs["queue_url"]
        table = self.deployed.outputs["table_name"]
        client = FluxioClient(table, queue, now=lambda: now_ms() - 60_000 * ago)
        return client.start(workflow, ORDER, run_id=f"{run_id}-{uuid4().hex[:4]}").run_id

    def until(self, run_id: str, status: RunStatus) -> None:
        """Wait until the run has a status."""
        eventually(lambda: self.client.get(run_id).status is status, 60, f"{run_id} is {status}")

    def release(self, charge: str = "return {}") -> Path:
        """The source of a version of the steps, as it lies in somebody's folder."""
        steps = self.folder / "steps"
        shutil.rmtree(steps, ignore_errors=True)
        (steps / "shop").mkdir(parents=True)
        (steps / "shop" / "__init__.py").touch()
        (steps / "shop" / "workflows.py").write_text(WORKFLOWS.format(charge=charge))
        (steps / "shop" / "nowhere.py").write_text(NOWHERE)
        (steps / "entry_points.txt").write_text(MANIFEST)
        return steps

    def deploy_what_is_wrong(self) -> None:
        """A version whose card step raises; in the folder lies what somebody has mended it to."""
        steps = self.release('raise ValueError("the card network says no")')
        self.will_deploy_again()
        self._deploy(package(steps, self.folder / "wrong.zip", ["shop", "entry_points.txt"]))
        self.release()

    def will_deploy_again(self) -> None:
        """Whatever gets deployed now, in the end it is what Terraform has deployed."""
        self.undo.callback(self._deploy, Path(self.deployed.variables["package"]))

    def _deploy(self, zip_path: Path) -> None:
        self.lambda_.update_function_code(FunctionName=WORKER, ZipFile=zip_path.read_bytes())

    def switch_off_the_mapping(self) -> None:
        (mapping,) = self.lambda_.list_event_source_mappings(FunctionName=WORKER)[
            "EventSourceMappings"
        ]
        self.undo.callback(
            self.lambda_.update_event_source_mapping, UUID=mapping["UUID"], Enabled=True
        )
        self.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    def sweep(self) -> bool:
        """What the schedule does each minute; whether the worker broke."""
        answer = self.lambda_.invoke(FunctionName=WORKER, Payload=b'{"fluxio": "sweep"}')
        return "FunctionError" in answer

    def raise_alarm(self, name: str) -> None:
        """What CloudWatch does when the metrics say so; that they do is test_monitoring's."""
        cloudwatch = boto3.client("cloudwatch")

        def put(state: str) -> None:
            cloudwatch.set_alarm_state(
                AlarmName=f"{NAME}-{name}", StateValue=state, StateReason="a test says so"
            )

        put("ALARM")
        self.undo.callback(put, "OK")


@pytest.fixture(scope="module")
def hello(deployed: Deployed) -> str:
    """The id of a message that is no nudge: ten receipts take it to the dead letters, while others go on."""
    deployed.clients["sqs"].purge_queue(QueueUrl=deployed.outputs["dlq_url"])
    sent = deployed.clients["sqs"].send_message(
        QueueUrl=deployed.outputs["queue_url"],
        MessageBody="hello",
        MessageGroupId="batch-import",
        MessageDeduplicationId=uuid4().hex,
    )
    return str(sent["MessageId"])


@pytest.fixture(scope="module")
def shell(deployed: Deployed) -> dict[str, str]:
    """The environment that the page's settings make."""
    lines = [command.text for command in sections()[SETTINGS].look if command.runs]
    tools = [str(Path(sys.executable).parent), os.environ["PATH"]]
    environment = {**os.environ, "NAME": NAME, "COLUMNS": "110", "PATH": os.pathsep.join(tools)}
    done = subprocess.run(
        ["bash", "-c", "\n".join(["set -e", *lines, "env -0"])],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    found = dict(line.split("=", 1) for line in done.stdout.split("\0") if line)
    assert found["FLUXIO_TABLE_NAME"] == deployed.outputs["table_name"]
    assert found["FLUXIO_QUEUE_URL"].endswith(deployed.outputs["queue_url"].rpartition("/")[2])
    return found


@pytest.fixture
def night(
    deployed: Deployed, scratch: Scratch, shell: dict[str, str], hello: str, tmp_path: Path
) -> Iterator[Night]:
    """A deployment to break; at the end it is as the module makes it."""
    with ExitStack() as undo:
        yield Night(deployed, scratch, shell, tmp_path, undo, hello)


# --- the situations, by the anchors of their sections


def settings(night: Night) -> None:
    """The fixture `shell` has pasted them."""


def begin(night: Night) -> None:
    failed, parked = night.run("night-1", "Missing"), night.run("night-2", "Broken")
    night.until(failed, RunStatus.FAILED)
    night.until(parked, RunStatus.WAITING)
    night.raise_alarm("runs-failed")
    night.raise_alarm("runs-parked")
    began = time.monotonic()

    said = night.look("the-composite-alarm-where-to-begin-within-a-minute")

    assert time.monotonic() - began < 60
    assert f"{NAME}-runs-failed\t{NAME}-runs-parked" in said
    assert failed in said
    assert "no workflow 'Missing'" in said
    assert parked in said
    assert "no module 'shop.nowhere'" in " ".join(said.split())


def dlq_not_empty(night: Night) -> None:
    run_id = night.run("night-1", lost=True)
    dlq, sqs = night.deployed.outputs["dlq_url"], night.deployed.clients["sqs"]
    sqs.send_message(
        QueueUrl=dlq,
        MessageBody=json.dumps({"run_id": run_id}),
        MessageGroupId=run_id,
        MessageDeduplicationId=run_id,
    )

    def dead() -> bool:
        found = sqs.get_queue_attributes(QueueUrl=dlq, AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]) >= 2

    eventually(dead, 60, "both dead letters")

    said = night.look("dlq_not_empty", MESSAGE=night.hello)
    assert run_id in said
    assert "no nudge" in said
    assert "body          hello" in said
    assert "message refused" in said
    assert night.client.get(run_id).status is RunStatus.PENDING

    said = night.mend("dlq_not_empty")
    assert "1 message sent on and deleted" in said
    assert "the dead-letter queue is empty" in said
    night.until(run_id, RunStatus.SUCCEEDED)


def oldest_nudge(night: Night) -> None:
    night.switch_off_the_mapping()
    run_id = night.run("night-1")

    said = night.look("oldest_nudge")
    assert "Disabled: runs stand still" in said
    assert run_id in said
    assert "no worker has opened it yet" in said

    night.mend("oldest_nudge")
    night.until(run_id, RunStatus.SUCCEEDED)


def worker_errors(night: Night) -> None:
    found = night.lambda_.get_function_configuration(FunctionName=WORKER)["Environment"]
    variables = found["Variables"]

    def put(table: str) -> None:
        night.lambda_.update_function_configuration(
            FunctionName=WORKER, Environment={"Variables": variables | {"FLUXIO_TABLE_NAME": table}}
        )

    put("orders-old")
    night.undo.callback(put, f"{NAME}-runs")
    run_id = night.run("night-1", ago=6, lost=True)
    assert night.sweep(), "the worker does not break"

    said = night.look("worker_errors")
    assert "its FLUXIO_TABLE_NAME is orders-old" in said
    assert "there is no table 'orders-old'" in said

    said = night.mend("worker_errors")
    assert "None\n" in said
    assert '"nudged": 1' in said
    night.until(run_id, RunStatus.SUCCEEDED)


def worker_throttles(night: Night) -> None:
    night.lambda_.put_function_concurrency(FunctionName=WORKER, ReservedConcurrentExecutions=0)
    night.undo.callback(night.lambda_.delete_function_concurrency, FunctionName=WORKER)

    said = night.look("worker_throttles")
    assert "its reserved concurrency is 0" in said

    night.mend("worker_throttles")
    found = night.lambda_.get_function_concurrency(FunctionName=WORKER)
    assert "ReservedConcurrentExecutions" not in found


def worker_duration(night: Night) -> None:
    run_id = night.run("night-1")
    night.until(run_id, RunStatus.SUCCEEDED)
    unwanted = night.run("night-2", lost=True)

    assert "charge_card" in night.look("worker_duration", RUN=run_id)

    assert "CANCELLED" in night.mend("worker_duration", RUN=unwanted)


def runs_failed(night: Night) -> None:
    night.deploy_what_is_wrong()
    run_id = night.run("night-1")
    night.until(run_id, RunStatus.FAILED)

    said = night.look("runs_failed", RUN=run_id)
    assert "charge_card" in said
    assert "ValueError: the card network says no" in said
    assert '"order_id": "o-1"' in said

    night.look(DEPLOYING)
    assert "SUCCEEDED" in night.mend("runs_failed", RUN=run_id)
    assert night.client.get(run_id).steps["validate_payment"].attempt == 1


def runs_parked(night: Night) -> None:
    run_id = night.run("night-2", "Broken")
    night.until(run_id, RunStatus.WAITING)

    said = night.look("runs_parked", RUN=run_id)
    assert said.count(run_id) > 2
    assert "no module 'shop.nowhere'" in " ".join(said.split())

    night.release()
    night.will_deploy_again()
    night.look(DEPLOYING)
    assert "SUCCEEDED" in night.mend("runs_parked", RUN=run_id, WORKFLOW="Broken")


def runs_stuck(night: Night) -> None:
    night.switch_off_the_mapping()
    run_id = night.run("night-3", ago=20, lost=True)
    night.sweep()

    def logged() -> bool:
        found = night.deployed.clients["logs"].filter_log_events(
            logGroupName=f"/aws/lambda/{WORKER}", filterPattern='"run stuck"'
        )["events"]
        return any(run_id in event["message"] for event in found)

    eventually(logged, 30, "the sweep's line")
    # The nudge of this sweep is lost as well; else the run would go on by itself when the cause is gone.
    sqs = night.deployed.clients["sqs"]
    sqs.purge_queue(QueueUrl=night.deployed.outputs["queue_url"])

    said = night.look("runs_stuck", RUN=run_id)
    assert f'"message": "run stuck", "run_id": "{run_id}"' in said
    assert "no worker has opened it yet" in said
    assert "Disabled: runs stand still" in said

    night.mend("oldest_nudge")
    assert "SUCCEEDED" in night.mend("runs_stuck", RUN=run_id)


def sweep_silent(night: Night) -> None:
    scheduler = boto3.client("scheduler")
    schedule = scheduler.get_schedule(Name=f"{NAME}-sweep")
    kept = (
        "Name",
        "GroupName",
        "Description",
        "ScheduleExpression",
        "FlexibleTimeWindow",
        "Target",
    )
    whole = {key: schedule[key] for key in kept}
    night.undo.callback(scheduler.update_schedule, **whole, State="ENABLED")
    scheduler.update_schedule(**whole, State="DISABLED")
    run_id = night.run("night-1", ago=6, lost=True)

    said = night.look("sweep_silent")
    assert f"{NAME}-sweep is DISABLED" in said
    assert said.endswith("DISABLED\n")

    assert '"nudged": 1' in night.mend("sweep_silent")
    after = scheduler.get_schedule(Name=f"{NAME}-sweep")
    changing = {"State", "LastModificationDate", "ResponseMetadata"}
    assert after["State"] == "ENABLED"
    assert {key: after[key] for key in {*after} - changing} == {
        key: schedule[key] for key in {*schedule} - changing
    }
    night.until(run_id, RunStatus.SUCCEEDED)


def table_throttled(night: Night) -> None:
    # MiniStack never throttles: the commands are run, and show a table at rest.
    assert "PAY_PER_REQUEST" in night.look("table_throttled")


def deploying(night: Night) -> None:
    """Pasted by those whose runs wait for a mended package."""


def everything(night: Night) -> None:
    run_id = night.run("night-1")
    night.until(run_id, RunStatus.SUCCEEDED)

    said = night.look("everything-about-one-run-and-the-log", RUN=run_id)
    assert '"fulfillment_id": "ful_abc"' in said
    assert '"message": "run succeeded"' in said


SITUATIONS: dict[str, Callable[[Night], Any]] = {
    SETTINGS: settings,
    "the-composite-alarm-where-to-begin-within-a-minute": begin,
    "dlq_not_empty": dlq_not_empty,
    "oldest_nudge": oldest_nudge,
    "worker_errors": worker_errors,
    "worker_throttles": worker_throttles,
    "worker_duration": worker_duration,
    "runs_failed": runs_failed,
    "runs_parked": runs_parked,
    "runs_stuck": runs_stuck,
    "sweep_silent": sweep_silent,
    "table_throttled": table_throttled,
    DEPLOYING: deploying,
    "everything-about-one-run-and-the-log": everything,
}


@pytest.mark.parametrize(
    "anchor", [anchor for anchor, section in sections().items() if section.look or section.mend]
)
def test_whoever_follows_the_page_finds_and_mends_what_is_broken(anchor: str, night: Night) -> None:
    SITUATIONS[anchor](night)
