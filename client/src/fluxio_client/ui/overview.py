"""The first page: how many runs are open, failed or wait for a person, and which of them."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from fluxio_client.cli.checks.runs import LATE
from fluxio_client.cli.failures import explain
from fluxio_client.cli.letters import about, dead_letter_url
from fluxio_client.cli.selection import Listed
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import awaited_signals, goes_on
from fluxio_client.listing import EVER, PIECE, Listing
from fluxio_client.ui.site import Site
from fluxio_protocol import layout
from fluxio_protocol.run import Run, RunStatus, RunSummary

#: Open runs that are counted in each shard at most, and those that are read to say what they are at.
COUNTED, READ = 1000, 50

#: The last failed runs, which are shown with their errors.
SHOWN_FAILED = 10


class Open(NamedTuple):
    """The open runs of all workflows."""

    total: int
    #: Whether there are more than were counted.
    more: bool
    #: Some of them, those that the sweeper looks at last.
    runs: list[Run]
    #: By how many seconds the sweeper is late with the oldest; None if it is not.
    overdue: float | None
    #: How many of those that were read wait for a signal.
    awaiting: int


class Failed(NamedTuple):
    """The failed runs of all workflows that the table still keeps."""

    total: int
    more: bool
    #: The last of them.
    runs: list[Listed]


def overview(site: Site, request: Request) -> Response:
    """The page."""
    session = site.session
    return site.page(
        request,
        "overview.html",
        title="Overview",
        command=("doctor",),
        open=open_runs(session),
        failed=failed_runs(session),
        dead=_dead_letters(session),
        read=READ,
        at_work=lambda run: "; ".join(goes_on(run, session.now)),
    )


def open_runs(session: Session) -> Open:
    """Count the open runs, and read some."""
    now = session.now
    due: list[tuple[int, str]] = []
    more = False
    for shard in range(layout.SHARDS):
        found = session.store.due(shard, EVER, COUNTED)
        more = more or len(found) == COUNTED
        due += [(wake_at, run_id) for run_id, wake_at in found]
    due.sort()
    overdue = now - due[0][0] if due else 0
    runs = session.store.read_many(run_id for _, run_id in due[: -READ - 1 : -1])
    still_open = [run for run in runs.values() if not run.ended and not run.parked]
    still_open.sort(key=lambda run: -run.created_at)
    awaiting = sum(bool(awaited_signals(run, now)) for run in still_open)
    return Open(len(due), more, still_open, overdue / 1000 if overdue > LATE else None, awaiting)


def failed_runs(session: Session) -> Failed:
    """Count the failed runs, and read the last."""
    found: list[RunSummary] = next(Listing(session.store).in_status(RunStatus.FAILED), [])
    found.sort(key=lambda run: -(run.ended_at or run.created_at))
    last = list(islice(found, SHOWN_FAILED))
    runs = session.store.read_many(one.run_id for one in last)
    listed = [Listed(one, runs.get(one.run_id)) for one in last]
    return Failed(len(found), len(found) == PIECE, listed)


def _dead_letters(session: Session) -> tuple[int | None, str]:
    """About how many dead letters there are; None, and why, where the queue cannot be asked."""
    try:
        return about(session, dead_letter_url(session)), ""
    except Exception as error:
        failure = explain(error)
        if failure is None:
            raise
        return None, failure.message
