"""`fluxio ui` shows the runs of `fluxio dev`, in the environment that it prints."""

from __future__ import annotations

import pytest

from fluxio.local.aws import TABLE
from fluxio.local.endpoint import queue_url
from fluxio_client.cli.session import Session
from fluxio_protocol import settings
from fluxio_protocol.graph import Graph
from tests.local.world import KEY
from tests.moto.pages import Pages

pytestmark = pytest.mark.once


@pytest.fixture
def pages(port: int, monkeypatch: pytest.MonkeyPatch) -> Pages:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # The session that is kept for the process has the keys of other tests.
    monkeypatch.setattr(settings, "_session", settings._session.__wrapped__)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-checked")
    return Pages(
        Session(
            TABLE,
            queue_url(port, "fluxio.fifo"),
            region="us-east-1",
            endpoint_url=f"http://127.0.0.1:{port}",
        )
    )


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/runs",
        "/runs?workflow=Any",
        "/runs?show=failed",
        "/runs?show=waiting",
        "/runs/r-1",
        "/runs/r-1?view=timeline",
        "/runs/r-1?view=payloads",
        "/runs/r-1?view=item",
        "/runs/r-1/payload?of=input",
        "/dead-letters",
        "/workflows",
        "/workflows/Any",
        "/workflows/Any/start",
        "/runs/r-1/cancel",
    ],
)
def test_every_page_works_there(pages: Pages, path: str) -> None:
    pages.site.session.client.start("Any", {"text": "ä"}, run_id="r-1")

    assert pages.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/runs/r-1?view=cost", "/runs/r-1/logs"])
def test_what_needs_lambda_is_said_to_be_missing(pages: Pages, path: str) -> None:
    pages.site.session.client.start("Any", {}, run_id="r-1")
    version = Graph.of_steps({"only": ()})
    pages.site.session.store.put_graph("Any", version)
    pages.site.session.dynamodb.update_item(
        TableName=TABLE,
        Key={"pk": {"S": "r-1"}, "sk": {"S": "run"}},
        UpdateExpression="SET version=:v",
        ExpressionAttributeValues={":v": {"S": version.version}},
    )

    answer = pages.get(path)

    assert answer.status_code == 404
    assert "no Lambda function takes from it" in answer.text


def test_deeds_work_there(pages: Pages) -> None:
    answer = pages.post("/workflows/Any/start", **{"as": "json", "json": "{}", "run_id": "r-2"})
    assert answer.status_code == 303
    assert pages.post("/runs/r-2/cancel", typed="r-2").status_code == 303

    assert "CANCELLED" in pages.text("/runs/r-2")
