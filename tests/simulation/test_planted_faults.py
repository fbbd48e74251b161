"""The nets are worth something: each of these one-line breakages of the engine is caught, and by which net."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import matrix, planted
from tests.simulation.conftest import Report
from tests.simulation.planted import PLANTED, Planted
from tests.simulation.schedules import Schedule
from tests.simulation.workflows import CASES

#: Schedules within which a breakage must be caught; the most patient one here needs about a quarter.
SEEDS = 2000


def _by_the_matrix() -> Iterator[tuple[str, list[str]]]:
    for case in CASES:
        whole = matrix.without_faults(case)
        yield f"{case.name}, no fault", whole.problems
        for number, fault in matrix.single_faults(whole):
            trial = matrix.Trial(case, {number: fault}).run()
            yield f"{case.name}, {trial.faults}", trial.problems


def _by_schedules() -> Iterator[tuple[str, list[str]]]:
    for seed in range(SEEDS):
        yield f"seed {seed}", Schedule(seed).run().problems


NETS = {planted.MATRIX: _by_the_matrix, planted.SCHEDULES: _by_schedules}


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.what)
def test_a_planted_fault_is_caught(
    fault: Planted, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    fault.break_it(monkeypatch)
    for tried, (where, problems) in enumerate(NETS[fault.net](), 1):
        if any(fault.says in problem for problem in problems):
            report(f"planted: {fault.what}: caught by the {fault.net}, try {tried} ({where})")
            return
    pytest.fail(f"{fault.what}: the {fault.net} did not catch it")
