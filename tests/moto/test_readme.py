"""The README's Python, run as it stands."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fluxio.definition import definition_of
from fluxio.testing import NotCrashSafe
from fluxio_client import FluxioClient
from tests.moto.pump import World

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
WORKFLOW, CRASHES, CLIENT = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_workflow_on_the_first_screen_is_one() -> None:
    names: dict[str, Any] = {"__name__": "orders.workflows"}
    exec(WORKFLOW, names)

    definition = definition_of(names["OrderFulfillment"])

    assert definition is not None
    assert definition.waves == (
        ("validate_payment",),
        ("charge_card", "reserve_inventory"),
        ("fulfill_order",),
    )


def test_the_client_of_the_first_screen_starts_its_run_and_waits_for_the_result(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names: dict[str, Any] = {"__name__": "orders.workflows"}
    exec(WORKFLOW, names)
    pump = world.pump(names["OrderFulfillment"])
    monkeypatch.setenv("FLUXIO_TABLE_NAME", world.table_name)
    monkeypatch.setenv("FLUXIO_QUEUE_URL", world.queue_url)
    wait = FluxioClient.wait

    def let_the_worker_work(client: FluxioClient, run_id: str) -> Any:
        pump.drain()
        return wait(client, run_id)

    monkeypatch.setattr(FluxioClient, "wait", let_the_worker_work)

    exec(CLIENT, {})

    assert capsys.readouterr().out == "{'fulfillment_id': 'ful_abc', 'status': 'fulfilled'}\n"


def test_the_crash_test_finds_the_step_that_the_readme_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    bank = SimpleNamespace(charges=[])
    bank.reset = bank.charges.clear
    names: dict[str, Any] = {"__name__": "orders.workflows", "bank": bank}
    charging = WORKFLOW.replace(
        'return {"charge_id"', 'bank.charges.append(1); return {"charge_id"'
    )
    assert charging != WORKFLOW
    exec(charging, names)
    monkeypatch.setitem(sys.modules, "orders", ModuleType("orders"))
    monkeypatch.setitem(sys.modules, "orders.workflows", SimpleNamespace(**names))
    exec(CRASHES, names)

    with pytest.raises(NotCrashSafe) as found:
        names["test_a_card_is_charged_once_whatever_dies_when"]()

    assert "charge_card: its code ran more than once" in str(found.value)
    assert "dies after charge_card: AssertionError" in str(found.value)
    assert "validate_payment: " not in str(found.value)
