"""`fluxio signal`, `fluxio cancel`, `fluxio redrive`: what a person does to runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from fluxio_client.cli.command import end_with, wrong
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.moments import local, moment_of
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.records import Record
from fluxio_client.cli.redriving import Outcome, redrive_each, stopped_runs
from fluxio_client.cli.session import Session
from fluxio_client.cli.waiting import goes_on
from fluxio_protocol import layout
from fluxio_protocol.run import STOPPED, RunStatus

_Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def signal(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    name: Annotated[str, typer.Argument(help="The signal, as a step's `awaits` names it.")],
    payload: Annotated[
        str | None,
        typer.Option("--payload", "-p", help="JSON, @file, or - for stdin. Default: {}."),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Take the place of a payload that no step has taken yet."),
    ] = False,
) -> None:
    """Send a signal to a run; a step that waits for it goes on.

    Safe to repeat with the same payload. A payload that does not fit its step's parameter is refused there, and
    the step waits again: send it anew.

    Example: fluxio signal order-o-1001 approved --payload '{"by": "kim"}'
    """
    run = session.client.signal(run_id, name, read_json(payload, "--payload"), replace=replace)
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

    Steps that succeeded are not run again, and the run has no time limit any more. Safe to repeat: a run
    that is open already is only nudged.

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
        ids = stopped_runs(session, workflow, status, first, limit)
        stopped = "FAILED" if failed else "parked"
        if ids:
            which = f"that {'is' if len(ids) == 1 else 'are'} {stopped}"
            session.confirm(f"Redrive {_runs(len(ids))} of {workflow} {which}?", yes)
        elif not session.client.list(workflow, limit=1).runs:
            raise NotFound(
                f"no run of a workflow {workflow} was found in this table: is that its name in the manifest, "
                "and FLUXIO_TABLE_NAME the deployment's own? `fluxio list --failed` and `fluxio list` show "
                "the runs of all workflows."
            )
        else:
            when = f" since {local(first, session.now)}" if first else ""
            session.note(f"no run of {workflow} is {stopped}{when}")
    _report(session, redrive_each(session, ids))


def _report(session: Session, found: Outcome) -> None:
    refused = found.refused
    if session.json:
        failures: list[Record] = [
            {"run_id": run_id, "type": why.kind, "message": why.message} for run_id, why in refused
        ]
        session.print_json(
            {
                "redriven": found.sent_on,
                "nudged": [run.run_id for run in found.nudged],
                "time_limit_removed": found.unlimited,
                "refused": failures,
            }
        )
    else:
        for run_id, why in refused:
            session.err.print(f"error: {run_id}: {why.message}", soft_wrap=True)
        for run in found.nudged:
            stands = "; ".join(goes_on(run, session.now))
            session.out.print(
                f"{run.run_id} is {run.status} already and was only nudged"
                + (f"; {stands}" if stands else ""),
                soft_wrap=True,
            )
        counts = [f"{_runs(len(found.sent_on))} sent on"] if found.sent_on or refused else []
        counts += [f"{len(found.nudged)} nudged"] if found.nudged and counts else []
        counts += [f"{len(refused)} not"] if refused else []
        if counts or not found.nudged:
            session.out.print(", ".join(counts or ["0 runs sent on"]))
        if found.unlimited:
            session.note(_without_limit(found.unlimited))
    if refused:
        codes = {why.code for _, why in refused}
        nothing = not (found.sent_on or found.nudged)
        end_with(codes.pop() if len(codes) == 1 and nothing else ExitCode.ERROR)


def _without_limit(runs: Sequence[str]) -> str:
    """A redrive takes away the time that the workflow's `timeout` gives a run."""
    if len(runs) == 1:
        return (
            f"{runs[0]} has no time limit any more: its workflow's `timeout` does not end it again"
        )
    return f"{len(runs)} of them have no time limit any more: `timeout` does not end them again"


def _runs(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"
