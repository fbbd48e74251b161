"""`fluxio start`: start a run, and wait for it if asked to."""

from __future__ import annotations

from typing import Annotated

import typer

from fluxio_client import layout
from fluxio_client.cli.command import end_with
from fluxio_client.cli.moments import seconds_of
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.records import run_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.show import outcome, print_run
from fluxio_client.errors import RunParked, WaitTimeout


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
    """Start a run of WORKFLOW; prints its id.

    Example: fluxio start OrderFulfillment --input '{"order_id": "o-1", "amount": 99.0}' --wait
    """
    patience = seconds_of(timeout)
    given = read_json(input, "--input")
    client = session.client
    run = client.start(workflow, given, layout.check_run_id(run_id) if run_id else None)
    if not wait:
        if session.json:
            session.print_json(run_record(run, None, session.now))
        else:
            session.out.print(run.run_id)
            session.note(f"see it with: fluxio show {run.run_id} --watch")
        return
    session.note(f"started {run.run_id}")
    try:
        with session.busy(f"{workflow} {run.run_id} …"):
            run = client.wait(run.run_id, timeout=patience)
    except (RunParked, WaitTimeout):
        run = client.get(run.run_id)
    graph = client.graph(run)
    if session.json:
        session.print_json(run_record(run, graph, session.now, with_output=True))
    else:
        print_run(session, run, graph, with_output=True)
    end_with(outcome(run))
