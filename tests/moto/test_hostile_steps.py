"""Whatever a step raises or does to its process: its run ends as it should, and so do the worker's others."""

from __future__ import annotations

import decimal
import gc
import io
import locale
import logging
import os
import random
import signal
import socket
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from fluxio import alarm, step, workflow
from fluxio_client import RunStatus
from tests.moto.pump import LogLines, World


@workflow
class Fine:
    @step
    def one(self) -> dict:
        return {"ok": True}


class PanicException(BaseException):
    """Like the one of every extension that is made with PyO3."""


def hostile(body: Callable[[], Any], branches: int = 0) -> type:
    """A workflow with a step that does this, and branches beside it."""

    def go(self) -> dict:
        body()
        return {"done": True}

    def beside(self) -> int:
        return 1

    steps = {"go": step(go)}
    for number in range(branches):
        steps[f"beside_{number}"] = step(type(lambda: 0)(beside.__code__, {}, f"beside_{number}"))
    return workflow(type("Hostile", (), steps))


def raising(error: BaseException) -> Callable[[], Any]:
    def body() -> None:
        raise error

    return body


class TestWhatIsRaised:
    @pytest.mark.parametrize("branches", [0, 2], ids=["alone", "branches"])
    @pytest.mark.parametrize(
        "error",
        [PanicException("bounds"), KeyboardInterrupt(), GeneratorExit(), SystemExit(1)],
        ids=lambda error: type(error).__name__,
    )
    def test_it_fails_the_step_at_once_and_no_other_run(
        self, world: World, error: BaseException, branches: int
    ) -> None:
        world.client.start("Hostile", run_id="a")
        world.client.start("Fine", run_id="b")
        world.pump(hostile(raising(error), branches), Fine, batch_size=10).drain()
        assert world.client.get("b").status is RunStatus.SUCCEEDED
        run = world.client.get("a")
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.type, run.error.step, run.error.attempt) == (
            type(error).__name__,
            "go",
            1,
        )


class Broken(io.StringIO):
    def write(self, text: str) -> int:
        raise KeyboardInterrupt


