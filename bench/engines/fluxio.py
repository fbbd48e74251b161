"""fluxio: the module with its defaults, applied by Terraform."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from bench.engines import LOOK, NotSucceeded, Site
from dev import ROOT, emulator, layer
from dev.package import package
from dev.terraform import Terraform
from fluxio_client import FluxioClient

#: The workflows, as a user would write them.
PACKAGE = Path(__file__).resolve().parent.parent / "package"


class Fluxio:
    """A deployment of the module."""

    def __init__(self, site: Site) -> None:
        steps = package(PACKAGE, site.work / "bench.zip", ["workflows.py", "entry_points.txt"])
        environment = site.emulator.environment()
        root = ROOT / "examples" / "order_fulfillment" / "terraform"
        self.outputs: dict[str, Any] = Terraform(root, site.work / "terraform", environment).apply(
            {
                "name": "bench",
                "package": str(steps),
                "layer_zip": str(layer.zip_path(layer.host_architecture())),
                "endpoint": site.emulator.endpoint,
                "region": emulator.REGION,
            }
        )
        self._client = FluxioClient(self.outputs["table_name"], self.outputs["queue_url"])

    @property
    def version(self) -> str:
        return layer.version()

    def run(self, workflow: str) -> None:
        """Start it by the client, and look at it until it has ended."""
        run_id = self._client.start(workflow).run_id
        while not (run := self._client.get(run_id)).ended:
            if run.parked:
                break
            time.sleep(LOOK)
        if run.status != "SUCCEEDED":
            raise NotSucceeded(f"{workflow} on fluxio: run {run_id} is {run.status}: {run.error}")
