"""What a run costs, counted as DynamoDB counts it: writes, write units, messages, invocations."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from fluxio_client import Run, RunStatus
from tests.emulator.world import Deployed, Scratch

ORDER = {"order_id": "o-1001", "amount": 99.0}


@pytest.fixture(autouse=True)
def steps_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent / "package"))
    for name in ("shop.workflows", "shop.claims", "shop.shapes"):
        sys.modules.pop(name, None)


@pytest.fixture
def ledger(deployed: Deployed) -> Iterator[str]:
    """The name of a table of the user's own."""
    dynamodb, name = deployed.clients["dynamodb"], f"ledger-{uuid4().hex[:8]}"
    dynamodb.create_table(
        TableName=name,
        KeySchema=[{"AttributeName": "account", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "account", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    yield name
    dynamodb.delete_table(TableName=name)


def spend(
    scratch: Scratch, workflow: str, given: dict, inline_branches: int, signal: str | None = None
) -> tuple[Run, dict]:
    """Run a workflow to its end, and count. Its version is stored before: that is paid for once.

    With a signal, somebody sends it once the workers have nothing left to do.
    """
    worker, store, queue = scratch.worker(inline_branches)
    scratch.client.start(workflow, given)
    scratch.drain(worker)
    before = (
        store.spent.writes,
        store.spent.write_units,
        store.spent.index_write_units,
        queue.sent,
    )
    spent = scratch.client.spent
    started = (spent.writes, spent.write_units, spent.index_write_units)

    run = scratch.client.start(workflow, given)
    invocations = scratch.drain(worker)
    if signal:
        scratch.client.signal(run.run_id, signal, {"by": "kim"})
        invocations += scratch.drain(worker)

    counted = {
        "writes": store.spent.writes - before[0] + spent.writes - started[0],
        "write_units": store.spent.write_units - before[1] + spent.write_units - started[1],
        "index_units": store.spent.index_write_units
        - before[2]
        + spent.index_write_units
        - started[2],
        "messages": queue.sent - before[3] + (2 if signal else 1),
        "invocations": invocations,
    }
    sys.stdout.write(f"\n{workflow} with inline_branches={inline_branches}: {counted}\n")
    return scratch.client.get(run.run_id), counted


def test_order_fulfillment_with_inline_branches_costs_at_most_5_writes_and_1_message(
    scratch: Scratch,
) -> None:
    run, spent = spend(scratch, "OrderFulfillment", ORDER, inline_branches=10)

    assert run.status is RunStatus.SUCCEEDED
    assert spent["writes"] <= 5
    assert spent["write_units"] <= 5
    assert spent["index_units"] <= 3
    assert spent["messages"] == 1
    assert spent["invocations"] == 1


def test_order_fulfillment_with_a_nudge_per_branch_costs_at_most_9_writes_and_3_messages(
    scratch: Scratch,
) -> None:
    run, spent = spend(scratch, "OrderFulfillment", ORDER, inline_branches=0)

    assert run.status is RunStatus.SUCCEEDED
    assert spent["writes"] <= 9
    assert spent["write_units"] <= 9
    assert spent["index_units"] <= 3
    assert spent["messages"] <= 3


def test_a_chain_of_6_costs_at_most_8_writes_and_1_message(scratch: Scratch) -> None:
    run, spent = spend(scratch, "Chain", {"n": 0}, inline_branches=10)

    assert run.result == {"n": 6}
    assert spent["writes"] <= 8
    assert spent["write_units"] <= 8
    assert spent["messages"] == 1
    assert spent["invocations"] == 1


@pytest.mark.parametrize(
    ("workflow", "size", "units"),
    [
        ("OrderFulfillment", None, 5),
        ("Chain20", 12, 24),
        ("Chain20", 100, 40),
        ("Chain100", 100, 150),
        ("Chain200", 100, 300),
        ("Fan20", 12, 22),
        ("Fan20", 100, 30),
        ("Fan100", 12, 100),
        ("Fan100", 100, 200),
    ],
)
def test_what_a_run_costs_grows_with_its_steps_not_with_their_square(
    scratch: Scratch, workflow: str, size: int | None, units: int
) -> None:
    run, spent = spend(scratch, workflow, {"size": size} if size else ORDER, inline_branches=10)

    assert run.status is RunStatus.SUCCEEDED
    assert spent["write_units"] <= units
    assert (spent["index_units"], spent["messages"], spent["invocations"]) == (3, 1, 1)
    if workflow == "Fan100":
        assert spent["writes"] <= 30


def test_a_step_that_waits_for_a_signal_costs_at_most_6_units_and_2_messages(
    scratch: Scratch,
) -> None:
    run, spent = spend(scratch, "Approval", {}, inline_branches=10, signal="approved")

    assert run.result == {"by": "kim"}
    assert spent["write_units"] <= 6
    assert spent["index_units"] <= 7
    assert spent["messages"] <= 2
    assert spent["invocations"] <= 2


def test_a_step_with_a_write_of_the_users_own_costs_at_most_6_units(
    scratch: Scratch, ledger: str
) -> None:
    """Both the run item and the user's at twice their price. MiniStack counts no index in a transaction."""
    run, spent = spend(scratch, "Booking", {"ledger": ledger}, inline_branches=10)

    assert run.result == {"booked": True}
    assert spent["write_units"] <= 6
    assert spent["messages"] == 1


def test_a_claim_of_8_steps_costs_at_most_14_units_and_2_messages(
    scratch: Scratch, ledger: str
) -> None:
    given = {"claim": "c-1", "ledger": ledger}
    run, spent = spend(scratch, "Claim", given, inline_branches=10, signal="approved")

    assert run.status is RunStatus.SUCCEEDED
    assert spent["write_units"] <= 14
    assert spent["index_units"] <= 7
    assert spent["messages"] <= 2
