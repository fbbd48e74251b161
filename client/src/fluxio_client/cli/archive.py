"""Zip files for Lambda that are byte-identical whenever their contents are.

Terraform sees a change of a zip by its hash. So that nothing but a change of code is one, entries are
sorted and have one fixed date, and a mode that says no more than whether a file can be executed; what
Python, editors and version control leave beside code stays out.
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from typing import NamedTuple

DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold."""

HIDDEN_CODE = {".libs", ".dylibs"}
"""Hidden folders that are part of a package: shared libraries that a wheel brings."""


class File(NamedTuple):
    """A file of a zip."""

    content: bytes
    executable: bool = False


def read_folder(folder: Path, names: Sequence[str] | None = None) -> dict[str, File]:
    """The files of a folder by their path in it; with `names`, only of these files and folders.

    Raises:
        FileNotFoundError: the folder, or one of the names in it, does not exist.
    """
    found: dict[str, File] = {}
    for top in [folder] if names is None else [folder / name for name in names]:
        if not top.exists():
            raise FileNotFoundError(f"{top} does not exist, so it cannot be packaged.")
        for path in [top] if top.is_file() else top.rglob("*"):
            inside = path.relative_to(folder)
            if path.is_file() and not _is_left_over(inside):
                executable = bool(path.stat().st_mode & 0o100)
                found[inside.as_posix()] = File(path.read_bytes(), executable)
    return found


def _is_left_over(path: PurePath) -> bool:
    return path.suffix == ".pyc" or any(
        part == "__pycache__" or (part.startswith(".") and part not in HIDDEN_CODE)
        for part in path.parts
    )


def write_zip(target: Path, contents: Mapping[str, bytes | File]) -> None:
    """Write the zip in one step: whoever reads `target` sees the old file or the whole new one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f"{target.name}.part")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            content = contents[name]
            file = File(content) if isinstance(content, bytes) else content
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built: Lambda reads the mode below
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            archive.writestr(entry, file.content)
    unfinished.replace(target)
