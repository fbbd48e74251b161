"""`fluxio ui`: the runs in a browser."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fluxio_client.cli.dev import require_engine
from fluxio_client.cli.session import Session
from fluxio_protocol.errors import FluxioError

NEEDED = ("starlette", "uvicorn", "jinja2")


def ui(
    session: Session,
    port: Annotated[
        int, typer.Option(help="The port on loopback; 0: one that is free.", min=0, max=65535)
    ] = 0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Leave out whatever changes something.")
    ] = False,
    folder: Annotated[
        Path | None,
        typer.Option(
            help="Your code with its manifest: forms then have the fields of your types. Needs the engine."
        ),
    ] = None,
    browser: Annotated[
        bool, typer.Option("--browser/--no-browser", help="Open the browser, too.")
    ] = True,
) -> None:
    """Show the deployment in a browser: runs with their graphs, step by step, and what mends them.

    The pages are served on this machine's loopback alone, with your AWS credentials, until Ctrl-C. The address
    lets one browser in, once.

    Example: fluxio ui --read-only
    """
    missing = [name for name in NEEDED if find_spec(name) is None]
    if missing:
        raise FluxioError(
            f'the pages need {" and ".join(missing)}, which this Python lacks: pip install "fluxio-client[ui]"'
        )
    from fluxio_client.ui.schemas import UNKNOWN, schemas_of
    from fluxio_client.ui.server import serve
    from fluxio_client.ui.site import Site

    _ = session.table, session.queue
    schemas = UNKNOWN
    if folder is not None:
        require_engine("ui --folder")
        schemas = schemas_of(folder)
    session.quiet = True

    def say(address: str) -> None:
        if session.json:
            session.write_json({"address": address})
        else:
            session.out.print(address, soft_wrap=True)
            session.note("it lets one browser in, once; Ctrl-C ends the pages")

    serve(Site(session, read_only, schemas), port, browser, say)
