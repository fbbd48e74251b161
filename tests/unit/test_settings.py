"""A setting that is missing or wrong is named, with the module's output that has it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.exceptions import UnknownServiceError

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


LOOKED_INTO = """
import json, sys
looked_into = set()
sys.addaudithook(lambda event, args: event == "os.listdir" and looked_into.add(str(args[0])))
from fluxio_protocol import settings

endpoints = [settings.aws_client(name).meta.endpoint_url for name in sys.argv[1:]]
print(json.dumps([endpoints, sorted(looked_into)]))
"""


def clients_of(*services: str, **environment: str) -> tuple[list[str], list[str]]:
    """The clients' endpoints in a fresh interpreter, and the folders that it has looked into for them."""
    done = subprocess.run(
        [sys.executable, "-c", LOOKED_INTO, *services],
        env={
            "AWS_DEFAULT_REGION": "eu-central-1",
            "PYTHONPATH": ":".join(sys.path),
            **environment,
        },
        capture_output=True,
        text=True,
        check=True,
    )
    endpoints, folders = json.loads(done.stdout)
    return endpoints, folders


def test_a_client_is_made_without_a_look_at_other_services() -> None:
    """There are 400; a cold start has better things to do."""
    endpoints, folders = clients_of("dynamodb", "sqs")
    assert endpoints == [
        "https://dynamodb.eu-central-1.amazonaws.com",
        "https://sqs.eu-central-1.amazonaws.com",
    ]
    inside = {Path(folder).name for folder in folders if Path(folder).parent.name == "data"}
    assert inside <= {"dynamodb", "sqs"}


def test_a_service_may_be_described_in_a_folder_of_the_users(tmp_path: Path) -> None:
    """As with every program that uses botocore: AWS_DATA_PATH."""
    description = tmp_path / "ours" / "2026-01-01"
    description.mkdir(parents=True)
    (description / "service-2.json").write_text(
        json.dumps(
            {
                "metadata": {
                    "apiVersion": "2026-01-01",
                    "endpointPrefix": "ours",
                    "protocol": "json",
                    "serviceId": "ours",
                    "signatureVersion": "v4",
                },
                "operations": {},
                "shapes": {},
            }
        )
    )
    (description / "endpoint-rule-set-1.json").write_text(
        json.dumps(
            {
                "version": "1.0",
                "parameters": {},
                "rules": [
                    {
                        "type": "endpoint",
                        "conditions": [],
                        "endpoint": {"url": "https://ours.test"},
                    }
                ],
            }
        )
    )
    assert clients_of("ours", AWS_DATA_PATH=str(tmp_path))[0]


def test_a_service_that_there_is_not_is_told_by_botocore(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with pytest.raises(UnknownServiceError, match="nosuch"):
        settings.aws_client("nosuch")
