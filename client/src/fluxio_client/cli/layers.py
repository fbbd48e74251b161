"""Where the boxes of a graph go: in layers from top to bottom, with few crossings and short edges.

The usual four stages: a step's layer is known (`Graph.waves`); an edge that passes layers gets a point in
each, so that it is led around boxes; the order within a layer follows the neighbours' average, and of some
rounds the one with the fewest crossings is kept; then each place moves as near to its neighbours as the order
and the gaps allow.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from fluxio_protocol.graph import Graph

GAP = 28.0
"""Between two boxes of a layer."""

PASS_GAP = 14.0
"""Beside an edge that passes through a layer."""

LAYER_GAP = 46.0
MARGIN = 20.0
ROUNDS = 12

Size = tuple[float, float]
Place = tuple[str, ...]
"""A step, as (name,), or the point of an edge in a layer, as (from, to, layer)."""


@dataclass(frozen=True)
class Layout:
    """Boxes by step as (left, top, width, height), and edges as points from top to bottom."""

    boxes: dict[str, tuple[float, float, float, float]]
    edges: dict[tuple[str, str], list[tuple[float, float]]]
    width: float
    height: float


@dataclass
class _Drawing:
    layers: list[list[Place]]
    above: dict[Place, list[Place]] = field(default_factory=dict)
    below: dict[Place, list[Place]] = field(default_factory=dict)
    chains: dict[tuple[str, str], list[Place]] = field(default_factory=dict)


def lay_out(
    graph: Graph, sizes: Mapping[str, Size], pointed: Collection[str] = frozenset()
) -> Layout:
    """Place the boxes of these sizes; on those that are `pointed`, all edges end at the middle of the top."""
    drawing = _with_passing_points(graph)
    _order(drawing)
    widths = {
        place: sizes[place[0]][0] if len(place) == 1 else 0.0
        for layer in drawing.layers
        for place in layer
    }
    centres = _centres(drawing, widths)
    left = min((centres[place] - widths[place] / 2 for place in centres), default=0.0)
    right = max((centres[place] + widths[place] / 2 for place in centres), default=0.0)
    shift = MARGIN - left
    boxes: dict[str, tuple[float, float, float, float]] = {}
    bands: list[tuple[float, float]] = []
    top = MARGIN
    for layer in drawing.layers:
        height = max(sizes[place[0]][1] for place in layer if len(place) == 1)
        bands.append((top, top + height))
        for place in layer:
            if len(place) == 1:
                wide, high = sizes[place[0]]
                x = centres[place] - wide / 2 + shift
                boxes[place[0]] = (x, top + (height - high) / 2, wide, high)
        top += height + LAYER_GAP
    edges = {
        edge: _points(chain, centres, bands, boxes, drawing, shift, edge[1] in pointed)
        for edge, chain in drawing.chains.items()
    }
    return Layout(boxes, edges, right - left + 2 * MARGIN, top - LAYER_GAP + MARGIN)


def _with_passing_points(graph: Graph) -> _Drawing:
    drawing = _Drawing([[(name,) for name in wave] for wave in graph.waves])
    at = {name: number for number, wave in enumerate(graph.waves) for name in wave}
    for name, deps in graph.depends_on.items():
        for dep in deps:
            passed: list[Place] = [
                (dep, name, str(number)) for number in range(at[dep] + 1, at[name])
            ]
            for number, place in enumerate(passed, at[dep] + 1):
                drawing.layers[number].append(place)
            chain: list[Place] = [(dep,), *passed, (name,)]
            drawing.chains[dep, name] = chain
            for upper, lower in pairwise(chain):
                drawing.below.setdefault(upper, []).append(lower)
                drawing.above.setdefault(lower, []).append(upper)
    return drawing


def _order(drawing: _Drawing) -> None:
    best = [list(layer) for layer in drawing.layers]
    fewest = _crossings(drawing, best)
    for number in range(ROUNDS):
        if not fewest:
            break
        downwards = number % 2 == 0
        layers = drawing.layers if downwards else drawing.layers[::-1]
        neighbours = drawing.above if downwards else drawing.below
        for fixed, layer in pairwise(layers):
            averages = _averages(layer, fixed, neighbours)
            layer.sort(key=averages.__getitem__)
        if (crossings := _crossings(drawing, drawing.layers)) < fewest:
            fewest, best = crossings, [list(layer) for layer in drawing.layers]
    drawing.layers[:] = best


def _averages(
    layer: Sequence[Place], fixed: Sequence[Place], neighbours: Mapping[Place, Sequence[Place]]
) -> dict[Place, float]:
    """Where in the layer beside it each place's neighbours are; where it is itself, if it has none."""
    position = {place: at for at, place in enumerate(fixed)}
    found: dict[Place, float] = {}
    for at, place in enumerate(layer):
        near = [position[other] for other in neighbours.get(place, ())]
        found[place] = sum(near) / len(near) if near else at
    return found


