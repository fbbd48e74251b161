"""A Lambda function on this machine: AWS's own runtime client under a small Runtime API.

The function is a process that sees only what it would see in Lambda: its own folder, the unzipped
layer, and a runtime with boto3. Neither the environment of the tests nor the caller's settings reach it.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distribution
from pathlib import Path
from queue import Empty, Queue
from typing import Any

BOTO3 = ("boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3")
"""Distributions that every Python runtime of Lambda has."""

RUNTIME_CLIENT = ("awslambdaric", "simplejson", "snapshot-restore-py")

NEXT = "/2018-06-01/runtime/invocation/next"

START = """
import sys
handler, *sys.path[:0] = sys.argv[1:]
from awslambdaric.__main__ import main
main(["bootstrap", handler])
"""


def runtime_folder(folder: Path, distributions: Sequence[str]) -> Path:
    """Fill `folder` with links to these installed distributions and to nothing else."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in distributions:
        installed = distribution(name)
        for top in {file.parts[0] for file in installed.files or ()} - {"..", "__pycache__"}:
            (folder / top).symlink_to(Path(str(installed.locate_file(top))))
    return folder


@dataclass(frozen=True)
class Answer:
    """How an invocation ended."""

    payload: Any
    """What the handler returned, or Lambda's description of what it raised."""
    failed: bool


class Died(Exception):
    """The function's process ended instead of answering."""


class Function:
    """A function that runs; `invoke` it as the event source mapping would."""

    def __init__(self, api: _RuntimeApi, process: subprocess.Popen[bytes], log: Path) -> None:
        self._api = api
        self._process = process
        self._log = log

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        """What it wrote so far, to stdout and stderr."""
        return self._log.read_text(errors="replace")

    def invoke(self, event: object, *, function_timeout: float = 120.0) -> Answer:
        """Hand it one event and wait for its answer, as long as the function may run.

        Raises:
            Died: its process ended first.
            TimeoutError: it did not answer in time.
        """
        request = uuid.uuid4().hex
        deadline = time.time() + function_timeout
        self._api.events.put((request, json.dumps(event).encode(), deadline))
        while True:
            try:
                answered, answer = self._api.answers.get(timeout=0.05)
            except Empty:
                if self._process.poll() is not None and self._api.answers.empty():
                    raise Died(f"exit {self._process.returncode}:\n{self.log}") from None
                if time.time() > deadline:
                    raise TimeoutError(f"no answer in {function_timeout} s:\n{self.log}") from None
                continue
            if answered in (request, "init"):
                return answer


@contextmanager
def function(
    handler: str,
    *,
    code: Path,
    layers: Sequence[Path],
    runtime: Path,
    log: Path,
    environment: Mapping[str, str] | None = None,
    python: Path = Path(sys.executable),
) -> Iterator[Function]:
    """Run a function for the length of a `with` block.

    Args:
        handler: like `fluxio.worker.lambda_handler`.
        code: the unzipped package of the function.
        layers: the `python` folders of unzipped layers.
        runtime: a folder with boto3 and the runtime client, see `runtime_folder`.
        log: where its output goes.
        environment: the function's variables, complete.
        python: an interpreter for which the runtime client is built.
    """
    api = _RuntimeApi()
    variables = {
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
        "AWS_LAMBDA_FUNCTION_NAME": "worker",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_RUNTIME_API": api.address,
        "LAMBDA_TASK_ROOT": str(code),
        "PATH": os.defpath,
        "_HANDLER": handler,
        **(environment or {}),
    }
    with log.open("wb") as output:
        process = subprocess.Popen(
            # -I -S: no site-packages, no user site, no PYTHON* variables. -B: no pycache in links.
            [python, "-I", "-S", "-B", "-c", START, handler, code, *layers, runtime],
            cwd=code,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    try:
        yield Function(api, process, log)
    finally:
        process.kill()
        process.wait()
        api.close()


class _RuntimeApi(ThreadingHTTPServer):
    """Lambda's side: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html"""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Exchange)
        #: Events to come: request id, body, deadline. None ends a runtime that waits.
        self.events: Queue[tuple[str, bytes, float] | None] = Queue()
        self.answers: Queue[tuple[str, Answer]] = Queue()
        self._thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_address[1]}"

    def close(self) -> None:
        self.events.put(None)
        self.shutdown()
        self.server_close()
        self._thread.join()


class _Exchange(BaseHTTPRequestHandler):
    """One connection of the runtime client."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement
    server: _RuntimeApi

    def do_GET(self) -> None:
        if self.path != NEXT:
            return self._reply(404)
        event = self.server.events.get()
        if event is None:
            self.close_connection = True
            return None
        request, body, deadline = event
        return self._reply(
            200,
            body,
            {
                "Content-Type": "application/json",
                "Lambda-Runtime-Aws-Request-Id": request,
                "Lambda-Runtime-Deadline-Ms": str(int(deadline * 1000)),
                "Lambda-Runtime-Invoked-Function-Arn": (
                    "arn:aws:lambda:us-east-1:000000000000:function:worker"
                ),
            },
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        *_, request, verb = self.path.split("/")  # …/<request id>/response, …/init/error
        answer = Answer(json.loads(body), failed=verb == "error")
        self._reply(202, b'{"status":"OK"}')
        self.server.answers.put((request, answer))

    def _reply(self, status: int, body: bytes = b"", headers: Mapping[str, str] = {}) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: the function's own log is what counts."""
