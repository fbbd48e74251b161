"""Rounds in which every engine has its turn, so that what else the machine does meets all of them."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bench.engines import Engine

#: Milliseconds of each round, by workflow and engine.
Times = dict[str, dict[str, list[float]]]

#: Rounds that are not counted: functions start cold, connections are made, versions are stored.
WARM_UP = 2

#: Seconds before each run. The emulator's queue poller sleeps for 50 ms after a message, which a run that
#: starts the moment the last one ended would wait for.
PAUSE = 0.15


def measure(
    engines: Mapping[str, Engine],
    workflows: Sequence[str],
    rounds: int,
    tell: Callable[[str], object],
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.perf_counter,
) -> Times:
    """Run each workflow once a round on each engine, and time it from the start call to the seen end.

    Each round begins with another engine: none always follows the one that left the emulator busy.
    """
    times: Times = {workflow: {name: [] for name in engines} for workflow in workflows}
    names = list(engines)
    for number in range(WARM_UP + rounds):
        first = number % len(names)
        began = clock()
        for workflow in workflows:
            for name in names[first:] + names[:first]:
                sleep(PAUSE)
                started = clock()
                engines[name].run(workflow)
                took = 1000 * (clock() - started)
                if number >= WARM_UP:
                    times[workflow][name].append(took)
        what = f"round {number + 1 - WARM_UP} of {rounds}" if number >= WARM_UP else "warming up"
        tell(f"{what}: {clock() - began:.1f} s")
    return times


def summary(times: Times, own: str) -> dict[str, Any]:
    """Each engine's figures by workflow, and the ratio of `own` to each rival, round by round.

    The ratio's median is that of the rounds' ratios, not the ratio of the medians: the two runs of a round
    were made within seconds, and what slowed one slowed the other.
    """
    return {workflow: _of_workflow(by_engine, own) for workflow, by_engine in times.items()}


def _of_workflow(by_engine: Mapping[str, Sequence[float]], own: str) -> dict[str, Any]:
    figures: dict[str, Any] = {
        "milliseconds": {name: spread(of) | {"p95": p95(of)} for name, of in by_engine.items()}
    }
    rivals = {name: of for name, of in by_engine.items() if name != own}
    if own in by_engine and rivals:
        figures["ratios"] = {
            name: spread([mine / other for mine, other in zip(by_engine[own], of, strict=True)])
            for name, of in rivals.items()
        }
        figures["faster_rival"] = min(rivals, key=lambda name: statistics.median(rivals[name]))
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """The least, the median and the greatest."""
    return {"min": min(values), "median": statistics.median(values), "max": max(values)}


def p95(values: Sequence[float]) -> float:
    """The least value that 95 in 100 do not exceed."""
    return sorted(values)[-(-95 * len(values) // 100) - 1]
