"""What a name on the command line is: a run's id, or a workflow's name."""

from __future__ import annotations

from collections.abc import Iterator

from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.session import Session
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Page, Run, RunStatus, RunSummary

#: Of how many of a workflow's newest runs the first that was opened is taken.
NEWEST = 20

#: Runs that a page of `FluxioClient.list` has at most.
MOST = 1000


def run_of(session: Session, name: str) -> Run | None:
    """The run of this id; None if there is none, so that the name may be a workflow's."""
    try:
        run_id = layout.check_run_id(name)
    except InvalidInput:
        layout.check_workflow(name)
        return None
    return session.store.read_whole(run_id)


def newest_graph(session: Session, workflow: str) -> tuple[str, Graph]:
    """The graph of a workflow's newest run that a worker has opened, with its version.

    Raises:
        NotFound: there is no such run.
    """
    for summary in session.client.list(layout.check_workflow(workflow), limit=NEWEST):
        run = session.store.read(summary.run_id)
        if run is not None and run.version and (graph := session.client.graph(run)):
            return run.version, graph
    raise _no_runs(workflow)


def newest_page(
    session: Session,
    workflow: str,
    status: RunStatus | None,
    since: int,
    limit: int,
    page: str | None = None,
) -> Page:
    """The newest runs of a workflow: as many as are asked for, if there are so many.

    One call of `FluxioClient.list` looks at so many runs at most; here they are repeated.
    """
    found: list[RunSummary] = []
    while True:
        some = session.client.list(
            workflow,
            status=status,
            since=since or None,
            limit=min(limit - len(found), MOST),
            page=page,
        )
        found += some
        page = some.next_page
        if page is None or len(found) == limit:
            return Page(found, page)


def newest(
    session: Session, workflow: str, status: RunStatus | None, since: int, expected: int
) -> Iterator[RunSummary]:
    """The newest runs of a workflow, read as they are taken.

    Args:
        expected: about how many will be taken.
    """
    page = None
    while True:
        found = newest_page(session, workflow, status, since, min(expected, MOST), page)
        yield from found
        page = found.next_page
        if page is None:
            return


def newest_runs(session: Session, workflow: str, limit: int) -> list[Run]:
    """The newest runs of a workflow that SUCCEEDED.

    Raises:
        NotFound: there are none.
    """
    layout.check_workflow(workflow)
    found = newest_page(session, workflow, RunStatus.SUCCEEDED, 0, limit)
    runs = [*session.store.read_many(one.run_id for one in found).values()]
    if not runs:
        raise NotFound(
            f"there is neither a run {workflow!r} nor one of a workflow of that name that SUCCEEDED: "
            "see `fluxio list`."
        )
    return runs


def _no_runs(workflow: str) -> NotFound:
    return NotFound(
        f"there is neither a run {workflow!r} nor, among the newest {NEWEST}, one of a workflow of that "
        "name that a worker has opened: see `fluxio list`. A workflow's graph is stored with its first run."
    )
