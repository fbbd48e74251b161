"""Figures of the simulation, printed at the end of the test run: how many cases, how many schedules."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Report = Callable[[str], None]
_FIGURES = pytest.StashKey[list[str]]()
_SENT = "fluxio_figures"


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """Says a figure at the end of the test run."""
    figures: list[str] = request.config.stash.setdefault(_FIGURES, [])
    return figures.append


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker of pytest-xdist hands its figures to the process that prints."""
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[_SENT] = session.config.stash.get(_FIGURES, [])


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    figures: list[str] = node.config.stash.setdefault(_FIGURES, [])
    figures += getattr(node, "workeroutput", {}).get(_SENT, [])


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("simulation")
        for line in sorted(figures):
            terminalreporter.write_line(line)
