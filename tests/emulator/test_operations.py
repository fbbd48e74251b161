"""docs/operations.md: a deployment is broken, and found out about and mended by the page alone.

Each section of the page has a situation here. Its commands are read from the page and pasted into a shell, in
their order; nothing else mends anything. A section without a situation fails.
"""

from __future__ import annotations

import json
import os
import re
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
from fluxio_protocol import changes
from fluxio_protocol.clock import now_ms
from fluxio_protocol.store import Store
from tests.emulator.world import Deployed, Scratch, put_into_force, until
from tests.runbook import Command, sections

NAME = "fluxio-test"
WORKER = f"{NAME}-worker"
LIVE = f"{WORKER}:live"
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
APPROVAL = """
from fluxio import step, workflow

@workflow
class Approval:
    @step(awaits=["approved"])
    def decide(self, approved: dict) -> dict:
        return approved
"""
KILLS = "import os; os._exit(1)"
#: What Lambda writes when the worker's process is gone, as AWS documents it; MiniStack does not.
REPORT = {
    "type": "platform.report",
    "record": {
        "metrics": {"durationMs": 812.4, "memorySizeMB": 512, "maxMemoryUsedMB": 97},
        "status": "error",
        "errorType": "Runtime.ExitError",
    },
}

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
        until(lambda: self.client.get(run_id).status is status, 60, f"{run_id} is {status}")

    def release(self, charge: str = "return {}", approval: bool = False) -> Path:
        """The source of a version of the steps, as it lies in somebody's folder."""
        steps = self.folder / "steps"
        shutil.rmtree(steps, ignore_errors=True)
        (steps / "shop").mkdir(parents=True)
        (steps / "shop" / "__init__.py").touch()
        (steps / "shop" / "workflows.py").write_text(WORKFLOWS.format(charge=charge))
        (steps / "shop" / "nowhere.py").write_text(NOWHERE)
        (steps / "shop" / "approval.py").write_text(APPROVAL)
        named = "Approval = shop.approval:Approval\n" if approval else ""
        (steps / "entry_points.txt").write_text(MANIFEST + named)
        return steps

    def deploy_what_is_wrong(
        self, charge: str = 'raise ValueError("the card network says no")'
    ) -> None:
        """A version whose card step goes wrong; in the folder lies what somebody has mended it to."""
        steps = self.release(charge)
        self.will_deploy_again()
        self._deploy(package(steps, self.folder / "wrong.zip", ["shop", "entry_points.txt"]))
        self.release()

    def will_deploy_again(self) -> None:
        """Whatever gets deployed now, in the end it is what Terraform has deployed."""
        self.undo.callback(self._deploy, Path(self.deployed.variables["package"]))

    def _deploy(self, zip_path: Path) -> None:
        self.lambda_.update_function_code(FunctionName=WORKER, ZipFile=zip_path.read_bytes())
        put_into_force(self.lambda_, WORKER)

    def switch_off_the_mapping(self) -> None:
        (mapping,) = self.lambda_.list_event_source_mappings(FunctionName=LIVE)[
            "EventSourceMappings"
        ]
        self.undo.callback(
            self.lambda_.update_event_source_mapping, UUID=mapping["UUID"], Enabled=True
        )
        self.lambda_.update_event_source_mapping(UUID=mapping["UUID"], Enabled=False)

    def lose_a_worker(self, run_id: str) -> str:
        """Have the card step's worker die; returns where it ran.

        Handed over past the queue: its message would come back when it has been invisible for long enough.
        """
        assert self._hand_over(run_id), "the worker does not die"
        place = self.client.get(run_id).steps["charge_card"].ran_in
        assert place is not None
        return place

    def lose_it_again(self, run_id: str, attempt: int) -> None:
        """Have the table say what one more death leaves there; a real one takes as long as its lease."""
        later = now_ms() + 3_600_000  # when the lease of the attempt before is over
        step = self.client.get(run_id).steps["charge_card"]
        assert step.token is not None
        assert step.attempt == attempt - 1
        values = changes.claim_values(step.token, now_ms() - 1, "", now_ms())
        change = changes.take_over("charge_card", values, step.attempt)
        store = Store(self.deployed.clients["dynamodb"], self.deployed.outputs["table_name"])
        assert store.apply(run_id, [change], later).applied

    def give_up(self, run_id: str) -> None:
        """Have a worker find that the step has no attempt left."""
        assert not self._hand_over(run_id), "the worker died once more"

    def _hand_over(self, run_id: str) -> bool:
        """Give the worker a message of the run; whether it broke."""
        record = {
            "messageId": "by-hand",
            "receiptHandle": "by-hand",
            "body": json.dumps({"run_id": run_id}),
            "attributes": {"ApproximateReceiveCount": "2", "MessageGroupId": run_id},
        }
        payload = json.dumps({"Records": [record]}).encode()
        return "FunctionError" in self.lambda_.invoke(FunctionName=LIVE, Payload=payload)

    def report_a_death(self, place: str) -> None:
        """Write into the worker's log what Lambda does."""
        logs = self.deployed.clients["logs"]
        stream = {
            "logGroupName": f"/aws/lambda/{WORKER}",
            "logStreamName": f"2026/11/22/[7]{uuid4().hex[:26]}{place}",
        }
        logs.create_log_stream(**stream)
        logs.put_log_events(
            **stream, logEvents=[{"timestamp": now_ms(), "message": json.dumps(REPORT)}]
        )

    def has_logged(self, message: str, run_id: str) -> None:
        """Wait until the worker's log has this of a run: its lines come after what it does."""

        def found() -> bool:
            lines = self.deployed.clients["logs"].filter_log_events(
                logGroupName=f"/aws/lambda/{WORKER}", filterPattern=f'"{message}"'
            )["events"]
            return any(run_id in line["message"] for line in lines)

        until(found, 30, f"the line '{message}' of {run_id}")

    def sweep(self) -> bool:
        """What the schedule does each minute; whether the worker broke."""
        answer = self.lambda_.invoke(FunctionName=LIVE, Payload=b'{"fluxio": "sweep"}')
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

    until(dead, 60, "both dead letters")

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
        put_into_force(night.lambda_, WORKER)

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
    night.has_logged("step raised", run_id)

    said = night.look("runs_failed", RUN=run_id)
    assert "charge_card" in said
    assert "ValueError: the card network says no" in said
    assert '"order_id": "o-1"' in said
    raised_at = WORKFLOWS.splitlines().index("        {charge}") + 1
    assert re.search(rf"shop/workflows\.py:{raised_at} charge_card", said), "file and line"

    night.look(DEPLOYING)
    assert "SUCCEEDED" in night.mend("runs_failed", RUN=run_id)
    assert night.client.get(run_id).steps["validate_payment"].attempt == 1


