"""checkov over the Terraform code: insecure settings, each mended or excused where it stands.

    python -m dev.checkov

An excuse is a comment in the resource's own block, `#checkov:skip=<check>: <why>`. Only the policies that
come with the pinned checkov are applied, so that nothing is downloaded and a check of today finds next
year what it finds today. It takes long to start: it is one call for all folders, and none at all while
nothing has changed since it last found all well.

It looks at a copy without `count`. Whatever it takes for a count of 0 it passes over in silence, and it cannot
work out the counts of the module, so that the function itself would not be looked at.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dev import ROOT, STATE
from dev.bootstrap import REQUIREMENTS, checkov_environment
from dev.stage import DevError, command_line, end_group, say, tail

FOLDERS = ("modules", "examples")

COPY = STATE / "checkov"
STAMP = COPY / "found-nothing"

COUNT = re.compile(r"(?m)^  count +=.*$")

SKIP = re.compile(r"#\s*checkov:skip=(\S+?)(?::(.*))?$", re.MULTILINE)


@contextmanager
def scanning() -> Iterator[None]:
    """Scan while the `with` block does something else, which waits for Terraform in our case.

    Raises:
        DevError: a check failed, or is skipped without a reason; when the block is left.
    """
    if bare := unexplained(ROOT):
        raise DevError(
            f"{', '.join(bare)}: a skipped check needs its reason: `#checkov:skip=<check>: <why>`."
        )
    wanted = _digest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        yield
        say("checkov: nothing changed since it found all well")
        return
    _copy()
    command: list[str | Path] = [
        checkov_environment().with_name("checkov"),
        *("--directory", "."),  # given two, it forgets half of the second
        *("--framework", "terraform", "--skip-download", "--compact", "--quiet"),
    ]
    say(f"checkov of {', '.join(FOLDERS)} … (beside what follows)")
    started = time.monotonic()
    log = STATE / "log" / "checkov.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=COPY,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield
            process.wait()
        except BaseException:
            end_group(process)
            raise
    if process.returncode:
        raise DevError(
            f"checkov (exit {process.returncode}) found settings that are not safe. Mend them, or say in the "
            f"resource's block why it is right: `#checkov:skip=<check>: <why>`.\n{tail(log, 200)}"
        )
    STAMP.write_text(wanted)
    say(f"checkov found nothing ({time.monotonic() - started:.0f} s)")


def _copy() -> None:
    shutil.rmtree(COPY, ignore_errors=True)
    for path in _files(ROOT):
        copy = COPY / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(COUNT.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")


def unexplained(root: Path) -> list[str]:
    """Where a check is skipped without a reason, as `<file>: <check>`."""
    return [
        f"{path.relative_to(root)}: {check}"
        for path in _files(root)
        for check, why in SKIP.findall(path.read_text(encoding="utf-8"))
        if not why.strip()
    ]


def _digest() -> str:
    """Of all that the answer depends on."""
    digest = hashlib.sha256()
    for path in [REQUIREMENTS / "requirements-checkov.txt", Path(__file__), *_files(ROOT)]:
        digest.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _files(root: Path) -> list[Path]:
    """What may be applied: configurations of `terraform test` are only planned, with a mocked provider."""
    found = (path for folder in FOLDERS for path in (root / folder).rglob("*.tf"))
    return sorted(path for path in found if "tests" not in path.relative_to(root).parts)


def main(arguments: list[str]) -> None:
    if arguments:
        raise DevError("say: python -m dev.checkov")
    with scanning():
        pass


if __name__ == "__main__":
    command_line(main)
