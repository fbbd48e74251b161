"""`fluxio graph`: the picture of a workflow, or of a run with its states."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fluxio_client.cli.drawing import svg
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.mermaid import mermaid
from fluxio_client.cli.printable import one_line
from fluxio_client.cli.records import node_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.tree import graph_lines
from fluxio_client.cli.which import newest_graph, run_of
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run


class Format(str, Enum):
    """How a graph is drawn."""

    MERMAID = "mermaid"
    SVG = "svg"
    TEXT = "text"


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
    """Draw the steps of a workflow, or of a run in the colours of their states, with the way that it took.

    A legend below an SVG explains what else than plain arrows occurs in it: edges that are taken without a
    success (`maybe`) or upon a failure (`failed`), groups, conditions, timers, signals.

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
    text = _drawn(session, chosen, found, title, run)
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
                    node_record(step, node, run.steps.get(step) if run else None)
                    for step, node in found.nodes.items()
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


def _drawn(session: Session, chosen: Format, found: Graph, title: str, run: Run | None) -> str:
    now = session.now
    if chosen is Format.SVG:
        return svg(found, title, run, now)
    if chosen is Format.MERMAID:
        return mermaid(found, run, now)
    lines = graph_lines(found, run, now, session.out.width)
    return "".join(f"{line.plain}\n" for line in (Text(one_line(title)), *lines))
