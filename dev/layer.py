"""The Lambda layer: `layer/dist/fluxio-layer-<version>-<architecture>.zip`.

    python -m dev.layer [--force]

It holds fluxio, fluxio-client and layer/requirements.txt for every supported Python in one flat
`python/` folder: compiled modules and bytecode carry the Python in their file name, all other files
are the same for all. The zips are byte-identical for identical sources and the same versions of Python
on the machine (dev/bytecode.py says why). So files are taken straight from wheels instead of from an
installation (which adds RECORD, INSTALLER, direct_url.json, scripts, …), and the files of a wheel that
name the one Python it was made for stay out, and so does what is for tests alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dev import ROOT, STATE, bytecode
from dev.bootstrap import SUPPORTED
from dev.stage import DevError, command_line, run, say
from fluxio_client.cli.archive import write_zip

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's names and those of wheels."""

PLATFORM = "manylinux2014"
"""glibc 2.17. Lambda's oldest supported runtimes (Amazon Linux 2) have 2.26."""

LIMIT = 250 * 1024 * 1024
"""What a function and its layers may measure unzipped."""

FROM_THE_RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""Modules that every Python runtime of Lambda brings."""

NOT_FOR_FUNCTIONS = ("fluxio/testing/", "fluxio/local/", "fluxio_client/ui/")
"""In the wheels: they are for tests, a developer's machine and an operator's browser, and for no function."""

LEFT_OUT = ("RECORD", "WHEEL", "sboms", "entry_points.txt")
"""Of `*.dist-info`: they differ between the wheels of one distribution, or are for commands and for pytest."""


def version(source: Path = ROOT) -> str:
    return (source / "VERSION").read_text().strip()


def zip_path(
    architecture: str, folder: Path = ROOT / "layer" / "dist", source: Path = ROOT
) -> Path:
    return folder / f"fluxio-layer-{version(source)}-{architecture}.zip"


def host_architecture() -> str:
    """The one whose zip runs on this machine."""
    return "arm64" if platform.machine().lower() in ("arm64", "aarch64") else "x86_64"


def wheels(source: Path = ROOT) -> list[Path]:
    """Where `build` puts the two wheels."""
    return [
        source / "client" / "dist" / f"fluxio_client-{version(source)}-py3-none-any.whl",
        source / "layer" / "dist" / f"fluxio-{version(source)}-py3-none-any.whl",
    ]


def build(source: Path = ROOT, target: Path = ROOT / "layer" / "dist") -> list[Path]:
    """Build the wheels in `source` and the zips in `target`. Returns the zips."""
    log = STATE / "log" / "build.log"
    for project in ("client", "layer"):
        run(
            f"wheel of {project}",
            # hatchling is pinned in this environment: no isolation, no download.
            [sys.executable, "-m", "build", "--no-isolation", source / project],
            env=_without_a_date(),
            log=log,
        )
    if without := bytecode.missing():
        say(f"not on this machine, so without bytecode in the layer: Python {', '.join(without)}")
    zips = []
    for architecture in ARCHITECTURES:
        merged: dict[str, bytes] = {}
        for wheel in contents(source, architecture):
            _merge(wheel, merged)
        _refuse_what_the_runtime_brings(merged)
        merged |= bytecode.compiled(merged)
        size = sum(map(len, merged.values()))
        zipped = zip_path(architecture, target, source)
        write_zip(zipped, merged)
        say(
            f"{zipped.name}: {_megabytes(zipped.stat().st_size)} zipped, "
            f"{_megabytes(size)} of Lambda's {_megabytes(LIMIT)} unzipped, {len(merged)} files"
        )
        if size > LIMIT:
            raise DevError(f"{zipped.name} is larger than Lambda takes.")
        zips.append(zipped)
    return zips


def contents(source: Path, architecture: str) -> list[Path]:
    """The wheels whose files make up one layer; the first two are there once they are built."""
    return [*wheels(source), *_dependencies(source, architecture)]


def _without_a_date() -> dict[str, str]:
    """This environment, but for a date that some CI sets and that would get into the wheels."""
    return {name: value for name, value in os.environ.items() if name != "SOURCE_DATE_EPOCH"}


def is_current() -> bool:
    """Whether the zips and wheels are what the sources, the pins and this builder make."""
    try:
        kept = json.loads(_stamp().read_text())
    except (OSError, ValueError):
        return False
    return bool(kept == _state())


def _stamp() -> Path:
    return STATE / "layer.json"


def _state() -> dict[str, str]:
    """Digests of all that goes in and all that comes out; a missing product is never current."""
    builder = [Path(__file__), Path(bytecode.__file__), bytecode.MAKER]
    sources = [ROOT / "VERSION", ROOT / "layer" / "requirements.txt", *builder]
    for project in (ROOT / "client", ROOT / "layer"):
        sources += [project / name for name in ("LICENSE", "README.md", "pyproject.toml")]
        sources += [p for p in (project / "src").rglob("*") if "__pycache__" not in p.parts]
    products = [*wheels(), *map(zip_path, ARCHITECTURES)]
    state = {"sources": _digest(p for p in sources if p.is_file())}
    state["compilers"] = ", ".join(bytecode.compilers())
    for product in products:
        state[product.name] = _digest([product]) if product.is_file() else "missing"
    return state


def _digest(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in sorted(paths):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(ROOT)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()


def _dependencies(source: Path, architecture: str) -> list[Path]:
    """The pinned wheels for all Pythons. Kept by what was asked for: the second time is instant."""
    requirements = source / "layer" / "requirements.txt"
    key = hashlib.sha256(requirements.read_bytes()).hexdigest()[:12]
    # pip waits for the index most of the time.
    with ThreadPoolExecutor(len(SUPPORTED)) as pool:
        folders = pool.map(partial(_download, requirements, key, architecture), SUPPORTED)
    found = {wheel.name: wheel for folder in folders for wheel in folder.glob("*.whl")}
    return [found[name] for name in sorted(found)]


def _download(requirements: Path, key: str, architecture: str, python: str) -> Path:
    """The folder with the wheels for one Python."""
    folder = STATE / "wheels" / f"{key}-{architecture}-{python}"
    complete = folder / "complete"
    if not complete.exists():
        run(
            f"dependencies of the layer for {architecture}, Python {python}",
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--requirement", requirements, "--dest", folder),
                *("--only-binary", ":all:", "--python-version", python),
                *("--platform", f"{PLATFORM}_{ARCHITECTURES[architecture]}"),
            ],
            env={"PIP_CACHE_DIR": str(STATE / "pip"), **os.environ},
            log=STATE / "log" / f"layer-pip-{architecture}-{python}.log",
            remedy="pip uses this machine's own index settings.",
        )
        complete.touch()
    return folder


def _merge(wheel: Path, merged: dict[str, bytes]) -> None:
    """Add a wheel's files under `python/`; two wheels that disagree about a file are an error."""
    with zipfile.ZipFile(wheel) as archive:
        for name in archive.namelist():
            folder, *rest = name.split("/")
            if name.startswith(NOT_FOR_FUNCTIONS):
                continue
            if name.endswith("/") or (folder.endswith(".dist-info") and rest[0] in LEFT_OUT):
                continue
            if folder.endswith(".data"):
                raise DevError(f"{wheel.name} installs {name} elsewhere, which a layer cannot.")
            content = archive.read(name)
            if merged.setdefault(f"python/{name}", content) != content:
                raise DevError(
                    f"{wheel.name} has another {name} than a wheel before it. A flat layer holds "
                    "one: pin a version in layer/requirements.txt whose wheels agree."
                )


def _refuse_what_the_runtime_brings(merged: Iterable[str]) -> None:
    modules = {re.split(r"[/.]", name)[1] for name in merged}
    if twice := modules.intersection(FROM_THE_RUNTIME):
        raise DevError(f"Lambda's runtime brings {', '.join(sorted(twice))}: not in the layer.")


def _megabytes(size: int) -> str:
    return f"{size / 1024 / 1024:.1f} MB"


def main(arguments: list[str]) -> None:
    if arguments not in ([], ["--force"]):
        raise DevError("say: python -m dev.layer [--force]")
    if not arguments and is_current():
        say("layer: nothing changed since it was built")
        return
    sources = _state()["sources"]  # as they are now: an edit during the build makes it stale
    build()
    _stamp().parent.mkdir(exist_ok=True)
    _stamp().write_text(json.dumps(_state() | {"sources": sources}, indent=2))


if __name__ == "__main__":
    command_line(main)
