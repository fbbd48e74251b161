"""The sweep: once a minute, look for open runs of which nobody has taken care.

Every open run has a time, `wake_at`, at which somebody must look at it: the end of a long backoff, or a
watchdog that goes off when its messages were lost. The sweep nudges the runs whose time is past and moves
the time on. It sends before it writes: if it dies in between, the next sweep sends again.
"""

from __future__ import annotations

from collections.abc import Callable

from fluxio.log import count, log
from fluxio_client import layout
from fluxio_client import transitions as to
from fluxio_client.client import WATCHDOG_MS
from fluxio_client.queue import Nudge, Queue
from fluxio_client.store import Store

#: Runs read from a shard at a time.
PAGE = 100


def sweep(
    store: Store, queue: Queue, now: Callable[[], int], time_left: Callable[[], int]
) -> dict[str, int]:
    """Nudge the runs that are due, until there are none or the invocation's time is nearly over.

    Returns:
        How many runs were nudged, and by how many milliseconds the latest of them was late.
    """
    nudged = latest = 0
    for shard in range(layout.SHARDS):
        while time_left() > 5_000:
            found = store.due(shard, now(), PAGE)
            for start in range(0, len(found), 10):
                some = found[start : start + 10]
                queue.send([Nudge(run_id, occasion=f"sweep:{seen}") for run_id, seen in some])
                for run_id, seen in some:
                    at = now()
                    latest = max(latest, at - seen)
                    store.apply(run_id, [to.wake(at + WATCHDOG_MS, seen)], at)
            nudged += len(found)
            if len(found) < PAGE:
                break
    count("sweeps", now())
    log("INFO", "sweep", nudged=nudged, latest_ms=latest)
    return {"nudged": nudged, "latest_ms": latest}
