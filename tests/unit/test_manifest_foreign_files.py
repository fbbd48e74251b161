"""Files that somebody else wrote, in another way or with other tools, stop no workflow."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxio.errors import DeploymentError
from fluxio.manifest import Manifest

OWN = "[fluxio.workflows]\r\nShip = shop.flows:Ship\r\n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The zip's root, on sys.path; what is imported from there is forgotten afterwards."""
    (tmp_path / "entry_points.txt").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    before = {*sys.modules}
    yield tmp_path
    for name in {*sys.modules} - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[console_scripts]\nold = a:main\nold = b:main\n", id="a name twice"),
        pytest.param(b"[a]\nx = y\n[a]\nx = z\n", id="a section twice"),
        pytest.param(b"stray = line:before\n[console_scripts]\n", id="no section header"),
        pytest.param(b"[console_scripts\nno equals sign\n[]\n", id="nonsense"),
        pytest.param(b"[console_scripts]\nR\xe9sum\xe9 = a:main\n", id="latin-1"),
        pytest.param(b"[gui]\nx = a:%(b)s\n  continued\n", id="interpolation and continuation"),
        pytest.param(bytes(range(256)), id="binary"),
        pytest.param("[x]\ny = é\n".encode("utf-16"), id="utf-16"),
        pytest.param(b"\xff\xfe\x00", id="half a utf-16 character"),
        pytest.param(b"", id="empty"),
    ],
)
def test_a_dependencys_own_entry_points_stop_no_workflow(folder: Path, content: bytes) -> None:
    (folder / "oldlib-1.0.dist-info").mkdir()
    (folder / "oldlib-1.0.dist-info" / "entry_points.txt").write_bytes(content)

    assert Manifest([folder]).entries() == {"Ship": "shop.flows:Ship"}


@pytest.mark.parametrize("other", [b"[console_scripts]\nx = a:b\nx = c:d\n", b"[x]\n\xe9\n"])
@pytest.mark.parametrize("own_first", [True, False])
def test_other_sections_of_ones_own_manifest_are_not_read(
    folder: Path, other: bytes, own_first: bool
) -> None:
    parts = [OWN.encode(), other] if own_first else [other, OWN.encode()]
    (folder / "entry_points.txt").write_bytes(b"".join(parts))

    assert Manifest([folder]).entries() == {"Ship": "shop.flows:Ship"}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_manifest_that_windows_wrote_is_read(folder: Path, encoding: str) -> None:
    (folder / "entry_points.txt").write_bytes(OWN.encode(encoding))

    assert Manifest([folder]).entries() == {"Ship": "shop.flows:Ship"}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"[fluxio.workflows\nShip = a:B\n", "without a closing bracket"),
        (b"[fluxio.workflows]\nSh\xefp = a:B\n", "not UTF-8"),
        (b"[fluxio.workflows]\n= a:B\n", "line 2 is '= a:B'"),
    ],
)
def test_what_is_wrong_in_ones_own_section_is_named(
    folder: Path, line: bytes, problem: str
) -> None:
    (folder / "entry_points.txt").write_bytes(line)

    with pytest.raises(DeploymentError, match="cannot be read") as caught:
        Manifest([folder]).entries()
    assert problem in str(caught.value)


@pytest.mark.parametrize(
    ("module", "problem"),
    [
        (
            "from importlib.metadata import version\nversion('pricing')",
            "the distribution 'pricing' (flows.py, line 2), whose *.dist-info folder is not there",
        ),
        (
            "class PanicException(BaseException): ...\nraise PanicException('at 0x0')",
            "raises PanicException: at 0x0 (flows.py, line 2)",
        ),
        (
            "class Odd(Exception):\n  def __str__(self): raise ValueError\nraise Odd",
            "importing shop.flows raises Odd: ",
        ),
        ("raise ModuleNotFoundError('sorry')", "raises ModuleNotFoundError: sorry"),
        ("import shop._fast", "Was _fast.cpython-39-aarch64-linux-gnu.so built for another Python"),
        ("import fast", "Was fast.cp39-win_amd64.pyd built for another Python"),
        ("import core", "Was _core.cpython-39-aarch64-linux-gnu.so built for another Python"),
        ("import core2", "Was _core.cpython-39-aarch64-linux-gnu.so built for another Python"),
        ("import shop.whole", "Was whole.abi3.so built for another Python or processor"),
    ],
)
def test_whatever_an_import_raises_becomes_a_sentence(
    folder: Path, module: str, problem: str
) -> None:
    (folder / "shop").mkdir()
    (folder / "shop" / "__init__.py").touch()
    (folder / "shop" / "flows.py").write_text(module)
    for name in ("shop/_fast.cpython-39-aarch64-linux-gnu.so", "fast.cp39-win_amd64.pyd"):
        (folder / name).write_bytes(b"x")
    for package, line in (("core", "import core._core"), ("core2", "from core2._core import Args")):
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text(line)
        (folder / package / "_core.cpython-39-aarch64-linux-gnu.so").write_bytes(b"x")
    (folder / "core2" / "_core").mkdir()  # a folder of that name: found, and empty
    (folder / "shop" / "whole.abi3.so").write_bytes(b"\x7fELF of another processor")
    importlib.invalidate_caches()

    with pytest.raises(DeploymentError) as caught:
        Manifest([folder]).load("Ship")
    assert problem in str(caught.value)
