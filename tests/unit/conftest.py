"""A folder of workflows, and `fluxio package` on it in a process of its own, as a user runs it."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fluxio_client.cli import workflow_check
from fluxio_client.cli.archive import read_folder
from fluxio_client.cli.compiled import Target
from fluxio_client.cli.workflow_check import Checked

WORKFLOW = """
from fluxio import step, workflow

@workflow
class Order:
    @step
    def charge(self, amount: int) -> dict:
        raise SystemExit("a step was run")
"""


class Said(NamedTuple):
    code: int
    out: str
    err: str


Package = Callable[..., Said]
Check = Callable[..., Checked]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "orders"
    (made / "shop").mkdir(parents=True)
    (made / "shop" / "__init__.py").touch()
    (made / "shop" / "workflows.py").write_text(WORKFLOW)
    (made / "entry_points.txt").write_text("[fluxio.workflows]\nOrder = shop.workflows:Order\n")
    return made


@pytest.fixture
def package(folder: Path, tmp_path: Path) -> Package:
    """Packages the folder, or another one."""

    def run(*options: str, target: str = "orders.zip", of: Path | None = None) -> Said:
        done = subprocess.run(
            [
                *(sys.executable, "-m", "fluxio_client.cli", "package", of or folder),
                *("-o", tmp_path / target, *options),
            ],
            capture_output=True,
            text=True,
        )
        return Said(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture
def check(folder: Path) -> Check:
    """The check of the folder alone, without the command around it."""

    def check(*allowed: str, runtime: str | None = None) -> Checked:
        contents = read_folder(folder)
        return workflow_check.check(contents, Target.of(contents), allowed, runtime)

    return check


def run_in(folder: Path, *options: str) -> str:
    """Run the tests of a folder in a process of its own, as a user does; returns what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "."],
        cwd=folder,
        capture_output=True,
        text=True,
    )
    return done.stdout + done.stderr
