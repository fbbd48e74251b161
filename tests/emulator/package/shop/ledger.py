"""A workflow that moves money, and beside it one effect that no transaction guards."""

from __future__ import annotations

import time
from typing import Any

import boto3

from fluxio import Retry, StepContext, step, workflow

#: So many attempts that no series of deaths uses them up: the tests ask that every run succeeds.
PATIENT = Retry(9, initial=0.2, maximum=2.0)


class Busy(Exception):
    """The bank asks to try again later."""


#: Made here and not in a step: it takes longer than all of them, and would count as the first one's time.
DYNAMODB = boto3.client("dynamodb")


def add(ledger: str, account: str, amount: int) -> dict[str, Any]:
    """A write that does harm if it is done twice."""
    return {
        "TableName": ledger,
        "Key": {"account": {"S": account}},
        "UpdateExpression": "ADD balance :amount",
        "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
    }


@workflow
class Transfer:
    """Money goes from an account to another, a notice goes out meanwhile, then the books are closed."""

    @step(retry=PATIENT, timeout=2)
    def check(self, amount: int, ctx: StepContext, stumble: bool = False) -> dict:
        if stumble and ctx.attempt == 1:
            raise Busy("ask again later")
        time.sleep(0.01)
        return {"checked": amount}

    @step(depends_on=["check"], retry=PATIENT, timeout=2)
    def move(self, ledger: str, source: str, target: str, amount: int, ctx: StepContext) -> dict:
        ctx.transact(
            {"Update": add(ledger, source, -amount)},
            {"Update": add(ledger, target, amount)},
            {"Update": add(ledger, f"moved#{ctx.run_id}", 1)},
        )
        time.sleep(0.03)
        return {"moved": amount}

    @step(depends_on=["check"], retry=PATIENT, timeout=2)
    def notify(self, ledger: str, ctx: StepContext) -> dict:
        # Without ctx.transact: who dies between this write and the step's completion writes it again.
        DYNAMODB.update_item(**add(ledger, f"noticed#{ctx.run_id}", 1))
        time.sleep(0.03)
        return {"noticed": True}

    @step(depends_on=["move", "notify"], retry=PATIENT, timeout=2)
    def close(self, ledger: str, ctx: StepContext) -> dict:
        ctx.transact({"Update": add(ledger, f"closed#{ctx.run_id}", 1)})
        time.sleep(0.01)
        return {"closed": True}
