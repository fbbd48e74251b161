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
        log: where all of them write.
    """

    def __init__(
        self,
        members: Sequence[Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        log: Path,
    ) -> None:
        self._environment = environment
        self._log_path = log
        self._log = log.open("ab")
        self.kills = self.freezes = self.timeouts = 0
        self._members: list[Member] = []
        for arguments in members:
            self._members.append(Member(arguments, self._start(arguments)))

    def _start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, SCRIPT, *arguments],
            env=dict(self._environment()),
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
        )

    def kill(self, random: Random) -> None:
        """End a process without warning, at whatever it is, and put another one in its place."""
        member = random.choice(self._members)
        if self._replace_if_ended(member):
            return
        member.process.kill()
        member.process.wait()
        self.kills += 1
        self._replace(member)

    def freeze(self, random: Random, seconds: float) -> None:
        """Let a process stand still, as a paused machine does: it goes on with what it took for true."""
        member = random.choice(self._members)
        if member.thaw_at is not None or self._replace_if_ended(member):
            return
        os.kill(member.process.pid, signal.SIGSTOP)
        member.thaw_at = time.monotonic() + seconds
        self.freezes += 1

    def tend(self) -> None:
        """Thaw those whose time is over, and replace those that came to the end of their function's."""
        for member in self._members:
            if member.thaw_at is not None and member.thaw_at <= time.monotonic():
                os.kill(member.process.pid, signal.SIGCONT)
                member.thaw_at = None
            self._replace_if_ended(member)

    def _replace_if_ended(self, member: Member) -> bool:
        code = member.process.poll()
        if code is None:
            return False
        if code != worker_process.TIMED_OUT:
            end = self._log_path.read_text(errors="replace")[-4000:]
            raise AssertionError(f"a worker ended by itself (exit {code}):\n{end}")
        self.timeouts += 1
        self._replace(member)
        return True

    def _replace(self, member: Member) -> None:
        member.process = self._start(member.arguments)
        member.thaw_at = None

    def close(self) -> None:
        for member in self._members:
            member.process.kill()
            member.process.wait()
        self._log.close()
