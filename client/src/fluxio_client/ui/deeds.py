"""What a person does to a run: start, signal, cancel, redrive; each by a page of its own with a form."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fluxio_client.cli.failures import NotFound, explain
from fluxio_client.cli.payload import parse_json
from fluxio_client.cli.start import was_there
from fluxio_client.client import new_run_id
from fluxio_client.ui.forms import Field, fields_of, object_of, schema_like
from fluxio_client.ui.run import read
from fluxio_client.ui.site import Site, href
from fluxio_protocol import layout
from fluxio_protocol.run import STOPPED, Run

Form = Mapping[str, str]


def _failed(error: Exception) -> tuple[str, int]:
    """What to say of a deed that failed, and its HTTP status; what only the maintainers can mend is raised."""
    failure = explain(error)
    if failure is None:
        raise error
    return failure.message, Site.status_of(failure)


# --- start


def start_page(site: Site, request: Request) -> Response:
    """The form that starts a run."""
    return _start_page(site, request, {"run_id": new_run_id()})


def start(site: Site, request: Request, form: Form) -> Response:
    """Start a run with what was typed in. The id is in the form, so that to send it twice starts one run."""
    workflow = layout.check_workflow(request.path_params["workflow"])
    try:
        run_id = layout.check_run_id(form.get("run_id", "").strip())
        if form.get("as") == "json":
            given = parse_json(form.get("json", "") or "{}", "the input")
        else:
            given = object_of(fields_of(_schema(site, workflow)), form)
        asked = site.session.now
        run = site.session.client.start(workflow, given, run_id)
    except Exception as error:  # noqa: BLE001 - what a person can mend stands beside the form
        return _start_page(site, request, form, *_failed(error))
    did = "there" if was_there(run, asked, site.session.now) else "started"
    return RedirectResponse(href("runs", run_id, did=did), 303)


def _start_page(
    site: Site, request: Request, form: Form, message: str = "", status: int = 200
) -> Response:
    workflow = layout.check_workflow(request.path_params["workflow"])
    schema = _schema(site, workflow)
    example = dict.fromkeys((schema or {}).get("properties", ()))
    return site.page(
        request,
        "start.html",
        status=status,
        title=f"Start {workflow}",
        command=("start", workflow, "--input", "{…}", "--run-id", form.get("run_id", "")),
        workflow=workflow,
        fields=fields_of(schema),
        known=workflow in site.schemas.inputs,
        form=form,
        example=json.dumps(example, indent=2, ensure_ascii=False) if example else "{}",
        message=message,
    )


def _schema(site: Site, workflow: str) -> Mapping[str, Any] | None:
    """The schema of a workflow's input, or one like the input of its newest run."""
    if known := site.schemas.inputs.get(workflow):
        return known
    for summary in site.session.client.list(workflow, limit=1):
        run = site.session.store.read(summary.run_id)
        if run is None:
            return None
        text = run.input_json
        if text is None and run.input_ref is not None:
            text = site.session.store.payloads.get(run.run_id, run.input_ref)
        return schema_like(json.loads(text or "{}"))
    return None


# --- signal


def signal_page(site: Site, request: Request) -> Response:
    """The form that sends a signal."""
    return _signal_page(site, request, {"name": request.query_params.get("name", "")})


def signal(site: Site, request: Request, form: Form) -> Response:
    """Send a signal."""
    run_id = layout.check_run_id(request.path_params["run_id"])
    name = form.get("name", "").strip()
    try:
        if form.get("as") == "fields":
            payload = object_of(_signal_fields(site, read(site, run_id), name), form)
        else:
            payload = parse_json(form.get("payload", "").strip() or "{}", "the payload")
        site.session.client.signal(run_id, name, payload, replace=form.get("replace") == "yes")
    except Exception as error:  # noqa: BLE001 - what a person can mend stands beside the form
        return _signal_page(site, request, form, *_failed(error))
    return RedirectResponse(href("runs", run_id, did="signalled"), 303)


def _signal_page(
    site: Site, request: Request, form: Form, message: str = "", status: int = 200
) -> Response:
    run = read(site, layout.check_run_id(request.path_params["run_id"]))
    name = form.get("name", "")
    return site.page(
        request,
        "signal.html",
        status=status,
        title=f"Signal {run.run_id}",
        command=("signal", run.run_id, name or "NAME", "--payload", "{…}"),
        run=run,
        name=name,
        fields=[] if _wants_json(request, form) else _signal_fields(site, run, name),
        there=name in run.signals_json,
        awaited_by=[one.name for one in run.steps.values() if name in one.awaits],
        form=form,
        message=message,
    )


def _wants_json(request: Request, form: Form) -> bool:
    return "json" in request.query_params or "payload" in form


def _signal_fields(site: Site, run: Run, name: str) -> list[Field]:
    return fields_of(site.schemas.signals.get(run.workflow, {}).get(name))


# --- cancel and redrive


def cancel_page(site: Site, request: Request) -> Response:
    """Ask before a run is cancelled, which cannot be undone."""
    return _cancel_page(site, request)


def cancel(site: Site, request: Request, form: Form) -> Response:
    """Cancel a run, if its id was typed in."""
    run_id = layout.check_run_id(request.path_params["run_id"])
    if form.get("typed", "").strip() != run_id:
        message = "Nothing was done: type the id of the run to cancel it."
        return _cancel_page(site, request, message, 400)
    try:
        site.session.client.cancel(run_id)
    except Exception as error:  # noqa: BLE001 - what a person can mend stands beside the form
        return _cancel_page(site, request, *_failed(error))
    return RedirectResponse(href("runs", run_id, did="cancelled"), 303)


def _cancel_page(site: Site, request: Request, message: str = "", status: int = 200) -> Response:
    run = read(site, layout.check_run_id(request.path_params["run_id"]))
    return site.page(
        request,
        "cancel.html",
        status=status,
        title=f"Cancel {run.run_id}",
        command=("cancel", run.run_id),
        run=run,
        message=message,
    )


def redrive(site: Site, request: Request, form: Form) -> Response:
    """Send a run on that failed or was parked. Safe to repeat, so nothing is asked."""
    del form
    run_id = layout.check_run_id(request.path_params["run_id"])
    before = site.session.store.read(run_id)
    if before is None:
        raise NotFound(f"there is no run {run_id} in this table.")
    site.session.client.redrive(run_id)
    did = "redriven" if before.status in STOPPED else "nudged"
    return RedirectResponse(href("runs", run_id, did=did), 303)
