"""What a step waits for, as of a moment: everything that is missing, and nothing that is there."""

from __future__ import annotations

from typing import Any

import pytest

from fluxio.sweeper import STUCK_AFTER, is_stuck
from fluxio_protocol.run import RunStatus, StepStatus
from fluxio_protocol.standing import Phase, standing
from tests.unit.views import ME, NOW, pending, run, running, succeeded

GO = {"awaits": ("go", "stop")}


@pytest.mark.parametrize(
    ("step", "phase"),
    [
        (pending(), Phase.READY),
        (pending(done=2, of=2), Phase.READY),
        (pending(attempt=1, not_before=NOW), Phase.READY),
        (pending(done=1, of=2), Phase.WAITING),
        (pending(awaits=("missing",)), Phase.WAITING),
        (pending(awaits=("came",)), Phase.READY),
        (pending(attempt=1, not_before=NOW + 1), Phase.WAITING),
        (running(lease_until=NOW + 1), Phase.RUNNING),
        (running(lease_until=NOW), Phase.LOST),
        (running(lease_until=None), Phase.LOST),
        (succeeded(), Phase.SETTLED),
        ({"status": StepStatus.FAILED}, Phase.STOPPED),
        ({"status": StepStatus.of("POLLING")}, Phase.STOPPED),
    ],
)
def test_a_step_is_in_one_phase_at_a_time(step: dict[str, Any], phase: Phase) -> None:
    seen = run({"a": step}, signals_json={"came": "{}"})

    assert standing(seen, seen.steps["a"], NOW).phase is phase


def test_a_step_that_waits_names_all_that_is_missing() -> None:
    waits = pending(done=1, of=3, attempt=1, not_before=NOW + 5, **GO)
    seen = run({"a": waits}, signals_json={"go": "{}"})

    stands = standing(seen, seen.steps["a"], NOW)

    assert (stands.for_steps, stands.signals, stands.until) == (True, ("stop",), NOW + 5)


@pytest.mark.parametrize("lease_until", [NOW - 7, NOW + 7])
def test_a_step_that_was_claimed_says_until_when_the_claim_holds(lease_until: int) -> None:
    seen = run({"a": running(ME, lease_until=lease_until)})

    assert standing(seen, seen.steps["a"], NOW).until == lease_until


@pytest.mark.parametrize("status", RunStatus)
def test_a_step_stands_where_it_stood_whatever_becomes_of_its_run(status: RunStatus) -> None:
    seen = run({"a": pending(done=1, of=2)}, status)

    assert standing(seen, seen.steps["a"], NOW).for_steps


OLD = NOW - STUCK_AFTER
LONG_AGO = {"started_at": OLD, "lease_until": OLD + 1}


@pytest.mark.parametrize(
    ("steps", "stuck"),
    [
        ([pending()], True),
        ([running(**LONG_AGO)], True),
        ([succeeded(ended_at=OLD)], True),
        ([{"status": StepStatus.FAILED, "ended_at": OLD}], True),
        ([succeeded(ended_at=OLD), pending(awaits=("go",))], False),
        ([running(started_at=OLD, lease_until=NOW + 1), pending(of=1)], False),
        ([pending(attempt=1, started_at=OLD, not_before=NOW + STUCK_AFTER)], False),
        ([running(**LONG_AGO), pending(awaits=("go",))], True),
    ],
)
def test_a_run_is_stuck_if_a_worker_should_go_on_with_it_and_none_has_for_long(
    steps: list[dict[str, Any]], stuck: bool
) -> None:
    named = {f"s{number}": step for number, step in enumerate(steps)}
    seen = run(named, created_at=OLD)

    assert is_stuck(seen, NOW + 1) is stuck


def test_a_run_whose_steps_are_not_all_known_is_not_said_to_be_stuck() -> None:
    seen = run({"a": succeeded(ended_at=OLD)}, created_at=OLD, partial=True)

    assert not is_stuck(seen, NOW + 1)
