"""`fluxio replay`: a step of a run, with what it was given there, run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.text import Text

from fluxio_client.cli.command import end_with
from fluxio_client.cli.dev import require_engine
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.payload import read_json
from fluxio_client.cli.printable import printable, printable_json
from fluxio_client.cli.records import failure_record
from fluxio_client.cli.session import Session
from fluxio_protocol.errors import InvalidInput

if TYPE_CHECKING:
    from fluxio.local.replay import Outcome, Replay


def replay(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    step: Annotated[str, typer.Argument(help="The step's name.")],
    folder: Annotated[
        Path, typer.Argument(help="Your code with its manifest; default: the current folder.")
    ] = Path(),
    with_: Annotated[
        list[str] | None,
        typer.Option(
            "--with",
            metavar="NAME=JSON",
            help="Another value for a part of what the step is given (input, a step it depends on, a "
            "signal): JSON or @file; repeatable.",
        ),
    ] = None,
    pdb: Annotated[
        bool,
        typer.Option("--pdb", help="Stop in the debugger at its first line, and where it raises."),
    ] = False,
    payloads: Annotated[
        bool,
        typer.Option("--payloads", help="Show the arguments, and what it returns and would write."),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Run the code of a step here, with the arguments that it had in RUN; writes nothing to AWS.

    The run, its steps' outputs and its signals are read with your rights, and bound as the worker binds
    them. What the step hands to ctx.transact and ctx.start is shown and not done, and calls of boto3 that
    write are refused. All else that the code does, it does: it may call an API of yours. So it asks first.
    It needs the engine: pip install fluxio.

    Example: fluxio replay order-o-1001 charge_card build/orders --pdb
    """
    instead = _values(with_ or [])
    require_engine("replay")
    # Here, since a client has no engine, and no other command needs it.
    from fluxio.local.no_writes import no_writes
    from fluxio.local.replay import execute, prepare

    with no_writes() as refused:
        prepared = prepare(session.store, folder.resolve(), run_id, step, instead)
        if not session.json:
            _print_given(session, prepared, payloads)
        session.confirm(f"Run the code of {step} here, with all that it does outside of AWS?", yes)
        outcome = execute(prepared, pdb)
    if session.json:
        session.print_json(_record(prepared, outcome, refused, payloads))
    else:
        _print_outcome(session, prepared, outcome, refused, payloads)
    end_with(ExitCode.OK if outcome.error is None else ExitCode.UNSUCCESSFUL)


def _values(given: list[str]) -> dict[str, str]:
    found = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not name:
            raise InvalidInput(f"--with {one!r}: write NAME=JSON, or NAME=@file.")
        found[name] = json.dumps(read_json(value, f"--with {name}"))
    return found


def _print_given(session: Session, replay: Replay, payloads: bool) -> None:
    run, step = replay.run, replay.step
    there = f"attempt {step.attempt}, {step.status}" if step.attempt else str(step.status)
    if step.error:
        there += f" ({step.error.type}: {step.error.message})"
    lines = [f"{step.name} of {run.run_id} ({run.workflow}, {run.status}): there {there}"]
    if run.version and run.version != replay.version:
        lines.append(
            f"the run is of version {run.version}, and the code here of version {replay.version}: its steps "
            "depend on each other in another way"
        )
    lines.append("what leaves the table for this machine, and what is given here:")
    lines += [
        f"  {part.what}: {len((part.text or '').encode()):,} bytes, {part.remark}"
        for part in replay.parts
    ]
    lines.append(f"arguments: {', '.join(replay.arguments) or 'none'}")
    if replay.declined:
        lines.append(
            "its `when` says no: a worker would not run this code, and would skip the step"
        )
    for line in lines:
        session.err.print(printable(line), soft_wrap=True, markup=False)
    if payloads:
        for name, value in replay.arguments.items():
            session.err.print(f"  {name} = {printable(repr(value))}", soft_wrap=True, markup=False)


def _print_outcome(
    session: Session, replay: Replay, outcome: Outcome, refused: list[str], payloads: bool
) -> None:
    out = session.out
    if outcome.error is not None:
        from fluxio.local.replay import traceback_of

        out.print(Text(printable(traceback_of(outcome.error))), soft_wrap=True)
        out.print(f"raised after {outcome.seconds:.2f} s", soft_wrap=True)
    else:
        size = len((outcome.text or "").encode())
        same = _compared(replay, outcome)
        what = "returned"
        if outcome.again is not None:
            what = f"asked to be run again in {outcome.again:g} s, with a state,"
        out.print(
            f"{what} after {outcome.seconds:.2f} s: {size:,} bytes of JSON{same}", soft_wrap=True
        )
        if payloads:
            out.print(printable_json(json.loads(outcome.text or "null")), soft_wrap=True)
        else:
            session.note("--payloads shows them")
    for line in _undone(replay, payloads):
        out.print(printable(line), soft_wrap=True, markup=False)
    for call in refused:
        out.print(f"not called: {call}", soft_wrap=True)


def _compared(replay: Replay, outcome: Outcome) -> str:
    before = replay.step.output_json
    if before is None or outcome.text is None or outcome.again is not None:
        return ""
    same = json.loads(before) == json.loads(outcome.text)
    return ", the same as there" if same else ", other than there"


def _undone(replay: Replay, payloads: bool) -> list[str]:
    """What would have been written when the step completed."""
    lines = []
    for operation in replay.context.operations:
        ((kind, parameters),) = operation.items()
        line = f"not done: ctx.transact {kind} in table {parameters.get('TableName')}"
        lines.append(f"{line}: {json.dumps(parameters, default=repr)}" if payloads else line)
    for new in replay.context.starts:
        line = f"not done: ctx.start of {new.workflow} as {new.run_id}"
        lines.append(f"{line}: {new.input_json}" if payloads else line)
    return lines


def _record(replay: Replay, outcome: Outcome, refused: list[str], payloads: bool) -> dict[str, Any]:
    from fluxio_protocol.run import Failure

    error = outcome.error
    failure = Failure(type(error).__name__, str(error), replay.step.name) if error else None
    record: dict[str, Any] = {
        "run_id": replay.run.run_id,
        "workflow": replay.run.workflow,
        "step": replay.step.name,
        "version": replay.version,
        "run_version": replay.run.version,
        "given": [
            {"name": part.name, "bytes": len((part.text or "").encode()), "from": part.remark}
            for part in replay.parts
        ],
        "arguments": list(replay.arguments),
        "declined": replay.declined,
        "duration_s": outcome.seconds,
        "again_s": outcome.again,
        "error": failure_record(failure),
        "not_done": _undone(replay, payloads),
        "not_called": refused,
    }
    if payloads:
        record["output"] = json.loads(outcome.text) if outcome.text is not None else None
    return record