def _crossings(drawing: _Drawing, layers: Sequence[Sequence[Place]]) -> int:
    """How many pairs of edges cross: inversions of the lower ends, sorted by the upper ones."""
    found = 0
    for upper, lower in pairwise(layers):
        position = {place: at for at, place in enumerate(lower)}
        ends = [
            end
            for place in upper
            for end in sorted(position[other] for other in drawing.below.get(place, ()))
        ]
        found += sum(earlier > later for at, later in enumerate(ends) for earlier in ends[:at])
    return found


def _centres(drawing: _Drawing, widths: Mapping[Place, float]) -> dict[Place, float]:
    def apart(one: Place, other: Place) -> float:
        gap = GAP if len(one) == len(other) == 1 else PASS_GAP
        return (widths[one] + widths[other]) / 2 + gap

    centres: dict[Place, float] = {}
    for layer in drawing.layers:
        at = 0.0
        for number, place in enumerate(layer):
            at += apart(layer[number - 1], place) if number else 0.0
            centres[place] = at
        middle = at / 2
        for place in layer:
            centres[place] -= middle
    for number in range(2 * ROUNDS):
        downwards = number % 2 == 0
        neighbours = drawing.above if downwards else drawing.below
        for layer in drawing.layers if downwards else drawing.layers[::-1]:
            wanted = []
            for place in layer:
                near = [centres[other] for other in neighbours.get(place, ())]
                wanted.append(sum(near) / len(near) if near else centres[place])
            gaps = [apart(one, other) for one, other in pairwise(layer)]
            for place, centre in zip(layer, _nearest(wanted, gaps), strict=True):
                centres[place] = centre
    return centres


def _nearest(wanted: Sequence[float], gaps: Sequence[float]) -> list[float]:
    """The positions nearest to those wanted (least squares) that keep their order and gaps.

    Less the gaps before them, positions only need to rise; neighbours that do not are pooled at their mean.
    """
    offsets = [0.0]
    for gap in gaps:
        offsets.append(offsets[-1] + gap)
    pools: list[tuple[float, int]] = []
    for value, offset in zip(wanted, offsets, strict=True):
        mean, count = value - offset, 1
        while pools and pools[-1][0] > mean:
            before, many = pools.pop()
            mean = (mean * count + before * many) / (count + many)
            count += many
        pools.append((mean, count))
    flat = [mean for mean, count in pools for _ in range(count)]
    return [value + offset for value, offset in zip(flat, offsets, strict=True)]


def _points(
    chain: Sequence[Place],
    centres: Mapping[Place, float],
    bands: Sequence[tuple[float, float]],
    boxes: Mapping[str, tuple[float, float, float, float]],
    drawing: _Drawing,
    shift: float,
    pointed: bool,
) -> list[tuple[float, float]]:
    """From the lower side of the first box, straight through the layers passed, to the top of the last."""
    (first,), (last,) = chain[0], chain[-1]
    x, y, width, height = boxes[first]
    outs = sorted(drawing.below[chain[0]], key=lambda place: centres[place])
    points = [(x + _port(outs.index(chain[1]), len(outs), width), y + height)]
    for place in chain[1:-1]:
        top, bottom = bands[int(place[2])]
        points += [(centres[place] + shift, top), (centres[place] + shift, bottom)]
    x, y, width, height = boxes[last]
    ins = sorted(drawing.above[chain[-1]], key=lambda place: centres[place])
    port = width / 2 if pointed else _port(ins.index(chain[-2]), len(ins), width)
    points.append((x + port, y))
    return points


def _port(at: int, of: int, width: float) -> float:
    """Where on a box's side an edge ends: spread a little about the middle, in the order they come."""
    spread = min(width * 0.6, 16.0 * (of - 1))
    return width / 2 + (spread * (at / (of - 1) - 0.5) if of > 1 else 0.0)
