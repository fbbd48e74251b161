"""The example with models runs: what a step returned arrives at the next as the type it names."""

from __future__ import annotations

from pathlib import Path

import pytest

from fluxio_client import RunStatus
from tests.moto.pump import World

EXAMPLE = Path(__file__).parents[2] / "examples" / "insurance_claim"


def test_models_decimals_and_enums_go_from_step_to_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    from claims.workflows import InsuranceClaim

    world.client.start(
        "InsuranceClaim", {"claim_id": "c-1", "kind": "water", "amount": "1000.50"}, run_id="c-1"
    )
    world.pump(InsuranceClaim).drain()

    run = world.client.get("c-1")
    assert run.status is RunStatus.SUCCEEDED, run.error
    assert run.result == {"paid": "750.45", "reference": "c-1 pay_out"}
    assert run.steps["decide"].output == {
        "payable": "750.45",
        "reason": "900.450 covered, 150.00 excess",
    }
