"""The workflows that both versions have deployed. It imports nothing but `fluxio`, whichever that is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxio import Retry, StepContext, step, workflow

LONG = "x" * 3_000

#: Told of each attempt whose code runs; the process that has these workflows deployed sets it.
on_attempt: list[Callable[[StepContext], None]] = []


def ran(ctx: StepContext) -> None:
    for told in on_attempt:
        told(ctx)


def built(name: str, edges: dict[str, list[str]], size: int = 0, **more: Any) -> type:
    """A workflow of steps that return their name, and `size` more characters; and of `more` steps."""

    def returns(at: str) -> Any:
        def run(self: Any, ctx: StepContext) -> dict:
            ran(ctx)
            return {at: "o" * size}

        run.__name__ = run.__qualname__ = at
        return run

    made = {at: step(depends_on=deps, timeout=70)(returns(at)) for at, deps in edges.items()}
    return workflow(type(name, (), made | more))


Single = built("Single", {"only": []})
TwoRoots = built("TwoRoots", {"a": [], "b": []})
Chain = built("Chain", {"a": [], "b": ["a"], "c": ["b"], "d": ["c"]})
Order = built(
    "Order",
    {
        "validate": [],
        "charge": ["validate"],
        "reserve": ["validate"],
        "confirm": ["validate"],
        "fulfill": ["charge", "reserve", "confirm"],
    },
)
BRANCHES = [f"branch{at}" for at in range(12)]
Fan = built("Fan", {"split": [], **{name: ["split"] for name in BRANCHES}, "join": BRANCHES})
#: So many steps, each with so much to keep, that their records are sealed.
LONG_CHAIN = {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(12)}
LongChain = built("LongChain", LONG_CHAIN, size=190)
#: Outputs that have items of their own.
LongOutputs = built(
    "LongOutputs", {"top": [], "left": ["top"], "right": ["top"], "last": ["left", "right"]}, 3_000
)


@workflow
class Approval:
    """Steps that wait for signals: one behind another step, and a root."""

    @step(timeout=70)
    def ask(self, number: int, ctx: StepContext) -> dict:
        ran(ctx)
        return {"asked": number}

    @step(depends_on=["ask"], awaits=["approved"], timeout=70)
    def pay(self, asked: int, approved: dict, ctx: StepContext) -> dict:
        ran(ctx)
        return {"paid": asked, "payer": approved["by"]}

    @step(awaits=["extra"], timeout=70)
    def add(self, extra: int, ctx: StepContext) -> dict:
        ran(ctx)
        return {"extra": extra}

    @step(depends_on=["pay", "add"], timeout=70)
    def end(self, paid: int, payer: str, extra: int, ctx: StepContext) -> dict:
        ran(ctx)
        return {"end": f"{payer} {paid} {extra}"}


@workflow
class Flaky:
    """A branch fails twice: one backoff is waited for by its message, the other by the sweeper."""

    @step(timeout=70)
    def top(self, ctx: StepContext) -> dict:
        ran(ctx)
        return {}

    @step(depends_on=["top"], timeout=70, retry=Retry(3, initial=20, backoff=10, jitter=0))
    def left(self, ctx: StepContext) -> dict:
        ran(ctx)
        if ctx.attempt < 3:
            raise ConnectionError("on purpose")
        return {"left": "done"}

    @step(depends_on=["top"], timeout=70)
    def right(self, ctx: StepContext) -> dict:
        ran(ctx)
        return {}

    @step(depends_on=["left", "right"], timeout=70)
    def end(self, left: dict, ctx: StepContext) -> dict:
        ran(ctx)
        return left


@workflow
class Transfer:
    """Moves money between two accounts of a ledger, in the transactions that commit the steps."""

    @step(timeout=70)
    def debit(self, amount: int, ctx: StepContext) -> dict:
        ran(ctx)
        ctx.transact(_add("from", -amount))
        return {"debited": amount}

    @step(depends_on=["debit"], timeout=70)
    def credit(self, debited: int, ctx: StepContext) -> dict:
        ran(ctx)
        ctx.transact(_add("to", debited))
        return {"credited": debited}

    @step(depends_on=["debit"], timeout=70)
    def fee(self, debited: int, ctx: StepContext) -> dict:
        ran(ctx)
        ctx.transact(_add("fees", 1))
        return {"fees": 1}

    @step(depends_on=["credit", "fee"], timeout=70)
    def close(self, credited: int, fees: int, ctx: StepContext) -> dict:
        ran(ctx)
        return {"credited": credited - fees}


def _add(account: str, amount: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": "ledger",
            "Key": {"pk": {"S": account}, "sk": {"S": "account"}},
            "UpdateExpression": "ADD balance :amount",
            "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
        }
    }


@workflow
class Mended:
    """Fails for good, with the step beside it done, until an operator redrives it."""

    @step(timeout=70)
    def first(self, ctx: StepContext) -> dict:
        ran(ctx)
        return {"number": 1}

    @step(depends_on=["first"], retry=0, timeout=70)
    def second(self, number: int, ctx: StepContext) -> dict:
        ran(ctx)
        if ctx.attempt == 1:
            raise FileNotFoundError("the invoice")
        return {"number": number + 1}

    @step(depends_on=["second"], timeout=70)
    def third(self, number: int, ctx: StepContext) -> dict:
        ran(ctx)
        return {"number": number + 1}


@step(depends_on=["s11"], timeout=70)
def _long(self: Any, ctx: StepContext) -> dict:
    ran(ctx)
    return {"text": LONG}


@step(depends_on=["long"], retry=0, timeout=70)
def _fails(self: Any, ctx: StepContext) -> dict:
    ran(ctx)
    if ctx.attempt == 1:
        raise FileNotFoundError("the invoice")
    return {}


#: Has archives and a long output when it fails, and is mended by a redrive.
LongMended = built("LongMended", LONG_CHAIN, 190, long=_long, fails=_fails)


@workflow(timeout=600)
class Overdue:
    """Waits for a signal that never comes, longer than it may."""

    @step(timeout=70)
    def ask(self, ctx: StepContext) -> dict:
        ran(ctx)
        return {}

    @step(depends_on=["ask"], awaits=["answer"], timeout=70)
    def go_on(self, answer: dict, ctx: StepContext) -> dict:
        ran(ctx)
        return {}


CLASSES = (
    Single,
    TwoRoots,
    Chain,
    Order,
    Fan,
    LongChain,
    LongOutputs,
    Approval,
    Flaky,
    Transfer,
    Mended,
    LongMended,
    Overdue,
)
