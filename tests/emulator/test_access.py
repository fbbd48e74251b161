"""With IAM enforced: the policies suffice for what is documented, and allow nothing else."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from dev import emulator
from fluxio_client import FluxioClient, NotNudged, RunParked, RunStatus, client
from fluxio_protocol.queue import Nudge
from tests.emulator.conftest import NAME
from tests.emulator.guarded import (
    DENIED,
    PACKAGE,
    Guarded,
    Principal,
    plus,
    statements,
    without,
)
from tests.emulator.rights import (
    CLIENT_MAY,
    CLIENT_MAY_NOT,
    MESSAGE,
    NOT_GRANTED_HERE,
    OPERATOR_MAY,
    OPERATOR_MAY_NOT,
    SCHEDULE_MAY,
    SCHEDULE_MAY_NOT,
    WORKER_MAY,
    WORKER_MAY_NOT,
    Call,
)
from tests.emulator.world import Context, until

ORDER = {"order_id": "o-1", "amount": 99.0}
FLUXIO = Path(sys.executable).with_name("fluxio")

#: Commands that together ask for all that an operator may do.
EVERYTHING = [
    ["start", "Chain", "--input", '{"n": 1}', "--wait"],
    ["list", "--open"],
    ["list", "--failed"],
    ["list", "--waiting"],
    ["list", "Chain"],
    ["show", "looked-at"],
    ["timeline", "looked-at"],
    ["graph", "Chain"],
    ["dlq", "list"],
    ["dlq", "redrive"],
    ["dlq", "purge", "--yes"],
    ["cost", "Chain"],
    ["doctor"],
]


@pytest.fixture(scope="module")
def a_client(guarded: Guarded) -> Principal:
    """Somebody with exactly the module's `client_policy_json`."""
    return guarded.principal(guarded.outputs["client_policy_json"])


@pytest.fixture(scope="module")
def fluxio(guarded: Guarded, a_client: Principal) -> FluxioClient:
    return guarded.fluxio(a_client)


@pytest.fixture(scope="module")
def an_operator(guarded: Guarded) -> Principal:
    """Somebody with exactly the module's `operator_policy_json`."""
    return guarded.principal(guarded.outputs["operator_policy_json"])


@pytest.fixture(scope="module")
def a_worker(guarded: Guarded) -> Principal:
    """Somebody with exactly the policy of the worker's role."""
    return guarded.principal(guarded.policy_of(guarded.worker_role))


@pytest.fixture(scope="module")
def a_schedule(guarded: Guarded) -> Principal:
    """Somebody with exactly the policy of the schedule's role."""
    return guarded.principal(guarded.policy_of("fluxio-test-sweep"))


@pytest.fixture(scope="module")
def mute(guarded: Guarded) -> FluxioClient:
    """A client whose messages are lost: whoever starts a run with it must see to the run in another way."""
    policy = without(guarded.outputs["client_policy_json"], "sqs:SendMessage", "")
    return guarded.fluxio(guarded.principal(policy))


