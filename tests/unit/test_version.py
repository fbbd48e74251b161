"""One version for all parts, and one place where it is written."""

import shutil
from importlib.metadata import requires, version
from pathlib import Path

import pytest

from dev import ROOT
from dev.stage import DevError
from dev.version import FILES, stamp, wrong_files

VERSION = (ROOT / "VERSION").read_text().strip()


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the files that carry the version."""
    for name in ["VERSION", *FILES]:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_every_file_agrees_with_the_version_file() -> None:
    """A release is never half renamed."""
    assert wrong_files() == []


@pytest.mark.parametrize("distribution", ["fluxio", "fluxio-client"])
def test_what_is_installed_has_that_version(distribution: str) -> None:
    """What these tests run is what the project files describe."""
    assert version(distribution) == VERSION


def test_the_engine_takes_the_client_at_its_own_version_only() -> None:
    """Both read and write one table, so they are never mixed."""
    assert f"fluxio-client=={VERSION}" in (requires("fluxio") or [])


def test_a_new_version_is_stamped_everywhere(copy: Path) -> None:
    """Changing VERSION makes the others wrong, and stamping makes them right."""
    (copy / "VERSION").write_text("1.2.3rc4\n")
    assert wrong_files(copy) == list(FILES)
    stamp(copy)
    assert wrong_files(copy) == []
    assert '"fluxio-client==1.2.3rc4"' in (copy / "layer/pyproject.toml").read_text()
    assert '  version = "1.2.3rc4" #' in (copy / "modules/fluxio/release.tf").read_text()
    assert " terraform-aws-fluxio-1.2.3rc4.zip " in (copy / "docs/quickstart.md").read_text()


def test_a_version_that_packaging_refuses_is_refused_here(copy: Path) -> None:
    """The error names the file and a form that is right."""
    (copy / "VERSION").write_text("next\n")
    with pytest.raises(DevError, match=r"VERSION holds 'next'; it must be like 0\.2\.0"):
        stamp(copy)


@pytest.mark.parametrize("project", ["client", "layer"])
def test_the_licence_travels_with_each_distribution(project: str) -> None:
    """A source distribution holds only its own folder, so the licence is copied there."""
    assert (ROOT / project / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
