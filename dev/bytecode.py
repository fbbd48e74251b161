"""Bytecode for the layer, so that a cold start need not compile what it imports.

Nothing can be written where Lambda unpacks a layer, so Python would compile its modules at each cold start.
For each Python there is a `__pycache__/<module>.cpython-3NN.pyc` beside the module. It is loaded without a
look at the source (PEP 552's unchecked hash), which cannot change there.

The same sources compiled by the same version of Python are the same bytes, on any machine and in any folder.
Patch releases of one series, 3.12.1 and 3.12.9 for example, load each other's bytecode (they have one magic
number), but may compile to other bytes. So to build a layer again, and to compare it, takes the versions
that its SBOM names. A Python that is not on the machine has no bytecode in the layer: it compiles in Lambda.
"""

from __future__ import annotations

import marshal
import subprocess
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

from dev.bootstrap import SUPPORTED, interpreters
from dev.stage import DevError

MAKER = Path(__file__).with_name("bytecode_maker.py")

NO_FUNCTION_IMPORTS = (
    *("python/fluxio_client/cli/", "python/pydantic/mypy.py", "python/pydantic/v1/"),
)
"""Modules that functions do not import, or seldom: a quarter of the bytecode's size."""


def compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """The bytecode of a layer's modules, by its path in the zip, for every supported Python on this machine.

    Raises:
        DevError: a module cannot be compiled.
    """
    modules = {
        name: files[name]
        for name in sorted(files)
        if name.endswith(".py") and not name.startswith(NO_FUNCTION_IMPORTS)
    }
    given = marshal.dumps(modules)
    found: dict[str, bytes] = {}
    with ThreadPoolExecutor() as pool:
        for made in pool.map(lambda python: _run(python, given), interpreters().values()):
            found |= made
    return found


def _run(python: Path, modules: bytes) -> dict[str, bytes]:
    done = subprocess.run(
        # Without site-packages and the caller's variables; the seed is that of the order in sets.
        [python, "-S", "-s", "-B", "-W", "ignore", MAKER],
        env={"PYTHONHASHSEED": "0"},
        input=modules,
        capture_output=True,
    )
    if done.returncode:
        raise DevError(f"{python} cannot compile the layer:\n{done.stderr.decode()}")
    made: dict[str, bytes] = marshal.loads(done.stdout)
    return made


@cache
def compilers() -> tuple[str, ...]:
    """The exact versions of Python that compile here."""
    question = "import platform; print(platform.python_version())"
    return tuple(
        subprocess.check_output([python, "-I", "-S", "-c", question], text=True).strip()
        for python in interpreters().values()
    )


def missing() -> list[str]:
    """The supported Pythons for which there will be no bytecode."""
    return [version for version in SUPPORTED if version not in interpreters()]
