"""What `fluxio doctor` looks at, and what each thing should be like.

The module makes all of it, so the remedy is mostly the same: something was changed by hand, or the module
was not applied. A check whose call is denied says which action is missing, and the others go on.
"""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import suppress
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

from botocore.exceptions import ClientError

from fluxio_client import layout
from fluxio_client.cli.failures import concerns_every_call, explain, is_denied, missing_action
from fluxio_client.cli.moments import length
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_client.listing import Listing
from fluxio_client.queue import Queue

#: Indexes of the table, with their keys.
INDEXES = {
    layout.INDEX_BY_WORKFLOW: ("workflow_shard", "created_at"),
    layout.INDEX_DUE: ("due", "wake_at"),
    layout.INDEX_FAILED: ("failed", "ended_at"),
}
RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")
HANDLER = "fluxio.worker.lambda_handler"
SWEEP = {"fluxio": "sweep"}

#: Milliseconds by which an open run may be overdue: the sweep comes each minute.
LATE = 180_000

#: Bytes of the end of a layer's zip that are read: its list of files is there.
TAIL = 1_000_000

#: What is wrong is mostly the name; only then the table.
RIGHT_TABLE = "is --table-name or FLUXIO_TABLE_NAME the module's output `table_name`? If so: "

APPLY = "`terraform plan` shows what differs from the module; apply it."


class Level(str, Enum):
    """How a check ended."""

    __str__ = str.__str__

    OK = "OK"
    #: It works, but not as the module makes it; or it could not be looked at.
    WARN = "WARN"
    #: Runs stand still, get lost sight of, or will.
    FAIL = "FAIL"


class Finding(NamedTuple):
    """One line: what was looked at, how it is, what to do."""

    level: Level
    area: str
    text: str
    remedy: str = ""


Check = Callable[["Examination"], Iterator[Finding]]


def ok(area: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, area, text)


