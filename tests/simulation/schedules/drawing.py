"""What a schedule draws from its seed: the workflow, its steps, the weather."""

from __future__ import annotations

import inspect
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from inspect import Parameter
from types import MappingProxyType
from typing import Any

from fluxio import Retry, StepContext, step, workflow
from fluxio.definition import WorkflowDefinition, definition_of

NAME = "Random"


@dataclass(frozen=True)
class StepPlan:
    """A step as it was drawn."""

    name: str
    depends_on: tuple[str, ...]
    retry: Retry
    timeout: float | None
    isolated: bool
    #: Attempts that raise.
    raises: frozenset[int]
    #: The share of its attempts that take longer than their timeout.
    overruns: float
    long: bool
    transacts: bool
    awaits: tuple[str, ...] = ()
    retired: bool = False
    #: Parameters that it cannot do without; and names that its output has besides its own.
    requires: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    #: Whether it kills its process each time, until its code is mended.
    kills: bool = False
    #: How many runs of its own workflow it starts, in a run that nobody's step has started.
    starts: int = 0


@dataclass(frozen=True)
class Weather:
    """How often what goes wrong, and how the deployment is set."""

    #: Shares of calls.
    dies: float
    throttled: float
    unanswered: float
    twice: float
    late: float
    #: Shares of turns.
    lapses: float
    sweeps: float
    #: Share of messages that come to another worker while theirs stands still; and of those that stand
    #: still, the share that comes back just when its steps are taken over.
    handed_on: float
    comes_back: float
    #: Share of batches of which SQS takes only a part.
    halves: float
    #: Share of calls that take seconds, and that take minutes.
    slow: float
    stalls: float
    stale_deletes: float
    #: Milliseconds that indexes and eventually consistent reads are behind.
    lag: int
    #: How many calls the storm lasts.
    storm: int
    #: Whether the sweeper runs at all. Without it, nothing may be left to it.
    sweeper: bool
    inline_branches: int
    function_timeout: int
    workers: int
    runs: int
    #: Seconds the workflow gives a run; None: as long as it needs.
    timeout: float | None
    #: The share of runs that somebody cancels, and that an operator sends on when they have failed.
    cancels: float
    redrives: float


def draw_weather(rng: random.Random) -> Weather:
    """Weather from mild to wild."""
    wild = rng.choice([0.0, 0.01, 0.03, 0.1, 0.25])
    sweeper = rng.random() < 0.5

    def share(most: float = 1.0) -> float:
        return rng.choice([0.0, 0.3, 1.0]) * wild * most

    return Weather(
        dies=share(),
        throttled=share(),
        unanswered=share(0.5),
        twice=share(),
        late=share(),
        lapses=share(),
        handed_on=rng.choice([0.0, 0.5, 1.0]),
        comes_back=rng.choice([0.0, 0.5, 1.0]),
        sweeps=share(0.2) if sweeper else 0.0,
        halves=share(3),
        slow=rng.choice([0.0, 0.05]),
        stalls=rng.choice([0.0, 0.0, 0.02, 0.1]),
        stale_deletes=rng.choice([0.0, 0.5]) if sweeper else 0.0,
        lag=rng.choice([0, 0, 50, 2000]),
        storm=rng.choice([30, 60, 120, 250]),
        sweeper=sweeper,
        inline_branches=rng.choice([10, 10, 0, 0, 2, 3]),
        function_timeout=rng.choice([30, 60, 120, 120]),
        workers=rng.choice([1, 2, 3, 4, 6]),
        runs=rng.choice([1, 1, 1, 1, 2, 3]),
        timeout=rng.choice([None] * 6 + [30, 300]),
        cancels=rng.choice([0.0, 0.0, 0.0, 0.5]),
        redrives=rng.choice([0.0, 0.5]) if sweeper else 0.0,
    )


