"""`fluxio dev`: the workflows of a folder on this machine, without AWS."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from fluxio_client.cli.payload import read_json
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_protocol.errors import FluxioError, InvalidInput

#: The state's place in the folder: hidden, so that `fluxio package` leaves it out.
STATE = Path(".fluxio") / "dev.sqlite"


def dev(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="Your code with its manifest.")],
    port: Annotated[
        int, typer.Option(help="The port of 127.0.0.1 to answer on.", min=0, max=65_535)
    ] = 3589,
    state: Annotated[
        Path | None,
        typer.Option(help=f"The file with the runs. Default: {STATE.as_posix()} in FOLDER."),
    ] = None,
    reset: Annotated[
        bool, typer.Option("--reset", help="Begin with an empty state; the old one is deleted.")
    ] = False,
    workers: Annotated[
        int, typer.Option(help="Messages that are handled at a time.", min=1, max=50)
    ] = 4,
    timeout: Annotated[
        int, typer.Option(help="Seconds; the module's input `timeout`.", min=10, max=870)
    ] = 120,
    inline_branches: Annotated[
        int, typer.Option(help="The module's input `inline_branches`.", min=0, max=20)
    ] = 10,
    table: Annotated[
        list[str] | None,
        typer.Option(
            "--table",
            metavar="NAME=KEY[,KEY]",
            help="A DynamoDB table of your own, for ctx.transact and boto3 in steps, with the attributes of "
            "its key; repeatable.",
        ),
    ] = None,
    start: Annotated[
        str | None, typer.Option(metavar="WORKFLOW", help="Start a run of it when all is ready.")
    ] = None,
    input: Annotated[
        str | None,
        typer.Option(
            "--input", "-i", help="That run's input: a JSON object, @file, or - for stdin."
        ),
    ] = None,
) -> None:
    """Run the workflows of FOLDER here: no AWS, no emulator, one process.

    It plays Lambda, DynamoDB and SQS, restarts when a Python file changes, and `breakpoint()` in a step
    stops at a prompt. Runs are kept in one SQLite file and go on with the next call, however this one ended.
    It needs the engine: pip install fluxio. It prints the environment in which `fluxio` and your own
    programs reach it, on loopback only.

    Example: fluxio dev build/orders --start OrderFulfillment --input '{"order_id": "o-1", "amount": 99.0}'
    """
    if input is not None and start is None:
        raise InvalidInput("--input is for the run that --start WORKFLOW starts.")
    given = read_json(input, "--input")
    require_engine("dev")
    # Here, since a client has no engine, and no other command needs it.
    from fluxio.local.options import Options
    from fluxio.local.supervisor import serve

    folder = folder.resolve()
    options = Options(
        folder=folder,
        state=(state or folder / STATE).absolute(),
        port=port,
        workers=workers,
        timeout=timeout,
        inline_branches=inline_branches,
        tables=dict(map(_table, table or [])),
        start=start,
        input=given,
        json=session.json,
    )
    code = serve(options, session.note, reset)
    if code:
        raise typer.Exit(code)


def _table(given: str) -> tuple[str, tuple[str, ...]]:
    """The name of a table, and the attributes of its key.

    Raises:
        InvalidInput: they are not there, or it is the table with the runs.
    """
    name, _, keys = given.partition("=")
    found = tuple(key.strip() for key in keys.split(","))
    if not name or not all(found) or len(found) > 2:
        raise InvalidInput(
            f"--table {given!r}: write NAME=HASH, or NAME=HASH,RANGE with the attributes of the table's key."
        )
    if name == "fluxio":
        raise InvalidInput("--table fluxio: the table with the runs has this name. Choose another.")
    return name, found


def require_engine(name: str) -> None:
    """See that the engine is installed beside this command.

    Raises:
        FluxioError: it is not.
    """
    if find_spec("fluxio") is None:
        raise FluxioError(
            f"`fluxio {name}` runs your steps, for which it needs the engine beside this command: "
            f"pip install fluxio=={client_version()}"
        )
