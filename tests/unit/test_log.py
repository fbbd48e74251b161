"""Logs are one JSON object a line."""

from __future__ import annotations

import json

import pytest

from fluxio.log import log, log_payload


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
        (None, ["INFO", "WARN", "ERROR"]),
        ("DEBUG", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("TRACE", ["DEBUG", "INFO", "WARN", "ERROR"]),
        ("WARN", ["WARN", "ERROR"]),
        ("warning", ["WARN", "ERROR"]),
        ("FATAL", ["ERROR"]),
        ("nonsense", ["INFO", "WARN", "ERROR"]),
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
    for level in ("DEBUG", "INFO", "WARN", "ERROR"):
        log(level, "said")
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["level"] for line in lines] == logged


class TestPayloads:
    """They are in the log where somebody asked for them, and nowhere else."""

    @pytest.fixture
    def asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", "1")

    @pytest.mark.parametrize("setting", [None, "", "0", "true"])
    def test_without_the_setting_nothing_is_written(
        self,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
        setting: str | None,
    ) -> None:
        monkeypatch.delenv("FLUXIO_LOG_PAYLOADS", raising=False)
        if setting is not None:
            monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", setting)
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", "DEBUG")
        log_payload("step output", "secret", run_id="wf-1")
        assert capsys.readouterr().err == ""

    @pytest.mark.usefixtures("asked")
    def test_with_it_they_are_written_whatever_the_level(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", "ERROR")
        log_payload("step input", {"card": 4111}, run_id="wf-1", step="charge")
        assert json.loads(capsys.readouterr().err) == {
            "level": "INFO",
            "message": "step input",
            "run_id": "wf-1",
            "step": "charge",
            "payload": '{"card": 4111}',
        }

    @pytest.mark.usefixtures("asked")
    @pytest.mark.parametrize(("length", "cut"), [(4_000, False), (4_001, True)])
    def test_a_long_one_is_cut(
        self, capsys: pytest.CaptureFixture[str], length: int, cut: bool
    ) -> None:
        log_payload("step output", "x" * length)
        payload = json.loads(capsys.readouterr().err)["payload"]
        assert len(payload) == 4_000
        assert payload.endswith("…") is cut

    @pytest.mark.usefixtures("asked")
    def test_what_cannot_be_shown_harms_nobody(self, capsys: pytest.CaptureFixture[str]) -> None:
        circle: list[object] = []
        circle.append(circle)
        log_payload("step input", circle)
        assert json.loads(capsys.readouterr().err)["payload"] == "<cannot be shown: ValueError>"
