"""`fluxio start`: start a run, and wait for it if asked to."""

from __future__ import annotations

from typing import Annotated

import typer

from fluxio_client.cli.command import end_with
from fluxio_client.cli.moments import local, seconds_of
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.records import run_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.show import outcome, print_run
from fluxio_protocol import layout
from fluxio_protocol.errors import RunParked, WaitTimeout
from fluxio_protocol.run import STOPPED, Run, RunStatus


def start(
    session: Session,
    workflow: Annotated[str, typer.Argument(help="The workflow's name, as the manifest has it.")],
    input: Annotated[
        str | None,
        typer.Option("--input", "-i", help="The input: a JSON object, @file, or - for stdin."),
    ] = None,
    run_id: Annotated[
        str | None,
        typer.Option(help="An id of your own: then the command can be repeated safely."),
    ] = None,
    wait: Annotated[
        bool,
        typer.Option("--wait", help="Wait for its end; the exit code says how it ended."),
    ] = False,
    timeout: Annotated[
        str, typer.Option(help="How long to wait at most: 90s, 15m, 2h. The run goes on.")
    ] = "5m",
) -> None:
    """Start a run of WORKFLOW; prints its id, also if it was there already, and then how it stands.

    Example: fluxio start OrderFulfillment --input '{"order_id": "o-1", "amount": 99.0}' --wait
    """
    patience = seconds_of(timeout)
    given = read_json(input, "--input")
    client = session.client
    asked = session.now
    run = client.start(workflow, given, layout.check_run_id(run_id) if run_id else None)
    existed = was_there(run, asked, session.now)
    if not wait:
        if session.json:
            session.print_json(run_record(run, None, session.now) | {"existed": existed})
        else:
            session.out.print(run.run_id)
            session.note(_there_already(run, session.now) if existed else _see(run))
        return
    session.note(_there_already(run, session.now) if existed else f"started {run.run_id}")
    try:
        with session.busy(f"{workflow} {run.run_id} …"):
            run = client.wait(run.run_id, timeout=patience)
    except (RunParked, WaitTimeout):
        run = client.get(run.run_id)
    graph = client.graph(run)
    if session.json:
        record = run_record(run, graph, session.now, with_output=True)
        session.print_json(record | {"existed": existed})
    else:
        print_run(session, run, graph, with_output=True)
    end_with(outcome(run))


def was_there(run: Run, asked: int, answered: int) -> bool:
    """Whether the run was there before this call: one that the call has made is PENDING, and of its time.

    A put that the SDK repeats, since the answer to the first was lost, finds a run of this call's time too.
    """
    return run.status is not RunStatus.PENDING or not asked <= run.created_at <= answered


def _there_already(run: Run, now: int) -> str:
    stands = (
        f"{run.run_id} was there already, started {local(run.created_at, now)}: it is {run.status}"
    )
    if run.ended_at is not None:
        stands += f" since {local(run.ended_at, now)}"
    if run.status in STOPPED:
        return f"{stands}; to send it on: fluxio redrive {run.run_id}"
    return stands if run.ended else f"{stands}; {_see(run)}"


def _see(run: Run) -> str:
    return f"see it with: fluxio show {run.run_id} --watch"
