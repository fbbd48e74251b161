"""Whose turn it is when more runs are due than one sweep gets through."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from fluxio.metrics import Metrics
from fluxio.sweeper import MARGIN, MINUTE, SideBySide, sweep
from fluxio_protocol import layout
from fluxio_protocol.queue import Nudge
from fluxio_protocol.store import Written

NOW = 1_800_000_000_000


class Backlog:
    """A table with runs that are due in each shard, and the queue; moving a run takes a while."""

    def __init__(self, per_shard: int, cost: int = 0) -> None:
        self.left = dict.fromkeys(range(layout.SHARDS), per_shard)
        self.nudged: Counter[int] = Counter()
        self.now, self.cost = NOW, cost

    def due(self, shard: int, until: int, limit: int) -> list[tuple[str, int]]:
        return [(f"{shard}/{n}", NOW - MINUTE) for n in range(min(limit, self.left[shard]))]

    def apply(self, run_id: str, changes: Any, now: int) -> Written:
        shard = int(run_id.partition("/")[0])
        self.left[shard] -= 1
        self.nudged[shard] += 1
        self.now += self.cost
        return Written(False, None)

    def send(self, nudges: Iterable[Nudge]) -> None: ...

    def sweep(self, seconds: int, side_by_side: SideBySide = map) -> dict[str, int]:
        end = self.now + seconds * 1000 + MARGIN
        store: Any = self
        queue: Any = self
        return sweep(
            store,
            queue,
            lambda: self.now,
            lambda: end - self.now,
            Metrics(lambda: self.now),
            side_by_side,
        )


@pytest.fixture(autouse=True)
def _small_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fluxio.sweeper.PAGE", 10)


def test_every_shard_has_as_many_runs_nudged_as_any_other_but_for_a_page() -> None:
    backlog = Backlog(per_shard=1_000, cost=10)
    backlog.sweep(seconds=10)
    assert 900 < backlog.nudged.total() < 1_100
    assert max(backlog.nudged.values()) - min(backlog.nudged.values()) <= 10


def test_sweeps_too_short_for_one_page_of_each_shard_come_to_every_shard_in_turn() -> None:
    backlog = Backlog(per_shard=1_000, cost=100)
    for sweep_number in range(layout.SHARDS):
        backlog.now = NOW + sweep_number * MINUTE
        backlog.sweep(seconds=1)
    assert min(backlog.nudged[shard] for shard in range(layout.SHARDS)) >= 10


def test_a_backlog_that_fits_the_time_is_gone_after_one_sweep() -> None:
    backlog = Backlog(per_shard=95)
    assert backlog.sweep(seconds=1)["nudged"] == 95 * layout.SHARDS
    assert not any(backlog.left.values())


def test_shards_are_swept_side_by_side() -> None:
    backlog = Backlog(per_shard=95)
    with ThreadPoolExecutor(layout.SHARDS) as pool:
        assert backlog.sweep(seconds=1, side_by_side=pool.map)["nudged"] == 95 * layout.SHARDS
