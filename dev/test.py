"""The tests: on every other supported Python of this machine what is fast, here everything.

    .venv/bin/python -m dev.test [arguments of pytest]

The emulator's tests wait for most of their time, so they run beside the others: their output is in
.fluxio/log/test-emulator.log, and is printed when they have ended. The other Pythons get the built
wheels.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from dev import ROOT, STATE
from dev.bootstrap import SUPPORTED, ministack_environment, other_pythons, wheel_environment
from dev.layer import wheels
from dev.stage import HEARTBEAT, command_line, say

EVERYWHERE = ("tests/unit", "tests/moto", "tests/local", "tests/simulation")
"""Tests that need nothing but Python, run on each; the rest runs on this one."""

BROWSER = "tests/browser"
"""Tests in the machine's Chromium, on this Python: no other changes what a browser shows."""

EACH_PROCESSOR = ("--numprocesses=auto", "--maxprocesses=4")

BY_FILE = "--dist=loadfile"
"""A file stays in one process: what it counts and prints at its end is whole."""

EVENLY = "--dist=worksteal"

THREE_AT_ONCE = ("--numprocesses=3", BY_FILE)
"""The emulator's tests, on any machine: they wait most of the time, each worker for its own emulator."""

BESIDE = 10
"""How much the fast tests give way (`nice`) to the emulator's, which have clocks to keep to."""

FEW = {"FLUXIO_SCHEDULES": "100", "FLUXIO_MATRIX": "few"}
"""The simulation is the same on each Python: a few cases show that it runs, the rest run on this one."""

WITHOUT_ONCE = ("-m", "not once")
"""What other Pythons leave out: tests of things that no Python changes (marker in pyproject.toml)."""


def main(arguments: list[str]) -> None:
    ministack_environment()
    here = Path(sys.executable)

    say("\ntests on this Python: the benchmarks, which want the machine for themselves")
    _must_pass(here, ["tests/benchmarks", *arguments])
    with _beside(here, ["tests/emulator", *THREE_AT_ONCE, *arguments], "test-emulator"):
        say("\ntests on this Python: what needs nothing else (the emulator's tests run beside)")
        _must_pass(
            here, [*EVERYWHERE, BROWSER, *EACH_PROCESSOR, BY_FILE, *arguments], give_way=BESIDE
        )
        _say_what_is_missing(other_pythons())
        for version, interpreter in other_pythons().items():
            python = wheel_environment(version, interpreter, wheels())
            say(f"\ntests on Python {version} with the built wheels")
            selection = [*EVERYWHERE, *EACH_PROCESSOR, EVENLY, *WITHOUT_ONCE, *arguments]
            _must_pass(python, selection, FEW, give_way=BESIDE)
        say("\ntests on this Python: the emulator, until they end")


def _say_what_is_missing(found: Collection[str]) -> None:
    here = "{}.{}".format(*sys.version_info[:2])
    if missing := [version for version in SUPPORTED if version not in {*found, here}]:
        say(f"not on this machine, so not tested: Python {', '.join(missing)}")


def _must_pass(
    python: Path, arguments: list[str], settings: Mapping[str, str] = {}, give_way: int = 0
) -> None:
    """pytest in the foreground; its failure is ours."""
    process = subprocess.Popen(
        ["nice", "-n", str(give_way), python, "-m", "pytest", *arguments],
        cwd=ROOT,
        env={**os.environ, **settings},
    )
    try:
        code = process.wait()
    except BaseException:
        _end(process)
        raise
    if code:
        sys.exit(code)


@contextmanager
def _beside(python: Path, arguments: list[str], name: str) -> Iterator[None]:
    """pytest in the background. At the end its output is shown, and its failure is ours."""
    log = STATE / "log" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [python, "-m", "pytest", "--color=no", *arguments],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    started = time.monotonic()
    try:
        yield
        while True:
            try:
                process.wait(HEARTBEAT)
                break
            except subprocess.TimeoutExpired:
                say(f"  … {time.monotonic() - started:.0f} s since they began")
    except BaseException:
        _end(process)
        raise
    with log.open("rb") as written:
        shutil.copyfileobj(written, sys.stdout.buffer)
    sys.stdout.flush()
    if process.returncode:
        sys.exit(process.returncode)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ctrl-C reaches pytest too; whoever ends only us ends it by this. It is given time to clean up."""
    process.terminate()
    process.wait()


if __name__ == "__main__":
    command_line(main)
