"""A node of a workflow's graph: what kind it is, and what it waits for."""

from __future__ import annotations

from typing import Any, NamedTuple

#: The kind of a node that a worker claims and whose code it runs: the only one so far.
STEP = "step"

#: The keys of a stored node that are known. The version of fluxio that stored nodes in the earlier forms knows
#: the same, so that it can go by graphs that are stored now.
_KNOWN = {"kind", "depends_on", "awaits"}

#: What is said of a node in a form that a later version of fluxio gave it.
ANOTHER_FORM = "node of another form"


class Node(NamedTuple):
    """A node, without its name."""

    #: The nodes it depends on.
    depends_on: tuple[str, ...] = ()
    #: The signals it waits for besides.
    awaits: tuple[str, ...] = ()
    #: What it is; STEP, unless a later version of fluxio stored it.
    kind: str = STEP
    #: What a later version of fluxio has added, as words for a person; None if all of it is known. A graph with
    #: such a node can be shown, but no run can go on by it.
    unknown: str | None = None

    def to_stored(self) -> dict[str, Any]:
        """The node as it is stored in its graph."""
        stored: dict[str, Any] = {"kind": self.kind}
        if self.depends_on:
            stored["depends_on"] = self.depends_on
        if self.awaits:
            stored["awaits"] = self.awaits
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
        return cls(_names(node.get("depends_on")), _names(node.get("awaits")), kind, unknown)


def _names(given: object) -> tuple[str, ...]:
    """A list of names; nothing where something else stands."""
    if not isinstance(given, (list, tuple)):
        return ()
    return tuple(name for name in given if isinstance(name, str))
