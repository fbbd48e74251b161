"""The tests: on every other supported Python of this machine what is fast, then here everything.

    .venv/bin/python -m dev.test [arguments of pytest]

The other Pythons get the built wheels. The last lines are pytest's own summary of the full run, or
of the first run that failed.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from dev import ROOT
from dev.bootstrap import SUPPORTED, interpreters, ministack_environment, wheel_environment
from dev.layer import wheels
from dev.stage import command_line, say

EVERYWHERE = ("tests/unit", "tests/moto", "tests/simulation")
"""Tests that need nothing but Python, run on each; the rest runs on this one."""

SIDE_BY_SIDE = ("--numprocesses=auto", "--maxprocesses=4", "--dist=loadfile")
"""A processor each. The emulator's tests wait for most of their time, and two files of them wait together."""


FEW = {"FLUXIO_SCHEDULES": "300", "FLUXIO_MATRIX": "few"}
"""The simulation is the same on each Python: a few cases show that it runs, the rest run on this one."""


def on_other_pythons(arguments: list[str]) -> None:
    here = "{}.{}".format(*sys.version_info[:2])
    found = interpreters()
    if missing := [version for version in SUPPORTED if version not in found and version != here]:
        say(f"not on this machine, so not tested: Python {', '.join(missing)}")
    folders = [folder for folder in EVERYWHERE if (ROOT / folder).is_dir()]
    for version, interpreter in found.items():
        if version == here or not folders:
            continue
        python = wheel_environment(version, interpreter, wheels())
        say(f"\ntests on Python {version} with the built wheels")
        if code := _run_pytest(python, [*folders, *SIDE_BY_SIDE, *arguments], FEW):
            sys.exit(code)


def _run_pytest(python: Path, arguments: list[str], settings: Mapping[str, str] = {}) -> int:
    """pytest in the foreground. Ctrl-C reaches it too, and it is given the time to clean up."""
    process = subprocess.Popen(
        [python, "-m", "pytest", *arguments], cwd=ROOT, env={**os.environ, **settings}
    )
    try:
        return process.wait()
    except BaseException:
        process.terminate()
        process.wait()
        raise


def main(arguments: list[str]) -> None:
    ministack_environment()
    on_other_pythons(arguments)
    say("\ntests on this Python: what needs nothing else")
    if code := _run_pytest(Path(sys.executable), [*EVERYWHERE, *SIDE_BY_SIDE, *arguments]):
        sys.exit(code)
    say("\ntests on this Python: the benchmarks, which want the machine for themselves")
    if code := _run_pytest(Path(sys.executable), ["tests/benchmarks", *arguments]):
        sys.exit(code)
    say("\ntests on this Python: the emulator")
    rest = ["tests/emulator", *SIDE_BY_SIDE, *arguments]
    # pytest takes this process's place, so that signals and the exit status are its own.
    os.chdir(ROOT)
    os.execv(sys.executable, [sys.executable, "-m", "pytest", *rest])


if __name__ == "__main__":
    command_line(main)
