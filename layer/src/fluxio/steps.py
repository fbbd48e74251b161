"""`@step`: a method becomes a step, with what the decorator and its signature say of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar, overload

from fluxio import marks, scope
from fluxio.binding import ALL_THERE, RESERVED, Signature, Soft
from fluxio.conversion import Converter
from fluxio.edges import SignalEdge
from fluxio.errors import BindingError, DefinitionError
from fluxio.retry import Retry
from fluxio.waits import MAX_AWAITS as MAX_AWAITS
from fluxio.waits import Dependency, define_awaits, define_deadline, define_dependencies
from fluxio.when import When
from fluxio_protocol import encoding
from fluxio_protocol.duration import Duration, in_seconds
from fluxio_protocol.edge import FAILED, Edge
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.node import Node, Timer

Function = TypeVar("Function", bound=Callable[..., Any])

#: A step's name becomes a part of message ids, which SQS limits to 128 characters.
MAX_STEP_NAME = 40

#: Seconds an attempt may take at most; a Lambda function's own limit is 900.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
MAX_TIMEOUT = 900

#: Seconds an attempt may take where the step does not say, or less if the function's timeout is shorter.
DEFAULT_TIMEOUT = 60

#: Types of parameters that a signal's default is held against without pydantic, unless it does not fit.
_PLAIN = (str, int, float, bool, list, dict)


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
    #: What must hold of the steps before, besides that the others of them have succeeded.
    edges: tuple[Edge, ...] = ()
    #: Those of the signals that say more than their name.
    signals: Mapping[str, SignalEdge] = MappingProxyType({})
    timer: Timer | None = None
    #: Milliseconds from when the steps before have ended, for all attempts and rounds.
    deadline: int | None = None
    #: What says whether its code runs.
    when: When | None = None
    #: Whether only runs opened with an older graph still have the step.
    retired: bool = False
    #: What checks the run's input, if the workflow says what that is.
    input: Converter | None = None

    @property
    def node(self) -> Node:
        """The step in its graph."""
        timeouts = {name: of.timeout for name, of in self.signals.items() if of.timeout}
        return Node(
            self.depends_on,
            self.awaits,
            edges=self.edges,
            when=self.when is not None,
            timer=self.timer,
            timeouts=timeouts,
            deadline=self.deadline,
        )

    @property
    def soft(self) -> frozenset[str]:
        """The steps that it depends on and that need not have succeeded."""
        return frozenset(source for edge in self.edges for source in edge.sources)

    @property
    def handled(self) -> frozenset[str]:
        """The steps whose failures it handles."""
        return frozenset(one for edge in self.edges if edge.kind == FAILED for one in edge.sources)

    def bound(self, workflow: str) -> Iterator[tuple[str, Signature]]:
        """What is called with values bound by name, and what errors call it."""
        yield f"{workflow}.{self.name}", self.signature
        if self.when is not None:
            yield f"{workflow}.{self.name}: when", self.when.signature

    def signal_problems(self, where: str, imported: bool = True) -> Iterator[str]:
        """Types of signals that cannot be checked, and defaults that do not fit the step's parameter.

        Args:
            where: what errors call the step.
            imported: whether pydantic may be imported, which some types need to be checked.
        """
        for name, edge in self.signals.items():
            if imported and edge.type not in (None, Any):
                try:
                    _ = signal_converter(edge.type, name).adapter
                except BindingError as error:
                    yield f"{where}: signal({name!r}): {error}"
            text = edge.timeout.default if edge.timeout else None
            if text is not None and (problem := self._default_problem(name, text, imported)):
                yield (
                    f"{where}: the default of signal({name!r}) does not fit the parameter {name!r}: {problem} "
                    "Pass another default, or change the annotation."
                )

    def _default_problem(self, name: str, text: str, imported: bool) -> str | None:
        default = json.loads(text)
        if name not in self.signature.parameters or name not in self.signature.annotations:
            return None
        if default is None:
            takes = self.signature.takes_none(name)
            return None if takes else "it is None, and the annotation takes no None."
        try:
            if imported or self.signature.type_of(name) in _PLAIN:
                self.signature.converter(name).convert(default)
        except BindingError as error:
            return str(error)
        return None

    def bind(
        self,
        input: Mapping[str, Any],
        outputs: Mapping[str, Any],
        context: Any,
        signals: Mapping[str, Any] | None = None,
        earlier: Callable[[], Mapping[str, Any]] = dict,
        soft: Soft = ALL_THERE,
    ) -> dict[str, Any]:
        """The arguments of one attempt; see `Signature.bind`.

        A step that depends on no other checks the run's input first: so no step's code runs on one that does
        not fit.

        Raises:
            BindingError: see `Signature.bind`; or the run's input does not fit the workflow's type.
        """
        if self.input is not None and not self.depends_on:
            self.input.convert(input)
        self._check_signals(signals or {}, soft)
        defaults = self.defaults(input)
        return self.signature.bind(input, outputs, context, signals, earlier, defaults, soft)

    def defaults(self, input: Any) -> Callable[[], Mapping[str, Any]]:
        """What the type of the workflow's input adds to one that leaves it out, once that is asked for."""
        check = self.input

        @cache
        def defaults() -> Mapping[str, Any]:
            if check is None:
                return {}
            try:
                tree = encoding.to_tree(check.convert(input))
            except encoding.Unstorable:  # a secret, for example: it has no form that could be bound
                return {}
            return tree if isinstance(tree, dict) else {}

        return defaults

    def _check_signals(self, signals: Mapping[str, Any], soft: Soft) -> None:
        """Hold payloads against the types that their signals say they have."""
        refused: dict[str, str] = {}
        for name, edge in self.signals.items():
            if edge.type is None or name not in signals or name in soft.lapsed:
                continue
            converter = signal_converter(edge.type, name)
            if edge.type is not Any:
                _ = converter.adapter  # a type that cannot be checked is not the payload's fault
            try:
                converter.convert(signals[name])
            except BindingError as error:
                refused[name] = str(error).removesuffix(f" {converter.remedy}")
        if refused:
            problems = " ".join(f"signal {name}: {problem}" for name, problem in refused.items())
            raise BindingError(
                f"{problems} The step waits for {', '.join(refused)} again: send a payload that fits.",
                signals=tuple(refused),
            )


