"""`fluxio timeline`: the steps of a run as bars over time."""

from __future__ import annotations

import math
from textwrap import wrap
from typing import Annotated, NamedTuple

import typer
from rich.text import Text

from fluxio_client.cli.moments import both, length
from fluxio_client.cli.session import Session
from fluxio_client.cli.tree import run_lines
from fluxio_client.cli.waiting import LOST, at_rest, state_of
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus, Step, StepStatus

#: Columns that a step's name may take.
WIDEST_NAME = 28

#: What bars are drawn with: a terminal that cannot show the first set gets the second.
BLOCKS = ("█", "▒", "·", "│")
PLAIN = ("#", "=", ".", "|")


class Span(NamedTuple):
    """A step on the time axis, in milliseconds since the run's start."""

    step: Step
    #: When nothing but a worker, its signals or a retry kept it from its last attempt.
    ready: int
    #: Its last attempt; `end` is that of the run so far while it is running.
    begin: int
    end: int


def timeline(
    session: Session,
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="The run's id.")],
    width: Annotated[
        int | None, typer.Option(help="Columns to draw in; default: those of the terminal.", min=40)
    ] = None,
) -> None:
    """Draw the steps of a run as bars over time.

    A bar is a step's last attempt: the table keeps no other. Dots before it are the time since the step
    could have begun: the wait for a worker, a signal or a timer, earlier attempts and rounds, backoff.

    Example: fluxio timeline order-o-1001
    """
    run = session.client.get(run_id)
    graph = session.client.graph(run)
    now = session.now
    if session.json:
        end = run.ended_at or now
        session.print_json(
            {
                "run_id": run.run_id,
                "status": run.status.value,
                **both("created_at", run.created_at),
                "length_ms": end - run.created_at,
                "steps": [
                    {
                        "name": span.step.name,
                        "status": span.step.status.value,
                        "attempt": span.step.attempt,
                        "round": span.step.round,
                        "ready_ms": span.ready,
                        "begin_ms": span.begin,
                        "end_ms": span.end,
                    }
                    for span in spans(run, graph, now)
                ],
            }
        )
        return
    session.out.print(run_lines(run, None, now, session.out.width)[0])
    blocks = BLOCKS if (session.out.encoding or "").lower().startswith("utf") else PLAIN
    session.print_lines(bars(run, graph, now, width or session.out.width, blocks))


def spans(run: Run, graph: Graph | None, now: int) -> list[Span]:
    """The steps that were begun, the earliest first."""
    found: list[Span] = []
    for step in run.steps.values():
        if not has_begun(step):
            continue
        begun = step.started_at or 0
        names = graph.depends_on.get(step.name, ()) if graph else ()
        deps = [run.steps[name] for name in names if name in run.steps]
        ready = max((dep.ended_at or 0 for dep in deps), default=run.created_at)
        ends = step.ended_at
        if ends is None:  # running, or between two attempts, whose end nobody wrote down
            ends = (run.ended_at or now) if step.status is StepStatus.RUNNING else begun
            if at_rest(run) and step.lease_until is not None:  # nobody has it after its lease
                ends = min(ends, step.lease_until)
        begin = begun - run.created_at
        found.append(
            Span(
                step,
                min(max(ready - run.created_at, 0), begin),
                begin,
                max(ends - run.created_at, begin),
            )
        )
    return sorted(found, key=lambda span: (span.begin, span.end))


def has_begun(step: Step) -> bool:
    """Whether a worker has claimed a step: one that was not needed has a time, but no attempt."""
    return step.started_at is not None and step.attempt > 0


