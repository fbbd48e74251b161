"""The application: which commands there are, and how a call of it ends."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Annotated, Any

import typer

from fluxio_client.cli import (
    cost,
    dev,
    dlq,
    doctor,
    graph,
    listing,
    package,
    replay,
    show,
    start,
    steer,
    timeline,
    ui,
)
from fluxio_client.cli.command import command
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import Explained
from fluxio_client.cli.printable import printable
from fluxio_client.cli.terminal import drop_output, flush_streams, prepare_streams
from fluxio_client.cli.version import client_version

_EPILOG = "Exit codes: " + "; ".join(f"{code:d} {code.meaning}" for code in ExitCode) + "."

_HELP = "Look at the runs of a fluxio deployment, and steer them."

#: What these do needs no deployment.
_WITHOUT_DEPLOYMENT = {dev.dev, package.package}


def _application(help: str, **more: Any) -> typer.Typer:
    return typer.Typer(
        help=help,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
        **more,
    )


def _add(to: typer.Typer, panel: str | None, *functions: Callable[..., None]) -> None:
    for function in functions:
        name = function.__name__.rstrip("_")
        to.command(name, rich_help_panel=panel)(
            command(function, deployment=function not in _WITHOUT_DEPLOYMENT)
        )


app = _application(_HELP, epilog=_EPILOG)
_add(app, "See", listing.list_, show.show, graph.graph, timeline.timeline, cost.cost, ui.ui)
_add(app, "Run and mend", start.start, steer.signal, steer.cancel, steer.redrive)
dead_letters = _application("Messages that were received again and again in vain.")
_add(dead_letters, None, dlq.list_, dlq.show, dlq.redrive, dlq.purge)
app.add_typer(dead_letters, name="dlq", rich_help_panel="Run and mend")
_add(app, "Develop", dev.dev, replay.replay)
_add(app, "Deploy", doctor.doctor, package.package)


def _show_version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"fluxio {client_version()}\n")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    del version


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    prepare_streams()
    try:
        code = _run(arguments)
        flush_streams()
    except BrokenPipeError:
        drop_output()
        return ExitCode.OK
    return code


def _run(arguments: list[str]) -> int:
    try:
        code = typer.main.get_command(app).main(
            args=arguments,
            prog_name="fluxio",
            standalone_mode=False,
        )
    except typer.TyperException as error:
        return _usage(error, as_json="--json" in arguments)
    except typer.Abort:
        return ExitCode.ERROR
    except SystemExit as end:
        # typer, and rich in its help, make one of a reader that has gone; completion ends so by intention.
        if isinstance(end.__context__, BrokenPipeError):
            raise BrokenPipeError from end
        raise
    return code if isinstance(code, int) else ExitCode.OK


def _usage(error: typer.TyperException, as_json: bool) -> int:
    context = getattr(error, "ctx", None)
    text = printable(" ".join(error.format_message().split()))
    if type(error).__name__ == "NoArgsIsHelpError":  # the help it has just printed says it all
        sys.stderr.write(f"{text}\n" if text else "")
        return ExitCode.USAGE
    path = context.command_path if context else "fluxio"
    message = f"{text}{'' if text.endswith(('.', '?', '!')) else '.'} See `{path} --help`."
    failure = Explained("UsageError", message, ExitCode.USAGE)
    sys.stderr.write(f"{failure.to_json() if as_json else f'error: {message}'}\n")
    return failure.code
