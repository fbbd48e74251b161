"""fluxio: the module, applied by Terraform, with its defaults."""

from __future__ import annotations

import time
from pathlib import Path

from bench import LOOK
from dev import ROOT, emulator, layer
from dev.package import package
from dev.terraform import Terraform
from fluxio_client import FluxioClient

HERE = Path(__file__).resolve().parent


class Fluxio:
    """A deployment of the module.

    Args:
        work: a folder for Terraform's state and the package.
        environment: of the emulator.
    """

    name = "fluxio"

    def __init__(self, work: Path, environment: dict[str, str]) -> None:
        work.mkdir(parents=True, exist_ok=True)
        zipped = work / "bench.zip"
        package(HERE / "package", zipped, ["shapes.py", "entry_points.txt"])
        root = ROOT / "examples" / "order_fulfillment" / "terraform"
        terraform = Terraform(root, work / "terraform", environment)
        outputs = terraform.apply(
            {
                "name": "bench",
                "package": str(zipped),
                "layer_zip": str(layer.zip_path(layer.host_architecture())),
                "endpoint": environment["AWS_ENDPOINT_URL"],
                "region": emulator.REGION,
            }
        )
        self._client = FluxioClient(outputs["table_name"], outputs["queue_url"])

    def run(self, shape: str) -> float:
        """Start it by the client, and look at it until it has ended."""
        began = time.perf_counter()
        run_id = self._client.start(
            {"order": "Order", "chain": "Chain", "fan": "Fan"}[shape]
        ).run_id
        while not self._client.get(run_id).ended:
            time.sleep(LOOK)
        return (time.perf_counter() - began) * 1000
