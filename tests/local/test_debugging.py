"""Somebody who stops in a step with `breakpoint()` finds it as it was, however long that takes."""

from __future__ import annotations

import io
import sys
import threading

import pytest

from fluxio import alarm
from fluxio.local.clock import LocalClock
from fluxio.local.debugger import Debuggers
from tests.local.world import Time


def test_no_time_passes_at_a_prompt_and_the_clock_catches_up_when_all_is_done(
    clock: LocalClock, time: Time
) -> None:
    began, since = clock.now(), clock.monotonic()
    with clock.stopped():
        time.at += 600_000
        with clock.stopped():  # another prompt
            time.at += 60_000
            clock.catch_up()  # not while somebody waits
        assert clock.now() == began
    assert clock.now() == began
    time.at += 1_000
    assert clock.now() == began + 1_000
    assert clock.monotonic() - since == pytest.approx(1)
    clock.catch_up()
    assert clock.now() == time.at
    assert clock.monotonic() - since == pytest.approx(1)  # what measures durations does not jump


def test_the_clock_never_goes_back_while_something_is_under_way() -> None:
    wall, seconds = 1_800_000_000_000, 5.0
    clock = LocalClock(lambda: wall, lambda: seconds)
    shown = [clock.now()]
    with clock.stopped():
        for _ in range(20):
            wall, seconds = (
                wall + 1,
                seconds + 0.0017,
            )  # two clocks of one machine differ by a little
            shown.append(clock.now())
    assert set(shown) == {1_800_000_000_000}
    wall -= 3_600_000  # somebody has set the machine's
    shown += [clock.now()]
    assert shown == sorted(shown)
    clock.catch_up()
    assert clock.now() == wall


def test_a_step_does_not_time_out_while_somebody_looks_at_it(
    clock: LocalClock, time: Time, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "monotonic", clock.monotonic)
    with alarm.Alarm(5) as watch, clock.stopped():
        time.at += 600_000
    assert not watch.was_over
    with alarm.Alarm(5) as watch:
        time.at += 6_000
    assert watch.was_over


def test_a_prompt_stops_the_clock_and_keeps_the_terminal_to_itself(
    clock: LocalClock,
    time: Time,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "breakpointhook", sys.breakpointhook)
    monkeypatch.setattr("pdb.set_trace", None)
    monkeypatch.delenv("PYTHONBREAKPOINT", raising=False)
    terminal = threading.Lock()
    debuggers = Debuggers(clock, terminal)
    debuggers.install()
    seen: list[object] = []

    class Typed(io.StringIO):
        def readline(self, *_: object) -> str:
            seen.append((debuggers.waiting, terminal.locked(), clock.now()))
            time.at += 60_000
            return super().readline()

    monkeypatch.setattr(sys, "stdin", Typed("p order\nc\n"))
    began = clock.now()

    def some_step(order: str) -> str:
        breakpoint()
        return order

    assert some_step("o-1") == "o-1"
    assert seen == [(True, True, began)] * 2
    assert "'o-1'" in capsys.readouterr().out
    assert (debuggers.waiting, terminal.locked(), clock.now()) == (False, False, began)


def test_another_debugger_of_the_users_is_left_alone(
    clock: LocalClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = object()
    monkeypatch.setattr(sys, "breakpointhook", before)
    monkeypatch.setattr("pdb.set_trace", None)
    monkeypatch.setenv("PYTHONBREAKPOINT", "ipdb.set_trace")
    Debuggers(clock, threading.Lock()).install()
    assert sys.breakpointhook is before
