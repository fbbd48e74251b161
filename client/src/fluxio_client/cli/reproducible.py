"""What pip and others write about the machine that filled the folder, taken out.

So the zip of the same code is the same wherever it is packed: in another checkout, or with another Python.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping

from fluxio_client.cli.archive import File

#: Where a distribution came from and when, in its *.dist-info; nothing imports by it.
_ABOUT_THE_MACHINE = {"direct_url.json", "uv_build.json", "uv_cache.json"}

#: How pip makes scripts start the Python that it ran with; the second form is for long paths.
_SHEBANG = re.compile(
    rb"\A#!(?:/bin/sh\n'''exec' [^\n]*python[^\n]*\n' '''|\"?/[^\n]*/python[0-9.]*\"?)\n"
)
_ANY_PYTHON = b"#!/usr/bin/env python3\n"


def without_traces(contents: Mapping[str, File]) -> dict[str, File]:
    """The files of a zip without what differs from machine to machine."""
    found: dict[str, File] = {}
    changed: set[str] = set()
    for path, file in contents.items():
        folder, _, name = path.rpartition("/")
        if folder.endswith(".dist-info") and name in _ABOUT_THE_MACHINE:
            continue
        if folder == "bin" and (found_in := _SHEBANG.match(file.content)):
            file = file._replace(content=_ANY_PYTHON + file.content[found_in.end() :])
            changed.add(path)
        found[path] = file
    for path, file in found.items():
        if path.endswith(".dist-info/RECORD"):
            found[path] = file._replace(content=_record(file.content, found.keys() - changed))
    return found


def _record(content: bytes, kept: set[str]) -> bytes:
    """A distribution's list of its files, without those that are not in the zip as they were."""
    try:
        rows = list(csv.reader(io.StringIO(content.decode("utf-8"), newline="")))
    except (UnicodeDecodeError, csv.Error):
        return content
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n").writerows(row for row in rows if row and row[0] in kept)
    return out.getvalue().encode("utf-8")
