"""Markdown in small pieces: what every page needs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

NOTE = "<!-- Written from {source} by `make docs`. Change it there. -->"

_CODE = re.compile(r"(`[^`]*`)")


def page(title: str, source: str, *blocks: str) -> str:
    """A whole page; empty blocks are left out."""
    kept = [f"# {title}", NOTE.format(source=source), *(block for block in blocks if block)]
    return "\n\n".join(kept) + "\n"


def code(text: object) -> str:
    """Text as it is typed."""
    return f"`{text}`"


def prose(text: str) -> str:
    """Text of a docstring or a message: what is not in backticks must not become markup."""
    parts = _CODE.split(text)
    return "".join(
        part if at % 2 else part.replace("<", "&lt;").replace("*", r"\*")
        for at, part in enumerate(parts)
    )


def paragraphs(text: str) -> str:
    """Text of a docstring, each paragraph in one line."""
    return "\n\n".join(prose(" ".join(part.split())) for part in text.split("\n\n"))


def fenced(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text}\n```"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; empty if it has no rows."""
    cells = [[" ".join(cell.split()).replace("|", r"\|") for cell in row] for row in rows]
    if not cells:
        return ""
    lines = [f"| {' | '.join(row)} |" for row in (header, *cells)]
    lines.insert(1, "|---" * len(header) + "|")
    return "\n".join(lines)


def broken(text: str, width: int = 88) -> str:
    """Code in one line, each part between its outermost brackets in a line of its own if it is too long."""
    begin, end = text.find("("), text.rfind(")")
    if len(text) <= width or begin < 0:
        return text
    # `object({…})` is a bracket around another one.
    while text[begin + 1] in "({" and text[end - 1] in ")}":
        begin, end = begin + 1, end - 1
    inner = [f"    {part}," for part in split(text[begin + 1 : end])]
    return "\n".join([text[: begin + 1], *inner, text[end:]])


def split(text: str) -> list[str]:
    """The parts between the commas that stand in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and not depth:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]
