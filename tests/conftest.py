"""What holds for every test."""

from __future__ import annotations

import pytest

from fluxio import process


@pytest.fixture(autouse=True)
def no_worker_has_been_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a worker of another test has taken for its process is not this one's."""
    monkeypatch.setattr(process, "_held", None)
