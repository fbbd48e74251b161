"""Which open runs a deploy of a zip would park or fail: graphs in the table against steps in the zip."""

from __future__ import annotations

import zipfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from fluxio_client.cli.archive import UNZIPPED_LIMIT, File, read_folder, shown
from fluxio_client.cli.checks.finding import Finding, fail, ok, warn
from fluxio_client.cli.compiled import Target
from fluxio_client.cli.session import Session
from fluxio_client.cli.workflow_check import Unusable, check
from fluxio_client.listing import Listing
from fluxio_protocol.calls import BATCH_KEYS
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, StepStatus

AREA = "package"

#: Ids of runs that one line names.
NAMED = 3


class _Runs(NamedTuple):
    """Open runs of one version of a workflow; None as long as no worker has opened them."""

    workflow: str
    version: str | None

    def title(self, runs: list[Run]) -> str:
        which = f"{self.workflow}, version {self.version}" if self.version else self.workflow
        ids = ", ".join(shown(run.run_id) for run in runs[:NAMED])
        more = ", …" if len(runs) > NAMED else ""
        return f"{len(runs)} open run{'' if len(runs) == 1 else 's'} of {which} ({ids}{more})"


def findings(session: Session, package: Path) -> list[Finding]:
    """What a deploy of this package would do to the runs that are open now.

    Args:
        session: the deployment.
        package: the zip, or the folder that it is made of.

    Raises:
        InvalidInput: there is no such zip.
    """
    contents = read_folder(package) if package.is_dir() else _read_zip(package)
    with session.busy("importing the workflows …"):
        try:
            found = check(contents, Target.of(contents), [], None)
        except Unusable as error:
            return [fail(AREA, f"{shown(package)} would not work: {error}", "mend the package.")]
    deployed = {one["name"]: one for one in found.workflows}
    groups: defaultdict[_Runs, list[Run]] = defaultdict(list)
    for run in _open_runs(session):
        groups[_Runs(run.workflow, run.version)].append(run)
    said = [
        finding
        for which, runs in sorted(groups.items(), key=lambda group: str(group[0]))
        for finding in _of_version(session, which, runs, deployed)
    ]
    count = sum(map(len, groups.values()))
    return said or [
        ok(AREA, f"{shown(package)} has what the {count} open runs need, as far as types tell")
    ]


def _open_runs(session: Session) -> Iterator[Run]:
    """Every run that has not ended and is not parked."""
    ids = list(Listing(session.store).open(expected=1000))
    with session.progress("reading open runs", len(ids)) as bar:
        for first in range(0, len(ids), BATCH_KEYS):
            some = ids[first : first + BATCH_KEYS]
            runs = session.store.read_many(some)
            bar.advance(len(some))
            yield from (run for run in runs.values() if not run.ended and not run.parked)


def _of_version(
    session: Session, which: _Runs, runs: list[Run], deployed: Mapping[str, Mapping[str, Any]]
) -> Iterator[Finding]:
    workflow = deployed.get(which.workflow)
    title = which.title(runs)
    if workflow is None:
        what = "park" if which.version else "fail"
        yield fail(AREA, f"it has no workflow {which.workflow}; it would {what} {title}", _KEEP)
        return
    if not workflow["checked"]:
        yield warn(
            AREA, f"{which.workflow} cannot be imported here; not compared with {title}", _OTHER
        )
        return
    if which.version is None:
        return  # a worker opens them with the graph that it has then
    code = workflow["code"]
    graph: Graph | None = Graph.from_json(code["graph"])
    if which.version != workflow["version"]:
        graph = session.store.get_graph(which.workflow, which.version)
        if graph is None:
            text = (
                f"the graph of version {which.version} is not in the table; it would park {title}"
            )
            yield fail(AREA, text, f"deploy version {which.version} until they have ended.")
            return
    lacking: defaultdict[str, list[Run]] = defaultdict(list)
    unsupplied: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        for step in run.steps.values():
            if step.settled:
                continue
            if step.name not in code["steps"]:
                lacking[step.name].append(run)
            elif graph is not None:
                for name in _missing(step.name, run, graph, code):
                    unsupplied[step.name, name].append(run)
    for name, some in lacking.items():
        text = f"it has no step {name}; it would park {which.title(some)}, which still need it"
        yield fail(AREA, text, f"keep {name} as @step(retired=True) until they have ended.")
    for (name, parameter), some in unsupplied.items():
        text = f"nothing supplies {parameter!r} of {name} in {which.title(some)}; it would fail them there"
        yield fail(AREA, text, f"give {parameter!r} a default until they have ended.")


_KEEP = "keep the workflow in the package until they have ended."
_OTHER = "compare on the worker's Python and platform."


def _missing(step: str, run: Run, graph: Graph, code: Mapping[str, Any]) -> list[str]:
    """The parameters of a step that nothing supplies in this run; none where that cannot be told."""
    if not isinstance(given := run.input, (dict, type(None))) or run.input_ref:
        return []
    supplied = {*(given or ()), *(code["input"] or ()), *run.steps[step].awaits}
    for dependency in graph.depends_on[step]:
        supplied.add(dependency)
        names = _names(dependency, run, code)
        if names is None:
            return []
        supplied.update(names)
    return [name for name in code["steps"][step]["required"] if name not in supplied]


def _names(dependency: str, run: Run, code: Mapping[str, Any]) -> list[str] | None:
    """The names that a dependency supplies: of what it has returned, or will by its type."""
    before = run.steps[dependency]
    if before.status is not StepStatus.SUCCEEDED:
        later: list[str] | None = code["steps"].get(dependency, {"returns": None})["returns"]
        return later
    if before.output_json is None:
        return None
    return [*before.output] if isinstance(before.output, dict) else []


def _read_zip(package: Path) -> dict[str, File]:
    try:
        with zipfile.ZipFile(package) as archive:
            entries = [entry for entry in archive.infolist() if not entry.is_dir()]
            paths = [PurePosixPath(entry.filename) for entry in entries]
            if any(path.is_absolute() or ".." in path.parts for path in paths):
                raise InvalidInput(f"{shown(package)} has files that lie outside of it.")
            if sum(entry.file_size for entry in entries) > UNZIPPED_LIMIT:
                raise InvalidInput(f"{shown(package)} is larger unzipped than Lambda takes.")
            return {entry.filename: File(archive.read(entry)) for entry in entries}
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InvalidInput(f"{shown(package)} cannot be read as a zip: {error}.") from None
