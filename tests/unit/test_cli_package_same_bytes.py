"""The same code gives the same zip, wherever the folder lies and whichever machine has filled it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from fluxio_client.cli.archive import File, read_folder, write_zip
from fluxio_client.cli.reproducible import without_traces
from tests.unit.conftest import Package

PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "orders"
version = "1.0"
scripts.orders-report = "shop.workflows:Order"
entry-points."fluxio.workflows".Order = "shop.workflows:Order"
[tool.hatch.build.targets.wheel]
packages = ["shop"]
"""


def packed(folder: Path) -> bytes:
    return write_zip(folder.parent / "x.zip", without_traces(read_folder(folder)))


@pytest.mark.once
@pytest.mark.skipif(sys.platform == "win32", reason="scripts are programs there")
def test_what_pip_installs_is_the_same_from_two_checkouts(
    package: Package, folder: Path, tmp_path: Path
) -> None:
    """pip writes where it ran into direct_url.json, scripts, RECORD and caches."""
    pytest.importorskip("hatchling")
    (folder / "entry_points.txt").unlink()
    (folder / "pyproject.toml").write_text(PROJECT)
    zips = []
    for checkout in ("one", "quite/another/and " + "long/" * 30):
        project = tmp_path / checkout / "project"
        shutil.copytree(folder, project)
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
        options = ["--no-build-isolation", "--disable-pip-version-check", "--target", "build", "."]
        subprocess.run([*pip, *options], cwd=project, check=True, stderr=subprocess.DEVNULL)
        script = project / "build" / "bin" / "orders-report"
        script.write_text(script.read_text().replace(sys.executable, f"/{checkout}/bin/python3"))
        said = package(of=project / "build", target=f"{len(zips)}.zip")
        assert "Order  1 step" in said.out, said.err
        zips.append((tmp_path / f"{len(zips)}.zip").read_bytes())

    assert zips[0] == zips[1]
    with zipfile.ZipFile(tmp_path / "0.zip") as archive:
        assert archive.read("bin/orders-report").startswith(b"#!/usr/bin/env python3\n")
        assert b"shop/workflows.py,sha256=" in archive.read("orders-1.0.dist-info/RECORD")


@pytest.mark.parametrize(
    "first_lines",
    [
        b"#!/home/me/.venv/bin/python\n",
        b"#!/usr/local/bin/python3.12\n",
        b'#!"/with a space/python3"\n',
        b"#!/bin/sh\n'''exec' \"/a very long path/python3.12\" \"$0\" \"$@\"\n' '''\n",
    ],
)
def test_a_script_of_pips_starts_with_any_python(first_lines: bytes) -> None:
    script = without_traces({"bin/report": File(first_lines + b"import x\n", True)})["bin/report"]
    assert script == File(b"#!/usr/bin/env python3\nimport x\n", True)


@pytest.mark.parametrize("content", [b"#!/bin/sh\necho python\n", b"\x7fELF", b"#!/usr/bin/perl\n"])
def test_other_programs_are_packed_as_they_are(content: bytes) -> None:
    assert without_traces({"bin/tool": File(content)})["bin/tool"].content == content


def test_a_record_names_what_is_in_the_zip() -> None:
    rows = (
        "shop/a.py,sha256=x,3\r\n"
        '"shop/a, b.py",sha256=y,3\r\n'
        "shop/__pycache__/a.cpython-311.pyc,,\r\n"
        "shop-1.dist-info/direct_url.json,sha256=z,9\r\n"
        "shop-1.dist-info/RECORD,,\r\n"
    )
    contents = {
        "shop/a.py": File(b"x"),
        "shop/a, b.py": File(b"x"),
        "shop-1.dist-info/direct_url.json": File(b"{}"),
        "shop-1.dist-info/RECORD": File(rows.encode()),
    }

    found = without_traces(contents)
    assert "shop-1.dist-info/direct_url.json" not in found
    assert found["shop-1.dist-info/RECORD"].content.decode().splitlines() == [
        "shop/a.py,sha256=x,3",
        '"shop/a, b.py",sha256=y,3',
        "shop-1.dist-info/RECORD,,",
    ]


def test_umask_times_and_the_order_of_writing_do_not_matter(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "orders"
    before = os.umask(0o077)
    try:
        for path in sorted(folder.rglob("*"), reverse=True):
            if path.is_file():
                copy = other / path.relative_to(folder)
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(path.read_bytes())
                os.utime(copy, (10**9, 10**9))
    finally:
        os.umask(before)

    assert packed(other) == packed(folder)
