"""The server of the pages: on loopback, for one person, until Ctrl-C."""

from __future__ import annotations

import os
import socket
import tempfile
import webbrowser
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import uvicorn

from fluxio_client.ui.access import Access
from fluxio_client.ui.app import application
from fluxio_client.ui.site import Site
from fluxio_protocol.errors import FluxioError

LOOPBACK = "127.0.0.1"


class CannotListen(FluxioError):
    """The port is taken."""


def listen(port: int) -> list[socket.socket]:
    """Sockets on loopback, of IPv4 and where it has the same port free of IPv6, and on nothing else.

    Args:
        port: which port; 0 takes one that is free.

    Raises:
        CannotListen: the port is taken.
    """
    try:
        first = socket.create_server((LOOPBACK, port))
    except OSError as error:
        raise CannotListen(
            f"port {port} of {LOOPBACK} cannot be listened on: {error.strerror}. Choose another with "
            "--port, or leave it out for one that is free."
        ) from None
    sockets = [first]
    with suppress(OSError):  # a machine without IPv6
        second = socket.create_server(("::1", first.getsockname()[1]), family=socket.AF_INET6)
        sockets.append(second)
    return sockets


def configuration(app: Any) -> uvicorn.Config:
    """How the pages are served: without a log of requests, and believing no header of a proxy."""
    return uvicorn.Config(
        app,
        http="h11",
        ws="none",
        lifespan="off",
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=False,
        # An X-Forwarded-For from loopback would be believed otherwise.
        proxy_headers=False,
        timeout_graceful_shutdown=2,
    )


def serve(
    site: Site,
    port: int,
    open_browser: bool,
    say: Callable[[str], None],
) -> None:
    """Serve the pages until the process is interrupted.

    Args:
        site: the pages.
        port: which port; 0 takes one that is free.
        open_browser: whether the browser is opened.
        say: tells the person the one-time address.

    Raises:
        CannotListen: the port is taken.
    """
    sockets = listen(port)
    access = Access(sockets[0].getsockname()[1])
    config = configuration(application(site, access))
    say(access.address)
    opened = _opened(access.address) if open_browser else nullcontext()
    with opened, suppress(KeyboardInterrupt):  # Ctrl-C is how it ends
        uvicorn.Server(config).run(sockets)


@contextmanager
def _opened(address: str) -> Iterator[None]:
    """Open the browser at a file that leads to the address: as an argument of the browser's process, every user
    of this machine could read it."""
    number, name = tempfile.mkstemp(suffix=".html", prefix="fluxio-ui-")  # mode 600
    path = Path(name)
    try:
        with os.fdopen(number, "w", encoding="utf-8") as file:
            file.write(
                f'<!doctype html><meta charset="utf-8"><meta http-equiv="refresh" content="0;url={address}">'
            )
        webbrowser.open(path.as_uri())
        yield
    finally:
        path.unlink(missing_ok=True)
