"""The pytest plugin: the fixture `fluxio`, and the figures of `crash_everywhere` at the end of the test run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fluxio.testing.session import Fluxio

_SENT = "fluxio_told"
_RECEIVED = pytest.StashKey[list[str]]()


@pytest.fixture
def fluxio() -> Fluxio:
    """Run workflows in this process: `run = fluxio.run(OrderFulfillment, {…})`; see `fluxio.testing.Fluxio`."""
    from fluxio.testing.session import Fluxio

    return Fluxio()


def _told() -> list[str]:
    """What was told in this process; nothing is imported for a test run without fluxio."""
    import sys

    crashes = sys.modules.get("fluxio.testing.crashes")
    return [] if crashes is None else list(crashes.told)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its lines to the process that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SENT] = _told()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Take the lines of a worker of pytest-xdist."""
    received: list[str] = node.config.stash.setdefault(_RECEIVED, [])
    received += getattr(node, "workeroutput", {}).get(_SENT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say how many points there were."""
    lines = [*terminalreporter.config.stash.get(_RECEIVED, []), *_told()]
    if lines:
        terminalreporter.section("fluxio")
        for line in sorted(set(lines)):
            terminalreporter.write_line(line)
