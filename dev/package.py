"""Zip files for Lambda that are byte-identical whenever their contents are.

    python -m dev.package <folder> <zip> <name> [<name> …]

Terraform sees a change of a zip by its hash. So that nothing but a change of code is one, entries
are sorted and have one fixed date and mode, and what Python leaves beside code stays out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.stage import DevError, command_line, say

DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold."""


def package(folder: Path, target: Path, names: Sequence[str]) -> Path:
    """Put the named files and folders of `folder` at the root of the zip `target`."""
    contents: dict[str, bytes] = {}
    for name in names:
        top = folder / name
        if not top.exists():
            raise DevError(f"{top} does not exist, so it cannot be packaged.")
        for path in [top] if top.is_file() else top.rglob("*"):
            inside = path.relative_to(folder)
            left_over = path.suffix == ".pyc" or any(
                part == "__pycache__" or part.startswith(".") for part in inside.parts
            )
            if path.is_file() and not left_over:
                contents[inside.as_posix()] = path.read_bytes()
    write_zip(target, contents)
    return target


def write_zip(target: Path, contents: Mapping[str, bytes]) -> None:
    """Write the zip in one step: whoever reads `target` sees the old file or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built: Lambda reads the mode below
            entry.external_attr = 0o100644 << 16
            archive.writestr(entry, contents[name])
    unfinished.replace(target)


def main(arguments: list[str]) -> None:
    if len(arguments) < 3:
        raise DevError("say: python -m dev.package <folder> <zip> <name> [<name> …]")
    folder, target, *names = arguments
    say(f"packaged {package(Path(folder), Path(target), names)}")


if __name__ == "__main__":
    command_line(main)
