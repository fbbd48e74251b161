"""The manifest: which workflows the user's zip has, in Python's own entry-point format.

    [fluxio.workflows]
    OrderFulfillment = orders.workflows:OrderFulfillment

It stands in `*.dist-info/entry_points.txt` (what `pip install --target` leaves) or in a bare
`entry_points.txt` at the zip's root. Whatever other sections say belongs to other programs and is not read.
A workflow's module is imported when the first run of it arrives.
"""

from __future__ import annotations

import codecs
import importlib
import os
import sys
import traceback
from collections.abc import Iterable
from pathlib import Path

from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import DeploymentError, UnknownWorkflow
from fluxio.raised import text_of, type_name

GROUP = "fluxio.workflows"

#: What Windows' editors and shells put before a text that they do not write as UTF-8.
_MARKS = {codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}


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
            found: object = importlib.import_module(module_name)
            # A module's own __getattr__ may import the class only now.
            for part in class_name.split("."):
                found = getattr(found, part, None)
            definition = definition_of(found)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # a module may raise anything, SystemExit and panics too
            raise DeploymentError(f"{place}, but {_import_problem(module_name, error)}") from error
        if definition is None:
            problem = "has no" if found is None else "does not decorate with @workflow its"
            raise DeploymentError(
                f"{place}, but the module {module_name} {problem} class {class_name!r}. Correct the "
                "entry or the module."
            )
        return definition


def _import_problem(module_name: str, error: BaseException) -> str:
    """What an import has raised, and what to do about it."""
    try:
        return _explain(module_name, error)
    except Exception:  # noqa: BLE001 - a user's exception may raise when it is asked for attributes
        said = f"{type_name(error)}: {text_of(error)}"
        return f"importing {module_name} raises {said}. Mend that and deploy again."


def _explain(module_name: str, error: BaseException) -> str:
    import platform
    from importlib.metadata import PackageNotFoundError

    if isinstance(error, PackageNotFoundError):
        return (
            f"importing {module_name} asks for the metadata of the distribution {error.name!r}"
            f"{_where(error)}, whose *.dist-info folder is not there. Put it into the worker's zip."
        )
    raised = f"importing {module_name} raises {type_name(error)}: {text_of(error)}{_where(error)}."
    if isinstance(error, ImportError) and (built := _built_for_another(error)):
        return (
            f"{raised} Was {built} built for another Python or processor than this worker's "
            f"({sys.implementation.cache_tag}, {platform.machine()})? Deploy a zip or a layer that was built "
            "for this one."
        )
    if not isinstance(error, ModuleNotFoundError) or error.name is None:
        return f"{raised} Mend that and deploy again."
    own = f"{module_name}.".startswith(f"{error.name}.")
    problem = (
        "there is" if own else f"{module_name} imports {error.name!r}{_where(error)}: there is"
    )
    remedy = ", or correct the entry" if own else ""
    return f"{problem} no module {error.name!r}. Put it into the worker's zip{remedy}."


def _built_for_another(error: ImportError) -> str | None:
    """A compiled file that is there, but that this interpreter does not load."""
    if (error.path or "").endswith((".so", ".pyd")) and "cannot import name" not in text_of(error):
        return Path(error.path or "").name
    package, _, name = (error.name or "").rpartition(".")
    if name and getattr(sys.modules.get(error.name or ""), "__file__", None) is None:
        for place in sys.path:  # not the package's __path__: a package that failed is forgotten
            for file in sorted(Path(place or ".", *package.split(".")).glob(f"{name}.*")):
                if file.suffix in (".so", ".pyd"):
                    return file.name
    return None


def _where(error: BaseException) -> str:
    """Where in the user's code it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [
        frame
        for frame in frames
        if "importlib" not in frame.filename
        and not frame.filename.startswith("<frozen")
        and frame.filename != __file__
    ]
    return f" ({Path(own[-1].filename).name}, line {own[-1].lineno})" if own else ""


def _parse(file: Path) -> dict[str, str]:
    """The entries of a manifest's own section."""

    def refusal(problem: str) -> DeploymentError:
        return DeploymentError(
            f"the manifest {file} cannot be read: {problem}. It needs a section [{GROUP}] with lines "
            "'Name = module:Class'."
        )

    try:
        lines = _decoded(file.read_bytes()).splitlines()
    except OSError as error:
        raise refusal(str(error)) from None
    entries: dict[str, str] = {}
    section = None
    for number, line in enumerate(map(str.strip, lines), start=1):
        if not line or line[0] in "#;":
            continue
        if line[0] == "[":
            section, closed, _ = line[1:].partition("]")
            if not closed and section.strip().startswith(GROUP):
                raise refusal(f"line {number} is {line!r}, without a closing bracket")
        elif section is None and not file.parent.name.endswith(".dist-info"):
            raise refusal(f"there is no section header before line {number}")
        elif section == GROUP:
            name, equals, target = (part.strip() for part in line.partition("="))
            if not (name and equals):
                raise refusal(f"line {number} is {line!r}")
            if "\ufffd" in line:
                raise refusal(f"line {number} is {line!r}, which is not UTF-8")
            if name in entries:
                raise DeploymentError(
                    f"the manifest {file} names {name!r} twice, again in line {number}. Rename one of them."
                )
            entries[name] = _checked(target, name, file)
    return entries


def _decoded(content: bytes) -> str:
    """The text of a file that any editor may have written; what is no text in it becomes U+FFFD."""
    return content.decode(_MARKS.get(content[:2], "utf-8-sig"), errors="replace")


def _checked(target: str, name: str, file: Path) -> str:
    module_name, colon, class_name = target.partition(":")
    if not (module_name and colon and class_name) or any(c.isspace() for c in target):
        raise DeploymentError(
            f"the manifest {file} has {name} = {target!r}; write 'module:Class' on the right."
        )
    return target
