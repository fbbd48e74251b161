"""The graph of a workflow: its nodes, and which waits for which. It is stored once per version.

A run keeps the graph it was opened with, whatever is deployed later; retries, timeouts and code are the
deployed ones. So a version is a name for names, kinds and edges, nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

from fluxio_protocol.edge import FIRST_OF
from fluxio_protocol.node import ANOTHER_FORM, STEP, Node

#: The form in which graphs are stored. In form 1, a node was a list of what it depends on, or an object without
#: a kind; in form 2, each is an object with a kind. Raise it when a worker that knows this form would misread
#: the next one.
SCHEMA = 2


@dataclass(frozen=True)
class Graph:
    """The nodes of a workflow by name, in the order they were written down. Known to be acyclic."""

    nodes: Mapping[str, Node]

    @classmethod
    def of_steps(
        cls,
        depends_on: Mapping[str, tuple[str, ...]],
        awaits: Mapping[str, tuple[str, ...]] | None = None,
    ) -> Graph:
        """A graph of steps alone.

        Args:
            depends_on: for each step, the steps it depends on.
            awaits: the signals that steps wait for besides; steps that wait for none may be left out.
        """
        awaits = awaits or {}
        return cls({name: Node(deps, awaits.get(name, ())) for name, deps in depends_on.items()})

    @cached_property
    def depends_on(self) -> dict[str, tuple[str, ...]]:
        """For each step, the steps it depends on."""
        return {name: node.depends_on for name, node in self.nodes.items()}

    @cached_property
    def awaits(self) -> dict[str, tuple[str, ...]]:
        """The signals that steps wait for besides; steps that wait for none are left out."""
        return {name: node.awaits for name, node in self.nodes.items() if node.awaits}

    @cached_property
    def unknown(self) -> dict[str, str]:
        """The nodes to which a later version of fluxio has added something, and what, as words for a person.

        A graph that has some can be shown, but no run can go on by it.
        """
        return {name: node.unknown for name, node in self.nodes.items() if node.unknown}

    @cached_property
    def version(self) -> str:
        """Eight hex digits that change when a step or an edge does."""
        # In whichever order edges were written down: a set has none.
        edges = {name: sorted(deps) for name, deps in self.depends_on.items()}
        signals = {name: sorted(names) for name, names in self.awaits.items()}
        kinds = {name: node.kind for name, node in self.nodes.items() if node.kind != STEP}
        more = {name: node.structure for name, node in self.nodes.items() if node.structure}
        # What a graph does not have is left out, so that versions of graphs that are stored stay theirs.
        parts: list[Any] | dict[str, Any] = edges
        if more:
            parts = [edges, signals, kinds, more]
        elif kinds:
            parts = [edges, signals, kinds]
        elif signals:
            parts = [edges, signals]
        text = json.dumps(parts, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    @cached_property
    def dependents(self) -> dict[str, tuple[str, ...]]:
        """For each step, the steps that wait for it."""
        found: dict[str, list[str]] = {name: [] for name in self.depends_on}
        for name, deps in self.depends_on.items():
            for dep in deps:
                found[dep].append(name)
        return {name: tuple(names) for name, names in found.items()}

    @cached_property
    def roots(self) -> tuple[str, ...]:
        """The steps that wait for no other."""
        return tuple(name for name, deps in self.depends_on.items() if not deps)

    @cached_property
    def beginnings(self) -> tuple[str, ...]:
        """The steps that wait for nothing at all: the first worker may take them."""
        return tuple(
            name
            for name in self.roots
            if not self.nodes[name].awaits and not self.nodes[name].timer
        )

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The steps nothing waits for: what they return is the run's result."""
        return tuple(name for name in self.depends_on if not self.dependents[name])

    @cached_property
    def plain(self) -> bool:
        """Whether each step waits for nothing but successes and signals, and no step can be skipped."""
        return not any(node.structure or node.deadline is not None for node in self.nodes.values())

    @cached_property
    def rivals(self) -> dict[str, tuple[str, ...]]:
        """For each step that stands in a `first_of`: the others in it, which its success releases."""
        found: dict[str, dict[str, None]] = {}
        for node in self.nodes.values():
            for edge in node.edges:
                for one in edge.sources if edge.kind == FIRST_OF else ():
                    others = (other for other in edge.sources if other != one)
                    found.setdefault(one, {}).update(dict.fromkeys(others))
        return {name: tuple(others) for name, others in found.items()}

    def handles(self, name: str, kinds: frozenset[str]) -> bool:
        """Whether an edge handles a step's failure, an exception of types with these names."""
        return any(
            edge.handles(name, kinds)
            for dependent in self.dependents.get(name, ())
            for edge in self.nodes[dependent].edges
        )

    def named_errors(self, name: str) -> frozenset[str]:
        """The types that edges name which are about a step's failure."""
        return frozenset(
            error
            for dependent in self.dependents.get(name, ())
            for edge in self.nodes[dependent].edges
            if name in edge.sources
            for error in edge.errors
        )

    @cached_property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The steps in layers: each step stands one layer after the last of those it depends on."""
        sorter = TopologicalSorter(self.depends_on)
        sorter.prepare()  # raises CycleError, whose second argument is the cycle
        found: list[tuple[str, ...]] = []
        while sorter.is_active():
            ready = sorter.get_ready()
            found.append(tuple(name for name in self.depends_on if name in ready))
            sorter.done(*ready)
        return tuple(found)

    @cached_property
    def level(self) -> dict[str, int]:
        """The layer of each step; see `waves`."""
        return {name: level for level, names in enumerate(self.waves) for name in names}

    def to_json(self) -> str:
        """The graph as it is stored, in the form that SCHEMA stands for."""
        nodes = {name: node.to_stored() for name, node in self.nodes.items()}
        return json.dumps(nodes, separators=(",", ":"))

    def to_item(self) -> dict[str, dict[str, str]]:
        """The attributes of the item that it is stored in."""
        return {"schema": {"N": str(SCHEMA)}, "graph": {"S": self.to_json()}}

    @classmethod
    def from_item(cls, item: Mapping[str, Mapping[str, Any]]) -> Graph:
        """The graph of a stored item; see `from_json`."""
        return cls.from_json(item["graph"]["S"], int(item.get("schema", {"N": "1"})["N"]))

    @classmethod
    def from_json(cls, text: str, schema: int = SCHEMA) -> Graph:
        """The graph that `to_json` stored, or one that a later version of fluxio stored, as far as it is known.

        Args:
            text: the graph as it is stored.
            schema: the form it is stored in, which its item says.
        """
        stored: dict[str, Any] = json.loads(text)
        nodes: dict[str, Node] = {}
        for name, part in stored.items():
            node = Node.from_stored(part)
            deps = tuple(dep for dep in node.depends_on if dep in stored)
            known = schema <= SCHEMA and deps == node.depends_on
            unknown = node.unknown or (None if known else ANOTHER_FORM)
            nodes[name] = node._replace(depends_on=deps, unknown=unknown)
        return cls(nodes)
