"""What the workers count, held against what the table saw: in quiet weather the same, in a storm never more."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import pytest

from tests.embedded_metrics import problems, samples
from tests.simulation.schedules import Schedule

pytestmark = pytest.mark.once


class Counted(Schedule):
    """A schedule that sums up what its workers emit."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.sums: Counter[str] = Counter()
        self.times: Counter[str] = Counter()

    def _log(self, line: Mapping[str, Any]) -> None:
        if "_aws" not in line:
            super()._log(dict(line))
            return
        assert problems(line) == [], line
        for (name, dimensions), value in samples([dict(line)]):
            finest = "step" if name.startswith("step_") else "worker"
            if dimensions[-1][0] == finest:
                self.sums[name] += int(value)
                self.times[name] += 1


@pytest.mark.parametrize("block", range(5))
def test_without_faults_everything_is_counted_exactly(block: int) -> None:
    for seed in range(block * 14, block * 14 + 14):
        schedule = Counted(seed)
        schedule.hub.storm = False
        schedule.run()
        statuses = Counter(schedule.watch.statuses.values())
        assert not schedule.problems, str(schedule)
        if schedule.actors.asked:
            continue  # what an operator does, the client does, and no worker counts it
        assert schedule.sums["runs_succeeded"] == statuses["SUCCEEDED"], seed
        assert schedule.sums["runs_failed"] == statuses["FAILED"], seed
        assert schedule.times["run_duration"] == statuses["SUCCEEDED"] + statuses["FAILED"], seed
        assert schedule.sums["runs_started"] == len(schedule.run_ids), seed
        ended = schedule.times["step_duration"]
        watch = schedule.watch
        kept = sum(watch.commits.values()) + len(watch.holds.declined)
        put_back = schedule.sums["step_retries"] + sum(watch.rounds.values()) - watch.at_once
        failed = schedule.sums["step_failures"] - sum(watch.lapses.values())
        assert ended == kept + put_back + failed, seed
        assert schedule.sums["takeovers"] == schedule.watch.takeovers == 0, seed


def test_whatever_goes_wrong_nothing_is_counted_twice() -> None:
    counted: Counter[str] = Counter()
    for seed in range(200):
        schedule = Counted(seed)
        schedule.run()
        assert not schedule.problems, str(schedule)
        statuses = Counter(schedule.watch.statuses.values())
        assert schedule.sums["runs_succeeded"] <= statuses["SUCCEEDED"], seed
        assert schedule.sums["takeovers"] <= schedule.watch.takeovers, seed
        if not schedule.actors.asked:
            assert schedule.sums["runs_failed"] <= statuses["FAILED"], seed
            assert schedule.sums["runs_started"] <= len(schedule.run_ids), seed
        counted += schedule.sums
    for name in ("runs_succeeded", "takeovers", "fenced_commits", "step_retries", "step_failures"):
        assert counted[name] > 0, f"{name}: nothing was there to be counted twice"
