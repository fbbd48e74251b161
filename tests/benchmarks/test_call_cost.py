"""What a call costs the worker's processor, beside the same call by botocore's own client.

Both ask a server in another process for the same image of a run, in turns, and what counts is the median of the
rounds' ratios.

    pytest tests/benchmarks -s
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from subprocess import PIPE
from typing import Any

import pytest

from dev import ROOT
from tests.unit.http_answers import answer, checked
from tests.unit.test_aws_call import lean, plain

ROUNDS, CALLS = 40, 20

KEY = {"pk": {"S": "wf-000000000001"}, "sk": {"S": "run"}}


def image(steps: int) -> bytes:
    """The answer to a write: the run as it stands after it, and what it cost."""
    item = {
        **KEY,
        "status": {"S": "RUNNING"},
        "wake_at": {"N": "1800000000000"},
        "steps": {
            "M": {
                f"step_{at}": {
                    "M": {
                        "status": {"S": "SUCCEEDED"},
                        "attempt": {"N": "1"},
                        "token": {"S": "0123456789ab"},
                        "output": {"S": '{"a": 1}'},
                    }
                }
                for at in range(steps)
            }
        },
    }
    units = {"CapacityUnits": 2.0, "WriteCapacityUnits": 2.0}
    consumed = {
        "TableName": "runs",
        **units,
        "Table": units,
        "GlobalSecondaryIndexes": {"due": units},
    }
    return checked({"Attributes": item, "ConsumedCapacity": consumed})


def write(client: Any) -> None:
    client.update_item(
        TableName="runs",
        Key=KEY,
        UpdateExpression="SET #0.#1.#2=:0,#0.#1.#3=:1,#0.#1.#4=:2",
        ConditionExpression="#0.#1.#2=:3 AND #0.#1.#5=:4",
        ExpressionAttributeNames={f"#{at}": f"name_{at}" for at in range(6)},
        ExpressionAttributeValues={f":{at}": {"S": "value"} for at in range(5)},
        ReturnValues="ALL_NEW",
        ReturnConsumedCapacity="INDEXES",
    )


def send(client: Any) -> None:
    client.send_message_batch(
        QueueUrl="https://sqs.us-east-1.amazonaws.com/123456789012/runs.fifo",
        Entries=[
            {
                "Id": str(at),
                "MessageBody": '{"run_id": "wf-000000000001", "step": "one"}',
                "MessageGroupId": f"wf-000000000001/{at}",
                "MessageDeduplicationId": f"wf-000000000001/{at}/1/",
            }
            for at in range(3)
        ],
    )


SENT = answer({"Successful": [{"Id": str(at), "MessageId": "m"} for at in range(3)]})


#: Serves until it is ended.
SERVER = """
import sys
from tests.unit.http_answers import Answers
print(Answers(bytes.fromhex(sys.stdin.readline())).url, flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def url(answered: bytes, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where a server is that gives the same answer to each request."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], cwd=ROOT, stdin=PIPE, stdout=PIPE, text=True
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        server.stdin.write(answered.hex() + "\n")
        server.stdin.flush()
        yield server.stdout.readline().strip()


@pytest.mark.parametrize(
    ("service", "call", "answered", "allowed"),
    [
        pytest.param("dynamodb", write, image(5), 0.4, id="a write of a run of five steps"),
        pytest.param("dynamodb", write, image(22), 0.4, id="a write of a run of 22 steps"),
        pytest.param("sqs", send, SENT, 0.4, id="a batch of messages"),
    ],
)
def test_a_call_costs_at_most_a_share_of_what_botocores_own_does(
    service: str, call: Callable[[Any], None], allowed: float, url: str
) -> None:
    took: dict[Any, list[float]] = {make(service, url): [] for make in (plain, lean)}
    for _ in range(ROUNDS):
        for client, times in took.items():
            call(client)
            began = time.process_time()
            for _ in range(CALLS):
                call(client)
            times.append((time.process_time() - began) / CALLS * 1000)
    botocores, leans = took.values()
    ratio = statistics.median(one / other for one, other in zip(leans, botocores, strict=True))
    sys.stdout.write(
        f"\n{service}.{call.__name__}: botocore {statistics.median(botocores):.2f} ms, lean "
        f"{statistics.median(leans):.2f} ms, ratio {ratio:.2f}\n"
    )
    assert ratio <= allowed
