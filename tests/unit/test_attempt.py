"""One attempt of a step: its code, its timeout, and what came of it."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import json
import math
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from types import SimpleNamespace
from typing import Annotated, Any

import pytest
from pydantic import BeforeValidator

import fluxio.attempt
import fluxio.process
from fluxio import Retry, StepContext, alarm, step, workflow
from fluxio.attempt import Attempt, Returned, Threads
from fluxio.definition import definition_of
from fluxio.errors import BindingError, StepTimeout, TransactError
from fluxio.given import Given
from fluxio.hand import Failed

#: Python's own groups, or before 3.11 those of the package that pytest brings.
GROUPS: Any = (
    builtins if hasattr(builtins, "BaseExceptionGroup") else pytest.importorskip("exceptiongroup")
)


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
        given=Given({}),
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

    @pytest.mark.parametrize("interrupt", [True, False])
    def test_what_the_class_cannot_do_when_it_is_made_is_the_steps_failure(
        self, interrupt: bool
    ) -> None:
        broken = attempt(lambda: None)
        unmade = broken._replace(cls=type("W", (), {"__init__": lambda self: 1 / 0}))
        assert failed(unmade.run(interrupt)).failure.type == "ZeroDivisionError"


class PanicException(BaseException):
    """Like the one of every extension that is made with PyO3."""


class LyingMeta(type):
    """A metaclass whose classes say nothing about themselves."""

    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("no instance check")


class LyingClass(Exception, metaclass=LyingMeta):
    pass


class NoAttributes(Exception):
    """As of clients that keep the service's answer in the exception."""

    def __getattribute__(self, name: str) -> Any:
        raise KeyError(name)


class NoText(Exception):
    def __str__(self) -> str:
        raise SystemExit

    __repr__ = __str__


class NoString(Exception):
    def __str__(self) -> Any:  # type: ignore[override]
        return 7  # noqa: PLE0307


class OddString(Exception):
    class Text(str):
        __slots__ = ()

        def encode(self, *_: Any) -> bytes:
            raise RuntimeError

    def __str__(self) -> str:
        return self.Text("odd")


class Pretender(Exception):
    """Says that it is one of the engine's own, which no retry mends."""

    __class__ = BindingError  # type: ignore[assignment]


class Unequal(Exception):
    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError


def recursive() -> None:
    recursive()


def lowers_the_recursion_limit() -> None:
    sys.setrecursionlimit(len(inspect.stack(0)) + 10)
    raise KeyError


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


