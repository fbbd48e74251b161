"""What every command has in common: the options of the deployment, --json, and how failures end it."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import Annotated, Any

import typer

from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import explain
from fluxio_client.cli.session import Session
from fluxio_protocol.errors import InvalidInput

_PANEL = "Deployment"

_DEPLOYMENT: dict[str, Any] = {
    "table_name": Annotated[
        str | None,
        typer.Option(
            help="The module's output `table_name`. [FLUXIO_TABLE_NAME]", rich_help_panel=_PANEL
        ),
    ],
    "queue_url": Annotated[
        str | None,
        typer.Option(
            help="The module's output `queue_url`. [FLUXIO_QUEUE_URL]", rich_help_panel=_PANEL
        ),
    ],
    "region": Annotated[
        str | None,
        typer.Option(help="The AWS Region. [AWS_DEFAULT_REGION]", rich_help_panel=_PANEL),
    ],
    "endpoint_url": Annotated[
        str | None,
        typer.Option(
            help="Where AWS is, for an emulator. [AWS_ENDPOINT_URL]", rich_help_panel=_PANEL
        ),
    ],
}
_JSON: dict[str, Any] = {
    "json": Annotated[bool, typer.Option("--json", help="Print JSON, for a script.")],
}


def command(function: Callable[..., None], *, deployment: bool = True) -> Callable[..., None]:
    """A command out of a function that takes a `Session` first, then options of its own."""
    shared = {**_JSON, **(_DEPLOYMENT if deployment else {})}
    # Not get_type_hints: on Python 3.10 that puts Optional around whatever has the default None.
    _, *own = inspect.signature(function, eval_str=True).parameters.values()
    parameters = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in own]
    parameters += [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if name == "json" else None,
            annotation=annotation,
        )
        for name, annotation in shared.items()
    ]

    @wraps(function)
    def run(**given: Any) -> None:
        session = Session(**{name: given.pop(name) for name in shared})
        try:
            function(session, **given)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except Exception as error:
            failure = explain(error)
            if failure is None:
                raise
            session.report(failure)
            raise typer.Exit(failure.code) from error

    del run.__wrapped__  # else its signature would be read instead of the one that is set here
    run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return run


def wrong(message: str) -> InvalidInput:
    """The options do not go together."""
    return InvalidInput(message)


def end_with(code: ExitCode) -> None:
    """End the command with this code, if it is not that of success."""
    if code is not ExitCode.OK:
        raise typer.Exit(code)
