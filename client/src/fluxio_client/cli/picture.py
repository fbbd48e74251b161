"""What is drawn of a graph, whatever draws it: steps, gates of groups, and arrows with the path of a run."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import NamedTuple

from fluxio_client.cli.colours import PLAIN, SIGNAL, UNKNOWN, Look
from fluxio_client.cli.conditions import (
    deadline_words,
    edges_of,
    on_failure,
    signal_words,
    timer_words,
)
from fluxio_client.cli.endings import handled_by, skipped_because
from fluxio_client.cli.moments import length, local
from fluxio_client.cli.printable import cut, one_line, printable
from fluxio_client.cli.waiting import For, at_rest, state_of, waiting
from fluxio_protocol.edge import ANY_OF, FAILED, FIRST_OF, MAYBE, Edge
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
from fluxio_protocol.run import Run, Step, StepStatus

#: Characters of an error's type, or of why a step is not needed, that stand in a box.
WIDEST_DETAIL = 40

#: Characters of an arrow's label.
WIDEST_LABEL = 32

#: What stands at the gate of a group of steps.
GATES = {ANY_OF: "any of", FIRST_OF: "first of"}


class Course(Enum):
    """Whether a run has gone along an arrow."""

    OPEN = ""
    TAKEN = "taken"
    UNTAKEN = "untaken"


class Arrow(NamedTuple):
    """What leads from a step, or from a gate, to a step or a gate."""

    kind: str
    course: Course
    label: str = ""


class Gate(NamedTuple):
    """Where the arrows of an `any_of` or a `first_of` come together."""

    kind: str
    course: Course

    @property
    def text(self) -> str:
        """What stands in it."""
        return GATES[self.kind]


class Mark(NamedTuple):
    """A timer, a signal or a deadline, in the box of its step."""

    kind: str
    text: str


class Box(NamedTuple):
    """What a step's box says below its name."""

    lines: tuple[str, ...]
    marks: tuple[Mark, ...]
    #: Whether a predicate decides if it runs.
    when: bool
    look: Look
    tooltip: str
    #: What steps of the same look have in common; "" for one that is not of a run.
    group: str


class Picture(NamedTuple):
    """A graph, or a run of it, ready to be drawn."""

    boxes: dict[str, Box]
    #: By a name that no step can have.
    gates: dict[str, Gate]
    arrows: dict[tuple[str, str], Arrow]

    @property
    def depends_on(self) -> dict[str, tuple[str, ...]]:
        """For each box and gate, those that arrows lead from to it."""
        found: dict[str, tuple[str, ...]] = dict.fromkeys((*self.boxes, *self.gates), ())
        for above, below in self.arrows:
            found[below] += (above,)
        return found

    def has(self, course: Course) -> bool:
        """Whether an arrow is of this course."""
        return any(arrow.course is course for arrow in self.arrows.values())


def picture_of(graph: Graph, run: Run | None = None, now: int = 0) -> Picture:
    """What is drawn of a graph; of a run, with its states as of a moment."""
    boxes = {name: _box(name, graph, run, now) for name in graph.depends_on}
    gates: dict[str, Gate] = {}
    arrows: dict[tuple[str, str], Arrow] = {}
    for name, node in graph.nodes.items():
        # Of two edges between the same steps, the one that says more is drawn.
        for edge in sorted(edges_of(node), key=lambda one: one.kind != FAILED):
            courses = [_course(edge, source, name, run) for source in edge.sources]
            target = name
            if edge.kind in GATES:
                target = f"\0{len(gates)}"
                through = _through(courses)
                gates[target] = Gate(edge.kind, through)
                arrows[target, name] = Arrow(edge.kind, through)
            label = cut(one_line(on_failure(edge)), WIDEST_LABEL) if edge.kind == FAILED else ""
            for source, course in zip(edge.sources, courses, strict=True):
                if source in boxes:
                    arrows.setdefault((source, target), Arrow(edge.kind, course, label))
    return Picture(boxes, gates, arrows)


def _course(edge: Edge, source: str, target: str, run: Run | None) -> Course:
    if run is None or source not in run.steps:
        return Course.OPEN
    of = run.steps[source]
    behind = run.steps.get(target)
    if behind is not None and behind.status is StepStatus.SKIPPED:
        return Course.UNTAKEN
    if not of.settled:
        return Course.OPEN
    if edge.kind == FAILED:
        taken = edge.allows(run.steps)
    elif edge.kind == MAYBE:
        taken = of.status is not StepStatus.SKIPPED
    else:
        taken = of.status is StepStatus.SUCCEEDED
    return Course.TAKEN if taken else Course.UNTAKEN


def _through(courses: Iterable[Course]) -> Course:
    """Whether a run has gone through a gate."""
    found = {*courses}
    if Course.OPEN in found:
        return Course.OPEN
    return Course.TAKEN if Course.TAKEN in found else Course.UNTAKEN


def _box(name: str, graph: Graph, run: Run | None, now: int) -> Box:
    node = graph.nodes[name]
    step = run.steps.get(name) if run else None
    kind = graph.unknown.get(name)
    lines = [f"unknown: {kind}"] if kind else []
    marks = tuple(_marks(node, run, step, graph, now))
    if run is None or step is None:
        look = UNKNOWN if kind else PLAIN
        return Box(tuple(lines), marks, node.when, look, printable(name), "")
    state = state_of(run, step, graph, now)
    parts = [state.word]
    if step.attempt > 1 and not step.round:
        parts.append(f"{step.attempt} attempts")
    if step.round:
        parts.append(f"round {step.round}")
    if step.duration is not None and step.attempt and step.status is not StepStatus.SKIPPED:
        parts.append(length(step.duration))
    stands = " · ".join(parts)
    tooltip = f"{name}, {stands}"
    if because := skipped_because(run, step, graph):
        lines.insert(0, cut(one_line(because), WIDEST_DETAIL))
        tooltip += f": not needed, {because}"
    if step.error and step.status is StepStatus.FAILED:
        lines.insert(0, cut(one_line(step.error.type), WIDEST_DETAIL))
    if step.error:
        tooltip += one_line(f": {step.error.type}: {step.error.message}")
    if names := handled_by(step, graph):
        tooltip += f"; handled by {', '.join(names)}"
    # What waits for a signal has the look of WAITING, so it is a class of its own.
    group = "signal" if state.look is SIGNAL else state.word
    shown = (stands, *lines)
    return Box(shown, marks, node.when, state.look, printable(tooltip), group)


def _marks(
    node: Node, run: Run | None, step: Step | None, graph: Graph, now: int
) -> Iterable[Mark]:
    if node.timer:
        stands = waiting(run, step, graph, now) if run and step else None
        timer = stands.also if stands and stands.what is For.SIGNALS else stands
        if timer and timer.what is For.TIMER and timer.until is not None:
            yield Mark("timer", f"timer until {local(timer.until, now)}")
        else:
            yield Mark("timer", timer_words(node.timer))
    for name in node.awaits:
        yield Mark("signal", _signal(name, node, run, step))
    if node.deadline is not None:
        yield Mark("deadline", deadline_words(node.deadline))


def _signal(name: str, node: Node, run: Run | None, step: Step | None) -> str:
    words = signal_words(name, node)
    if run is None or step is None or step.status is StepStatus.SKIPPED:
        return words
    if name in run.lapsed:
        came_not = f"no signal {name} in time"
        return f"{came_not}: default" if name in run.signals_json else came_not
    if name in run.signals_json:
        return f"had signal {name}"
    waits = step.status is StepStatus.PENDING and not at_rest(run)
    return f"awaits {words}" if waits else words
