"""The worker's log of a step: an address of CloudWatch Logs Insights, made when it is asked for."""

from __future__ import annotations

from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from fluxio_client.cli.moments import iso
from fluxio_client.cli.worker_log import find_worker
from fluxio_client.ui.run import read
from fluxio_client.ui.site import Site
from fluxio_protocol import layout

#: Milliseconds before and after, since lines come late and clocks differ.
ROOM = 60_000


def logs(site: Site, request: Request) -> Response:
    """Lead to the log of a run, or of one of its steps: the worker's log group is found from the queue."""
    run = read(site, layout.check_run_id(request.path_params["run_id"]))
    name = request.query_params.get("step", "")
    step = run.steps.get(name)
    group = find_worker(site.session).log_group
    since = (step.started_at if step and step.started_at else run.created_at) - ROOM
    until = (step.ended_at if step and step.ended_at else run.ended_at or site.session.now) + ROOM
    if step and step.attempt > 1:
        since = run.created_at - ROOM  # the table has no times of earlier attempts
    return RedirectResponse(
        insights(site.region, group, run.run_id, name if step else None, since, until), 303
    )


def insights(region: str, group: str, run_id: str, step: str | None, since: int, until: int) -> str:
    """The address of a query in CloudWatch Logs Insights, in the notation of its console."""
    query = (
        f'fields @timestamp, level, message, step, attempt, @message\n| filter run_id = "{run_id}"'
    )
    if step:
        query += f"\n| filter step = {_quoted(step)}"
    query += "\n| sort @timestamp asc\n| limit 1000"
    detail = (
        f"~(end~'{_text(iso(until) or '')}~start~'{_text(iso(since) or '')}~timeType~'ABSOLUTE~tz~'UTC"
        f"~editorString~'{_text(query)}~source~(~'{_text(group)}))"
    )
    place = quote(region, safe="")
    fragment = quote(f"?queryDetail={detail}", safe="~()'*-_.").replace("%", "$")
    return (
        f"https://{place}.console.aws.amazon.com/cloudwatch/home?region={place}"
        f"#logsV2:logs-insights{fragment}"
    )


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _text(text: str) -> str:
    """A string in the console's notation: all but letters, digits, `-`, `_` and `.` as * and two hex digits."""
    return "".join(
        one
        if one.isascii() and (one.isalnum() or one in "-_.")
        else "".join(f"*{byte:02x}" for byte in one.encode())
        for one in text
    )
