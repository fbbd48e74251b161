"""Ways in which runs stand in the table that a schedule would seldom meet by itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from fluxio import sealing
from fluxio_protocol import changes
from fluxio_protocol.changes import Change
from fluxio_protocol.graph import Graph


def open_counted(
    workflow: str,
    graph: Graph,
    claims: Mapping[str, Mapping[str, str | int]],
    deadline: int | None = None,
    trace: str | None = None,
    now: int = 0,
) -> Change:
    """Open a run in schema 1, as workers did before there was another."""
    if not graph.plain:
        return _open_run(workflow, graph, claims, deadline, trace, now)
    steps: dict[str, dict[str, str | int]] = {}
    for name, deps in graph.depends_on.items():
        steps[name] = {
            "status": "PENDING",
            "attempt": 0,
            "completed_deps": 0,
            "total_deps": len(deps),
        }
        if name in graph.awaits:
            steps[name]["awaits"] = ",".join(graph.awaits[name])
    for name, claimed in claims.items():
        steps[name] |= {**claimed, "status": "RUNNING", "attempt": 1}
    made = _open_run(workflow, graph, claims, deadline, trace)
    values = {name: of for name, of in made.values.items() if name != "schema"}
    return made._replace(steps=steps, values=values)


_open_run = changes.open_run


@contextmanager
def layout_of(seed: int) -> Iterator[None]:
    """A sixth of the seeds opens runs in schema 1; a third seals whatever it may, at once."""
    with ExitStack() as stack:
        if seed % 6 == 1:
            stack.enter_context(patch.object(changes, "open_run", open_counted))
        if seed % 3 == 0:
            eager = lambda run, made, plan, at_once: _sealable(run, plan)  # noqa: E731
            stack.enter_context(patch.object(sealing, "to_seal", eager))
        yield


def _sealable(run, plan):  # type: ignore[no-untyped-def]
    return sealing.sealable(run, plan) if run.schema != 1 and run.status == "RUNNING" else ()
