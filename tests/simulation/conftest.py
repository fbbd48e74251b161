"""Figures of the simulation, printed at the end of the test run: how many cases, how many schedules."""

from __future__ import annotations

from collections.abc import Callable

import pytest

Report = Callable[[str], None]
_FIGURES = pytest.StashKey[list[str]]()


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """Says a figure at the end of the test run."""
    figures: list[str] = request.config.stash.setdefault(_FIGURES, [])
    return figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    figures = terminalreporter.config.stash.get(_FIGURES, [])
    if figures:
        terminalreporter.section("simulation")
        for line in figures:
            terminalreporter.write_line(line)
