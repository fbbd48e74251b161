"""Compiled files are judged by the worker's Python and processor, not by this machine's."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from fluxio_client.cli.archive import File
from fluxio_client.cli.compiled import Target, examine, this_processor, this_python, too_new
from fluxio_client.cli.workflow_check import Unusable
from tests.unit.conftest import WORKFLOW, Check, Package

OTHER_MINOR = 13 if sys.version_info[1] == 12 else 12
OTHER_PROCESSOR = "aarch64" if this_processor() == "x86_64" else "x86_64"


def elf(machine: int) -> bytes:
    return b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + machine.to_bytes(2, "little")


def target(*files: tuple[str, bytes] | str) -> Target:
    named = dict(file if isinstance(file, tuple) else (file, b"x") for file in files)
    return Target.of({path: File(content) for path, content in named.items()})


@pytest.mark.parametrize(
    ("name", "content", "built_for", "loads_on_lambda"),
    [
        ("a.cpython-312-x86_64-linux-gnu.so", elf(62), "Python 3.12, Linux, x86_64", True),
        ("a.cpython-310-aarch64-linux-gnu.so", b"", "Python 3.10, Linux, arm64", True),
        ("a.cpython-314-x86_64-linux-gnu.so", b"", "Python 3.14, Linux, x86_64", True),
        ("a.abi3.so", elf(183), "Linux, arm64", True),
        ("a.so", elf(62), "Linux, x86_64", True),
        ("x.libs/libz-5.so.1.2", elf(62), "Linux, x86_64", True),
        ("a.cpython-38-x86_64-linux-gnu.so", b"", "Python 3.8, Linux, x86_64", False),
        ("a.cpython-312-darwin.so", b"x", "Python 3.12, macOS", False),
        ("a.abi3.so", bytes.fromhex("cffaedfe"), "macOS", False),
        ("x/.dylibs/libz.1.dylib", b"", "macOS", False),
        ("a.cp312-win_amd64.pyd", b"x", "Python 3.12, Windows, x86_64", False),
        ("a.cp312-win32.pyd", b"x", "Python 3.12, Windows, i386", False),
        ("x/z.dll", b"MZ", "Windows", False),
        ("a.cpython-313t-x86_64-linux-gnu.so", b"", "free-threaded Python 3.13, Linux, x86_64", False),
        ("a.pypy310-pp73-x86_64-linux-gnu.so", b"", "PyPy 3.10, Linux, x86_64", False),
        ("a.cpython-312-x86_64-linux-musl.so", b"", "Python 3.12, Linux with musl, x86_64", False),
        ("a.abi3.so", elf(62) + b"\0libc.musl-x86_64.so.1\0", "Linux with musl, x86_64", False),
        ("a.cpython-312-i386-linux-gnu.so", elf(3), "Python 3.12, Linux, i386", False),
        ("a.so", elf(243), "Linux, processor 243", False),
    ],
)  # fmt: skip
def test_name_and_first_bytes_say_what_a_file_was_built_for(
    name: str, content: bytes, built_for: str, loads_on_lambda: bool
) -> None:
    found = examine(name, content)

    assert found is not None
    assert (found.built_for, found.loads_on_lambda) == (built_for, loads_on_lambda)
    (warnings,) = {*target((name, content)).warnings(None, None)} or {""}
    assert (name in warnings) is not loads_on_lambda


@pytest.mark.parametrize("name", ["a.py", "so", "x/notes.so.txt", "a.sow", "w64.exe"])
def test_other_files_were_built_for_nothing(name: str) -> None:
    assert examine(name, b"MZ") is None


def test_a_zip_is_for_what_all_its_modules_were_built_for() -> None:
    several = target(
        "a/_x.cpython-311-x86_64-linux-gnu.so",
        "a/_x.cpython-312-x86_64-linux-gnu.so",
        "b/_y.cpython-312-x86_64-linux-gnu.so",
        "b/_y.cp312-win_amd64.pyd",
        ("c/_z.abi3.so", elf(62)),
    )
    assert (several.pythons, several.processors) == ({"3.12"}, {"x86_64"})
    assert several.warnings(None, None) == []
    assert several.warnings("python3.12", "x86_64") == []
    assert (target().pythons, target().processors) == (None, None)


@pytest.mark.parametrize(
    ("files", "runtime", "architecture", "says"),
    [
        (["a.cpython-311-x86_64-linux-gnu.so"], None, "arm64", "a.cpython-311-x86_64-linux-gnu.so"),
        (["a.cpython-311-x86_64-linux-gnu.so"], "python3.12", None, "not for 3.12"),
        ([("a.abi3.so", elf(62))], None, "arm64", "not for arm64"),
        (
            ["a.cpython-311-x86_64-linux-gnu.so", "b.cpython-312-x86_64-linux-gnu.so"],
            None,
            None,
            "no single Python loads all of it",
        ),
        ([("a.so", elf(62)), ("b.so", elf(183))], None, None, "no single processor loads all"),
    ],
)
def test_what_the_worker_will_not_load_is_named(
    files: list[tuple[str, bytes] | str], runtime: str | None, architecture: str | None, says: str
) -> None:
    (warning,) = target(*files).warnings(runtime, architecture)
    assert says in warning


def test_a_wheel_that_needs_a_newer_c_library_than_lambdas_is_named() -> None:
    def wheel(*tags: str) -> dict[str, File]:
        text = "".join(f"Tag: cp312-cp312-{tag}_x86_64\n" for tag in tags)
        return {"fast-1.0.dist-info/WHEEL": File(text.encode())}

    assert too_new(wheel("manylinux_2_39")) == ["fast-1.0 (glibc 2.39)"]
    for fine in (["manylinux_2_34"], ["manylinux_2_39", "manylinux_2_28"], ["manylinux2014"]):
        assert too_new(wheel(*fine)) == []


@pytest.mark.once
class TestPackaging:
    """What was built for another machine is written, and said; what is wrong on any is refused."""

    @pytest.fixture
    def flows(self, folder: Path) -> Callable[[str], None]:
        def write(line: str) -> None:
            (folder / "shop" / "workflows.py").write_text(f"{line}\n{WORKFLOW}")

        return write

    @pytest.mark.parametrize(
        "name",
        [
            f"fastjson.cpython-3{OTHER_MINOR}-x86_64-linux-gnu.so",
            f"fastjson.cpython-3{OTHER_MINOR}-aarch64-linux-gnu.so",
            f"fastjson.{sys.implementation.cache_tag}-{OTHER_PROCESSOR}-linux-gnu.so",
            "fastjson.abi3.so",
        ],
    )
    @pytest.mark.parametrize("inside", ["", "lib/"])
    def test_a_module_for_another_python_or_processor_is_not_called_missing(
        self, check: Check, folder: Path, flows: Callable[[str], None], name: str, inside: str
    ) -> None:
        if inside:
            (folder / "lib").mkdir()
            (folder / "lib" / "__init__.py").write_text("from lib import fastjson")
        machine = 183 if OTHER_PROCESSOR == "aarch64" else 62
        (folder / f"{inside}{name}").write_bytes(elf(machine) if "abi3" in name else b"\x7fELF")
        flows("import lib" if inside else "import fastjson")

        found = check()

        assert [one["checked"] for one in found.workflows] == [False]
        (warning,) = found.warnings
        assert f"Order was not checked: {inside}{name} is built for" in warning
        assert "there is no module" not in warning

    def test_what_fails_by_this_python_alone_is_written(
        self, check: Check, folder: Path, flows: Callable[[str], None]
    ) -> None:
        """A dependency's syntax or standard library may be that of the worker's Python."""
        flows("import only_there_in_the_other_python")
        other = f"3.{OTHER_MINOR}"
        with pytest.raises(Unusable):
            check()

        (warning,) = check(runtime=f"python{other}").warnings
        assert f"for Python {other} and this is {this_python()}" in warning

        (folder / f"x.cpython-3{OTHER_MINOR}-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")
        assert check().warnings == [warning]

    @pytest.mark.parametrize(
        "manifest", ["Order = shop.workflow:Order", "Order = shop.workflows:Orders"]
    )
    def test_a_wrong_manifest_is_wrong_on_every_python(
        self, check: Check, folder: Path, manifest: str
    ) -> None:
        (folder / "entry_points.txt").write_text(f"[fluxio.workflows]\n{manifest}\n")

        with pytest.raises(Unusable):
            check(runtime=f"python3.{OTHER_MINOR}")

    def test_the_worker_can_be_named_as_the_module_names_it(self, package: Package) -> None:
        assert package("--runtime", "3.12").code == 2
        assert package("--architecture", "aarch64").code == 2
        assert package("--architecture", "arm64").code == 0

    def test_the_answer_says_what_the_zip_was_built_for(
        self, package: Package, folder: Path
    ) -> None:
        (folder / "x.cpython-312-x86_64-linux-gnu.so").write_bytes(b"\x7fELF")

        assert "compiled for Python 3.12, x86_64" in package().out
        found = json.loads(package("--json").out)
        assert found["built_for"] == {"python": ["3.12"], "architecture": ["x86_64"]}