class Raising(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith("moto"):  # which is no part of a worker
            raise RuntimeError


def sets(where: Any, name: str, value: Any) -> Callable[[], None]:
    def body() -> None:
        setattr(where, name, value)

    return body


def loses_its_folder() -> None:
    folder = Path(os.environ["FLUXIO_TEST_FOLDER"])
    os.chdir(folder)
    folder.rmdir()


def leaves_an_alarm() -> None:
    signal.signal(signal.SIGALRM, lambda *_: sys.exit("too late"))
    signal.setitimer(signal.ITIMER_REAL, 0.001)
    signal.setitimer(signal.ITIMER_REAL, 0.01)


def logs_everything_to_a_handler_that_raises() -> None:
    root = logging.getLogger()
    root.setLevel(logging.DEBUG)
    root.addHandler(Raising())


def leaves_threads() -> None:
    for _ in range(20):
        threading.Thread(target=time.sleep, args=(0.5,), daemon=True).start()


def is_poor_in_decimals() -> None:
    context = decimal.getcontext()
    context.prec = 1
    context.traps[decimal.Inexact] = True


def lives_elsewhere() -> None:
    os.environ["TZ"] = "Pacific/Kiritimati"
    time.tzset()


class TestWhatIsDoneToTheProcess:
    @pytest.fixture(autouse=True)
    def kept(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """All that the steps below change, put back."""
        folder = tmp_path / "gone"
        folder.mkdir()
        monkeypatch.setenv("FLUXIO_TEST_FOLDER", str(folder))
        root = logging.getLogger()
        descriptors = [os.dup(number) for number in range(3)]
        spoken = locale.setlocale(locale.LC_ALL)
        with ExitStack() as stack, warnings.catch_warnings(), decimal.localcontext():
            for where, name in [
                (sys, "stdout"),
                (sys, "stderr"),
                (root, "handlers"),
                (time, "sleep"),
            ]:
                value = getattr(where, name)
                stack.callback(setattr, where, name, list(value) if name == "handlers" else value)
            for restore, value in [
                (os.chdir, Path.cwd()),
                (sys.setrecursionlimit, sys.getrecursionlimit()),
                (root.setLevel, root.level),
                (os.umask, os.umask(0o022)),
                (socket.setdefaulttimeout, socket.getdefaulttimeout()),
                (random.setstate, random.getstate()),
            ]:
                stack.callback(restore, value)  # type: ignore[arg-type]
            stack.callback(signal.signal, signal.SIGPIPE, signal.getsignal(signal.SIGPIPE))
            environment = dict(os.environ)
            yield
            os.environ.clear()
            os.environ.update(environment)
        os.environ.pop("TZ", None)
        time.tzset()
        gc.enable()
        locale.setlocale(locale.LC_ALL, spoken)
        for number, descriptor in enumerate(descriptors):
            os.dup2(descriptor, number)
            os.close(descriptor)

    @pytest.mark.parametrize("branches", [0, 2], ids=["alone", "branches"])
    @pytest.mark.parametrize(
        "body",
        [
            lambda: sys.stderr.close(),
            lambda: os.close(2),
            lambda: os.close(1),
            lambda: [os.close(number) for number in (0, 1, 2)],
            sets(sys, "stderr", None),
            sets(sys, "stderr", Broken()),
            sets(sys, "stdout", None),
            lambda: os.environ.clear(),
            lambda: sys.setrecursionlimit(80 + 60),
            lambda: warnings.simplefilter("error"),
            loses_its_folder,
            logs_everything_to_a_handler_that_raises,
            leaves_threads,
            is_poor_in_decimals,
            lives_elsewhere,
            lambda: os.umask(0o777),
            lambda: socket.setdefaulttimeout(1e-9),
            lambda: random.seed(0),
            gc.disable,
            lambda: signal.signal(signal.SIGPIPE, signal.SIG_DFL),
            lambda: locale.setlocale(locale.LC_ALL, "C.UTF-8"),
        ],
    )
    def test_its_result_is_committed_and_the_worker_goes_on(
        self,
        world: World,
        body: Callable[[], Any],
        branches: int,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(sys, "stderr", io.StringIO())
        if branches and threading.current_thread() is threading.main_thread():
            body = _without_signals(body)
        pump = world.pump(hostile(body, branches), Fine)
        for run_id, name in (("a", "Hostile"), ("b", "Fine")):
            world.client.start(name, run_id=run_id)
            pump.drain()
        assert world.client.get("a").status is RunStatus.SUCCEEDED
        assert world.client.get("b").status is RunStatus.SUCCEEDED
        assert len(pump.answers) == 2, "no message came back"

    def test_an_alarm_that_it_leaves_behind_hits_nothing(self, world: World) -> None:
        pump = world.pump(hostile(leaves_an_alarm), Fine)
        for run_id, name in (("a", "Hostile"), ("b", "Fine")):
            world.client.start(name, run_id=run_id)
            pump.drain()
        end = time.monotonic() + 0.03
        while time.monotonic() < end:
            pass
        assert {world.client.get(run_id).status for run_id in "ab"} == {RunStatus.SUCCEEDED}

    def test_every_line_of_the_log_is_there_all_the_same(
        self, world: World, log_lines: LogLines
    ) -> None:
        world.run(hostile(lambda: [sets(sys, "stderr", io.StringIO())(), os.close(2)]))
        messages = [line["message"] for line in log_lines()]
        assert messages == ["step returned", "run succeeded", "message handled"]


def _without_signals(body: Callable[[], Any]) -> Callable[[], Any]:
    """Only the main thread may set handlers: in a branch that is the step's own error."""

    def tolerant() -> None:
        with suppress(ValueError):
            body()

    return tolerant


def test_a_step_whose_timeout_is_swallowed_has_timed_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alarm, "INTERVAL", 0.05)

    @workflow
    class Polls:
        @step(timeout=0.1)
        def poll(self) -> dict:
            end = time.monotonic() + 0.5
            while time.monotonic() < end:
                with suppress(BaseException):
                    time.sleep(0.2)
            return {"slept": True}

    run = world.run(Polls)
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error.type == "TimeoutError"


def test_jitter_is_not_what_a_step_has_seeded(world: World) -> None:
    from fluxio.services import Services

    chance = Services._field_defaults["chance"]
    random.seed(0)
    first = chance()
    random.seed(0)
    assert chance() != first
