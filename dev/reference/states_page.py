"""docs/reference/states.md: the transition table, and its two diagrams."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import cache
from typing import Any

from dev.reference.comments import members
from dev.reference.markdown import code, fenced, page, prose, table
from dev.stage import DevError
from fluxio_client.client import FluxioClient
from fluxio_protocol import changes
from fluxio_protocol.changes import open_run
from fluxio_protocol.expression import expression
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import signal_attribute
from fluxio_protocol.run import RunStatus, StepStatus
from fluxio_protocol.store import Store
from fluxio_protocol.transitions import TABLE, Guard, Transition
from tests.golden.rows import CHANGES, NOW

#: Where an entity is before its first status, and after its last one.
_OUTSIDE = "[*]"

#: What a docstring says of an argument is of no use here: "…; `due` is its shard of the index."
_OF_AN_ARGUMENT = re.compile(r"[;:] `\w+` (is|are) .*$")

_ASSIGNMENT = re.compile(r"(#[\d.#]+)=((?:[^,(]|\([^)]*\))+)")


def render() -> str:
    """The page."""
    return page(
        "States and transitions",
        "client/src/fluxio_protocol/transitions.py",
        "Every change of a run is a row of one table, and each row is one conditional write, or a part of "
        "one: DynamoDB applies it only if the run and the step stand where the row begins and its guards "
        "hold. What follows from that is in [guarantees.md](../guarantees.md).",
        "## Statuses of a run",
        fenced("mermaid", diagram(run_edges())),
        _statuses(RunStatus),
        "## Statuses of a step",
        fenced("mermaid", diagram(step_edges())),
        _statuses(StepStatus),
        "A status that no row leads to is not in its diagram.",
        "## Rows",
        "An arrow is a change of status; a status without one must hold and stays.",
        table(
            ("row", "what it does", "run", "step", "only if"),
            [
                (
                    code(row.name),
                    prose(_purpose(row)),
                    _way(row.run_from, row.run_to, RunStatus),
                    _way(row.step_from, row.step_to, StepStatus) if row.step_from else "",
                    ", ".join(code(guard.value) for guard in Guard if guard in row.guards),
                )
                for row in TABLE.values()
            ],
        ),
        "## Guards",
        "What `only if` asks for.",
        table(
            ("guard", "what must hold"),
            [(code(Guard[name].value), prose(text)) for name, text in members(Guard).items()],
        ),
        "## What each row writes",
        "Beside the status. Attributes are those of the step where the row is about one, and else those of "
        "the run.",
        table(
            ("row", "sets", "removes"),
            [(code(row.name), *_writes(row)) for row in TABLE.values()],
        ),
    )


Edges = Mapping[tuple[str, str], list[str]]


def run_edges() -> Edges:
    """Which rows lead from which status of a run to which."""
    return _edges((row.name, row.run_from, row.run_to) for row in TABLE.values())


def step_edges() -> Edges:
    """The same of a step; `open` makes the steps, some of them claimed already."""
    opened = open_run("W", Graph.of_steps({"later": (), "now": ()}), {"now": {}}).steps.values()
    nowhere: frozenset[StepStatus] = frozenset()
    return _edges(
        [
            *(("open", nowhere, StepStatus(step["status"])) for step in opened),
            *((row.name, row.step_from, row.step_to) for row in TABLE.values()),
        ]
    )


def _edges(rows: Iterable[tuple[str, frozenset[Any], Enum | None]]) -> Edges:
    found: dict[tuple[str, str], list[str]] = {}
    for name, sources, target in rows:
        if target is not None:
            for source in _in_order(sources) or [_OUTSIDE]:
                found.setdefault((source, str(target.value)), []).append(name)
    return found


def diagram(edges: Edges) -> str:
    """The edges as a state diagram in Mermaid."""
    lines = [f"    {source} --> {to}: {', '.join(rows)}" for (source, to), rows in edges.items()]
    final = dict.fromkeys(to for _, to in edges if all(source != to for source, _ in edges))
    return "\n".join(["stateDiagram-v2", *lines, *(f"    {one} --> {_OUTSIDE}" for one in final)])


def _in_order(statuses: frozenset[Any]) -> list[str]:
    """In the order in which the class has them, since a set has none."""
    classes = {type(status) for status in statuses}
    return [one.value for of in classes for one in of if one in statuses]


def _statuses(of: type[Enum]) -> str:
    return table(
        ("status", "meaning"), [(code(name), prose(text)) for name, text in members(of).items()]
    )


def _way(sources: frozenset[Any], target: Enum | None, of: type[Enum]) -> str:
    begin = "any" if sources == frozenset(of) else ", ".join(_in_order(sources)) or "none"
    return begin if target is None else f"{begin} → {target.value}"


@cache
def _makers() -> dict[str, str]:
    """By row: the docstring of the function that makes a change of it."""
    found = {}
    for node in ast.parse(inspect.getsource(changes)).body:
        if isinstance(node, ast.FunctionDef):
            for part in ast.walk(node):
                if isinstance(part, ast.Constant) and part.value in TABLE:
                    found[str(part.value)] = ast.get_docstring(node) or ""
    # The one row that is no update: the client makes it.
    return found | {"start": inspect.getdoc(FluxioClient.start) or ""}


def _purpose(row: Transition) -> str:
    text = " ".join(_makers()[row.name].partition("\n\n")[0].split())
    return _OF_AN_ARGUMENT.sub(".", text)


def _writes(row: Transition) -> tuple[str, str]:
    """What a change of the row sets and removes, as the store writes it."""
    if row.name == "start":
        return ", ".join(code(name) for name in _new_item() if name not in ("pk", "sk")), ""
    if row.name not in CHANGES:
        raise DevError(
            f"tests/golden/rows.py has no change of the row {row.name!r}: add one to CHANGES, as a caller "
            "makes it."
        )
    change = CHANGES[row.name]
    arguments = expression([change], NOW, 90).arguments()
    names, values = arguments["ExpressionAttributeNames"], arguments["ExpressionAttributeValues"]

    def attribute(path: str) -> str:
        *parents, name = [names[alias] for alias in path.split(".")]
        named = code(
            signal_attribute("…") if name in map(signal_attribute, change.signals) else name
        )
        return named if parents in ([], ["steps", change.step]) else f"{named} of each dependent"

    def amount(written: str) -> str:
        added = re.search(r"\+(:\d+)$", written)
        return f" + {values[added[1]]['N']}" if added else ""

    sets, _, removes = arguments["UpdateExpression"].removeprefix("SET ").partition(" REMOVE ")
    return (
        ", ".join(
            attribute(path) + amount(written)
            for path, written in _ASSIGNMENT.findall(sets)
            if names[path.rpartition(".")[2]] != "status"
        ),
        ", ".join(attribute(path) for path in removes.split(",") if path),
    )


def _new_item() -> list[str]:
    """The attributes of a run that has just been started."""

    class Recorder:
        item: Mapping[str, Any]

        def put_item(self, **arguments: Any) -> dict[str, Any]:
            self.item = arguments["Item"]
            return {}

    table_ = Recorder()
    Store(table_, "runs").start("wf-1", "W", "{}", NOW, NOW)
    return [name for name in table_.item if name != "status"]
