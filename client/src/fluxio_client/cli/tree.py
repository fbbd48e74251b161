"""A run as a tree of its steps, line by line.

A step stands below the one step it waits for, indented where several do; one that follows alone stands at
the same depth with an arrow. One that waits for several stands at the left again and says for which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import NamedTuple

from rich.text import Text

from fluxio_client.cli.colours import look
from fluxio_client.cli.conditions import after, asks
from fluxio_client.cli.endings import handled_by, skipped_because
from fluxio_client.cli.moments import length, local
from fluxio_client.cli.printable import one_line
from fluxio_client.cli.waiting import (
    For,
    at_rest,
    state_of,
    step_deadline,
    unfamiliar,
    waited,
    waiting,
)
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import UNKNOWN
from fluxio_protocol.run import Run, Step, StepStatus

#: Characters that a step's name and its branch of the tree may take at most.
WIDEST_LABEL = 46

#: Runs that a step has started of which the ids are shown.
SHOWN_RUNS = 5


class Row(NamedTuple):
    """A step at its place: what stands before its name, and what goes on below it."""

    step: str
    branch: str
    below: str


def rows(depends_on: Mapping[str, tuple[str, ...]]) -> list[Row]:
    """Steps in the order of the tree."""
    children: dict[str, list[str]] = {}
    for name, deps in depends_on.items():
        children.setdefault(deps[0] if len(deps) == 1 else "", []).append(name)
    return list(_rows(_line(children.get("", []), children), "", children))


def _line(names: list[str], children: Mapping[str, list[str]]) -> list[tuple[str, bool]]:
    """Siblings, each followed by those that come after it one by one; with whether it is such a one."""
    found: list[tuple[str, bool]] = []
    for name in names:
        found.append((name, False))
        while len(after := children.get(name, [])) == 1:
            (name,) = after
            found.append((name, True))
    return found


def _rows(
    line: list[tuple[str, bool]], indent: str, children: Mapping[str, list[str]]
) -> Iterator[Row]:
    for at, (name, follows) in enumerate(line):
        last = at == len(line) - 1
        below = indent + ("   " if last else "│  ")
        yield Row(name, f"{indent}{'└─' if last else '├─'} {'↓ ' if follows else ''}", below)
        if len(after := children.get(name, [])) > 1:
            yield from _rows(_line(after, children), below, children)


def run_lines(run: Run, graph: Graph | None, now: int, width: int) -> list[Text]:
    """The whole run: a headline, why it failed or stands still, its steps."""
    lines = [_headline(run, now)]
    for note, style in run_notes(run, now):
        lines += _noted(note, "  ", width, style)
    placed = rows(shown(run, graph))
    label_width = min(
        max((len(row.branch) + len(row.step) for row in placed), default=0),
        max(24, min(WIDEST_LABEL, width - 40)),
    )
    for row in placed:
        step = run.steps.get(row.step)
        if step is None:
            step = Step(row.step, StepStatus.of(UNKNOWN))
        lines.append(_step_line(run, step, graph, row, label_width, now))
        for note, style in step_notes(run, step, graph, now):
            lines += _noted(note, f"{row.below}   ", width, style)
    return lines


def graph_lines(graph: Graph, run: Run | None, now: int, width: int) -> list[Text]:
    """A graph as the same tree: what each step asks of those before it; of a run, with its states."""
    lines: list[Text] = []
    for row in rows(graph.depends_on):
        node = graph.nodes[row.step]
        line = Text.assemble((row.branch, "dim"), row.step)
        step = run.steps.get(row.step) if run else None
        if run and step:
            state = state_of(run, step, graph, now)
            line.append("  ").append(state.word, state.look.style)
        lines.append(line)
        kind = [f"unknown: {node.unknown}"] if node.unknown else []
        for note in (*asks(node), *kind):
            lines += _noted(note, f"{row.below}   ", width)
    return lines


def shown(run: Run, graph: Graph | None) -> dict[str, tuple[str, ...]]:
    """What the tree shows: the steps of the run, and nodes of kinds that are not known here."""
    if graph is None:
        return dict.fromkeys(run.steps, ())
    shown = {
        name: deps
        for name, deps in graph.depends_on.items()
        if name in run.steps or name in graph.unknown
    }
    shown |= {name: () for name in run.steps if name not in shown}
    return {name: tuple(dep for dep in deps if dep in shown) for name, deps in shown.items()}


def _headline(run: Run, now: int) -> Text:
    took = length(run.duration) if run.ended else length((now - run.created_at) / 1000)
    line = Text.assemble(
        (run.workflow, "bold"), f" {run.run_id}  ", (run.status, look(run.status).style)
    )
    line.append(
        f"  started {local(run.created_at, now)}, {'took' if run.ended else 'open for'} {took}"
    )
    if run.version is not None:
        line.append(f"  version {run.version}", style="dim")
    return line


def _step_line(
    run: Run, step: Step, graph: Graph | None, row: Row, label_width: int, now: int
) -> Text:
    state = state_of(run, step, graph, now)
    label = f"{row.branch}{step.name}"
    if len(label) > label_width:
        label = f"{label[: label_width - 1]}…"
    took = step.duration
    # In a run that stands still, what nobody ends does not go on either: a note says since when.
    if step.status is StepStatus.RUNNING and step.started_at is not None and not at_rest(run):
        took = (now - step.started_at) / 1000
    attempts = f"{step.attempt} attempt{'' if step.attempt == 1 else 's'}" if step.attempt else ""
    line = Text.assemble(
        (row.branch, "dim"),
        (label[len(row.branch) :].ljust(label_width - len(row.branch)), ""),
        "  ",
        (f"{state.word:9}", state.look.style),
        f"  {attempts:10}",
        f"  {length(took) if step.attempt else '':>9}",
    )
    if step.ran_in:
        line.append(f"  {step.ran_in}", style="dim")
    line.rstrip()
    return line


def run_notes(run: Run, now: int) -> Iterator[tuple[str, str]]:
    """Why a run failed or stands still, and by when it must have ended; each with its style."""
    if run.started_by is not None:
        yield f"started by step {run.started_by.step} of run {run.started_by.run_id}", "dim"
    if said := unfamiliar(run.status):
        yield f"{said}.", "yellow"
    if run.error is not None:
        # Said once, at the step, where it is the step's own.
        of = run.steps.get(run.error.step or "")
        if of is None or of.error is None or of.error.message != run.error.message:
            yield str(run.error), "red"
        if run.parked:
            yield f"parked: mend that, then `fluxio redrive {run.run_id}`.", "dim"
    elif run.not_before is not None and run.not_before > now and not run.ended:
        apart, at = length((run.not_before - now) / 1000), local(run.not_before, now)
        yield f"begins in {apart}, at {at}.", "dim"
    elif run.version is None and not run.ended:
        yield (
            (
                "no worker has opened it yet. If none of them has its workflow, it fails after the module's "
                "park_after, 5 minutes by default; until then the worker's log has the reason: `run blocked`."
            ),
            "dim",
        )
    if run.deadline is not None and not at_rest(run):
        apart, at = length(abs(run.deadline - now) / 1000), local(run.deadline, now)
        if run.deadline > now:
            yield f"must have ended in {apart}, by {at}.", "dim"
        else:
            over = f"its time was over {apart} ago, at {at}: the next worker or sweep ends it."
            yield over, "magenta"


def step_notes(run: Run, step: Step, graph: Graph | None, now: int) -> Iterator[tuple[str, str]]:
    """Why the last attempt of a step failed, and what the step waits for; each with its style."""
    deps = graph.depends_on.get(step.name, ()) if graph else ()
    node = graph.nodes.get(step.name) if graph else None
    stands, stood = waiting(run, step, graph, now), waited(run, step, graph, now)
    if node and (node.edges or (len(deps) > 1 and not (stands and stands.what is For.STEPS))):
        yield f"after {', '.join(after(node))}", "dim"
    if graph and (kind := graph.unknown.get(step.name)):
        yield f"{kind}: unknown to this client; upgrade fluxio-client", "yellow"
    elif said := unfamiliar(step.status):
        yield said, "yellow"
    if why := skipped_because(run, step, graph):
        yield f"not needed: {why}", "dim"
    if step.error is not None:
        failed = step.error.attempt or step.attempt
        head = f"attempt {failed} failed" if failed else "given up"
        style = "yellow" if step.handled else "red"
        yield f"{head}: {step.error.type}: {step.error.message}", style
    if names := handled_by(step, graph):
        yield f"handled by {', '.join(names)}", "dim"
    if step.progress_json is not None:
        yield f"progress: {step.progress_json}", "cyan"
    if step.round and not step.settled and not (stands and stands.what is For.ROUND):
        yield f"in round {step.round}", "dim"
    if stands and not (stands.what is For.STEPS and len(deps) < 2):
        style = "magenta" if stands.what in (For.SIGNALS, For.TAKEOVER) else "dim"
        yield stands.sentence(now), style
    if stood and stood.what is not For.STEPS:  # which steps it is after, stands there
        yield stood.past_sentence(step, now), "dim"
    if not at_rest(run) and (deadline := step_deadline(run, step)) is not None and deadline > now:
        apart = length((deadline - now) / 1000)
        yield f"must have ended in {apart}, by {local(deadline, now)}", "dim"
    arrived = [name for name in step.awaits if name in run.signals_json and name not in run.lapsed]
    if arrived:
        yield f"had its signal{'' if len(arrived) == 1 else 's'} {', '.join(arrived)}", "dim"
    for name in step.awaits:
        # Of one without a default, the step's error says it.
        if name in run.lapsed and name in run.signals_json:
            at = local(run.lapsed[name], now)
            yield f"the signal {name} had not come by {at}: its default was taken", "dim"
    if ids := run.started.get(step.name):
        shown = [run_id for run_id in ids if run_id != "?"][:SHOWN_RUNS]
        more = f" and {len(ids) - len(shown)} more" if len(ids) > len(shown) else ""
        yield f"started {'run' if len(ids) == 1 else 'runs'} {', '.join(shown)}{more}", "dim"


def _noted(text: str, indent: str, width: int, style: str = "dim") -> list[Text]:
    wide = max(20, width - len(indent) - 2)
    first = "  "
    return [
        Text.assemble((indent, "dim"), first, (part, style))
        for part in wrap(one_line(text), wide, break_on_hyphens=False) or [""]
    ]
