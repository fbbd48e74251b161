"""The manifest: which workflows the user's zip has, in Python's own entry-point format.

    [fluxio.workflows]
    OrderFulfillment = orders.workflows:OrderFulfillment

It stands in `*.dist-info/entry_points.txt` (what `pip install --target` leaves) or in a bare
`entry_points.txt` at the zip's root. A workflow's module is imported when the first run of it arrives.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from configparser import (
    ConfigParser,
    DuplicateOptionError,
    MissingSectionHeaderError,
    ParsingError,
)
from configparser import Error as ConfigError
from pathlib import Path

from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import DeploymentError, UnknownWorkflow

GROUP = "fluxio.workflows"


class Manifest:
    """The workflows of a deployment.

    Args:
        folders: where to look; by default the function's own folder (LAMBDA_TASK_ROOT) and sys.path.
    """

    def __init__(self, folders: Iterable[str | Path] | None = None) -> None:
        if folders is None:
            folders = [os.environ.get("LAMBDA_TASK_ROOT", ""), *sys.path]
        self._folders = list(dict.fromkeys(Path(folder or ".").resolve() for folder in folders))
        self._entries: dict[str, tuple[str, Path]] | None = None
        self._loaded: dict[str, WorkflowDefinition] = {}

    def entries(self) -> dict[str, str]:
        """Each workflow's name and the `module:Class` that holds it.

        Raises:
            DeploymentError: a manifest cannot be parsed, or two entries have one name.
        """
        if self._entries is None:
            self._entries = self._read()
        return {name: target for name, (target, _) in self._entries.items()}

    def _read(self) -> dict[str, tuple[str, Path]]:
        found: dict[str, tuple[str, Path]] = {}
        for file in self._files():
            for name, target in _parse(file).items():
                other = found.setdefault(name, (target, file))
                if other != (target, file) and other[0] != target:
                    raise DeploymentError(
                        f"the manifests {other[1]} and {file} both name a workflow {name!r}, as "
                        f"{other[0]} and as {target}. Rename one of them."
                    )
        return found

    def _files(self) -> list[Path]:
        files: list[Path] = []
        for folder in self._folders:
            if folder.is_dir():
                files += [folder / "entry_points.txt"]
                files += sorted(folder.glob("*.dist-info/entry_points.txt"))
        return [file for file in files if file.is_file()]

    def load(self, name: str) -> WorkflowDefinition:
        """Import a workflow.

        Raises:
            UnknownWorkflow: no manifest names it.
            DeploymentError: a manifest cannot be read, or its module or class is missing or broken.
        """
        if name not in self._loaded:
            self._loaded[name] = self._load(name)
        return self._loaded[name]

    def _load(self, name: str) -> WorkflowDefinition:
        entries = self.entries()
        if not entries:
            raise DeploymentError(
                f"the worker's zip has no manifest that names a workflow. Put an entry_points.txt with a "
                f"section [{GROUP}] and lines 'Name = module:Class' at its root, deploy it, and redrive "
                "the run."
            )
        if name not in entries:
            raise UnknownWorkflow(
                f"this deployment has no workflow {name!r}; it has: {', '.join(sorted(entries))}. Start "
                f"a run of one of these, or add {name} to the manifest (entry_points.txt, section "
                f"[{GROUP}]) of the worker's zip, deploy it, and redrive the run."
            )
        target, file = self._entries[name] if self._entries else ("", Path())
        place = f"{file.name} names {name} = {target}"
        module_name, _, class_name = target.partition(":")
        try:
            module = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            own = error.name is None or f"{module_name}.".startswith(f"{error.name}.")
            problem = (
                "there is"
                if own
                else f"{module_name} imports {error.name!r}{_where(error)}: there is"
            )
            remedy = ", or correct the entry" if own else ""
            raise DeploymentError(
                f"{place}, but {problem} no module {error.name!r}. Put it into the worker's zip{remedy}."
            ) from error
        except (Exception, SystemExit) as error:
            raise DeploymentError(
                f"{place}, but importing {module_name} raises {type(error).__name__}: "
                f"{error}{_where(error)}. Mend that and deploy again."
            ) from error
        found: object = module
        for part in class_name.split("."):
            found = getattr(found, part, None)
        definition = definition_of(found)
        if definition is None:
            problem = "has no" if found is None else "does not decorate with @workflow its"
            raise DeploymentError(
                f"{place}, but the module {module_name} {problem} class {class_name!r}. Correct the "
                "entry or the module."
            )
        return definition


def _where(error: BaseException) -> str:
    """Where in the user's code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if "importlib" not in frame.filename and frame.filename != __file__
    ]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _parse(file: Path) -> dict[str, str]:
    parser = ConfigParser(delimiters=("=",), interpolation=None, strict=True)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except DuplicateOptionError as error:
        raise DeploymentError(
            f"the manifest {file} names {error.option!r} twice, again in line {error.lineno}. "
            "Rename one of them."
        ) from None
    except (ConfigError, UnicodeDecodeError) as error:
        if isinstance(error, MissingSectionHeaderError):
            problem = f"File contains no section headers before its line {error.lineno}"
        elif isinstance(error, ParsingError):
            problem = "line {} is {}".format(*error.errors[0])
        else:
            problem = " ".join(str(error).split())
        raise DeploymentError(
            f"the manifest {file} cannot be read: {problem}. It needs a section [{GROUP}] with lines "
            "'Name = module:Class'."
        ) from None
    entries = dict(parser[GROUP]) if parser.has_section(GROUP) else {}
    for name, target in entries.items():
        module_name, colon, class_name = target.partition(":")
        if not (module_name and colon and class_name) or any(c.isspace() for c in target):
            raise DeploymentError(
                f"the manifest {file} has {name} = {target!r}; write 'module:Class' on the right."
            )
    return entries
