"""AWS Step Functions and Lambda durable functions, as the emulator has them."""

from __future__ import annotations

import base64
import io
import json
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

from bench import LOOK

#: A handler that does nothing. It writes a line, since the emulator waits 50 ms for those that write none.
TASK = """
import sys

def handler(event, context):
    print("done", file=sys.stderr, flush=True)
    return {"done": True}
"""

DURABLE = """
import sys

from aws_durable_execution_sdk_python import durable_execution, durable_step

@durable_step
def task(ctx):
    print("done", file=sys.stderr, flush=True)
    return {"done": True}

@durable_execution
def handler(event, context):
    shape = event["shape"]
    if shape == "chain":
        for at in range(20):
            context.step(task(), name=f"s{at}")
        return {"done": True}
    context.step(task(), name="begin")
    width = 3 if shape == "order" else 100
    branches = [lambda child: child.step(task(), name="b") for _ in range(width)]
    context.parallel(branches, name="branches").throw_if_error()
    context.step(task(), name="end")
    return {"done": True}
"""

ROLE = "arn:aws:iam::000000000000:role/bench"


def zipped(source: str, *folders: Path) -> bytes:
    """A function's code, with packages beside it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("main.py", source)
        for folder in folders:
            for path in sorted(folder.rglob("*.py")):
                archive.write(path, path.relative_to(folder.parent))
    return made.getvalue()


class StepFunctions:
    """Standard workflows whose tasks are Lambda functions."""

    name = "step functions"

    def __init__(self, clients: dict[str, Any]) -> None:
        self._states = clients["stepfunctions"]
        function = clients["lambda"].create_function(
            FunctionName="bench-task", Runtime="python3.12", Role=ROLE, Handler="main.handler",
            Code={"ZipFile": zipped(TASK)}, Timeout=60, MemorySize=512,
        )["FunctionArn"]  # fmt: skip
        self._machines = {
            shape: self._states.create_state_machine(
                name=f"bench-{shape}", roleArn=ROLE, definition=json.dumps(definition)
            )["stateMachineArn"]
            for shape, definition in {
                "order": _fan(function, 3),
                "chain": _chain(function, 20),
                "fan": _fan(function, 100),
            }.items()
        }

    def run(self, shape: str) -> float:
        """Start it, and look at it until it has ended."""
        began = time.perf_counter()
        arn = self._states.start_execution(stateMachineArn=self._machines[shape], input="{}")[
            "executionArn"
        ]
        while (status := self._states.describe_execution(executionArn=arn)["status"]) == "RUNNING":
            time.sleep(LOOK)
        assert status == "SUCCEEDED", status
        return (time.perf_counter() - began) * 1000


def _task(function: str, **more: Any) -> dict[str, Any]:
    return {"Type": "Task", "Resource": function, **more}


def _chain(function: str, length: int) -> dict[str, Any]:
    steps = {f"s{at}": _task(function, Next=f"s{at + 1}") for at in range(length - 1)}
    return {"StartAt": "s0", "States": {**steps, f"s{length - 1}": _task(function, End=True)}}


def _fan(function: str, width: int) -> dict[str, Any]:
    branches = [{"StartAt": "b", "States": {"b": _task(function, End=True)}} for _ in range(width)]
    return {
        "StartAt": "begin",
        "States": {
            "begin": _task(function, Next="branches"),
            "branches": {"Type": "Parallel", "Branches": branches, "Next": "end"},
            "end": _task(function, End=True),
        },
    }


class DurableFunctions:
    """Lambda durable functions, by AWS's SDK for Python.

    Args:
        clients: of boto3.
        endpoint: the emulator's; boto3 does not know the setting that makes a function durable.
        sdk: the folder of the package `aws_durable_execution_sdk_python`.
    """

    name = "durable functions"

    def __init__(self, clients: dict[str, Any], endpoint: str, sdk: Path) -> None:
        self._lambda = clients["lambda"]
        body = {
            "FunctionName": "bench-durable", "Runtime": "python3.13", "Role": ROLE, "Handler": "main.handler",
            "Code": {"ZipFile": base64.b64encode(zipped(DURABLE, sdk)).decode()}, "Timeout": 300,
            "MemorySize": 512, "DurableConfig": {"Enabled": True, "ExecutionTimeout": 300},
        }  # fmt: skip
        request = urllib.request.Request(
            f"{endpoint}/2015-03-31/functions",
            json.dumps(body).encode(),
            {
                "Content-Type": "application/json",
                "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/lambda/aws4_request",
            },
        )
        urllib.request.urlopen(request).close()

    def run(self, shape: str) -> float:
        """Invoke it, which answers when it has ended."""
        began = time.perf_counter()
        answer = self._lambda.invoke(
            FunctionName="bench-durable", Payload=json.dumps({"shape": shape}).encode()
        )
        said = json.loads(answer["Payload"].read())
        assert "FunctionError" not in answer, said
        assert said.get("Status", "SUCCEEDED") == "SUCCEEDED", said
        return (time.perf_counter() - began) * 1000