def runs_parked(night: Night) -> None:
    run_id = night.run("night-2", "Broken")
    night.until(run_id, RunStatus.WAITING)

    said = night.look("runs_parked", RUN=run_id)
    assert said.count(run_id) > 2
    assert "no module 'shop.nowhere'" in " ".join(said.split())

    # The other kind: a deployment forgets a workflow, and of its runs one is under way and one is not.
    under_way = night.run("night-4", "Approval")
    night.until(under_way, RunStatus.RUNNING)
    night.deploy_what_is_wrong()
    night.client.signal(under_way, "approved", {"by": "kim"})
    new = night.run("night-5", "Approval")
    night.until(under_way, RunStatus.WAITING)
    night.until(new, RunStatus.FAILED)
    for error in (night.client.get(one).error for one in (under_way, new)):
        assert error is not None
        assert error.type == "UnknownWorkflow"

    night.release(approval=True)
    night.look(DEPLOYING)
    said = night.mend("runs_parked", RUN=run_id, WORKFLOW="Approval")
    assert said.count("1 run sent on") == 3
    night.until(under_way, RunStatus.SUCCEEDED)
    night.client.signal(new, "approved")
    night.until(new, RunStatus.SUCCEEDED)


def runs_stuck(night: Night) -> None:
    night.switch_off_the_mapping()
    run_id = night.run("night-3", ago=20, lost=True)
    night.sweep()

    night.has_logged("run stuck", run_id)
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


def worker_lost(night: Night) -> None:
    night.deploy_what_is_wrong(KILLS)
    run_id = night.run("night-1", lost=True)
    first = night.lose_a_worker(run_id)
    night.lose_it_again(run_id, 2)
    night.lose_it_again(run_id, 3)
    last = night.lose_a_worker(run_id)
    night.lose_it_again(run_id, 5)
    night.give_up(run_id)
    night.report_a_death(last)
    night.has_logged("step taken over", run_id)

    said = night.look("workerlost-a-step-kills-its-worker", RUN=run_id, PLACE=last)
    assert "WorkerLost" in said
    assert re.search(rf"charge_card .* 5 attempts .* {last}$", said, re.MULTILINE), (
        "the last column"
    )
    assert f'"attempt": 4, "taken_from": "{first}"' in said
    assert json.dumps(REPORT) in said

    night.look(DEPLOYING)
    found = night.lambda_.get_function_configuration(FunctionName=WORKER)
    night.undo.callback(put_into_force, night.lambda_, WORKER)
    night.undo.callback(
        night.lambda_.update_function_configuration,
        FunctionName=WORKER,
        MemorySize=found["MemorySize"],
    )
    assert "SUCCEEDED" in night.mend("workerlost-a-step-kills-its-worker", RUN=run_id)


def signal(night: Night) -> None:
    run_id = night.run("night-4", "Approval")
    night.until(run_id, RunStatus.RUNNING)

    said = night.look("a-run-waits-for-a-signal", RUN=run_id)
    assert run_id in said
    assert "waits for the signal approved" in said

    assert "SUCCEEDED" in night.mend("a-run-waits-for-a-signal", RUN=run_id, SIGNAL="approved")
    assert night.client.get(run_id).result == {"by": "kim"}


def deploying(night: Night) -> None:
    """Pasted by those whose runs wait for a mended package."""


def back(night: Night) -> None:
    good = night.lambda_.get_alias(FunctionName=WORKER, Name="live")["FunctionVersion"]
    night.deploy_what_is_wrong()
    failed = night.run("night-5")
    night.until(failed, RunStatus.FAILED)

    said = night.look("back-to-the-version-before")
    assert re.search(rf"^{good}\t", said, re.MULTILINE), "the version before is listed"
    assert not said.endswith(f"\n{good}\n"), "and is not the one in force"

    assert f"\n{good}\n" in night.mend("back-to-the-version-before", VERSION=good)
    run_id = night.run("night-6")
    night.until(run_id, RunStatus.SUCCEEDED)


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
    "workerlost-a-step-kills-its-worker": worker_lost,
    "a-run-waits-for-a-signal": signal,
    DEPLOYING: deploying,
    "back-to-the-version-before": back,
    "everything-about-one-run-and-the-log": everything,
}


@pytest.mark.parametrize(
    "anchor", [anchor for anchor, section in sections().items() if section.look or section.mend]
)
def test_whoever_follows_the_page_finds_and_mends_what_is_broken(anchor: str, night: Night) -> None:
    SITUATIONS[anchor](night)
