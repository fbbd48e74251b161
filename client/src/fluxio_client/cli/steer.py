"""`fluxio signal`, `fluxio cancel`, `fluxio redrive`: what a person does to runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from fluxio_client import layout
from fluxio_client.cli.command import end_with, wrong
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import Explained, explain
from fluxio_client.cli.moments import moment_of
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.records import Record
from fluxio_client.cli.session import Session
from fluxio_client.errors import FluxioError
from fluxio_client.run import STOPPED, RunStatus

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def signal(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    name: Annotated[str, typer.Argument(help="The signal, as a step's `awaits` names it.")],
    payload: Annotated[
        str | None,
        typer.Option("--payload", "-p", help="JSON, @file, or - for stdin. Default: {}."),
    ] = None,
) -> None:
    """Send a signal to a run; a step that waits for it goes on.

    Safe to repeat with the same payload.

    Example: fluxio signal order-o-1001 approved --payload '{"by": "kim"}'
    """
    run = session.client.signal(run_id, name, read_json(payload, "--payload"))
    if session.json:
        session.print_json({"run_id": run.run_id, "signal": name, "status": run.status.value})
    else:
        session.out.print(f"{run.run_id} has its signal {name}; the run is {run.status}")
        if run.status in STOPPED:
            session.note(f"it goes on with: fluxio redrive {run.run_id}")


def cancel(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    yes: _Yes = False,
) -> None:
    """End a run. A step that is under way is not interrupted, but nothing follows it.

    A cancelled run cannot be sent on again.

    Example: fluxio cancel order-o-1001 --yes
    """
    run = session.client.get(run_id)
    if not run.ended:  # of one that has ended, cancel itself says so
        session.confirm(f"Cancel run {run.run_id} ({run.workflow}, {run.status}) for good?", yes)
    run = session.client.cancel(run.run_id)
    if session.json:
        session.print_json({"run_id": run.run_id, "status": run.status.value})
    else:
        session.out.print(f"{run.run_id} is {run.status}")


def redrive(
    session: Session,
    runs: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN]...", help="Ids of runs.")
    ] = None,
    failed: Annotated[
        str | None,
        typer.Option("--failed", metavar="WORKFLOW", help="Every FAILED run of this workflow."),
    ] = None,
    parked: Annotated[
        str | None,
        typer.Option("--parked", metavar="WORKFLOW", help="Every parked run of this workflow."),
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="Of --failed and --parked: only those since 2h, 3d, … ago or an ISO time."
        ),
    ] = None,
    limit: Annotated[
        int, typer.Option(help="Of --failed and --parked: at most so many runs.", min=1)
    ] = 1000,
    yes: _Yes = False,
) -> None:
    """Send runs on that FAILED or were parked; failed steps get all their attempts again.

    Steps that succeeded are not run again. Safe to repeat.

    Example: fluxio redrive --failed OrderFulfillment --since 2h --yes
    """
    ids = list(dict.fromkeys(layout.check_run_id(run_id) for run_id in runs or ()))
    if sum(map(bool, (ids, failed, parked))) != 1:
        raise wrong("say either which runs, or --failed WORKFLOW, or --parked WORKFLOW.")
    if since and ids:
        raise wrong("--since goes with --failed or --parked.")
    workflow = failed or parked
    if workflow:
        first = moment_of(since, session.now) if since else 0
        status = RunStatus.FAILED if failed else RunStatus.WAITING
        ids = _stopped(session, workflow, status, first, limit)
        if ids:
            session.confirm(f"Redrive {_runs(len(ids))} of {workflow} that are {status}?", yes)
    done, refused = _each(session, ids, session.client.redrive)
    _report(session, done, refused)


def _stopped(
    session: Session, workflow: str, status: RunStatus, since: int, limit: int
) -> list[str]:
    ids: list[str] = []
    page = None
    with session.busy(f"looking for {status} runs of {workflow} …"):
        while len(ids) < limit:
            found = session.client.list(
                workflow,
                status=status,
                since=since or None,
                limit=min(limit - len(ids), 1000),
                page=page,
            )
            ids += [run.run_id for run in found]
            page = found.next_page
            if page is None:
                break
    return ids


def _each(
    session: Session, ids: list[str], act: Callable[[str], object]
) -> tuple[list[str], list[tuple[str, Explained]]]:
    """Do it to each run; one that refuses does not keep the others from it."""
    done: list[str] = []
    refused: list[tuple[str, Explained]] = []
    with session.progress("redriving", len(ids)) as bar:
        for run_id in ids:
            try:
                act(run_id)
            except FluxioError as error:
                why = explain(error)
                assert why is not None
                refused.append((run_id, why))
            else:
                done.append(run_id)
            bar.advance()
    return done, refused


def _report(session: Session, done: list[str], refused: list[tuple[str, Explained]]) -> None:
    if session.json:
        failures: list[Record] = [
            {"run_id": run_id, "type": why.kind, "message": why.message} for run_id, why in refused
        ]
        session.print_json({"redriven": done, "refused": failures})
    else:
        for run_id, why in refused:
            session.err.print(f"error: {run_id}: {why.message}", soft_wrap=True)
        session.out.print(
            f"{_runs(len(done))} sent on" + (f", {len(refused)} not" if refused else "")
        )
    if refused:
        codes = {why.code for _, why in refused}
        end_with(codes.pop() if len(codes) == 1 and not done else ExitCode.ERROR)


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
