"""`@workflow` and `@step`: a class becomes a checked graph of steps.

Everything that can be known to be wrong is said when the class is decorated, so at import, in the user's own
tests; each error names the workflow, the step and the remedy.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from graphlib import CycleError
from typing import Any, NamedTuple, TypeVar, overload

from fluxio.binding import Signature
from fluxio.errors import DefinitionError
from fluxio.retry import Retry
from fluxio_client import layout
from fluxio_client.errors import InvalidInput
from fluxio_client.graph import Graph

Function = TypeVar("Function", bound=Callable[..., Any])
Class = TypeVar("Class", bound=type)

#: Steps of one workflow at most: each costs the run item about 150 bytes, and so every write.
MAX_STEPS = 200

#: Steps that may depend on one step: its completion counts each of them up in one expression of 4 KB.
MAX_DEPENDENTS = 100

#: Signals that one step may await: its claim asks for each of them in one expression.
MAX_AWAITS = 100

#: Signals that the steps may await, all steps taken together: the run item has a list for each step.
MAX_AWAITS_IN_ALL = 1_000

#: A step's name becomes a part of message ids, which SQS limits to 128 characters.
MAX_STEP_NAME = 40

#: Seconds an attempt may take at most; a Lambda function's own limit is 900.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_TIMEOUT = 900

#: Seconds a run may be given: its long values are kept for a little more than a year.
MAX_RUN = 31_536_000

#: Seconds an attempt may take where the step does not say, or less if the function's timeout is shorter.
DEFAULT_TIMEOUT = 60

_STEP = "__fluxio_step__"
_WORKFLOW = "__fluxio_workflow__"


class StepDefinition(NamedTuple):
    """What `@step` says of a method."""

    name: str
    function: Callable[..., Any]
    depends_on: tuple[str, ...]
    retry: Retry
    #: Seconds; None means DEFAULT_TIMEOUT, or less if the function's timeout is shorter.
    timeout: float | None
    isolated: bool
    signature: Signature
    #: Signals that must have arrived, too.
    awaits: tuple[str, ...] = ()
    #: Whether only runs opened with an older graph still have the step.
    retired: bool = False


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

    @property
    def waves(self) -> tuple[tuple[str, ...], ...]:
        """The steps in layers, each of which can run when those before it are done."""
        return self.graph.waves


@overload
def step(function: Function, /) -> Function: ...
@overload
def step(
    *,
    depends_on: Sequence[str] = (),
    retry: int | Retry = 0,
    timeout: float | None = None,
    isolated: bool = False,
    awaits: Sequence[str] = (),
    retired: bool = False,
) -> Callable[[Function], Function]: ...
def step(
    function: Any = None,
    /,
    *,
    depends_on: Sequence[str] = (),
    retry: int | Retry = 0,
    timeout: float | None = None,
    isolated: bool = False,
    awaits: Sequence[str] = (),
    retired: bool = False,
) -> Any:
    """Make a method of a workflow a step.

    Its parameters are bound by name: from the run's input, then from the dicts that the steps it depends on
    returned; a parameter named like such a step receives its whole output; one named `ctx` receives the
    `StepContext`. Annotated types are checked and converted by pydantic. What it returns must be JSON, or
    what pydantic can turn into JSON.

    Args:
        depends_on: names of the steps that must have succeeded before.
        retry: how often an attempt that raised is tried again: a number, short for `Retry(number)`, or a
            `Retry`. Default 0.
        timeout: seconds an attempt may take, above 0 and at most 900; the worker's function must be allowed
            longer. Default 60, or less if the function's timeout is shorter.
        isolated: whether the step gets an invocation of its own in a fan-out, for heavy steps.
        awaits: names of signals (`FluxioClient.signal`) that must have arrived, too. Nothing runs meanwhile,
            however long that takes. What a signal brings is bound as a dependency's output is.
        retired: whether the step is on its way out: new runs do not have it, runs that were opened with it
            still run it. Remove it when no open run needs it any more (`fluxio doctor --package`).

    Raises:
        DefinitionError: an argument cannot be used, or the class has two steps of this name.
    """

    def decorate(decorated: Any, namespace: dict[str, Any]) -> Any:
        name = getattr(decorated, "__name__", "")
        owner = getattr(decorated, "__qualname__", name).rpartition(".")[0] or "workflow"
        where = f"{owner}.{name}"
        _check_plain(decorated, where)
        if not name or not callable(decorated):
            raise DefinitionError(f"@step takes a method, not {decorated!r}.")
        if hasattr(namespace.get(name), _STEP):
            raise DefinitionError(
                f"{where}: two steps have the name {name!r}; the second would replace the first. "
                "Rename one."
            )
        setattr(decorated, _STEP, _define_step(decorated, name, where, arguments))
        return decorated

    arguments = {
        "depends_on": depends_on,
        "retry": retry,
        "timeout": timeout,
        "isolated": isolated,
        "awaits": awaits,
        "retired": retired,
    }
    # The class body's names: a second method of the same name silently replaces the first, and only here
    # are both to be seen.
    if function is not None:
        return decorate(function, sys._getframe(1).f_locals)
    return lambda decorated: decorate(decorated, sys._getframe(1).f_locals)


def _check_plain(method: object, where: str) -> None:
    """Asked twice: `@step` may stand above `@staticmethod`, or below it."""
    if isinstance(method, (staticmethod, classmethod)):
        raise DefinitionError(
            f"{where}: a step is a plain method with self, not a {type(method).__name__}."
        )


def _define_step(
    function: Callable[..., Any], name: str, where: str, arguments: dict[str, Any]
) -> StepDefinition:
    depends_on, retry, timeout = arguments["depends_on"], arguments["retry"], arguments["timeout"]
    if not name.isascii() or len(name) > MAX_STEP_NAME:
        raise DefinitionError(
            f"{where}: a step's name is at most {MAX_STEP_NAME} ASCII letters, digits and '_'. Rename it."
        )
    if not isinstance(depends_on, (list, tuple, set, frozenset)) or not all(
        isinstance(dep, str) for dep in depends_on
    ):
        raise DefinitionError(
            f'{where}: depends_on is {depends_on!r}; pass a list of step names: depends_on=["…"].'
        )
    if len({*depends_on}) < len(depends_on):
        raise DefinitionError(f"{where}: depends_on names a step twice: {list(depends_on)}.")
    if type(retry) is int:
        try:
            retry = Retry(retry)
        except DefinitionError as error:
            raise DefinitionError(f"{where}: {error}") from None
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{where}: retry is {retry!r}; pass a whole number or a Retry(…).")
    if timeout is not None and (
        type(timeout) not in (int, float) or not 0 < timeout <= MAX_TIMEOUT
    ):
        raise DefinitionError(
            f"{where}: timeout is {timeout!r}; pass seconds above 0 and at most {MAX_TIMEOUT}, "
            "the longest a Lambda function may run."
        )
    return StepDefinition(
        name=name,
        function=function,
        depends_on=tuple(depends_on),
        retry=retry,
        timeout=timeout,
        isolated=bool(arguments["isolated"]),
        signature=Signature.of(function, where),
        awaits=_define_awaits(arguments["awaits"], where),
        retired=bool(arguments["retired"]),
    )


def _define_awaits(awaits: Any, where: str) -> tuple[str, ...]:
    if not isinstance(awaits, (list, tuple)):
        raise DefinitionError(
            f'{where}: awaits is {awaits!r}; pass a list of names of signals: awaits=["…"].'
        )
    for name in awaits:
        try:
            layout.check_signal(name)
        except InvalidInput as error:
            raise DefinitionError(f"{where}: awaits: {error}") from None
    if len({*awaits}) < len(awaits):
        raise DefinitionError(f"{where}: awaits names a signal twice: {list(awaits)}.")
    if len(awaits) > MAX_AWAITS:
        raise DefinitionError(
            f"{where}: awaits names {len(awaits)} signals; at most {MAX_AWAITS} fit the condition of one "
            "write. Let several steps await them, or send what they bring in fewer signals."
        )
    return tuple(awaits)


@overload
def workflow(cls: Class, /) -> Class: ...
@overload
def workflow(
    *, name: str | None = None, input: type | None = None, timeout: float | None = None
) -> Callable[[Class], Class]: ...
def workflow(
    cls: Any = None,
    /,
    *,
    name: str | None = None,
    input: type | None = None,
    timeout: float | None = None,
) -> Any:
    """Make a class a workflow: check its steps and lay out their graph.

    Args:
        name: what the workflow is called in the manifest and by `start`. Default: the class's name.
        input: a pydantic model, dataclass or TypedDict that says which names a run's input has. With it,
            a parameter that nothing can supply is found here instead of when the step runs.
        timeout: seconds from its start after which a run that has not ended fails, at most 31,536,000 (a
            year). Steps under way are not interrupted; what they return is recorded. Default: none.

    Raises:
        DefinitionError: an unknown dependency, a cycle, a parameter that nothing can supply, no step at all,
            or a class that cannot be made without arguments.
    """
    if cls is None:
        return lambda decorated: _define(decorated, name, input, timeout)
    return _define(cls, name, input, timeout)


def _define(cls: Class, name: str | None, input: type | None, timeout: float | None) -> Class:
    if not isinstance(cls, type):
        raise DefinitionError(f"@workflow takes a class, not {cls!r}.")
    name = name if name is not None else cls.__name__
    try:
        layout.check_workflow(name)
    except InvalidInput as error:
        raise DefinitionError(f"{cls.__name__}: {error}") from None
    if timeout is not None and (type(timeout) not in (int, float) or not 0 < timeout <= MAX_RUN):
        raise DefinitionError(
            f"{name}: timeout is {timeout!r}; pass seconds above 0 and at most {MAX_RUN:,}, a year."
        )
    steps: dict[str, StepDefinition] = {}
    for base in reversed(cls.__mro__):
        for attribute, value in vars(base).items():
            steps.pop(attribute, None)
            # A static or class method does not pass on the marks of the function in it.
            found = getattr(getattr(value, "__func__", value), _STEP, None)
            if isinstance(found, StepDefinition):
                _check_plain(value, f"{name}.{attribute}")
                # Another decorator over @step wraps the function and copies its marks: call that one.
                steps[attribute] = found._replace(function=value)
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
    for definition in steps.values():
        definition.signature.check_suppliers(
            f"{name}.{definition.name}",
            definition.depends_on,
            {other: steps[other].signature for other in definition.depends_on},
            in_new_runs,  # a parameter may be named like a retired step: older graphs supply it
            None if definition.awaits else input,  # what a signal brings, no type tells
        )
    setattr(cls, _WORKFLOW, WorkflowDefinition(name, cls, steps, graph, timeout))
    return cls


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
                    f"{name}.{step_name}: awaits names {signal!r}, which is a step of {name}: depend on "
                    "it, or give the signal another name."
                )
    try:
        _ = Graph({step_name: step.depends_on for step_name, step in steps.items()}).waves
    except CycleError as error:
        # graphlib lists each step before one that waits for it
        circle = " -> ".join(reversed(error.args[1]))
        raise DefinitionError(
            f"{name}: the steps depend on each other in a circle: {circle} "
            "(read '->' as 'depends on'). Remove one of these dependencies."
        ) from None
    in_new_runs = {step_name: step for step_name, step in steps.items() if not step.retired}
    graph = Graph(
        {step_name: step.depends_on for step_name, step in in_new_runs.items()},
        {step_name: step.awaits for step_name, step in in_new_runs.items() if step.awaits},
    )
    for step_name, names in graph.dependents.items():
        if len(names) > MAX_DEPENDENTS:
            raise DefinitionError(
                f"{name}.{step_name}: {len(names)} steps depend on it; at most {MAX_DEPENDENTS} may. "
                "Put a step between."
            )
    _check_size(name, graph)
    return graph


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
    if (size := len(graph.to_json())) > layout.PAYLOAD_BYTES:
        edges = sum(map(len, graph.depends_on.values()))
        raise DefinitionError(
            f"{name}: the graph has {edges:,} dependencies and takes {size:,} bytes; at most "
            f"{layout.PAYLOAD_BYTES:,} fit the item it is stored in. Put a step between steps that many wait "
            "for and those that wait for many, or give them shorter names."
        )


def _check_constructor(cls: type, name: str) -> None:
    import inspect

    try:
        inspect.signature(cls).bind()
    except TypeError as error:
        raise DefinitionError(
            f"{name}: the class is made anew for each attempt, without arguments, but its __init__ has "
            f"{error}. Give the parameters defaults."
        ) from None
    except ValueError:
        return  # no signature to be had, as for a class that leaves __init__ to object


def definition_of(cls: object) -> WorkflowDefinition | None:
    """What `@workflow` made of a class; None if it was not decorated itself."""
    found = vars(cls).get(_WORKFLOW) if isinstance(cls, type) else None
    return found if isinstance(found, WorkflowDefinition) else None
