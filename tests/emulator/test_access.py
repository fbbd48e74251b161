"""With IAM enforced: the policies suffice for what is documented, and allow nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
from botocore.exceptions import ClientError

from dev import emulator
from fluxio_client import FluxioClient, NotNudged, RunParked, RunStatus, client
from fluxio_client.queue import Nudge
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
from tests.emulator.world import Context

ORDER = {"order_id": "o-1", "amount": 99.0}
KEY = {"pk": {"S": "somebody"}, "sk": {"S": "run"}}
ITEM = {"Item": KEY}
ANYBODY = '{"Version": "2012-10-17", "Statement": []}'


@pytest.fixture(scope="module")
def a_client(guarded: Guarded) -> Principal:
    """Somebody with exactly the module's `client_policy_json`."""
    return guarded.principal(guarded.outputs["client_policy_json"])


@pytest.fixture(scope="module")
def fluxio(guarded: Guarded, a_client: Principal) -> FluxioClient:
    return guarded.fluxio(a_client)


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
            FunctionName=guarded.function, Payload=json.dumps({"fluxio": "sweep"})
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
        assert run.error.step == "move"
        assert "AccessDenied" in run.error.message
        assert "dynamodb:UpdateItem" in run.error.message

        # Its first step was retried at once only because the worker may set its message's visibility.
        assert run.steps["check"].attempt == 2
        assert run.duration is not None
        assert run.duration < 45

        guarded.let_steps_of_the_worker("dynamodb:UpdateItem", table_of_the_steps)
        fluxio.redrive(run.run_id)
        assert fluxio.wait(run.run_id, timeout=60).status is RunStatus.SUCCEEDED

    def test_an_operator_with_rights_to_the_dead_letter_queue_redrives_it(
        self, guarded: Guarded, fluxio: FluxioClient, mute: FluxioClient
    ) -> None:
        with pytest.raises(NotNudged):
            mute.start("Chain", {"n": 2}, run_id="dead")
        nudge = Nudge("dead", "Chain")
        guarded.root.aws("sqs").send_message(
            QueueUrl=guarded.dlq_url,
            MessageBody=nudge.to_json(),
            MessageGroupId=nudge.group_id,
            MessageDeduplicationId=nudge.deduplication_id,
        )
        with pytest.raises(ClientError, match="not authorized to perform: sqs:ReceiveMessage"):
            fluxio.redrive_dead_letters(guarded.dlq_url)
        policy = plus(
            guarded.outputs["client_policy_json"],
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            resource=guarded.dlq_arn,
        )

        done = guarded.fluxio(guarded.principal(policy)).redrive_dead_letters(guarded.dlq_url)

        assert done.nudged == 1
        assert fluxio.wait("dead", timeout=60).result == {"n": 8}


