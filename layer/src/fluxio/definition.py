"""`@workflow` and `@step`: a class becomes a checked graph of steps.

Everything that can be known to be wrong is said when the class is decorated, so at import, in the user's own
tests; each error names the workflow, the step and the remedy.
"""

from __future__ import annotations

import sys
import typing
import warnings
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from functools import cache
from graphlib import CycleError
from itertools import chain
from typing import Any, NamedTuple, TypeVar, overload

from fluxio import marks, scope, supply
from fluxio.binding import Signature
from fluxio.conversion import Converter
from fluxio.errors import BindingError, DefinitionError, DefinitionWarning
from fluxio.steps import MAX_AWAITS as MAX_AWAITS
from fluxio.steps import MAX_STEP_NAME as MAX_STEP_NAME
from fluxio.steps import StepDefinition as StepDefinition
from fluxio.steps import check_name, check_plain
from fluxio.steps import step as step
from fluxio_protocol import layout
from fluxio_protocol.duration import YEAR, Duration, in_seconds
from fluxio_protocol.edge import FIRST_OF
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.graph import Graph
from fluxio_protocol.new_run import DEFINITION
from fluxio_protocol.node import Node, SignalTimeout

Class = TypeVar("Class", bound=type)

#: Steps of one workflow at most: each costs the run item about 150 bytes, and so every write.
MAX_STEPS = 200

#: Steps that may depend on one step: its completion counts each of them up in one expression of 4 KB.
MAX_DEPENDENTS = 100

#: Signals that the steps may await, all steps taken together: the run item has a list for each step.
MAX_AWAITS_IN_ALL = 1_000

#: Steps that may await one signal: replacing its payload asks for each of them in one expression.
MAX_AWAITING = 100

#: Bytes that the graph may take as it is stored: DynamoDB's 400 KB for an item less its key and some room.
MAX_GRAPH_BYTES = 400_000

#: Seconds a run may be given: its long values are kept for a little more than a year.
MAX_RUN = YEAR