class TestWhateverIsRaised:
    """Whatever a step raises is its failure, under its own name, and is tried again as any exception is."""

    @pytest.mark.parametrize("threads", [False, True], ids=["alone", "branch"])
    @pytest.mark.parametrize(
        ("body", "type_name"),
        [
            (raising(PanicException("index out of bounds")), "PanicException"),
            (raising(KeyboardInterrupt()), "KeyboardInterrupt"),
            (raising(GeneratorExit()), "GeneratorExit"),
            (raising(asyncio.CancelledError()), "CancelledError"),
            (lambda: sys.exit("no"), "SystemExit"),
            (raising(StopIteration()), "StopIteration"),
            (raising(MemoryError()), "MemoryError"),
            (recursive, "RecursionError"),
            (lowers_the_recursion_limit, "KeyError"),
            (raising(LyingClass()), "LyingClass"),
            (raising(NoAttributes()), "NoAttributes"),
            (raising(NoText()), "NoText"),
            (raising(NoString()), "NoString"),
            (raising(OddString()), "OddString"),
            (raising(Pretender()), "Pretender"),
            (raising(Unequal()), "Unequal"),
            (raising(OSError("\udcff")), "OSError"),
        ],
    )
    def test_it_is_the_steps_failure_and_is_tried_again(
        self, body: Callable[[], Any], type_name: str, threads: bool
    ) -> None:
        tried = attempt(body)
        if threads:
            side_by_side = Threads()
            side_by_side.start(tried)
            ((_, outcome),) = side_by_side.wait(10)
        else:
            outcome = tried.run(interrupt=True)
        assert (failed(outcome).failure.type, failed(outcome).retry_after) == (type_name, 1_000)
        assert failed(outcome).failure.to_json().encode(), "can be stored"

    def test_so_is_what_is_raised_when_its_class_is_made(self) -> None:
        cls = type("W", (), {"__init__": lambda self: raising(PanicException())()})
        outcome = failed(attempt(lambda: None)._replace(cls=cls).run(interrupt=True))
        assert outcome.failure.type == "PanicException"

    def test_a_binding_error_of_the_steps_own_code_refuses_no_signal(self) -> None:
        outcome = failed(
            attempt(raising(BindingError("no", signals=("approved",)))).run(interrupt=True)
        )
        assert (outcome.failure.type, outcome.refused, outcome.unbound) == (
            "BindingError",
            (),
            False,
        )

    def test_so_is_what_a_validator_raises_when_its_arguments_are_bound(self) -> None:
        def panic(value: object) -> object:
            raise PanicException

        @workflow
        class Binds:
            @step
            def s(self, amount: Annotated[int, BeforeValidator(panic)]) -> None: ...

        made = definition_of(Binds)
        assert made is not None
        tried = attempt(lambda: None)._replace(
            definition=made.steps["s"], cls=Binds, given=Given({"amount": 1})
        )
        assert failed(tried.run(interrupt=True)).failure.type == "PanicException"

    def test_so_is_what_an_output_raises_when_it_is_stored(self) -> None:
        class Output(dict[str, Any]):
            def items(self) -> Any:
                raise PanicException

        outcome = failed(attempt(Output).run(interrupt=True))
        assert outcome.failure.type in ("PanicException", "PayloadError")

    def test_a_long_text_and_a_deep_traceback_are_kept_short(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        outcome = failed(attempt(raising(ValueError("x" * 10_000_000))).run(interrupt=True))
        assert len(outcome.failure.message) <= 1_000
        capsys.readouterr()
        attempt(recursive).run(interrupt=True)
        (line,) = map(json.loads, capsys.readouterr().err.splitlines())
        assert len(line["frames"]) == 31
        assert line["frames"][0].endswith(" s")

    def test_a_retry_of_a_users_own_kind_that_raises_is_none(self) -> None:
        class Odd(Retry):
            def allows(self, error: BaseException) -> bool:
                raise RuntimeError

        tried = attempt(lambda: 1 / 0)
        tried = tried._replace(definition=tried.definition._replace(retry=Odd(3)))
        outcome = failed(tried.run(interrupt=True))
        assert (outcome.failure.type, outcome.retry_after) == ("ZeroDivisionError", None)

    def test_of_a_group_the_failure_names_what_is_in_it(self) -> None:
        group = GROUPS.BaseExceptionGroup(
            "two", [ConnectionError("refused"), PanicException("bounds")]
        )
        outcome = failed(attempt(raising(group)).run(interrupt=True))
        assert outcome.failure.type == "BaseExceptionGroup"
        assert "ConnectionError: refused" in outcome.failure.message
        assert "PanicException: bounds" in outcome.failure.message

    def test_a_group_with_one_exception_that_no_retry_mends_is_not_tried_again(self) -> None:
        group = GROUPS.BaseExceptionGroup("two", [KeyError("a"), TransactError("no operation")])
        outcome = failed(attempt(raising(group)).run(interrupt=True))
        assert outcome.retry_after is None


def swallows(seconds: float) -> Callable[[], Any]:
    """A step with a bare `except:` around its work, as old retry loops have."""

    def body() -> str:
        with suppress(BaseException):
            spin(seconds)
        spin(seconds)
        return "late"

    return body


def returns_in_finally() -> Any:
    try:
        spin(5)
    finally:
        return "late"  # noqa: B012


def raises_another() -> Any:
    try:
        spin(5)
    except BaseException:  # noqa: BLE001
        raise KeyError from None


class Noisy:
    def __del__(self) -> None:
        spin(0.3)


def is_interrupted_in_a_finalizer() -> Any:
    noisy = Noisy()
    del noisy
    spin(5)


def uses_the_alarm_itself() -> Any:
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(5)
    signal.alarm(0)
    spin(5)


def resets_every_handler() -> Any:
    for number in range(1, 32):
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, 0)
    spin(0.3)
    return "late"


