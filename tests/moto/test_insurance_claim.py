"""The example with models runs: what a step returned arrives at the next as the type it names."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fluxio_client import RunStatus
from tests.moto.pump import World

ROOT = Path(__file__).parents[2]


def test_models_decimals_and_enums_go_from_step_to_step(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the input that docs/local-trial.md starts it with."""
    monkeypatch.syspath_prepend(ROOT / "examples" / "insurance_claim")
    from claims.workflows import InsuranceClaim

    page = (ROOT / "docs" / "local-trial.md").read_text(encoding="utf-8")
    (given,) = re.findall(r"fluxio start InsuranceClaim .*--input '(.*)'", page)
    world.client.start("InsuranceClaim", json.loads(given), run_id="c-1")
    world.pump(InsuranceClaim).drain()

    run = world.client.get("c-1")
    assert run.status is RunStatus.SUCCEEDED, run.error
    assert run.result == {"paid": "750.45", "reference": "c-1 pay_out"}
    assert run.steps["decide"].output == {
        "payable": "750.45",
        "reason": "900.450 covered, 150.00 excess",
    }
