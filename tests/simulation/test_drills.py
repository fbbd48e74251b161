"""No shard is starved, no signal waits for another one's message, and no run hangs with a failed step."""

from __future__ import annotations

import pytest

from tests.simulation import drills

pytestmark = pytest.mark.once


@pytest.mark.parametrize("name", drills.DRILLS)
def test_nothing_is_wrong_in_a_drill(name: str) -> None:
    assert drills.problems(name) == []