def bars(
    run: Run, graph: Graph | None, now: int, width: int, blocks: tuple[str, str, str, str] = BLOCKS
) -> list[Text]:
    """The chart: an axis, then a line for each step that was begun, then those that were not."""
    full, running, waited, tick = blocks
    placed = spans(run, graph, now)
    total = max(1, max([(run.ended_at or now) - run.created_at, *(span.end for span in placed)]))
    name_width = min(WIDEST_NAME, max((len(span.step.name) for span in placed), default=0))
    remarks = {span.step.name: _remark(span.step) for span in placed}
    room = max(10, width - name_width - 2 - 11 - max(map(len, remarks.values()), default=0))

    def column(at: int) -> int:
        return min(room - 1, at * room // total)

    lines = [_axis(total, room, name_width, tick)]
    for span in placed:
        begin, end = column(span.begin), column(span.end)
        dots = min(column(span.ready), begin)
        state = state_of(run, span.step, graph, now)
        under_way = span.step.status is StepStatus.RUNNING
        between = span.step.status is StepStatus.PENDING
        bar = (running if under_way or between else full) * max(1, end - begin + (end < room - 1))
        bar = bar[: room - begin]
        name = span.step.name
        if len(name) > name_width:
            name = f"{name[: name_width - 1]}…"
        line = Text.assemble(
            (f"{name:{name_width}}  ", ""),
            " " * dots,
            (waited * (begin - dots), "dim"),
            (bar, state.look.style),
            " " * (room - begin - len(bar)),
        )
        took = "waits" if between else length((span.end - span.begin) / 1000)
        if state.word == LOST:
            took = "lost"
        line.append(f" {took:>9}")
        line.append(remarks[span.step.name], style="dim")
        line.rstrip()
        lines.append(line)
    if any(span.step.ended_at is None for span in placed):
        legend = f"{running} has not ended: it runs, or waits for its next attempt or round"
        if at_rest(run):
            legend = f"{running} did not end: its worker was lost, or the run ended first"
        lines += [Text(line, style="dim") for line in wrap(legend, width)]
    if left_out := [s.name for s in run.steps.values() if s.status is StepStatus.SKIPPED]:
        lines.append(Text(f"not needed: {', '.join(left_out)}", style="dim"))
    if idle := not_begun(run):
        lines.append(Text(f"not begun: {', '.join(idle)}", style="dim"))
    if run.status is RunStatus.PENDING:
        lines.append(Text("no worker has opened the run yet", style="dim"))
    return lines


def not_begun(run: Run) -> list[str]:
    """The steps that no worker has claimed so far, but for those that are not needed."""
    return [
        step.name
        for step in run.steps.values()
        if not has_begun(step) and step.status is not StepStatus.SKIPPED
    ]


def _remark(step: Step) -> str:
    """What stands behind a bar: which attempt or round it is, or that the step was skipped by its `when`."""
    if step.status is StepStatus.SKIPPED:
        return "  skipped"
    if step.round:
        return f"  round {step.round}"
    return f"  attempt {step.attempt}" if step.attempt > 1 else ""


def _axis(total: int, room: int, name_width: int, tick: str) -> Text:
    """Round times at about every 12 columns."""
    wanted = max(1, room // 12)
    step = _round_up(total / wanted)
    line = [" "] * (room + 12)
    at = 0.0
    while at <= total:
        column = min(room - 1, int(at * room / total))
        label = f"{tick}{_moment(at, step)}"
        if all(character == " " for character in line[column : column + len(label) + 1]):
            line[column : column + len(label)] = list(label)
        at += step
    return Text(f"{'':{name_width}}  {''.join(line).rstrip()}", style="dim")


def _round_up(milliseconds: float) -> float:
    """The next of 1, 2, 5, 10, 20 … milliseconds; from a second on as clocks count."""
    for unit in (
        1000,
        2000,
        5000,
        10_000,
        15_000,
        30_000,
        60_000,
        120_000,
        300_000,
        600_000,
        900_000,
    ):
        if milliseconds > 500 and milliseconds <= unit:
            return unit
    if milliseconds > 900_000:
        hours = math.ceil(milliseconds / 1_800_000)
        return hours * 1_800_000
    size = 10.0 ** math.floor(math.log10(max(milliseconds, 1)))
    return next(size * factor for factor in (1, 2, 5, 10) if size * factor >= milliseconds)


def _moment(at: float, step: float) -> str:
    if at == 0:
        return "0"
    if step < 1000:
        return f"{at:g} ms" if at < 1000 else f"{at / 1000:.4g} s"
    return length(at / 1000) if at >= 60_000 else f"{at / 1000:g} s"