def sleeps_in_a_loop_of_its_own() -> Any:
    asyncio.run(asyncio.sleep(5))


def waits_for_a_thread() -> Any:
    threading.Event().wait(5)


class SlowText(Exception):
    def __str__(self) -> str:
        spin(5)
        return ""


class TestTimeout:
    """An attempt that took longer than its timeout is no success, whatever it makes of its interruption."""

    @pytest.fixture(autouse=True)
    def often(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(alarm, "INTERVAL", 0.05)

    @pytest.fixture(autouse=True)
    def handlers(self) -> Iterator[None]:
        before = {number: signal.getsignal(number) for number in range(1, 32)}
        yield
        for number, handler in before.items():
            with suppress(OSError, ValueError, TypeError):
                signal.signal(number, handler)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize(
        "body",
        [
            swallows(5),
            returns_in_finally,
            raises_another,
            is_interrupted_in_a_finalizer,
            uses_the_alarm_itself,
            resets_every_handler,
            sleeps_in_a_loop_of_its_own,
            waits_for_a_thread,
            raising(SlowText()),
        ],
    )
    def test_a_step_is_interrupted_until_it_gives_in_and_has_timed_out(
        self, body: Callable[[], Any]
    ) -> None:
        began = time.monotonic()
        outcome = failed(attempt(body, timeout=0.1).run(interrupt=True))
        assert (outcome.failure.type, outcome.timed_out) == ("TimeoutError", True)
        assert outcome.retry_after == 1_000
        assert time.monotonic() - began < 3

    def test_a_step_that_swallows_each_exception_is_interrupted_all_the_same(self) -> None:
        def body() -> None:
            while True:
                with suppress(Exception):
                    spin(1)

        assert failed(attempt(body, timeout=0.1).run(interrupt=True)).timed_out

    def test_in_a_thread_a_late_return_is_no_success_either(self) -> None:
        threads = Threads()
        threads.start(attempt(lambda: spin(0.2), timeout=0.1))
        ((_, outcome),) = threads.wait(10)
        assert failed(outcome).timed_out

    def test_the_log_says_where_it_was_interrupted(
        self, capsys: pytest.CaptureFixture[str]
    ) -> None:
        attempt(lambda: spin(5), timeout=0.1).run(interrupt=True)
        (line,) = map(json.loads, capsys.readouterr().err.splitlines())
        assert any(frame.endswith(" spin") for frame in line["frames"])
        assert all("/fluxio/" not in frame for frame in line["frames"])

    @pytest.mark.parametrize("body", [lambda: None, lambda: 1 / 0, lambda: spin(5), swallows(5)])
    def test_nothing_is_interrupted_when_the_attempt_has_ended(
        self, body: Callable[[], Any]
    ) -> None:
        attempt(body, timeout=0.1).run(interrupt=True)
        spin(0.3)  # the next interruptions would have been due in here

    def test_nothing_is_interrupted_while_an_attempt_ends(self) -> None:
        """A step that ends when its time is over: whatever comes first, nothing leaves the attempt."""
        for at in range(200):
            outcome = attempt(lambda: spin(0.002), timeout=0.0015 + at * 5e-6).run(interrupt=True)
            assert isinstance(outcome, Returned) or outcome.timed_out

    @pytest.mark.parametrize(
        ("file", "due", "is_interrupted"),
        [
            ("/var/task/shop/workflows.py", -math.inf, True),
            ("/opt/python/pydantic/main.py", -math.inf, True),
            (fluxio.attempt.__file__, -math.inf, False),
            (alarm.__file__, -math.inf, False),
            ("/var/task/shop/workflows.py", math.inf, False),
        ],
    )
    def test_an_interruption_hits_a_step_whose_time_is_over_and_never_the_engine(
        self, monkeypatch: pytest.MonkeyPatch, file: str, due: float, is_interrupted: bool
    ) -> None:
        monkeypatch.setattr(alarm, "_due", due)
        frame: Any = SimpleNamespace(f_code=SimpleNamespace(co_filename=file))
        with pytest.raises(StepTimeout) if is_interrupted else nullcontext():
            alarm._interrupt(signal.SIGURG, frame)

    def test_the_alarm_is_the_steps_own(self) -> None:
        """`signal.alarm` and `setitimer` do in a step what they always do."""
        heard: list[int] = []

        def body() -> bool:
            signal.signal(signal.SIGALRM, lambda number, _: heard.append(number))
            signal.setitimer(signal.ITIMER_REAL, 0.05)
            spin(0.15)
            return bool(heard)

        assert attempt(body).run(interrupt=True) == Returned("true", ())

    def test_signals_are_left_as_they_were_found(self) -> None:
        def body() -> None:
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            for number in (signal.SIGVTALRM, signal.SIGPROF, signal.SIGCHLD):
                signal.signal(number, lambda *_: raising(KeyError())())
            for timer in timers:
                signal.setitimer(timer, 60)
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGURG])

        timers = (signal.ITIMER_REAL, signal.ITIMER_VIRTUAL, signal.ITIMER_PROF)
        kept = (signal.SIGALRM, signal.SIGPIPE, signal.SIGVTALRM, signal.SIGPROF, signal.SIGCHLD)
        before = [signal.getsignal(number) for number in kept]
        attempt(body).run(interrupt=True)
        assert [signal.getsignal(number) for number in kept] == before
        assert [signal.getitimer(timer) for timer in timers] == [(0, 0)] * 3
        assert failed(attempt(lambda: spin(5), timeout=0.1).run(interrupt=True)).timed_out

    @pytest.mark.parametrize("threads", [False, True], ids=["alone", "branch"])
    @pytest.mark.parametrize("hook", ["trace", "profile"])
    def test_what_traces_a_step_is_not_called_in_the_engine(self, hook: str, threads: bool) -> None:
        def hooked(frame: Any, *_: Any) -> None:
            if frame.f_code.co_filename in (fluxio.attempt.__file__, fluxio.process.__file__):
                raise KeyboardInterrupt

        def body() -> None:
            getattr(sys, f"set{hook}")(hooked)

        before = getattr(sys, f"get{hook}")()
        tried = attempt(body)
        if threads:
            side_by_side = Threads()
            side_by_side.start(tried)
            ((_, outcome),) = side_by_side.wait(10)
        else:
            outcome = tried.run(interrupt=True)
        assert outcome == Returned("null", ())
        assert getattr(sys, f"get{hook}")() is before

    def test_in_a_thread_nothing_is_interrupted(self) -> None:
        found: list[Any] = []
        late = attempt(lambda: spin(0.3) or "late", timeout=0.1)
        thread = threading.Thread(target=lambda: found.append(late.run(interrupt=False)))
        thread.start()
        spin(0.3)
        thread.join()
        assert found == [Returned('"late"', ())]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
