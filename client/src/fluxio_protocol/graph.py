"""The graph of a workflow: which step waits for which. It is stored once per version.

A run keeps the graph it was opened with, whatever is deployed later; retries, timeouts and code are the
deployed ones. So a version is a name for names and edges, nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from graphlib import TopologicalSorter
from typing import Any

#: The one kind of node there is.
STEP = "step"

#: What is known of a node that is stored as an object.
_KNOWN = {"kind", "depends_on", "awaits"}


@dataclass(frozen=True)
class Graph:
    """Steps and the steps each depends on, in the order they were written down. Known to be acyclic."""

    depends_on: dict[str, tuple[str, ...]]
    #: The signals that steps wait for besides; steps that wait for none are left out.
    awaits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    #: What of a node a later version of fluxio has added, as words for a person. Such a graph can be shown,
    #: but not gone by.
    unknown: Mapping[str, str] = field(default_factory=dict)

    @cached_property
    def version(self) -> str:
        """Eight hex digits that change when a step or an edge does."""
        # In whichever order edges were written down: a set has none.
        edges = {name: sorted(deps) for name, deps in self.depends_on.items()}
        signals = {name: sorted(names) for name, names in self.awaits.items()}
        text = json.dumps([edges, signals] if signals else edges, separators=(",", ":"))
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
        """The steps that wait for nothing."""
        return tuple(name for name, deps in self.depends_on.items() if not deps)

    @cached_property
    def leaves(self) -> tuple[str, ...]:
        """The steps nothing waits for: what they return is the run's result."""
        return tuple(name for name in self.depends_on if not self.dependents[name])

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

    def to_json(self) -> str:
        """The graph as it is stored."""
        parts = {
            name: {"depends_on": deps, "awaits": self.awaits[name]} if name in self.awaits else deps
            for name, deps in self.depends_on.items()
        }
        return json.dumps(parts, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Graph:
        """The graph that `to_json` stored, or one that a later version of fluxio stored, as far as it goes."""
        parts: dict[str, Any] = json.loads(text)
        depends_on: dict[str, tuple[str, ...]] = {}
        awaits: dict[str, tuple[str, ...]] = {}
        unknown: dict[str, str] = {}
        for name, part in parts.items():
            node = part if isinstance(part, dict) else {"depends_on": part}
            deps = _names(node.get("depends_on"))
            depends_on[name] = tuple(dep for dep in deps if dep in parts)
            if signals := _names(node.get("awaits")):
                awaits[name] = signals
            kind = str(node.get("kind", STEP))
            if kind != STEP:
                unknown[name] = kind
            elif more := sorted({*node} - _KNOWN):
                unknown[name] = f"step with {', '.join(more)}"
            elif len(depends_on[name]) < len(deps) or not isinstance(part, (dict, list)):
                unknown[name] = "node of another form"
        return cls(depends_on, awaits, unknown)


def _names(given: object) -> tuple[str, ...]:
    """A list of names; nothing where something else stands."""
    if not isinstance(given, (list, tuple)):
        return ()
    return tuple(name for name in given if isinstance(name, str))
