"""`fluxio show`: a run with its steps, once or as it goes on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from fluxio_client.cli.command import end_with
from fluxio_client.cli.endings import handled_by, skipped_because
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.moments import local
from fluxio_client.cli.printable import one_line, printable_json
from fluxio_client.cli.records import run_record
from fluxio_client.cli.session import Session
from fluxio_client.cli.tree import run_lines
from fluxio_client.cli.waiting import at_rest
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus, Step, StepStatus


def show(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    watch: Annotated[
        bool, typer.Option("--watch", "-w", help="Follow it until it has ended or is parked.")
    ] = False,
    interval: Annotated[
        float, typer.Option(help="Seconds between two looks of --watch.", min=0.1)
    ] = 1.0,
    input: Annotated[
        bool, typer.Option("--input", help="Also its input and the payloads of its signals.")
    ] = False,
    output: Annotated[
        bool, typer.Option("--output", help="Also what its steps returned, and its result.")
    ] = False,
    exit_code: Annotated[
        bool, typer.Option("--exit-code", help="Let the exit code say how the run stands.")
    ] = False,
) -> None:
    """Show a run: its steps with attempts, durations, errors, where they ran and what they wait for.

    Example: fluxio show order-o-1001 --watch
    """
    run = session.client.get(run_id)
    graph = session.client.graph(run)
    if watch:
        run, graph = _watch(session, run, graph, interval)
    if session.json and not watch:
        session.print_json(run_record(run, graph, session.now, input, output))
    elif not session.json and not (watch and session.out.is_terminal):
        print_run(session, run, graph, input, output)
    elif not session.json:
        _print_payloads(session, run, graph, input, output)
    if exit_code:
        end_with(outcome(run))


def outcome(run: Run) -> ExitCode:
    """The exit code that says how a run stands."""
    if run.status is RunStatus.SUCCEEDED:
        return ExitCode.OK
    return ExitCode.UNSUCCESSFUL if at_rest(run) else ExitCode.NOT_ENDED


def print_run(
    session: Session,
    run: Run,
    graph: Graph | None,
    with_input: bool = False,
    with_output: bool = False,
) -> None:
    """The run for a person."""
    session.print_lines(run_lines(run, graph, session.now, session.out.width))
    _print_payloads(session, run, graph, with_input, with_output)


def _print_payloads(
    session: Session, run: Run, graph: Graph | None, with_input: bool, with_output: bool
) -> None:
    found: list[tuple[str, Any]] = []
    if with_input:
        found.append(("input", run.input))
        found += [
            (f"{'default of' if name in run.lapsed else ''} signal {name}".strip(), payload)
            for name, payload in run.signals.items()
        ]
    if with_output:
        order = dict.fromkeys([*(graph.depends_on if graph else ()), *run.steps])
        steps = [run.steps[name] for name in order if name in run.steps]
        found += [
            (f"output of {step.name}", step.output)
            for step in steps
            if step.status is StepStatus.SUCCEEDED
        ]
        if run.status is RunStatus.SUCCEEDED:
            found.append(("result", run.result))
    for name, payload in found:
        session.out.print(Text(f"\n{name}", style="bold"))
        session.out.print(printable_json(payload), soft_wrap=True)


def _watch(
    session: Session, run: Run, graph: Graph | None, interval: float
) -> tuple[Run, Graph | None]:
    """Follow the run to its end: a screen that changes, or a line for each change."""
    if session.out.is_terminal and not session.json:
        with Live(console=session.out, auto_refresh=False, vertical_overflow="visible") as live:

            def redraw(run: Run, graph: Graph | None) -> None:
                lines = run_lines(run, graph, session.now, session.out.width)
                live.update(Group(*lines), refresh=True)

            return _follow(session, run, graph, interval, redraw)
    teller = _tell_records(session) if session.json else _tell_changes(session)
    return _follow(session, run, graph, interval, teller)


def _follow(
    session: Session,
    run: Run,
    graph: Graph | None,
    interval: float,
    tell: Callable[[Run, Graph | None], None],
) -> tuple[Run, Graph | None]:
    while True:
        tell(run, graph)
        if at_rest(run):
            return run, graph
        session.sleep(interval)
        run = session.client.get(run.run_id)
        graph = graph or session.client.graph(run)


def _since(step: Step, now: int) -> int:
    """Since when a step is as it is; of one between two attempts nobody wrote down when it came back."""
    if step.status is StepStatus.PENDING:
        return now
    return step.ended_at or step.started_at or now


def _tell_records(session: Session) -> Callable[[Run, Graph | None], None]:
    """A line of JSON whenever the run has changed."""
    seen: list[Run] = []

    def tell(run: Run, graph: Graph | None) -> None:
        if seen != [run]:
            seen[:] = [run]
            session.write_json(run_record(run, graph, session.now))
            sys.stdout.flush()

    return tell


def _became(run: Run, step: Step, graph: Graph | None) -> str:
    """How a step is now, and why."""
    parts = [f"{step.status}"]
    if step.attempt:
        parts.append(f"attempt {step.attempt}")
    if step.round:
        parts.append(f"round {step.round}")
    if names := handled_by(step, graph):
        parts.append(f"handled by {', '.join(names)}")
    if because := skipped_because(run, step, graph):
        parts.append(f"not needed: {because}")
    why = f"  {one_line(f'{step.error.type}: {step.error.message}')}" if step.error else ""
    return f"{', '.join(parts)}{why}"


def _tell_changes(session: Session) -> Callable[[Run, Graph | None], None]:
    """A line for each step that is not as it was, with the time at which it became so."""
    seen: dict[str, tuple[StepStatus, int]] = {}

    def tell(run: Run, graph: Graph | None) -> None:
        now = session.now
        changed = [
            step
            for step in run.steps.values()
            if seen.get(step.name) != (step.status, step.attempt)
            and (step.name in seen or step.attempt or step.settled)
        ]
        for step in sorted(changed, key=lambda step: _since(step, now)):
            seen[step.name] = (step.status, step.attempt)
            session.out.print(
                f"{local(_since(step, now), now)}  {step.name}  {_became(run, step, graph)}",
                soft_wrap=True,
            )
        sys.stdout.flush()

    return tell
