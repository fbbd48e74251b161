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


@dataclass(frozen=True)
class Graph:
    """Steps and the steps each depends on, in the order they were written down. Known to be acyclic."""

    depends_on: dict[str, tuple[str, ...]]
    #: The signals that steps wait for besides; steps that wait for none are left out.
    awaits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

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
        """The graph that `to_json` stored."""
        depends_on, awaits = {}, {}
        for name, part in json.loads(text).items():
            if isinstance(part, dict):
                awaits[name] = tuple(part["awaits"])
                part = part["depends_on"]
            depends_on[name] = tuple(part)
        return cls(depends_on, awaits)
