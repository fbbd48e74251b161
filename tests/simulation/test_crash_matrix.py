"""Whatever dies at whichever call: the run ends with the right result, every step committed once.

`FLUXIO_MATRIX=all` runs every pair of faults (some 360,000); otherwise each case has all single faults and a
fixed sample of the pairs, and with `few` a sample of the single faults and no pairs.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import pytest

from fluxio.testing.faults import FAULTS
from tests.simulation import matrix
from tests.simulation.cases import CASES, Case
from tests.simulation.conftest import Report
from tests.simulation.matrix import Trial

pytestmark = pytest.mark.once

#: Pairs of faults tried in each case; of the smallest case, all.
PAIRS = 30
WHOLE = 1200
#: One single fault of so many is tried where few will do; no multiple of how many faults there are.
FEW = 11


@pytest.fixture(scope="module")
def tried(report: Report) -> Iterator[Counter[str]]:
    """Counts the cases of the matrix, and says at the end how many there were."""
    counted: Counter[str] = Counter()
    yield counted
    faults = ", ".join(f"{counted[fault]:,} {fault}" for fault in FAULTS)
    report(
        f"crash matrix: {counted['one']:,} cases with one fault ({faults}) and "
        f"{counted['two']:,} of {counted['pairs']:,} with two"
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_without_faults_the_run_makes_no_call_in_vain(case: Case) -> None:
    trial = matrix.without_faults(case)
    assert not trial.problems, str(trial)
    assert all("Visibility" not in made.what for made in trial.calls) or "fails" in case.name
    assert trial.watch.takeovers == 0


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_fault_at_any_call_leaves_every_promise_kept(case: Case, tried: Counter[str]) -> None:
    double: list[dict[int, str]] = []
    few = os.environ.get("FLUXIO_MATRIX") == "few"
    for trial in matrix.singles(case, FEW if few else 1):
        tried["one"] += 1
        tried.update(trial.faults.values())
        double += matrix.pairs(trial)
        assert not trial.problems, str(trial)
    tried["pairs"] += len(double)
    every = max(1, len(double) // PAIRS)
    if os.environ.get("FLUXIO_MATRIX") == "all" or len(double) < WHOLE:
        every = 1
    for faults in () if few else double[::every]:
        tried["two"] += 1
        trial = Trial(case, faults).run()
        assert not trial.problems, str(trial)
