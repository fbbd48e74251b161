"""What a name on the command line is: a run's id, or a workflow's name."""

from __future__ import annotations

from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.session import Session
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus

#: Of how many of a workflow's newest runs the first that was opened is taken.
NEWEST = 20


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


def newest_runs(session: Session, workflow: str, limit: int) -> list[Run]:
    """The newest runs of a workflow that SUCCEEDED.

    Raises:
        NotFound: there are none.
    """
    found = session.client.list(
        layout.check_workflow(workflow), status=RunStatus.SUCCEEDED, limit=limit
    )
    runs = [run for one in found if (run := session.store.read(one.run_id)) is not None]
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
