"""In one of three schedules: edges of all kinds, predicates, timers, timeouts, rounds."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from fluxio import any_of, failed, first_of, maybe, signal, timer
from fluxio.errors import DefinitionError
from fluxio_protocol.edge import Edge
from tests.simulation.schedules.drawing import StepPlan, Weather, define

#: The names that predicates raise and fail under.
UNSURE = "the predicate is not sure yet"


@dataclass(frozen=True)
class Extra:
    """What a step is besides what `StepPlan` says."""

    edges: tuple[Edge, ...] = ()
    #: What its predicate says; None: it has none. Its first calls raise, as many as that.
    when: bool | None = None
    unsure: int = 0
    #: Seconds.
    timer: float = 0
    deadline: float | None = None
    #: Seconds that it waits for each of its signals; and whether there is a default then.
    signal_timeout: float = 0
    default: bool = False
    #: How often it asks to be run again, and after how many seconds.
    rounds: int = 0
    after: float = 0
    long_state: bool = False

    def depends_on(self, plan: StepPlan) -> list[Any]:
        """What a user would have written."""
        soft = {source for edge in self.edges for source in edge.sources}
        found: list[Any] = [dep for dep in plan.depends_on if dep not in soft]
        found += self.edges
        if self.timer:
            found.append(timer(self.timer))
        if self.signal_timeout:
            more = {"default": None} if self.default else {}
            found += [signal(name, timeout=self.signal_timeout, **more) for name in plan.awaits]
        return found

    def predicate(self) -> Callable[..., bool] | None:
        """The function that `when` is given."""
        if self.when is None:
            return None
        asked: dict[str, int] = {}

        def when(ctx: Any) -> bool:
            asked[ctx.run_id] = asked.get(ctx.run_id, 0) + 1
            if asked[ctx.run_id] <= self.unsure:
                raise RuntimeError(UNSURE)
            return bool(self.when)

        return when


PLAIN = Extra()


def draw_language(
    seed: int, weather: Weather, plans: list[StepPlan]
) -> tuple[list[StepPlan], dict[str, Extra]]:
    """By dice of their own, so that the rest stays as it was drawn."""
    rng = random.Random(f"language of {seed}")
    if rng.random() > 0.34:
        return plans, {}
    found, extras = [], {}
    #: For each step, all that it depends on, through others, too.
    behind: dict[str, set[str]] = {}
    for plan in plans:
        edges = _draw_edges(rng, plan, behind)
        behind[plan.name] = {*plan.depends_on}.union(*(behind[dep] for dep in plan.depends_on))
        for edge in edges:
            if edge.kind == "failed" and rng.random() < 0.6:
                (name,) = edge.sources
                at = next(n for n, one in enumerate(found) if one.name == name)
                found[at] = replace(found[at], raises=frozenset(range(1, 200)))
        far = weather.sweeper
        waits = rng.choice([0, 0, 0, 0, 1, 30, 400 if far else 60])
        deadline = rng.choice([None, None, None, None, 20, 200])
        signal_timeout = rng.choice([0, 5, 60, 500 if far else 100]) if plan.awaits else 0
        if deadline is not None and deadline <= max(waits, signal_timeout):
            deadline = None  # it would be over before, and is refused
        extras[plan.name] = Extra(
            edges=edges,
            when=rng.choice([None, None, None, True, False]),
            unsure=min(rng.choice([0, 0, 1]), plan.retry.max),
            timer=waits,
            deadline=deadline,
            signal_timeout=signal_timeout,
            default=rng.random() < 0.6,
            rounds=rng.choice([0, 0, 0, 1, 3]),
            after=rng.choice([0, 0, 5, 300 if far else 60]),
            long_state=rng.random() < 0.2,
        )
        found.append(plan)
    try:
        define(found, None, lambda *_: None, extras=extras)
    except DefinitionError:
        return plans, {}  # some step could never run
    return found, extras


def _draw_edges(
    rng: random.Random, plan: StepPlan, behind: dict[str, set[str]]
) -> tuple[Edge, ...]:
    left = [*plan.depends_on]
    rng.shuffle(left)
    edges: list[Edge] = []
    while left and rng.random() < 0.7:
        kind = rng.choice(["maybe", "maybe", "failed", "any_of", "first_of"])
        if kind == "maybe":
            edges.append(maybe(left.pop()))
        elif kind == "failed":
            errors = rng.choice([(), (), (RuntimeError,), (Exception,), ("Other", "WorkerLost")])
            edges.append(failed(left.pop(), *errors))
        elif len(left) >= 2:
            some = [left.pop() for _ in range(rng.randint(2, len(left)))]
            # Of two steps that stand behind each other, only one can ever be the first.
            apart = all(behind[one].isdisjoint(some) for one in some)
            edges.append(first_of(*some) if kind == "first_of" and apart else any_of(*some))
    return tuple(edges)
