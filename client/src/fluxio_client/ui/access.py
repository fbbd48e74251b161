"""Who may see the pages: whoever opened the address that the command printed, from these pages alone.

The server listens on loopback, which other users, other programs and every page in the browser reach as well.
So each request names this server exactly (a rebound name does not), carries the cookie that the one-time
address was exchanged for, and, if it changes something, comes from a page of this server.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from http.cookies import CookieError, SimpleCookie

#: Where the one-time token is exchanged for the cookie.
ENTRANCE = "/enter"

#: What the browser says of where a request comes from. "none": the person typed, or opened, the address.
#: https://www.w3.org/TR/fetch-metadata/#sec-fetch-site-header
_FROM_HERE = "same-origin"
_FROM_NOWHERE = "none"

Headers = Iterable[tuple[bytes, bytes]]


class Access:
    """The secrets of one server, and what they are checked against.

    Args:
        port: the port that it listens on.
    """

    def __init__(self, port: int) -> None:
        self.port = port
        #: Cookies are not kept apart by port, so the name has it.
        self.cookie_name = f"fluxio_ui_{port}"
        self._cookie = secrets.token_urlsafe(32)
        self._token: str | None = secrets.token_urlsafe(32)
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}", f"[::1]:{port}"}

    @property
    def address(self) -> str:
        """The address that lets one browser in, once."""
        return f"http://127.0.0.1:{self.port}{ENTRANCE}?token={self._token}"

    @property
    def set_cookie(self) -> str:
        """The header that hands the cookie to the browser: no script reads it, no other site sends it."""
        return f"{self.cookie_name}={self._cookie}; HttpOnly; SameSite=Strict; Path=/"

    def exchange(self, token: str) -> bool:
        """Whether a token is the one that was handed out. It is spent then."""
        if self._token is None or not secrets.compare_digest(_bytes(token), _bytes(self._token)):
            return False
        self._token = None
        return True

    def is_addressed(self, headers: Headers) -> bool:
        """Whether a request names this server: one Host, compared whole."""
        hosts = _all(headers, b"host")
        return len(hosts) == 1 and hosts[0].lower() in self._hosts

    def is_known(self, headers: Headers) -> bool:
        """Whether a request carries the cookie."""
        for line in _all(headers, b"cookie"):
            try:
                found = SimpleCookie(line).get(self.cookie_name)
            except CookieError:
                continue
            if found and secrets.compare_digest(_bytes(found.value), _bytes(self._cookie)):
                return True
        return False

    def may_read(self, headers: Headers) -> bool:
        """Whether a request that changes nothing comes from a page of this server, or from the person."""
        sites = _all(headers, b"sec-fetch-site")
        return not sites or sites in ([_FROM_HERE], [_FROM_NOWHERE])

    def may_change(self, headers: Headers) -> bool:
        """Whether a request that changes something comes from a page of this server.

        Browsers of today say so themselves; with an older one the Origin must be this server's. A request
        without either is refused.
        """
        if sites := _all(headers, b"sec-fetch-site"):
            return sites == [_FROM_HERE]
        hosts = _all(headers, b"host")
        return _all(headers, b"origin") == [f"http://{host}" for host in hosts]


def _all(headers: Headers, name: bytes) -> list[str]:
    return [value.decode("latin-1") for key, value in headers if key.lower() == name]


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
