"""The services of `fluxio dev`, and their endpoint."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from fluxio.local import endpoint
from fluxio.local.aws import LocalAws
from fluxio.local.clock import LocalClock
from tests.local.world import KEY, Time, services


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def clock(time: Time) -> LocalClock:
    return LocalClock(time.wall, time.monotonic)


@pytest.fixture
def aws(tmp_path: Path, time: Time, clock: LocalClock) -> Iterator[LocalAws]:
    aws = services(tmp_path / "dev.sqlite", time, clock)
    yield aws
    aws.close()


@pytest.fixture
def port(aws: LocalAws) -> Iterator[int]:
    """Where the endpoint answers."""
    listening = endpoint.listen(0)
    port = listening.getsockname()[1]
    server = endpoint.Server(listening, endpoint.Endpoint(aws, KEY, port))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield port
    server.shutdown()
    thread.join()
    server.server_close()
