"""What importing the worker costs a cold start, beside boto3 with its two clients.

Each has its bytecode, as in Lambda, also where this process is told to write none. Times are noisy, so the two
take turns in one run, and what counts is the ratio of the least processor time that each takes until its
clients are there: other processes of the machine have little part in that.

    pytest tests/benchmarks -s
"""

from __future__ import annotations

import os
import subprocess
import sys

from dev import STATE

ROUNDS = 9
ALLOWED = 1.2

BOTO3 = "import boto3; boto3.client('dynamodb'); boto3.client('sqs')"
WORKER = "import fluxio.worker as worker; worker._worker()"
HEAVY = f"{WORKER}; import sys; print(*sorted({{'pydantic', 'aws_xray_sdk'}} & {{*sys.modules}}))"

ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_LAMBDA_FUNCTION_NAME": "worker",
    "AWS_SECRET_ACCESS_KEY": "test",
    "FLUXIO_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/orders.fifo",
    "FLUXIO_TABLE_NAME": "orders",
    "PYTHONDONTWRITEBYTECODE": "",  # the first time of each writes it
    "PYTHONPYCACHEPREFIX": str(STATE / "bytecode"),
}


def python(code: str) -> tuple[float, str]:
    """Seconds of processor time until a fresh interpreter is through some code, and what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; import time; print(time.process_time(), end='')"],
        env=os.environ | ENVIRONMENT,
        check=True,
        capture_output=True,
        text=True,
    )
    printed, _, seconds = done.stdout.rpartition("\n")
    return float(seconds), printed


def test_importing_the_worker_costs_at_most_a_fifth_more_than_boto3_with_its_clients() -> None:
    python(BOTO3), python(WORKER)  # the files are in the cache, and their bytecode, from here on
    took: dict[str, list[float]] = {BOTO3: [], WORKER: []}
    for _ in range(ROUNDS):
        for code, times in took.items():
            times.append(python(code)[0])
    boto3, worker = (min(times) for times in took.values())
    sys.stdout.write(
        f"\nimport with clients: boto3 {boto3 * 1000:.0f} ms, worker {worker * 1000:.0f} ms, "
        f"ratio {worker / boto3:.2f}\n"
    )
    assert worker / boto3 <= ALLOWED


def test_neither_pydantic_nor_the_x_ray_sdk_is_imported_before_something_needs_it() -> None:
    assert python(HEAVY)[1] == ""
