"""What the engine needs of its process, and holds for itself: a step may change it for everybody.

Steps run in the worker's own process. One may close stderr, empty the environment, lower the recursion limit
or turn warnings into errors, and the worker goes on with other steps and other runs. So what the engine needs
is taken when the worker is made (`hold`), and what a step has left behind is put right after each attempt
(`restore`).
"""

from __future__ import annotations

import gc
import logging
import os
import select
import sys
import threading
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

#: Loggers whose DEBUG lines hold what is sent to AWS, and with it inputs and outputs.
_CHATTY = ("boto3", "botocore", "urllib3")

#: Seconds that a line waits for a reader, if the descriptor is one that does not wait by itself.
_PATIENCE = 1.0


class _Descriptor:
    """A duplicate of the engine's own of a standard descriptor: the same file, whatever becomes of that one."""

    def __init__(self, standard: int) -> None:
        self._standard = standard
        self._lock = threading.Lock()
        self._own: int | None = None
        with suppress(OSError):  # the process may have none
            self._file = _file(standard)
            self._own = os.dup(standard)

    def write(self, text: str) -> None:
        """Write a line as a whole, or leave it."""
        # In a child process the lock may be that of a thread which is not there any more.
        held = self._lock.acquire(timeout=_PATIENCE)
        try:
            left = memoryview(text.encode("utf-8", "backslashreplace"))
            own = self._found()
            while own is not None and left:
                try:
                    left = left[os.write(own, left) :]
                except BlockingIOError:
                    if not select.select([], [own], [], _PATIENCE)[1]:
                        return
        finally:
            if held:
                self._lock.release()

    def reopen(self) -> None:
        """If the standard descriptor was closed, open it again: else the next connection gets its number."""
        try:
            os.fstat(self._standard)
        except OSError:
            own = self._found()
            if own is not None:
                os.dup2(own, self._standard)

    def close(self) -> None:
        """Give the duplicate back."""
        if self._own is not None and self._is_its(self._own):
            os.close(self._own)
        self._own = None

    def _found(self) -> int | None:
        """The duplicate; a new one if it was closed, as daemons close every descriptor that they know of."""
        if self._own is not None and not self._is_its(self._own):
            self._own = os.dup(self._standard) if self._is_its(self._standard) else None
        return self._own

    def _is_its(self, descriptor: int) -> bool:
        try:
            return _file(descriptor) == self._file
        except OSError:
            return False


def _file(descriptor: int) -> tuple[int, int]:
    status = os.fstat(descriptor)
    return status.st_dev, status.st_ino


class _Process:
    """The process as it was when the worker was made."""

    def __init__(self) -> None:
        self.streams = {name: _Descriptor(number) for name, number in _STREAMS.items()}
        self.environment: Mapping[str, str] = dict(os.environ)
        self.recursion_limit = sys.getrecursionlimit()
        self.error_filters = [one for one in warnings.filters if one[0] == "error"]

    def close(self) -> None:
        """Give back what it holds."""
        for descriptor in self.streams.values():
            descriptor.close()


_STREAMS = {"stdin": 0, "stdout": 1, "stderr": 2}

#: None until a worker is made: importing the engine changes nothing of a process.
_held: _Process | None = None


def hold() -> None:
    """Take the process as it is now for what it is to be."""
    global _held
    if _held:
        _held.close()
    _held = _Process()
    _quieten()


@contextmanager
def lent() -> Iterator[None]:
    """Workers are made in a process of somebody else's, such as a test's: nothing is held of it afterwards."""
    before = _swap(None)
    try:
        yield
    finally:
        made = _swap(before)
        if made:
            made.close()


def _swap(held: _Process | None) -> _Process | None:
    global _held
    before, _held = _held, held
    return before


@contextmanager
def uncollected() -> Iterator[None]:
    """Make what lives as long as the process: the garbage collector neither runs nor looks at it later.

    botocore's clients are some 70,000 objects. Without this, collections go through them while they are made,
    and once more in the first invocation: a tenth of a cold start, in which nothing is found. What is in memory
    already is excluded from later collections as well (`gc.freeze`). Afterwards the collector is on if it was.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()


def environment(name: str, default: str = "") -> str:
    """A variable of the environment, as it was when the worker was made."""
    return (_held.environment if _held else os.environ).get(name, default)


def write_stderr(text: str) -> None:
    """Write to what stderr was when the worker was made.

    Raises:
        Exception: whatever the stream raises, where no worker was made.
    """
    if _held:
        _held.streams["stderr"].write(text)
    else:
        sys.stderr.write(text)


def restore() -> None:
    """Put right what a step has left behind that would be in the way of other steps, or of the engine."""
    if _held:
        for repair in (_reopen, _restream, _limit, _forgive):
            with suppress(Exception):
                repair(_held)
        _quieten()


def _reopen(held: _Process) -> None:
    for descriptor in held.streams.values():
        descriptor.reopen()


def _restream(_: _Process) -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name, None)
        with suppress(Exception):  # a stream of the step's may not even say whether it is closed
            if stream is None or stream.closed:
                opened = open(_STREAMS[name], "w", 1, "utf-8", "replace", closefd=False)  # noqa: SIM115
                setattr(sys, name, opened)


def _limit(held: _Process) -> None:
    if sys.getrecursionlimit() < held.recursion_limit:
        sys.setrecursionlimit(held.recursion_limit)


def _forgive(held: _Process) -> None:
    """Let no warning be an error that was none before: boto3 and Python itself may warn at any call."""
    warnings.filters[:] = [  # type: ignore[index]
        one for one in warnings.filters if one[0] != "error" or one in held.error_filters
    ]


def _quieten() -> None:
    for name in _CHATTY:
        logger = logging.getLogger(name)
        if logger.level < logging.INFO:
            logger.setLevel(max(logging.INFO, logger.getEffectiveLevel()))


def end_child(code: int) -> None:
    """End this process, a child that a step has forked, without what is the parent's at exit."""
    for name in ("stdout", "stderr"):
        with suppress(BaseException):
            getattr(sys, name).flush()
    os._exit(code)
