"""AWS Lambda durable functions, as the emulator has them, with AWS's SDK for Python."""

from __future__ import annotations

import base64
import json
import sys
import urllib.request

from bench.engines import FUNCTION, FUNCTIONS, ROLE, NotSucceeded, Site, zipped
from bench.package.workflows import STAGES, step_names
from dev.emulator import REGION
from dev.stage import DevError

NAME = "bench-durable"
SDK = "aws_durable_execution_sdk_python"


class DurableFunctions:
    """One durable function, which is told the stages of the workflow.

    Raises:
        DevError: the SDK does not run on this Python, which is what the emulator runs functions on.
    """

    def __init__(self, site: Site) -> None:
        if tuple(sys.version_info) < (3, 11):
            raise DevError(
                "the SDK of durable functions needs Python 3.11 or later, and the emulator runs them on "
                "this one. Name another (make PYTHON=python3.12 bench), or leave them out: "
                "make bench BENCH='--engines fluxio step-functions'."
            )
        self._lambda = site.clients["lambda"]
        libraries = site.rivals.parent.parent / "lib"
        (sdk,) = libraries.glob(f"python3.*/site-packages/{SDK}")
        (about,) = sdk.parent.glob(f"{SDK}-*.dist-info")
        self._version = f"SDK {about.stem.removeprefix(f'{SDK}-')}"
        # boto3 does not send `Enabled`, without which the emulator makes a plain function.
        body = {
            "FunctionName": NAME,
            "Runtime": "python3.13",
            "Role": ROLE,
            "Handler": "durable.handler",
            "Code": {"ZipFile": base64.b64encode(zipped(FUNCTIONS / "durable.py", [sdk])).decode()},
            "DurableConfig": {"Enabled": True, "ExecutionTimeout": 300},
            **FUNCTION,
        }
        scope = f"Credential=test/20260101/{REGION}/lambda/aws4_request"
        request = urllib.request.Request(
            f"{site.emulator.endpoint}/2015-03-31/functions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"AWS4-HMAC-SHA256 {scope}"},
        )
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        opener.open(request).close()

    @property
    def version(self) -> str:
        return self._version

    def run(self, workflow: str) -> None:
        """Invoke it and wait for its answer, which comes when the execution has ended."""
        payload = json.dumps({"stages": step_names(STAGES[workflow])}).encode()
        answer = self._lambda.invoke(FunctionName=NAME, Payload=payload)
        said = json.loads(answer["Payload"].read())
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        if "x-amz-durable-execution-arn" not in headers:
            raise NotSucceeded(f"{workflow} on durable functions: it ran as a plain function")
        if "FunctionError" in answer or said.get("Status") != "SUCCEEDED":
            raise NotSucceeded(f"{workflow} on durable functions: {said}")
