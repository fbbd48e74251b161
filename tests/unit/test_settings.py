"""A setting that is missing or wrong is named, with the module's output that has it."""

from __future__ import annotations

import pytest

from fluxio_client import SettingError, settings


def test_an_argument_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLUXIO_TABLE_NAME", "from-environment")
    assert settings.setting("FLUXIO_TABLE_NAME", "given") == "given"
    assert settings.setting("FLUXIO_TABLE_NAME") == "from-environment"


@pytest.mark.parametrize("value", ["", "  "])
def test_an_empty_setting_is_a_missing_one(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("FLUXIO_TABLE_NAME", value)
    with pytest.raises(SettingError) as caught:
        settings.setting("FLUXIO_TABLE_NAME")
    assert str(caught.value) == (
        "FLUXIO_TABLE_NAME is not set. Pass the argument, or set the variable to the module's output "
        "`table_name` (the output `client_environment` has both)."
    )


@pytest.mark.parametrize(
    "url", ["https://sqs.eu-central-1.amazonaws.com/1/q.fifo", "http://127.0.0.1:4566/1/q.fifo"]
)
def test_the_url_of_a_fifo_queue_is_taken(url: str) -> None:
    assert settings.queue_url(url) == url


@pytest.mark.parametrize(
    "url",
    ["fluxio.fifo", "arn:aws:sqs:eu-central-1:1:fluxio.fifo", "https://sqs.example/1/standard"],
)
def test_anything_else_is_not(url: str) -> None:
    with pytest.raises(SettingError) as caught:
        settings.queue_url(url)
    assert str(caught.value) == (
        f"FLUXIO_QUEUE_URL is {url!r}, which is not the URL of a FIFO queue. Set it to the module's "
        "output `queue_url`."
    )
