"""What every request passes first, and what every answer carries: the pages behind it need not think of it."""

from __future__ import annotations

from html import escape
from typing import Any
from urllib.parse import parse_qs, quote

from starlette.responses import HTMLResponse, PlainTextResponse, Response

from fluxio_client.ui.access import ENTRANCE, Access

#: Bytes of a form at the most: a payload of 390,000 bytes, each of them written as %XX, and some room.
FORM_BYTES = 1_300_000

_FORM = "application/x-www-form-urlencoded"

#: Nothing is loaded that is not this server's; no script and no style stands in a page itself.
_HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; frame-ancestors 'none'; "
    "base-uri 'none'",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


class Guard:
    """An ASGI application that lets requests through to another one.

    Args:
        app: the pages.
        access: whom it lets through.
    """

    def __init__(self, app: Any, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
            return
        refusal = self._refusal(scope)

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                own = {name.lower() for name, _ in message.get("headers", ())}
                message["headers"] = [
                    *message.get("headers", ()),
                    *(
                        (name.encode(), value.encode())
                        for name, value in _HEADERS.items()
                        if name.encode() not in own
                    ),
                ]
            await send(message)

        await (refusal or self._app)(scope, receive, send_with_headers)

    def _refusal(self, scope: Any) -> Response | None:
        """The answer to a request that does not reach the pages."""
        headers, access = scope["headers"], self._access
        if not access.is_addressed(headers):
            return PlainTextResponse("This is not the server that the request names.\n", 421)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return PlainTextResponse("Method not allowed.\n", 405, {"allow": "GET, HEAD, POST"})
        changes = scope["method"] == "POST"
        if scope["path"] == ENTRANCE:
            return self._enter(scope)
        if not access.is_known(headers):
            return _stranger(scope, 401)
        if changes and not access.may_change(headers):
            return PlainTextResponse("This request does not come from a page of fluxio ui.\n", 403)
        if not changes and not access.may_read(headers):
            return _stranger(scope, 403)
        return _unfit_form(headers) if changes else None

    def _enter(self, scope: Any) -> Response:
        if scope["method"] != "GET":
            return PlainTextResponse("Method not allowed.\n", 405, {"allow": "GET"})
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])
        if not self._access.exchange(asked[-1]):
            return _page(
                "This address was used already, or is not the one that was printed",
                "The address that <code>fluxio ui</code> prints lets one browser in, once. If that was not "
                "yours, end the command: another user of this machine has come in. "
                '<a href="/">Go on</a> if this browser has been in before.',
                401,
            )
        # Not a redirect: the next request has to come from a page of this server for the cookie to be sent,
        # wherever the address was clicked.
        return HTMLResponse(
            '<!doctype html><html lang="en"><meta charset="utf-8"><title>fluxio</title>'
            '<meta http-equiv="refresh" content="0;url=/"><p><a href="/">Go on</a></p></html>',
            headers={"set-cookie": self._access.set_cookie},
        )


def _stranger(scope: Any, status: int) -> Response:
    query = scope["query_string"].decode("latin-1")
    path = quote(scope["path"]) + (f"?{query}" if query else "")
    here = path if path.startswith("/") and not path.startswith("//") else "/"
    return _page(
        "This page opens from its own pages only",
        "Open the address that <code>fluxio ui</code> printed in its terminal. If this browser has done so, "
        f'<a href="{escape(here, quote=True)}">go on from here</a>.',
        status,
    )


def _page(title: str, text: str, status: int) -> Response:
    return HTMLResponse(
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f"<main><h1>{title}</h1><p>{text}</p></main></html>",
        status,
    )


def _unfit_form(headers: Any) -> Response | None:
    """Why a body is not read: it is no form, or too long to be one of these pages'."""
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    kind = found.get(b"content-type", "").partition(";")[0].strip().lower()
    if kind != _FORM:
        return PlainTextResponse(f"Send a form as {_FORM}.\n", 415)
    length = found.get(b"content-length", "")
    if not length.isdigit():
        return PlainTextResponse("Say how long the form is.\n", 411)
    if int(length) > FORM_BYTES:
        return PlainTextResponse(f"The form is longer than {FORM_BYTES:,} bytes.\n", 413)
    return None