def signal_converter(kind: Any, name: str) -> Converter:
    """What holds a payload against the type that its signal says it has."""
    return Converter(kind, name, "the payload", "Send one that does.")


@overload
def step(function: Function, /) -> Function: ...
@overload
def step(
    *,
    depends_on: Sequence[Dependency] = (),
    retry: int | Retry = 0,
    timeout: Duration | None = None,
    isolated: bool = False,
    awaits: Sequence[str] = (),
    retired: bool = False,
    when: Callable[..., Any] | None = None,
    deadline: Duration | None = None,
) -> Callable[[Function], Function]: ...
def step(
    function: Any = None,
    /,
    *,
    depends_on: Sequence[Dependency] = (),
    retry: int | Retry = 0,
    timeout: Duration | None = None,
    isolated: bool = False,
    awaits: Sequence[str] = (),
    retired: bool = False,
    when: Callable[..., Any] | None = None,
    deadline: Duration | None = None,
) -> Any:
    """Make a method of a workflow a step.

    Its parameters are bound by name: from the dicts that the steps it depends on returned, then from the run's
    input; a parameter named like such a step receives its whole output, one named `input` the whole input; one
    named `ctx` receives the `StepContext`. Annotated types are checked and converted by pydantic. What it
    returns must be JSON, or what pydantic can turn into JSON and back.

    Args:
        depends_on: the steps that must have succeeded before: their names, or the methods themselves. Besides,
            `maybe`, `failed`, `any_of` and `first_of`, which ask otherwise; `timer`, which waits for a time;
            and `signal`.
        retry: how often an attempt that raised is tried again: a number, short for `Retry(number)`, or a
            `Retry`. Default 0.
        timeout: seconds an attempt may take, or a timedelta; above 0 and at most 900 seconds. The worker's
            function must be allowed longer. Default 60, or less if the function's timeout is shorter.
        isolated: whether the step gets an invocation of its own in a fan-out, for heavy steps.
        awaits: names of signals (`FluxioClient.signal`) that must have arrived, too; at most 100, and 150
            different ones in a workflow. Nothing runs meanwhile,
            however long that takes. What a signal brings is bound to the parameter of its name, and to no
            other. If it does not fit the parameter's type, the step goes on waiting: send it again.
        when: a function that is called once the step is claimed, with parameters bound by name like the step's
            own. If what it returns is false, the step is SKIPPED: its code does not run, and steps that depend
            on it are skipped, unless by `maybe` or `any_of`. If it raises, the attempt has failed.
        deadline: seconds, or a timedelta, at most a year, that the step may take from when all that it depends
            on has ended: all attempts, backoffs and rounds (`Again`) together, and waiting for signals. If it
            is PENDING then, it fails with StepDeadline; an attempt under way may end.
        retired: whether the step is on its way out: new runs do not have it, runs that were opened with it
            still run it. Remove it when no open run needs it any more (`fluxio doctor --package`).

    Raises:
        DefinitionError: an argument cannot be used, or the class has two steps of this name.
    """

    def decorate(decorated: Any, frame: Any) -> Any:
        name = getattr(decorated, "__name__", "")
        owner = getattr(decorated, "__qualname__", name).rpartition(".")[0] or "workflow"
        where = f"{owner}.{name}"
        check_plain(decorated, where)
        if not name or not callable(decorated):
            raise DefinitionError(f"@step takes a method, not {decorated!r}.")
        # The class body's names: a second method of the same name silently replaces the first, and only here
        # are both visible.
        body = scope.class_body(frame)
        if marks.of((body or frame).f_locals.get(name)) is not None:
            raise DefinitionError(
                f"{where}: two steps have the name {name!r}; the second would replace the first. "
                "Rename one."
            )
        names = {} if body is None else scope.names_around(body)
        mark = _define_step(decorated, name, where, names, arguments)
        try:
            marks.put(decorated, mark, body)
        except (AttributeError, TypeError):
            raise DefinitionError(f"{where}: @step takes a method written in Python.") from None
        return decorated

    arguments = {
        "depends_on": depends_on,
        "retry": retry,
        "timeout": timeout,
        "isolated": isolated,
        "awaits": awaits,
        "retired": retired,
        "when": when,
        "deadline": deadline,
    }
    if function is not None:
        return decorate(function, sys._getframe(1))
    return lambda decorated: decorate(decorated, sys._getframe(1))