def warn(area: str, text: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(Level.WARN, area, text, remedy)


def fail(area: str, text: str, remedy: str) -> Finding:
    """It does not work, or not for long."""
    return Finding(Level.FAIL, area, text, remedy)


class Examination:
    """One look at a deployment; what is asked for twice is read once."""

    def __init__(self, session: Session) -> None:
        self.session = session

    def reach(self) -> None:
        """Ask AWS for the table. Without Region, credentials or endpoint no check could say more than that.

        What is wrong with the table itself is for the checks to say.
        """
        try:
            self.session.dynamodb.describe_table(TableName=self.session.table)
        except ClientError as error:
            if concerns_every_call(error):
                raise

    def findings(self) -> Iterator[tuple[str, list[Finding]]]:
        """Each check in turn: its area, and what it found; a failure that several meet is said once."""
        said: set[str] = set()
        for area, check in CHECKS:
            found: list[Finding] = []
            try:
                found.extend(check(self))
            except Exception as error:
                if explain(error) is None or concerns_every_call(error):
                    raise
                finding = _unanswered(area, error)
                if finding.text not in said:
                    found.append(finding)
                    said.add(finding.text)
            yield area, found

    @cached_property
    def lambda_(self) -> Any:
        return self.session.aws("lambda")

    @cached_property
    def queue(self) -> dict[str, str]:
        return self.session.nudges.attributes()

    @cached_property
    def mappings(self) -> list[dict[str, Any]]:
        """The event source mappings that take from the queue."""
        answer = self.lambda_.list_event_source_mappings(EventSourceArn=self.queue["QueueArn"])
        found: list[dict[str, Any]] = answer["EventSourceMappings"]
        return found

    @cached_property
    def worker(self) -> dict[str, Any] | None:
        """The configuration of the function that takes from the queue; None without one."""
        if not self.mappings:
            return None
        arn = self.mappings[0]["FunctionArn"]
        found: dict[str, Any] = self.lambda_.get_function_configuration(FunctionName=arn)
        return found


def _unanswered(area: str, error: Exception) -> Finding:
    """A call that AWS did not answer, as a finding."""
    failure = explain(error)
    assert failure is not None
    if isinstance(error, ClientError) and is_denied(error):
        action = missing_action(error)
        return warn(
            area, f"not looked at: AWS denies {action}", f"add {action} to the policy of your role."
        )
    return fail(area, failure.message, "")


def _caller(at: Examination) -> Iterator[Finding]:
    who = at.session.aws("sts").get_caller_identity()["Arn"]
    yield ok("caller", f"you are {who}")


def _table(at: Examination) -> Iterator[Finding]:
    name = at.session.table
    try:
        table = at.session.dynamodb.describe_table(TableName=name)["Table"]
    except at.session.dynamodb.exceptions.ResourceNotFoundException:
        yield fail(
            "table",
            f"there is no table {name} in this Region",
            "set --table-name or FLUXIO_TABLE_NAME to the module's output `table_name`, and the Region to "
            "its own.",
        )
        return
    if table["TableStatus"] in ("ACTIVE", "UPDATING"):
        yield ok("table", f"{name} is {table['TableStatus']}")
    else:
        yield fail("table", f"{name} is {table['TableStatus']}", "wait, or restore it.")
    if _keys(table) != ("pk", "sk"):
        keys = ", ".join(_keys(table))
        yield fail("table", f"{name} has the keys {keys}, not pk, sk", RIGHT_TABLE + APPLY)
    there = {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
    wrong = [
        index
        for index, keys in INDEXES.items()
        if index not in there
        or _keys(there[index]) != keys
        or there[index].get("IndexStatus", "ACTIVE") not in ("ACTIVE", "UPDATING")
    ]
    if wrong:
        yield fail(
            "table",
            f"indexes missing or not as they should be: {', '.join(wrong)}",
            RIGHT_TABLE + APPLY,
        )
    else:
        yield ok("table", f"indexes {', '.join(INDEXES)} are there")


def _table_care(at: Examination) -> Iterator[Finding]:
    dynamodb, name = at.session.dynamodb, at.session.table
    for read in (_time_to_live, _recovery, _encryption):
        try:
            yield read(dynamodb, name)
        except ClientError as error:
            yield _unanswered("table", error)


def _time_to_live(dynamodb: Any, name: str) -> Finding:
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and ttl.get("AttributeName") == "ttl":
        return ok("table", "ended runs are deleted by TTL")
    return warn("table", "TTL on `ttl` is off: the table only grows", APPLY)


def _recovery(dynamodb: Any, name: str) -> Finding:
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        return ok("table", "point-in-time recovery is on")
    return warn("table", "point-in-time recovery is off", APPLY)


def _encryption(dynamodb: Any, name: str) -> Finding:
    sse = dynamodb.describe_table(TableName=name)["Table"].get("SSEDescription", {})
    if sse.get("Status") in ("ENABLED", "ENABLING", "UPDATING"):
        return ok("table", f"encrypted with {sse.get('KMSMasterKeyArn', 'a KMS key')}")
    return ok("table", "encrypted with a key that AWS owns")


def _keys(of: dict[str, Any]) -> tuple[str, ...]:
    order = {"HASH": 0, "RANGE": 1}
    keys = sorted(of["KeySchema"], key=lambda key: order[key["KeyType"]])
    return tuple(key["AttributeName"] for key in keys)


def _queue(at: Examination) -> Iterator[Finding]:
    queue = at.queue
    name = queue["QueueArn"].rpartition(":")[2]
    fast = (
        queue.get("DeduplicationScope") == "messageGroup"
        and queue.get("FifoThroughputLimit") == "perMessageGroupId"
    )
    if fast:
        yield ok("queue", f"{name} is FIFO with high throughput")
    else:
        yield warn("queue", f"{name} lacks high throughput: it stops at 300 calls a second", APPLY)
    if "RedrivePolicy" not in queue:
        yield fail(
            "queue", "no dead-letter queue: a message that breaks comes back for ever", APPLY
        )
    else:
        receives = json.loads(queue["RedrivePolicy"])["maxReceiveCount"]
        yield ok("queue", f"goes to the dead-letter queue after {receives} receipts")
    yield _queue_encryption("queue", queue)
    waiting = int(queue.get("ApproximateNumberOfMessages", 0))
    hidden = int(queue.get("ApproximateNumberOfMessagesNotVisible", 0))
    yield ok("queue", f"about {waiting} messages wait, {hidden} are in work or postponed")


def _queue_encryption(area: str, queue: dict[str, str]) -> Finding:
    key = queue.get("KmsMasterKeyId")
    if key or queue.get("SqsManagedSseEnabled") == "true":
        return ok(area, f"encrypted with {key or 'a key of SQS'}")
    return warn(area, "messages are not encrypted at rest", APPLY)


def _dead_letters(at: Examination) -> Iterator[Finding]:
    url = at.session.nudges.dead_letter_queue_url()
    if url is None:
        return
    dead = Queue(at.session.sqs, url).attributes()
    yield _queue_encryption("dlq", dead)
    waiting = int(dead.get("ApproximateNumberOfMessages", 0))
    waiting += int(dead.get("ApproximateNumberOfMessagesNotVisible", 0))
    if waiting:
        some = "1 message" if waiting == 1 else f"{waiting} messages"
        yield fail(
            "dlq",
            f"{some} that nobody could act on",
            "`fluxio dlq list` shows them; mend the cause, then `fluxio dlq redrive`.",
        )
    else:
        yield ok("dlq", "empty")


def _mapping(at: Examination) -> Iterator[Finding]:
    if not at.mappings:
        yield fail("worker", "no function takes messages from the queue", APPLY)
        return
    if len(at.mappings) > 1:
        functions = ", ".join(_last(one["FunctionArn"]) for one in at.mappings)
        yield warn("worker", f"{len(at.mappings)} mappings take from the queue: {functions}", APPLY)
    mapping = at.mappings[0]
    function = _last(mapping["FunctionArn"])
    if mapping.get("State") in ("Enabled", "Enabling", "Updating"):
        yield ok("worker", f"{function} takes from the queue, {mapping['BatchSize']} at a time")
    else:
        yield fail(
            "worker",
            f"the mapping from the queue to {function} is {mapping.get('State')}: runs stand still",
            f"aws lambda update-event-source-mapping --uuid {mapping['UUID']} --enabled",
        )
    if "ReportBatchItemFailures" in mapping.get("FunctionResponseTypes", ()):
        yield ok("worker", "a failed message comes back alone")
    else:
        yield fail(
            "worker",
            "the mapping lacks ReportBatchItemFailures: messages that should come back are deleted",
            APPLY,
        )


def _function(at: Examination) -> Iterator[Finding]:
    worker = at.worker
    if worker is None:
        return
    name = worker["FunctionName"]
    if worker.get("State", "Active") in ("Active", "Inactive"):
        yield ok("worker", f"{name} is ready, {worker['Runtime']}, {worker['MemorySize']} MB")
    else:
        yield fail(
            "worker",
            f"{name} is {worker['State']}: {worker.get('StateReason', '')}",
            "mend the reason, and apply again.",
        )
    if worker["Runtime"] not in RUNTIMES:
        yield fail(
            "worker",
            f"its runtime is {worker['Runtime']}; fluxio runs on {', '.join(RUNTIMES)}",
            "set the module's `runtime`.",
        )
    if worker.get("Handler") == HANDLER:
        yield ok("worker", f"its handler is {HANDLER}")
    else:
        yield warn(
            "worker",
            f"its handler is {worker.get('Handler')}",
            f"it must hand over to {HANDLER}; the module's default does.",
        )
    timeout, visibility = int(worker["Timeout"]), int(at.queue["VisibilityTimeout"])
    if visibility >= timeout:
        yield ok("worker", f"timeout {timeout} s, messages stay hidden for {visibility} s")
    else:
        yield fail(
            "worker",
            f"messages come back after {visibility} s while it may still run for {timeout} s",
            APPLY,
        )
    yield from _environment(at, worker)


def _environment(at: Examination, worker: dict[str, Any]) -> Iterator[Finding]:
    environment = worker.get("Environment", {}).get("Variables", {})
    session = at.session
    wanted = {"FLUXIO_TABLE_NAME": session.table, "FLUXIO_QUEUE_URL": session.queue}
    other = {
        name: environment.get(name)
        for name, value in wanted.items()
        # The same queue can be reached under several hosts.
        if (environment.get(name) or "").rsplit("/", 2)[-2:] != value.rsplit("/", 2)[-2:]
    }
    if not other:
        yield ok("worker", "it works on this table and this queue")
    for name, value in other.items():
        yield fail(
            "worker",
            f"its {name} is {value}, yours is {wanted[name]}",
            "take yours from the module's output `client_environment`, or apply the module.",
        )


def _recursion(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    found = at.lambda_.get_function_recursion_config(FunctionName=at.worker["FunctionName"])
    if found["RecursiveLoop"] == "Allow":
        yield ok("worker", "Lambda's loop guard lets long chains pass")
    else:
        yield fail("worker", "Lambda's loop guard ends chains of more than 16 messages", APPLY)


def _concurrency(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    found = at.lambda_.get_function_concurrency(FunctionName=at.worker["FunctionName"])
    own: int | None = found.get("ReservedConcurrentExecutions")
    if own == 0:
        yield fail(
            "worker",
            "its reserved concurrency is 0: somebody has stopped it, runs stand still",
            f"aws lambda delete-function-concurrency --function-name {at.worker['FunctionName']}",
        )
    elif own is None:
        yield ok("worker", "it may use all the concurrency that the account has left")
    else:
        yield ok("worker", f"at most {own} of it run at once")


def _layer(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    arns = [layer["Arn"] for layer in at.worker.get("Layers", ())]
    if not arns:
        yield fail("layer", "the worker has no layer, so no engine", APPLY)
        return
    mine = client_version()
    found = [(arn, version) for arn in arns if (version := _engine_version(at, arn))]
    if not found:
        short = ", ".join(_last(arn, 2) for arn in arns)
        yield warn(
            "layer",
            f"no version of fluxio to be read from {short}",
            f"see that it is the one that goes with this client, {mine}.",
        )
    for arn, version in found:
        if version == mine:
            yield ok("layer", f"{_last(arn, 2)} holds fluxio {version}, as this client does")
        else:
            yield warn(
                "layer",
                f"{_last(arn, 2)} holds fluxio {version}, this client is {mine}",
                f'deploy the layer of {mine}, or: pip install "fluxio-client[cli]=={version}"',
            )


def _engine_version(at: Examination, arn: str) -> str | None:
    """The version of fluxio in a layer: from its description, or else from its zip's list of files."""
    layer = at.lambda_.get_layer_version_by_arn(Arn=arn)
    if found := re.search(
        r"fluxio-layer-(\d[\w.]*?)-(?:x86_64|arm64)", layer.get("Description", "")
    ):
        return found[1]
    location = layer.get("Content", {}).get("Location", "")
    if not location.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(location, headers={"Range": f"bytes=-{TAIL}"})
    with suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        listed = re.search(rb"python/fluxio-(\d[\w.]*)\.dist-info/", answer.read())
        return listed[1].decode() if listed else None
    return None


def _schedule(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    scheduler, worker = at.session.aws("scheduler"), _unqualified(at.worker["FunctionArn"])
    pages = scheduler.get_paginator("list_schedules").paginate()
    found = [
        schedule
        for page in pages
        for schedule in page["Schedules"]
        if _unqualified(schedule.get("Target", {}).get("Arn", "")) == worker
    ]
    if not found:
        yield fail(
            "schedule",
            "nothing invokes the worker each minute: timers and lost messages wait",
            APPLY,
        )
        return
    schedules = [
        scheduler.get_schedule(Name=one["Name"], GroupName=one.get("GroupName", "default"))
        for one in found
    ]
    sweeping = [schedule for schedule in schedules if _sweeps(schedule)]
    if not sweeping:
        names = ", ".join(schedule["Name"] for schedule in schedules)
        yield fail("schedule", f"nothing sweeps: {names} sends another input", APPLY)
    for schedule in sweeping:
        yield from _sweep(schedule)


def _sweeps(schedule: dict[str, Any]) -> bool:
    try:
        return bool(json.loads(schedule["Target"].get("Input", "")) == SWEEP)
    except ValueError:
        return False


def _sweep(schedule: dict[str, Any]) -> Iterator[Finding]:
    name, expression = schedule["Name"], schedule["ScheduleExpression"]
    if schedule.get("State", "ENABLED") != "ENABLED":
        yield fail(
            "schedule",
            f"{name} is {schedule['State']}: timers and lost messages wait",
            "enable it: " + APPLY,
        )
    elif expression in ("rate(1 minute)", "rate(1 minutes)", "cron(* * * * ? *)"):
        yield ok("schedule", f"{name} sweeps each minute")
    else:
        yield warn("schedule", f"{name} sweeps at {expression}, not each minute", APPLY)


def _runs(at: Examination) -> Iterator[Finding]:
    now = at.session.now
    late = [
        now - wake_at
        for shard in range(layout.SHARDS)
        for _, wake_at in at.session.store.due(shard, now - LATE, 1000)
    ]
    if not late:
        yield ok("runs", "the sweep is up to date: no open run is overdue")
        return
    runs = "1 open run is" if len(late) == 1 else f"{len(late)} open runs are"
    yield fail(
        "runs",
        f"{runs} overdue, by up to {length(max(late) / 1000)}: the sweep does not come",
        "see the lines on schedule and worker, and the worker's log.",
    )


def _rights(at: Examination) -> Iterator[Finding]:
    """Calls that change nothing, for what the other commands need."""
    store = at.session.store
    tries: list[tuple[str, Callable[[], object]]] = [
        ("show runs", lambda: store.read("doctor")),
        ("list runs of a workflow", lambda: Listing(store).runs("Doctor", limit=1)),
        ("start and steer runs (the table's part)", lambda: store.try_to_write("doctor")),
    ]
    for what, call in tries:
        try:
            call()
        except ClientError as error:
            yield _unanswered("rights", error)
        else:
            yield ok("rights", f"you may {what}")


def _last(arn: str, parts: int = 1) -> str:
    return ":".join(arn.split(":")[-parts:])


def _unqualified(arn: str) -> str:
    """A function's ARN without version or alias."""
    return ":".join(arn.split(":")[:7])


CHECKS: tuple[tuple[str, Check], ...] = (
    ("caller", _caller),
    ("table", _table),
    ("table", _table_care),
    ("queue", _queue),
    ("dlq", _dead_letters),
    ("worker", _mapping),
    ("worker", _function),
    ("worker", _recursion),
    ("worker", _concurrency),
    ("layer", _layer),
    ("schedule", _schedule),
    ("runs", _runs),
    ("rights", _rights),
)
