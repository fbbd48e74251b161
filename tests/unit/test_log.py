"""Logs are one JSON object a line."""

from __future__ import annotations

import json

import pytest

from fluxio.log import log


def test_a_line_is_a_json_object(capsys: pytest.CaptureFixture[str]) -> None:
    log("INFO", "step returned", run_id="wf-1", step="a", attempt=1, nothing=None)
    out, err = capsys.readouterr()
    assert out == ""
    assert err.endswith("}\n")
    assert json.loads(err) == {
        "level": "INFO",
        "message": "step returned",
        "run_id": "wf-1",
        "step": "a",
        "attempt": 1,
    }


def test_a_line_stays_one_line_whatever_is_in_it(capsys: pytest.CaptureFixture[str]) -> None:
    log("ERROR", "two\nlines", odd=object())
    assert capsys.readouterr().err.count("\n") == 1


@pytest.mark.parametrize(
    ("least", "logged"),
    [
        (None, ["INFO", "WARNING", "ERROR"]),
        ("DEBUG", ["DEBUG", "INFO", "WARNING", "ERROR"]),
        ("warning", ["WARNING", "ERROR"]),
        ("nonsense", ["INFO", "WARNING", "ERROR"]),
    ],
)
def test_the_least_level_is_a_setting(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    least: str | None,
    logged: list[str],
) -> None:
    monkeypatch.delenv("FLUXIO_LOG_LEVEL", raising=False)
    if least is not None:
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", least)
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        log(level, "said")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["level"] for line in lines] == logged
