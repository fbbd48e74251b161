"""The pages of `fluxio ui` in a real browser: the machine's own Chromium, on a deployment in moto."""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dev import STATE
from fluxio_client.cli.session import Session
from fluxio_client.ui import server
from fluxio_client.ui.access import Access
from fluxio_client.ui.app import application
from fluxio_client.ui.site import Site
from tests.moto.cli import make_command
from tests.moto.conftest import aws, clock, world  # noqa: F401 - fixtures
from tests.moto.pump import World

#: Where the tests leave a picture of each page.
PICTURES = STATE / "ui"

#: Names under which systems have Chromium; FLUXIO_CHROMIUM names another place.
NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str | None:
    """The machine's Chromium; None if it has none."""
    named = os.environ.get("FLUXIO_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all tests, with an empty profile."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    executable = chromium()
    if executable is None:
        pytest.skip(
            "this machine has no Chromium: apt-get install chromium, or set FLUXIO_CHROMIUM"
        )
    with sync_api.sync_playwright() as playwright:
        found = playwright.chromium.launch(
            executable_path=executable,
            headless=True,
            args=["--no-sandbox", "--disable-background-networking"],
        )
        yield found
        found.close()


class Served:
    """The pages of a deployment on a port of loopback, and the address that lets a browser in."""

    def __init__(self, session: Session, read_only: bool = False) -> None:
        import uvicorn

        session.quiet = True
        self._sockets = server.listen(0)
        self.port = self._sockets[0].getsockname()[1]
        self.access = Access(self.port)
        config = server.configuration(application(Site(session, read_only), self.access))
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(self._sockets,))
        self._thread.start()

    @property
    def origin(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def session(
    world: World,  # noqa: F811
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Session:
    make_command(world, capfd, monkeypatch)
    monkeypatch.setattr(Session, "dynamodb", world.dynamodb)
    return Session()


@pytest.fixture
def served(browser: Any, session: Session) -> Iterator[Served]:
    found = Served(session)
    yield found
    found.stop()


Opened = Callable[..., Any]


@pytest.fixture
def opened(browser: Any, served: Served) -> Iterator[Opened]:
    """Opens a page in a profile of its own; at the end, nothing may have been refused or have failed in it."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def open_(path: str = "/", **options: Any) -> Any:
        context = browser.new_context(**{"viewport": {"width": 1100, "height": 800}, **options})
        context.set_default_timeout(10_000)
        context.grant_permissions(["clipboard-read", "clipboard-write"])
        contexts.append(context)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda said: (
                complaints.append(said.text) if said.type in ("error", "warning") else None
            ),
        )
        name, value = served.access.set_cookie.split(";")[0].split("=", 1)
        context.add_cookies(
            [{"name": name, "value": value, "url": served.origin, "sameSite": "Strict"}]
        )
        page.clock.install()
        page.goto(served.origin + path)
        return page

    yield open_
    for context in contexts:
        context.close()
    assert complaints == []


def picture(page: Any, name: str) -> Path:
    """Leave a picture of the whole page."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    path = PICTURES / f"{name}.png"
    page.screenshot(path=path, full_page=True, animations="disabled")
    return path
