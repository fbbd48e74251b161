"""The workflows that the trial runs beside OrderFulfillment: each shows one thing."""

from __future__ import annotations

import os
import time
from typing import Any

from fluxio import Retry, StepContext, step, workflow

HOPS = 40
BACKOFF = 30.0


@workflow
class Quick:
    """Load: a step of a fifth of a second, as an API call takes it."""

    @step
    def call(self, number: int) -> dict[str, Any]:
        time.sleep(0.2)
        return {"number": number, "environment": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")}


@workflow
class FailsOnce:
    """A step that fails its first attempt and is due again after a known time."""

    @step(retry=Retry(3, initial=BACKOFF, backoff=1, jitter=0))
    def call(self, ctx: StepContext) -> dict[str, Any]:
        if ctx.attempt == 1:
            raise ConnectionError("fails on purpose")
        return {"attempt": ctx.attempt}


@workflow
class TwoInvocations:
    """A second step that no longer fits into the first one's invocation: it begins in the next, at once."""

    @step(timeout=30)
    def first(self, seconds: float) -> dict[str, Any]:
        time.sleep(seconds)
        return {}

    @step(depends_on=["first"], timeout=48)
    def second(self, **_: Any) -> dict[str, Any]:
        return {}


@workflow
class Crashes:
    """A step that ends its process in its first attempt."""

    @step(retry=3)
    def call(self, ctx: StepContext) -> dict[str, Any]:
        if ctx.attempt == 1:
            os._exit(1)
        return {"attempt": ctx.attempt}


@workflow
class Deposit:
    """Money: the write commits with the step, so it happens exactly once."""

    @step(retry=Retry(10, initial=0.2))
    def pay_in(self, account: str, amount: int, ctx: StepContext) -> dict[str, Any]:
        ctx.transact(_add(os.environ["LEDGER_TABLE"], account, amount))
        return {"amount": amount}


@workflow
class WritesElsewhere:
    """A write for which the worker has only just been given the right."""

    @step(retry=Retry(12, initial=2, backoff=1.5, maximum=15))
    def write(self, key: str, ctx: StepContext) -> dict[str, Any]:
        item = {"id": {"S": key}}
        ctx.transact({"Put": {"TableName": os.environ["ELSEWHERE_TABLE"], "Item": item}})
        return {"attempt": ctx.attempt}


def _add(table: str, account: str, amount: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": table,
            "Key": {"id": {"S": account}},
            "UpdateExpression": "ADD balance :amount",
            "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
        }
    }


def _hop(number: int) -> Any:
    def hop(_self: Any, **_: Any) -> dict[str, Any]:
        return {"environment": os.environ.get("AWS_LAMBDA_LOG_STREAM_NAME", "")}

    hop.__name__ = f"hop_{number:02}"
    before = [f"hop_{number - 1:02}"] if number > 1 else []
    return step(depends_on=before, isolated=True)(hop)


Chain40 = workflow(
    type("Chain40", (), {f"hop_{number:02}": _hop(number) for number in range(1, HOPS + 1)})
)
