"""What the compiled files of a zip were built for, and whether Lambda, or this machine, loads them.

The name of an extension module says Python and platform, a library's first bytes say the processor.
"""

from __future__ import annotations

import platform
import re
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import reduce
from typing import NamedTuple

from fluxio_client.cli.archive import File

LINUX, MUSL, MACOS, WINDOWS = "Linux", "Linux with musl", "macOS", "Windows"

#: Processors by the names of the module's input `architecture`.
ARCHITECTURES = ("x86_64", "arm64")

#: The oldest of Lambda's Pythons that fluxio runs on.
OLDEST_PYTHON = (3, 10)

#: glibc of the newest of Lambda's Python runtimes (Amazon Linux 2023).
#: https://docs.aws.amazon.com/lambda/latest/dg/lambda-runtimes.html
NEWEST_GLIBC = (2, 34)

_COMPILED = re.compile(r"\.(so(\.\d+)*|pyd|dylib|dll)$")
_TAGGED = re.compile(
    r"\.(?P<kind>cpython-|cp|pypy)(?P<major>\d)(?P<minor>\d+)(?P<variant>t?)d?"
    r"(-pp\d+)?([-_](?P<platform>[\w-]+))?\.(so|pyd)$"
)
_PROCESSORS = {"amd64": "x86_64", "aarch64": "arm64", "32": "i386"}
_ELF_MACHINES = {3: "i386", 40: "arm", 62: "x86_64", 183: "arm64"}
#: How a file for macOS begins: 32 and 64 bits in both byte orders, and one for several processors.
_MACHO = tuple(
    bytes.fromhex(magic) for magic in ("feedface", "feedfacf", "cefaedfe", "cffaedfe", "cafebabe")
)
_MANYLINUX = re.compile(rb"^Tag: \S+-manylinux_(\d+)_(\d+)_\w+\s*$", re.MULTILINE)


class Compiled(NamedTuple):
    """A compiled file."""

    path: str
    system: str
    #: "3.12"; None where any Python loads it.
    python: str | None = None
    #: A variant of Python that Lambda does not have: "PyPy", "free-threaded".
    variant: str | None = None
    #: "x86_64", "arm64" or another; None where it does not say.
    processor: str | None = None

    @property
    def module(self) -> str:
        """The module that it is, with dots; its variants for other Pythons are the same module."""
        folder, _, name = self.path.rpartition("/")
        return ".".join(filter(None, [*folder.split("/"), name.partition(".")[0]]))

    @property
    def built_for(self) -> str:
        """Its Python and platform, for people."""
        python = f"{self.variant or 'Python'} {self.python}" if self.python else None
        if self.variant == "free-threaded":
            python = f"free-threaded Python {self.python}"
        return ", ".join(filter(None, [python, self.system, self.processor]))

    @property
    def loads_on_lambda(self) -> bool:
        """Whether some Lambda function loads it."""
        known = self.processor is None or self.processor in ARCHITECTURES
        old = self.python is not None and tuple(map(int, self.python.split("."))) < OLDEST_PYTHON
        return self.system == LINUX and self.variant is None and known and not old

    @property
    def loads_here(self) -> bool:
        """Whether this interpreter loads it."""
        here = {"linux": LINUX, "darwin": MACOS, "win32": WINDOWS}.get(sys.platform)
        return (
            self.system == here
            and self.variant is None
            and self.python in (None, this_python())
            and self.processor in (None, this_processor())
        )


def this_python() -> str:
    """The version of this interpreter, as the module's input `runtime` has it: "3.12"."""
    return "{}.{}".format(*sys.version_info[:2])


def this_processor() -> str:
    """The processor of this machine, as the module's input `architecture` has it."""
    machine = platform.machine().lower()
    return _PROCESSORS.get(machine, machine)


