"""Zip files for Lambda that are byte-identical whenever their contents are.

Terraform sees a change of a zip by its hash. So that nothing but a change of code is one, entries are
sorted and have one fixed date, and a mode that says no more than whether a file can be executed; what
Python, editors and version control leave beside code stays out.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePath
from typing import NamedTuple

from fluxio_protocol.errors import FluxioError, InvalidInput

DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can hold."""

HIDDEN_CODE = {".libs", ".dylibs"}
"""Hidden folders that are part of a package: shared libraries that a wheel brings."""

UNZIPPED_LIMIT = 262_144_000
"""Bytes that Lambda takes unzipped, code and layers together.
https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""


class Unpackable(FluxioError):
    """A file or folder cannot be put into a zip, or the zip cannot be written."""


class File(NamedTuple):
    """A file of a zip."""

    content: bytes
    executable: bool = False


class _Found(NamedTuple):
    """A file of a folder, or what stays out of the zip."""

    inside: PurePath
    path: Path
    status: os.stat_result | None
    """None for what stays out: it is not looked at."""


def read_folder(
    folder: Path, names: Sequence[str] | None = None, besides: Path | None = None
) -> dict[str, File]:
    """The files of a folder by their path in it; with `names`, only of these files and folders.

    A link is followed: the zip holds what it leads to.

    Args:
        folder: where they are.
        names: files and folders in it; None for all of them.
        besides: a file to pass over: the zip itself, where it is written into the folder.

    Raises:
        InvalidInput: the folder, or one of the names in it, does not exist.
        Unpackable: a file that no zip can hold or that cannot be read, a link that leads nowhere or in a
            circle, or more than Lambda takes.
    """
    chosen: dict[str, tuple[Path, os.stat_result]] = {}
    size = 0
    for inside, path, status in _walk(folder, names):
        if status is None or (besides and path.resolve() == besides.resolve()):
            continue
        name = inside.as_posix()
        if shown(name) != name:
            raise Unpackable(f"the name of {shown(path)} is not UTF-8. Rename it.")
        size += status.st_size if name not in chosen else 0
        if size > UNZIPPED_LIMIT:
            raise Unpackable(
                f"{shown(folder)} has more than the {UNZIPPED_LIMIT:,} bytes that Lambda takes unzipped, "
                f"code and layers together; the last of them is {shown(path)} with {status.st_size:,}. Leave "
                "files out, or take only some of them with --only."
            )
        chosen[name] = (path, status)
    return {
        name: File(_read(path), bool(status.st_mode & 0o100))
        for name, (path, status) in chosen.items()
    }


def left_out(folder: Path, names: Sequence[str] | None = None) -> list[str]:
    """What stays out of the zip besides Python's caches: hidden files and empty folders."""
    return sorted(
        shown(found.inside.as_posix()) + ("/" if found.path.is_dir() else "")
        for found in _walk(folder, names)
        if found.status is None and not _is_cache(found.inside, ())
    )


def shown(path: str | PurePath) -> str:
    """A path as text that any terminal and file can hold."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _walk(folder: Path, names: Sequence[str] | None) -> Iterator[_Found]:
    """All that there is below a folder, sorted, links followed."""
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "does not exist"
        raise InvalidInput(f"{shown(folder)} {problem}, so it cannot be packaged.")
    above = (_identity(_status(folder)),)
    for inside in [PurePath()] if names is None else map(_inside, names):
        path = folder / inside
        if not os.path.lexists(path):
            raise InvalidInput(f"{shown(path)} does not exist, so it cannot be packaged.")
        # Each with the folders that it lies in, links followed: one that comes again is a circle.
        waiting = [(inside, above if inside.parts else ())]
        while waiting:
            inside, above_it = waiting.pop()
            path = folder / inside
            status = _status(path)
            if stat.S_ISREG(status.st_mode):
                yield _Found(inside, path, status)
                continue
            if not stat.S_ISDIR(status.st_mode):
                raise Unpackable(
                    f"{shown(path)} is a socket, a pipe or a device, which no zip can hold. Remove it, or name "
                    "what to take with --only."
                )
            if _identity(status) in above_it:
                raise Unpackable(
                    f"{shown(path)} leads through a link back to a folder that it lies in. Remove the link."
                )
            entries = _entries(path)
            if not entries:
                yield _Found(inside, path, None)
            for name in sorted(entries, reverse=True):
                if _is_cache(PurePath(name), entries) or _is_hidden(name):
                    yield _Found(inside / name, path / name, None)
                else:
                    waiting.append((inside / name, (*above_it, _identity(status))))


def _inside(name: str) -> PurePath:
    inside = PurePath(os.path.normpath(name))
    if inside.is_absolute() or ".." in inside.parts:
        raise InvalidInput(f"{shown(name)} is not inside the folder: name its path from there.")
    return inside


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(path: Path) -> os.stat_result:
    try:
        return path.stat()
    except OSError as error:
        if path.is_symlink():
            raise Unpackable(
                f"{shown(path)} is a link to {shown(path.readlink())}, which does not lead to a file or "
                f"folder ({error.strerror}). Mend or remove it."
            ) from None
        raise _unreadable(path, error) from None


def _entries(path: Path) -> list[str]:
    try:
        return [entry.name for entry in path.iterdir()]
    except OSError as error:
        raise _unreadable(path, error) from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            before = os.fstat(file.fileno())
            content = file.read(UNZIPPED_LIMIT + 1)
            after = os.fstat(file.fileno())
    except OSError as error:
        raise _unreadable(path, error) from None
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise Unpackable(
            f"{shown(path)} was changed while it was read. Package again when nothing writes there."
        )
    return content


def _unreadable(path: Path, error: OSError) -> Unpackable:
    return Unpackable(f"{shown(path)} cannot be read: {error.strerror or error}.")


def _is_cache(path: PurePath, beside: Collection[str]) -> bool:
    """Whether Python makes it again from a source that is there; code without its source is no cache."""
    if path.suffix == ".pyc":
        return not beside or f"{path.stem}.py" in beside
    return path.name == "__pycache__"


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name not in HIDDEN_CODE


def write_zip(target: Path, contents: Mapping[str, bytes | File]) -> bytes:
    """Write the zip in one step: other processes see the old file or the whole new one.

    Returns:
        The zip's bytes.

    Raises:
        Unpackable: it cannot be written; nothing of it is left.
    """
    packed = _zipped(contents)
    unfinished = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished.write_bytes(packed)
        unfinished.replace(target)
    except OSError as error:
        raise Unpackable(f"{shown(target)} cannot be written: {error.strerror or error}.") from None
    finally:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
    return packed


def _zipped(contents: Mapping[str, bytes | File]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(contents):
            content = contents[name]
            file = File(content) if isinstance(content, bytes) else content
            entry = zipfile.ZipInfo(name, DATE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.create_system = 3  # Unix, wherever it is built: Lambda reads the mode below
            entry.external_attr = (0o100755 if file.executable else 0o100644) << 16
            archive.writestr(entry, file.content)
    return packed.getvalue()
