"""A plain table for a terminal: columns as wide as they need, and what is long on lines below its row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from textwrap import wrap
from typing import NamedTuple

from rich.text import Text

from fluxio_client.cli.printable import one_line

GAP = "  "
INDENT = "    "


class Row(NamedTuple):
    """The cells of a line, and a remark of any length that stands below it."""

    cells: Sequence[str | Text]
    remark: str | Text = ""


def table(header: Sequence[str], rows: Sequence[Row], width: int) -> Iterator[Text]:
    """The lines of a table."""
    every = [[Text(name, style="bold") for name in header]]
    every += [
        [cell if isinstance(cell, Text) else Text(cell) for cell in row.cells] for row in rows
    ]
    widths = [max(cell.cell_len for cell in column) for column in zip(*every, strict=True)]
    for number, cells in enumerate(every):
        for cell, wide in zip(cells, widths, strict=True):
            cell.pad_right(wide - cell.cell_len)
        line = Text(GAP).join(cells)
        line.rstrip()
        yield line
        if number:
            yield from _remark(rows[number - 1].remark, width)


def _remark(remark: str | Text, width: int) -> Iterator[Text]:
    style = remark.style if isinstance(remark, Text) else "dim"
    for part in wrap(one_line(str(remark)), max(20, width - len(INDENT)), break_on_hyphens=False):
        yield Text.assemble(INDENT, (part, style))
