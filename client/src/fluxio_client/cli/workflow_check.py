"""Whether the workflows of a zip can be imported on Lambda, as far as this machine can tell."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from fluxio_client.cli import check_workflows
from fluxio_client.cli.archive import File, shown
from fluxio_client.cli.compiled import Compiled, Target, this_python
from fluxio_client.cli.lambda_has import LAYER, RUNTIME, hidden_by
from fluxio_client.cli.version import client_version
from fluxio_protocol.errors import FluxioError

#: Seconds that importing all workflows may take; Lambda gives a worker 10 for its start.
PATIENCE = 60

MANIFEST = (
    "an entry_points.txt at its root with a section [fluxio.workflows] and lines 'Name = module:Class', "
    "like OrderFulfillment = orders.workflows:OrderFulfillment"
)

_GO_ON = "--no-check writes the zip without this check."
_ALLOW = f"If a module is there on Lambda, --allow MODULE says so; {_GO_ON}"


class Unusable(FluxioError):
    """The folder would not work as the worker's zip."""


class Checked(NamedTuple):
    """What the check has found in a zip that it did not refuse."""

    workflows: list[dict[str, Any]]
    #: Why a workflow could not be checked here.
    warnings: list[str]


class _Machine(NamedTuple):
    """Where this machine has what Lambda has, and what it lacks of that."""

    request: check_workflows.Request
    lacks: frozenset[str]
    allowed: frozenset[str]


def check(
    contents: Mapping[str, File],
    target: Target,
    allowed: Sequence[str],
    runtime: str | None,
    strict: bool = False,
) -> Checked:
    """Import every workflow of a zip as the worker would.

    Args:
        contents: the files of the zip.
        target: what its compiled files were built for.
        allowed: modules that another layer brings.
        runtime: the worker's Python, "python3.12"; None if not said.
        strict: whether the types have to show that each parameter of a step is supplied, and by whom.

    Raises:
        Unusable: there is no manifest, or a workflow cannot be imported; says all that is wrong.
        FluxioError: the engine is not installed here.
    """
    with tempfile.TemporaryDirectory(prefix="fluxio-package-", ignore_cleanup_errors=True) as name:
        root = Path(name).resolve()
        _unpack(contents, root)
        machine = _machine(root, allowed)
        found = import_workflows(machine.request)
    excuses = _Excuses(machine, target, runtime)
    if failure := found["engine"]:
        return _without_engine(failure, contents, excuses)
    if found["problem"]:
        raise _unusable([found["problem"]], root)
    if not found["workflows"]:
        raise _unusable([f"there is no manifest that names a workflow: add {MANIFEST}."], root)
    warnings: list[str] = []
    problems: list[str] = []
    way_on: list[str] = []
    for one in found["workflows"]:
        problem, failure = one.pop("problem"), one.pop("failure", None)
        one["checked"] = problem is None
        unsupplied = one.pop("supply_problems", [])
        if problem is None:
            problems += unsupplied if strict else []
            continue
        if failure and (excuse := excuses.of(failure, one["target"])):
            warnings.append(f"{one['name']} was not checked: {_without_place(excuse, root)}.")
            continue
        if failure:
            way_on = [_ALLOW if failure["missing"] else _GO_ON]
            problem += _about_the_environment(failure)
        problems.append(problem)
    if problems:
        raise _unusable([*problems, *way_on], root)
    return Checked(found["workflows"], warnings)


class _Excuses(NamedTuple):
    """What an import may fail by here that is all right on Lambda."""

    machine: _Machine
    target: Target
    runtime: str | None

    def of(self, failure: Mapping[str, Any], entry: str) -> str | None:
        """Why this failure says nothing of Lambda; None if it would fail there, too."""
        missing: list[str] = failure["missing"]
        for name in missing:
            parts = name.split(".")
            tops = {".".join(parts[:count]) for count in range(1, len(parts) + 1)}
            if known := tops & (self.machine.lacks | self.machine.allowed):
                whose = "--allow says it is" if known & self.machine.allowed else "Lambda has it"
                return f"it imports {name}, which is not on this machine ({whose} there)"
        for one in self.target.foreign():
            if one.module in missing or (missing and _is_inside(one, failure["through"])):
                return (
                    f"{one.path} is built for {one.built_for}, which is not this machine's Python "
                    f"{this_python()} on {sys.platform}"
                )
        own_module = entry.partition(":")[0]
        if failure["type"] == "DefinitionError" or own_module in missing:
            return None
        pythons = {self.runtime.removeprefix("python")} if self.runtime else self.target.pythons
        if pythons and this_python() not in pythons:
            return (
                f"it is for Python {' or '.join(sorted(pythons))} and this is {this_python()}, where "
                f"importing it raises {failure['text']}"
            )
        return None


