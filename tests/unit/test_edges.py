"""What each edge makes of each way in which its sources end."""

from __future__ import annotations

from itertools import product

import pytest

from fluxio import any_of, failed, first_of, maybe
from fluxio_protocol.edge import Edge, Verdict, verdict
from fluxio_protocol.node import Node
from fluxio_protocol.run import Failure, Step, StepStatus

#: Each way in which a source may stand.
STANDS = {
    "pending": Step("x", StepStatus.PENDING),
    "running": Step("x", StepStatus.RUNNING, 1),
    "succeeded": Step("x", StepStatus.SUCCEEDED, 1),
    "skipped": Step("x", StepStatus.SKIPPED),
    "failed": Step("x", StepStatus.FAILED, 1, error=Failure("Refused", "no", "x", 1)),
    "handled": Step(
        "x", StepStatus.FAILED, 1, error=Failure("Refused", "no", "x", 1, ("Base",)), handled=True
    ),
}

WAIT, BEGIN, SKIP = Verdict.WAIT, Verdict.BEGIN, Verdict.SKIP

#: What an edge to one source says when that has ended; it waits while it has not.
ONE = {
    "x": (None, {"succeeded": BEGIN, "skipped": SKIP, "handled": SKIP}),
    "maybe": (maybe("x"), {"succeeded": BEGIN, "skipped": BEGIN, "handled": BEGIN}),
    "failed": (failed("x"), {"succeeded": SKIP, "skipped": SKIP, "handled": BEGIN}),
    "failed with its type": (
        failed("x", "Other", "Refused"),
        {"succeeded": SKIP, "skipped": SKIP, "handled": BEGIN},
    ),
    "failed with a base of its type": (
        failed("x", "Base"),
        {"succeeded": SKIP, "skipped": SKIP, "handled": BEGIN},
    ),
    "failed with another type": (
        failed("x", "Other"),
        {"succeeded": SKIP, "skipped": SKIP, "handled": SKIP},
    ),
}

ENDED = ("succeeded", "skipped", "handled")


@pytest.mark.parametrize("edge", ONE)
@pytest.mark.parametrize("stands", STANDS)
def test_an_edge_to_one_step(edge: str, stands: str) -> None:
    made, verdicts = ONE[edge]
    node = Node(("x",), edges=(made,) if made else ())
    assert verdict(node, {"x": STANDS[stands]}) is verdicts.get(stands, WAIT)


@pytest.mark.parametrize("edge", [any_of("x", "y"), first_of("x", "y")], ids=lambda e: str(e.kind))
@pytest.mark.parametrize(("x", "y"), list(product(STANDS, STANDS)))
def test_an_edge_to_several_steps(edge: Edge, x: str, y: str) -> None:
    expected = WAIT
    if x in ENDED and y in ENDED:
        expected = BEGIN if "succeeded" in (x, y) else SKIP
    node = Node(("x", "y"), edges=(edge,))
    assert verdict(node, {"x": STANDS[x], "y": STANDS[y]}) is expected


@pytest.mark.parametrize(("x", "y"), list(product(STANDS, STANDS)))
def test_two_edges_must_both_allow_it(x: str, y: str) -> None:
    node = Node(("x", "y"), edges=(maybe("y"),))
    expected = WAIT
    if x in ENDED and y in ENDED:
        expected = BEGIN if x == "succeeded" else SKIP
    assert verdict(node, {"x": STANDS[x], "y": STANDS[y]}) is expected
