"""One step of a run, with what it was given there: bound as the engine binds it, and run here."""

from __future__ import annotations

import os
import pdb
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from fluxio.again import Again
from fluxio.alarm import call_step
from fluxio.context import StepContext
from fluxio.errors import BindingError
from fluxio.given import Given, Inputs
from fluxio.manifest import Manifest
from fluxio.steps import StepDefinition
from fluxio_protocol import layout
from fluxio_protocol.clock import now_ms
from fluxio_protocol.errors import FluxioError, InvalidInput, PayloadError, RunNotFound
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, Step, StepStatus
from fluxio_protocol.store import Store

INPUT = "input"

#: Milliseconds until `ctx.deadline`. Nothing interrupts a replay: somebody may look at it.
_TIME = 3_600_000


class ReplayError(FluxioError):
    """The step cannot be run here."""


class Part(NamedTuple):
    """A part of what the step was given."""

    #: What it is called in the options: "input", or the name of a step or a signal.
    name: str
    #: What it is, for a person.
    what: str
    #: As JSON; None where it cannot be had.
    text: str | None
    #: Why it cannot be had; or where it comes from.
    remark: str


class Replay(NamedTuple):
    """A step that is ready to be run here."""

    run: Run
    step: Step
    definition: StepDefinition
    cls: type
    context: StepContext
    #: The arguments, as the engine binds them.
    arguments: dict[str, Any]
    parts: list[Part]
    #: The version of the graph of the code here.
    version: str
    #: Whether the step's `when` says that its code is not to run.
    declined: bool = False


class Outcome(NamedTuple):
    """What became of it."""

    seconds: float
    #: What it returned, as JSON; for an `Again`, the state that the next round would have.
    text: str | None = None
    #: Seconds after which it would be run again, if it asked for that.
    again: float | None = None
    #: What it raised, or what would be raised for what it returned.
    error: BaseException | None = None


def prepare(
    store: Store, folder: Path, run_id: str, step_name: str, instead: Mapping[str, str]
) -> Replay:
    """Read what a step was given, and bind it to the code of a folder.

    Args:
        store: the table, which is only read.
        folder: the user's code with its manifest.
        run_id: the run.
        step_name: the step.
        instead: values in the place of parts, as JSON: by "input", or the name of a step or a signal.

    Raises:
        RunNotFound: there is no such run.
        InvalidInput: the run has no such step, or `instead` names what is no part of what it is given.
        ReplayError: a part cannot be had, or the arguments cannot be bound.
        DeploymentError: the folder's code cannot be imported, or lacks the workflow.
    """
    found = store.read(layout.check_run_id(run_id))
    if found is None:
        raise RunNotFound(f"there is no run {run_id} in table {store.table_name}.")
    run = store.with_ended(found)
    os.environ["LAMBDA_TASK_ROOT"] = str(folder)
    sys.path.insert(0, str(folder))
    manifest = Manifest([folder, *sys.path])
    workflow = manifest.load(run.workflow)
    definition = workflow.steps.get(step_name)
    graph = store.get_graph(run.workflow, run.version) if run.version else workflow.graph
    if graph is None:
        graph = workflow.graph
    if definition is None or step_name not in graph.depends_on:
        raise InvalidInput(
            f"run {run_id} of {run.workflow} has no step {step_name!r} that is in this folder's code, too: "
            f"it has {', '.join(graph.depends_on)}, and the code {', '.join(workflow.steps)}."
        )
    step = run.steps.get(step_name) or Step(step_name, StepStatus.PENDING)
    parts = [*_parts(store, run, graph, step_name, instead)]
    if unknown := instead.keys() - {part.name for part in parts}:
        known = ", ".join(part.name for part in parts)
        raise InvalidInput(
            f"--with {sorted(unknown)[0]}: step {step_name} is given no such part; it is given: {known}."
        )
    if missing := [part for part in parts if part.text is None]:
        told = "; ".join(f"{part.what} {part.remark}" for part in missing)
        names = " ".join(f"--with {part.name}=JSON" for part in missing)
        raise ReplayError(
            f"step {step_name} of run {run_id} cannot be given what it had: {told}. To give it another value: "
            f"{names}."
        )
    run = _with_parts(run, graph, step_name, parts)
    inputs = Inputs(store, run_id)
    given = inputs.given(step_name, run, graph)
    if given.unreadable is not None:
        raise ReplayError(str(given.unreadable))
    context = StepContext(
        run_id,
        run.workflow,
        step_name,
        max(step.attempt, 1),
        now_ms() + _TIME,
        round=step.round,
        state=given.state,
        table=store.table_name,
        created_at=run.created_at,
        load=manifest.load,
    )
    try:
        arguments = definition.bind(
            given.input,
            given.outputs,
            context,
            given.signals,
            lambda: inputs.earlier(step_name, run, graph),
            given.soft,
        )
    except BindingError as error:
        raise ReplayError(f"step {step_name} of run {run_id} cannot be called: {error}") from error
    version = workflow.graph.version
    made = Replay(run, step, definition, workflow.cls, context, arguments, parts, version)
    return made._replace(declined=_is_declined(made, given))