class TestChildren:
    """A process that a step forks never goes on as a second worker."""

    @pytest.mark.parametrize("threads", [False, True], ids=["alone", "branch"])
    @pytest.mark.parametrize(
        ("end", "code"),
        [
            (lambda: sys.exit(), 0),
            (lambda: sys.exit(3), 3),
            (lambda: sys.exit("no"), 1),
            (lambda: 1 / 0, 1),
            (raising(KeyboardInterrupt()), 1),
            (lambda: None, 0),
            (lambda: {1: object()}, 1),
            (lambda: os._exit(7), 7),
        ],
        ids=["exit", "exit 3", "exit no", "raises", "interrupted", "returns", "no JSON", "_exit"],
    )
    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_it_ends_when_it_comes_to_the_steps_end(
        self, end: Callable[[], Any], code: int, threads: bool
    ) -> None:
        parent = os.getpid()

        def body() -> Any:
            child = os.fork()
            if child == 0:
                return end()
            return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

        try:
            if threads:
                side_by_side = Threads()
                side_by_side.start(attempt(body))
                ((_, outcome),) = side_by_side.wait(10)
            else:
                outcome = attempt(body).run(interrupt=True)
        finally:
            if os.getpid() != parent:
                os._exit(99)
        assert outcome == Returned(str(code), ())

    @pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
    def test_multiprocessing_works_in_a_step(self) -> None:
        def body() -> Any:
            child = multiprocessing.get_context("fork").Process(target=sys.exit, args=(5,))
            child.start()
            child.join(10)
            return child.exitcode

        assert attempt(body).run(interrupt=True) == Returned("5", ())