class Target(NamedTuple):
    """What a zip's compiled files were built for, as a whole."""

    files: tuple[Compiled, ...]

    @classmethod
    def of(cls, contents: Mapping[str, File]) -> Target:
        """Look at the files of a zip."""
        found = (examine(path, file.content) for path, file in contents.items())
        return cls(tuple(one for one in found if one is not None))

    @property
    def pythons(self) -> frozenset[str] | None:
        """The versions of Python that load all of it; None where any does."""
        return _in_all((one.module, one.python) for one in self.files if one.loads_on_lambda)

    @property
    def processors(self) -> frozenset[str] | None:
        """The processors that load all of it; None where any does."""
        return _in_all((one.module, one.processor) for one in self.files if one.loads_on_lambda)

    def foreign(self) -> list[Compiled]:
        """The files of modules of which this interpreter loads no variant."""
        here = {one.module for one in self.files if one.loads_here}
        return [one for one in self.files if one.module not in here]

    def warnings(self, runtime: str | None, architecture: str | None) -> list[str]:
        """What Lambda will not load, as sentences.

        Args:
            runtime: the worker's Python, as the module's input `runtime`: "python3.12"; None if not said.
            architecture: its processor, as the module's input; None if not said.
        """
        usable = {one.module for one in self.files if one.loads_on_lambda}
        useless = [
            one for one in self.files if not one.loads_on_lambda and one.module not in usable
        ]
        found = [
            f"{_some(files)} built for {built_for}: no Lambda function loads that. {_FETCH}"
            for built_for, files in _grouped(useless).items()
        ]
        python = runtime.removeprefix("python") if runtime else None
        for what, wanted, has in (
            ("Python", python, self.pythons),
            ("processor", architecture, self.processors),
        ):
            if has is None:
                continue
            if wanted is not None and wanted not in has:
                others = [
                    one
                    for one in self.files
                    if one.loads_on_lambda
                    and (one.python if what == "Python" else one.processor) not in (None, wanted)
                ]
                for built_for, files in _grouped(others).items():
                    found.append(
                        f"{_some(files)} built for {built_for}, not for {wanted}. {_FETCH}"
                    )
            elif not has:
                kinds = _grouped(one for one in self.files if one.loads_on_lambda)
                parts = "; ".join(f"{_some(files)} for {kind}" for kind, files in kinds.items())
                found.append(f"no single {what} loads all of it: {parts}. {_FETCH}")
        return found


_FETCH = (
    "Fetch dependencies for Lambda: pip install --target … --only-binary :all: --platform manylinux2014_x86_64 "
    "(arm64: manylinux2014_aarch64) --python-version 3.12."
)


def too_new(contents: Mapping[str, File]) -> list[str]:
    """Distributions whose wheels need a newer C library than Lambda's newest."""
    found = []
    for path, file in contents.items():
        folder, _, name = path.partition("/")
        if name == "WHEEL" and folder.endswith(".dist-info"):
            tags = [(int(one), int(two)) for one, two in _MANYLINUX.findall(file.content)]
            if tags and min(tags) > NEWEST_GLIBC:
                glibc = "{}.{}".format(*min(tags))
                found.append(f"{folder.removesuffix('.dist-info')} (glibc {glibc})")
    return sorted(found)


def examine(path: str, content: bytes) -> Compiled | None:
    """What a file was built for; None if it is not compiled."""
    name = path.rpartition("/")[2]
    if not _COMPILED.search(name):
        return None
    tag = _TAGGED.search(name)
    where = (tag["platform"] or "") if tag else ""
    python = f"{tag['major']}.{tag['minor']}" if tag else None
    variant = None
    if tag:
        variant = {"pypy": "PyPy"}.get(tag["kind"]) or ("free-threaded" if tag["variant"] else None)
    system = _system(name, where, content)
    return Compiled(path, system, python, variant, _processor(system, where, content))


def _system(name: str, where: str, content: bytes) -> str:
    if name.endswith((".pyd", ".dll")) or where.startswith("win") or content[:2] == b"MZ":
        return WINDOWS
    if name.endswith(".dylib") or "darwin" in where or content[:4] in _MACHO:
        return MACOS
    if where.endswith("-musl") or b"libc.musl-" in content:
        return MUSL
    return LINUX


def _processor(system: str, where: str, content: bytes) -> str | None:
    if system in (LINUX, MUSL) and content[:4] == b"\x7fELF" and len(content) >= 20:
        machine = int.from_bytes(content[18:20], "big" if content[5] == 2 else "little")
        return _ELF_MACHINES.get(machine, f"processor {machine}")
    if where in ("", "darwin"):  # macOS: the name does not say, and files for both are usual
        return None
    named = where.partition("-")[0].removeprefix("win_").removeprefix("win")
    return _PROCESSORS.get(named, named)


def _in_all(variants: Iterable[tuple[str, str | None]]) -> frozenset[str] | None:
    """Of what each module has a variant for, that which all have; None where none is particular."""
    of: defaultdict[str, set[str | None]] = defaultdict(set)
    for module, built_for in variants:
        of[module].add(built_for)
    sets = [frozenset(filter(None, some)) for some in of.values() if None not in some]
    return reduce(frozenset.intersection, sets) if sets else None


def _grouped(files: Iterable[Compiled]) -> dict[str, list[Compiled]]:
    groups: defaultdict[str, list[Compiled]] = defaultdict(list)
    for one in files:
        groups[one.built_for].append(one)
    return groups


def _some(files: list[Compiled]) -> str:
    names = ", ".join(sorted(one.path for one in files)[:3])
    more = f" and {len(files) - 3} more" if len(files) > 3 else ""
    return f"{names}{more} {'was' if len(files) == 1 else 'were'}"
