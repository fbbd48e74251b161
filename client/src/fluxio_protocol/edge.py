"""Edges: what a step asks of the steps before it, and whether it may begin, or is skipped.

All steps that an edge names must have ended before it says anything: what has ended stays as it is, so the
verdict follows from the run alone, for whoever looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from fluxio_protocol.run import Step, StepStatus

if TYPE_CHECKING:
    from fluxio_protocol.node import Node

#: What an edge without a kind asks: that its one source has succeeded.
NEEDS = "needs"
#: That its source has ended, in whatever way.
MAYBE = "maybe"
#: That its source has failed for good, with one of the errors if some are named. It handles the failure.
FAILED = "failed"
#: That all sources have ended, and one of them at least has succeeded.
ANY_OF = "any_of"
#: That one source has succeeded; the write in which the first of them does releases the others.
FIRST_OF = "first_of"

KINDS = (NEEDS, MAYBE, FAILED, ANY_OF, FIRST_OF)


class Edge(NamedTuple):
    """One entry of `depends_on` that is more than a step's name."""

    kind: str
    #: The steps it is about.
    sources: tuple[str, ...]
    #: For FAILED: the names of the exception types that it is about; none: any.
    errors: tuple[str, ...] = ()

    def handles(self, name: str, kinds: frozenset[str]) -> bool:
        """Whether a step's failure, an exception of these types, is handled by this edge."""
        if self.kind != FAILED or name not in self.sources:
            return False
        return not self.errors or not kinds.isdisjoint(self.errors)

    def allows(self, steps: Mapping[str, Step]) -> bool:
        """Whether the step may begin, as far as this edge goes, whose sources have all ended."""
        if self.kind == MAYBE:
            return True
        if self.kind == FAILED:
            (source,) = self.sources
            error = steps[source].error
            failed = steps[source].status is StepStatus.FAILED and error is not None
            return failed and self.handles(source, error.kinds if error else frozenset())
        done = [steps[source].status is StepStatus.SUCCEEDED for source in self.sources]
        return any(done) if self.kind in (ANY_OF, FIRST_OF) else all(done)


class Verdict(Enum):
    """What becomes of a step, as far as the steps before it go."""

    #: Some of them have not ended.
    WAIT = "wait"
    #: It may be claimed.
    BEGIN = "begin"
    #: It is not needed: it is SKIPPED.
    SKIP = "skip"


def verdict(node: Node, steps: Mapping[str, Step]) -> Verdict:
    """What becomes of a step that is PENDING.

    Args:
        node: the step in its graph.
        steps: the run's steps, or those that it has if a write goes through.
    """
    if not all(steps[source].settled for source in node.depends_on):
        return Verdict.WAIT
    soft = {source for edge in node.edges for source in edge.sources}
    needed = (steps[s].status is StepStatus.SUCCEEDED for s in node.depends_on if s not in soft)
    if all(needed) and all(edge.allows(steps) for edge in node.edges):
        return Verdict.BEGIN
    return Verdict.SKIP