class Script:
    """A clock, and a queue in which attempts end when the script says so."""

    def __init__(self, *ends: tuple[float, Attempt]) -> None:
        self.now = 0.0
        self.ends = [*ends]

    def clock(self) -> float:
        return self.now

    def get(self, timeout: float) -> tuple[Attempt, Returned]:
        until = self.now + timeout
        self.now = min([until, *(max(at, self.now) for at, _ in self.ends[:1])])
        return self.get_nowait()

    def get_nowait(self) -> tuple[Attempt, Returned]:
        if not self.ends or self.ends[0][0] > self.now:
            raise queue.Empty
        return self.ends.pop(0)[1], Returned("1", ())


class TestAttemptsThatEndTogether:
    """One write commits what ends within a moment; nothing waits for what is slow."""

    @pytest.fixture(autouse=True)
    def nothing_runs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(threading.Thread, "start", lambda _: None)

    def ended(self, script: Script, *began: Attempt) -> tuple[list[str], float]:
        threads: Any = Threads(script.clock, script)  # type: ignore[arg-type]
        for one in began:
            threads.start(one)
        return [one.context.step for one, _ in threads.wait(60)], script.now

    def test_those_that_end_within_a_moment_come_together(self) -> None:
        a, b, c = (attempt(int, name=name) for name in "abc")
        names, now = self.ended(Script((0.001, b), (0.003, a), (0.0105, c)), a, b, c)
        assert names == ["b", "a", "c"]
        assert now == 0.0105  # the last one is not waited after

    def test_the_longer_the_first_one_took_the_longer_the_moment_up_to_20_ms(self) -> None:
        a, b, c = (attempt(int, name=name) for name in "abc")
        assert self.ended(Script((0.1, a), (0.114, b), (9, c)), a, b, c)[0] == ["a", "b"]
        assert self.ended(Script((9.0, a), (9.019, b), (9.1, c)), a, b, c)[0] == ["a", "b"]

    def test_an_attempt_that_runs_alone_is_not_kept_waiting(self) -> None:
        a = attempt(int, name="a")
        assert self.ended(Script((0.1, a)), a) == (["a"], 0.1)

    def test_where_the_process_stood_still_so_did_those_that_are_waited_for(self) -> None:
        a, b = attempt(int, name="a"), attempt(int, name="b")

        class Throttled(Script):
            def get(self, timeout: float) -> tuple[Attempt, Returned]:
                if self.now:
                    timeout += 0.08  # without a processor
                return super().get(timeout)

        assert self.ended(Throttled((0.001, a), (0.5, b)), a, b) == (["a", "b"], 0.5)

    def test_a_slow_sibling_is_waited_for_once_and_only_for_a_moment(self) -> None:
        a, slow, b = (attempt(int, name=name) for name in ("a", "slow", "b"))
        script = Script((0.001, a), (0.5, b), (60, slow))
        threads: Any = Threads(script.clock, script)  # type: ignore[arg-type]
        threads.start(a)
        threads.start(slow)
        assert [one for one, _ in threads.wait(60)] == [a]
        assert script.now < 0.02
        threads.start(b)
        assert [one for one, _ in threads.wait(60)] == [b]
        assert script.now == 0.5


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

    def test_where_no_thread_is_left_the_attempt_fails_and_is_tried_again(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def start(_: object) -> None:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(threading.Thread, "start", start)
        threads = Threads()
        threads.start(attempt(lambda: None))
        ((_, outcome),) = threads.wait(0)
        assert (failed(outcome).failure.type, failed(outcome).retry_after) == (
            "RuntimeError",
            1_000,
        )
