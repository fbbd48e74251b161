"""Long stages that show that they are alive, and errors that say what to do.

A stage is one child process in a process group of its own: an interrupt ends the whole group, also
the grandchildren that pip or Terraform started, and only then this process.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NoReturn

from dev import ROOT

HEARTBEAT = 10.0
"""Seconds of silence after which a stage says that it is still at work."""


class DevError(Exception):
    """A failure that the reader can mend: the message names the place and the remedy."""


def say(text: str) -> None:
    """Print at once, also into a pipe, so that a log shows where time goes."""
    print(text, flush=True)


def run(
    label: str,
    command: Sequence[str | Path],
    *,
    log: Path,
    remedy: str = "",
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
) -> None:
    """Run `command` with its output in `log`; show its last lines if it fails."""
    started = time.monotonic()
    say(f"{label} …")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    process.wait(HEARTBEAT)
                    break
                except subprocess.TimeoutExpired:
                    say(f"  … {time.monotonic() - started:.0f} s: {label}")
        except BaseException:
            end_group(process)
            raise
    if process.returncode:
        raise DevError(
            f"{label}: failed (exit {process.returncode}). {remedy}".rstrip()
            + f"\nThe last lines of {log}:\n{tail(log)}"
        )
    say(f"  done in {time.monotonic() - started:.1f} s: {label}")


def tail(log: Path, lines: int = 25) -> str:
    """The end of a log file, indented, for an error message."""
    with log.open(errors="replace") as text:
        return "".join(f"    {line}" for line in deque(text, lines)).rstrip()


def end_group(
    process: subprocess.Popen[bytes] | subprocess.Popen[str],
    first: signal.Signals = signal.SIGTERM,
    patience: float = 5.0,
) -> None:
    """End a child that leads its own process group, politely first, and all that it started."""
    if process.poll() is None:
        os.killpg(process.pid, first)
        with suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    with suppress(ProcessLookupError):  # the usual case: nobody is left in the group
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


@contextmanager
def interrupts() -> Iterator[None]:
    """Let a TERM and a closed terminal end this process as Ctrl-C does: by way of its clean-up."""

    def interrupt(number: int, _frame: object) -> NoReturn:
        raise KeyboardInterrupt(signal.Signals(number).name)

    before = {
        number: signal.signal(number, interrupt) for number in (signal.SIGTERM, signal.SIGHUP)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def command_line(main: Callable[[list[str]], None]) -> NoReturn:
    """Run a module's `main` as a command, with one clean line for a failure."""
    try:
        with interrupts():
            main(sys.argv[1:])
    except DevError as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
    sys.exit(0)
