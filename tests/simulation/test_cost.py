"""What runs cost in the table: how many writes, how many write units, and how that grows."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluxio.testing.platform import logging_to
from tests.simulation.costs import ORDER, Edges, chain, fan, spent

pytestmark = pytest.mark.once

SHAPES = {
    "order": ORDER,
    "chain of 20": chain(20),
    "chain of 100": chain(100),
    "chain of 200": chain(200),
    "fan-out of 20": fan(20),
    "fan-out of 100": fan(100),
}


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    with logging_to(lambda line: None):
        yield


@pytest.mark.parametrize(
    ("shape", "size", "inline", "units"),
    [
        ("order", 12, 10, 5),
        ("order", 100, 10, 5),
        ("order", 12, 0, 9),
        ("order", 100, 0, 9),
        ("chain of 20", 12, 10, 24),
        ("chain of 20", 100, 10, 40),
        ("chain of 100", 100, 10, 150),
        ("chain of 200", 100, 10, 300),
        ("fan-out of 20", 12, 10, 22),
        ("fan-out of 20", 100, 10, 30),
        ("fan-out of 100", 12, 10, 100),
        ("fan-out of 100", 100, 10, 200),
    ],
)
def test_a_run_costs_at_most(shape: str, size: int, inline: int, units: int) -> None:
    assert spent(SHAPES[shape], size, inline)["units"] <= units


@pytest.mark.parametrize("size", [12, 100])
def test_a_fan_out_of_100_is_30_writes_and_one_invocation(size: int) -> None:
    counted = spent(SHAPES["fan-out of 100"], size)
    assert counted["writes"] <= 30
    assert counted["invocations"] == 1


@pytest.mark.parametrize("edges", [ORDER, chain(7), chain(20), fan(5), fan(20)], ids=str)
def test_a_run_never_costs_less_with_longer_outputs(edges: Edges) -> None:
    sizes = [*range(0, 1100, 100), 380, 420, 512, 513, 1500, 2048, 2049, 3000]
    units = [spent(edges, size)["units"] for size in sorted(sizes)]
    assert units == sorted(units)


def test_a_chain_costs_for_each_step_the_same_however_long_it_is() -> None:
    few, many = (spent(chain(length), 100)["units"] for length in (50, 200))
    assert (many - few) / 150 <= 1.5
