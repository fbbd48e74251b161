"""The worker in a process of its own, as Lambda would run it: what a run takes of its processor.

    python -m bench.worker_process <runs> <file> <workflow> [<workflow> …]

Its environment is that of the module's function, with a queue that no Lambda polls. For each run it writes a
line of JSON to the file; what the runs cost stands in the worker's log, on stderr.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from fluxio.worker import lambda_handler
from fluxio_client import FluxioClient
from fluxio_protocol import settings

#: Runs that are not counted: the first stores the graph and makes the connections.
WARM_UP = 5


class Invocation:
    """The part of Lambda's context object that the worker reads."""

    aws_request_id = "bench"

    def get_remaining_time_in_millis(self) -> int:
        return 60_000


def measure(workflow: str, client: FluxioClient, sqs: Any, queue_url: str) -> dict[str, Any]:
    """One run, from its start to the last message; the processor's time is the handler's alone."""
    spent = client.spent
    before = (spent.writes, spent.write_units, spent.index_write_units)
    run_id = client.start(workflow).run_id
    after = (spent.writes, spent.write_units, spent.index_write_units)
    cpu = wall = 0.0
    invocations = 0
    while records := _receive(sqs, queue_url):
        invocations += 1
        began, began_cpu = time.perf_counter(), time.process_time()
        answer = lambda_handler({"Records": records}, Invocation())
        cpu += time.process_time() - began_cpu
        wall += time.perf_counter() - began
        back = {failure["itemIdentifier"] for failure in answer["batchItemFailures"]}
        for record in records:
            if record["messageId"] not in back:
                sqs.delete_message(QueueUrl=queue_url, ReceiptHandle=record["receiptHandle"])
    return {
        "workflow": workflow,
        "run_id": run_id,
        "status": str(client.get(run_id).status),
        "client": [now - then for now, then in zip(after, before, strict=True)],
        "invocations": invocations,
        "cpu_ms": 1000 * cpu,
        "wall_ms": 1000 * wall,
    }


def _receive(sqs: Any, queue_url: str) -> list[dict[str, Any]]:
    """A message as the module's mapping hands it over: batches of one."""
    answer = sqs.receive_message(QueueUrl=queue_url, AttributeNames=["All"])
    return [
        {
            "messageId": message["MessageId"],
            "receiptHandle": message["ReceiptHandle"],
            "body": message["Body"],
            "attributes": message["Attributes"],
        }
        for message in answer.get("Messages", [])
    ]


def main(arguments: list[str]) -> None:
    runs, file, *workflows = arguments
    client = FluxioClient()
    sqs, queue_url = settings.botocore_client("sqs"), settings.queue_url()
    with Path(file).open("w", encoding="utf-8") as lines:
        for number in range(WARM_UP + int(runs)):
            for workflow in workflows:
                found = measure(workflow, client, sqs, queue_url)
                if number >= WARM_UP:
                    lines.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
