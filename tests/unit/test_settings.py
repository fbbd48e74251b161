"""A setting that is missing or wrong is named, with the module's output that has it."""

from __future__ import annotations

import pytest

from fluxio_client import SettingError
from fluxio_protocol import settings


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


@pytest.mark.parametrize("days", ["0", "3651", "-1", "7.5", "a week", "٣"])
def test_a_retention_out_of_its_bounds_is_refused(
    monkeypatch: pytest.MonkeyPatch, days: str
) -> None:
    monkeypatch.setenv("FLUXIO_RETENTION_DAYS", days)
    with pytest.raises(SettingError, match=r"FLUXIO_RETENTION_DAYS is .* from 1 to 3650"):
        settings.retention_days()
    with pytest.raises(SettingError, match="from 1 to 3650"):
        settings.retention_days(0)


def test_a_retention_is_that_of_the_environment_or_90_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FLUXIO_RETENTION_DAYS", raising=False)
    assert settings.retention_days() == 90
    monkeypatch.setenv("FLUXIO_RETENTION_DAYS", " 3650 ")
    assert settings.retention_days() == 3650
