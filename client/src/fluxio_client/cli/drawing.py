"""Pictures of a workflow or a run in SVG, without anything that draws it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from fluxio_client.cli.colours import PLAIN, SIGNAL, Look, is_known, look
from fluxio_client.cli.layers import Layout, lay_out
from fluxio_client.cli.legend import Entry, legend
from fluxio_client.cli.picture import GATES, Arrow, Box, Course, Picture, picture_of
from fluxio_client.cli.printable import printable
from fluxio_client.cli.waiting import HANDLED
from fluxio_protocol.edge import FAILED, MAYBE
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run

#: Width of a character of the two sizes of monospaced text, with some room for fonts that are wider.
NAME_CHARACTER, DETAIL_CHARACTER = 8.0, 6.8

LINE = 15.0
PADDING = 12.0
MARK_LINE = 19.0
GATE_HEIGHT = 20.0

#: The diamond of a `when` stands on its box: its height above the box.
ABOVE = 20.0

#: Of the legend: the width of a sample, and the height of a line.
SAMPLE, LEGEND_LINE = 76.0, 22.0

STYLE = (
    "text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#212529;"
    "text-anchor:middle}.name{font-size:13px;font-weight:600}.detail{font-size:11px}"
    ".edge{fill:none;stroke:#868e96;stroke-width:1.5}.tip{fill:#868e96}"
    ".edge.taken{stroke:#343a40;stroke-width:2.2}.tip.taken{fill:#343a40}"
    ".edge.maybe{stroke-dasharray:6 4}"
    ".edge.failure{stroke:#b85c00;stroke-dasharray:9 3 2 3}.tip.failure{fill:#b85c00}"
    ".label{font-size:11px;fill:#8f4700}.label-ground{fill:#fff}"
    ".gate,.when{fill:#fff;stroke:#495057;stroke-width:1.5}"
    ".mark{stroke:none;fill:#e9ecef}.mark.signal{fill:#f4e3fa}.mark.timer{fill:#dbeefd}"
    ".state-waiting .mark,.state-running .mark.timer{fill:#fff}"
    ".edge.untaken,.label.untaken{opacity:.35}.gate-untaken{opacity:.45}"
    ".state-skipped{opacity:.6}.state-skipped .box{stroke-dasharray:4 3}"
    ".key{font-size:11px;text-anchor:start}"
)


@dataclass(frozen=True)
class _Drawn:
    """A picture with its places."""

    picture: Picture
    layout: Layout
    legend: list[Entry]
    #: What of the picture is left of 0, and how far it goes to the right and down.
    left: float
    right: float
    bottom: float


def svg(graph: Graph, title: str, run: Run | None = None, now: int = 0) -> str:
    """An SVG of boxes and arrows; of a run in the colours of its states, which stand there in words too."""
    drawn = _drawn(graph, run, now)
    inner = drawn.right - drawn.left
    width = max(inner, len(title) * NAME_CHARACTER + 2 * PADDING)
    indent, head = (width - inner) / 2 - drawn.left, 2 * PADDING + LINE
    height = drawn.bottom + head
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"',
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label={quoteattr(printable(title))}>',
        f"<style>{STYLE}</style>",
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>',
        f'<text class="name" x="{width / 2:.1f}" y="{PADDING + LINE:.1f}">{escape(printable(title))}</text>',
        f'<g transform="translate({indent:.1f} {head:.1f})">',
        *_content(drawn, inline=True),
        "</g>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def svg_for_page(
    graph: Graph,
    label: str,
    run: Run | None = None,
    now: int = 0,
    href: Callable[[str], str] | None = None,
) -> str:
    """The same picture as a part of a page, whose stylesheet colours it: by `state-…` of a box, and by `taken`
    and `untaken` of arrows that the run has gone along, or will not.

    Args:
        graph: what is drawn.
        label: what the picture is called for those who do not see it.
        run: whose states are shown.
        now: the moment that they are shown as of.
        href: where the box of a step leads to.
    """
    drawn = _drawn(graph, run, now)
    width, height = f"{drawn.right - drawn.left:.0f}", f"{drawn.bottom:.0f}"
    parts = [
        f'<svg class="graph" width="{width}" height="{height}" viewBox="{drawn.left:.0f} 0 {width} {height}"',
        f'role="group" aria-label={quoteattr(printable(label))}>',
        *_content(drawn, inline=False, href=href),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def state_class(word: str, look: Look) -> str:
    """The class of a stylesheet for a state: one of few, whatever the word is."""
    if look is SIGNAL:
        return "state-waiting"
    if look is PLAIN:
        return "state-plain"
    return f"state-{word.lower()}" if is_known(word) else "state-unknown"


def _drawn(graph: Graph, run: Run | None, now: int) -> _Drawn:
    picture = picture_of(graph, run, now)
    sizes = {name: _size(name, box) for name, box in picture.boxes.items()}
    for name, gate in picture.gates.items():
        sizes[name] = (len(gate.text) * DETAIL_CHARACTER + 2 * PADDING, GATE_HEIGHT)
    pointed = {name for name, box in picture.boxes.items() if box.when}
    layout = lay_out(Graph.of_steps(picture.depends_on), sizes, pointed | {*picture.gates})
    entries = legend(picture)
    left, right = 0.0, layout.width
    for pair, arrow in picture.arrows.items():
        if arrow.label:
            middle, half = _label_at(layout.edges[pair])[0], _label_width(arrow.label) / 2
            left, right = min(left, middle - half - 4), max(right, middle + half + 4)
    bottom = layout.height
    if entries:
        widest = max(len(entry.text) for entry in entries) * DETAIL_CHARACTER
        more = max(0.0, SAMPLE + widest + 4 * PADDING - (right - left))
        left, right = left - more / 2, right + more / 2
        bottom += LEGEND_LINE * len(entries) + PADDING
    return _Drawn(picture, layout, entries, left, right, bottom)


def _content(
    drawn: _Drawn, inline: bool, href: Callable[[str], str] | None = None
) -> Iterator[str]:
    """Everything but the frame; colours of states are written into it, or left to a stylesheet."""
    picture, layout = drawn.picture, drawn.layout
    used = {_arrow_class(arrow) for arrow in picture.arrows.values()}
    used |= {_sample_class(entry) for entry in drawn.legend if _sample_class(entry)}
    yield f"<defs>{''.join(map(_tip, sorted(used)))}</defs>"
    for pair, arrow in picture.arrows.items():
        yield _path(_arrow_class(arrow), _curve(layout.edges[pair]))
    for name, gate in picture.gates.items():
        x, y, wide, high = layout.boxes[name]
        faded = " gate-untaken" if gate.course is Course.UNTAKEN else ""
        yield f'<g class="gate-of{faded}">{_gate(gate.text, x, y, wide, high)}</g>'
    for name, box in picture.boxes.items():
        yield f'<g class="{state_class(box.group, box.look)}">'
        yield f"<title>{escape(box.tooltip)}</title>"
        parts = [*_box(name, box, layout.boxes[name], _colours(box.look) if inline else "")]
        yield from [f"<a href={quoteattr(href(name))}>", *parts, "</a>"] if href else parts
        yield "</g>"
    # Labels last, so that no arrow crosses them.
    for pair, arrow in picture.arrows.items():
        if arrow.label:
            x, y = _label_at(layout.edges[pair])
            wide = _label_width(arrow.label)
            yield (
                f'<rect class="label-ground" x="{x - wide / 2:.1f}" y="{y - 8:.1f}" width="{wide:.1f}" '
                'height="16" rx="8"/>'
            )
            faded = " untaken" if arrow.course is Course.UNTAKEN else ""
            yield _text(f"label{faded}", arrow.label, x, y + 4)
    if drawn.legend:
        yield from _legend(drawn, inline)


def _arrow_class(arrow: Arrow) -> str:
    kind = {MAYBE: "maybe", FAILED: "failure"}.get(arrow.kind, "")
    return " ".join(part for part in ("edge", kind, arrow.course.value) if part)


def _tip(classes: str) -> str:
    """The tip of arrows of a class: a marker does not take its colour from the line that it ends."""
    name, rest = classes.replace(" ", "-"), classes.removeprefix("edge")
    return (
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="tip{rest}" d="M0 0L8 4L0 8z"/></marker>'
    )


def _path(classes: str, d: str) -> str:
    return f'<path class="{classes}" marker-end="url(#{classes.replace(" ", "-")})" d="{d}"/>'


def _colours(look: Look) -> str:
    return f' fill="{look.fill}" stroke="{look.line}" stroke-width="1.5"'


def _gate(text: str, x: float, y: float, wide: float, high: float) -> str:
    return (
        f'<rect class="gate" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" '
        f'rx="{high / 2:.1f}"/>{_text("detail", text, x + wide / 2, y + high / 2 + 4)}'
    )


def _diamond(x: float, y: float, wide: float, high: float) -> str:
    """The mark of a `when`, with its upper end at a point, of this width and height from its middle."""
    return (
        f'<path class="when" d="M{x:.1f} {y:.1f}l{wide:.1f} {high:.1f}l{-wide:.1f} {high:.1f}'
        f'l{-wide:.1f} {-high:.1f}z"/>{_text("name", "?", x, y + high + 4.5)}'
    )


def _text(kind: str, text: str, x: float, y: float) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(printable(text))}</text>'


def _box(
    name: str, box: Box, place: tuple[float, float, float, float], colours: str
) -> Iterator[str]:
    x, top, wide, high = place
    middle, y = x + wide / 2, top + (ABOVE if box.when else 0.0)
    yield (
        f'<rect class="box" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{top + high - y:.1f}" '
        f'rx="6"{colours}/>'
    )
    if box.when:
        yield _diamond(middle, top, 15, 13)
        y += 4
    baseline = y + PADDING + LINE * 0.75
    yield _text("name", name, middle, baseline)
    for line in box.lines:
        baseline += LINE
        yield _text("detail", line, middle, baseline)
    for mark in box.marks:
        baseline += MARK_LINE
        half = len(printable(mark.text)) * DETAIL_CHARACTER / 2 + 6
        yield (
            f'<rect class="mark {mark.kind}" x="{middle - half:.1f}" y="{baseline - 12:.1f}" '
            f'width="{2 * half:.1f}" height="16" rx="8"/>'
        )
        yield _text("detail", mark.text, middle, baseline)


def _size(name: str, box: Box) -> tuple[float, float]:
    widest = max(
        len(printable(name)) * NAME_CHARACTER,
        *(len(printable(line)) * DETAIL_CHARACTER for line in ("", *box.lines)),
        *(len(printable(mark.text)) * DETAIL_CHARACTER + 8 for mark in box.marks),
    )
    high = LINE * (1 + len(box.lines)) + 2 * PADDING - 3 + MARK_LINE * len(box.marks)
    return max(96.0, widest + 2 * PADDING), high + (ABOVE + 4 if box.when else 0)


def _legend(drawn: _Drawn, inline: bool) -> Iterator[str]:
    y, x = drawn.layout.height + PADDING / 2, drawn.left + 2 * PADDING
    yield '<g class="legend">'
    for entry in drawn.legend:
        yield from _sample(entry, x, y, inline)
        yield _text("key", entry.text, x + SAMPLE, y + 4)
        y += LEGEND_LINE
    yield "</g>"


def _sample_class(entry: Entry) -> str:
    """The class of the arrow that a line of the legend shows; "" if it shows none."""
    kinds = {"needs": "edge", "maybe": "edge maybe", "failed": "edge failure"}
    return {**kinds, "untaken": "edge untaken"}.get(entry.sample, "")


def _sample(entry: Entry, x: float, y: float, inline: bool) -> Iterator[str]:
    middle = x + (SAMPLE - PADDING) / 2
    if classes := _sample_class(entry):
        yield _path(classes, f"M{middle - 26:.1f} {y:.1f}L{middle + 26:.1f} {y:.1f}")
    elif entry.sample in GATES:
        yield _gate(GATES[entry.sample], x, y - 9, SAMPLE - PADDING, 18)
    elif entry.sample == "when":
        yield _diamond(middle, y - 10, 13, 10)
    else:
        handled = entry.sample == HANDLED
        kind = "box" if handled else f"mark {entry.sample}"
        colours = ' class="state-handled"' if handled else ""
        yield f"<g{colours}>"
        yield (
            f'<rect class="{kind}" x="{x:.1f}" y="{y - 8:.1f}" width="{SAMPLE - PADDING:.1f}" height="16" '
            f'rx="{3 if handled else 8}"{_colours(look(HANDLED)) if handled and inline else ""}/>'
        )
        yield f"{_text('detail', entry.sample, middle, y + 4)}</g>"


def _label_at(points: list[tuple[float, float]]) -> tuple[float, float]:
    """The middle of an arrow's last bend."""
    (x, y), (to_x, to_y) = points[-2:]
    return (x + to_x) / 2, (y + to_y) / 2


def _label_width(label: str) -> float:
    return len(printable(label)) * DETAIL_CHARACTER + 8


def _curve(points: list[tuple[float, float]]) -> str:
    """Down from the first point to the last, bending between layers and straight within them."""
    path = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for at, ((x, y), (to_x, to_y)) in enumerate(pairwise(points)):
        if at % 2:
            path.append(f"L{to_x:.1f} {to_y:.1f}")
        else:
            middle = (y + to_y) / 2
            path.append(f"C{x:.1f} {middle:.1f} {to_x:.1f} {middle:.1f} {to_x:.1f} {to_y:.1f}")
    return "".join(path)
