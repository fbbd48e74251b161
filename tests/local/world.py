"""The services of `fluxio dev`, in this process and by a clock that stands still until something waits."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import get_session

from fluxio.local.aws import LocalAws
from fluxio.local.clock import LocalClock
from fluxio.local.state import State

KEY = "fluxio-dev-test"


class Time:
    """The time, which passes where something waits."""

    def __init__(self) -> None:
        self.at = 1_800_000_000_000

    def wall(self) -> int:
        return self.at

    def monotonic(self) -> float:
        return self.at / 1000

    def nap(self, _: object, seconds: float) -> None:
        self.at += max(1, round(seconds * 1000))


def services(path: Path, time: Time, clock: LocalClock) -> LocalAws:
    """The services on a state."""
    return LocalAws(State(path), clock, 120, monotonic=time.monotonic, nap=time.nap)


#: Reading the descriptions of the services takes longer than all else.
_session = get_session()


def client(service: str, port: int, key: str = KEY, **more: Any) -> Any:
    """A client of boto3's kind."""
    return _session.create_client(
        service,
        region_name="us-east-1",
        endpoint_url=f"http://127.0.0.1:{port}",
        aws_access_key_id=key,
        aws_secret_access_key="any",
        config=Config(retries={"total_max_attempts": 1}, connect_timeout=3, read_timeout=10),
        **more,
    )