@pytest.fixture
def table_of_the_steps(guarded: Guarded) -> Iterator[str]:
    """A table that steps write and fluxio knows nothing of."""
    dynamodb = guarded.root.aws("dynamodb")
    dynamodb.create_table(
        TableName="ledger",
        KeySchema=[{"AttributeName": "account", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "account", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield "ledger"
    dynamodb.delete_table(TableName="ledger")
    guarded.let_steps_of_the_worker(None, "ledger")


class TestSufficient:
    """What the documentation says, done with the rights that the module gives."""

    def test_a_client_starts_reads_and_lists_a_run_that_the_worker_ends(
        self, fluxio: FluxioClient
    ) -> None:
        started = fluxio.start("OrderFulfillment", ORDER)

        run = fluxio.wait(started.run_id, timeout=60)

        assert run.status is RunStatus.SUCCEEDED
        assert run.result == {"fulfillment_id": "ful_abc", "status": "fulfilled"}
        assert fluxio.graph(run) is not None
        listed = fluxio.list("OrderFulfillment", status="SUCCEEDED").runs
        assert run.run_id in [found.run_id for found in listed]

    def test_a_client_starts_a_run_with_a_long_input_and_reads_it_back(
        self, fluxio: FluxioClient
    ) -> None:
        given = {"n": 0, "note": "x" * 5_000}

        run = fluxio.wait(fluxio.start("Chain", given).run_id, timeout=60)

        assert run.result == {"n": 6}
        assert run.input == given

    def test_a_client_finds_a_failed_run_and_redrives_it(self, fluxio: FluxioClient) -> None:
        run = fluxio.wait(fluxio.start("Refund", {}).run_id, timeout=60)
        assert run.run_id in [one.run_id for one in fluxio.list("Refund", status="FAILED").runs]

        fluxio.redrive(run.run_id)

        assert fluxio.wait(run.run_id, timeout=60).status is RunStatus.FAILED

    def test_a_client_cancels_a_run_that_the_worker_has_parked(self, fluxio: FluxioClient) -> None:
        run = fluxio.start("Broken", {})
        with pytest.raises(RunParked):
            fluxio.wait(run.run_id, timeout=60)

        assert fluxio.cancel(run.run_id).status is RunStatus.CANCELLED

    def test_the_schedule_has_the_worker_nudge_a_run_whose_message_was_lost(
        self,
        guarded: Guarded,
        a_schedule: Principal,
        fluxio: FluxioClient,
        mute: FluxioClient,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(client, "WATCHDOG_MS", 0)
        with pytest.raises(NotNudged):
            mute.start("Chain", {"n": 1}, run_id="lost")

        answer = a_schedule.aws("lambda").invoke(
            FunctionName=f"{guarded.function}:live", Payload=json.dumps({"fluxio": "sweep"})
        )

        swept = json.loads(answer["Payload"].read())
        assert swept["nudged"] == 1, swept
        assert fluxio.wait("lost", timeout=60).result == {"n": 7}

    def test_a_step_needs_rights_of_its_own_to_the_tables_it_writes(
        self, guarded: Guarded, fluxio: FluxioClient, table_of_the_steps: str
    ) -> None:
        given = {"source": "a", "target": "b", "amount": 5, "stumble": True}
        started = fluxio.start("Transfer", given | {"ledger": table_of_the_steps})

        run = fluxio.wait(started.run_id, timeout=60)

        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.step in (
            "move",
            "notify",
        )  # the write with the step's completion, or by itself
        assert "AccessDenied" in str(run.error)
        assert "dynamodb:UpdateItem" in run.error.message

        # Its first step was retried at once only because the worker may set its message's visibility.
        assert run.steps["check"].attempt == 2
        assert run.duration is not None
        assert run.duration < 45

        guarded.let_steps_of_the_worker("dynamodb:UpdateItem", table_of_the_steps)
        fluxio.redrive(run.run_id)
        assert fluxio.wait(run.run_id, timeout=60).status is RunStatus.SUCCEEDED

    def test_a_client_signals_a_run(self, fluxio: FluxioClient) -> None:
        fluxio.start("Approval", {"n": 2}, run_id="signalled")
        until(lambda: fluxio.get("signalled").steps, 60, "no worker has opened the run")

        fluxio.signal("signalled", "approved", {"by": "kim"})

        assert fluxio.wait("signalled", timeout=60).status is RunStatus.SUCCEEDED

    def test_an_operator_redrives_the_dead_letter_queue_and_a_client_may_not(
        self, guarded: Guarded, fluxio: FluxioClient, mute: FluxioClient, an_operator: Principal
    ) -> None:
        put_into_the_dlq(guarded, mute, "dead")
        with pytest.raises(ClientError, match="not authorized to perform: sqs:ReceiveMessage"):
            fluxio.redrive_dead_letters(guarded.dlq_url)

        done = guarded.fluxio(an_operator).redrive_dead_letters(guarded.dlq_url)

        assert done.nudged == 1
        assert fluxio.wait("dead", timeout=60).result == {"n": 8}

    @pytest.mark.parametrize("arguments", EVERYTHING, ids=" ".join)
    def test_an_operator_has_the_whole_command(
        self, guarded: Guarded, fluxio: FluxioClient, an_operator: Principal, arguments: list[str]
    ) -> None:
        fluxio.start("Chain", {"n": 2}, run_id="looked-at")
        fluxio.wait("looked-at", timeout=60)

        said = command(guarded, an_operator, *arguments)

        # What the emulator asks for in place of three of these rights.
        asked_instead = {"lambda:PutFunctionConcurrency", "lambda:GetFunction", "lambda:ListLayers"}
        denied = set(re.findall(r"AWS denies ([\w:]+)", said))
        assert denied <= asked_instead, said


def put_into_the_dlq(guarded: Guarded, mute: FluxioClient, run_id: str) -> None:
    """A run whose message has been received in vain."""
    with pytest.raises(NotNudged):
        mute.start("Chain", {"n": 2}, run_id=run_id)
    nudge = Nudge(run_id, "Chain")
    guarded.root.aws("sqs").send_message(
        QueueUrl=guarded.dlq_url,
        MessageBody=nudge.to_json(),
        MessageGroupId=nudge.group_id,
        MessageDeduplicationId=nudge.deduplication_id,
    )


def command(guarded: Guarded, principal: Principal, *arguments: str) -> str:
    """What `fluxio` says to somebody, in a process of its own."""
    done = subprocess.run(
        [FLUXIO, *arguments],
        env={**os.environ, **principal.environment(), **guarded.settings},
        capture_output=True,
        text=True,
        timeout=120,
    )
    return done.stdout + done.stderr


CLIENT_NEEDS: list[tuple[str, str, Callable[[FluxioClient], Any]]] = [
    ("dynamodb:PutItem", "", lambda fluxio: fluxio.start("Chain", {"n": 0})),
    ("dynamodb:GetItem", "", lambda fluxio: fluxio.wait("there", timeout=0)),
    ("dynamodb:UpdateItem", "", lambda fluxio: fluxio.cancel("there")),
    ("dynamodb:Query", "-runs", lambda fluxio: fluxio.get("there")),
    ("dynamodb:Query", "/index/by_workflow", lambda fluxio: fluxio.list("Broken")),
    ("dynamodb:Query", "/index/failed", lambda fluxio: fluxio.list("Broken", status="FAILED")),
    ("dynamodb:Query", "/index/due", lambda fluxio: fluxio.list("Broken", status="RUNNING")),
    ("dynamodb:BatchGetItem", "", lambda fluxio: fluxio.list("Broken")),
    ("sqs:SendMessage", "", lambda fluxio: fluxio.start("Chain", {"n": 0})),
]

WORKER_NEEDS = [
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:UpdateItem",
    "dynamodb:Query",
    "sqs:SendMessage",
    "sqs:ChangeMessageVisibility",
]

#: What Lambda's poller does in the worker's name, which the emulator's does not ask for:
#: https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-configure-lambda-function-trigger.html
POLLER_NEEDS = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}


#: What an operator may beyond a client, and a command that asks for it.
OPERATOR_NEEDS: list[tuple[str, str, list[str]]] = [
    ("dynamodb:Scan", "/index/failed", ["list", "--failed"]),
    ("dynamodb:Scan", "/index/by_workflow", ["list", "--waiting"]),
    ("dynamodb:DescribeTable", "", ["doctor"]),
    ("dynamodb:DescribeTimeToLive", "", ["doctor"]),
    ("dynamodb:DescribeContinuousBackups", "", ["doctor"]),
    ("sqs:GetQueueAttributes", "nudges.fifo", ["doctor"]),
    ("sqs:GetQueueAttributes", "dlq.fifo", ["doctor"]),
    ("sqs:ReceiveMessage", "", ["dlq", "list"]),
    ("sqs:ChangeMessageVisibility", "", ["dlq", "list"]),
    ("sqs:DeleteMessage", "", ["dlq", "redrive"]),
    ("lambda:GetFunctionConfiguration", "", ["doctor"]),
    ("lambda:ListEventSourceMappings", "", ["doctor"]),
    ("logs:FilterLogEvents", "", ["cost", "Chain"]),
    ("scheduler:ListSchedules", "", ["doctor"]),
    ("scheduler:GetSchedule", "", ["doctor"]),
]


class TestNecessary:
    """Each right is one without which something documented is refused."""

    @pytest.fixture(autouse=True)
    def the_steps(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """What a worker of this process runs."""
        monkeypatch.syspath_prepend(str(PACKAGE))

    @pytest.mark.parametrize(
        ("action", "resource", "use"),
        CLIENT_NEEDS,
        ids=[f"{action}{resource}" for action, resource, _ in CLIENT_NEEDS],
    )
    def test_of_a_client(
        self,
        guarded: Guarded,
        fluxio: FluxioClient,
        action: str,
        resource: str,
        use: Callable[[FluxioClient], Any],
    ) -> None:
        fluxio.start("Broken", {}, run_id="there")
        policy = without(guarded.outputs["client_policy_json"], action, resource)

        with pytest.raises((ClientError, NotNudged), match=f"not authorized to perform: {action}"):
            use(guarded.fluxio(guarded.principal(policy)))

    @pytest.mark.parametrize(
        ("action", "resource", "arguments"),
        OPERATOR_NEEDS,
        ids=[f"{action}{resource}" for action, resource, _ in OPERATOR_NEEDS],
    )
    def test_of_an_operator(
        self,
        guarded: Guarded,
        fluxio: FluxioClient,
        mute: FluxioClient,
        action: str,
        resource: str,
        arguments: list[str],
    ) -> None:
        fluxio.start("Chain", {"n": 0}, run_id="there-too")
        if arguments[0] == "dlq":
            put_into_the_dlq(guarded, mute, client.new_run_id())
        policy = without(guarded.outputs["operator_policy_json"], action, resource)

        said = command(guarded, guarded.principal(policy), *arguments)

        assert f"denies {action}" in said

    @pytest.mark.parametrize("action", WORKER_NEEDS)
    def test_of_the_worker(self, guarded: Guarded, mute: FluxioClient, action: str) -> None:
        lacking = guarded.principal(without(guarded.policy_of(guarded.worker_role), action, ""))

        self.use_all_rights(guarded, lacking, mute)

        assert lacking.refused == {action}

    def test_nothing_is_refused_to_a_worker_that_has_them_all(
        self, guarded: Guarded, a_worker: Principal, fluxio: FluxioClient, mute: FluxioClient
    ) -> None:
        a_worker.refused.clear()

        run_id = self.use_all_rights(guarded, a_worker, mute)

        assert a_worker.refused == set()
        assert fluxio.wait(run_id, timeout=60).status is RunStatus.SUCCEEDED

    @staticmethod
    def use_all_rights(guarded: Guarded, principal: Principal, mute: FluxioClient) -> str:
        """Let a worker take a run through a fan-out, put a message back, and sweep. Returns the run's id."""
        guarded.forget_graph("OrderFulfillment")
        run_id = client.new_run_id()
        with pytest.raises(NotNudged):
            mute.start("OrderFulfillment", ORDER, run_id=run_id)
        worker, event = guarded.worker(principal), batch(Nudge(run_id).to_json(), "not json")

        answer = worker.handle(event, Context())
        with suppress(ClientError):
            worker.handle({"fluxio": "sweep"}, Context())

        assert {"itemIdentifier": "m1"} in answer["batchItemFailures"]
        return run_id


def batch(*bodies: str) -> dict[str, Any]:
    """Messages as Lambda hands them over; SQS itself knows nothing of them."""
    return {
        "Records": [
            {
                "messageId": f"m{at}",
                "receiptHandle": "none",
                "body": body,
                "attributes": {"ApproximateReceiveCount": "1", "MessageGroupId": f"g{at}"},
            }
            for at, body in enumerate(bodies)
        ]
    }


class TestLeastPrivilege:
    """Next to each statement, what it allows and what it does not."""

    @pytest.mark.parametrize("call", CLIENT_MAY, ids=str)
    def test_a_client_may(self, guarded: Guarded, a_client: Principal, call: Call) -> None:
        assert call.by(a_client, guarded)

    @pytest.mark.parametrize("call", CLIENT_MAY_NOT, ids=str)
    def test_a_client_may_not(self, guarded: Guarded, a_client: Principal, call: Call) -> None:
        assert not call.by(a_client, guarded)

    @pytest.mark.parametrize("call", OPERATOR_MAY, ids=str)
    def test_an_operator_may(self, guarded: Guarded, an_operator: Principal, call: Call) -> None:
        assert call.by(an_operator, guarded)

    @pytest.mark.parametrize("call", OPERATOR_MAY_NOT, ids=str)
    def test_an_operator_may_not(
        self, guarded: Guarded, an_operator: Principal, call: Call
    ) -> None:
        assert not call.by(an_operator, guarded)

    @pytest.mark.parametrize("call", WORKER_MAY, ids=str)
    def test_the_worker_may(self, guarded: Guarded, a_worker: Principal, call: Call) -> None:
        assert call.by(a_worker, guarded)

    @pytest.mark.parametrize("call", WORKER_MAY_NOT, ids=str)
    def test_the_worker_may_not(self, guarded: Guarded, a_worker: Principal, call: Call) -> None:
        assert not call.by(a_worker, guarded)

    @pytest.mark.parametrize("call", SCHEDULE_MAY, ids=str)
    def test_the_schedule_may(self, guarded: Guarded, a_schedule: Principal, call: Call) -> None:
        assert call.by(a_schedule, guarded)

    @pytest.mark.parametrize("call", SCHEDULE_MAY_NOT, ids=str)
    def test_the_schedule_may_not(
        self, guarded: Guarded, a_schedule: Principal, call: Call
    ) -> None:
        assert not call.by(a_schedule, guarded)

    def test_no_right_and_no_statement_is_without_a_test(self, guarded: Guarded) -> None:
        of_a_client = guarded.outputs["client_policy_json"]
        of_an_operator = guarded.outputs["operator_policy_json"]
        of_the_worker = guarded.policy_of(guarded.worker_role)
        of_the_schedule = guarded.policy_of("fluxio-test-sweep")

        for policy, may, may_not in (
            (of_a_client, CLIENT_MAY, CLIENT_MAY_NOT),
            (of_an_operator, CLIENT_MAY + OPERATOR_MAY, CLIENT_MAY_NOT + OPERATOR_MAY_NOT),
            (of_the_worker, WORKER_MAY, WORKER_MAY_NOT),
            (of_the_schedule, SCHEDULE_MAY, SCHEDULE_MAY_NOT),
        ):
            rights = {(one.sid, action) for one in statements(policy) for action in one.actions}
            assert rights - NOT_GRANTED_HERE == {(call.sid, call.action) for call in may}
            assert {sid for sid, _ in rights} == {call.sid for call in may_not}

        needed = {action for action, _, _ in CLIENT_NEEDS}
        assert needed == {action for one in statements(of_a_client) for action in one.actions}
        needed |= {action for action, _, _ in OPERATOR_NEEDS}
        needed |= {action for sid, action in NOT_GRANTED_HERE if sid.startswith("LookAt")}
        assert needed == {action for one in statements(of_an_operator) for action in one.actions}
        needed = {*WORKER_NEEDS, *POLLER_NEEDS}
        needed |= {action for sid, action in NOT_GRANTED_HERE if sid == "WriteItsOwnLog"}
        assert needed == {action for one in statements(of_the_worker) for action in one.actions}


class TestResources:
    """What the roles and the queues themselves say of who may come."""

    @pytest.mark.parametrize("role", ["fluxio-test-worker", "fluxio-test-sweep"])
    def test_nobody_takes_a_role_that_is_meant_for_a_service(
        self, guarded: Guarded, role: str
    ) -> None:
        iam = guarded.root.aws("iam")
        nothing = '{"Version": "2012-10-17", "Statement": []}'
        somebody = guarded.principal(plus(nothing, "sts:AssumeRole", resource="*"))
        arn = iam.get_role(RoleName=role)["Role"]["Arn"]
        for_all = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": "*"}}
        trust = json.dumps({"Version": "2012-10-17", "Statement": [for_all]})
        other = iam.create_role(RoleName=f"{role}-for-all", AssumeRolePolicyDocument=trust)["Role"]

        assert somebody.may("sts", "assume_role", RoleArn=other["Arn"], RoleSessionName="somebody")
        assert not somebody.may("sts", "assume_role", RoleArn=arn, RoleSessionName="somebody")

    def test_nobody_uses_the_queues_without_tls(self, guarded: Guarded) -> None:
        sqs = guarded.root.aws("sqs")
        with emulator.running(f"{NAME}-no-tls", auth=True, settings={"BEHIND_TLS": "0"}) as plain:
            without_tls = Principal(plain.endpoint, "test", "test").aws("sqs")
            for url in (guarded.queue_url, guarded.dlq_url):
                asked = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["Policy"])
                attributes = {"FifoQueue": "true", "Policy": asked["Attributes"]["Policy"]}
                made = without_tls.create_queue(
                    QueueName=url.rpartition("/")[2], Attributes=attributes
                )

                with pytest.raises(ClientError) as refused:
                    without_tls.send_message(QueueUrl=made["QueueUrl"], **MESSAGE)

                assert refused.value.response["Error"]["Code"] in DENIED
