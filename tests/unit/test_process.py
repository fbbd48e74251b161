"""What a step does to the process stays without consequence for the engine, and for the steps after it."""

from __future__ import annotations

import io
import json
import logging
import os
import socket
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from fluxio import process
from fluxio.log import log, log_payload
from fluxio.metrics import Metrics


@contextmanager
def worker_made(tmp_path: Path) -> Iterator[Callable[[], str]]:
    """A process whose stderr is a file, and in which a worker was made; all is put back afterwards.

    No fixture: pytest takes stderr for itself between those and the test.
    """
    kept = [os.dup(number) for number in range(3)]
    streams, limit = (sys.stdin, sys.stdout, sys.stderr), sys.getrecursionlimit()
    file = os.open(tmp_path / "stderr", os.O_RDWR | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 2)
    os.close(file)
    sys.stdout, sys.stderr = (open(number, "w", 1, closefd=False) for number in (1, 2))  # noqa: SIM115
    process.hold()
    try:
        yield lambda: (tmp_path / "stderr").read_text()
    finally:
        sys.setrecursionlimit(limit)
        sys.stdin, sys.stdout, sys.stderr = streams
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
            os.close(descriptor)


class Refusing(io.StringIO):
    def write(self, text: str) -> int:
        raise SystemExit


def replaces_it(stream: Any) -> Callable[[], None]:
    def spoil() -> None:
        sys.stdout = sys.stderr = stream

    return spoil


def closes_it() -> None:
    sys.stderr = os.fdopen(2, "w")
    sys.stderr.close()


def sends_it_elsewhere() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def becomes_a_daemon() -> None:
    # Its own descriptors are closed with all others; those of the test are not above.
    held = process._held
    assert held is not None
    own = held.streams["stderr"]._own
    assert own is not None
    os.close(own)


def gives_its_number_away() -> None:
    becomes_a_daemon()
    held = process._held
    assert held is not None
    own = held.streams["stderr"]._own
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != own:
        assert own is not None
        os.dup2(nowhere, own)


def replaces_json() -> None:
    json.dumps = lambda *_, **__: b"faster"  # type: ignore[assignment]


@pytest.mark.parametrize(
    "spoil",
    [
        replaces_it(None),
        replaces_it(io.StringIO()),
        replaces_it(Refusing()),
        replaces_it(object()),
        closes_it,
        lambda: os.close(2),
        sends_it_elsewhere,
        becomes_a_daemon,
        gives_its_number_away,
        replaces_json,
        lambda: os.environ.clear(),
        lambda: os.set_blocking(2, False),
    ],
)
def test_lines_and_metrics_are_written_whatever_a_step_makes_of_stderr(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[], None]
) -> None:
    with worker_made(tmp_path) as written:
        monkeypatch.setattr(os, "environ", dict(os.environ))
        monkeypatch.setattr(json, "dumps", json.dumps)
        spoil()
        log("INFO", "step returned", run_id="wf-1")
        metrics = Metrics(lambda: 1)
        metrics.count("sweeps")
        metrics.flush()
        returned, counted = map(json.loads, written().splitlines())
        assert returned["run_id"] == "wf-1"
        assert counted["sweeps"] == 1


def test_a_line_that_cannot_be_written_is_dropped(tmp_path: Path) -> None:
    with worker_made(tmp_path) as written:
        becomes_a_daemon()
        os.close(2)
        sys.stderr = None  # type: ignore[assignment]
        log("ERROR", "run failed")
        log_payload("step input", object())
        assert written() == ""


