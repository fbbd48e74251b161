"""`fluxio list`: which runs there are."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, islice
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from fluxio_client.cli.colours import look
from fluxio_client.cli.columns import Row, table
from fluxio_client.cli.command import wrong
from fluxio_client.cli.moments import length, local, moment_of
from fluxio_client.cli.records import summary_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import awaited_signals, goes_on
from fluxio_client.cli.which import newest, newest_page
from fluxio_client.listing import Listing
from fluxio_protocol import layout
from fluxio_protocol.calls import BATCH_KEYS
from fluxio_protocol.run import Failure, Run, RunStatus, RunSummary


class Listed(NamedTuple):
    """A run in the listing: what an index has of it, and the run itself, unless that is gone."""

    summary: RunSummary
    run: Run | None = None

    @property
    def error(self) -> Failure | None:
        """Why it failed or was parked."""
        return self.run.error if self.run else None

    @property
    def version(self) -> str | None:
        """The version of its graph; None until a worker has opened it."""
        return self.run.version if self.run else None


class Shown(NamedTuple):
    """What was found, and how."""

    runs: list[Listed]
    #: The index that was read.
    read_from: str
    #: The token of the next page; None if there is none.
    next_page: str | None = None
    #: Whether there are more, or may be: what is not shown was not read, and may not be what was asked for.
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
    names = [layout.check_workflow(name) for name in workflow or ()]
    chosen = [*([status] if status else []), open_, failed, waiting]
    if sum(map(bool, chosen)) > 1:
        raise wrong("say one of --status, --open, --failed, --waiting.")
    if page and (len(names) != 1 or open_ or waiting or version):
        raise wrong("--page goes on with a listing of one WORKFLOW.")
    if failed:
        status = RunStatus.FAILED
    first = moment_of(since, session.now) if since else 0
    look = _Look(session, names, first, limit, version)
    if waiting or (status is RunStatus.WAITING and not names):
        listing = look.waiting(signals=waiting)
    elif status is RunStatus.FAILED and not names:
        listing = look.failed()
    elif names and not open_:
        listing = look.of_workflows(status, page)
    elif status in (None, RunStatus.PENDING, RunStatus.RUNNING, RunStatus.COMPENSATING):
        listing = look.open(status)
    else:
        raise wrong(f"--status {status} needs a WORKFLOW: no index has such runs of all workflows.")
    _print(session, listing, names, first)


@dataclass
class _Look:
    """One look at the indexes. Runs are read as they are shown, and no more of them."""

    session: Session
    names: list[str]
    since: int
    limit: int
    version: str | None

    def of_workflows(self, status: RunStatus | None, page: str | None) -> Shown:
        """Runs of the workflows that are named."""
        failed = status is RunStatus.FAILED
        index = layout.INDEX_FAILED if failed else layout.INDEX_BY_WORKFLOW
        if len(self.names) > 1 or self.version is not None:
            return self._take(self._newest(status), index)
        with self.session.busy(f"looking for runs of {self.names[0]} …"):
            found = newest_page(self.session, self.names[0], status, self.since, self.limit, page)
        runs = self.session.store.read_many(one.run_id for one in found)
        listed = [Listed(one, runs.get(one.run_id)) for one in found]
        return Shown(listed, index, found.next_page, more=found.next_page is not None)

    def open(self, status: RunStatus | None) -> Shown:
        """Runs that have not ended and are not parked."""

        def is_wanted(run: Run) -> bool:
            return status is None or run.status is status

        return self._take(self._open(is_wanted), layout.INDEX_DUE)

    def waiting(self, signals: bool) -> Shown:
        """Parked runs, and those that wait for a signal."""

        def waits(run: Run) -> bool:
            return bool(awaited_signals(run, self.session.now))

        parked = self._newest(RunStatus.WAITING) if self.names else self._scan(RunStatus.WAITING)
        candidates = chain(parked, self._open(waits) if signals else ())
        return self._take(candidates, layout.INDEX_BY_WORKFLOW)

    def failed(self) -> Shown:
        """Failed runs of all workflows."""
        return self._take(self._scan(RunStatus.FAILED), layout.INDEX_FAILED)

    # --- what may be shown: candidates are read when their turn comes, if it comes

    def _newest(self, status: RunStatus | None) -> Iterator[_Candidate]:
        every = (
            newest(self.session, name, status, self.since, self.limit + 1) for name in self.names
        )
        yield from map(_found, heapq.merge(*every, key=_order(status)))

    def _scan(self, status: RunStatus) -> Iterator[_Candidate]:
        found: list[RunSummary] = []
        with self.session.busy(f"looking for {status} runs of all workflows …"):
            for piece in Listing(self.session.store).in_status(status, self.since):
                found += piece
        yield from map(_found, sorted(found, key=_order(status)))

    def _open(self, is_wanted: Callable[[Run], bool]) -> Iterator[_Candidate]:
        def judged(run: Run | None) -> Listed | None:
            # The index may be some moments behind, so the run itself says whether it is open.
            if run is None or run.ended or run.parked or run.created_at < self.since:
                return None
            if (self.names and run.workflow not in self.names) or not is_wanted(run):
                return None
            return Listed(
                RunSummary(run.run_id, run.workflow, run.status, run.created_at, run.ended_at), run
            )

        for run_id in Listing(self.session.store).open(self.limit):
            yield _Candidate(run_id, judged)

    def _take(self, candidates: Iterator[_Candidate], index: str) -> Shown:
        """As many of the candidates as may be shown."""
        listed: list[Listed] = []
        # Where candidates turn out not to be wanted, the next ones are read many at a time.
        size = min(self.limit, BATCH_KEYS)
        with self.session.progress("reading runs", self.limit) as bar:
            while len(listed) < self.limit and (some := list(islice(candidates, size))):
                runs = self.session.store.read_many(one.run_id for one in some)
                judged = [one.judged(runs.get(one.run_id)) for one in some]
                wanted = [one for one in judged if one and self.version in (None, one.version)]
                listed += wanted
                bar.advance(len(wanted))
                size = BATCH_KEYS
        more = len(listed) > self.limit or next(candidates, None) is not None
        del listed[self.limit :]
        if index != layout.INDEX_FAILED:
            listed.sort(key=lambda one: -one.summary.created_at)
        return Shown(listed, index, more=more)


class _Candidate(NamedTuple):
    """A run that may be shown."""

    run_id: str
    #: What is to be shown of the run; None if it is not to be.
    judged: Callable[[Run | None], Listed | None]


def _found(summary: RunSummary) -> _Candidate:
    """A run that a listing has found: the run itself adds its error and its version."""
    return _Candidate(summary.run_id, partial(Listed, summary))


def _order(status: RunStatus | None) -> Callable[[RunSummary], int]:
    """The newest first; of failed runs, the last that failed."""
    if status is RunStatus.FAILED:
        return lambda run: -(run.ended_at or run.created_at)
    return lambda run: -run.created_at


def _print(session: Session, listing: Shown, names: list[str], since: int) -> None:
    now = session.now
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
    if listing.read_from == layout.INDEX_DUE and not names:
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