def check_plain(method: object, where: str) -> None:
    """Asked twice: `@step` may stand above `@staticmethod`, or below it."""
    if isinstance(method, (staticmethod, classmethod)):
        raise DefinitionError(
            f"{where}: a step is a plain method with self, not a {type(method).__name__}."
        )


def check_name(name: str, where: str) -> None:
    """Called twice, since the class may have the method under another name than its own.

    Raises:
        DefinitionError: no step can be called that.
    """
    if not name.isascii() or len(name) > MAX_STEP_NAME:
        raise DefinitionError(
            f"{where}: a step's name is at most {MAX_STEP_NAME} ASCII letters, digits and '_'. Rename it."
        )
    if name in RESERVED:
        raise DefinitionError(
            f"{where}: a step cannot be called {name!r}: a parameter of that name means something else. "
            "Rename it."
        )


def _define_step(
    function: Callable[..., Any],
    name: str,
    where: str,
    names: Mapping[str, Any],
    arguments: dict[str, Any],
) -> StepDefinition:
    retry, timeout = arguments["retry"], arguments["timeout"]
    check_name(name, where)
    waits = define_dependencies(arguments["depends_on"], where)
    awaits = define_awaits(arguments["awaits"], where)
    if twice := {*awaits} & waits.signals.keys():
        raise DefinitionError(
            f"{where}: the signals {sorted(twice)} stand in awaits and in depends_on. Take them out of awaits."
        )
    deadline = define_deadline(arguments["deadline"], waits, where)
    if type(retry) is int:
        try:
            retry = Retry(retry)
        except DefinitionError as error:
            raise DefinitionError(f"{where}: {error}") from None
    if not isinstance(retry, Retry):
        raise DefinitionError(f"{where}: retry is {retry!r}; pass a whole number or a Retry(…).")
    if timeout is not None:
        try:
            timeout = in_seconds(timeout, above=0, most=MAX_TIMEOUT)
        except InvalidInput as error:
            raise DefinitionError(
                f"{where}: timeout {error}: a Lambda function may not run longer."
            ) from None
    return StepDefinition(
        name=name,
        function=function,
        depends_on=waits.steps,
        retry=retry,
        timeout=timeout,
        isolated=bool(arguments["isolated"]),
        signature=Signature.of(function, where, names),
        awaits=define_awaits([*awaits, *waits.signals], where),
        edges=waits.edges,
        signals=MappingProxyType(waits.signals),
        timer=waits.timer,
        deadline=deadline,
        when=When.of(arguments["when"], where, names),
        retired=bool(arguments["retired"]),
    )
