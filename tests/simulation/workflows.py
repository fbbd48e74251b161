"""The workflows that the crash matrix runs: one of each kind of thing a worker does."""

from __future__ import annotations

from typing import Any

from fluxio import (
    Again,
    Failure,
    Retry,
    StepContext,
    any_of,
    failed,
    first_of,
    maybe,
    signal,
    step,
    timer,
    workflow,
)
from fluxio.testing.aws import Aws

LONG = "x" * 600
ORDER = {"order_id": "o-1", "amount": 99}


@workflow
class OrderFulfillment:
    @step(retry=3, timeout=30)
    def validate_payment(self, order_id: str, amount: float) -> dict:
        return {"order_id": order_id, "token": "tok_abc", "amount": amount}

    @step(depends_on=["validate_payment"], retry=3)
    def charge_card(self, order_id: str, token: str, amount: float, **kwargs) -> dict:
        return {"charge_id": "ch_abc", "charged": amount}

    @step(depends_on=["validate_payment"], retry=2)
    def reserve_inventory(self, order_id: str, **kwargs) -> dict:
        return {"reservation_id": "res_abc"}

    @step(depends_on=["validate_payment"], retry=1)
    def send_confirmation(self, order_id: str, **kwargs) -> dict:
        return {"email_sent": True}

    @step(depends_on=["charge_card", "reserve_inventory", "send_confirmation"])
    def fulfill_order(self, order_id: str, charge_id: str, reservation_id: str, **kwargs) -> dict:
        return {"fulfillment_id": "ful_abc", "status": "fulfilled"}


@workflow
class Chain:
    @step
    def one(self, number: int) -> dict:
        return {"number": number + 1}

    @step(depends_on=["one"])
    def two(self, number: int) -> dict:
        return {"number": number + 1}

    @step(depends_on=["two"])
    def three(self, number: int) -> dict:
        return {"number": number + 1}

    @step(depends_on=["three"])
    def four(self, number: int) -> dict:
        return {"number": number + 1}

    @step(depends_on=["four"])
    def five(self, number: int) -> dict:
        return {"number": number + 1}

    @step(depends_on=["five"])
    def six(self, number: int) -> dict:
        return {"number": number + 1}


@workflow
class Diamond:
    @step
    def top(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["top"])
    def left(self, number: int) -> dict:
        return {"l": number + 1}

    @step(depends_on=["top"])
    def right(self, number: int) -> dict:
        return {"r": number + 2}

    @step(depends_on=["left", "right"])
    def bottom(self, l: int, r: int) -> dict:  # noqa: E741
        return {"sum": l + r}


@workflow
class Wide:
    """More branches than an invocation has threads for."""

    @step
    def top(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["top"])
    def b1(self, number: int) -> dict:
        return {"n1": number}

    @step(depends_on=["top"])
    def b2(self, number: int) -> dict:
        return {"n2": number}

    @step(depends_on=["top"])
    def b3(self, number: int) -> dict:
        return {"n3": number}

    @step(depends_on=["top"])
    def b4(self, number: int) -> dict:
        return {"n4": number}

    @step(depends_on=["top"])
    def b5(self, number: int) -> dict:
        return {"n5": number}

    @step(depends_on=["b1", "b2", "b3", "b4", "b5"])
    def bottom(self, n1: int, n2: int, n3: int, n4: int, n5: int) -> dict:
        return {"sum": n1 + n2 + n3 + n4 + n5}


@workflow
class Tree:
    """A branch that branches again."""

    @step
    def root(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["root"])
    def left(self, number: int) -> dict:
        return {"l": number + 1}

    @step(depends_on=["root"])
    def right(self, number: int) -> dict:
        return {"r": number + 2}

    @step(depends_on=["left"])
    def first(self, l: int) -> dict:  # noqa: E741
        return {"f": l + 1}

    @step(depends_on=["left"])
    def second(self, l: int) -> dict:  # noqa: E741
        return {"s": l + 2}

    @step(depends_on=["first", "second", "right"])
    def last(self, f: int, s: int, r: int) -> dict:
        return {"sum": f + s + r}


