"""Whether a step is needed, told from the run's steps alone: the watch's own reading of the edges.

Written without a look at `fluxio_protocol.edge`, so that a mistake there is not made here as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from fluxio_protocol.graph import Graph

Steps = Mapping[str, Mapping[str, Any]]


def over(step: Mapping[str, Any]) -> bool:
    """Whether a step has ended for good."""
    return step["status"] in ("SUCCEEDED", "SKIPPED") or bool(step.get("final"))


def needed(graph: Graph, name: str, steps: Steps) -> bool | None:
    """Whether a step is to run; None while that is open."""
    node = graph.nodes[name]
    if any(not over(steps[dep]) for dep in node.depends_on):
        return None
    plain = {*node.depends_on}
    answers = []
    for kind, sources, errors in node.edges:
        plain -= {*sources}
        successes = sum(steps[source]["status"] == "SUCCEEDED" for source in sources)
        if kind == "failed":
            failed = steps[sources[0]]
            names = {failed.get("error_type"), *failed.get("error_bases", ())}
            answers.append(failed["status"] == "FAILED" and (not errors or bool(names & {*errors})))
        elif kind != "maybe":
            answers.append(successes > 0)
    answers += [steps[dep]["status"] == "SUCCEEDED" for dep in plain]
    return all(answers)


def failure(step: Mapping[str, Any]) -> tuple[str, set[str]]:
    """The type of a step's error, and all types that it is known to be of."""
    if step.get("final"):
        found = step["error_type"], step["error_bases"]
    else:
        error = json.loads(step["error"])
        found = error["type"], error.get("is", [])
    return found[0], {found[0], *found[1]}


def handled(graph: Graph, name: str, types: set[str]) -> bool:
    """Whether an edge handles a step's failure with an error of these types."""
    return any(
        kind == "failed" and name in sources and (not errors or not types.isdisjoint(errors))
        for node in graph.nodes.values()
        for kind, sources, errors in node.edges
    )


def beaten(graph: Graph, name: str, steps: Steps) -> bool:
    """Whether another step of a `first_of` has succeeded."""
    return any(steps[rival]["status"] == "SUCCEEDED" for rival in rivals(graph, name))


def rivals(graph: Graph, name: str) -> set[str]:
    """The other steps of the `first_of` that a step stands in."""
    found: set[str] = set()
    for node in graph.nodes.values():
        for kind, sources, _ in node.edges:
            if kind == "first_of" and name in sources:
                found |= {*sources} - {name}
    return found


def winners(graph: Graph, steps: Steps) -> Iterator[tuple[str, list[str]]]:
    """For each `first_of`, those of its steps that have succeeded."""
    for name, node in graph.nodes.items():
        for kind, sources, _ in node.edges:
            if kind == "first_of":
                yield name, [one for one in sources if steps[one]["status"] == "SUCCEEDED"]


def waits_since(graph: Graph, name: str, steps: Steps, run: Mapping[str, Any]) -> int | None:
    """From when on a step's timeouts count; None if steps before it have not ended."""
    since = steps[name].get("since")
    return edges_in(graph, name, steps, run) if since is None else int(since)


def edges_in(graph: Graph, name: str, steps: Steps, run: Mapping[str, Any]) -> int | None:
    """When the steps before a step had all ended; None if they have not."""
    before = graph.nodes[name].depends_on
    if not before:
        return int(run.get("opened_at", run["created_at"]))
    ended = [steps[dep].get("ended_at") for dep in before]
    return None if None in ended else max(int(at) for at in ended if at is not None)
