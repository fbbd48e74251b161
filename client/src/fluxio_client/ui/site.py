"""What all pages have in common: the deployment, the templates, how a page and a failure are answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from functools import cached_property
from pathlib import Path
from shlex import join
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.failures import Explained, explain
from fluxio_client.cli.moments import iso, length, local
from fluxio_client.cli.printable import one_line, printable
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_client.ui.meter import Meter, metered, watch
from fluxio_client.ui.schemas import UNKNOWN, Schemas
from fluxio_client.ui.states import state_of_run
from fluxio_protocol.run import Run
from fluxio_protocol.run_item import filled_in

#: The HTTP status of a failure that the command would end with this code for.
_STATUSES = {ExitCode.USAGE: 400, ExitCode.NOT_FOUND: 404, ExitCode.AWS: 502, ExitCode.ERROR: 409}

#: Runs whose archives are kept for their next look.
KEPT_ARCHIVES = 16

_FOLDER = Path(__file__).parent

View = Callable[["Site", Request], Response]
Deed = Callable[["Site", Request, Mapping[str, str]], Response]


class Site:
    """The pages of one deployment.

    Args:
        session: the deployment, with the caller's credentials.
        read_only: whether the pages leave out what changes something.
        schemas: what inputs and signals are, as far as that is known.
    """

    def __init__(
        self,
        session: Session,
        read_only: bool = False,
        schemas: Schemas = UNKNOWN,
    ) -> None:
        self.session = session
        self.read_only = read_only
        self.schemas = schemas
        self._archives: dict[tuple[str, int], dict[str, str]] = {}
        watch(session.dynamodb)
        self._templates = Environment(
            loader=FileSystemLoader(_FOLDER / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            finalize=_shown,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.globals.update(href=href, state_of_run=state_of_run, length=length)
        self._templates.filters.update(one_line=one_line, iso=iso, linked=linked)

    @cached_property
    def region(self) -> str:
        """The deployment's Region; "" of a stand-in."""
        meta = getattr(self.session.dynamodb, "meta", None)
        return str(getattr(meta, "region_name", "") or "")

    @cached_property
    def caller(self) -> str:
        """Whose credentials the pages act with, as AWS knows them; asked once."""
        try:
            arn = str(self.session.aws("sts").get_caller_identity()["Arn"])
        except Exception as error:
            if explain(error) is None:
                raise
            return "credentials that AWS does not name"
        _, _, _, _, account, name = arn.split(":", 5)
        return f"{name} in account {account}"

    def with_ended(self, run: Run) -> Run:
        """A run with the records of its sealed steps. An archive is never written again, so it is read once."""
        if not any(step.unread for step in run.steps.values()):
            return run
        key = (run.run_id, run.archives)
        if key not in self._archives:
            while len(self._archives) >= KEPT_ARCHIVES:
                self._archives.pop(next(iter(self._archives)), None)
            self._archives[key] = self.session.store.payloads.archived(*key)
        return filled_in(run, self._archives[key])

    def view(self, show: View) -> Callable[[Request], Response]:
        """An endpoint that shows a page."""

        def endpoint(request: Request) -> Response:
            return self._answer(request, lambda: show(self, request))

        return endpoint

    def deed(self, do: Deed) -> Callable[[Request], Any]:
        """An endpoint that changes something, by a form."""
        from starlette.concurrency import run_in_threadpool

        async def endpoint(request: Request) -> Response:
            form = fields(await request.body())
            answer: Response = await run_in_threadpool(
                self._answer, request, lambda: do(self, request, form)
            )
            return answer

        return endpoint

    def _answer(self, request: Request, answer: Callable[[], Response]) -> Response:
        with metered() as meter:
            request.state.meter = meter
            try:
                return answer()
            except Exception as error:
                failure = explain(error)
                if failure is None:
                    raise
                return self.failed(request, failure)

    @staticmethod
    def status_of(failure: Explained) -> int:
        """The HTTP status of a failure that a person can mend."""
        return _STATUSES.get(failure.code, 500)

    def failed(self, request: Request, failure: Explained) -> Response:
        """The page of a failure that a person can mend."""
        status = self.status_of(failure)
        title = "Not found" if status == 404 else failure.kind
        return self.page(
            request, "failed.html", status=status, title=title, message=failure.message
        )

    def page(
        self,
        request: Request,
        template: str,
        *,
        title: str,
        command: tuple[str, ...] = (),
        status: int = 200,
        headers: Mapping[str, str] | None = None,
        **context: Any,
    ) -> Response:
        """A page.

        Args:
            request: what it answers.
            template: the name of its template.
            title: what it is called.
            command: the arguments of `fluxio` that show the same in a terminal.
            status: its HTTP status.
            headers: more headers.
            context: what the template shows.
        """
        text = self.render(request, template, title=title, command=command, **context)
        return HTMLResponse(text, status, headers=headers)

    def render(self, request: Request, template: str, **context: Any) -> str:
        """A template with what each of them may use."""
        now = self.session.now
        meter: Meter = getattr(request.state, "meter", None) or Meter()
        command = context.pop("command", ())
        text: str = self._templates.get_template(template).render(
            site=self,
            client_version=client_version(),
            path=request.url.path,
            query=dict(request.query_params),
            now=now,
            read_at=local(now, now),
            meter=meter,
            command=join(["fluxio", *command]) if command else "",
            at=lambda moment: local(moment, now),
            **context,
        )
        return text


def fields(body: bytes) -> dict[str, str]:
    """The fields of a form; of one that comes twice, the last."""
    return dict(
        parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=500)
    )


def href(*parts: str, **query: object) -> str:
    """The address of a page: each part is quoted, and what is not asked for left out."""
    path = "/" + "/".join(quote(part, safe="") for part in parts)
    asked = {name: value for name, value in query.items() if value not in (None, "", False)}
    return f"{path}?{urlencode(asked)}" if asked else path


def linked(text: str, run_ids: Collection[str]) -> Markup:
    """A text in which the ids of some runs lead to their pages."""
    if not run_ids:
        return escape(printable(text))
    ids = "|".join(map(re.escape, sorted(run_ids, key=len, reverse=True)))
    parts = re.split(rf"(?<![\w.:-])({ids})(?![\w:-])", printable(text))
    return Markup("").join(
        Markup('<a href="{}">{}</a>').format(href("runs", part), part) if at % 2 else part
        for at, part in enumerate(parts)
    )


def _shown(value: Any) -> Any:
    """What a template shows: text from outside never acts, neither as HTML nor as a control character."""
    if isinstance(value, Markup):
        return value
    return printable(value) if isinstance(value, str) else value
