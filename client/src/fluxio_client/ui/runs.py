"""The page of runs: the filters of `fluxio list`, with all that was asked for in the address."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from fluxio_client.cli.selection import Filters, Listed, Shown
from fluxio_client.cli.waiting import goes_on
from fluxio_client.ui.site import Site, href
from fluxio_protocol import layout
from fluxio_protocol.run import RunStatus

#: Runs of a page.
LIMIT = 50

#: What may be chosen, in the words of the page, besides each status.
OPEN, FAILED, WAITING = "open", "failed", "waiting"

#: Statuses that a run can be in today; others are not offered.
STATUSES = [status.value for status in RunStatus if not status.startswith("COMPENSAT")]


def runs(site: Site, request: Request) -> Response:
    """The page."""
    asked = filters_of(request.query_params)
    found = asked.select(site.session)
    return site.page(
        request,
        "runs.html",
        title="Runs",
        command=command_of(asked),
        asked=asked,
        chosen=request.query_params.get("show", ""),
        statuses=STATUSES,
        found=found,
        by_failure=found.read_from == layout.INDEX_FAILED,
        remark=lambda listed: remark(listed, site.session.now),
        next_page=_next(request, found),
        stopped=stopped_of(asked),
    )


def filters_of(query: Any) -> Filters:
    """The filters that an address asks for.

    Raises:
        InvalidInput: one of them is none.
    """
    show = query.get("show", "")
    status = None
    if show and show not in (OPEN, FAILED, WAITING):
        from fluxio_client.listing import status_of

        status = status_of(show)
    return Filters(
        workflows=tuple(query.get("workflow", "").replace(",", " ").split()),
        status=status,
        open=show == OPEN,
        failed=show == FAILED,
        waiting=show == WAITING,
        since=query.get("since", "").strip() or None,
        version=query.get("version", "").strip() or None,
        limit=LIMIT,
        page=query.get("page") or None,
    )


def command_of(asked: Filters) -> tuple[str, ...]:
    """The command that lists the same."""
    words = ["list", *asked.workflows]
    words += [f"--{name}" for name in ("open", "failed", "waiting") if getattr(asked, name)]
    for name in ("status", "since", "version", "page"):
        if value := getattr(asked, name):
            words += [f"--{name}", str(value)]
    return tuple(words)


def stopped_of(asked: Filters) -> str:
    """Which redrive fits what is listed: of FAILED or of parked runs of one workflow; "" if none does."""
    if len(asked.workflows) != 1 or asked.version:
        return ""
    if asked.failed or asked.status is RunStatus.FAILED:
        return "failed"
    return "parked" if asked.status is RunStatus.WAITING else ""


def remark(listed: Listed, now: int) -> str:
    """Why a run failed, or what it is at."""
    run = listed.run
    if run is None:
        return ""
    if run.error is not None:
        return str(run.error)
    return "" if run.ended else "; ".join(goes_on(run, now))


def _next(request: Request, found: Shown) -> str:
    if found.next_page is None:
        return ""
    asked = {name: value for name, value in request.query_params.items() if name != "page"}
    return href("runs", **asked, page=found.next_page)