def test_a_line_that_nobody_takes_is_dropped_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe that is full, and whose descriptor does not wait."""
    kept, (reader, writer) = os.dup(2), os.pipe()
    try:
        os.dup2(writer, 2)
        process.hold()
    finally:
        os.dup2(kept, 2)
        os.close(kept)
    os.set_blocking(writer, False)
    with suppress(BlockingIOError):
        while True:
            os.write(writer, b"x" * 65_536)
    monkeypatch.setattr(process, "_PATIENCE", 0.01)
    log("INFO", "step returned")
    for descriptor in (reader, writer):
        os.close(descriptor)
    log("INFO", "step returned")  # and one that nobody can read any more


def test_settings_are_those_of_when_the_worker_was_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with worker_made(tmp_path) as written:
        monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", "1")
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", "ERROR")
        monkeypatch.setenv("AWS_LAMBDA_FUNCTION_NAME", "other")
        log_payload("step input", "secret")
        log("INFO", "step returned")
        metrics = Metrics(lambda: 1)
        metrics.count("sweeps")
        metrics.flush()
        returned, counted = map(json.loads, written().splitlines())
        assert returned["message"] == "step returned"
        assert counted["worker"] == "local"


class TestRestored:
    """What is in the way of the next step is put right after each attempt."""

    @pytest.mark.parametrize(
        "spoil", [replaces_it(None), closes_it, lambda: os.close(2), lambda: os.close(1)]
    )
    def test_the_next_step_can_print(self, tmp_path: Path, spoil: Callable[[], None]) -> None:
        with worker_made(tmp_path) as written:
            spoil()
            process.restore()
            print("to stdout")  # noqa: T201
            print("to stderr", file=sys.stderr, flush=True)  # noqa: T201
            assert "to stderr" in written()

    @pytest.mark.parametrize("number", [0, 1, 2])
    def test_the_next_connection_is_given_no_standard_descriptor(
        self, tmp_path: Path, number: int
    ) -> None:
        with worker_made(tmp_path):
            os.close(number)
            process.restore()
            with socket.socket() as connection:
                assert connection.fileno() > 2

    def test_a_low_recursion_limit_is_raised_and_a_high_one_is_left(self, tmp_path: Path) -> None:
        with worker_made(tmp_path):
            before = sys.getrecursionlimit()
            sys.setrecursionlimit(before - 100)
            process.restore()
            assert sys.getrecursionlimit() == before
            sys.setrecursionlimit(before + 100)
            process.restore()
            assert sys.getrecursionlimit() == before + 100

    def test_a_warning_is_no_error_but_where_it_was_one(self, tmp_path: Path) -> None:
        with worker_made(tmp_path), warnings.catch_warnings():
            warnings.resetwarnings()
            warnings.simplefilter("error", ResourceWarning)
            process.hold()
            warnings.simplefilter("ignore", UserWarning)
            warnings.simplefilter("error")
            process.restore()
            with warnings.catch_warnings(record=True) as warned:
                warnings.warn("as boto3 may", DeprecationWarning, stacklevel=1)
            assert len(warned) == 1
            with pytest.raises(ResourceWarning):
                warnings.warn("as the operator wants it", ResourceWarning, stacklevel=1)

    @pytest.mark.parametrize("name", ["botocore", "boto3", "urllib3"])
    def test_no_bodies_of_requests_reach_the_log_when_it_is_set_to_debug(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
    ) -> None:
        with worker_made(tmp_path):
            root, logger = logging.getLogger(), logging.getLogger(name)
            monkeypatch.setattr(root, "level", logging.DEBUG)
            monkeypatch.setattr(logger, "level", logging.NOTSET)
            root.manager._clear_cache()  # type: ignore[attr-defined]
            process.hold()
            assert not logging.getLogger(f"{name}.endpoint").isEnabledFor(logging.DEBUG)
            logger.setLevel(logging.DEBUG)
            process.restore()
            assert not logging.getLogger(f"{name}.endpoint").isEnabledFor(logging.DEBUG)

    def test_without_a_worker_nothing_is_touched(self) -> None:
        stderr = sys.stderr
        sys.stderr = None  # type: ignore[assignment]
        try:
            process.restore()
            assert sys.stderr is None
        finally:
            sys.stderr = stderr


COLLECTED = """
import gc, sys

enabled = "{collector}" == "on"
gc.enable() if enabled else gc.disable()
before = []  # what a handler module of one's own has made until it imports the worker
collections = []
gc.callbacks.append(lambda *_: collections.append("botocore.session" in sys.modules))
from fluxio.worker import Worker, _worker, lambda_handler

assert not any(collections)
assert gc.isenabled() is enabled
assert not any(one is before or isinstance(one, Worker) for one in gc.get_objects())
assert _worker.cache_info().currsize == {workers}
after = []
assert any(one is after for one in gc.get_objects())
"""


@pytest.mark.parametrize("collector", ["on", "off"])
@pytest.mark.parametrize("table", ["runs", ""])
def test_a_cold_start_in_lambda_collects_no_garbage_and_leaves_nothing_to_look_through(
    collector: str, table: str
) -> None:
    """Nor does one whose settings are wrong. Afterwards the collector does what it did before."""
    done = subprocess.run(
        [sys.executable, "-c", COLLECTED.format(collector=collector, workers=1 if table else 0)],
        env={
            **os.environ,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_LAMBDA_FUNCTION_NAME": "worker",
            "FLUXIO_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/123456789012/orders.fifo",
            "FLUXIO_TABLE_NAME": table,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
