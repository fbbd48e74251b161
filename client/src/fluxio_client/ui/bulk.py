"""Deeds on many at once: runs of a filter, and dead letters; what cannot be undone asks for their number."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from fluxio_client.cli.letters import about, dead_letter_url, hidden, purge_letters
from fluxio_client.cli.moments import moment_of
from fluxio_client.cli.redriving import Outcome, redrive_each, stopped_runs
from fluxio_client.ui.site import Site, href
from fluxio_protocol import layout
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.run import RunStatus

Form = Mapping[str, str]

#: Runs that one form sends on at most, and those whose ids are shown before.
MOST, SHOWN = 1000, 20

#: Dead letters that one form takes at most.
MOST_LETTERS = 10_000

_STATUSES = {"failed": RunStatus.FAILED, "parked": RunStatus.WAITING}


def redrive_page(site: Site, request: Request) -> Response:
    """How many runs the filter finds, and the form that sends them on."""
    return _redrive_page(site, request, request.query_params)


def redrive_many(site: Site, request: Request, form: Form) -> Response:
    """Send on what the filter finds, if it finds as many runs as were typed in."""
    found = _found(site, form)
    if form.get("count", "").strip() != str(len(found)):
        typed = form.get("count", "")
        message = f"Nothing was done: the filter finds {len(found)} now, and {typed!r} was typed."
        return _redrive_page(site, request, form, message, 409)
    outcome = redrive_each(site.session, found)
    return site.page(
        request,
        "redriven.html",
        title="Redriven",
        command=_command(form),
        outcome=outcome,
        refused=[(run_id, why.message) for run_id, why in outcome.refused],
        back=href("runs", workflow=form.get("workflow", "")),
        summary=_summary(outcome),
    )


def _redrive_page(
    site: Site, request: Request, asked: Mapping[str, str], message: str = "", status: int = 200
) -> Response:
    found = _found(site, asked)
    return site.page(
        request,
        "redrive.html",
        status=status,
        title="Redrive runs",
        command=_command(asked),
        workflow=asked.get("workflow", ""),
        stopped=asked.get("stopped", ""),
        since=asked.get("since", ""),
        found=found[:SHOWN],
        count=len(found),
        full=len(found) == MOST,
        message=message,
    )


def _found(site: Site, asked: Mapping[str, str]) -> list[str]:
    workflow = layout.check_workflow(asked.get("workflow", ""))
    status = _STATUSES.get(asked.get("stopped", ""))
    if status is None:
        raise InvalidInput("say which runs: failed or parked.")
    since = asked.get("since", "").strip()
    first = moment_of(since, site.session.now) if since else 0
    return stopped_runs(site.session, workflow, status, first, MOST)


def _command(asked: Mapping[str, str]) -> tuple[str, ...]:
    words = ["redrive", f"--{asked.get('stopped', '')}", asked.get("workflow", "")]
    if since := asked.get("since", "").strip():
        words += ["--since", since]
    return tuple(words)


def _summary(outcome: Outcome) -> str:
    parts = [f"{len(outcome.sent_on)} sent on"]
    if outcome.nudged:
        parts.append(f"{len(outcome.nudged)} were open already and only nudged")
    if outcome.refused:
        parts.append(f"{len(outcome.refused)} refused")
    return ", ".join(parts)


def redrive_letters(site: Site, request: Request, form: Form) -> Response:
    """Nudge the runs of the dead letters and delete these messages; safe to repeat."""
    del form
    url = dead_letter_url(site.session)
    done = site.session.client.redrive_dead_letters(url, MOST_LETTERS)
    said = [f"{done.nudged} sent on and deleted"]
    if done.malformed:
        said.append(f"{done.malformed} are no nudges of fluxio and stay")
    if done.unknown:
        said.append(f"{done.unknown} are of runs that are not in the table and stay")
    return _letters_page(site, request, ("dlq", "redrive"), said)


def purge(site: Site, request: Request, form: Form) -> Response:
    """Delete dead letters: those that a redrive leaves, or all, if their number was typed in."""
    url = dead_letter_url(site.session)
    useless = form.get("which") != "all"
    if not useless:
        count = about(site.session, url)
        if form.get("count", "").strip() != str(count):
            raise InvalidInput(
                f"nothing was done: the queue holds about {count} messages now, and {form.get('count', '')!r} "
                "was typed."
            )
    purged = purge_letters(site.session, url, useless, MOST_LETTERS)
    said = [f"{purged.deleted} deleted"]
    if purged.kept:
        said.append(f"{purged.kept} kept")
    if purged.refusal:
        said.append(hidden(purged.refusal))
    return _letters_page(site, request, ("dlq", "purge", *(["--useless"] if useless else [])), said)


def _letters_page(
    site: Site, request: Request, command: tuple[str, ...], said: list[str]
) -> Response:
    return site.page(
        request, "letters_done.html", title="Dead letters", command=command, summary=", ".join(said)
    )