CLIENT_NEEDS: list[tuple[str, str, Callable[[FluxioClient], Any]]] = [
    ("dynamodb:PutItem", "", lambda fluxio: fluxio.start("Chain", {"n": 0})),
    ("dynamodb:GetItem", "", lambda fluxio: fluxio.wait("there", timeout=0)),
    ("dynamodb:UpdateItem", "", lambda fluxio: fluxio.cancel("there")),
    ("dynamodb:Query", "-runs", lambda fluxio: fluxio.get("there")),
    ("dynamodb:Query", "/index/by_workflow", lambda fluxio: fluxio.list("Broken")),
    ("dynamodb:Query", "/index/failed", lambda fluxio: fluxio.list("Broken", status="FAILED")),
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


class Call(NamedTuple):
    """A call that somebody tries."""

    #: The statement it lies next to.
    sid: str
    what: str
    service: str
    operation: str
    arguments: Callable[[Guarded], dict[str, Any]]

    @property
    def action(self) -> str:
        """What IAM calls it."""
        name = "invoke_function" if self.operation == "invoke" else self.operation
        return f"{self.service}:{name.title().replace('_', '')}"

    def by(self, principal: Principal, guarded: Guarded) -> bool:
        """Whether it is allowed."""
        return principal.may(self.service, self.operation, **self.arguments(guarded))

    def __str__(self) -> str:
        return f"{self.sid}-{self.what}"


def table_call(sid: str, operation: str, **arguments: Any) -> Call:
    return Call(
        sid, operation, "dynamodb", operation, lambda at: {"TableName": at.table} | arguments
    )


def query(sid: str, index: str | None, hash_name: str, hash_value: dict[str, str]) -> Call:
    arguments = {
        "KeyConditionExpression": "#hash=:hash",
        "ExpressionAttributeNames": {"#hash": hash_name},
        "ExpressionAttributeValues": {":hash": hash_value},
    }
    if index:
        arguments["IndexName"] = index
    return table_call(sid, "query", **arguments)._replace(what=f"query of {index or 'the table'}")


def condition_check(sid: str) -> Call:
    def arguments(at: Guarded) -> dict[str, Any]:
        check = {"TableName": at.table, "Key": KEY, "ConditionExpression": "attribute_exists(pk)"}
        return {"TransactItems": [{"ConditionCheck": check}]}

    return Call(sid, "condition check", "dynamodb", "transact_write_items", arguments)


def queue_call(sid: str, operation: str, dlq: bool = False, **arguments: Any) -> Call:
    return Call(
        sid,
        f"{operation} on the {'dead-letter queue' if dlq else 'queue'}",
        "sqs",
        operation,
        lambda at: {"QueueUrl": at.dlq_url if dlq else at.queue_url} | arguments,
    )


def account_call(sid: str, service: str, operation: str, **arguments: Any) -> Call:
    return Call(sid, f"{service} {operation}", service, operation, lambda _: arguments)


QUERIES = {
    "table": (None, "pk", {"S": "somebody"}),
    "by_workflow": ("by_workflow", "workflow_shard", {"S": "Chain#0"}),
    "failed": ("failed", "failed", {"S": "Chain"}),
    "due": ("due", "due", {"N": "0"}),
}
MESSAGE = {"MessageBody": "{}", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
RECEIPT = {"ReceiptHandle": "none"}
HIDE = RECEIPT | {"VisibilityTimeout": 0}
PLUS = {
    "Key": KEY,
    "UpdateExpression": "SET a=:a",
    "ExpressionAttributeValues": {":a": {"S": "a"}},
}
LOG = {"logGroupName": "/aws/lambda/fluxio-test-worker"}
OTHER_LOG = {"logGroupName": "/aws/lambda/another"}
TRUST = {"RoleName": "fluxio-test-worker", "PolicyDocument": ANYBODY}

#: The emulator takes writing to a stream for writing to its group, so only AWS can grant these rights:
#: https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazoncloudwatchlogs.html
NOT_GRANTED_HERE = {
    ("WriteItsOwnLog", "logs:CreateLogStream"),
    ("WriteItsOwnLog", "logs:PutLogEvents"),
}

CLIENT_MAY = [
    table_call("StartReadAndSteerRuns", "get_item", Key=KEY),
    table_call("StartReadAndSteerRuns", "put_item", **ITEM),
    table_call("StartReadAndSteerRuns", "update_item", **PLUS),
    query("StartReadAndSteerRuns", *QUERIES["table"]),
    query("FindRunsByWorkflowOrFailure", *QUERIES["by_workflow"]),
    query("FindRunsByWorkflowOrFailure", *QUERIES["failed"]),
    queue_call("NudgeTheWorker", "send_message", **MESSAGE),
]

CLIENT_MAY_NOT = [
    table_call("StartReadAndSteerRuns", "scan"),
    table_call("StartReadAndSteerRuns", "delete_item", Key=KEY),
    condition_check("StartReadAndSteerRuns"),
    table_call("StartReadAndSteerRuns", "describe_table"),
    table_call("StartReadAndSteerRuns", "update_table", BillingMode="PAY_PER_REQUEST"),
    table_call("StartReadAndSteerRuns", "delete_table"),
    query("FindRunsByWorkflowOrFailure", *QUERIES["due"]),
    table_call("FindRunsByWorkflowOrFailure", "scan", IndexName="by_workflow"),
    queue_call("NudgeTheWorker", "receive_message"),
    queue_call("NudgeTheWorker", "delete_message", **RECEIPT),
    queue_call("NudgeTheWorker", "change_message_visibility", **HIDE),
    queue_call("NudgeTheWorker", "get_queue_attributes"),
    queue_call("NudgeTheWorker", "set_queue_attributes", Attributes={"DelaySeconds": "0"}),
    queue_call("NudgeTheWorker", "purge_queue"),
    queue_call("NudgeTheWorker", "delete_queue"),
    queue_call("NudgeTheWorker", "send_message", dlq=True, **MESSAGE),
    queue_call("NudgeTheWorker", "receive_message", dlq=True),
    account_call("NudgeTheWorker", "lambda", "invoke", FunctionName="fluxio-test-worker"),
    account_call("NudgeTheWorker", "iam", "put_role_policy", PolicyName="p", **TRUST),
]

WORKER_MAY = [
    table_call("ReadAndMoveRuns", "get_item", Key=KEY),
    table_call("ReadAndMoveRuns", "put_item", **ITEM),
    table_call("ReadAndMoveRuns", "update_item", **PLUS),
    query("FindRunsThatAreDue", *QUERIES["due"]),
    queue_call("SendNudges", "send_message", **MESSAGE),
    queue_call("TakeNudgesAndPostponeThem", "receive_message"),
    queue_call("TakeNudgesAndPostponeThem", "delete_message", **RECEIPT),
    queue_call("TakeNudgesAndPostponeThem", "change_message_visibility", **HIDE),
    queue_call("TakeNudgesAndPostponeThem", "get_queue_attributes"),
]

WORKER_MAY_NOT = [
    table_call("ReadAndMoveRuns", "scan"),
    table_call("ReadAndMoveRuns", "delete_item", Key=KEY),
    condition_check("ReadAndMoveRuns"),
    table_call("ReadAndMoveRuns", "describe_table"),
    table_call("ReadAndMoveRuns", "update_table", BillingMode="PAY_PER_REQUEST"),
    table_call("ReadAndMoveRuns", "delete_table"),
    query("FindRunsThatAreDue", *QUERIES["table"]),
    query("FindRunsThatAreDue", *QUERIES["by_workflow"]),
    query("FindRunsThatAreDue", *QUERIES["failed"]),
    queue_call("SendNudges", "send_message", dlq=True, **MESSAGE),
    queue_call("TakeNudgesAndPostponeThem", "purge_queue"),
    queue_call("TakeNudgesAndPostponeThem", "set_queue_attributes", Attributes={"DelaySeconds": "0"}),
    queue_call("TakeNudgesAndPostponeThem", "delete_queue"),
    queue_call("TakeNudgesAndPostponeThem", "receive_message", dlq=True),
    queue_call("TakeNudgesAndPostponeThem", "delete_message", dlq=True, **RECEIPT),
    account_call("WriteItsOwnLog", "logs", "create_log_group", **OTHER_LOG),
    account_call("WriteItsOwnLog", "logs", "get_log_events", logStreamName="s", **LOG),
    account_call("WriteItsOwnLog", "logs", "delete_log_group", **LOG),
    account_call("WriteItsOwnLog", "lambda", "invoke", FunctionName="fluxio-test-worker"),
    account_call("WriteItsOwnLog", "iam", "put_role_policy", PolicyName="p", **TRUST),
]  # fmt: skip

SCHEDULE_MAY = [
    account_call(
        "InvokeTheWorker",
        "lambda",
        "invoke",
        FunctionName="fluxio-test-worker",
        Payload='{"fluxio": "sweep"}',
    ),
]

SCHEDULE_MAY_NOT = [
    account_call("InvokeTheWorker", "lambda", "invoke", FunctionName="another"),
    account_call("InvokeTheWorker", "lambda", "get_function", FunctionName="fluxio-test-worker"),
    table_call("InvokeTheWorker", "get_item", Key=KEY),
    queue_call("InvokeTheWorker", "send_message", **MESSAGE),
]


class TestLeastPrivilege:
    """Next to each statement, what it allows and what it does not."""

    @pytest.mark.parametrize("call", CLIENT_MAY, ids=str)
    def test_a_client_may(self, guarded: Guarded, a_client: Principal, call: Call) -> None:
        assert call.by(a_client, guarded)

    @pytest.mark.parametrize("call", CLIENT_MAY_NOT, ids=str)
    def test_a_client_may_not(self, guarded: Guarded, a_client: Principal, call: Call) -> None:
        assert not call.by(a_client, guarded)

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
        of_the_worker = guarded.policy_of(guarded.worker_role)
        of_the_schedule = guarded.policy_of("fluxio-test-sweep")

        for policy, may, may_not in (
            (of_a_client, CLIENT_MAY, CLIENT_MAY_NOT),
            (of_the_worker, WORKER_MAY, WORKER_MAY_NOT),
            (of_the_schedule, SCHEDULE_MAY, SCHEDULE_MAY_NOT),
        ):
            rights = {(one.sid, action) for one in statements(policy) for action in one.actions}
            assert rights - NOT_GRANTED_HERE == {(call.sid, call.action) for call in may}
            assert {sid for sid, _ in rights} == {call.sid for call in may_not}

        needed = {action for action, _, _ in CLIENT_NEEDS}
        assert needed == {action for one in statements(of_a_client) for action in one.actions}
        needed = {*WORKER_NEEDS, *POLLER_NEEDS, *(action for _, action in NOT_GRANTED_HERE)}
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
