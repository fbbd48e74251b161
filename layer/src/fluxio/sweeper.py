"""The sweep: once a minute, look for open runs of which nobody has taken care.

Every open run has a time, `wake_at`, at which somebody must look at it: the end of a long backoff, or a
watchdog that goes off when its messages were lost. The sweep nudges the runs whose time is past and moves
the time on. It sends before it writes: if it dies in between, the next sweep sends again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fluxio.log import count, log
from fluxio_client import layout
from fluxio_client import transitions as to
from fluxio_client.client import WATCHDOG_MS
from fluxio_client.queue import BATCH, Nudge, Queue
from fluxio_client.store import Store

#: Runs read from a shard at a time.
PAGE = 100

#: Milliseconds of the invocation that are left to themselves: a page takes some.
MARGIN = 5_000


def sweep(
    store: Store, queue: Queue, now: Callable[[], int], time_left: Callable[[], int]
) -> dict[str, int]:
    """Nudge the runs that are due, until there are none or the invocation's time is nearly over.

    Returns:
        How many runs were nudged, and by how many milliseconds the latest of them was late.

    Raises:
        Exception: some shard could not be swept; the others were, and the next sweep tries again.
    """
    nudged = latest = 0
    failed: Exception | None = None
    for shard in range(layout.SHARDS):
        try:
            for seen, at in _sweep_shard(shard, store, queue, now, time_left):
                nudged += 1
                latest = max(latest, at - seen)
        except Exception as error:  # noqa: BLE001 - whatever it is, the other shards are swept
            log("ERROR", "shard not swept", shard=shard, error=type(error).__name__)
            failed = error
    log("INFO", "sweep", nudged=nudged, latest_ms=latest)
    if failed is not None:
        raise failed
    count("sweeps", now())
    return {"nudged": nudged, "latest_ms": latest}


def _sweep_shard(
    shard: int, store: Store, queue: Queue, now: Callable[[], int], time_left: Callable[[], int]
) -> Iterator[tuple[int, int]]:
    """Nudge the due runs of a shard; yields of each when it was due, and when it was nudged."""
    while time_left() > MARGIN:
        found = store.due(shard, now(), PAGE)
        for start in range(0, len(found), BATCH):
            some = found[start : start + BATCH]
            queue.send([Nudge(run_id, occasion=f"sweep:{seen:x}") for run_id, seen in some])
            for run_id, seen in some:
                at = now()
                store.apply(run_id, [to.wake(at + WATCHDOG_MS, seen)], at)
                yield seen, at
        if len(found) < PAGE:
            return
