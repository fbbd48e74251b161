"""The cases of the crash matrix: a workflow each, how it is run, and what must come of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulation.workflows import (
    LONG,
    ORDER,
    ApartDiamond,
    Approval,
    Chain,
    Choice,
    Diamond,
    Fallback,
    Flaky,
    FlakyAtOnce,
    FlakyBranch,
    Hopeless,
    Letter,
    Long,
    LongBackoff,
    Numbered,
    NumberedBranches,
    OrderFulfillment,
    Outbox,
    Polls,
    Race,
    Reporting,
    Rounds,
    Timed,
    Transfer,
    TransferBranches,
    Tree,
    TwoRoots,
    Wide,
)

#: A result that may be one or another.
ANY = object()


@dataclass(frozen=True)
class Case:
    """A workflow, how it is run, and what must come of it."""

    name: str
    cls: type
    input: dict[str, Any]
    result: Any
    inline_branches: int = 10
    batch_size: int = 10
    #: Whether branches that run in one invocation are seen to end together.
    together: bool = True
    #: Balances of the ledger at the end.
    ledger: tuple[tuple[str, int], ...] = ()
    #: Whether a caller whose `start` failed or died calls it again with the same run id.
    start_again: bool = True
    #: Steps that do not succeed though the run does, and what becomes of them; and those of which one succeeds.
    ends: tuple[tuple[str, str], ...] = ()
    one_of: tuple[str, ...] = ()
    #: The step that fails for good, and its run with it.
    fails: str | None = None
    #: Whether the sweeper runs.
    sweeps: bool = False
    #: Signals that somebody sends: right after the start, or when nothing goes on without them.
    signals: tuple[tuple[str, Any], ...] = ()
    early: bool = False
    #: Other workflows, of which its steps start runs; and those runs, by step: what each of them comes to.
    others: tuple[type, ...] = ()
    started: tuple[tuple[str, tuple[Any, ...]], ...] = ()


FULFILLED = {"fulfillment_id": "ful_abc", "status": "fulfilled"}


def _cases() -> list[Case]:
    one = {"number": 1}
    # One is so long that it has an item of its own.
    approver = "lee" * 200
    signals = (("approved", {"by": approver}), ("left", 2), ("right", 3))
    approved = {"end": f"{approver} 1 5"}
    started = (("pay", ({"sent": "payer"}, {"sent": "books"})), ("ship", ({"sent": "stock"},)))
    return [
        Case(
            "runs that steps start, one of which fails once",
            Outbox,
            one,
            {"shipped": 1},
            others=(Letter,),
            started=started,
        ),
        Case(
            "runs that each round of a step starts, one of which fails once",
            Rounds,
            one,
            {"polled": 1},
            sweeps=True,  # between two rounds it finds what a dead worker has started
            others=(Letter,),
            started=(("poll", tuple({"sent": f"round {number}"} for number in range(3))),),
        ),
        Case(
            "steps that report, one of which fails once",
            Reporting,
            one,
            {"left": {"l": 1}, "right": {"r": 1}},
            together=False,
        ),
        Case(
            "a choice of two branches",
            Choice,
            one,
            {"audited": None, "waved": True},
            ends=(("audit", "SKIPPED"), ("file_audit", "SKIPPED")),
        ),
        Case(
            "a choice of two branches, a nudge each",
            Choice,
            {"number": 11},
            {"audited": True, "waved": None},
            0,
            ends=(("wave_through", "SKIPPED"),),
        ),
        Case(
            "a failure that is handled",
            Fallback,
            one,
            {"cleared": "1 by cheque after ConnectionError"},
            ends=(("pay", "FAILED"), ("apologise", "SKIPPED")),
        ),
        Case("the first of three", Race, one, {"bought": 1}, one_of=("one", "two", "three")),
        Case(
            "the first of three, a nudge each",
            Race,
            one,
            {"bought": 1},
            0,
            one_of=("one", "two", "three"),
        ),
        Case("rounds", Polls, one, {"seen": [0, 1, 2], "last": 1}),
        Case(
            "timers and timeouts",
            Timed,
            one,
            {"end": "1 by nobody"},
            ends=(("ship", "FAILED"),),
        ),
        Case(
            "timers and timeouts, a nudge each",
            Timed,
            one,
            {"end": "1 by nobody"},
            0,
            ends=(("ship", "FAILED"),),
        ),
        Case("signals, early", Approval, one, approved, signals=signals, early=True),
        Case("signals when all waits for them", Approval, one, approved, signals=signals),
        Case("signals, a nudge per branch", Approval, one, approved, 0, signals=signals),
        Case("order, branches inline", OrderFulfillment, ORDER, FULFILLED),
        Case(
            "order, branches inline that end one by one",
            OrderFulfillment,
            ORDER,
            FULFILLED,
            together=False,
        ),
        Case("order, two branches inline", OrderFulfillment, ORDER, FULFILLED, 2),
        Case("order, a nudge per branch", OrderFulfillment, ORDER, FULFILLED, 0),
        Case(
            "order, a nudge per branch, one message a batch",
            OrderFulfillment,
            ORDER,
            FULFILLED,
            0,
            batch_size=1,
        ),
        Case("chain of 6", Chain, one, {"number": 7}),
        Case("chain of 6, inline_branches 0", Chain, one, {"number": 7}, 0),
        Case("chain of 6, started once", Chain, one, {"number": 7}, start_again=False, sweeps=True),
        Case("diamond, branches inline", Diamond, one, {"sum": 5}),
        Case("diamond, a nudge per branch", Diamond, one, {"sum": 5}, 0),
        Case("diamond, one branch isolated", ApartDiamond, one, {"sum": 5}),
        Case("branches in waves of two", Wide, one, {"sum": 5}, 2),
        Case("branches in waves that end one by one", Wide, one, {"sum": 5}, 2, together=False),
        Case("a branch that branches again", Tree, one, {"sum": 10}),
        Case("a branch that branches again, a nudge each", Tree, one, {"sum": 10}, 0),
        Case("two roots and two ends", TwoRoots, one, {"a": {"a": 1}, "b": {"b": 1}}),
        Case("two roots, a nudge each", TwoRoots, one, {"a": {"a": 1}, "b": {"b": 1}}, 0),
        Case("a step that fails once", Flaky, one, {"number": 3}),
        Case("a branch that fails once", FlakyBranch, one, {"sum": 5}),
        Case("a branch that fails once, in its own invocation", FlakyBranch, one, {"sum": 5}, 0),
        Case("a step that fails twice and is tried again at once", FlakyAtOnce, {}, ANY),
        Case("a step that fails for good", Hopeless, {}, None, fails="fails"),
        Case("attempts that tell their number", Numbered, {}, ANY),
        Case("branches that tell their attempts", NumberedBranches, {}, ANY, together=False),
        Case("a backoff of ten minutes", LongBackoff, one, {"number": 3}, sweeps=True),
        Case(
            "transactions in a chain",
            Transfer,
            {"amount": 7},
            {"credited": 7},
            ledger=(("from", -7), ("to", 7)),
        ),
        Case(
            "transactions in branches",
            TransferBranches,
            {"amount": 7},
            {"credited": 6},
            ledger=(("from", -7), ("to", 7), ("fees", 1)),
        ),
        Case(
            "transactions in branches, a nudge each",
            TransferBranches,
            {"amount": 7},
            {"credited": 6},
            0,
            ledger=(("from", -7), ("to", 7), ("fees", 1)),
        ),
        Case(
            "long input, outputs and result",
            Long,
            {"text": LONG},
            {"left": {"left": LONG + "yl"}, "right": {"right": 601}},
        ),
        Case(
            "long input, outputs and result, a nudge per branch",
            Long,
            {"text": LONG},
            {"left": {"left": LONG + "yl"}, "right": {"right": 601}},
            0,
        ),
    ]


CASES = _cases()
