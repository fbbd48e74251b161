"""`fluxio list`: which runs there are."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from fluxio_client import layout
from fluxio_client.cli.colours import look
from fluxio_client.cli.columns import Row, table
from fluxio_client.cli.command import wrong
from fluxio_client.cli.moments import length, local, moment_of
from fluxio_client.cli.records import summary_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import awaited_signals, goes_on
from fluxio_client.listing import Listing
from fluxio_client.run import STOPPED, Failure, Run, RunStatus, RunSummary

#: Later than any `wake_at`.
EVER = 10**15


class Listed(NamedTuple):
    """A run in the listing; what stands in the run item alone where that was read."""

    summary: RunSummary
    run: Run | None = None

    @property
    def error(self) -> Failure | None:
        """Why it failed or was parked."""
        return self.run.error if self.run else None


class Shown(NamedTuple):
    """What was found, and how."""

    runs: list[Listed]
    #: The index that was read.
    read_from: str
    #: The token of the next page; None if there is none.
    next_page: str | None = None
    #: Whether there are more than are shown.
    more: bool = False


def list_(
    session: Session,
    workflow: Annotated[
        list[str] | None,
        typer.Argument(metavar="[WORKFLOW]...", help="Only runs of these; omitted: of all."),
    ] = None,
    status: Annotated[
        RunStatus | None, typer.Option(help="Only runs in this status.", case_sensitive=False)
    ] = None,
    open_: Annotated[
        bool,
        typer.Option("--open", help="Only runs that have not ended and are not parked."),
    ] = False,
    failed: Annotated[
        bool, typer.Option("--failed", help="Only FAILED runs, with their errors; newest first.")
    ] = False,
    waiting: Annotated[
        bool,
        typer.Option(
            "--waiting", help="Only runs that wait for a person: parked, or for a signal."
        ),
    ] = False,
    since: Annotated[
        str | None,
        typer.Option(
            help="Only runs started (--failed: failed) since: 90s, 15m, 2h, 3d, 1w ago, or an ISO time."
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many runs.", min=1, max=1000)] = 50,
    page: Annotated[
        str | None, typer.Option(help="Of one workflow: the page that the listing before named.")
    ] = None,
) -> None:
    """List runs: with WORKFLOW the newest, without one the open runs of all workflows.

    Open runs of all workflows are found in the index of the sweeper (`due`), failed ones in the index
    `failed`, which holds nothing else. Parked runs of all workflows need a scan of `by_workflow`, so of
    every run that the table still keeps: name the workflow if there are millions. Any other status needs
    a WORKFLOW. Indexes may be some moments behind.

    Example: fluxio list --failed --since 2h
    """
    names = [layout.check_workflow(name) for name in workflow or ()]
    chosen = [*([status] if status else []), open_, failed, waiting]
    if sum(map(bool, chosen)) > 1:
        raise wrong("say one of --status, --open, --failed, --waiting.")
    if page and (len(names) != 1 or open_ or waiting):
        raise wrong("--page goes on with a listing of one WORKFLOW.")
    if failed:
        status = RunStatus.FAILED
    first = moment_of(since, session.now) if since else 0
    if waiting or (status is RunStatus.WAITING and not names):
        listing = _waiting(session, names, first, limit, signals=waiting)
    elif status is RunStatus.FAILED and not names:
        listing = _found(session, RunStatus.FAILED, first, limit)
    elif names and not open_:
        listing = _of_workflows(session, names, status, first, limit, page)
    elif status in (None, RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPENSATING):
        listing = _open(session, names, status, first, limit)
    else:
        raise wrong(f"--status {status} needs a WORKFLOW: no index has such runs of all workflows.")
    _print(session, listing, names, first)


def _of_workflows(
    session: Session,
    names: list[str],
    status: RunStatus | None,
    since: int,
    limit: int,
    page: str | None,
) -> Shown:
    found: list[RunSummary] = []
    next_page = None
    for name in names:
        one = session.client.list(name, status=status, since=since or None, limit=limit, page=page)
        found += one.runs
        next_page = one.next_page if len(names) == 1 else None
    failed = status is RunStatus.FAILED
    found.sort(key=lambda run: -((run.ended_at if failed else None) or run.created_at))
    shown = found[:limit]
    index = layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW
    more = next_page is not None or len(found) > limit
    return Shown(_with_errors(session, shown), index, next_page, more)


def _open(
    session: Session, names: list[str], status: RunStatus | None, since: int, limit: int
) -> Shown:
    runs = [
        run
        for run in open_runs(session)
        if (not names or run.workflow in names)
        and run.created_at >= since
        and (status is None or run.status is status)
    ]
    return _cut(runs, limit, layout.INDEX_DUE)


def open_runs(session: Session) -> list[Run]:
    """Every run that has not ended and is not parked, the newest first."""
    ids = [
        run_id
        for shard in range(layout.SHARDS)
        for run_id, _ in session.store.due(shard, EVER, limit=EVER)
    ]
    runs: list[Run] = []
    with session.progress("reading open runs", len(ids)) as bar:
        for run_id in ids:
            run = session.store.read(run_id)
            bar.advance()
            if run is not None and not run.ended and not run.parked:
                runs.append(run)
    return sorted(runs, key=lambda run: -run.created_at)


def _waiting(session: Session, names: list[str], since: int, limit: int, signals: bool) -> Shown:
    parked: list[RunSummary] = []
    if names:
        for name in names:
            listed = session.client.list(
                name, status=RunStatus.WAITING, since=since or None, limit=min(limit + 1, 1000)
            )
            parked += listed.runs
    else:
        parked += _scan(session, RunStatus.WAITING, since)
    runs = [run for one in parked if (run := session.store.read(one.run_id)) is not None]
    if signals:
        runs += [
            run
            for run in open_runs(session)
            if (not names or run.workflow in names)
            and run.created_at >= since
            and awaited_signals(run, session.now)
        ]
    runs.sort(key=lambda run: -run.created_at)
    return _cut(runs, limit, layout.INDEX_BY_WORKFLOW)


def _found(session: Session, status: RunStatus, since: int, limit: int) -> Shown:
    found = sorted(_scan(session, status, since), key=lambda run: -(run.ended_at or 0))
    listed = _with_errors(session, found[:limit])
    return Shown(listed, layout.INDEX_FAILED, more=len(found) > limit)


def _scan(session: Session, status: RunStatus, since: int) -> list[RunSummary]:
    found: list[RunSummary] = []
    with session.busy(f"looking for {status} runs of all workflows …"):
        for page in Listing(session.store).in_status(status, since):
            found += page
    return found


def _with_errors(session: Session, found: Iterable[RunSummary]) -> list[Listed]:
    """The listing with the runs that have an error read, since no index has it."""
    return [
        Listed(one, session.store.read(one.run_id) if one.status in STOPPED else None)
        for one in found
    ]


def _cut(runs: list[Run], limit: int, index: str) -> Shown:
    listed = [
        Listed(RunSummary(run.run_id, run.workflow, run.status, run.created_at, run.ended_at), run)
        for run in islice(runs, limit)
    ]
    return Shown(listed, index, more=len(runs) > limit)


def _print(session: Session, listing: Shown, names: list[str], since: int) -> None:
    now = session.now
    if session.json:
        session.print_json(
            {
                "runs": [summary_record(one.summary, one.error) for one in listing.runs],
                "index": listing.read_from,
                "more": listing.more,
                "next_page": listing.next_page,
            }
        )
        return
    if listing.read_from == layout.INDEX_DUE and not names:
        session.note(
            "open runs of all workflows; --failed, --waiting (parked) or a WORKFLOW show others"
        )
    if not listing.runs:
        session.note("no runs" + (f" since {local(since, now)}" if since else ""))
        return
    # The index `failed` is in the order of the failures, so their times are shown.
    failures = listing.read_from == layout.INDEX_FAILED
    header = ["run", "workflow", "status", "started", *(["failed"] if failures else []), "took"]
    rows = []
    for one in listing.runs:
        summary = one.summary
        until = summary.ended_at or now
        cells: list[str | Text] = [
            summary.run_id,
            summary.workflow,
            Text(summary.status, style=look(summary.status).style),
            local(summary.created_at, now),
            *([local(summary.ended_at, now)] if failures else []),
            length((until - summary.created_at) / 1000),
        ]
        rows.append(Row(cells, _remark(one, now)))
    session.print_lines(table(header, rows, session.out.width))
    if listing.next_page:
        session.note(f"there are more: --page {listing.next_page}")
    elif listing.more:
        session.note(
            f"there are more than {len(listing.runs)}: raise --limit, or narrow with --since"
        )


def _remark(listed: Listed, now: int) -> Text:
    """Why it failed, or what it is at."""
    run = listed.run
    if run is None:
        return Text()
    if run.error is not None:
        return Text(str(run.error), style="red")
    return Text("" if run.ended else "; ".join(goes_on(run, now)), style="dim")
