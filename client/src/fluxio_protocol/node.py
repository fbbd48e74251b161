"""A node of a workflow's graph: what kind it is, and what it waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from fluxio_protocol.edge import KINDS, Edge

#: The kind of a node that a worker claims and whose code it runs: the only one so far.
STEP = "step"

#: The keys of a stored node that are known.
_KNOWN = {"kind", "depends_on", "awaits", "edges", "when", "timer", "timeouts", "deadline"}

#: What is said of a node in a form that a later version of fluxio gave it.
ANOTHER_FORM = "node of another form"


class Timer(NamedTuple):
    """A time that a step waits for once the steps before it have ended."""

    #: Milliseconds from then on; None if the time stands in a value.
    after: int | None = None
    #: Where the time stands: `input` or a step, and the names of fields, with dots between.
    at: str | None = None


class SignalTimeout(NamedTuple):
    """How long a step waits for a signal once the steps before it have ended."""

    #: Milliseconds.
    after: int
    #: What is bound instead, as JSON; None: the step fails.
    default: str | None = None


class Node(NamedTuple):
    """A node, without its name.

    How long something may take is not part of a graph's version: a run goes by what is deployed under its
    version, and by what was stored with the graph once another version is deployed.
    """

    #: The nodes it depends on, by whatever edge.
    depends_on: tuple[str, ...] = ()
    #: The signals it waits for besides.
    awaits: tuple[str, ...] = ()
    #: What it is; STEP, unless a later version of fluxio stored it.
    kind: str = STEP
    #: What a later version of fluxio has added, as words for a person; None if all of it is known. A graph with
    #: such a node can be shown, but no run can go on by it.
    unknown: str | None = None
    #: The edges that ask otherwise than that a node has succeeded.
    edges: tuple[Edge, ...] = ()
    #: Whether a predicate decides, once it is claimed, whether its code runs.
    when: bool = False
    timer: Timer | None = None
    #: By signal, for those that are not waited for as long as it takes.
    timeouts: Mapping[str, SignalTimeout] = {}
    #: Milliseconds that it may take from when the steps before it have ended, all attempts and rounds together.
    deadline: int | None = None

    @property
    def has_clock(self) -> bool:
        """Whether it matters when the nodes before it have ended."""
        return bool(self.timer or self.timeouts or self.deadline is not None)

    @property
    def structure(self) -> list[Any]:
        """What is part of the graph's version besides the kind and the names of nodes and signals."""
        found: list[Any] = []
        if self.edges:
            found.append(sorted([e.kind, sorted(e.sources), sorted(e.errors)] for e in self.edges))
        if self.when:
            found.append("when")
        if self.timer:
            found.append(["timer", self.timer.at])
        if self.timeouts:
            found.append([[name, of.default] for name, of in sorted(self.timeouts.items())])
        return found

    def to_stored(self) -> dict[str, Any]:
        """The node as it is stored in its graph."""
        stored: dict[str, Any] = {"kind": self.kind}
        if self.depends_on:
            stored["depends_on"] = self.depends_on
        if self.awaits:
            stored["awaits"] = self.awaits
        if self.edges:
            stored["edges"] = self.edges
        if self.when:
            stored["when"] = True
        if self.timer:
            stored["timer"] = self.timer
        if self.timeouts:
            stored["timeouts"] = dict(self.timeouts)
        if self.deadline is not None:
            stored["deadline"] = self.deadline
        return stored

    @classmethod
    def from_stored(cls, stored: object) -> Node:
        """The node that `to_stored` made, as far as it is known.

        Two earlier forms are read, too: a list of what the node depends on, and an object without a kind.
        """
        node = stored if isinstance(stored, dict) else {"depends_on": stored}
        kind = str(node.get("kind", STEP))
        unknown = None
        if kind != STEP:
            unknown = kind
        elif more := sorted({*node} - _KNOWN):
            unknown = f"step with {', '.join(more)}"
        elif not isinstance(stored, (dict, list)):
            unknown = ANOTHER_FORM
        made = cls(_names(node.get("depends_on")), _names(node.get("awaits")), kind, unknown)
        try:
            return made._replace(**_modifiers(node))
        except (TypeError, ValueError, KeyError):
            return made._replace(unknown=unknown or ANOTHER_FORM)


def _modifiers(node: Mapping[str, Any]) -> dict[str, Any]:
    """What a stored node has besides what it depends on and awaits.

    Raises:
        TypeError, ValueError, KeyError: a later version of fluxio stores it otherwise.
    """
    found: dict[str, Any] = {}
    if "edges" in node:
        edges = [Edge(kind, _names(of), _names(errors)) for kind, of, errors in node["edges"]]
        if unknown := {edge.kind for edge in edges} - {*KINDS}:
            raise ValueError(unknown)
        found["edges"] = tuple(edges)
    if node.get("when"):
        found["when"] = True
    if "timer" in node:
        after, at = node["timer"]
        found["timer"] = Timer(after, at)
    if "timeouts" in node:
        timeouts = {name: SignalTimeout(*of) for name, of in node["timeouts"].items()}
        found["timeouts"] = timeouts
    if "deadline" in node:
        found["deadline"] = int(node["deadline"])
    return found


def _names(given: object) -> tuple[str, ...]:
    """A list of names; nothing where something else stands."""
    if not isinstance(given, (list, tuple)):
        return ()
    return tuple(name for name in given if isinstance(name, str))
