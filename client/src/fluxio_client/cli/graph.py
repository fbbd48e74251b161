"""`fluxio graph`: the picture of a workflow, or of a run with its states."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from fluxio_client.cli.drawing import mermaid, svg
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.session import Session
from fluxio_client.cli.which import newest_graph, run_of
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput


class Format(str, Enum):
    """How a graph is drawn."""

    MERMAID = "mermaid"
    SVG = "svg"


def graph(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="RUN|WORKFLOW", help="A run's id, or a workflow's name.")
    ],
    format: Annotated[
        Format | None,
        typer.Option("--format", "-f", help="Default: svg for a file *.svg, else mermaid."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write it to this file.")
    ] = None,
    version: Annotated[
        str | None, typer.Option(help="Of a workflow: this version instead of the newest run's.")
    ] = None,
) -> None:
    """Draw the steps of a workflow, or of a run in the colours of their states.

    Example: fluxio graph order-o-1001 -o order.svg
    """
    run = run_of(session, name)
    if run is not None:
        found = session.client.graph(run)
        if found is None:
            if run.version is not None:
                raise NotFound(
                    f"the table has no graph of version {run.version} of {run.workflow} that this client can "
                    f"read: `fluxio show {run.run_id}` lists the run's steps."
                )
            raise NotFound(
                f"no worker has opened run {run.run_id} yet, so its steps are not known: try again, and if it "
                "stays so, `fluxio doctor`."
            )
        title = f"{run.workflow} {run.run_id}: {run.status}"
        workflow, version = run.workflow, run.version
    else:
        workflow = layout.check_workflow(name)
        if version is None:
            version, found = newest_graph(session, workflow)
        else:
            stored = session.store.get_graph(workflow, version)
            if stored is None:
                raise NotFound(f"the table has no version {version!r} of a workflow {workflow!r}.")
            found = stored
        title = f"{workflow} {version}"
    chosen = format or (
        Format.SVG if output and output.suffix.lower() == ".svg" else Format.MERMAID
    )
    now = session.now
    text = svg(found, title, run, now) if chosen is Format.SVG else mermaid(found, run, now)
    if output is not None:
        try:
            output.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InvalidInput(f"{output} cannot be written: {error.strerror}.") from None
    if session.json:
        session.print_json(
            {
                "workflow": workflow,
                "version": version,
                "run_id": run.run_id if run else None,
                "steps": [
                    {
                        "name": step,
                        "depends_on": list(deps),
                        "awaits": list(found.awaits.get(step, ())),
                        "status": run.steps[step].status.value
                        if run and step in run.steps
                        else None,
                    }
                    for step, deps in found.depends_on.items()
                ],
                "format": chosen.value,
                "output": str(output) if output else None,
                "drawing": None if output else text,
            }
        )
    elif output is not None:
        session.out.print(f"wrote {output}", soft_wrap=True)
    else:
        sys.stdout.write(text)
