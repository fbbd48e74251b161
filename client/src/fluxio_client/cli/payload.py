"""Values on the command line: JSON itself, `@file`, or `-` for stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fluxio_protocol.errors import InvalidInput


def read_json(given: str | None, option: str) -> Any:
    """The value an option holds; None if it was not given.

    Raises:
        InvalidInput: the file cannot be read, or what is given is not JSON.
    """
    if given is None:
        return None
    where = option
    text = given
    try:
        if given == "-":
            where = "stdin"
            text = _text(sys.stdin.buffer.read() if hasattr(sys.stdin, "buffer") else _typed())
        elif given.startswith("@"):
            where = given[1:]
            text = _text(Path(where).read_bytes())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        what = where if where == "stdin" else repr(where)
        raise InvalidInput(f"{option}: {what} cannot be read: {reason}.") from None
    hint = "" if where != option else " Quote it for the shell ('{\"order\": 1}'), or use @file."
    return parse_json(text, where, hint)


def parse_json(text: str, where: str, hint: str = "") -> Any:
    """A value that was typed in as JSON.

    Args:
        text: what was typed.
        where: what it was typed into.
        hint: what to say besides of text that is not JSON.

    Raises:
        InvalidInput: it is not JSON, or has a name twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except _NameTwice as error:
        raise InvalidInput(
            f"{where} has the name {error.name!r} twice in one object: JSON readers would keep one of the "
            "two values without a word. Remove one."
        ) from None
    except ValueError as error:
        raise InvalidInput(f"{where} is not JSON: {error}.{hint}") from None
    except RecursionError:
        raise InvalidInput(f"{where} is nested too deeply to be read.") from None


class _NameTwice(ValueError):
    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise _NameTwice(name)
        found[name] = value
    return found


def _text(written: bytes) -> str:
    """What a file holds. Windows' editors begin it with a byte order mark, PowerShell 5 writes UTF-16."""
    return written.decode(json.detect_encoding(written))


def _typed() -> bytes:
    """stdin where it is a stream of text alone."""
    return sys.stdin.read().encode("utf-8", "surrogatepass") if sys.stdin is not None else b""
