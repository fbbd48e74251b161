"""`fluxio list`: which runs there are."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.text import Text

from fluxio_client.cli.colours import look
from fluxio_client.cli.columns import Row, table
from fluxio_client.cli.moments import length, local
from fluxio_client.cli.records import summary_record
from fluxio_client.cli.selection import Filters, Listed, Shown
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import goes_on
from fluxio_protocol import layout
from fluxio_protocol.run import RunStatus


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
    version: Annotated[
        str | None, typer.Option(help="Only runs of this version of their workflow's graph.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many runs.", min=1, max=1000)] = 50,
    page: Annotated[
        str | None, typer.Option(help="Of one workflow: the page that the listing before named.")
    ] = None,
) -> None:
    """List runs: with WORKFLOW the newest, without one the open runs of all workflows.

    Open runs of all workflows are found in the index of the sweeper (`due`), failed ones in the index
    `failed`, which holds nothing else. Parked runs of all workflows need a look at every run that the table
    still keeps, a hundred in a call: name the workflow if there are millions. Any other status needs a
    WORKFLOW. What is shown may be some moments behind.

    Example: fluxio list --failed --since 2h
    """
    asked = Filters(
        tuple(workflow or ()), status, open_, failed, waiting, since, version, limit, page
    )
    _print(session, asked.select(session), asked)


def _print(session: Session, listing: Shown, asked: Filters) -> None:
    now = session.now
    since = asked.first(now)
    if session.json:
        session.print_json(
            {
                "runs": [
                    summary_record(one.summary, one.error, one.version) for one in listing.runs
                ],
                "index": listing.read_from,
                "more": listing.more,
                "next_page": listing.next_page,
            }
        )
        return
    if listing.read_from == layout.INDEX_DUE and not asked.workflows:
        session.note(
            "open runs of all workflows; --failed, --waiting (parked) or a WORKFLOW show others"
        )
    if not listing.runs:
        session.note("no runs" + (f" since {local(since, now)}" if since else ""))
        return
    # The index `failed` is in the order of the failures, so their times are shown.
    failures = listing.read_from == layout.INDEX_FAILED
    # Which runs are of an older version is only a question where a workflow has several.
    versions = {(one.summary.workflow, one.version) for one in listing.runs if one.version}
    differ = len(versions) > len({workflow for workflow, _ in versions})
    header = ["run", "workflow", "status"]
    header += ["version"] if differ else []
    header += ["started", *(["failed"] if failures else []), "took"]
    rows = []
    for one in listing.runs:
        summary = one.summary
        until = summary.ended_at or now
        cells: list[str | Text] = [
            summary.run_id,
            summary.workflow,
            Text(summary.status, style=look(summary.status).style),
            *([one.version or "-"] if differ else []),
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
            f"there may be more than these {len(listing.runs)}: raise --limit, or narrow with --since"
        )


def _remark(listed: Listed, now: int) -> Text:
    """Why it failed, or what it is at."""
    run = listed.run
    if run is None:
        return Text()
    if run.error is not None:
        return Text(str(run.error), style="red")
    return Text("" if run.ended else "; ".join(goes_on(run, now)), style="dim")
