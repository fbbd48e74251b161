"""The application: which address shows which page, behind the guard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import Explained
from fluxio_client.ui import bulk, deeds
from fluxio_client.ui.access import Access
from fluxio_client.ui.dead_letters import dead_letters
from fluxio_client.ui.guard import Guard
from fluxio_client.ui.logs import logs
from fluxio_client.ui.overview import overview
from fluxio_client.ui.payloads import payload
from fluxio_client.ui.run import run, step
from fluxio_client.ui.runs import runs
from fluxio_client.ui.site import Site, href
from fluxio_client.ui.states import SIGNS
from fluxio_client.ui.workflows import workflow, workflows
from fluxio_protocol import layout

_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


def application(site: Site, access: Access) -> Any:
    """The ASGI application of a deployment's pages, for those that `access` lets in."""
    routes = [
        Route("/", site.view(overview)),
        Route("/runs", site.view(runs)),
        Route("/runs/{run_id}", site.view(run)),
        Route("/runs/{run_id}/steps/{step}", site.view(step)),
        Route("/runs/{run_id}/payload", site.view(payload)),
        Route("/runs/{run_id}/logs", site.view(logs)),
        Route("/open", site.view(_open)),
        Route("/dead-letters", site.view(dead_letters)),
        Route("/workflow", site.view(_open_workflow)),
        Route("/workflows", site.view(workflows)),
        Route("/workflows/{workflow}", site.view(workflow)),
        *([] if site.read_only else _deeds(site)),
        Route("/help", site.view(_help)),
        Route("/static/{name}", _static),
    ]

    def missing(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = "There is no such page. The address may be of another version of fluxio."
        if error.status_code == 405:
            message = "This page takes no such request."
        answer = site.failed(request, Explained("NotFound", message, ExitCode.NOT_FOUND))
        answer.status_code = error.status_code
        return answer

    def broken(request: Request, error: Exception) -> Response:
        del error  # the server writes it to its terminal
        message = (
            "fluxio ui could not make this page: its terminal says why. Report it with that text."
        )
        answer = site.failed(request, Explained("Error", message, ExitCode.ERROR))
        answer.status_code = 500
        return answer

    pages = Starlette(routes=routes, exception_handlers={HTTPException: missing, Exception: broken})
    pages.router.redirect_slashes = False
    return Guard(pages, access)


def _deeds(site: Site) -> list[Route]:
    """What changes something; read-only pages have none of it."""
    return [
        Route("/workflows/{workflow}/start", site.view(deeds.start_page), methods=["GET"]),
        Route("/workflows/{workflow}/start", site.deed(deeds.start), methods=["POST"]),
        Route("/runs/{run_id}/signal", site.view(deeds.signal_page), methods=["GET"]),
        Route("/runs/{run_id}/signal", site.deed(deeds.signal), methods=["POST"]),
        Route("/runs/{run_id}/cancel", site.view(deeds.cancel_page), methods=["GET"]),
        Route("/runs/{run_id}/cancel", site.deed(deeds.cancel), methods=["POST"]),
        Route("/runs/{run_id}/redrive", site.deed(deeds.redrive), methods=["POST"]),
        Route("/redrive", site.view(bulk.redrive_page), methods=["GET"]),
        Route("/redrive", site.deed(bulk.redrive_many), methods=["POST"]),
        Route("/dead-letters/redrive", site.deed(bulk.redrive_letters), methods=["POST"]),
        Route("/dead-letters/purge", site.deed(bulk.purge), methods=["POST"]),
    ]


def _help(site: Site, request: Request) -> Response:
    return site.page(request, "help.html", title="Help", command=("--help",), signs=SIGNS)


def _open(_: Site, request: Request) -> Response:
    """The page of the run whose id was typed in."""
    run_id = layout.check_run_id(request.query_params.get("run", "").strip())
    return RedirectResponse(href("runs", run_id), 303)


def _open_workflow(_: Site, request: Request) -> Response:
    """The page of the workflow whose name was typed in."""
    name = layout.check_workflow(request.query_params.get("workflow", "").strip())
    return RedirectResponse(href("workflows", name), 303)


def _static(request: Request) -> Response:
    """A file of the package: one of those that are there, whatever is asked for."""
    files = {file.name: file for file in _STATIC.iterdir() if file.suffix in _TYPES}
    file = files.get(request.path_params["name"])
    if file is None:
        raise HTTPException(404)
    return Response(file.read_bytes(), media_type=_TYPES[file.suffix])
