"""A workflow with pydantic models is packaged and runs, on every Python."""

from __future__ import annotations

import sys
import zipfile
from decimal import Decimal
from pathlib import Path

import pytest

from tests.unit.conftest import WORKFLOW, Package

EXAMPLE = Path(__file__).parents[2] / "examples" / "insurance_claim"


def test_the_example_with_models_is_packaged(package: Package, tmp_path: Path) -> None:
    said = package(of=EXAMPLE)

    assert (said.code, said.err) == (0, "")
    assert "InsuranceClaim  5 steps" in said.out
    with zipfile.ZipFile(tmp_path / "orders.zip") as archive:
        assert "claims/workflows.py" in archive.namelist()


def test_its_steps_are_plain_functions_of_models(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(EXAMPLE)
    from claims.workflows import InsuranceClaim, Kind

    claim = InsuranceClaim().register("c-1", Kind.THEFT, Decimal("9000.50"))
    steps = InsuranceClaim()
    decision = steps.decide(steps.check_policy(claim), steps.estimate_damage(claim))
    assert decision.payable == Decimal("4850.00")


@pytest.mark.parametrize(
    "line",
    [
        "from pydantic import BaseModel",
        "from zoneinfo import ZoneInfo",
        "import sysconfig; sysconfig.get_config_vars()",
        "import asyncio, ctypes, multiprocessing, sqlite3, ssl, uuid, xml.etree.ElementTree",
        "import boto3, botocore.config, dateutil.parser, urllib3",
        "from aws_xray_sdk.core import xray_recorder",
    ],
)
def test_whatever_python_the_layer_and_the_runtime_have_may_be_imported(
    package: Package, folder: Path, line: str
) -> None:
    (folder / "shop" / "workflows.py").write_text(f"{line}\n{WORKFLOW}")

    said = package()

    assert (said.code, said.err) == (0, ""), sys.version


def test_strict_asks_that_types_show_who_supplies_each_parameter(
    package: Package, folder: Path, tmp_path: Path
) -> None:
    assert package("--strict", of=EXAMPLE).code == 0

    said = package("--strict")  # the workflow there does not say what its input has
    assert said.code == 1
    assert "Order.charge: no type tells who supplies the parameter 'amount'" in said.err
    assert package().code == 0


def test_an_annotation_that_no_step_can_use_is_refused(package: Package, folder: Path) -> None:
    unread = (
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from decimal import Decimal\n"
    )
    code = unread + WORKFLOW.replace("amount: int", "amount: 'Decimal'")
    (folder / "shop" / "workflows.py").write_text(code)

    said = package()
    assert said.code == 1
    assert "Order.charge: the annotation of the parameter 'amount' cannot be read" in said.err
