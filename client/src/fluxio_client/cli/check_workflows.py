"""Import every workflow of an unpacked zip as the worker would; run as a script, in a process of its own.

    python -I -S check_workflows.py <a Request as JSON>

It prints one JSON object. Python starts without this machine's site-packages, so modules come from where
Lambda's come from: first the folder, then Python itself, and by name from what this machine has of the
layer and the runtime. Whatever else is installed here is not seen.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Iterator
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.metadata import Distribution, DistributionFinder, MetadataPathFinder
from importlib.util import spec_from_file_location
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from fluxio.definition import WorkflowDefinition

#: What the runtime has imported before the zip's folder comes first: files there cannot hide these.
RUNTIME_IMPORTS = ("concurrent.futures", "decimal", "http.client", "logging")


class Request(NamedTuple):
    """What to import, and where this machine has what Lambda has."""

    folder: str
    #: For each module of the layer, the runtime or other layers: its file, and its folders if it is a package.
    modules: dict[str, tuple[str | None, list[str] | None]]
    #: The distributions that these belong to, and the folders with their metadata.
    distributions: list[str]
    site: list[str]


class WhatLambdaHas(MetaPathFinder):
    """Finds the modules and the metadata of the layer and the runtime, where this machine has them."""

    def __init__(self, request: Request) -> None:
        self._request = request
        # `a` is there where `a.b` is, to be joined with what the zip has of it.
        self._namespaces = {
            name[:at] for name in request.modules for at, letter in enumerate(name) if letter == "."
        }

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        del path, target
        if name in self._request.modules:
            file, folders = self._request.modules[name]
            if file is not None:
                return spec_from_file_location(name, file, submodule_search_locations=folders)
            spec = ModuleSpec(name, None, is_package=True)
            spec.submodule_search_locations = folders or []
            return spec
        if name in self._namespaces:
            return ModuleSpec(name, None, is_package=True)
        return None

    def find_distributions(self, context: DistributionFinder.Context) -> Iterator[Distribution]:
        """What importlib.metadata asks for; a caller with folders of its own wants nothing else."""
        if context.path is not sys.path:
            return
        wanted = None if context.name is None else _normalized(context.name)
        for name in self._request.distributions:
            if wanted in (None, _normalized(name)):
                of = DistributionFinder.Context(name=name, path=self._request.site)
                yield from MetadataPathFinder.find_distributions(of)


def _normalized(name: str) -> str:
    return name.lower().replace("_", "-").replace(".", "-")


def check(request: Request) -> dict[str, Any]:
    """What the workflows are, and what is wrong with them."""
    sys.path.insert(0, request.folder)
    sys.meta_path.append(WhatLambdaHas(request))
    try:
        import boto3  # noqa: F401 - as the worker does when it starts

        import fluxio.worker  # noqa: F401
    except Exception as error:  # noqa: BLE001 - a file in the way may make it anything
        return {"engine": _failure(error, request)}
    from fluxio.errors import DeploymentError
    from fluxio.manifest import Manifest
    from fluxio_protocol.errors import FluxioError

    # What its modules may look at when they are imported.
    os.environ.setdefault("AWS_LAMBDA_FUNCTION_NAME", "worker")
    found: dict[str, Any] = {"engine": None, "problem": None, "workflows": []}
    manifest = Manifest([request.folder])
    try:
        entries = manifest.entries()
    except FluxioError as error:
        return found | {"problem": str(error)}
    for name, target in entries.items():
        workflow: dict[str, Any] = {"name": name, "target": target, "problem": None}
        found["workflows"].append(workflow)
        try:
            definition = manifest.load(name)
        except DeploymentError as error:
            workflow["problem"] = str(error)
            if error.__cause__ is not None:
                workflow["failure"] = _failure(error.__cause__, request)
            continue
        if definition.name != name:
            workflow["problem"] = (
                f"the manifest calls it {name}, its class calls itself {definition.name}. Give both one "
                f"name: @workflow(name={name!r}), or another name in the manifest."
            )
        elif annotations := definition.annotation_problems():
            workflow["problem"] = " ".join(annotations)
        graph = definition.graph
        workflow |= {
            "version": graph.version,
            "steps": list(graph.depends_on),
            "retired": [one.name for one in definition.steps.values() if one.retired],
            "signals": sorted({signal for names in graph.awaits.values() for signal in names}),
            "supply_problems": definition.supply_problems(),
            "code": _code(definition),
        }
    return found


def _code(definition: WorkflowDefinition) -> dict[str, Any]:
    """What a run needs of the code: each step's parameters without a default, and what supplies names."""
    from fluxio.binding import RESERVED
    from fluxio.supply import supplied_by

    return {
        "graph": definition.graph.to_json(),
        "input": None if definition.input is None else supplied_by(definition.input),
        "steps": {
            name: {
                "required": [one for one in step.signature.required if one not in RESERVED],
                "returns": supplied_by(step.signature.returned),
            }
            for name, step in definition.steps.items()
        },
    }


def _failure(error: BaseException, request: Request) -> dict[str, Any]:
    """What an import failed by, for the caller to tell whether it would fail on Lambda, too."""
    chain: list[BaseException] = []
    following: BaseException | None = error
    while following is not None and following not in chain:
        chain.append(following)
        following = following.__cause__ or following.__context__
    frames = [frame for one in chain for frame in traceback.extract_tb(one.__traceback__)]
    inside = f"{request.folder}{os.sep}"
    last = frames[-1].filename if frames else ""
    from_environment = isinstance(error, KeyError) and last in (os.__file__, "<frozen os>")
    return {
        "type": type(error).__name__,
        "text": f"{type(error).__name__}: {error}",
        # The environment variable that is not set.
        "variable": str(error.args[0]) if from_environment else None,
        "missing": [one.name for one in chain if isinstance(one, ImportError) and one.name],
        "through": sorted(
            {f.filename.removeprefix(inside) for f in frames if f.filename.startswith(inside)}
        ),
    }


def main(request: str) -> None:
    """Print what the check finds; what the user's modules print goes to stderr."""
    answer = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    for name in RUNTIME_IMPORTS:
        __import__(name)
    sys.argv = ["/var/runtime/bootstrap.py"]
    found = check(Request(**json.loads(request)))
    answer.write(json.dumps(found))
    answer.close()
    sys.stdout.flush()
    os._exit(0)  # a thread that a module has started must not keep this process


if __name__ == "__main__":
    main(*sys.argv[1:])