@workflow
class ApartDiamond:
    """A branch that wants an invocation of its own, whatever inline_branches is."""

    @step
    def top(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["top"], isolated=True)
    def left(self, number: int) -> dict:
        return {"l": number + 1}

    @step(depends_on=["top"])
    def right(self, number: int) -> dict:
        return {"r": number + 2}

    @step(depends_on=["left", "right"])
    def bottom(self, l: int, r: int) -> dict:  # noqa: E741
        return {"sum": l + r}


@workflow
class TwoRoots:
    """Begins twice and ends twice."""

    @step
    def a(self, number: int) -> dict:
        return {"a": number}

    @step
    def b(self, number: int) -> dict:
        return {"b": number}


@workflow
class Flaky:
    @step
    def before(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["before"], retry=3)
    def fails_once(self, number: int, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"number": number + 1}

    @step(depends_on=["fails_once"])
    def after(self, number: int) -> dict:
        return {"number": number + 1}


@workflow
class FlakyBranch:
    """A branch fails while its siblings succeed."""

    @step
    def top(self, number: int) -> dict:
        return {"number": number}

    @step(depends_on=["top"], retry=Retry(3, initial=5))
    def left(self, number: int, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"l": number + 1}

    @step(depends_on=["top"])
    def right(self, number: int) -> dict:
        return {"r": number + 2}

    @step(depends_on=["left", "right"])
    def bottom(self, l: int, r: int) -> dict:  # noqa: E741
        return {"sum": l + r}


@workflow
class LongBackoff:
    """Waits longer than a message is held: the sweeper wakes it."""

    @step(retry=Retry(3, initial=600, jitter=0))
    def fails_once(self, number: int, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"number": number + 1}

    @step(depends_on=["fails_once"])
    def after(self, number: int) -> dict:
        return {"number": number + 1}


@workflow
class Transfer:
    """Moves money between two accounts of a ledger, in two steps."""

    @step
    def debit(self, amount: int, ctx: StepContext) -> dict:
        ctx.transact(_add("from", -amount), _entry(ctx))
        return {"debited": amount}

    @step(depends_on=["debit"])
    def credit(self, debited: int, ctx: StepContext) -> dict:
        ctx.transact(_add("to", debited), _entry(ctx))
        return {"credited": debited}


@workflow
class TransferBranches:
    """Two branches with transactions of their own, and a third without."""

    @step
    def debit(self, amount: int, ctx: StepContext) -> dict:
        ctx.transact(_add("from", -amount), _entry(ctx))
        return {"debited": amount}

    @step(depends_on=["debit"])
    def credit(self, debited: int, ctx: StepContext) -> dict:
        ctx.transact(_add("to", debited), _entry(ctx))
        return {"credited": debited}

    @step(depends_on=["debit"])
    def fee(self, debited: int, ctx: StepContext) -> dict:
        ctx.transact(_add("fees", 1), _entry(ctx))
        return {"fees": 1}

    @step(depends_on=["debit"])
    def mail(self) -> dict:
        return {"mailed": True}

    @step(depends_on=["credit", "fee", "mail"])
    def close(self, credited: int, fees: int) -> dict:
        return {"credited": credited - fees}


@workflow
class Reporting:
    """Steps that say which attempt they are, at once and with the next commit; the watch compares."""

    @step(timeout=20)
    def read(self, number: int, ctx: StepContext) -> dict:
        ctx.progress(ctx.attempt, flush=True)
        return {"number": number}

    @step(depends_on=["read"], timeout=5, retry=Retry(3, initial=0))
    def left(self, number: int, ctx: StepContext) -> dict:
        ctx.progress(ctx.attempt, flush=True)
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"l": number}

    @step(depends_on=["read"], timeout=60)
    def right(self, number: int, ctx: StepContext) -> dict:
        ctx.progress(ctx.attempt)
        return {"r": number}


