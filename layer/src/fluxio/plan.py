"""What the deployment says of a run: the plan to go by, or why it cannot go on with it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Failure

#: Milliseconds for which a deployment must have been unable to go on with a run before the run is parked: while
#: a deploy is under way, workers with the old code and the new one, or half of each, take turns. A deployment
#: may set less (the module's `park_after`), but no more: a message waits for it.
PATIENCE = 300_000


class StepPolicy(NamedTuple):
    """How the deployed code wants a step run."""

    #: Milliseconds an attempt may take.
    timeout: int
    #: Attempts after which an exception makes the step FAILED.
    attempts: int
    #: Attempts after which a dead worker makes the step FAILED.
    attempts_under_crashes: int
    isolated: bool = False


class Plan(NamedTuple):
    """The graph of a run, with the deployed policy of each of its steps."""

    workflow: str
    graph: Graph
    policies: Mapping[str, StepPolicy]
    #: Milliseconds a run may take from its start, by AWS's clock; None: as long as it needs.
    timeout: int | None
    #: Steps of a fan-out that run as threads of one invocation; 0: each in its own.
    inline_branches: int


class Problem(NamedTuple):
    """Why the deployment cannot go on with a run: it fails, or is parked for an operator."""

    failure: Failure
    parks: bool
    #: Milliseconds for which it must have been so.
    patience: int = PATIENCE
