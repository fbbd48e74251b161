"""Import every workflow of an unpacked zip as the worker would; run as a script, in a process of its own.

    python check_workflows.py <folder> <modules that another layer brings, with commas>

It prints one JSON object. Modules come from the folder, from Python itself, from the layer or from Lambda's
runtime; whatever else is installed here is hidden, because it would not be there.
"""

from __future__ import annotations

import json
import os
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

#: Top-level modules of the layer (layer/requirements.txt) and of Lambda's Python runtimes.
LAYER = {
    "_wrapt",
    "annotated_types",
    "aws_xray_sdk",
    "fluxio",
    "fluxio_client",
    "pydantic",
    "pydantic_core",
    "typing_extensions",
    "typing_inspection",
    "wrapt",
}
RUNTIME = {
    "awslambdaric",
    "boto3",
    "botocore",
    "dateutil",
    "jmespath",
    "s3transfer",
    "six",
    "snapshot_restore_py",
    "urllib3",
}


class OnlyWhatLambdaHas(MetaPathFinder):
    """A finder of modules without those that are installed on this machine alone."""

    def __init__(self, finder: Any, folder: Path, provided: set[str]) -> None:
        self._finder = finder
        self._folder = folder
        self._known = {*sys.builtin_module_names, *sys.stdlib_module_names, *LAYER, *RUNTIME}
        self._known |= provided

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        top = fullname.partition(".")[0]
        if top in self._known or any(self._folder.glob(f"{top}*")):
            return self._finder.find_spec(fullname, path, target)
        return None

    def invalidate_caches(self) -> None:
        getattr(self._finder, "invalidate_caches", lambda: None)()


def check(folder: Path, provided: set[str]) -> dict[str, Any]:
    """What the workflows are, and what is wrong with them."""
    try:
        from fluxio.manifest import Manifest
    except ModuleNotFoundError as error:
        return {"engine": None, "problem": str(error)}
    from fluxio_client.cli.version import client_version
    from fluxio_client.errors import FluxioError

    found: dict[str, Any] = {"engine": client_version(), "problem": None, "workflows": []}
    sys.meta_path[:] = [OnlyWhatLambdaHas(finder, folder, provided) for finder in sys.meta_path]
    sys.path.insert(0, str(folder))
    manifest = Manifest([folder])
    try:
        entries = manifest.entries()
    except FluxioError as error:
        return found | {"problem": str(error)}
    for name, target in entries.items():
        workflow: dict[str, Any] = {"name": name, "target": target, "problem": None}
        found["workflows"].append(workflow)
        try:
            definition = manifest.load(name)
        except FluxioError as error:
            workflow["problem"] = str(error)
            continue
        if definition.name != name:
            workflow["problem"] = (
                f"the manifest calls it {name}, its class calls itself {definition.name}. Give both one "
                f"name: @workflow(name={name!r}), or another name in the manifest."
            )
        graph = definition.graph
        workflow |= {
            "version": graph.version,
            "steps": list(graph.depends_on),
            "signals": sorted({signal for names in graph.awaits.values() for signal in names}),
        }
    return found


def main(folder: str, provided: str) -> None:
    """Print what the check finds; what the user's modules print goes to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.path.pop(0)  # this file's folder, whose modules are nobody's business
    found = check(Path(folder).resolve(), set(filter(None, provided.split(","))))
    answer.write(json.dumps(found))
    answer.close()
    sys.stdout.flush()
    os._exit(0)  # a thread that a module has started must not keep this process


if __name__ == "__main__":
    main(*sys.argv[1:])
