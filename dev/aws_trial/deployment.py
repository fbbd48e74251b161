"""The trial's deployment: Terraform, the zips, and which settings are applied."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev import ROOT, layer
from dev.aws_trial.record import Record
from dev.aws_trial.target import Target
from dev.package import package
from dev.stage import run
from dev.terraform import Terraform

HERE = Path(__file__).resolve().parent
TAG = "fluxio-trial"

COMPILED = "rpds-py==0.30.0"
"""A library with a compiled part; see package/compiled.py."""

TIMEOUT = 60
"""Of the worker, in seconds: OrderFulfillment's steps take up to 30."""

BACK = TIMEOUT + 30
"""Seconds after which the message of a worker that died is back."""

BASE: dict[str, Any] = {
    "settings": {"timeout": TIMEOUT, "runtime": "python3.12", "architecture": "x86_64"},
    "compiled_for": None,
}
"""What every step begins with, unless it says otherwise."""

PLATFORMS = {"x86_64": "manylinux2014_x86_64", "arm64": "manylinux2014_aarch64"}


class Deployment:
    """What is applied now, and how to change it."""

    def __init__(self, target: Target, record: Record) -> None:
        self._target, self._record = target, record
        self.terraform = Terraform(
            HERE / "terraform", record.folder / "terraform", target.environment
        )
        self.seconds = 0.0
        """How long the last apply took."""

    def apply(
        self,
        settings: Mapping[str, Any] | None = None,
        *,
        compiled_for: tuple[str, str] | None = None,
        **variables: Any,
    ) -> dict[str, Any]:
        """Bring the deployment to the base settings with these changes; nothing to do if it has them.

        Args:
            settings: inputs of the module.
            compiled_for: the Python ("3.12") and the processor for which the zip has a compiled library;
                without it, the zip has none.
            variables: other variables of the root.

        Returns:
            Terraform's outputs.
        """
        merged = {**BASE["settings"], **(settings or {})}
        if not self._target.is_aws:
            # An emulator runs workers as processes of this machine, so they need its Python and processor.
            python, architecture = "{}.{}".format(*sys.version_info[:2]), layer.host_architecture()
            merged |= {"runtime": f"python{python}", "architecture": architecture}
            compiled_for = (python, architecture) if compiled_for else None
        wanted = {"settings": merged, "compiled_for": compiled_for, **variables}
        if self._record.applied == _plain(wanted):
            return self.terraform.output()
        self._record.applied = {}  # something, though not what was wanted, until Terraform has ended
        self._record.save()
        started = time.monotonic()
        outputs = self.terraform.apply(self._variables(wanted))
        self.seconds = time.monotonic() - started
        self._record.applied = _plain(wanted)
        self._record.save()
        return outputs

    def plan(self) -> list[str]:
        """What an apply of the same settings would change: nothing, if all is well."""
        assert self._record.applied, "nothing is applied yet"
        return self.terraform.plan(self._variables(self._record.applied))

    def destroy(self) -> None:
        self.terraform.init()
        self.terraform.destroy()
        self._record.applied = None
        self._record.save()

    def _variables(self, wanted: Mapping[str, Any]) -> dict[str, Any]:
        architecture = wanted["settings"]["architecture"]
        rest = {name: value for name, value in wanted.items() if name != "compiled_for"}
        return {
            **rest,
            "name": self._record.name,
            "region": self._record.region,
            "tags": {TAG: self._record.id},
            "package": str(self._package(wanted["compiled_for"])),
            "layer_zip": str(layer.zip_path(architecture)),
        }

    def _package(self, compiled_for: tuple[str, str] | list[str] | None) -> Path:
        """The zip with the trial's workflows, and OrderFulfillment of the examples."""
        folder = self._record.folder / "package"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(ROOT / "examples" / "order_fulfillment" / "orders", folder / "orders")
        names = ["orders", "trial.py", "entry_points.txt"]
        shutil.copy(HERE / "package" / "trial.py", folder)
        manifest = (HERE / "package" / "entry_points.txt").read_text(encoding="utf-8")
        if compiled_for:
            shutil.copy(HERE / "package" / "compiled.py", folder)
            manifest += "Compiled = compiled:Compiled\n"
            _install_compiled(folder, *compiled_for)
            names += ["compiled.py", "rpds"]
        (folder / "entry_points.txt").write_text(manifest, encoding="utf-8")
        of = "-".join(["trial", *(compiled_for or [])])
        return package(folder, self._record.folder / f"{of}.zip", names)


def _install_compiled(folder: Path, python: str, architecture: str) -> None:
    run(
        f"{COMPILED} for Python {python} on {architecture}",
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--target", str(folder), "--only-binary=:all:"),
            *("--python-version", python, "--platform", PLATFORMS[architecture], COMPILED),
        ],
        log=folder.parent / "pip.log",
        remedy="It comes from PyPI, by this machine's own index settings.",
    )


def _plain(wanted: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON reads it back."""
    return {
        name: list(value) if isinstance(value, tuple) else value for name, value in wanted.items()
    }