def _is_declined(replay: Replay, given: Given) -> bool:
    when = replay.definition.when
    try:
        return when is not None and not when.holds(given, replay.context, replay.cls)
    except Exception as error:
        raise ReplayError(
            f"`when` of step {replay.step.name} raises {type(error).__name__}: {error}"
        ) from error


def _parts(
    store: Store, run: Run, graph: Graph, step_name: str, instead: Mapping[str, str]
) -> Iterator[Part]:
    def part(name: str, what: str, text: str | None, ref: str | None) -> Part:
        if name in instead:
            return Part(name, what, instead[name], "given here")
        if text is None and ref is not None:
            try:
                return Part(
                    name, what, store.payloads.get(run.run_id, ref), "from an item of its own"
                )
            except FluxioError:
                return Part(
                    name, what, None, f"is gone: its item {ref!r} was deleted, or has expired"
                )
        return Part(name, what, text, "from the run's item")

    yield part(INPUT, "the run's input", run.input_json, run.input_ref)
    began = step_name in run.steps and run.steps[step_name].attempt > 0
    for dependency in graph.depends_on[step_name]:
        step = run.steps.get(dependency)
        status = StepStatus.PENDING if step is None else step.status
        what = f"the output of {dependency}"
        if step is not None and status is StepStatus.SUCCEEDED:
            found = part(dependency, what, step.output_json, step.output_ref)
            if found.text is None and step.output_ref is None:
                found = found._replace(
                    remark="is gone: the archive with the step's record is not there"
                )
        else:
            found = part(dependency, what, None, None)
            if found.text is None:
                # It was begun without, as an edge allows; or it is skipped, or failed and that was handled.
                without = began or (step is not None and step.settled)
                found = found._replace(
                    text="" if without else None, remark=f"is not there: the step is {status}"
                )
        yield found
    for signal in graph.awaits.get(step_name, ()):
        what = f"the payload of signal {signal}"
        if signal in run.signals_json:
            text = run.signals_json[signal] or None
            yield part(signal, what, text, layout.signal_ref(signal))
        else:
            found = part(signal, what, None, None)
            yield found._replace(remark="is not there: the signal has not come")


def _with_parts(run: Run, graph: Graph, step_name: str, parts: list[Part]) -> Run:
    """The run, with these parts where the engine looks for them."""
    texts = {part.name: part.text for part in parts}
    steps = dict(run.steps)
    for name in graph.depends_on[step_name]:
        if not texts[name]:
            steps.setdefault(name, Step(name, StepStatus.PENDING))
            continue
        step = steps.get(name) or Step(name, StepStatus.SUCCEEDED)
        steps[name] = replace(
            step, status=StepStatus.SUCCEEDED, attempt=max(step.attempt, 1), output_json=texts[name]
        )
    signals = {name: texts[name] for name in graph.awaits.get(step_name, ())}
    steps[step_name] = steps.get(step_name) or Step(
        step_name, StepStatus.PENDING, awaits=tuple(signals)
    )
    return replace(
        run, steps=steps, input_json=texts[INPUT], signals_json={**run.signals_json, **signals}
    )


def execute(replay: Replay, debug: bool) -> Outcome:
    """Run the step's code.

    Args:
        replay: the step.
        debug: whether to stop at its first line, and where it raises.
    """
    where = f"run {replay.run.run_id} step {replay.step.name}: the output"
    began = time.monotonic()
    try:
        instance = replay.cls()
        if debug:
            debugger = pdb.Pdb(nosigint=True)
            value = debugger.runcall(replay.definition.function, instance, **replay.arguments)
        else:
            value = call_step(replay.definition.function, instance, replay.arguments)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - a step may raise what it likes
        if debug and error.__traceback__ is not None:
            _look_at(error.__traceback__)
        return Outcome(time.monotonic() - began, error=error)
    seconds = time.monotonic() - began
    try:
        if isinstance(value, Again):
            state = layout.encode(value.state, f"{where}: the state for its next round")
            return Outcome(seconds, state, value.milliseconds / 1000)
        return Outcome(seconds, layout.encode(value, where))
    except PayloadError as error:
        return Outcome(seconds, error=error)


def _look_at(traceback: TracebackType) -> None:
    debugger = pdb.Pdb(nosigint=True)
    debugger.reset()
    debugger.interaction(None, traceback)


def traceback_of(error: BaseException) -> str:
    """The traceback from the step's first line on."""
    from traceback import TracebackException

    told = TracebackException.from_exception(error)
    engine = str(Path(__file__).parents[1])
    frames = [*told.stack]
    while frames and (frames[0].filename.startswith(engine) or _is_debuggers(frames[0].filename)):
        frames.pop(0)
    told.stack[:] = frames
    return "".join(told.format()).rstrip()


def _is_debuggers(file: str) -> bool:
    return Path(file).name in ("pdb.py", "bdb.py")