@workflow
class Letter:
    """Started by steps of other runs."""

    @step
    def send(self, to: str) -> dict:
        return {"sent": to}


@workflow
class Outbox:
    """Each step starts runs of another workflow: one of them by a name of its own, one with a long input."""

    @step
    def pay(self, number: int, ctx: StepContext) -> dict:
        ctx.start("Letter", {"to": "payer"})
        ctx.start(Letter, {"to": "books", "text": LONG}, run_id=f"books-{number}")
        return {"paid": number}

    @step(depends_on=["pay"], retry=3)
    def ship(self, paid: int, ctx: StepContext) -> dict:
        ctx.start("Letter", {"to": "stock"})
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"shipped": paid}


@workflow
class Rounds:
    """A step that runs again, at once and later, and starts a run in each round; one round is tried twice."""

    @step(retry=Retry(3, initial=2))
    def poll(self, number: int, ctx: StepContext) -> Any:
        ctx.start("Letter", {"to": f"round {ctx.round}"})
        if ctx.attempt == 2:
            raise ConnectionError("on purpose")
        if ctx.round < 2:
            return Again(after=5 * ctx.round)
        return {"polled": number}


def _add(account: str, amount: int) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": Aws.LEDGER,
            "Key": {"pk": {"S": account}, "sk": {"S": "account"}},
            "UpdateExpression": "ADD balance :amount",
            "ExpressionAttributeValues": {":amount": {"N": str(amount)}},
        }
    }


def _entry(ctx: StepContext) -> dict[str, Any]:
    item = {"pk": {"S": ctx.idempotency_key}, "sk": {"S": "entry"}}
    item |= {"attempt": {"N": str(ctx.attempt)}}
    return {"Put": {"TableName": Aws.LEDGER, "Item": item}}


@workflow
class Long:
    """Outputs, and a result of several, that do not fit the run item; started with an input as long."""

    @step
    def write(self, text: str) -> dict:
        return {"text": text + "y"}

    @step(depends_on=["write"])
    def left(self, text: str) -> dict:
        return {"left": text + "l"}

    @step(depends_on=["write"])
    def right(self, text: str) -> dict:
        return {"right": len(text)}


@workflow
class Numbered:
    """Says in each output which attempt it is of; the watch holds that against the attempt that commits it."""

    @step(timeout=20)
    def one(self, ctx: StepContext) -> dict:
        return {"attempt": ctx.attempt}

    @step(depends_on=["one"], timeout=20)
    def two(self, ctx: StepContext) -> dict:
        return {"attempt": ctx.attempt}


@workflow
class FlakyAtOnce:
    """Tried again at once, by the worker that has just failed."""

    @step(retry=Retry(3, initial=0))
    def fails_twice(self, ctx: StepContext) -> dict:
        if ctx.attempt <= 2:
            raise ConnectionError("on purpose")
        return {"attempt": ctx.attempt}

    @step(depends_on=["fails_twice"])
    def after(self, attempt: int) -> dict:
        return {"given": attempt}


@workflow
class Hopeless:
    """A step fails for good, and its run with it."""

    @step
    def before(self) -> dict:
        return {}

    @step(depends_on=["before"], timeout=20)
    def fails(self) -> dict:
        raise ValueError("on purpose")

    @step(depends_on=["fails"])
    def after(self) -> dict:
        return {}


@workflow
class NumberedBranches:
    """Two branches whose leases are over at different times, which tell their attempts."""

    @step(timeout=5)
    def short(self, ctx: StepContext) -> dict:
        return {"attempt": ctx.attempt}

    @step(timeout=60)
    def long(self, ctx: StepContext) -> dict:
        return {"attempt": ctx.attempt}


