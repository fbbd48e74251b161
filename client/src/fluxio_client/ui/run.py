"""The page of a run and of a step: how it stands, live while it is open, and what it was given and gave."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, NamedTuple

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fluxio_client.cli import bill
from fluxio_client.cli.conditions import asks
from fluxio_client.cli.costing import costing
from fluxio_client.cli.drawing import svg_for_page
from fluxio_client.cli.failures import NotFound
from fluxio_client.cli.prices import AS_OF, REGION
from fluxio_client.cli.printable import printable_json
from fluxio_client.cli.timeline import Span, not_begun, spans
from fluxio_client.cli.tree import run_notes, shown, step_notes
from fluxio_client.cli.waiting import at_rest
from fluxio_client.ui.payloads import SHOWN, Payload, payloads_of
from fluxio_client.ui.site import Site, href
from fluxio_client.ui.states import State, state_of_step
from fluxio_protocol import layout
from fluxio_protocol.errors import RunNotFound
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import UNKNOWN
from fluxio_protocol.run import STOPPED, Run, RunStatus, Step, StepStatus

#: What a page of a run may show, besides how it stands.
VIEWS = ("steps", "timeline", "payloads", "cost", "item")


#: What the page of a run says after a deed: by the word in its address.
DONE = {
    "started": "The run was started.",
    "there": "A run of this id and input was there already: this is it.",
    "signalled": "The run has its signal.",
    "cancelled": "The run is cancelled. A step that was under way is not interrupted; nothing follows it.",
    "redriven": "The run was sent on: failed steps get all their attempts again, and it has no time limit.",
    "nudged": "The run was open already, and was only nudged.",
}


class Row(NamedTuple):
    """A step as the table shows it."""

    step: Step
    state: State
    #: Seconds of its last attempt, so far if it is under way.
    took: float | None
    #: What is said of it, each with its style.
    notes: list[tuple[str, str]]


class Bar(NamedTuple):
    """A step on the timeline, in percent of its length."""

    span: Span
    state: State
    ready: float
    begin: float
    width: float
    #: Seconds of its last attempt.
    took: float


def run(site: Site, request: Request) -> Response:
    """The page of a run; with `live` only the part of it that changes."""
    run_id = layout.check_run_id(request.path_params["run_id"])
    view = request.query_params.get("view", VIEWS[0])
    if view not in VIEWS:
        raise NotFound(f"a run has no view {view!r}: its views are {', '.join(VIEWS)}.")
    found = read(site, run_id)
    graph = site.session.client.graph(found)
    live = view in ("steps", "timeline") and not at_rest(found)
    context = _standing(site, found, graph, view) | {"view": view, "views": VIEWS, "live": live}
    if "live" in request.query_params:
        return _part(request, site.render(request, "run_live.html", **context))
    if view == "payloads":
        context["payloads"] = payloads_of(found, graph)
    elif view == "cost":
        context |= _cost(site, found)
    elif view == "item":
        text = _item(site, run_id)
        context |= {"item_text": text[:SHOWN], "item_cut": len(text) > SHOWN}
    return site.page(
        request,
        "run.html",
        title=f"{found.workflow} {run_id}",
        command=_command(run_id, view),
        done=DONE.get(request.query_params.get("did", ""), ""),
        signals=signals_of(found),
        stopped=found.status in STOPPED,
        **context,
    )


def step(site: Site, request: Request) -> Response:
    """The page of a step."""
    run_id = layout.check_run_id(request.path_params["run_id"])
    name = request.path_params["step"]
    found = read(site, run_id)
    graph = site.session.client.graph(found)
    if name not in found.steps:
        raise NotFound(f"run {run_id} has no step {name!r}: its page lists its steps.")
    now = site.session.now
    return site.page(
        request,
        "step.html",
        title=f"{name} of {run_id}",
        command=("show", run_id, "--output"),
        run=found,
        row=_row(found, found.steps[name], graph, now),
        deps=graph.depends_on.get(name, ()) if graph else (),
        dependents=graph.dependents.get(name, ()) if graph else (),
        node=graph.nodes.get(name) if graph else None,
        conditions=asks(graph.nodes[name]) if graph and name in graph.nodes else [],
        output=Payload.of_step(found.steps[name]),
        awaited=set(found.awaiting(name)),
        related=related(found),
    )


def read(site: Site, run_id: str) -> Run:
    """A run as it stands, by one consistent read, and once more for each archive of its steps.

    Raises:
        RunNotFound: there is none.
    """
    found = site.session.store.read(run_id)
    if found is None:
        raise RunNotFound(
            f"there is no run {run_id} in this table. Check the id; an ended run is deleted when its retention "
            "has passed."
        )
    return site.with_ended(found)


def _standing(site: Site, found: Run, graph: Graph | None, view: str) -> dict[str, Any]:
    """How a run stands, for the parts of its page that change."""
    now = site.session.now
    context: dict[str, Any] = {
        "run": found,
        "notes": list(run_notes(found, now)),
        "related": related(found),
        "took": found.duration if found.ended else (now - found.created_at) / 1000,
        "picture": None,
        "rows": [],
        "bars": [],
        "length_s": 0.0,
        "idle": [],
    }
    if view == "steps":
        context["rows"] = list(_rows(found, graph, now))
        if graph:
            label = f"Graph of {found.workflow} {found.run_id}, {found.status}"
            # Everything in it is escaped where it is drawn.
            context["picture"] = Markup(
                svg_for_page(graph, label, found, now, lambda name: _href(found, name))
            )
    elif view == "timeline":
        context |= _bars(found, graph, now)
    return context


def signals_of(run: Run) -> list[tuple[str, bool]]:
    """The signals that may be sent to a run, each with whether it takes the place of another one."""
    if run.status not in STOPPED | {RunStatus.PENDING, RunStatus.RUNNING}:
        return []
    found: dict[str, bool] = {}
    for step in run.steps.values():
        if step.status in (StepStatus.PENDING, StepStatus.FAILED):
            # One whose timeout is over would be refused.
            found |= {n: n in run.signals_json for n in step.awaits if n not in run.lapsed}
    return sorted(found.items(), key=lambda one: one[1])


def related(found: Run) -> set[str]:
    """The runs that a run was started by, or has started."""
    ids = {run_id for some in found.started.values() for run_id in some if run_id != "?"}
    return ids | ({found.started_by.run_id} if found.started_by else set())


def _href(of: Run, name: str) -> str:
    return href("runs", of.run_id, "steps", name) if name in of.steps else href("runs", of.run_id)


def _rows(found: Run, graph: Graph | None, now: int) -> Iterator[Row]:
    for name in shown(found, graph):
        yield _row(found, found.steps.get(name) or Step(name, StepStatus.of(UNKNOWN)), graph, now)


def _row(found: Run, of: Step, graph: Graph | None, now: int) -> Row:
    took = of.duration
    if of.status is StepStatus.RUNNING and of.started_at is not None and not at_rest(found):
        took = (now - of.started_at) / 1000
    notes = list(step_notes(found, of, graph, now))
    return Row(of, state_of_step(found, of, graph, now), took if of.attempt else None, notes)


def _bars(found: Run, graph: Graph | None, now: int) -> dict[str, Any]:
    placed = spans(found, graph, now)
    end = (found.ended_at or now) - found.created_at
    total = max(1, end, *(span.end for span in placed)) if placed else max(1, end)

    def percent(at: int) -> float:
        return round(100 * at / total, 2)

    bars = [
        Bar(
            span,
            state_of_step(found, span.step, graph, now),
            percent(span.ready),
            percent(span.begin),
            max(0.4, percent(span.end - span.begin)),
            (span.end - span.begin) / 1000,
        )
        for span in placed
    ]
    return {"bars": bars, "length_s": total / 1000, "idle": not_begun(found)}


def _part(request: Request, text: str) -> Response:
    """A part of a page; nothing where the browser has it already."""
    tag = f'"{sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={"etag": tag})
    return HTMLResponse(text, headers={"etag": tag})


def _cost(site: Site, found: Run) -> dict[str, Any]:
    figures = costing(site.session, found.run_id)
    tables = {"fluxio": figures.own, **figures.peers}
    return {
        "figures": figures,
        "tables": {title: (bill.total(lines), lines) for title, lines in tables.items()},
        "not_counted": bill.NOT_COUNTED,
        "prices": f"list prices of {REGION} as published in {AS_OF}",
    }


def _item(site: Site, run_id: str) -> str:
    item = site.session.store.calls.get(layout.run_key(run_id), consistent=True) or {}
    return printable_json({name: layout.plain(value) for name, value in sorted(item.items())})


def _command(run_id: str, view: str) -> tuple[str, ...]:
    if view in ("timeline", "cost"):
        return (view, run_id)
    return ("show", run_id, *(("--input", "--output") if view == "payloads" else ()))
