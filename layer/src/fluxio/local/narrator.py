"""What happens to the runs, line by line, for whoever sits before the terminal."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterable
from queue import SimpleQueue
from typing import Any

from fluxio.testing.dynamodb import Key
from fluxio_client.cli.printable import printable
from fluxio_protocol import layout
from fluxio_protocol.clock import now_ms
from fluxio_protocol.run import Failure, Run, RunStatus, Step, StepStatus

#: Lines of the engine's log that are about a step's own code, where it says the line of the file.
_RAISED = ("step raised", "step not begun", "transaction refused")

#: Lines that only say what the narrator tells from the run itself, with more.
_TOLD = ("run failed", "run parked", "run succeeded")

_Seen = tuple[RunStatus, dict[str, tuple[StepStatus, int]]]


class Narrator:
    """Tells what has changed.

    Args:
        read: the run of an id, as it stands.
        write: takes a line.
    """

    def __init__(
        self, read: Callable[[str], Run | None], write: Callable[[str], object] = sys.stdout.write
    ) -> None:
        self._read = read
        self._write = write
        #: Held by whatever writes to the terminal.
        self.terminal = threading.RLock()
        self._told: SimpleQueue[str | Key | threading.Event] = SimpleQueue()
        self._seen: dict[str, _Seen] = {}

    def begin(self, known: Iterable[str] = ()) -> None:
        """Tell of what changes from now on; of these runs, how they stand is known."""
        for run_id in known:
            self._changes(run_id)
        threading.Thread(target=self._tell, daemon=True).start()

    def say(self, text: str) -> None:
        """Write a line of its own."""
        self._told.put(text)

    def see(self, key: Key, _: Any = None) -> None:
        """Take in that an item was written."""
        self._told.put(key)

    def log(self, line: dict[str, Any]) -> None:
        """Take in a line of the engine's log."""
        message = str(line.get("message", ""))
        if message in _RAISED:
            for frame in line.get("frames", [])[-3:]:
                self.say(f"{' ' * 10}{line.get('step')} raised {line.get('error')} at {frame}")
        elif line.get("level") in ("WARN", "ERROR") and message not in _TOLD:
            more = " ".join(
                f"{name}={value}"
                for name, value in line.items()
                if name not in ("level", "message")
            )
            self.say(f"{_time()}  {message}  {more}")

    def finish(self, patience: float = 1.0) -> None:
        """Write what there is to be written."""
        done = threading.Event()
        self._told.put(done)
        done.wait(patience)

    def _tell(self) -> None:
        while True:
            told = self._told.get()
            if isinstance(told, threading.Event):
                told.set()
                continue
            lines = [told] if isinstance(told, str) else []
            if isinstance(told, tuple) and told[1] == layout.RUN:
                try:
                    lines = self._changes(told[0])
                except Exception as error:  # noqa: BLE001 - no run depends on what is told of it
                    lines = [f"{told[0]} cannot be shown: {type(error).__name__}: {error}"]
            with self.terminal:
                for line in lines:
                    self._write(f"{printable(line)}\n")
                sys.stdout.flush()

    def _changes(self, run_id: str) -> list[str]:
        run = self._read(run_id)
        if run is None:
            self._seen.pop(run_id, None)
            return []
        status: RunStatus | None = None
        steps: dict[str, tuple[StepStatus, int]] = {}
        if run_id in self._seen:
            status, steps = self._seen[run_id]
        now = {step.name: (step.status, step.attempt) for step in run.steps.values()}
        self._seen[run_id] = run.status, now
        lines = []
        changed = [
            step
            for step in run.steps.values()
            if (step.attempt or step.settled) and steps.get(step.name) != now[step.name]
        ]
        for step in sorted(changed, key=lambda step: step.started_at or 0):
            lines.append(self._line(run, step.name, _standing(step)))
        if status is not None and status != run.status and run.status is not RunStatus.RUNNING:
            lines.append(self._line(run, run.workflow, f"{run.status}{_because(run.error)}"))
        elif status is None and run.status is RunStatus.PENDING:
            lines.append(self._line(run, run.workflow, "started"))
        return lines

    def _line(self, run: Run, what: str, text: str) -> str:
        return f"{_time()}  {run.run_id}  {what:18}  {text}"


def _standing(step: Step) -> str:
    if step.status is StepStatus.RUNNING:
        return f"attempt {step.attempt} …"
    if step.status is StepStatus.PENDING:
        wait = max(0, (step.not_before or 0) - now_ms()) / 1000
        if step.error is None:
            return f"round {step.round} in {wait:.1f} s"
        return f"attempt {step.attempt} FAILED{_because(step.error)}; tries again in {wait:.1f} s"
    if step.status is StepStatus.FAILED:
        handled = ", which is handled" if step.handled else ""
        return f"attempt {step.attempt} FAILED{_because(step.error)}{handled}"
    return str(step.status)


def _because(error: Failure | None) -> str:
    return f" ({error.type}: {' '.join(error.message.split())})" if error else ""


def _time() -> str:
    return time.strftime("%H:%M:%S")
