"""Two deployments at once: for a while workers with the old code and with the new take turns, then one is left.

As long as the mixture lasts less than the engine's patience, no run may be parked, or fail for it, that the
code which stays can go on with. A run that it cannot go on with is parked by name, and goes on when code that
can is deployed and the run is redriven.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from fluxio import Retry
from fluxio.definition import WorkflowDefinition
from fluxio.testing.platform import Workflows
from tests.simulation.schedules.drawing import NAME, StepPlan, define

#: A workflow that only the new code has.
FRESH = "Fresh"
#: Milliseconds for which a run that a deployment cannot go on with is left to others.
PATIENCE = 300_000
Plans = dict[str, StepPlan]
Body = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Code:
    """What a process has loaded."""

    plans: Plans
    definitions: dict[str, WorkflowDefinition]

    @classmethod
    def of(
        cls,
        plans: Plans,
        timeout: float | None,
        body: Body,
        *names: str,
        extras: Mapping[str, Any] = MappingProxyType({}),
    ) -> Code:
        made = {name: define(plans.values(), timeout, body, name, extras) for name in names}
        return cls(plans, made)

    @property
    def workflows(self) -> Workflows:
        return Workflows(self.definitions)

    def lacks(self, run: dict[str, Any]) -> list[str]:
        """What a run needs that this code does not have: its workflow, or steps."""
        definition = self.definitions.get(run["workflow"])
        if definition is None:
            return [run["workflow"]]
        return [
            name
            for name, step in run.get("steps", {}).items()
            if step["status"] != "SUCCEEDED" and name not in definition.steps
        ]


@dataclass
class Rollout:
    """Which code is deployed, and when.

    Args:
        kind: what the new code does otherwise than the old.
        old: the code before.
        new: the code after.
        stays: which of them is left at the end: the new, or the old again.
        until: when the mixture ends.
    """

    kind: str
    old: Code
    new: Code
    stays: Code
    until: int
    begin: int

    def current(self, now: int) -> tuple[Code, ...]:
        """The code that a process may have that is invoked now."""
        return (self.stays,) if now >= self.until else (self.old, self.new)

    def wrong(self, run_id: str, run: dict[str, Any], now: int) -> Iterator[str]:
        """What is wrong with the status that a run has just come to."""
        status = run["status"]
        if status not in ("WAITING", "FAILED"):
            return
        error = json.loads(run["error"])
        what = f"{run_id} is {status} while {self.kind}: {error['type']} {error['message']}"
        if status == "WAITING" or error["type"] in ("UnknownWorkflow", "DeploymentError"):
            lacks = self.stays.lacks(run)
            if not lacks:
                yield f"{what}; the code that stays has all that it needs"
            elif now < self.begin + PATIENCE - 10_000:
                yield f"{what}, after {(now - self.begin) / 1000:.0f} s already"
            elif not all(name in error["message"] for name in lacks):
                yield f"{what} does not name {lacks}"
        elif error["type"] == "BindingError" and not self._may_not_bind(run):
            yield what

    def _may_not_bind(self, run: dict[str, Any]) -> bool:
        """Whether the new code may at last be given what the old code returned."""
        new = self.new.definitions[NAME].graph.version
        return self.kind == PARAMETERS and (self.stays is self.new or run["version"] == new)


# --- what changes

PARAMETERS = "a parameter is renamed"


def draw_rollout(
    seed: int, plans: Plans, timeout: float | None, body: Body, begin: int
) -> Rollout | None:
    """In one of eight schedules; else None."""
    rng = random.Random(f"rollout of {seed}")
    if rng.random() > 1 / 8:
        return None
    kind = rng.choice([*_CHANGES, PARAMETERS, PARAMETERS])
    # Many invocations, so that workers of both take part in a run.
    share = 1.0 if kind == PARAMETERS else 0.5
    plans = {
        name: replace(plan, isolated=plan.isolated or rng.random() < share)
        for name, plan in plans.items()
    }
    changed = _CHANGES[kind](rng, plans)
    if changed is None:
        kind = "a step is added"
        changed = _add(rng, plans)
    assert changed is not None
    names = (NAME, FRESH) if kind == "a workflow is added" else (NAME,)
    old = Code.of(plans, timeout, body, NAME)
    new = Code.of(changed, timeout, body, *names)
    lasts = rng.choice([10_000, 60_000, 150_000])
    stays = rng.choice([old, new])
    if kind == PARAMETERS and rng.random() < 0.5:
        stays, lasts = (
            old,
            150_000,
        )  # where the new code may not be given what it wants, but must not fail
    return Rollout(kind, old, new, stays, begin + lasts, begin)


def _extra(depends_on: tuple[str, ...]) -> StepPlan:
    retry = Retry(1, 0.3, 2.0, 1.0)
    return StepPlan("extra", depends_on, retry, 5, False, frozenset(), 0.0, False, False)


def _add(rng: random.Random, plans: Plans) -> Plans | None:
    depends_on = tuple(name for name in plans if rng.random() < 0.5)
    return {**plans, "extra": _extra(depends_on)}


def _insert(rng: random.Random, plans: Plans) -> Plans | None:
    if len(plans) < 2:
        return None
    names = list(plans)
    first, second = sorted(rng.sample(range(len(names)), 2))
    before, after = names[first], plans[names[second]]
    after = replace(after, depends_on=(*after.depends_on, "extra"))
    return {**plans, "extra": _extra((before,)), after.name: after}


def _leaf(rng: random.Random, plans: Plans) -> str | None:
    """A step that nothing depends on and that waits for no signal, if others are left."""
    needed = {dep for plan in plans.values() for dep in plan.depends_on}
    leaves = [plan.name for plan in plans.values() if plan.name not in needed and not plan.awaits]
    return rng.choice(leaves) if leaves and len(plans) > 1 else None


def _remove(rng: random.Random, plans: Plans) -> Plans | None:
    leaf = _leaf(rng, plans)
    return None if leaf is None else {n: plan for n, plan in plans.items() if n != leaf}


def _retire(rng: random.Random, plans: Plans) -> Plans | None:
    leaf = _leaf(rng, plans)
    return None if leaf is None else {**plans, leaf: replace(plans[leaf], retired=True)}


def _rename(rng: random.Random, plans: Plans) -> Plans | None:
    names = [plan.name for plan in plans.values() if not plan.awaits]
    if not names:
        return None
    renamed = rng.choice(names)
    to = {renamed: "renamed"}
    return {
        to.get(plan.name, plan.name): replace(
            plan,
            name=to.get(plan.name, plan.name),
            depends_on=tuple(to.get(dep, dep) for dep in plan.depends_on),
        )
        for plan in plans.values()
    }


def _rename_parameter(rng: random.Random, plans: Plans) -> Plans | None:
    """A step's output has another name as well, and a step behind it wants that one; and a step is added."""
    edges = [(dep, plan.name) for plan in plans.values() for dep in plan.depends_on]
    if not edges:
        return None
    giver, taker = rng.choice(edges)
    return {
        **plans,
        giver: replace(plans[giver], says=("renamed",)),
        taker: replace(plans[taker], requires=("renamed",)),
        "extra": _extra((giver,)),
    }


_CHANGES: dict[str, Callable[[random.Random, Plans], Plans | None]] = {
    "a step is added": _add,
    "a step is inserted": _insert,
    "a step is removed": _remove,
    "a step is retired": _retire,
    "a step is renamed": _rename,
    PARAMETERS: _rename_parameter,
    "a workflow is added": lambda rng, plans: plans,
}