@workflow
class Approval:
    """A step behind another one waits for a signal, and a root for two."""

    @step
    def ask(self, number: int) -> dict:
        return {"asked": number}

    @step(depends_on=["ask"], awaits=["approved"])
    def pay(self, asked: int, approved: dict) -> dict:
        return {"paid": asked, "payer": approved["by"]}

    @step(awaits=["left", "right"])
    def both(self, left: int, right: int) -> dict:
        return {"sum": left + right}

    @step(depends_on=["pay", "both"])
    def end(self, paid: int, payer: str, sum: int) -> dict:
        return {"end": f"{payer} {paid} {sum}"}


@workflow
class Choice:
    """Two branches of which one is needed, and a join that takes either."""

    @step
    def choose(self, number: int) -> dict:
        return {"large": number > 10}

    @step(depends_on=[choose], when=lambda large: large)
    def audit(self, large: bool) -> dict:
        return {"audited": True}

    @step(depends_on=[choose], when=lambda large: not large, isolated=True)
    def wave_through(self, large: bool) -> dict:
        return {"waved": True}

    @step(depends_on=[audit])
    def file_audit(self, audited: bool) -> dict:
        return {"filed": audited}

    @step(depends_on=[any_of(audit, wave_through), maybe(file_audit)])
    def close(self, audited: bool | None = None, waved: bool | None = None) -> dict:
        return {"audited": audited, "waved": waved}


@workflow
class Fallback:
    """A step fails for good, and others are there for that."""

    @step(retry=Retry(1, initial=0))
    def pay(self, number: int) -> dict:
        raise ConnectionError("on purpose")

    @step(depends_on=[failed(pay, ConnectionError)])
    def pay_by_cheque(self, pay: Failure, number: int) -> dict:
        return {"paid": f"{number} by cheque after {pay.type}"}

    @step(depends_on=[failed(pay, ValueError)])
    def apologise(self) -> dict:
        raise AssertionError

    @step(depends_on=[any_of(pay, pay_by_cheque), maybe(apologise)])
    def clear(self, paid: str) -> dict:
        return {"cleared": paid}


@workflow
class Race:
    """The first of three is enough."""

    @step(timeout=20)
    def one(self, number: int) -> dict:
        return {"price": number}

    @step(timeout=20)
    def two(self, number: int) -> dict:
        return {"price": number}

    @step(timeout=20, retry=Retry(1, initial=1))
    def three(self, number: int, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError("on purpose")
        return {"price": number}

    @step(depends_on=[first_of(one, two, three)])
    def buy(self, price: int) -> dict:
        return {"bought": price}


@workflow
class Polls:
    """Rounds at once, rounds that wait, and one that fails in between; the state is long."""

    @step(timeout=20)
    def page(self, number: int, ctx: StepContext) -> dict | Again:
        seen = ctx.state or []
        return Again(state=[*seen, ctx.round]) if ctx.round < 3 else {"seen": seen}

    @step(depends_on=[page], timeout=20, retry=Retry(3, initial=1))
    def poll(self, seen: list, ctx: StepContext) -> dict | Again:
        if ctx.attempt == 2:
            raise ConnectionError("on purpose")
        if ctx.round < 2:
            return Again(after=5, state={"round": ctx.round, "text": LONG})
        return {"seen": seen, "last": ctx.state["round"]}


@workflow
class Timed:
    """A timer, a signal that does not come and has a default, and one that fails for that."""

    @step
    def ask(self, number: int) -> dict:
        return {"asked": number}

    @step(depends_on=[ask, timer(5)])
    def remind(self, asked: int) -> dict:
        return {"reminded": asked}

    @step(depends_on=[ask, signal("approved", timeout=20, default="nobody")])
    def decide(self, approved: str) -> dict:
        return {"by": approved}

    @step(depends_on=[ask, signal("paid", timeout=30)])
    def ship(self, paid: dict) -> dict:
        raise AssertionError

    @step(depends_on=[failed(ship, "SignalTimeout"), remind, decide])
    def end(self, reminded: int, by: str) -> dict:
        return {"end": f"{reminded} by {by}"}
