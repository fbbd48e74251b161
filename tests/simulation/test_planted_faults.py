"""The nets are worth something: each of these breakages of the engine is caught, and for what it is.

Where each was seen first is remembered, so that this is quick. If the schedules have changed meanwhile, the
whole net is tried, and the report says what to remember instead.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import drills, matrix
from tests.simulation.cases import CASES
from tests.simulation.conftest import Report
from tests.simulation.fault import Place, Planted
from tests.simulation.matrix import Trial
from tests.simulation.planted import PLANTED
from tests.simulation.schedules import Schedule

pytestmark = pytest.mark.once

#: Schedules within which a breakage must be caught, if it is not where it was.
SEEDS = 3000


def _problems(place: Place) -> list[str]:
    if isinstance(place, int):
        return Schedule(place, strict=True).run().problems
    if isinstance(place, str):
        return drills.problems(place)
    name, faults = place
    (case,) = (case for case in CASES if case.name == name)
    return Trial(case, faults).run().problems


def _places(fault: Planted) -> Iterator[Place]:
    """Where it was seen first, and then all others that its net has."""
    first = fault.seen_at
    yield first
    if isinstance(first, int):
        seeds = range(SEEDS)
        yield from (s for s in seeds if not fault.kinds or Schedule(s).kind in fault.kinds)
        return
    if isinstance(first, str):
        return
    for case in CASES:
        yield case.name, {}
        for number, fault in matrix.single_faults(matrix.without_faults(case)):
            yield case.name, {number: fault}


@pytest.mark.parametrize("fault", PLANTED, ids=lambda fault: fault.what)
def test_a_planted_fault_is_caught(
    fault: Planted, monkeypatch: pytest.MonkeyPatch, report: Report
) -> None:
    assert not _problems(fault.seen_at), "the sound engine breaks a promise there"
    fault.break_it(monkeypatch)
    for tried, place in enumerate(_places(fault), 1):
        for problem in _problems(place):
            if fault.shows in problem:
                found = "" if tried == 1 else f" (remember this one, it took {tried} tries)"
                where = "{}, {}".format(*place) if isinstance(place, tuple) else place
                report(f"planted: {fault.what}: caught at {where}{found}: {problem[:200]}")
                return
    pytest.fail(f"{fault.what}: nothing shows that {fault.shows!r}")
