"""What is handed to checkov, and when it is asked at all."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from dev import checkov
from dev.stage import DevError

TABLE = """
resource "aws_dynamodb_table" "runs" {
  #checkov:skip=CKV_AWS_28:it is on unless the caller says otherwise
  count = var.existing == null ? 1 : 0

  name = "runs"
}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with one module, and a checkov that finds nothing in it."""
    root = tmp_path / "project"
    (root / "modules" / "fluxio").mkdir(parents=True)
    (root / "modules" / "fluxio" / "table.tf").write_text(TABLE)
    (root / "requirements-checkov.txt").write_text("checkov==1\n")
    monkeypatch.setattr(checkov, "ROOT", root)
    monkeypatch.setattr(checkov, "REQUIREMENTS", root)
    monkeypatch.setattr(checkov, "__file__", str(root / "requirements-checkov.txt"))
    monkeypatch.setattr(checkov, "STATE", root / ".fluxio")
    monkeypatch.setattr(checkov, "COPY", root / ".fluxio" / "checkov")
    monkeypatch.setattr(checkov, "STAMP", root / ".fluxio" / "checkov" / "found-nothing")
    answer(root, monkeypatch, 0)
    return root


def answer(root: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    """Let checkov say that it was asked, and exit like this."""
    binary = root / "bin" / "checkov"
    binary.parent.mkdir(exist_ok=True)
    binary.write_text(f"#!/bin/sh\necho asked >> {root}/asked\necho CKV_AWS_28\nexit {code}\n")
    binary.chmod(0o755)
    monkeypatch.setattr(checkov, "checkov_environment", lambda: binary.with_name("python"))


def asked(root: Path) -> int:
    file = root / "asked"
    return len(file.read_text().splitlines()) if file.exists() else 0


def scan() -> None:
    with checkov.scanning():
        pass


def test_it_is_shown_resources_whose_count_it_cannot_work_out(tree: Path) -> None:
    """Else it would pass over them in silence. Lines keep their numbers."""
    scan()
    copy = (tree / ".fluxio" / "checkov" / "modules" / "fluxio" / "table.tf").read_text()
    assert "count" not in copy
    assert len(copy.splitlines()) == len(TABLE.splitlines())


def test_it_is_asked_again_only_after_a_change(tree: Path) -> None:
    scan()
    scan()
    assert asked(tree) == 1
    (tree / "modules" / "fluxio" / "table.tf").write_text(TABLE.replace('"runs"', '"other"'))
    scan()
    assert asked(tree) == 2


def test_what_it_finds_fails_the_check_each_time(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And its own words are shown."""
    answer(tree, monkeypatch, 1)
    for _ in range(2):
        with pytest.raises(DevError, match="CKV_AWS_28"):
            scan()
    assert asked(tree) == 2


def test_an_excuse_needs_a_reason(tree: Path) -> None:
    """The error names file and check."""
    bare = TABLE.replace(":it is on unless the caller says otherwise", "")
    (tree / "modules" / "fluxio" / "table.tf").write_text(bare)
    with pytest.raises(DevError, match=r"modules/fluxio/table\.tf: CKV_AWS_28: a skipped check"):
        scan()


def test_it_does_not_outlive_a_failure_beside_it(
    tree: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Terraform's checks run meanwhile; when they fail, nothing goes on in the background."""
    started: list[subprocess.Popen[bytes]] = []
    popen = subprocess.Popen

    def note(_command: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(popen([sys.executable, "-c", "import time; time.sleep(60)"], **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", note)
    with pytest.raises(ZeroDivisionError), checkov.scanning():
        raise ZeroDivisionError
    assert [process.poll() is not None for process in started] == [True]
