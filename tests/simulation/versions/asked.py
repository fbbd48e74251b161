"""What either version is asked to do, and its answers as JSON. Both import it, so it uses what both have."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import Any

from fluxio_client import FluxioClient
from fluxio_client.cli import session
from fluxio_client.cli.app import run


def ask_client(client: FluxioClient, method: str, arguments: dict[str, Any]) -> Any:
    """What a method of the client answers.

    Raises:
        Exception: what the method raises.
    """
    if method == "graph":
        graph = client.graph(client.get(**arguments))
        assert graph is not None
        edges = {name: [*deps] for name, deps in graph.depends_on.items()}
        signals = {name: [*names] for name, names in graph.awaits.items()}
        return {"depends_on": edges, "awaits": signals, "unknown": dict(graph.unknown)}
    answer = getattr(client, method)(**arguments)
    if method == "list":
        return [{"run_id": one.run_id, "status": str(one.status)} for one in answer]
    if answer is None or not hasattr(answer, "steps"):
        return None
    return {
        "run_id": answer.run_id,
        "status": str(answer.status),
        "result": answer.result,
        "error": None if answer.error is None else str(answer.error),
        "steps": {
            name: {
                "status": str(of.status),
                "attempt": of.attempt,
                "output": of.output,
                "started_at": of.started_at,
                "ended_at": of.ended_at,
            }
            for name, of in answer.steps.items()
        },
    }


def ask_command(
    client: FluxioClient, dynamodb: Any, sqs: Any, table: str, queue_url: str, *arguments: str
) -> dict[str, Any]:
    """What the command `fluxio` says to these arguments, and its exit code."""
    out, err = io.StringIO(), io.StringIO()
    at = _at(client, {"dynamodb": dynamodb, "sqs": sqs}, table, queue_url)
    with at, redirect_stdout(out), redirect_stderr(err):
        code = run(arguments)
    return {"code": int(code), "out": out.getvalue(), "err": err.getvalue()}


@contextmanager
def _at(
    client: FluxioClient, services: dict[str, Any], table: str, queue_url: str
) -> Iterator[None]:
    aws, now = session.Session.aws, session.now_ms  # type: ignore[attr-defined]
    os.environ.update(FLUXIO_TABLE_NAME=table, FLUXIO_QUEUE_URL=queue_url, COLUMNS="100")
    session.Session.aws = lambda _, service: services[service]
    session.now_ms = client._now  # type: ignore[attr-defined]
    try:
        yield
    finally:
        session.Session.aws, session.now_ms = aws, now  # type: ignore[attr-defined]
        for name in ("FLUXIO_TABLE_NAME", "FLUXIO_QUEUE_URL", "COLUMNS"):
            del os.environ[name]
