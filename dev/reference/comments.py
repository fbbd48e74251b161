"""The `#:` comments above attributes, which no parser keeps: what an attribute means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from enum import Enum
from functools import cache
from pathlib import Path

import griffe

from dev import ROOT
from dev.stage import DevError

_MARK = "#:"


@cache
def packages() -> griffe.GriffeLoader:
    """The packages, read and not run."""
    loader = griffe.GriffeLoader(
        search_paths=[ROOT / "client" / "src", ROOT / "layer" / "src"],
        docstring_parser="google",
        docstring_options={"returns_named_value": False, "returns_multiple_items": False},
    )
    loader.load("fluxio_protocol")
    loader.load("fluxio_client")
    loader.load("fluxio")
    loader.resolve_aliases()
    return loader


@cache
def _lines(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def above(attribute: griffe.Attribute) -> str:
    """The comment right above an attribute; empty if there is none."""
    assert isinstance(attribute.filepath, Path)
    assert attribute.lineno is not None
    lines = _lines(attribute.filepath)
    found: list[str] = []
    at = attribute.lineno - 2
    while at >= 0 and (line := lines[at].strip()).startswith(_MARK):
        found.insert(0, line.removeprefix(_MARK).strip())
        at -= 1
    return " ".join(found)


def members(of: type[Enum]) -> Mapping[str, str]:
    """What each member of an enumeration means."""
    found = packages().modules_collection[f"{of.__module__}.{of.__qualname__}"]
    texts = {name: above(found.members[name]) for name in of.__members__}
    if silent := [name for name, text in texts.items() if not text]:
        raise DevError(
            f"{inspect.getsourcefile(of)}: {of.__name__}.{silent[0]} has no `{_MARK}` comment above it that "
            "says what it means. Write one."
        )
    return texts
