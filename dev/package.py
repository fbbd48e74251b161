"""The zips of demo and tests: named files and folders, packed as `fluxio package` packs.

    python -m dev.package <folder> <zip> <name> [<name> …]

The workflows are not imported here; that is what `fluxio package` does besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dev.stage import DevError, command_line, say
from fluxio_client.cli.archive import read_folder, write_zip
from fluxio_protocol.errors import FluxioError


def package(folder: Path, target: Path, names: Sequence[str]) -> Path:
    """Put the named files and folders of `folder` at the root of the zip `target`."""
    try:
        write_zip(target, read_folder(folder, names))
    except FluxioError as error:
        raise DevError(str(error)) from None
    return target


def main(arguments: list[str]) -> None:
    if len(arguments) < 3:
        raise DevError("say: python -m dev.package <folder> <zip> <name> [<name> …]")
    folder, target, *names = arguments
    say(f"packaged {package(Path(folder), Path(target), names)}")


if __name__ == "__main__":
    command_line(main)
