"""`fluxio dev` itself: it holds the socket, looks at the files, and starts the process again."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from fluxio.local import endpoint, state, watch
from fluxio.local.options import Options
from fluxio.local.process import INTERRUPTED, UNUSABLE
from fluxio_protocol.errors import InvalidInput, SettingError

#: Seconds between two looks at the files; in a large folder, so many times what a look takes.
LOOK, LOOKS = 0.3, 20

#: A process that ends by itself within so many seconds is not started again before a file has changed.
AT_ONCE = 5.0


def serve(options: Options, say: Callable[[str], object], reset: bool = False) -> int:
    """Run until Ctrl-C; returns the exit code.

    Args:
        options: what was asked for.
        say: takes a line for the person at the terminal.
        reset: whether to begin with an empty state.

    Raises:
        InvalidInput: there is no such folder.
        SettingError: the port is taken.
    """
    if not options.folder.is_dir():
        raise InvalidInput(f"{options.folder} is no folder.")
    if reset:
        state.remove(options.state)
    try:
        listening = endpoint.listen(options.port)
    except OSError as error:
        raise SettingError(
            f"port {options.port} of 127.0.0.1 cannot be listened on ({error.strerror}): another `fluxio dev` "
            "may have it. End that, or choose another with --port."
        ) from None
    with listening, _terminal_as_it_was():
        return _Supervisor(options, listening, say).run()


class _Supervisor:
    def __init__(
        self, options: Options, listening: socket.socket, say: Callable[[str], object]
    ) -> None:
        self._options = options
        self._listening = listening
        self._say = say
        self._process: subprocess.Popen[bytes] | None = None
        self._ending: int | None = None  # the signal that ends it
        #: The process ends when this end of the pipe is closed: with this process, however that ends.
        self._read_end, self._write_end = os.pipe()

    def run(self) -> int:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._end)
        first = True
        while not self._is_ending():
            seen = watch.snapshot(self._options.folder)
            began = time.monotonic()
            process = self._begin(first)
            first = False
            changed = self._watch(process, seen)
            if self._is_ending():
                break
            if changed:
                self._say(f"changed: {', '.join(changed[:3])}; restarting")
                process.terminate()
                self._await(process)
                continue
            code = process.returncode
            if code in (UNUSABLE, INTERRUPTED):
                return code if code == INTERRUPTED else 2
            ended = f"by signal {-code}" if code < 0 else f"with exit code {code}"
            self._say(f"the process ended {ended}, as a worker on Lambda may")
            if time.monotonic() - began < AT_ONCE:
                self._say("it had only just begun: waiting for a change of a file")
                while not self._is_ending() and not self._changes(seen):
                    time.sleep(LOOK)
        with suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()
        process.wait()
        return 128 + (self._ending or 0)

    def _begin(self, first: bool) -> subprocess.Popen[bytes]:
        given = {
            "options": self._options.to_json(),
            "socket": self._listening.fileno(),
            "parent": self._read_end,
            "first": first,
        }
        # Bytecode goes by whole seconds: a file that is changed twice in one would be taken for the old one.
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "fluxio.local.process", json.dumps(given)],
            env=environment,
            pass_fds=(self._listening.fileno(), self._read_end),
        )
        return self._process

    def _watch(self, process: subprocess.Popen[bytes], seen: watch.Snapshot) -> list[str]:
        """Wait until a file has changed, the process has ended, or this one is to end."""
        pause = LOOK
        while process.poll() is None and not self._is_ending():
            try:
                process.wait(pause)
            except subprocess.TimeoutExpired:
                began = time.monotonic()
                if changed := self._changes(seen):
                    return changed
                pause = max(LOOK, LOOKS * (time.monotonic() - began))
        return []

    def _changes(self, seen: watch.Snapshot) -> list[str]:
        return watch.changes(seen, watch.snapshot(self._options.folder))

    def _await(self, process: subprocess.Popen[bytes]) -> None:
        """Wait for the end of a process that was asked to end; somebody may sit at a debugger's prompt."""
        while process.poll() is None and not self._is_ending():
            with suppress(subprocess.TimeoutExpired):
                process.wait(LOOK)

    def _is_ending(self) -> bool:
        return self._ending is not None

    def _end(self, number: int, _: Any) -> None:
        self._ending = number
        if self._process is not None:
            # Ctrl-C reaches both; who ends this one alone means both.
            with suppress(OSError):
                self._process.send_signal(signal.SIGINT)


class _terminal_as_it_was:  # noqa: N801 - a context manager
    """A debugger that is ended at its prompt leaves the terminal without echo."""

    def __enter__(self) -> None:
        self._kept: list[Any] | None = None
        with suppress(Exception):
            import termios

            self._kept = termios.tcgetattr(sys.stdin.fileno())

    def __exit__(self, *_: object) -> None:
        if self._kept is not None:
            with suppress(Exception):
                import termios

                termios.tcsetattr(sys.stdin.fileno(), termios.TCSADRAIN, self._kept)
