"""stdout and stderr as they are: in any encoding, a pipe whose reader has gone, or not there at all."""

from __future__ import annotations

import codecs
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from fluxio_client.cli.printable import printable

#: What the command draws with, for an encoding that lacks it; other characters are escaped.
_DRAWN = str.maketrans("├└│─↓·…", "|`|-v..")


def _replaced(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    lacking = error.object[error.start : error.end].translate(_DRAWN)
    return lacking.encode("ascii", "backslashreplace").decode(), error.end


codecs.register_error("fluxio", _replaced)


def prepare_streams() -> None:
    """Let stdout and stderr take every character; one that is closed (`>&-`) takes and loses them."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="fluxio")


def flush_streams() -> None:
    """Write what is buffered now, where a reader that has gone can still be dealt with.

    Raises:
        BrokenPipeError: the reader has gone.
    """
    sys.stdout.flush()
    sys.stderr.flush()


def drop_output() -> None:
    """After a reader has gone: Python flushes once more when it ends, and would complain again."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # a stream of a test has no file descriptor
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def encodable(text: str) -> bool:
    """Whether stdout's encoding has all characters of a text."""
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeError:
        return False
    return True


class Screen(Console):
    """A console that shows text from outside, and never obeys it.

    Everything that is printed passes through `render`, so no command has to remember to escape.
    """

    def __init__(self, *, stderr: bool) -> None:
        # https://no-color.org asks for no colour; bold and dim go too, so that nothing but text is left.
        super().__init__(
            stderr=stderr,
            color_system=None if os.environ.get("NO_COLOR") else "auto",
            highlight=False,
            emoji=False,
            markup=False,
        )

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """The segments of what is printed; those that move the cursor are rich's own."""
        for segment in super().render(renderable, options):
            text = segment.text
            if segment.control or (shown := printable(text)) == text:
                yield segment
            else:
                yield Segment(shown, segment.style)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as text; rich would drop some control characters, which could hide what was sent."""
        return super().render_str(printable(text), **options)

    def on_broken_pipe(self) -> None:
        """A reader that has gone (`fluxio list | head -1`) is no failure: the application ends quietly."""
        raise BrokenPipeError
