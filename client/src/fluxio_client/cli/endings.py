"""How a step has ended other than by success: why it was not needed, and what handles its failure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fluxio_client.cli.conditions import edges_of
from fluxio_protocol.edge import FAILED, NEEDS, Edge
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
from fluxio_protocol.run import Run, Step, StepStatus

#: Why a step was skipped whose code was asked for by no worker.
WHEN = "its `when` said no"


def skipped_because(run: Run, step: Step, graph: Graph | None) -> str | None:
    """Why a step was skipped; None if it was not, or that cannot be told."""
    if step.status is not StepStatus.SKIPPED or graph is None or step.name not in graph.nodes:
        return None
    node = graph.nodes[step.name]
    first = next((name for name in graph.rivals.get(step.name, ()) if _done(run, name)), None)
    # The record of a step that another one of a `first_of` released has no token.
    if first and step.token is None and not step.unread:
        return f"{first} was first"
    if step.attempt:
        return WHEN
    if why := not_needed_because(node, run.steps):
        return why
    if first:
        return f"{first} was first"
    return WHEN if node.when else None


def not_needed_because(node: Node, steps: Mapping[str, Step]) -> str:
    """Which of its edges keep a step from being run, once their sources have ended; "" if none does."""
    found = [
        why
        for edge in edges_of(node)
        if all(s in steps and steps[s].settled for s in edge.sources) and not edge.allows(steps)
        for why in _unmet(edge, steps)
    ]
    return ", ".join(dict.fromkeys(found))


def handled_by(step: Step, graph: Graph | None) -> tuple[str, ...]:
    """The steps whose `failed` edges handle a step's failure."""
    if not step.handled or graph is None or step.name not in graph.nodes:
        return ()
    kinds = step.error.kinds if step.error else frozenset()
    return tuple(
        name
        for name in graph.dependents[step.name]
        if any(edge.handles(step.name, kinds) for edge in graph.nodes[name].edges)
    )


def _done(run: Run, name: str) -> bool:
    return name in run.steps and run.steps[name].status is StepStatus.SUCCEEDED


def _unmet(edge: Edge, steps: Mapping[str, Step]) -> Iterator[str]:
    if edge.kind not in (NEEDS, FAILED):
        yield f"none of {', '.join(edge.sources)} succeeded"
        return
    (name,) = edge.sources
    source = steps[name]
    if source.status is StepStatus.SUCCEEDED:
        yield f"{name} did not fail"
    elif source.status is StepStatus.SKIPPED:
        yield f"{name} was skipped"
    elif edge.kind == FAILED and source.error:
        yield f"{name} failed with {source.error.type}, not with {' or '.join(edge.errors)}"
    else:
        yield f"{name} failed"
