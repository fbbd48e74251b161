"""`fluxio dev` on the command line, as far as it goes without a process."""

from __future__ import annotations

import importlib.util
import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fluxio.local import watch
from fluxio_client.cli.app import run
from fluxio_client.cli.exits import ExitCode

pytestmark = pytest.mark.once


def test_no_other_command_imports_the_stand_in() -> None:
    question = (
        "import sys, fluxio_client.cli.app, json;"
        "json.dump([name for name in sys.modules if name.split('.')[0] == 'fluxio'], sys.stdout)"
    )
    done = subprocess.run([sys.executable, "-c", question], capture_output=True, check=True)
    assert json.loads(done.stdout) == []


def test_without_the_engine_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        "fluxio_client.cli.dev.find_spec", lambda name: None if name == "fluxio" else find(name)
    )
    assert run(["dev", str(tmp_path)]) == ExitCode.ERROR
    assert "pip install fluxio==" in capsys.readouterr().err


def test_a_folder_that_is_not_there_and_a_port_that_is_taken_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dev", str(tmp_path / "none")]) == ExitCode.USAGE
    assert "is no folder" in capsys.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert run(["dev", str(tmp_path), f"--port={port}"]) == ExitCode.USAGE
    assert "--port" in capsys.readouterr().err


@pytest.mark.parametrize("table", ["payments", "payments=", "=id", "t=a,b,c", "t=a,", "fluxio=id"])
def test_a_table_that_cannot_be_made_is_said(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["dev", str(tmp_path), "--table", table]) == ExitCode.USAGE
    assert f"--table {table!r}" in capsys.readouterr().err or table == "fluxio=id"


def test_it_looks_at_python_files_and_the_manifest_alone(tmp_path: Path) -> None:
    for name in ("flow.py", "entry_points.txt", "sub/more.py", "data.json", ".fluxio/x.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("")
    before = watch.snapshot(tmp_path)
    assert set(before) == {"flow.py", "entry_points.txt", "sub/more.py"}
    (tmp_path / "flow.py").write_text("x = 1")
    (tmp_path / "data.json").write_text("{}")
    (tmp_path / "new.py").write_text("")
    (tmp_path / "sub/more.py").unlink()
    changed = watch.changes(before, watch.snapshot(tmp_path))
    assert changed == ["flow.py", "new.py", "sub/more.py"]
