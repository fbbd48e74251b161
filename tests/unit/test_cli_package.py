"""`fluxio package`: what would not work in Lambda is said here, and the zip is the same for the same files."""

from __future__ import annotations

import json
import stat
import sys
import zipfile
from pathlib import Path

import pytest

from fluxio_client.cli.archive import read_folder, write_zip
from fluxio_client.cli.compiled import Target
from fluxio_client.cli.exits import ExitCode
from tests.unit.conftest import WORKFLOW, Package

pytestmark = pytest.mark.once


def test_the_zip_holds_the_folder_and_the_answer_its_workflows(
    package: Package, tmp_path: Path
) -> None:
    said = package("--json")

    assert said.code == ExitCode.OK, said.err
    (found,) = json.loads(said.out)["workflows"]
    assert (found["name"], found["steps"]) == ("Order", ["charge"])
    with zipfile.ZipFile(tmp_path / "orders.zip") as archive:
        assert archive.namelist() == ["entry_points.txt", "shop/__init__.py", "shop/workflows.py"]


def test_the_same_files_give_the_same_bytes(package: Package, folder: Path, tmp_path: Path) -> None:
    package(target="first.zip")
    (folder / "shop" / "workflows.py").touch()
    (folder / "shop" / "__pycache__").mkdir()
    (folder / "shop" / "__pycache__" / "x.pyc").write_bytes(b"?")
    package(target="second.zip")

    assert (tmp_path / "first.zip").read_bytes() == (tmp_path / "second.zip").read_bytes()


def test_a_manifest_of_pips_own_will_do(package: Package, folder: Path) -> None:
    info = folder / "shop-1.0.dist-info"
    info.mkdir()
    (folder / "entry_points.txt").rename(info / "entry_points.txt")

    assert "Order  1 step" in package().out


@pytest.mark.parametrize(
    ("file", "text", "says"),
    [
        ("shop/workflows.py", WORKFLOW + "import moto", "imports 'moto' (workflows.py, line 9)"),
        ("shop/workflows.py", "import shop.missing", "no module 'shop.missing'"),
        ("shop/workflows.py", "x = 1", "has no class 'Order'"),
        ("shop/workflows.py", "1 / 0", "raises ZeroDivisionError"),
        ("shop/workflows.py", "import os; os._exit(3)", "ended the interpreter (exit 3"),
        (
            "shop/workflows.py",
            WORKFLOW.replace("@step", '@step(depends_on=["nope"])'),
            "depends_on names 'nope'",
        ),
        (
            "shop/workflows.py",
            WORKFLOW.replace("@workflow", '@workflow(name="Other")'),
            "the manifest calls it Order, its class calls itself Other",
        ),
        ("entry_points.txt", "", "there is no manifest that names a workflow"),
        ("entry_points.txt", "[fluxio.workflows\n", "cannot be read"),
        ("entry_points.txt", "[fluxio.workflows]\nOrder = shop\n", "write 'module:Class'"),
    ],
)
def test_what_would_not_work_in_lambda_is_said_and_no_zip_is_left(
    package: Package, folder: Path, tmp_path: Path, file: str, text: str, says: str
) -> None:
    (folder / file).write_text(text)

    said = package()

    assert said.code == ExitCode.ERROR
    assert says in said.err
    assert said.err.count("\n") == 1
    assert not (tmp_path / "orders.zip").exists()


def test_a_module_that_another_layer_brings_can_be_named(package: Package, folder: Path) -> None:
    (folder / "shop" / "workflows.py").write_text(f"import pytest\n{WORKFLOW}")

    assert package().code == ExitCode.ERROR
    # what pytest needs is named with it: the check hides all that is installed here alone
    others = ["_pytest", "pluggy", "iniconfig", "packaging", "pygments", "py"]
    options = [part for name in ("pytest", *others) for part in ("--provided", name)]
    if sys.version_info < (3, 11):
        options += ["--provided", "exceptiongroup", "--provided", "tomli"]
    assert package(*options).code == ExitCode.OK


def test_a_module_that_prints_does_not_spoil_the_answer(package: Package, folder: Path) -> None:
    (folder / "shop" / "workflows.py").write_text(f"print('hello')\n{WORKFLOW}")

    assert json.loads(package("--json").out)["workflows"]


def test_what_the_layer_brings_already_is_warned_about(package: Package, folder: Path) -> None:
    (folder / "boto3").mkdir()
    (folder / "boto3" / "__init__.py").touch()

    said = package()

    assert said.code == ExitCode.OK
    assert "warning: the zip brings boto3" in said.err


def test_only_the_names_given_are_taken(package: Package, folder: Path, tmp_path: Path) -> None:
    (folder / "secrets.txt").write_text("x")

    said = package("--only", "shop", "--only", "entry_points.txt")

    assert said.code == ExitCode.OK
    with zipfile.ZipFile(tmp_path / "orders.zip") as archive:
        assert "secrets.txt" not in archive.namelist()
    assert package("--only", "nope").code == ExitCode.USAGE


def test_a_zip_inside_the_folder_does_not_hold_itself(package: Package, tmp_path: Path) -> None:
    first = package(target="orders/orders.zip")
    content = (tmp_path / "orders" / "orders.zip").read_bytes()
    package(target="orders/orders.zip")

    assert first.code == ExitCode.OK
    assert (tmp_path / "orders" / "orders.zip").read_bytes() == content


def test_without_the_engine_the_command_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from fluxio_client.cli import workflow_check
    from fluxio_protocol.errors import FluxioError

    monkeypatch.setattr(workflow_check, "find_spec", lambda name: None)
    contents = read_folder(folder)

    with pytest.raises(FluxioError, match=r"pip install fluxio=="):
        workflow_check.check(contents, Target.of(contents), [], None)


def test_what_can_be_executed_stays_so(folder: Path, tmp_path: Path) -> None:
    (folder / "shop" / "tool").write_text("#!/bin/sh\n")
    (folder / "shop" / "tool").chmod(0o700)
    write_zip(tmp_path / "x.zip", read_folder(folder))

    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        modes = {one.filename: stat.filemode(one.external_attr >> 16) for one in archive.infolist()}
    assert modes["shop/tool"] == "-rwxr-xr-x"
    assert modes["shop/workflows.py"] == "-rw-r--r--"
