"""Durations: seconds or a timedelta, wherever a user gives one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from fluxio_protocol.duration import YEAR, in_seconds
from fluxio_protocol.errors import InvalidInput


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        (0, 0),
        (90, 90),
        (0.25, 0.25),
        (YEAR, YEAR),
        (timedelta(0), 0),
        (timedelta(milliseconds=250), 0.25),
        (timedelta(days=365), YEAR),
        (timedelta(days=-1, hours=25), 3600),
    ],
)
def test_a_duration_is_a_number_of_seconds_or_a_timedelta(given: Any, seconds: float) -> None:
    assert in_seconds(given, most=YEAR) == seconds


@pytest.mark.parametrize(
    "given",
    [
        -1, -0.001, YEAR + 1, float("nan"), float("inf"), True, False, "60", None, [1], 1j,
        timedelta(seconds=-1), timedelta(days=366), timedelta.max,
    ],
)  # fmt: skip
def test_what_is_none_is_refused_with_what_would_do(given: Any) -> None:
    with pytest.raises(InvalidInput) as refused:
        in_seconds(given, most=YEAR)
    assert str(refused.value) == (
        f"is {given!r}; pass seconds 0 to 31,536,000 (a year), or a timedelta of such a length"
    )


@pytest.mark.parametrize("given", [0, 0.0, timedelta(0), -0.0])
def test_zero_is_refused_where_it_makes_no_sense(given: Any) -> None:
    with pytest.raises(InvalidInput, match="pass seconds above 0 and at most 900"):
        in_seconds(given, above=0, most=900)
    assert in_seconds(timedelta(microseconds=1), above=0, most=900) == 1e-6


@pytest.mark.parametrize("given", [float("inf"), float("nan"), 0.001, timedelta(milliseconds=9)])
def test_without_a_longest_it_is_finite_all_the_same(given: Any) -> None:
    with pytest.raises(InvalidInput, match=r"pass seconds 0\.01 or more"):
        in_seconds(given, least=0.01)
    assert in_seconds(1e9, least=0.01) == 1e9
