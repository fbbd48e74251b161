"""Breakages of what the workflow language adds: edges, predicates, rounds, timers and timeouts."""

from __future__ import annotations

from typing import Any

import fluxio.claims
import fluxio.passing
import fluxio_protocol.changes as to
import fluxio_protocol.standing
from fluxio_protocol.edge import Edge, Verdict
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node
from fluxio_protocol.transitions import Guard
from tests.simulation.breakages import both, without, wrap
from tests.simulation.fault import Planted

KINDS = ("language",)


def loosely(sound: Any, node: Node, steps: Any) -> Verdict:
    """A step begins though a step that it needs was skipped."""
    said: Verdict = sound(node, steps)
    return Verdict.BEGIN if said is Verdict.SKIP and not node.edges else said


def stateless(sound: Any, step: Any, token: str, not_before: int, state: Any, *more: Any) -> Any:
    return sound(step, token, not_before, {}, *more)


def at_work_by_any_token(sound: Any, run: Any, hand: Any) -> bool:
    return any(step.token == hand.token for step in run.steps.values())


def early(sound: Any, run: Any, step: Any, node: Node) -> Any:
    """A clock that is half a minute fast."""
    found = sound(run, step, node)
    return found._replace(timer=None if found.timer is None else found.timer - 30_000)


def impatient(sound: Any, run: Any, step: Any, node: Node) -> Any:
    """A deadline that is half a minute early."""
    found = sound(run, step, node)
    return found._replace(deadline=None if found.deadline is None else found.deadline - 30_000)


LANGUAGE = [
    Planted(
        "a success does not release the other steps of a first_of",
        lambda patch: patch.setattr(Graph, "rivals", property(lambda self: {})),
        ("the first of three", {}),
        "which were all the first that buy waits for",
    ),
    Planted(
        "a failure is final though no edge handles it",
        lambda patch: patch.setattr(Graph, "handles", lambda self, name, kinds: True),
        2,
        "and that is final",
        KINDS,
    ),
    Planted(
        "a failure that an edge handles ends the run",
        lambda patch: patch.setattr(Graph, "handles", lambda self, name, kinds: False),
        ("a failure that is handled", {}),
        "and that is not final",
    ),
    Planted(
        "an edge is about any error whatever it names",
        lambda patch: patch.setattr(
            Edge,
            "handles",
            lambda self, name, kinds: self.kind == "failed" and name in self.sources,
        ),
        3,
        "and that is final",
        KINDS,
    ),
    Planted(
        "a step begins though one that it needs was skipped",
        both(
            wrap(fluxio.passing, "verdict", loosely),
            wrap(fluxio_protocol.standing, "verdict", loosely),
        ),
        ("a choice of two branches", {}),
        "was claimed before what it depends on had succeeded",
    ),
    Planted(
        "a step that is run again does not ask whose claim it is",
        without("again", Guard.FENCE),
        912,
        "which has not failed",
        KINDS,
    ),
    Planted(
        "a next round that begins at once does not ask whose claim it is",
        without("again_here", Guard.FENCE),
        1430,
        "is run again",
        KINDS,
    ),
    Planted(
        "what a step keeps for its next round is lost",
        wrap(to, "again", stateless),
        5,
        "has the state",
        KINDS,
    ),
    Planted(
        "a timer is over too early",
        both(wrap(fluxio_protocol.standing, "clocks", early)),
        9,
        "before its timer was over",
        KINDS,
    ),
    Planted(
        "a deadline is over too early",
        wrap(fluxio_protocol.standing, "clocks", impatient),
        2,
        "has failed for StepDeadline",
        KINDS,
    ),
    Planted(
        "a timeout does not ask whether the signal has come",
        without("lapse", Guard.UNSIGNALLED),
        523,
        "has lost signal:",
        KINDS,
    ),
    Planted(
        "a worker that has recorded what has lapsed takes that for work of its own",
        wrap(fluxio.claims, "at_work", at_work_by_any_token),
        ("timers and timeouts", {6: "after"}),
        "it never came to rest",
    ),
]
