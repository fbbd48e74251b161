"""The script's entry: it only asks whether the command's own packages are there."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from typing import NoReturn

from fluxio_client.cli.exits import ExitCode

NEEDED = ("typer", "rich")


def main() -> NoReturn:
    """Run the command and end the process with its exit code."""
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        sys.stderr.write(
            f"error: the command needs {' and '.join(missing)}, which this Python lacks: "
            'pip install "fluxio-client[cli]"\n'
        )
        sys.exit(ExitCode.ERROR)
    from fluxio_client.cli.app import run

    sys.exit(run())
