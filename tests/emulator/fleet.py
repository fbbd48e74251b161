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
    #: When it is struck next; None until it is seen at work.
    strike_at: float | None = None
    #: When it goes on; None unless it is frozen.
    thaw_at: float | None = None


class Fleet:
    """Keeps as many processes alive as it was given, while it kills and freezes them at random.

    A process is struck some seconds after it has begun to work: whoever strikes the newborn strikes nothing
    but the fleet's pace. After so many strikes the fleet is left in peace, or a machine that is busy with other
    things, where a process does little in those seconds, would never see the end.

    Args:
        members: the arguments of each process, see `worker_process`.
        environment: the environment of the next process to start.
        folder: where they write their log, and say that they are at work.
        random: who is struck when, and how.
        strikes: how many kills and freezes in all.
        life: seconds from a process's beginning or thawing to the next strike, from and to.
        freeze: seconds a process stands still, as a paused machine does; then it goes on with what it took
            for true. From and to.
    """

    def __init__(
        self,
        members: Sequence[Sequence[str]],
        environment: Callable[[], Mapping[str, str]],
        folder: Path,
        random: Random,
        strikes: int,
        life: tuple[float, float],
        freeze: tuple[float, float],
    ) -> None:
        self._environment = environment
        self._random, self._life, self._freeze = random, life, freeze
        self._strikes_left = strikes
        self._at_work = folder / "at-work"
        self._at_work.mkdir()
        self._log_path = folder / "log"
        self._log = self._log_path.open("ab")
        self.kills = self.freezes = self.stops = self.timeouts = 0
        self._members = [Member(arguments, self._start(arguments)) for arguments in members]

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

    def leave_in_peace(self) -> None:
        """Strike no more."""
        self._strikes_left = 0

    def tend(self) -> None:
        """Do what is due: strike, thaw, and put a new process where one has come to its function's end."""
        now = time.monotonic()
        for member in self._members:
            code = member.process.poll()
            if code == worker_process.TIMED_OUT:
                self.timeouts += 1
                self._replace(member)
            elif code is not None:
                raise AssertionError(f"a process ended by itself ({code}):\n{self.log[-4000:]}")
            elif member.thaw_at is not None:
                if member.thaw_at <= now:
                    os.kill(member.process.pid, signal.SIGCONT)
                    member.thaw_at = member.strike_at = None
            elif self._has_stopped(member):
                self._stand_still(member, now)
                self.stops += 1
            elif member.strike_at is None:
                if (self._at_work / str(member.process.pid)).exists():
                    member.strike_at = now + self._random.uniform(*self._life)
            elif self._strikes_left and member.strike_at <= now:
                self._strike(member, now)

    def _strike(self, member: Member, now: float) -> None:
        self._strikes_left -= 1
        if self._random.random() < 0.75:
            member.process.kill()
            member.process.wait()
            self.kills += 1
            self._replace(member)
        else:
            os.kill(member.process.pid, signal.SIGSTOP)
            self._stand_still(member, now)
            self.freezes += 1

    def _has_stopped(self, member: Member) -> bool:
        """Whether the process has stopped itself; see `worker_process.stop_before_transactions`."""
        said = self._at_work / f"{member.process.pid}.stopped"
        if not said.exists():
            return False
        said.unlink()
        return True

    def _stand_still(self, member: Member, now: float) -> None:
        member.thaw_at = now + self._random.uniform(*self._freeze)

    def _replace(self, member: Member) -> None:
        member.process = self._start(member.arguments)
        member.strike_at = member.thaw_at = None

    def close(self) -> None:
        for member in self._members:
            member.process.kill()
            member.process.wait()
        self._log.close()
