"""Which files of a folder have changed."""

from __future__ import annotations

import os
from pathlib import Path

#: Folders that hold no code of the user's own.
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages"})

Snapshot = dict[str, tuple[int, int]]


def snapshot(folder: Path) -> Snapshot:
    """Time and size of each Python file, and of the manifest, by path; hidden folders are left out."""
    found: Snapshot = {}
    for root, folders, files in os.walk(folder):
        folders[:] = [one for one in folders if one not in _LEFT_OUT and not one.startswith(".")]
        for name in files:
            if name.endswith(".py") or name == "entry_points.txt":
                path = Path(root, name)
                try:
                    status = path.stat()
                except OSError:
                    continue  # gone meanwhile
                found[str(path.relative_to(folder))] = status.st_mtime_ns, status.st_size
    return found


def changes(before: Snapshot, after: Snapshot) -> list[str]:
    """The files that came, went or changed."""
    return sorted({name for name, _ in before.items() ^ after.items()})