def _is_inside(file: Compiled, paths: Collection[str]) -> bool:
    """Whether the import went through the package that a compiled file belongs to."""
    top = file.path.split("/")[0]
    return "/" in file.path and any(
        path.replace(os.sep, "/").startswith(f"{top}/") for path in paths
    )


def _without_engine(
    failure: Mapping[str, Any], contents: Mapping[str, File], excuses: _Excuses
) -> Checked:
    if excuse := excuses.of(failure, ":"):
        return Checked([], [f"the workflows were not checked: {excuse}."])
    hiding = ", ".join(file for files in hidden_by(contents).values() for file in files)
    cause = f"Rename or leave out what hides other modules: {hiding}." if hiding else _ALLOW
    raise Unusable(
        f"with the zip's files first, the engine itself cannot be imported: {shown(failure['text'])}. {cause}"
    )


def _about_the_environment(failure: Mapping[str, Any]) -> str:
    variable = failure["variable"]
    if not variable:
        return ""
    return (
        f" If {variable} is in the module's `environment`, set it for this command, too: "
        f"{variable}=… fluxio package …"
    )


def _unusable(problems: Sequence[str], root: Path) -> Unusable:
    text = " ".join(_without_place(problem, root) for problem in problems)
    return Unusable(text)


def _without_place(problem: str, root: Path) -> str:
    """Without the temporary folder, which the reader does not have any more."""
    return " ".join(shown(problem).replace(f"{root}{os.sep}", "").split())


def _unpack(contents: Mapping[str, File], root: Path) -> None:
    try:
        for path, file in contents.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
            if file.executable:
                target.chmod(0o755)
    except OSError as error:
        raise Unusable(
            f"the zip cannot be unpacked in {root.parent} to be checked: {error.strerror or error}. TMPDIR "
            "names another place, --no-check leaves the check out."
        ) from None


def _machine(root: Path, allowed: Sequence[str]) -> _Machine:
    modules: dict[str, tuple[str | None, list[str] | None]] = {}
    lacks = set()
    for name in dict.fromkeys([*LAYER, *RUNTIME, *allowed]):
        try:
            spec = find_spec(name)
        except (ImportError, ValueError, AttributeError):
            spec = None
        if spec is None:
            lacks.add(name)
            continue
        folders = spec.submodule_search_locations
        file = spec.origin if spec.has_location else None
        modules[name] = (file, None if folders is None else [str(folder) for folder in folders])
    if "fluxio" in lacks:
        raise FluxioError(
            "the workflows cannot be checked, since the engine is not installed beside this command: "
            f"pip install fluxio=={client_version()}"
        )
    distributions = [*LAYER.values(), *RUNTIME.values()]
    if allowed:
        known = packages_distributions()  # on Python 3.10 only those that list their modules
        for name in allowed:
            top = name.split(".")[0]
            distributions += known.get(top, [top])
    site = [str(Path(folder).resolve()) for folder in sys.path if folder]
    request = check_workflows.Request(str(root), modules, distributions, site)
    return _Machine(request, frozenset(lacks) - {*allowed}, frozenset(allowed))


def import_workflows(request: check_workflows.Request) -> dict[str, Any]:
    """What `check_workflows` finds, in a Python that sees nothing else of this machine.

    Raises:
        Unusable: it takes too long, or the modules end the interpreter.
    """
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",  # Lambda sets one, and a module may make a client
        "AWS_REGION": "us-east-1",
        "FLUXIO_TABLE_NAME": "fluxio",
        "FLUXIO_QUEUE_URL": "https://sqs.us-east-1.amazonaws.com/000000000000/fluxio.fifo",
        **os.environ,
        "LAMBDA_TASK_ROOT": request.folder,
    }
    # Without this machine's site-packages and PYTHON* settings; text is UTF-8, as on Lambda.
    command = [sys.executable, "-I", "-S", "-B", "-X", "utf8", check_workflows.__file__]
    # Files, not pipes: what a module starts may keep a pipe open.
    with tempfile.TemporaryFile() as answer, tempfile.TemporaryFile() as said:
        try:
            done = subprocess.run(
                [*command, json.dumps(request._asdict())],
                cwd=request.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=answer,
                stderr=said,
                timeout=PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise Unusable(
                f"importing the workflows took more than {PATIENCE} s: a module does something when it is "
                f"imported. Move it into a step. {_GO_ON}"
            ) from None
        answer.seek(0)
        said.seek(0)
        try:
            found: dict[str, Any] = json.loads(answer.read())
        except ValueError:
            lines = said.read().decode("utf-8", "replace").strip().splitlines()
            last = lines[-1] if lines else "it said nothing"
            raise Unusable(
                f"importing the workflows ended the interpreter (exit {done.returncode}: {last})."
            ) from None
    return found
