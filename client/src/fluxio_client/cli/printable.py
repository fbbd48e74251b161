"""Text from outside (errors, names, payloads, messages) as a terminal or a picture may show it.

An error quotes what a customer sent, and a message in the dead-letter queue may be from anybody. A control
sequence in it would move the cursor, rename the window or hide a line, so it is shown as what it is: `\\x1b`.
"""

from __future__ import annotations

import json
import unicodedata
from typing import Any

#: Controls (C0, DEL, C1), formats (direction overrides, zero-width), lone surrogates, separators of lines.
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

#: Of these, what lays out text, and what joins letters of many scripts and emoji.
_KEPT = frozenset("\n\t\u200c\u200d")


def printable(text: str) -> str:
    """The text with an escape such as `\\x1b` or `\\u202e` for each character that acts instead of showing."""
    if text.isprintable():
        return text
    return "".join(
        character.encode("unicode_escape").decode() if _acts(character) else character
        for character in text
    )


def one_line(text: str) -> str:
    """The text on one line: white space collapsed, then `printable`."""
    return printable(" ".join(text.split()))


def cut(text: str, width: int) -> str:
    """The text, with an ellipsis where it is longer than so many characters."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def printable_json(value: Any) -> str:
    """The value as indented JSON that stays JSON: what acts is escaped as JSON does it."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return "".join(
        json.dumps(character)[1:-1] if _acts(character) else character for character in text
    )


def _acts(character: str) -> bool:
    if character.isprintable() or character in _KEPT:
        return False
    # U+FFFE and U+FFFF cannot stand in XML, so in no picture.
    return unicodedata.category(character) in _HIDDEN or character in "\ufffe\uffff"
