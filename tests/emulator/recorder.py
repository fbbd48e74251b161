"""A proxy on loopback between Terraform and the emulator that keeps every request."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any
from urllib.parse import urlsplit

from dev import ROOT
from tests.service_model import Call, Request, problems, read

MODULE = ROOT / "modules" / "fluxio"

CREATES = {
    "aws_appautoscaling_policy": "application-autoscaling:PutScalingPolicy",
    "aws_appautoscaling_target": "application-autoscaling:RegisterScalableTarget",
    "aws_cloudwatch_composite_alarm": "cloudwatch:PutCompositeAlarm",
    "aws_cloudwatch_dashboard": "cloudwatch:PutDashboard",
    "aws_cloudwatch_log_group": "logs:CreateLogGroup",
    "aws_cloudwatch_metric_alarm": "cloudwatch:PutMetricAlarm",
    "aws_cloudwatch_query_definition": "logs:PutQueryDefinition",
    "aws_dynamodb_table": "dynamodb:CreateTable",
    "aws_iam_role": "iam:CreateRole",
    "aws_iam_role_policy": "iam:PutRolePolicy",
    "aws_lambda_alias": "lambda:CreateAlias",
    "aws_lambda_event_source_mapping": "lambda:CreateEventSourceMapping",
    "aws_lambda_function": "lambda:CreateFunction",
    "aws_lambda_function_event_invoke_config": "lambda:PutFunctionEventInvokeConfig",
    "aws_lambda_function_recursion_config": "lambda:PutFunctionRecursionConfig",
    "aws_lambda_layer_version": "lambda:PublishLayerVersion",
    "aws_lambda_provisioned_concurrency_config": "lambda:PutProvisionedConcurrencyConfig",
    "aws_pipes_pipe": "pipes:CreatePipe",
    "aws_scheduler_schedule": "scheduler:CreateSchedule",
    "aws_ssm_parameter": "ssm:PutParameter",
    "aws_sqs_queue": "sqs:CreateQueue",
}
"""By type of resource, the request that makes one."""

HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding"}


class Recorder:
    """What went through, and where to send it."""

    def __init__(self, endpoint: str) -> None:
        self.requests: list[Request] = []
        self.endpoint = endpoint
        """The recorder's own: what clients take for AWS."""

    def calls(self) -> list[Call]:
        return [read(request) for request in self.requests]

    def problems(self) -> list[str]:
        """What AWS would have refused, each once."""
        return sorted({problem for call in self.calls() for problem in problems(call)})

    def missing(self) -> set[str]:
        """Types of resources in the module that nothing was sent for: the record would not be whole."""
        sent = {str(call) for call in self.calls()}
        texts = (path.read_text(encoding="utf-8") for path in MODULE.rglob("*.tf"))
        types = {
            found for text in texts for found in re.findall(r'(?m)^resource "(aws_\w+)"', text)
        }
        return {of for of in types if CREATES.get(of) not in sent}


@contextmanager
def recording(behind: str) -> Iterator[Recorder]:
    """A recorder in front of the emulator at this endpoint."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    server.daemon_threads = True
    recorder = Recorder(f"http://127.0.0.1:{server.server_port}")
    server.RequestHandlerClass = _handler(recorder, urlsplit(behind).netloc)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield recorder
    finally:
        server.shutdown()
        server.server_close()


def _handler(recorder: Recorder, behind: str) -> type[BaseHTTPRequestHandler]:
    lock = Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self) -> None:
            super().setup()
            self.onward = http.client.HTTPConnection(behind, timeout=120)

        def finish(self) -> None:
            self.onward.close()
            super().finish()

        def forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                recorder.requests.append(Request(self.command, self.path, headers, body))
            kept = {name: value for name, value in headers.items() if name not in HOP_BY_HOP}
            self.onward.request(self.command, self.path, body, kept)
            answer = self.onward.getresponse()
            content = answer.read()
            self.send_response_only(answer.status, answer.reason)
            for name, value in answer.getheaders():
                if name.lower() not in {*HOP_BY_HOP, "content-length"}:
                    self.send_header(name, value)
            if self.command != "HEAD":
                self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = forward  # noqa: N815

        def log_message(self, *_: Any) -> None:
            """It would be written to the terminal."""

    return Handler
