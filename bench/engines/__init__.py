"""The engines that can be measured: one file each."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from dev.emulator import Emulator

FUNCTIONS = Path(__file__).resolve().parent.parent / "functions"

#: Seconds between two looks at a run that was started: each look takes the emulator's time from the run.
LOOK = 0.005

#: The emulator checks no rights here.
ROLE = "arn:aws:iam::000000000000:role/bench"

#: Of the rivals' functions. The emulator gives each of them the whole machine, whatever its memory.
FUNCTION: dict[str, Any] = {"Timeout": 60, "MemorySize": 512}


class Engine(Protocol):
    """One engine, deployed with all workflows of `bench.package.workflows`."""

    @property
    def version(self) -> str:
        """Of what is measured."""

    def run(self, workflow: str) -> None:
        """Start a run of a workflow, and return as soon as its end is seen.

        Raises:
            NotSucceeded: it ended, but not well.
        """


class Site(NamedTuple):
    """Where engines are deployed."""

    emulator: Emulator
    #: A folder for what a deployment keeps, removed at the end.
    work: Path
    #: The Python of the environment that holds rivals' packages (requirements.txt).
    rivals: Path
    #: Lambda and Step Functions, by boto3's names, without retries: a call that fails is to be seen.
    clients: dict[str, Any]


class NotSucceeded(Exception):
    """A run ended otherwise than was expected, so its time means nothing."""


def zipped(source: Path, packages: Iterable[Path] = ()) -> bytes:
    """A Lambda function's code: one module, with packages beside it."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(source, source.name)
        for package in packages:
            for path in sorted(package.rglob("*.py")):
                archive.write(path, path.relative_to(package.parent))
    return made.getvalue()