class WorkflowDefinition(NamedTuple):
    """A decorated class: its steps, checked, and their graph."""

    name: str
    cls: type
    #: All steps, retired ones too: a run opened with an older graph may still need those.
    steps: dict[str, StepDefinition]
    #: The graph of new runs, without retired steps.
    graph: Graph
    #: Seconds a run may take; None: as long as it needs.
    timeout: float | None = None
    #: The type of its input; None if it does not say.
    input: Any = None

    def check_input(self, input: Any) -> None:
        """Check an input as the first step's worker will.

        Args:
            input: the input as JSON has it.

        Raises:
            BindingError: it does not fit the type that the workflow says its input has.
        """
        if self.input is not None:
            _input_converter(self.input).convert(input)

    def annotation_problems(self) -> list[str]:
        """Annotations that cannot be read or checked, each of which would fail a step.

        To be asked when the class's module has been imported to its end: before that, a name may stand
        further below.
        """
        problems = [*supply.annotation_problems(self.name, self.steps)]
        if self.input is not None:
            try:
                _ = _input_converter(self.input).adapter
            except BindingError as error:
                problems.append(f"{self.name}: {error}")
        return problems

    def supply_problems(self) -> list[str]:
        """Whatever keeps the types from showing that each parameter is supplied, once, and by whom."""
        found = supply.check(self.name, self.steps, self.input, strict=True)
        return [finding.text for finding in found]

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The steps in layers, each of which can run when those before it are done."""
        return self.graph.waves


@overload
def workflow(cls: Class, /) -> Class: ...
@overload
def workflow(
    *, name: str | None = None, input: type | None = None, timeout: Duration | None = None
) -> Callable[[Class], Class]: ...
def workflow(
    cls: Any = None,
    /,
    *,
    name: str | None = None,
    input: type | None = None,
    timeout: Duration | None = None,
) -> Any:
    """Make a class a workflow: check its steps and lay out their graph.

    It warns (`DefinitionWarning`) where types tell that nothing supplies a parameter with a default, or that an
    output hides another value of the input.

    Args:
        name: what the workflow is called in the manifest and by `start`. Default: the class's name.
        input: a pydantic model, dataclass or TypedDict that says what a run's input is. A run whose input
            does not fit fails before any step's code runs. With it, a parameter that nothing can supply is
            found here instead of when the step runs, and names that an input leaves out have the type's
            defaults.
        timeout: seconds, or a timedelta, from its start after which a run that has not ended fails, at most
            31,536,000 seconds (a year). Steps under way are not interrupted; what they return is recorded.
            Default: none.

    Raises:
        DefinitionError: an unknown dependency, a cycle, a parameter that nothing can supply, no step at all,
            a step that another decorator hides, or a class that cannot be made without arguments.
    """
    if cls is None:
        return lambda decorated: _define(decorated, name, input, timeout)
    return _define(cls, name, input, timeout)


def _define(cls: Class, name: str | None, input: type | None, timeout: Any) -> Class:
    if not isinstance(cls, type):
        raise DefinitionError(f"@workflow takes a class, not {cls!r}.")
    name = name if name is not None else cls.__name__
    try:
        layout.check_workflow(name)
    except InvalidInput as error:
        raise DefinitionError(f"{cls.__name__}: {error}") from None
    if timeout is not None:
        try:
            timeout = in_seconds(timeout, above=0, most=MAX_RUN)
        except InvalidInput as error:
            raise DefinitionError(f"{name}: timeout {error}.") from None
    marks.check_kept(cls, name)
    steps = _find_steps(cls, name, _check_input_type(name, input))
    if not steps:
        raise DefinitionError(f"{name}: no method is a step. Mark at least one with @step.")
    in_new_runs = {step_name for step_name, one in steps.items() if not one.retired}
    if not in_new_runs:
        raise DefinitionError(f"{name}: every step is retired, so a new run would have none.")
    if len(in_new_runs) > MAX_STEPS:
        raise DefinitionError(
            f"{name}: {len(in_new_runs)} steps; at most {MAX_STEPS} fit a workflow. Divide it into several."
        )
    graph = _check_graph(name, steps)
    _check_constructor(cls, name)
    for finding in supply.check(name, steps, input):
        if finding.refuse:
            raise DefinitionError(finding.text)
        warnings.warn(finding.text, DefinitionWarning, stacklevel=3)
    setattr(cls, DEFINITION, WorkflowDefinition(name, cls, steps, graph, timeout, input))
    return cls


def _find_steps(cls: type, name: str, input: Converter | None) -> dict[str, StepDefinition]:
    steps: dict[str, StepDefinition] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            steps.pop(attribute, None)
            mark = marks.of(value)
            if not isinstance(mark, StepDefinition):
                continue
            where = f"{name}.{attribute}"
            check_plain(value, where)
            check_name(attribute, where)
            # An annotation sees the names of the class it is written in, and of no other: not those of a
            # class that inherits it.
            names = {**mark.signature.names, **scope.names_in(base)}
            # Another decorator over @step wraps the function and copies its marks: call that one.
            signature = Signature.of(value, where, names)
            steps[attribute] = mark._replace(
                name=attribute, function=value, signature=signature, input=input
            )
    return steps


def _check_input_type(name: str, kind: Any) -> Converter | None:
    if kind is None:
        return None
    converter = _input_converter(kind)
    if not (hasattr(kind, "model_fields") or is_dataclass(kind) or typing.is_typeddict(kind)):
        # Of the others the annotations may still be missing, and pydantic need not be imported now.
        try:
            _ = converter.adapter
        except BindingError as error:
            raise DefinitionError(
                f"{name}: {error}. Pass a pydantic model, a dataclass or a TypedDict to @workflow(input=…)."
            ) from None
    return converter


@cache
def _input_converter(kind: Any) -> Converter:
    return Converter(
        kind,
        "input",
        "the run's input",
        "Start a run with one that does, or change the type in @workflow(input=…).",
    )


def _check_graph(name: str, steps: dict[str, StepDefinition]) -> Graph:
    for step_name, definition in steps.items():
        for dep in definition.depends_on:
            if dep not in steps:
                known = ", ".join(sorted(steps))
                raise DefinitionError(
                    f"{name}.{step_name}: depends_on names {dep!r}, which is no step of {name}. "
                    f"Its steps are: {known}."
                )
            if steps[dep].retired and not definition.retired:
                raise DefinitionError(
                    f"{name}.{step_name}: depends_on names {dep!r}, which is retired, so a new run does not "
                    f"have it. Take it out of depends_on, or retire {step_name!r}, too."
                )
        for signal in definition.awaits:
            if signal in steps:
                raise DefinitionError(
                    f"{name}.{step_name}: waits for the signal {signal!r}, which is a step of {name}: depend "
                    "on it, or give the signal another name."
                )
    _check_signals(name, steps)
    try:
        waves = Graph({step_name: Node(step.depends_on) for step_name, step in steps.items()}).waves
    except CycleError as error:
        # graphlib lists each step before one that waits for it
        circle = " -> ".join(reversed(error.args[1]))
        raise DefinitionError(
            f"{name}: the steps depend on each other in a circle: {circle} "
            "(read '->' as 'depends on'). Remove one of these dependencies."
        ) from None
    _check_possible(name, steps, chain(*waves))
    graph = Graph({step_name: step.node for step_name, step in steps.items() if not step.retired})
    for step_name, names in graph.dependents.items():
        if len(names) > MAX_DEPENDENTS:
            raise DefinitionError(
                f"{name}.{step_name}: {len(names)} steps depend on it; at most {MAX_DEPENDENTS} may. "
                "Put a step between."
            )
    _check_size(name, graph)
    return graph


def _check_possible(name: str, steps: dict[str, StepDefinition], order: Iterable[str]) -> None:
    """A step that needs another one both to have succeeded and to have failed would be skipped in each run."""
    # By step: those that must have succeeded for it to begin, and those that must have failed.
    succeeded: dict[str, set[str]] = {}
    failed: dict[str, set[str]] = {}
    for step_name in order:
        definition = steps[step_name]
        plain = [dep for dep in definition.depends_on if dep not in definition.soft]
        needs = [*plain, *definition.handled]  # what has failed has begun, too
        succeeded[step_name] = {*plain}.union(*(succeeded[dep] for dep in needs))
        failed[step_name] = {*definition.handled}.union(*(failed[dep] for dep in needs))
        if both := sorted(succeeded[step_name] & failed[step_name]):
            raise DefinitionError(
                f"{name}.{step_name}: can never run: by its edges, and those of the steps it depends on, "
                f"{both[0]!r} must have succeeded and must have failed. Where one of two ways leads to a step, "
                "name them in any_of(…) or maybe(…)."
            )
        for edge in definition.edges:
            for late in edge.sources if edge.kind == FIRST_OF else ():
                if before := sorted(succeeded[late] & {*edge.sources}):
                    raise DefinitionError(
                        f"{name}.{step_name}: first_of({', '.join(edge.sources)}): {late!r} begins once "
                        f"{before[0]!r} has succeeded, which releases it. Take it out of first_of."
                    )


def _check_signals(name: str, steps: dict[str, StepDefinition]) -> None:
    """The first timeout of a signal that is over ends it for all steps, so all must say the same of it."""
    known: dict[str, tuple[str, SignalTimeout | None]] = {}
    for step_name, definition in steps.items():
        # pydantic takes longer to import than all else of a cold start: only what needs none is checked now.
        for problem in definition.signal_problems(
            f"{name}.{step_name}", imported="pydantic" in sys.modules
        ):
            raise DefinitionError(problem)
        for signal in definition.awaits:
            edge = definition.signals.get(signal)
            timeout = edge.timeout if edge else None
            first, other = known.setdefault(signal, (step_name, timeout))
            if timeout != other:
                raise DefinitionError(
                    f"{name}.{step_name}: the signal {signal!r} has another timeout or default here than in "
                    f"{first}. The first timeout that is over ends the signal for both: give them the same."
                )


def _check_size(name: str, graph: Graph) -> None:
    """Whatever becomes of a run of this graph, its item and the graph's own stay below DynamoDB's 400 KB."""
    awaited = [signal for names in graph.awaits.values() for signal in names]
    for count, most, what in (
        (len({*awaited}), layout.MAX_SIGNALS, "different signals"),
        (len(awaited), MAX_AWAITS_IN_ALL, "signals in all, counted for each step"),
    ):
        if count > most:
            raise DefinitionError(
                f"{name}: its steps await {count:,} {what}; at most {most:,} fit the item of a run. Send what "
                "they bring in fewer signals, or divide the workflow into several."
            )
    for signal in {*awaited}:
        if (count := awaited.count(signal)) > MAX_AWAITING:
            raise DefinitionError(
                f"{name}: {count} steps await the signal {signal!r}; at most {MAX_AWAITING} may. Let one step "
                "await it, and the others depend on that step."
            )
    if (size := len(graph.to_json())) > MAX_GRAPH_BYTES:
        edges = sum(map(len, graph.depends_on.values()))
        raise DefinitionError(
            f"{name}: the graph has {edges:,} dependencies and takes {size:,} bytes; at most "
            f"{MAX_GRAPH_BYTES:,} fit the item it is stored in. Put a step between steps that many wait "
            "for and those that wait for many, or give them shorter names."
        )


def _check_constructor(cls: type, name: str) -> None:
    abstract = sorted(getattr(cls, "__abstractmethods__", ()))
    if abstract or getattr(cls, "_is_protocol", False):
        lacks = f"lacks {', '.join(abstract)}" if abstract else "is a Protocol"
        raise DefinitionError(
            f"{name}: the class is abstract, and no step can be run of it: it {lacks}. Decorate a class that "
            "has all its methods."
        )
    own = {name for base in cls.__mro__[:-1] for name in vars(base)}
    if type(cls) is type and own.isdisjoint({"__init__", "__new__"}):
        return  # like most: `inspect` would parse the text signature of `object`, which takes milliseconds
    try:
        scope.signature_of(cls).bind()
    except TypeError as error:
        raise DefinitionError(
            f"{name}: the class is made anew for each attempt, without arguments, but its __init__ has "
            f"{error}. Give the parameters defaults."
        ) from None
    except ValueError:
        return  # no signature to be had, as for a class whose __init__ is written in C


def definition_of(cls: object) -> WorkflowDefinition | None:
    """What `@workflow` made of a class; None if it was not decorated itself."""
    found = vars(cls).get(DEFINITION) if isinstance(cls, type) else None
    return found if isinstance(found, WorkflowDefinition) else None
