"""One attempt of a step: its code, its timeout, and what came of it."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio.attempt import Attempt, Returned, Threads
from fluxio.decide import Failed
from fluxio.definition import definition_of


def attempt(
    body: Callable[[], Any], timeout: float = 30, name: str = "s", tries: int = 1
) -> Attempt:
    """An attempt of a step that does this."""

    def s(self) -> Any:
        return body()

    s.__name__ = name
    made = definition_of(workflow(type("W", (), {name: step(retry=Retry(3, jitter=0))(s)})))
    assert made is not None
    return Attempt(
        definition=made.steps[name],
        cls=made.cls,
        context=StepContext("r", "W", name, 1, 0),
        input={},
        outputs={},
        timeout=timeout,
        tries=tries,
        chance=0,
    )


def failed(outcome: Returned | Failed) -> Failed:
    assert isinstance(outcome, Failed)
    return outcome


def spin(seconds: float) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


class TestOutcome:
    def test_what_a_step_returns_is_json_text(self) -> None:
        assert attempt(lambda: {"a": [1, None]}).run(interrupt=True) == Returned(
            '{"a":[1,null]}', ()
        )

    def test_an_exception_is_kept_with_its_type_message_and_place(self) -> None:
        outcome = failed(attempt(lambda: {}["x"]).run(interrupt=True))
        assert (outcome.failure.type, outcome.failure.message) == ("KeyError", "'x'")
        assert (outcome.failure.step, outcome.failure.attempt) == ("s", 1)
        assert outcome.retry_after == 1_000

    def test_the_backoff_counts_tries_and_not_attempts(self) -> None:
        assert failed(attempt(lambda: 1 / 0, tries=3).run(interrupt=True)).retry_after == 4_000

    def test_a_step_that_exits_has_failed_and_the_worker_goes_on(self) -> None:
        outcome = failed(attempt(lambda: exit("no")).run(interrupt=True))
        assert (outcome.failure.type, outcome.retry_after) == ("SystemExit", None)

    @pytest.mark.parametrize("interrupt", [True, False])
    def test_what_the_class_cannot_do_when_it_is_made_is_the_steps_failure(
        self, interrupt: bool
    ) -> None:
        broken = attempt(lambda: None)
        unmade = broken._replace(cls=type("W", (), {"__init__": lambda self: 1 / 0}))
        assert failed(unmade.run(interrupt)).failure.type == "ZeroDivisionError"

    def test_an_exception_that_cannot_be_printed_is_a_failure_like_others(self) -> None:
        class Unprintable(Exception):
            def __str__(self) -> str:
                raise ValueError("no text")

        def body() -> None:
            raise Unprintable

        assert failed(attempt(body).run(interrupt=True)).failure.type == "Unprintable"


class TestAlarm:
    def test_it_interrupts_what_a_step_swallows_nothing_of(self) -> None:
        def body() -> None:
            while True:
                with suppress(Exception):
                    spin(1)

        outcome = failed(attempt(body, timeout=0.1).run(interrupt=True))
        assert outcome.failure.type == "TimeoutError"
        assert outcome.retry_after == 1_000

    @pytest.mark.parametrize("body", [lambda: None, lambda: 1 / 0, lambda: spin(5)])
    def test_it_is_off_when_the_attempt_has_ended(self, body: Callable[[], Any]) -> None:
        before = signal.getsignal(signal.SIGALRM)
        attempt(body, timeout=0.1).run(interrupt=True)
        assert signal.getitimer(signal.ITIMER_REAL) == (0, 0)
        assert signal.getsignal(signal.SIGALRM) is before

    def test_it_is_not_set_in_a_thread_or_when_it_is_not_wanted(self) -> None:
        def armed() -> bool:
            return signal.getitimer(signal.ITIMER_REAL) != (0, 0)

        assert attempt(armed).run(interrupt=True) == Returned("true", ())
        assert attempt(armed).run(interrupt=False) == Returned("false", ())
        found: list[Any] = []
        thread = threading.Thread(target=lambda: found.append(attempt(armed).run(interrupt=True)))
        thread.start()
        thread.join()
        assert found == [Returned("false", ())]


class TestThreads:
    def test_attempts_that_have_ended_come_together(self) -> None:
        threads, gate = Threads(), threading.Barrier(3, timeout=10)
        ends = [threading.Event(), threading.Event()]
        for at, end in enumerate(ends):

            def body(end: threading.Event = end) -> None:
                gate.wait()
                end.set()

            threads.start(attempt(body, name=f"s{at}"))
        gate.wait()
        got: list[str] = []
        while len(got) < 2:
            found = threads.wait(10)
            assert found, "neither ended"
            got += [one.context.step for one, _ in found]
        assert sorted(got) == ["s0", "s1"]

    def test_waiting_ends_when_its_time_is_over(self) -> None:
        threads, gate = Threads(), threading.Event()
        threads.start(attempt(gate.wait))
        assert threads.wait(0.01) == []
        assert threads.wait(-1) == []
        gate.set()
        ((_, outcome),) = threads.wait(10)
        assert outcome == Returned("true", ())

    def test_what_was_given_up_is_dropped_when_it_ends(self) -> None:
        threads, gate = Threads(), threading.Event()
        late = attempt(lambda: gate.wait() and "late")
        threads.start(late)
        assert threads.give_up("s") is late
        threads.start(attempt(lambda: "again"))
        ((_, outcome),) = threads.wait(10)
        assert outcome == Returned('"again"', ())
        gate.set()
        assert threads.wait(0.2) == []

    def test_a_thread_that_dies_brings_a_failure(self) -> None:
        def body() -> None:
            raise KeyboardInterrupt

        threads = Threads()
        threads.start(attempt(body))
        ((_, outcome),) = threads.wait(10)
        assert failed(outcome).failure.type == "KeyboardInterrupt"
