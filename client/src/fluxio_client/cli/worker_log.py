"""The worker's log: which group it is, and the lines of it that are about some runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.session import Session


class WorkerFunction(NamedTuple):
    """The worker, as far as its log and its price go."""

    name: str
    log_group: str
    memory_mb: int
    architecture: str


def find_worker(session: Session) -> WorkerFunction:
    """The function that takes from the queue.

    Raises:
        NotFound: there is none.
    """
    lambda_ = session.aws("lambda")
    arn = session.nudges.attributes().get("QueueArn")
    if arn is None:
        raise NotFound(
            "the queue has no ARN, as in `fluxio dev`: no Lambda function takes from it."
        )
    mappings = mappings_of(lambda_, arn)
    if not mappings:
        raise NotFound("no function takes messages from the queue: see `fluxio doctor`.")
    worker = lambda_.get_function_configuration(FunctionName=mappings[0]["FunctionArn"])
    name = worker["FunctionName"]
    return WorkerFunction(
        name,
        worker.get("LoggingConfig", {}).get("LogGroup") or f"/aws/lambda/{name}",
        int(worker["MemorySize"]),
        worker.get("Architectures", ["x86_64"])[0],
    )


def mappings_of(lambda_: Any, queue_arn: str) -> list[dict[str, Any]]:
    """The event source mappings that take from a queue; a page may be empty and name a next one."""
    found: list[dict[str, Any]] = []
    more: dict[str, str] = {}
    while True:
        answer = lambda_.list_event_source_mappings(EventSourceArn=queue_arn, **more)
        found += answer["EventSourceMappings"]
        if not (marker := answer.get("NextMarker")):
            return found
        more = {"Marker": marker}


def lines(
    session: Session, group: str, message: str, since: int, until: int
) -> Iterator[dict[str, Any]]:
    """The worker's JSON lines with this message, between two moments in milliseconds since 1970.

    Raises:
        NotFound: the log group does not exist.
    """
    logs = session.aws("logs")
    try:
        for page in logs.get_paginator("filter_log_events").paginate(
            logGroupName=group,
            startTime=since,
            endTime=until,
            filterPattern=f'"{message}"',
        ):
            for event in page["events"]:
                line = _read(event["message"])
                if line.get("message") == message:
                    yield line
    except logs.exceptions.ResourceNotFoundException:
        raise NotFound(f"there is no log group {group}: say --log-group.") from None


def _read(text: str) -> dict[str, Any]:
    try:
        line = json.loads(text)
    except ValueError:
        return {}
    return line if isinstance(line, dict) else {}
