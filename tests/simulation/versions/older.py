"""The version of fluxio before this one, as a test may use it.

Its sources lie beside this file as an archive, so that the tests need no history: a shallow clone, as in CI,
and an unpacked source archive have none. They are those of the last commit before the run item's form changed:

    git archive af0a3af client layer modules VERSION | xz -9e > tests/simulation/versions/older.tar.xz
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from dev import ROOT

COMMIT = "af0a3af"
FOLDERS = ("client", "layer", "modules", "VERSION")
ARCHIVE = Path(__file__).with_name("older.tar.xz")

#: Answers what the older process asks for: its name and arguments.
Answer = Callable[[str, dict[str, Any]], Any]


class OlderRaised(Exception):
    """The older version has raised an exception, of the type `kind`."""

    def __init__(self, kind: str, message: str) -> None:
        self.kind = kind
        super().__init__(f"{kind}: {message}")


class OlderDied(Exception):
    """The older worker was ended in the middle of what it was asked for."""


def files(tar: IO[bytes] | None = None) -> Iterator[tuple[str, bytes]]:
    """The files of the older version by their paths in the repository; or those of another archive."""
    with tarfile.open(fileobj=tar) if tar else tarfile.open(ARCHIVE) as archive:
        for member in archive:
            if member.isfile():
                content = archive.extractfile(member)
                assert content is not None
                yield member.name, content.read()


def unpack(folder: Path) -> None:
    """Write the files of the older version."""
    for name, content in files():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


class OlderProcess:
    """A process with the older version, idle until it is asked for something."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def ask(
        self,
        do: str,
        arguments: dict[str, Any],
        now: Callable[[], int],
        answer: Answer,
        hear: Callable[[dict[str, Any]], None],
    ) -> Any:
        """Have something done there.

        Args:
            do: what; the arguments are those of the method of `older_process.Older`.
            arguments: its arguments.
            now: the time, in milliseconds since 1970.
            answer: answers what it asks for meanwhile; an exception that has `response` goes there, `OlderDied`
                ends what it does.
            hear: takes in what it logs.

        Raises:
            OlderRaised: it has raised an exception.
            OlderDied: it was ended.
        """
        self._say({"do": do, "arguments": arguments, "now": now()})
        while True:
            said = self._hear()
            if "log" in said:
                hear(said["log"])
            elif "ask" in said:
                self._say({**_answered(answer, said), "now": now()})
            elif "raised" in said:
                raise OlderRaised(*said["raised"])
            elif "died" in said:
                raise OlderDied
            else:
                return said["done"]

    def _say(self, parts: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(parts) + "\n")
        self._process.stdin.flush()

    def _hear(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the process of the older version has ended; its stderr says why"
        said: dict[str, Any] = json.loads(line)
        return said


def _answered(answer: Answer, said: dict[str, Any]) -> dict[str, Any]:
    try:
        return {"answer": answer(said["ask"], said["arguments"])}
    except OlderDied:
        return {"dies": True}
    except Exception as error:
        response = getattr(error, "response", None)
        if response is None:
            raise
        return {"refused": {k: v for k, v in response.items() if k != "ResponseMetadata"}}


@contextmanager
def running(folder: Path) -> Iterator[OlderProcess]:
    """A process whose fluxio is that of an unpacked older version, with this Python and its other packages."""
    sources = [folder / "client" / "src", folder / "layer" / "src", ROOT]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(map(str, sources)),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.versions.older_process"],
        cwd=folder,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )
    try:
        older = OlderProcess(process)
        where = older._hear()["done"]
        assert where == str(folder / "layer" / "src" / "fluxio"), where
        yield older
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(10)
