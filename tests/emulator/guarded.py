"""A deployment whose emulator enforces IAM policies, and principals that have exactly one policy each."""

from __future__ import annotations

import json
import re
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from dev.emulator import REGION, Emulator
from fluxio.deployment import Deployment
from fluxio.manifest import Manifest
from fluxio.services import Services
from fluxio.worker import Worker
from fluxio_client import FluxioClient
from fluxio_protocol import layout
from fluxio_protocol.clock import now_ms
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store

PACKAGE = Path(__file__).parent / "package"

#: How AWS says no, by protocol.
DENIED = {"AccessDenied", "AccessDeniedException"}

_ACTION = re.compile(r"not authorized to perform: (\S+)")


class Principal:
    """Somebody who calls AWS, with boto3 clients of their own."""

    def __init__(self, endpoint: str, access_key_id: str, secret_access_key: str) -> None:
        self._endpoint = endpoint
        self._session = boto3.Session(access_key_id, secret_access_key, region_name=REGION)
        self._clients: dict[str, Any] = {}
        #: The actions that were refused so far.
        self.refused: set[str] = set()

    def environment(self) -> dict[str, str]:
        """What a process needs in its environment to call AWS as this somebody."""
        credentials = self._session.get_credentials()
        return {
            "AWS_ACCESS_KEY_ID": credentials.access_key,
            "AWS_SECRET_ACCESS_KEY": credentials.secret_key,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": self._endpoint,
        }

    def aws(self, service: str) -> Any:
        """A boto3 client."""
        if service not in self._clients:
            made = self._session.client(
                service, endpoint_url=self._endpoint, config=Config(retries={"mode": "standard"})
            )
            made.meta.events.register("after-call", self._note_refusal)
            self._clients[service] = made
        return self._clients[service]

    def _note_refusal(self, parsed: dict[str, Any], **_: Any) -> None:
        error = parsed.get("Error", {})
        if error.get("Code") in DENIED:
            self.refused.update(_ACTION.findall(error.get("Message", "")))

    def may(self, service: str, operation: str, **arguments: Any) -> bool:
        """Whether a call is allowed; what else becomes of it does not matter."""
        try:
            getattr(self.aws(service), operation)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"] not in DENIED
        return True


class Statement(NamedTuple):
    """A statement of a policy."""

    sid: str
    actions: tuple[str, ...]
    resources: tuple[str, ...]


def statements(policy: str) -> list[Statement]:
    """What a policy allows."""
    return [
        Statement(one["Sid"], _listed(one["Action"]), _listed(one["Resource"]))
        for one in json.loads(policy)["Statement"]
    ]


def plus(policy: str, *actions: str, resource: str) -> str:
    """The policy, and a right that somebody adds to it."""
    more = {"Sid": "More", "Effect": "Allow", "Action": list(actions), "Resource": resource}
    parts = json.loads(policy)
    return json.dumps(parts | {"Statement": [*parts["Statement"], more]})


def without(policy: str, action: str, resource: str) -> str:
    """The policy, but for one action on the resources whose ARN ends like this."""
    left = []
    for statement in statements(policy):
        for each in statement.resources:
            actions = [
                a for a in statement.actions if (a, each.endswith(resource)) != (action, True)
            ]
            left.append({"Effect": "Allow", "Action": actions, "Resource": each})
    kept = [one for one in left if one["Action"]]
    return json.dumps({"Version": "2012-10-17", "Statement": kept})


def _listed(of: str | list[str]) -> tuple[str, ...]:
    return (of,) if isinstance(of, str) else tuple(of)


class Guarded:
    """The applied module in an emulator that enforces IAM, and its names."""

    def __init__(self, emulator: Emulator, outputs: dict[str, Any]) -> None:
        self.endpoint, self.outputs = emulator.endpoint, outputs
        self.root = Principal(self.endpoint, "test", "test")
        self.table, self.queue_url = outputs["table_name"], outputs["queue_url"]
        self.dlq_url, self.function = outputs["dlq_url"], outputs["worker_function_name"]

        self.settings = {"FLUXIO_TABLE_NAME": self.table, "FLUXIO_QUEUE_URL": self.queue_url}

    @cached_property
    def worker_role(self) -> str:
        answer = self.root.aws("lambda").get_function_configuration(FunctionName=self.function)
        return str(answer["Role"]).rpartition("/")[2]

    @cached_property
    def dlq_arn(self) -> str:
        asked = self.root.aws("sqs").get_queue_attributes(
            QueueUrl=self.dlq_url, AttributeNames=["QueueArn"]
        )
        return str(asked["Attributes"]["QueueArn"])

    def policy_of(self, role: str) -> str:
        """The one policy that a role has."""
        iam = self.root.aws("iam")
        assert iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"] == []
        (name,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
        return json.dumps(iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"])

    def let_steps_of_the_worker(self, action: str | None, table: str) -> None:
        """Give the worker's role a right to a table of its steps, as a user would; None takes it away."""
        iam, name = self.root.aws("iam"), f"steps-{table}"
        if action is None:
            if name in iam.list_role_policies(RoleName=self.worker_role)["PolicyNames"]:
                iam.delete_role_policy(RoleName=self.worker_role, PolicyName=name)
            return
        asked = self.root.aws("dynamodb").describe_table(TableName=table)
        statement = {"Effect": "Allow", "Action": action, "Resource": asked["Table"]["TableArn"]}
        iam.put_role_policy(
            RoleName=self.worker_role,
            PolicyName=name,
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        )

    def principal(self, policy: str) -> Principal:
        """Somebody who has this policy and no other rights."""
        iam, name = self.root.aws("iam"), f"user-{uuid4().hex[:8]}"
        iam.create_user(UserName=name)
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return Principal(self.endpoint, key["AccessKeyId"], key["SecretAccessKey"])

    def fluxio(self, principal: Principal) -> FluxioClient:
        """The thin client in somebody's hands."""
        dynamodb, sqs = principal.aws("dynamodb"), principal.aws("sqs")
        return FluxioClient(self.table, self.queue_url, dynamodb=dynamodb, sqs=sqs)

    def worker(self, principal: Principal) -> Worker:
        """A worker of this process in somebody's hands; a branch of a fan-out gets a message each."""
        store = Store(principal.aws("dynamodb"), self.table)
        queue = Queue(principal.aws("sqs"), self.queue_url)
        deployment = Deployment(Manifest([PACKAGE]), store, inline_branches=0)
        return Worker(Services(store, queue, deployment, now_ms))

    def forget_graph(self, workflow: str) -> None:
        """Take a workflow's graph out of the table, so that the next new worker stores it again."""
        version = Manifest([PACKAGE]).load(workflow).graph.version
        key = layout.definition_key(workflow, version)
        self.root.aws("dynamodb").delete_item(TableName=self.table, Key=key)
