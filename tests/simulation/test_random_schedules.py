"""Random schedules of random workflows break no promise; a seed that did would replay its schedule.

`FLUXIO_SCHEDULES` says how many (default 1,000). More: `python -m tests.simulation.schedules --count 100000`.
"""

from __future__ import annotations

import os
import time
from collections import Counter

import pytest

from tests.simulation import schedules
from tests.simulation.conftest import Report
from tests.simulation.schedules import Schedule

COUNT = int(os.environ.get("FLUXIO_SCHEDULES", "1000"))
BLOCKS = 10


@pytest.fixture(scope="module")
def figures() -> Counter[str]:
    return Counter()


@pytest.mark.parametrize("block", range(BLOCKS))
def test_no_schedule_breaks_a_promise(block: int, figures: Counter[str]) -> None:
    """No run is lost, no step committed twice, no attempt run twice, no result but the right one."""
    for seed in range(block * COUNT // BLOCKS, (block + 1) * COUNT // BLOCKS):
        began = time.monotonic()
        schedule = Schedule(seed).run()
        assert not schedule.problems, str(schedule)
        figures.update(schedule.figures)
        figures["milliseconds"] += round(1000 * (time.monotonic() - began))


def test_everything_that_may_go_wrong_did(figures: Counter[str], report: Report) -> None:
    """The schedules above are worth something: each kind of fault was met, and often."""
    report(schedules.summary(figures, figures["milliseconds"] / 1000))
    for name in (
        "deaths", "takeovers", "duplicates", "answers lost", "unanswered", "throttled", "cancels",
        "half-sent batches", "deletes lost", "stale deletes", "needed the sweeper", "redrives",
        "runs failed", "dead letters", "invocations timed out", "late copies", "back too late",
        "late failures", "rollouts", "poisoned", "mended", "runs started by steps",
    ):  # fmt: skip
        assert figures[name] >= COUNT / 200, f"{name}: {figures[name]} in {COUNT} schedules"
    # Half of the schedules have no sweeper, and hardly any of them needs one.
    assert figures["saved by the sweeper"] <= COUNT / 300


@pytest.mark.parametrize("seed", [1, 22, 66])
def test_a_seed_replays_its_schedule_step_by_step(seed: int) -> None:
    first: list[str] = []
    again: list[str] = []
    Schedule(seed, first.append).run()
    Schedule(seed, again.append).run()
    assert first == again
    assert len(first) > 10


@pytest.mark.parametrize(
    "seed",
    [
        22,
        66,
        98,
        106,
        157,
        530,
        553,
        1784,
        2265,
        2733,
        2866,
        3999,
        9460,
        16265,
        36923,
        39237,
        40798,
    ],
)
def test_a_schedule_that_once_broke_a_promise_keeps_it(seed: int) -> None:
    """A livelock, false timeouts, a lost step taken again where it still ran, redrives that met failures."""
    schedule = Schedule(seed).run()
    assert not schedule.problems, str(schedule)


def test_without_faults_nothing_needs_the_sweeper_or_a_takeover() -> None:
    for seed in range(100):
        schedule = Schedule(seed)
        schedule.hub.storm = False
        schedule.run()
        assert not schedule.problems, str(schedule)
        assert schedule.poison or not schedule.figures["deaths"]
