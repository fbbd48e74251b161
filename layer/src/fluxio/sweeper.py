"""The sweep: once a minute, find open runs that no worker is handling.

Every open run has a time, `wake_at`, at which a worker must look at it: the end of a long backoff, or a
watchdog that goes off when its messages were lost. The sweep nudges the runs whose time is past and moves
the time on. It sends before it writes: if it dies in between, the next sweep sends again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple, Protocol

from fluxio.log import log
from fluxio.metrics import Metrics
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.clock import WATCHDOG_MS
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.queue import BATCH, Nudge, Queue
from fluxio_protocol.run import Run, RunStatus
from fluxio_protocol.standing import Phase, standing
from fluxio_protocol.store import Store

#: Milliseconds between two sweeps.
MINUTE = 60_000

#: Runs read from a shard at a time.
PAGE = 100

#: Milliseconds of the invocation that are left to themselves: a page takes some.
MARGIN = 5_000

#: Milliseconds after which an open run is stuck if nothing has happened to it and nothing holds it up.
STUCK_AFTER = 900_000


class SideBySide(Protocol):
    """Applies a function to each shard, like `map`."""

    def __call__(
        self, function: Callable[[int], SweptPage], shards: Iterable[int], /
    ) -> Iterable[SweptPage]: ...


class SweptPage(NamedTuple):
    """What became of the due runs of a shard."""

    shard: int
    #: When each run was due and when it was nudged; and the run, unless it has moved on meanwhile.
    nudged: list[tuple[int, int, Run | None]]
    #: Whether the shard may have more.
    full: bool
    error: Exception | None = None


def sweep(
    store: Store,
    queue: Queue,
    now: Callable[[], int],
    time_left: Callable[[], int],
    metrics: Metrics,
    side_by_side: SideBySide = map,
) -> dict[str, int]:
    """Nudge the runs that are due, until there are none or the invocation's time is nearly over.

    The shards get a page each, in turn, and each minute another one is the first: a backlog in one of them, or
    one that is more than a sweep gets through, keeps none of them waiting.

    Args:
        store: where the runs are.
        queue: where the nudges go.
        now: the time, in milliseconds since 1970.
        time_left: milliseconds until the invocation ends.
        metrics: where what it finds is counted.
        side_by_side: applies a function to each shard, like `map`, perhaps in threads.

    Returns:
        How many runs were nudged, and by how many milliseconds the latest of them was late.

    Raises:
        Exception: some shard could not be swept; the others were, and the next sweep tries again.
    """
    nudged = latest = 0
    failed: Exception | None = None

    def page(shard: int) -> SweptPage:
        return _sweep_page(shard, store, queue, now, time_left)

    first = now() // MINUTE % layout.SHARDS
    shards = [(first + number) % layout.SHARDS for number in range(layout.SHARDS)]
    while shards and time_left() > MARGIN:
        pages = [*side_by_side(page, shards)]
        for found in pages:
            for seen, at, run in found.nudged:
                nudged += 1
                latest = max(latest, at - seen)
                if run is not None and is_stuck(run, at):
                    metrics.count("runs_stuck")
                    log("WARN", "run stuck", run_id=run.run_id, workflow=run.workflow)
            if found.error is not None:
                failed = found.error
                log(
                    "ERROR",
                    "shard not swept",
                    shard=found.shard,
                    error=type(failed).__name__,
                    reason=str(failed) if isinstance(failed, FluxioError) else None,
                )
        shards = [found.shard for found in pages if found.full]
    log("INFO", "sweep", nudged=nudged, latest_ms=latest)
    metrics.count("sweep_finds", by=nudged)
    metrics.took("sweep_lag", latest)
    if failed is not None:
        raise failed
    metrics.count("sweeps")
    return {"nudged": nudged, "latest_ms": latest}


def _sweep_page(
    shard: int, store: Store, queue: Queue, now: Callable[[], int], time_left: Callable[[], int]
) -> SweptPage:
    """Nudge some due runs of a shard, those that have been due for longest."""
    nudged: list[tuple[int, int, Run | None]] = []
    try:
        found = store.due(shard, now(), PAGE)
        for start in range(0, len(found), BATCH):
            if time_left() <= MARGIN:
                return SweptPage(shard, nudged, full=False)
            some = found[start : start + BATCH]
            queue.send([Nudge(run_id, occasion=f"sweep:{seen:x}") for run_id, seen in some])
            for run_id, seen in some:
                at = now()
                written = store.apply(run_id, [to.wake(at + WATCHDOG_MS, seen)], at)
                nudged.append((seen, at, written.run if written.applied else None))
    except Exception as error:  # noqa: BLE001 - whatever it is, the other shards are swept
        return SweptPage(shard, nudged, full=False, error=error)
    return SweptPage(shard, nudged, full=len(found) == PAGE)


def is_stuck(run: Run, now: int) -> bool:
    """Whether there is something to do for an open run, and for a quarter of an hour no worker has done it.

    A run that waits for a signal, for the end of a backoff or for a worker whose lease holds is not stuck. One
    whose steps are not all known is not said to be.
    """
    if run.status not in (RunStatus.PENDING, RunStatus.RUNNING) or run.partial:
        return False
    steps = run.steps.values()
    times = [(s.started_at, s.ended_at, s.not_before, s.lease_until) for s in steps]
    last = max([run.created_at, *(at for some in times for at in some if at is not None)])
    if now - last < STUCK_AFTER:
        return False
    phases = {standing(run, step, now).phase for step in steps}
    return phases <= {Phase.SETTLED} or not phases.isdisjoint(
        {Phase.READY, Phase.LOST, Phase.STOPPED, Phase.NOT_NEEDED, Phase.OVERDUE}
    )
