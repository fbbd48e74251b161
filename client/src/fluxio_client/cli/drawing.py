"""Pictures of a workflow: Mermaid, and SVG without anything that draws it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple
from xml.sax.saxutils import escape, quoteattr

from fluxio_client.cli.colours import PLAIN, SIGNAL, UNKNOWN, Look, is_known
from fluxio_client.cli.layers import Layout, lay_out
from fluxio_client.cli.moments import length
from fluxio_client.cli.printable import cut, one_line, printable
from fluxio_client.cli.waiting import state_of
from fluxio_protocol.edge import ANY_OF, FAILED, FIRST_OF, MAYBE, NEEDS
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
from fluxio_protocol.run import Run, StepStatus

#: Width of a character of the two sizes of monospaced text, with some room for fonts that are wider.
NAME_CHARACTER, DETAIL_CHARACTER = 8.0, 6.8

#: Characters of an error's type, or of a condition, that stand in a box.
WIDEST_DETAIL = 40

#: What edges ask, in words.
_ASKS = {
    MAYBE: "whatever becomes of {}",
    ANY_OF: "if any of {} succeeds",
    FIRST_OF: "with the first of {} that succeeds",
}

LINE = 15.0
PADDING = 12.0

STYLE = (
    "text{font-family:ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#212529;"
    "text-anchor:middle}.name{font-size:13px;font-weight:600}.detail{font-size:11px}"
    ".edge{fill:none;stroke:#868e96;stroke-width:1.5}"
)
ARROW_TIP = (
    '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
    'orient="auto"><path d="M0 0L8 4L0 8z" fill="#868e96"/></marker></defs>'
)

#: Those of a page, where a stylesheet colours them and an arrow may be thicker than another.
PAGE_TIPS = "<defs>{}</defs>".format(
    "".join(
        f'<marker id="{name}" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="10" markerHeight="10" '
        f'markerUnits="userSpaceOnUse" orient="auto"><path class="{looks}" d="M0 0L8 4L0 8z"/></marker>'
        for name, looks in (("tip", "tip"), ("tip-taken", "tip taken"))
    )
)


class Detail(NamedTuple):
    """What a box says below its name."""

    lines: tuple[str, ...]
    look: Look
    tooltip: str
    #: What steps of the same look have in common; "" for one that is not of a run.
    group: str


def _detail(name: str, graph: Graph, run: Run | None, now: int) -> Detail:
    step = run.steps.get(name) if run else None
    more = [cut(line, WIDEST_DETAIL) for line in conditions(graph.nodes[name])]
    more += [
        f"{'had' if run and signal in run.signals_json else 'awaits'} {signal}"
        for signal in graph.awaits.get(name, ())
    ]
    if kind := graph.unknown.get(name):
        more.append(f"unknown: {kind}")
    if run is None or step is None:
        return Detail(tuple(more), UNKNOWN if kind else PLAIN, printable(name), "")
    state = state_of(run, step, graph, now)
    parts = [state.word]
    if step.attempt > 1:
        parts.append(f"{step.attempt} attempts")
    if step.duration is not None:
        parts.append(length(step.duration))
    if step.status is StepStatus.FAILED and step.error:
        more.insert(0, cut(one_line(step.error.type), WIDEST_DETAIL))
    error = one_line(f": {step.error.type}: {step.error.message}") if step.error else ""
    stands = " · ".join(parts)
    # What waits for a signal has the look of WAITING, so it is a class of its own.
    group = "signal" if state.look is SIGNAL else state.word
    return Detail((stands, *more), state.look, printable(f"{name}, {stands}{error}"), group)


def conditions(node: Node) -> list[str]:
    """What a step asks besides that all steps before it have succeeded, in words."""
    found = []
    for edge in node.edges:
        sources = ", ".join(edge.sources)
        if edge.kind == FAILED:
            errors = f" with {', '.join(edge.errors)}" if edge.errors else ""
            found.append(f"if {sources} fails{errors}")
        elif edge.kind in _ASKS:
            found.append(_ASKS[edge.kind].format(sources))
    if node.when:
        found.append("when its condition holds")
    if node.timer and node.timer.after is not None:
        found.append(f"{length(node.timer.after / 1000)} later")
    elif node.timer:
        found.append(f"at the time in {node.timer.at}")
    found += [f"{name} within {length(of.after / 1000)}" for name, of in node.timeouts.items()]
    if node.deadline is not None:
        found.append(f"done within {length(node.deadline / 1000)}")
    return found


def _is_soft(graph: Graph, above: str, name: str) -> bool:
    """Whether an edge asks otherwise than that the step above has succeeded."""
    return any(above in edge.sources for edge in graph.nodes[name].edges if edge.kind != NEEDS)


def _is_taken(run: Run | None, above: str, name: str) -> bool:
    """Whether a run has gone along an edge: the step above has ended, and neither of the two was skipped."""
    if run is None or above not in run.steps or not run.steps[above].settled:
        return False
    ends = (run.steps[above], run.steps.get(name))
    return not any(one and one.status is StepStatus.SKIPPED for one in ends)


def mermaid(graph: Graph, run: Run | None = None, now: int = 0) -> str:
    """A Mermaid flowchart; of a run with its states as of a moment."""
    # Ids of its own: a step may be called `end`, which ends a chart.
    ids = {name: f"s{at}" for at, name in enumerate(graph.depends_on)}
    lines = ["flowchart TD"]
    classes: dict[str, list[str]] = {}
    looks: dict[str, Look] = {}
    for name in graph.depends_on:
        detail = _detail(name, graph, run, now)
        # Signals are boxes of their own, so they are not said twice.
        text = [name, *(detail.lines[:1] if detail.group else ())]
        if kind := graph.unknown.get(name):
            text.append(f"unknown: {kind}")
        lines.append(f'    {ids[name]}["{"<br/>".join(map(_label, text))}"]')
        if detail.group:
            group = "unknown" if detail.look is UNKNOWN else detail.group.lower()
            classes.setdefault(group, []).append(ids[name])
            looks[group] = detail.look
    signals = sorted({signal for names in graph.awaits.values() for signal in names})
    for at, signal in enumerate(signals):
        lines.append(f'    g{at}(["signal {_label(signal)}"])')
    for name, deps in graph.depends_on.items():
        lines += [f"    {ids[dep]} --> {ids[name]}" for dep in deps]
    for name, awaited in graph.awaits.items():
        lines += [f"    g{signals.index(signal)} -.-> {ids[name]}" for signal in awaited]
    for group, members in classes.items():
        fill, line = looks[group].fill, looks[group].line
        lines.append(f"    classDef {group} fill:{fill},stroke:{line},color:#212529")
        lines.append(f"    class {','.join(members)} {group}")
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    """Text within quotes; Mermaid takes entities for what would end them or be HTML."""
    return printable(text).replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")


def svg(graph: Graph, title: str, run: Run | None = None, now: int = 0) -> str:
    """An SVG of boxes and arrows; of a run in the colours of its states, which stand there in words too."""
    details, layout = _drawn(graph, run, now)
    width = max(layout.width, len(title) * NAME_CHARACTER + 2 * PADDING)
    indent, head = (width - layout.width) / 2, 2 * PADDING + LINE
    height = layout.height + head
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}"',
        f'viewBox="0 0 {width:.0f} {height:.0f}" role="img" aria-label={quoteattr(printable(title))}>',
        f"<style>{STYLE}</style>",
        ARROW_TIP,
        f'<rect width="{width:.0f}" height="{height:.0f}" rx="8" fill="#ffffff"/>',
        f'<text class="name" x="{width / 2:.1f}" y="{PADDING + LINE:.1f}">{escape(printable(title))}</text>',
        f'<g transform="translate({indent:.1f} {head:.1f})">',
    ]
    for (above, name), points in layout.edges.items():
        dashes = ' stroke-dasharray="5 4"' if _is_soft(graph, above, name) else ""
        parts.append(f'<path class="edge"{dashes} marker-end="url(#tip)" d="{_curve(points)}"/>')
    for name, box in layout.boxes.items():
        detail = details[name]
        colours = f' fill="{detail.look.fill}" stroke="{detail.look.line}" stroke-width="1.5"'
        rect, *texts = _box(name, detail, box, colours)
        parts.append(f"<g><title>{escape(detail.tooltip)}</title>{rect}")
        parts += [*texts, "</g>"]
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def svg_for_page(
    graph: Graph,
    label: str,
    run: Run | None = None,
    now: int = 0,
    href: Callable[[str], str] | None = None,
) -> str:
    """The same picture as a part of a page, whose stylesheet colours it: by `state-…` of a box, and by `taken`
    of an arrow that the run has gone along.

    Args:
        graph: what is drawn.
        label: what the picture is called for those who do not see it.
        run: whose states are shown.
        now: the moment that they are shown as of.
        href: where the box of a step leads to.
    """
    details, layout = _drawn(graph, run, now)
    size = f"{layout.width:.0f} {layout.height:.0f}"
    parts = [
        f'<svg class="graph" width="{layout.width:.0f}" height="{layout.height:.0f}" viewBox="0 0 {size}"',
        f'role="group" aria-label={quoteattr(printable(label))}>',
        PAGE_TIPS,
    ]
    for (above, name), points in layout.edges.items():
        taken = _is_taken(run, above, name)
        looks = "edge" + " soft" * _is_soft(graph, above, name) + " taken" * taken
        tip = "tip-taken" if taken else "tip"
        parts.append(f'<path class="{looks}" marker-end="url(#{tip})" d="{_curve(points)}"/>')
    for name, box in layout.boxes.items():
        detail = details[name]
        parts.append(f'<g class="{state_class(detail.group, detail.look)}">')
        parts.append(f"<title>{escape(detail.tooltip)}</title>")
        drawn = _box(name, detail, box, "")
        parts += [f"<a href={quoteattr(href(name))}>", *drawn, "</a>"] if href else drawn
        parts.append("</g>")
    return "\n".join([*parts, "</svg>"]) + "\n"


def state_class(word: str, look: Look) -> str:
    """The class of a stylesheet for a state: one of few, whatever the word is."""
    if look is SIGNAL:
        return "state-waiting"
    if look is PLAIN:
        return "state-plain"
    return f"state-{word.lower()}" if is_known(word) else "state-unknown"


def _drawn(graph: Graph, run: Run | None, now: int) -> tuple[dict[str, Detail], Layout]:
    details = {name: _detail(name, graph, run, now) for name in graph.depends_on}
    return details, lay_out(graph, {name: _size(name, one) for name, one in details.items()})


def _box(
    name: str, detail: Detail, box: tuple[float, float, float, float], colours: str
) -> list[str]:
    x, y, wide, high = box
    middle, baseline = x + wide / 2, y + PADDING + LINE * 0.75
    lines = [
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{high:.1f}" rx="6"{colours}/>',
        f'<text class="name" x="{middle:.1f}" y="{baseline:.1f}">{escape(printable(name))}</text>',
    ]
    for at, line in enumerate(detail.lines, 1):
        lines.append(
            f'<text class="detail" x="{middle:.1f}" y="{baseline + at * LINE:.1f}">'
            f"{escape(printable(line))}</text>"
        )
    return lines


def _size(name: str, detail: Detail) -> tuple[float, float]:
    widest = max(
        [
            len(printable(name)) * NAME_CHARACTER,
            *(len(line) * DETAIL_CHARACTER for line in detail.lines),
        ]
    )
    return max(96.0, widest + 2 * PADDING), LINE * (1 + len(detail.lines)) + 2 * PADDING - 3


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