def draw_steps(rng: random.Random, weather: Weather) -> list[StepPlan]:
    """A random graph of one to eight steps."""
    density = rng.choice([0.2, 0.35, 0.6])
    steps: list[StepPlan] = []
    for number in range(rng.randint(1, 8)):
        earlier = [step.name for step in steps]
        retries = rng.choice([0, 1, 3, 3, 6])
        failing = rng.random()
        raises: frozenset[int] = frozenset()
        if failing < 0.2:
            raises = frozenset(n for n in range(1, retries + 1) if rng.random() < 0.5)
        elif failing < 0.24:
            raises = frozenset(range(1, 200))
        # A backoff that is longer than a message is held needs the sweeper.
        initial = rng.choice([0.0, 0.3, 2.0, 20.0, 400.0 if weather.sweeper else 90.0])
        longest = 300.0 if weather.sweeper else 100.0
        steps.append(
            StepPlan(
                name=f"s{number}",
                depends_on=tuple(name for name in earlier if rng.random() < density),
                retry=Retry(retries, initial, 2.0, max(longest, initial)),
                timeout=rng.choice([None, 1, 5, 5, 20]),
                isolated=rng.random() < 0.15,
                raises=raises,
                overruns=rng.choice([0.0] * 8 + [0.3]),
                long=rng.random() < 0.1,
                transacts=rng.random() < 0.1,
            )
        )
    return steps


def draw_signals(seed: int, plans: list[StepPlan]) -> list[StepPlan]:
    """In one of four schedules some steps wait for signals; by dice of their own, so the rest stays."""
    rng = random.Random(f"signals of {seed}")
    if rng.random() > 0.25:
        return plans
    return [
        replace(
            plan,
            awaits=tuple(f"go{n}_{plan.name}" for n in range(rng.choice([0, 0, 0, 1, 1, 2]))),
        )
        for plan in plans
    ]


def draw_starts(seed: int, plans: list[StepPlan]) -> list[StepPlan]:
    """In one of eight schedules some steps start other runs, which nobody signals; by dice of their own."""
    rng = random.Random(f"starters of {seed}")
    if rng.random() > 0.12 or any(plan.awaits for plan in plans):
        return plans
    return [replace(plan, starts=rng.choice([0, 0, 1, 2])) for plan in plans]


def draw_haste(seed: int, weather: Weather) -> int:
    """How often an operator redrives a run the moment it has FAILED: in one schedule of four; else never.

    Only where the sweeper runs: two redrives within a second send one message.
    """
    rng = random.Random(f"haste of {seed}")
    return rng.randint(1, 5) if weather.sweeper and rng.random() < 0.5 else 0


def draw_failures(seed: int, plans: list[StepPlan]) -> list[StepPlan]:
    """For hasty operators: many steps fail until they have been redriven some times, and soon."""
    rng = random.Random(f"failures of {seed}")
    return [
        replace(
            plan,
            retry=Retry(plan.retry.max % 2, rng.choice([0.0, 0.3]), 2.0, 1.0),
            raises=frozenset(range(1, rng.choice([2, 3, 5, 9]))),
        )
        if rng.random() < 0.6
        else plan
        for plan in plans
    ]


def draw_poison(
    seed: int, weather: Weather, plans: list[StepPlan]
) -> tuple[Weather, list[StepPlan]] | None:
    """In one schedule of ten a step kills its process each time, and nothing else ever does; else None."""
    rng = random.Random(f"poison of {seed}")
    if rng.random() > 0.1:
        return None
    victim = rng.choice(plans).name
    weather = replace(weather, dies=0.0, stalls=0.0, timeout=None, cancels=0.0, redrives=0.0)
    return weather, [
        replace(plan, raises=frozenset(), overruns=0.0, kills=plan.name == victim) for plan in plans
    ]


def define(
    plans: Iterable[StepPlan],
    timeout: float | None,
    body: Callable[..., Any],
    name: str = NAME,
    extras: Mapping[str, Any] = MappingProxyType({}),
) -> WorkflowDefinition:
    """The class that a user would have written."""

    def method(plan: StepPlan) -> Any:
        def run(self: Any, ctx: StepContext, **kwargs: Any) -> Any:
            return body(plan, ctx, kwargs)

        run.__name__ = plan.name
        this, ctx, rest = inspect.signature(run).parameters.values()
        required = [Parameter(one, Parameter.KEYWORD_ONLY) for one in plan.requires]
        run.__signature__ = inspect.Signature([this, ctx, *required, rest])  # type: ignore[attr-defined]
        extra = extras.get(plan.name)
        awaits = () if extra is not None and extra.signal_timeout else plan.awaits
        decorated = step(
            depends_on=plan.depends_on if extra is None else extra.depends_on(plan),
            when=extra.predicate() if extra is not None else None,
            deadline=extra.deadline if extra is not None else None,
            retry=plan.retry,
            timeout=plan.timeout,
            isolated=plan.isolated,
            awaits=awaits,
            retired=plan.retired,
        )
        return decorated(run)

    cls = type(name, (), {plan.name: method(plan) for plan in plans})
    found = definition_of(workflow(timeout=timeout)(cls))
    assert found is not None
    return found
