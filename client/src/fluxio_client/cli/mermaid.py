"""A workflow, or a run, as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Iterator

from fluxio_client.cli.colours import UNKNOWN, Look
from fluxio_client.cli.conditions import signal_words, timer_words
from fluxio_client.cli.picture import Arrow, Course, Picture, picture_of
from fluxio_client.cli.printable import printable
from fluxio_protocol.edge import FAILED, MAYBE
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run

#: How the lines of arrows look that a run has gone along, or never will.
_LINES = {
    Course.TAKEN: "stroke:#495057,stroke-width:2.5px",
    Course.UNTAKEN: "stroke:#ced4da,color:#868e96",
}


def mermaid(graph: Graph, run: Run | None = None, now: int = 0) -> str:
    """A Mermaid flowchart; of a run with its states as of a moment."""
    picture = picture_of(graph, run, now)
    # Ids of its own: a step may be called `end`, which ends a chart.
    ids = {name: f"s{at}" for at, name in enumerate(picture.boxes)}
    ids |= {name: f"j{at}" for at, name in enumerate(picture.gates)}
    lines = ["flowchart TD", *_nodes(picture, ids)]
    drawn: list[Course] = []
    for (above, below), arrow in picture.arrows.items():
        box = picture.boxes.get(below)
        into = f"{ids[below]}w" if box and box.when else ids[below]
        lines.append(f"    {ids[above]} {_line(arrow)} {into}")
        drawn.append(arrow.course)
    for name, box in picture.boxes.items():
        if box.when:
            lines.append(f"    {ids[name]}w -->|yes| {ids[name]}")
            began = {arrow.course for (_, to), arrow in picture.arrows.items() if to == name}
            drawn.append(began.pop() if len(began) == 1 else Course.OPEN)
    lines += _outside(graph, ids)
    for course, line in _LINES.items():
        if numbers := [str(at) for at, one in enumerate(drawn) if one is course]:
            lines.append(f"    linkStyle {','.join(numbers)} {line}")
    return "\n".join((*lines, *_classes(picture, ids))) + "\n"


def _nodes(picture: Picture, ids: dict[str, str]) -> Iterator[str]:
    for name, box in picture.boxes.items():
        # Signals and timers are nodes of their own, so they are not said twice.
        text = [name, *box.lines]
        text += [mark.text for mark in box.marks if mark.kind == "deadline"]
        yield f'    {ids[name]}["{"<br/>".join(map(_label, text))}"]'
        if box.when:
            yield f'    {ids[name]}w{{"when?"}}'
    for name, gate in picture.gates.items():
        yield f'    {ids[name]}(("{gate.text}"))'


def _outside(graph: Graph, ids: dict[str, str]) -> Iterator[str]:
    """Signals and timers, and what waits for them."""
    texts: dict[str, str] = {}
    lines: list[str] = []
    for name, node in graph.nodes.items():
        waits = [timer_words(node.timer)] if node.timer else []
        for signal in node.awaits:
            waits.append(signal_words(signal, node))
        for wait in waits:
            # Each step has its own clock, and a signal is one for all.
            key = wait if wait.startswith("signal") else f"{wait} {name}"
            at = [*texts].index(key) if key in texts else len(texts)
            texts.setdefault(key, wait)
            lines.append(f"    g{at} -.-> {ids[name]}")
    yield from (f'    g{at}(["{_label(text)}"])' for at, text in enumerate(texts.values()))
    yield from lines


def _line(arrow: Arrow) -> str:
    if arrow.kind == MAYBE:
        return '-. "maybe" .->'
    if arrow.kind == FAILED:
        return f'== "{_label(arrow.label)}" ==>'
    return "-->"


def _classes(picture: Picture, ids: dict[str, str]) -> Iterator[str]:
    classes: dict[str, list[str]] = {}
    looks: dict[str, Look] = {}
    for name, box in picture.boxes.items():
        if box.group:
            group = "unknown" if box.look is UNKNOWN else box.group.lower()
            classes.setdefault(group, []).append(ids[name])
            looks[group] = box.look
    for group, members in classes.items():
        fill, line = looks[group].fill, looks[group].line
        faded = ",stroke-dasharray:4 3,opacity:0.65" if group == "skipped" else ""
        yield f"    classDef {group} fill:{fill},stroke:{line},color:#212529{faded}"
        yield f"    class {','.join(members)} {group}"


def _label(text: str) -> str:
    """Text within quotes; Mermaid takes entities for what would end them or be HTML."""
    return printable(text).replace("#", "#35;").replace('"', "#quot;").replace("<", "#lt;")
