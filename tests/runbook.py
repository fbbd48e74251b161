"""docs/operations.md, read as what it is: sections with commands to look and to mend."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")

#: A fenced block, with the mark before it that keeps it from being run.
_BLOCK = re.compile(r"(<!-- not run: [^\n]+ -->\n)?```(\w+)\n(.*?)```", re.DOTALL)


class Command(NamedTuple):
    """What the page asks its reader to paste: a line for the shell, or a Python script."""

    text: str
    python: bool
    #: Whether the test runs it; the page's source says why, if not.
    runs: bool


class Section(NamedTuple):
    """A part of the page with a heading of its own."""

    title: str
    text: str

    @property
    def anchor(self) -> str:
        """What a link to it ends in, as GitHub makes it."""
        return re.sub(r"[^\w\- ]", "", self.title.lower()).replace(" ", "-")

    @property
    def look(self) -> list[Command]:
        """The commands that change nothing: all of them, if nothing is to be mended."""
        return [*_commands(self.text.partition("**Mend.**")[0])]

    @property
    def mend(self) -> list[Command]:
        """The commands after "Mend"."""
        return [*_commands(self.text.partition("**Mend.**")[2])]


def sections() -> dict[str, Section]:
    """The sections of the page by their anchors."""
    _, *parts = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    found = [Section(*part.split("\n", 1)) for part in parts]
    return {section.anchor: section for section in found}


def _commands(text: str) -> Iterator[Command]:
    for mark, language, block in _BLOCK.findall(text):
        if language == "python":
            yield Command(block, True, not mark)
        elif language == "console":
            # What a command prints stands below it and is not read.
            for command in re.findall(r"^\$ ((?:[^\n]*\\\n)*[^\n]*)\n", block, re.MULTILINE):
                yield Command(command, False, not mark)
