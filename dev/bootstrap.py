"""The virtual environments of this folder, made on first use and left alone while nothing changed.

    .venv             the project (editable) and the tools that test, check and build it
    .venv-local       the project (editable) alone: what `make dev` runs in; made only when it is named
    .venv-ministack   the emulator, which pins a botocore of its own
    .venv-checkov     what looks for insecure settings and policies in Terraform code; it pins one, too
    .venv-bench       what rivals are measured with; made only where it is named
    .venv-3.x         another Python: the tests' packages and the *built* wheels

Run as `python -m dev.bootstrap [dev] [local] [ministack] [checkov] [bench] [3.x …]`. Without a name it makes
all but `.venv-local` and `.venv-bench`.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from dev import ROOT, STATE
from dev.stage import DevError, command_line, end_group, run

SUPPORTED = ("3.10", "3.11", "3.12", "3.13", "3.14")
"""The Pythons that fluxio promises to run on (those of Lambda)."""

REQUIREMENTS = ROOT / "dev"

STAMP = "fluxio-stamp"
"""The file in an environment that says what is installed in it."""

_PROJECTS = (ROOT / "client", ROOT / "layer")
_PINS_AND_PROJECTS = (
    REQUIREMENTS / "requirements-test.txt",
    *(project / "pyproject.toml" for project in _PROJECTS),
)
_THE_PROJECT = (
    "--no-deps",
    "--no-build-isolation",
    *(part for project in _PROJECTS for part in ("--editable", str(project))),
)


def dev_environment() -> Path:
    """`.venv`: what `make check`, `make layer` and most tests run in. Returns its Python."""
    return _ensure(
        ROOT / ".venv",
        Path(sys.executable),
        requirements=REQUIREMENTS / "requirements-dev.txt",
        also_depends_on=_PINS_AND_PROJECTS,
        then=_THE_PROJECT,
        importable=ROOT,
    )


def local_environment() -> Path:
    """`.venv-local`: little enough to be there in a minute. Returns its Python."""
    return _ensure(
        ROOT / ".venv-local",
        Path(sys.executable),
        requirements=REQUIREMENTS / "requirements-local.txt",
        also_depends_on=_PINS_AND_PROJECTS,
        then=_THE_PROJECT,
    )


def ministack_environment() -> Path:
    """`.venv-ministack`: the emulator alone. Returns its Python."""
    return _ensure(
        ROOT / ".venv-ministack",
        Path(sys.executable),
        requirements=REQUIREMENTS / "requirements-ministack.txt",
    )


def checkov_environment() -> Path:
    """`.venv-checkov`: checkov and parliament alone. Returns its Python."""
    return _ensure(
        ROOT / ".venv-checkov",
        Path(sys.executable),
        requirements=REQUIREMENTS / "requirements-checkov.txt",
    )


def bench_environment() -> Path:
    """`.venv-bench`: packages of rivals that `make bench` measures. Returns its Python."""
    return _ensure(
        ROOT / ".venv-bench",
        Path(sys.executable),
        requirements=ROOT / "bench" / "requirements.txt",
    )


def wheel_environment(version: str, python: Path, wheels: Sequence[Path]) -> Path:
    """`.venv-3.x`: another Python with the built wheels, as a user would install them."""
    return _ensure(
        ROOT / f".venv-{version}",
        python,
        requirements=REQUIREMENTS / "requirements-test.txt",
        also_depends_on=wheels,
        then=["--no-deps", "--force-reinstall", *map(str, wheels)],
    )


def prepare_wheel_environment(version: str, python: Path) -> None:
    """What `wheel_environment` needs before there are wheels, if it is not there at all: the long part."""
    if not (ROOT / f".venv-{version}" / STAMP).is_file():
        requirements = REQUIREMENTS / "requirements-test.txt"
        _ensure(ROOT / f".venv-{version}", python, requirements=requirements)


@cache
def interpreters() -> dict[str, Path]:
    """Every supported Python on this machine that really starts, by version.

    A `python3.12` on the PATH may be a shim for a version that is not installed, so each is asked
    for its own path; version managers keep interpreters that are not on the PATH at all.
    """
    found: dict[str, Path] = {}
    for version in SUPPORTED:
        name = f"python{version}"
        folders = [Path(part) for part in os.get_exec_path() if part]
        folders += [Path("/usr/local/bin"), Path("/usr/bin"), Path("/opt/homebrew/bin")]
        pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        folders += sorted(pyenv.glob(f"versions/{version}.*/bin"), reverse=True)
        for candidate in dict.fromkeys(folder / name for folder in folders):
            if os.access(candidate, os.X_OK) and (python := _own_path(candidate, version)):
                found[version] = python
                break
    return found


def other_pythons() -> dict[str, Path]:
    """Of these, those that this one is not."""
    here = "{}.{}".format(*sys.version_info[:2])
    return {version: python for version, python in interpreters().items() if version != here}


def _own_path(candidate: Path, version: str) -> Path | None:
    """What the interpreter says of itself; None if it does not start, or cannot make a venv."""
    question = "import ensurepip, sys, venv; print('%d.%d' % sys.version_info[:2], sys.executable)"
    try:
        answer = subprocess.run(
            [candidate, "-I", "-c", question], capture_output=True, text=True, timeout=20
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    said, _, path = answer.stdout.strip().partition(" ")
    return Path(path) if answer.returncode == 0 and said == version else None


def _ensure(
    folder: Path,
    python: Path,
    *,
    requirements: Path,
    also_depends_on: Sequence[Path] = (),
    then: Sequence[str] = (),
    importable: Path | None = None,
) -> Path:
    """Make `folder` an environment that holds `requirements`, unless it is one already.

    The stamp's first line names what a venv is bound to (its interpreter and its place); the second
    is a digest of what is installed. A change in the first makes it anew, in the second adds to it.
    """
    interpreter = _describe(python)
    digest = hashlib.sha256(repr(then).encode())
    for path in (requirements, *also_depends_on):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    stamp = folder / STAMP
    wanted = f"{interpreter} in {folder}\n{digest.hexdigest()}\n"
    found = stamp.read_text() if stamp.is_file() else ""
    inside = folder / "bin" / "python"
    if found == wanted:
        return inside

    name = folder.name
    log = STATE / "log" / f"{name.lstrip('.')}.log"
    env = _pip_environment()
    bound_to = wanted.partition("\n")[0]
    if found.partition("\n")[0] != bound_to:
        if folder.exists():
            shutil.rmtree(folder)
        run(
            f"{name}: new environment for Python {interpreter.split()[0]}",
            [python, "-m", "venv", folder],
            log=log,
            env=env,
            remedy="Debian and Ubuntu ship venv apart: apt-get install python3-venv.",
        )
    stamp.write_text(f"{bound_to}\n")  # an interrupted installation must not look finished
    pip: list[str | Path] = [inside, "-m", "pip", "install", "--quiet"]
    run(
        f"{name}: installing {requirements.relative_to(ROOT)}",
        [*pip, "--requirement", requirements],
        log=log,
        env=env,
        remedy="pip uses this machine's own index settings; the cause is in its last lines.",
    )
    if then:
        run(f"{name}: installing fluxio", [*pip, *then], log=log, env=env)
    if importable:
        for site_packages in folder.glob("lib/python3.*/site-packages"):
            (site_packages / "fluxio-dev.pth").write_text(f"{importable}\n")
    stamp.write_text(wanted)
    return inside


def _describe(python: Path) -> str:
    """Version and real prefix of an interpreter: what a venv breaks without."""
    question = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.base_prefix)"
    return subprocess.check_output([python, "-I", "-c", question], text=True).strip()


def _pip_environment() -> dict[str, str]:
    """This machine's pip settings as they are, with the cache inside the folder.

    PYTHON* settings of the caller would leak packages and paths into the new environment.
    """
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    env.setdefault("PIP_CACHE_DIR", str(STATE / "pip"))
    # An interrupted pip leaves its temporary folders: inside this one, where `make clean` finds them.
    (STATE / "tmp").mkdir(parents=True, exist_ok=True)
    env["TMPDIR"] = str(STATE / "tmp")
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    env["PIP_USER"] = "0"  # some make `--user` their default, which a venv refuses
    return env


def main(arguments: list[str]) -> None:
    makers: dict[str, Callable[[], object]] = {
        "dev": dev_environment,
        "ministack": ministack_environment,
        "checkov": checkov_environment,
    }
    named = {"local": local_environment, "bench": bench_environment}  # no test needs them
    if not {*makers, *named} >= set(arguments) or not arguments:  # to look for them takes a moment
        for version, python in other_pythons().items():
            makers[version] = partial(prepare_wheel_environment, version, python)
    names = arguments or list(makers)
    makers |= named
    if wrong := [name for name in names if name not in makers]:
        raise DevError(f"{wrong[0]!r} is no environment; there are {', '.join(makers)}.")
    # Side by side, the others in processes of their own: pip takes a minute, and one processor, for each.
    others = [
        subprocess.Popen(
            [sys.executable, "-m", "dev.bootstrap", name], cwd=ROOT, start_new_session=True
        )
        for name in names[1:]
    ]
    try:
        makers[names[0]]()
        failed = [other for other in others if other.wait()]
    except BaseException:
        for other in others:
            end_group(other)
        raise
    if failed:
        sys.exit(1)  # it has said why


if __name__ == "__main__":
    command_line(main)
