"""Zip files for Lambda: the same bytes for the same code."""

import os
import stat
import zipfile
from pathlib import Path

import pytest

from dev.package import package
from dev.stage import DevError

NAMES = ["steps", "entry_points.txt"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A user's folder, with what Python and editors leave in one."""
    for name, text in {
        "entry_points.txt": "[fluxio.workflows]\n",
        "steps/__init__.py": "",
        "steps/orders.py": "x = 1\n",
        "steps/__pycache__/orders.cpython-312.pyc": "?",
        "steps/.orders.py.swp": "?",
        "terraform/main.tf": "?",
    }.items():
        path = tmp_path / "user" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "user"


def test_code_and_manifest_lie_at_the_root_of_the_zip(folder: Path, tmp_path: Path) -> None:
    """Only what was named, and nothing that was left beside it."""
    with zipfile.ZipFile(package(folder, tmp_path / "steps.zip", NAMES)) as archive:
        assert archive.namelist() == ["entry_points.txt", "steps/__init__.py", "steps/orders.py"]


def test_age_and_mode_of_files_do_not_change_the_zip(folder: Path, tmp_path: Path) -> None:
    """A fresh clone and an old folder deploy the same, so Terraform has nothing to do."""
    first = package(folder, tmp_path / "first.zip", NAMES).read_bytes()
    os.utime(folder / "steps/orders.py", (1, 1))
    (folder / "steps/orders.py").chmod(0o600)
    assert package(folder, tmp_path / "second.zip", NAMES).read_bytes() == first


def test_lambda_may_read_every_file(folder: Path, tmp_path: Path) -> None:
    """Lambda runs the code as another user than whoever packed it."""
    (folder / "steps/orders.py").chmod(0o600)
    with zipfile.ZipFile(package(folder, tmp_path / "steps.zip", NAMES)) as archive:
        modes = {stat.filemode(entry.external_attr >> 16) for entry in archive.infolist()}
    assert modes == {"-rw-r--r--"}


def test_a_name_that_is_not_there_is_an_error(folder: Path, tmp_path: Path) -> None:
    """A worker without its manifest would know no workflow, and say so only when a run arrives."""
    with pytest.raises(DevError, match=r"user/manifest\.txt does not exist"):
        package(folder, tmp_path / "steps.zip", ["steps", "manifest.txt"])
