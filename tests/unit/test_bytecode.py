"""The layer's bytecode is what Python would make of the source, and the same wherever it is made."""

from __future__ import annotations

import marshal
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx", reason="layers are built in .venv alone")

from dev import ROOT, bytecode, release
from dev.bootstrap import SUPPORTED, interpreters
from dev.stage import DevError

pytestmark = pytest.mark.once

SAMPLE = '''
"""Constants that marshal writes in more than one way."""
import os

PLACES = ("no identifier", os.sep, 1.5, -0.0, 10**30, b"bytes", ..., None, True, 1)

def first(value="no identifier", *, other=b"bytes"):
    return value in {"one", "two", "no identifier", 3}, "no identifier"

class Second:
    def second(self):
        class Third:
            pass

    def first(self):
        return lambda: (self, __class__, "no identifier", ("no identifier", 0.0), b"bytes")
'''

MODULES = {
    "python/sample.py": SAMPLE.encode(),
    "python/by_address.py": b"def first(value): return value in {None, 'one', 'two'}",
    **{
        f"python/fluxio_protocol/{path.name}": path.read_bytes()
        for path in sorted((ROOT / "client" / "src" / "fluxio_protocol").glob("*.py"))
    },
}

IN_A_BUSY_PROCESS = """
import argparse, asyncio, ctypes, decimal, email.message, http.server, logging.config, runpy, sys, unittest
kept = [sys.intern(text) for text in ("no identifier", "one", "Second.second.<locals>.Third")]
runpy.run_path(sys.argv[1], run_name="__main__")
"""

SAME_CODE = """
import marshal, sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash

modules, made = marshal.loads(sys.stdin.buffer.read())
if sys.version_info < (3, 11):  # where the order in this set is that of addresses
    del modules["python/by_address.py"]
assert {*map(cache_from_source, modules)} == {*made}
for name, source in modules.items():
    content = made[cache_from_source(name)]
    # PEP 552: a hash of the source, which is not to be checked.
    assert content[:16] == MAGIC_NUMBER + bytes([1, 0, 0, 0]) + source_hash(source)
    assert marshal.loads(content[16:]) == compile(source, f"/opt/{name}", "exec", dont_inherit=True), name
"""


@pytest.fixture(params=SUPPORTED)
def python(request: pytest.FixtureRequest) -> Path:
    found = interpreters().get(request.param)
    if found is None:
        pytest.skip(f"no Python {request.param} on this machine")
    return found


def test_bytecode_is_the_same_whatever_else_the_process_holds(python: Path) -> None:
    """Another build of the same Python has other modules and strings in memory, which marshal would show."""
    quiet = bytecode._run(python, marshal.dumps(MODULES))
    busy = subprocess.run(
        [python, "-S", "-B", "-c", IN_A_BUSY_PROCESS, bytecode.MAKER],
        env={"PYTHONHASHSEED": "0"},
        input=marshal.dumps(dict(reversed(MODULES.items()))),
        capture_output=True,
        check=True,
    )
    assert quiet
    assert marshal.loads(busy.stdout) == quiet


def test_bytecode_is_what_python_compiles_and_is_loaded_without_a_look_at_the_source(
    python: Path,
) -> None:
    made = bytecode._run(python, marshal.dumps(MODULES))
    subprocess.run(
        [python, "-I", "-S", "-c", SAME_CODE], input=marshal.dumps((MODULES, made)), check=True
    )


def test_a_module_that_cannot_be_compiled_ends_the_build() -> None:
    """It could not be imported either; the error names file and line."""
    with pytest.raises(DevError, match=r"/opt/python/broken\.py"):
        bytecode.compiled({"python/broken.py": b"def ("})


def test_a_release_needs_every_supported_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else what is published depends on the machine; a build to try out does without, and says so."""
    monkeypatch.setattr(
        bytecode, "interpreters", lambda: dict.fromkeys(SUPPORTED, Path(sys.executable))
    )
    release.check_compilers()
    monkeypatch.setattr(
        bytecode, "interpreters", lambda: dict.fromkeys(SUPPORTED[1:], Path(sys.executable))
    )
    with pytest.raises(DevError, match=rf"Python {SUPPORTED[0]} is not on this machine"):
        release.check_compilers()
