"""Values on the command line: JSON itself, `@file`, or `-` for stdin."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from fluxio_client.errors import InvalidInput


def read_json(given: str | None, option: str) -> Any:
    """The value an option holds; None if it was not given.

    Raises:
        InvalidInput: the file cannot be read, or what is given is not JSON.
    """
    if given is None:
        return None
    where = option
    text = given
    if given == "-":
        where, text = "stdin", sys.stdin.read()
    elif given.startswith("@"):
        where = given[1:]
        try:
            text = Path(where).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise InvalidInput(f"{option}: {where!r} cannot be read: {reason}.") from None
    try:
        return json.loads(text)
    except ValueError as error:
        hint = (
            "" if where != option else " Quote it for the shell ('{\"order\": 1}'), or use @file."
        )
        raise InvalidInput(f"{where} is not JSON: {error}.{hint}") from None
