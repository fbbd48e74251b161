"""The function that takes from the queue."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fluxio_client.cli.checks.examination import Examination, last
from fluxio_client.cli.checks.finding import APPLY, Finding, fail, ok, warn
from fluxio_client.cli.moments import moment_of

#: Python's versions that the layer holds.
RUNTIMES = ("python3.10", "python3.11", "python3.12", "python3.13", "python3.14")

#: When AWS ends the support of a runtime; some months later its functions can no longer be updated.
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
SUPPORTED_UNTIL = {"python3.10": "2026-10-31", "python3.11": "2027-06-30"}

#: Days before that in which doctor says so.
NOTICE = 90
DAY = 86_400_000

HANDLER = "fluxio.worker.lambda_handler"


def mapping(at: Examination) -> Iterator[Finding]:
    if not at.mappings:
        yield fail("worker", "no function takes messages from the queue", APPLY)
        return
    if len(at.mappings) > 1:
        functions = ", ".join(last(one["FunctionArn"]) for one in at.mappings)
        yield warn("worker", f"{len(at.mappings)} mappings take from the queue: {functions}", APPLY)
    mapping = at.mappings[0]
    function = last(mapping["FunctionArn"])
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


def function(at: Examination) -> Iterator[Finding]:
    worker = at.worker
    if worker is None:
        return
    name = worker["FunctionName"]
    if worker.get("State", "Active") in ("Active", "Inactive"):
        runtime = worker.get("Runtime", "a container image")
        yield ok("worker", f"{name} is ready, {runtime}, {worker['MemorySize']} MB")
    else:
        yield fail(
            "worker",
            f"{name} is {worker['State']}: {worker.get('StateReason', '')}",
            "mend the reason, and apply again.",
        )
    yield from _runtime(at, worker)
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


def _runtime(at: Examination, worker: dict[str, Any]) -> Iterator[Finding]:
    runtime = worker.get("Runtime")
    if runtime is None:  # a container image brings its own Python
        return
    if runtime not in RUNTIMES:
        yield fail(
            "worker",
            f"its runtime is {runtime}; fluxio runs on {', '.join(RUNTIMES)}",
            "set the module's `runtime`.",
        )
    until = SUPPORTED_UNTIL.get(runtime)
    if until is not None and at.session.now >= moment_of(f"{until}T00:00Z", 0) - NOTICE * DAY:
        yield warn(
            "worker",
            f"AWS supports {runtime} until {until}; some months later such a function cannot be updated",
            f"set the module's `runtime` to {RUNTIMES[-2]} or later, with a package that was built for it.",
        )


def _environment(at: Examination, worker: dict[str, Any]) -> Iterator[Finding]:
    if error := worker.get("Environment", {}).get("Error"):
        # https://docs.aws.amazon.com/lambda/latest/dg/configuration-envvars-encryption.html
        yield warn(
            "worker",
            f"its settings were not looked at: {error.get('ErrorCode')}, {error.get('Message')}",
            "with a KMS key of your own you need kms:Decrypt on it, as `operator_policy_json` gives it.",
        )
        return
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


def recursion(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    found = at.lambda_.get_function_recursion_config(FunctionName=at.worker["FunctionName"])
    if found["RecursiveLoop"] == "Allow":
        yield ok("worker", "Lambda's loop guard lets long chains pass")
    else:
        yield fail("worker", "Lambda's loop guard ends chains of more than 16 messages", APPLY)


def concurrency(at: Examination) -> Iterator[Finding]:
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
