"""The legend of a picture: what each kind of arrow, gate, mark and box means, of those that occur in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from fluxio_client.cli.picture import Course, Picture
from fluxio_client.cli.waiting import HANDLED
from fluxio_protocol.edge import ANY_OF, FAILED, FIRST_OF, MAYBE, NEEDS


class Entry(NamedTuple):
    """A line of the legend."""

    #: What is shown of it: an arrow, a gate, a diamond, a mark or a box.
    sample: str
    text: str


_ARROWS = {
    NEEDS: "runs once the step above has succeeded",
    MAYBE: "maybe: runs once the step above has ended, or was skipped",
    FAILED: "failed: runs only if the step above has failed; the run goes on",
}
_GATES = {
    ANY_OF: "all have ended, and at least one has succeeded",
    FIRST_OF: "the first success goes on; the others are skipped",
}
_MARKS = {
    "timer": "begins so long after the steps above have ended",
    "signal": "waits for a signal, sent from outside",
    "deadline": "fails if it has not ended in that time",
}


def legend(picture: Picture) -> list[Entry]:
    """What occurs in a picture and does not explain itself; nothing for one of plain steps and arrows."""
    found = [*_kinds(picture)]
    return found if any(entry.sample != "signal" for entry in found) else []


def _kinds(picture: Picture) -> Iterator[Entry]:
    arrows = {arrow.kind for arrow in picture.arrows.values()}
    if arrows & {MAYBE, FAILED}:
        yield from (Entry(kind, text) for kind, text in _ARROWS.items() if kind in arrows)
    gates = {gate.kind for gate in picture.gates.values()}
    yield from (Entry(kind, text) for kind, text in _GATES.items() if kind in gates)
    boxes = picture.boxes.values()
    if any(box.when for box in boxes):
        yield Entry("when", "runs only if its `when` says yes; otherwise it is skipped")
    marks = {mark.kind for box in boxes for mark in box.marks}
    yield from (Entry(kind, text) for kind, text in _MARKS.items() if kind in marks)
    groups = {box.group for box in boxes}
    if HANDLED in groups:
        yield Entry(HANDLED, "failed, and another step handles that: the run goes on")
    if "SKIPPED" in groups or picture.has(Course.UNTAKEN):
        yield Entry("untaken", "faded: not needed, the run went another way")
