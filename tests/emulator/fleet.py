"""Worker processes that are killed, frozen and replaced."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

from tests.emulator import worker_process

SCRIPT = Path(worker_process.__file__)


@dataclass
class Member:
    """A place in the fleet, and the process that fills it now."""

    arguments: Sequence[str]
    process: subprocess.Popen[bytes]
    thaw_at: float | None = None


class Fleet:
    """Keeps as many processes alive as it was given, whatever it does to them itself.

    Args:
        members: the arguments of each process, see `worker_process`.
        environment: the environment of the next process to start.
        folder: where they write their log, and say that they are at work.
    """

    def __init__(
        self,
        members: Sequence[Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        folder: Path,
    ) -> None:
        self._environment = environment
        self._at_work = folder / "at-work"
        self._at_work.mkdir()
        self._log_path = folder / "log"
        self._log = self._log_path.open("ab")
        self.kills = self.freezes = self.timeouts = 0
        self._members: list[Member] = []
        for arguments in members:
            self._members.append(Member(arguments, self._start(arguments)))

    @property
    def log(self) -> str:
        """What all of them have written so far."""
        return self._log_path.read_text(errors="replace")

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments, "--at-work", self._at_work],
            env=dict(self._environment()),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self, random: Random) -> None:
        """End a process without warning, at whatever it is, and put another one in its place."""
        if (member := self._pick(random)) is None:
            return
        member.process.kill()
        member.process.wait()
        self.kills += 1
        self._replace(member)

    def freeze(self, random: Random, seconds: float) -> None:
        """Let a process stand still, as a paused machine does: it goes on with what it took for true."""
        if (member := self._pick(random)) is None:
            return
        os.kill(member.process.pid, signal.SIGSTOP)
        member.thaw_at = time.monotonic() + seconds
        self.freezes += 1

    def _pick(self, random: Random) -> Member | None:
        """One that has begun to work; whoever strikes the newborn strikes nothing but the fleet's pace."""
        self.tend()
        grown = [
            member
            for member in self._members
            if member.thaw_at is None and (self._at_work / str(member.process.pid)).exists()
        ]
        return random.choice(grown) if grown else None

    def tend(self) -> None:
        """Thaw those whose time is over, and replace those that came to the end of their function's."""
        for member in self._members:
            if member.thaw_at is not None and member.thaw_at <= time.monotonic():
                os.kill(member.process.pid, signal.SIGCONT)
                member.thaw_at = None
            code = member.process.poll()
            if code == worker_process.TIMED_OUT:
                self.timeouts += 1
                self._replace(member)
            elif code is not None:
                raise AssertionError(f"a process ended by itself ({code}):\n{self.log[-4000:]}")

    def _replace(self, member: Member) -> None:
        member.process = self._start(member.arguments)

    def close(self) -> None:
        for member in self._members:
            member.process.kill()
            member.process.wait()
        self._log.close()
