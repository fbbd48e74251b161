"""Runs that no one looks after, and what the caller may do."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from botocore.exceptions import ClientError

from fluxio_client.cli.checks.examination import Examination
from fluxio_client.cli.checks.finding import Finding, fail, ok, unanswered, warn
from fluxio_client.cli.moments import length
from fluxio_client.listing import Listing
from fluxio_protocol import layout
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.run import RunStatus, RunSummary

#: Milliseconds by which an open run may be overdue: the sweep comes each minute.
LATE = 180_000

#: Seconds in which parked runs are looked for.
PATIENCE = 10


def runs(at: Examination) -> Iterator[Finding]:
    now = at.session.now
    late = [
        now - wake_at
        for shard in range(layout.SHARDS)
        for _, wake_at in at.session.store.due(shard, now - LATE, 1000)
    ]
    if not late:
        yield ok("runs", "the sweep is up to date: no open run is overdue")
        return
    runs = "1 open run is" if len(late) == 1 else f"{len(late)} open runs are"
    yield fail(
        "runs",
        f"{runs} overdue, by up to {length(max(late) / 1000)}: the sweep does not come",
        "see the lines on schedule and worker, and the worker's log.",
    )


def parked(at: Examination) -> Iterator[Finding]:
    """Parked runs: no index holds them alone, so every run in `by_workflow` is looked at, for a while."""
    session = at.session
    until = session.elapsed + PATIENCE
    stopped: list[RunSummary] = []
    for page in Listing(session.store).in_status(RunStatus.WAITING):
        stopped += page
        if session.elapsed > until:
            some = f"; {len(stopped)} of those that were are parked" if stopped else ""
            yield (fail if stopped else warn)(
                "runs",
                f"there are too many to look at all of them in {PATIENCE} s{some}",
                "`fluxio list WORKFLOW --status WAITING` shows the parked runs of one workflow.",
            )
            return
    if not stopped:
        yield ok("runs", "none is parked")
        return
    names = sorted({run.workflow for run in stopped})
    yield fail(
        "runs",
        f"{'1 is' if len(stopped) == 1 else f'{len(stopped)} are'} parked, of {', '.join(names)}: the "
        f"deployed worker could not go on with {'it' if len(stopped) == 1 else 'them'}",
        "`fluxio list --waiting` says why; mend that, then `fluxio redrive --parked WORKFLOW`.",
    )


def rights(at: Examination) -> Iterator[Finding]:
    """Calls that change nothing, for what the other commands need."""
    store = at.session.store
    tries: list[tuple[str, Callable[[], object]]] = [
        ("show runs", lambda: store.read("doctor")),
        ("list runs of a workflow", lambda: Listing(store).runs("Doctor", limit=1)),
        ("read the runs of a list", lambda: store.calls.batch_get(["doctor"])),
        ("start and steer runs (the table's part)", lambda: store.try_to_write("doctor")),
    ]
    for what, call in tries:
        try:
            call()
        except (ClientError, FluxioError) as error:
            yield unanswered("rights", error)
        else:
            yield ok("rights", f"you may {what}")
