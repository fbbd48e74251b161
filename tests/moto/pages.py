"""The pages of `fluxio ui` in this process, on a deployment in moto, as a browser that was let in sees them."""

from __future__ import annotations

import re
from html import unescape
from typing import Any
from urllib.parse import urlencode

from starlette.testclient import TestClient

from fluxio_client.cli.session import Session
from fluxio_client.ui.access import Access
from fluxio_client.ui.app import application
from fluxio_client.ui.site import Site

PORT = 8321
ORIGIN = f"http://127.0.0.1:{PORT}"

#: What a browser sends with a form of a page of its own.
FROM_HERE = {"sec-fetch-site": "same-origin", "origin": ORIGIN}


class Pages:
    """A browser at the pages."""

    def __init__(self, session: Session, read_only: bool = False, **more: Any) -> None:
        session.quiet = True
        self.site = Site(session, read_only, **more)
        self.access = Access(PORT)
        self.application = application(self.site, self.access)
        self.browser = self.stranger()
        self.browser.get(self.access.address)

    def stranger(self) -> TestClient:
        """A browser that has not been let in."""
        return TestClient(
            self.application,
            base_url=ORIGIN,
            follow_redirects=False,
            raise_server_exceptions=False,
        )

    def get(self, path: str, **headers: str) -> Any:
        return self.browser.get(path, headers=headers)

    def text(self, path: str) -> str:
        """What a page says, without its tags; it has to be there."""
        answer = self.get(path)
        assert answer.status_code == 200, answer.text
        return text_of(answer.text)

    def post(self, path: str, **form: str) -> Any:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.browser.post(path, content=urlencode(form), headers=FROM_HERE | kind)


def text_of(html: str) -> str:
    """What a person reads of a page."""
    body = re.sub(r"<(script|style|title)[^>]*>.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", body)).split())
