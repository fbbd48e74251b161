"""A step's parameters: which there are, and the values for one attempt."""

from __future__ import annotations

import inspect
import typing
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, UnionType
from typing import Any, NamedTuple, TypeVar

from fluxio import scope
from fluxio.conversion import Converter
from fluxio.errors import BindingError, DefinitionError
from fluxio.log import log
from fluxio_protocol.encoding import same
from fluxio_protocol.run import Failure

#: The parameters that the engine supplies itself: the attempt's StepContext, and the run's whole input.
CONTEXT = "ctx"
INPUT = "input"

#: What no step and no signal can be called, because a parameter of this name means something else.
RESERVED = frozenset({"self", CONTEXT, INPUT})


class Soft(NamedTuple):
    """What the steps before, and signals, do not bring, because it is not needed for a step to begin."""

    #: The steps that it depends on and that have not succeeded.
    absent: frozenset[str] = frozenset()
    #: Why those failed whose failures it handles.
    failures: Mapping[str, Failure] = MappingProxyType({})
    #: The signals that have not come in time, so that their defaults are bound.
    lapsed: frozenset[str] = frozenset()


ALL_THERE = Soft()


@dataclass(frozen=True)
class Signature:
    """The parameters of a step's method, without `self`."""

    function: Callable[..., Any]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_rest: bool
    #: The annotations as the function has them, `return` among them.
    annotations: Mapping[str, Any] = field(default_factory=dict, compare=False)
    #: Names of the scopes between the module and the method: of its class's body, of functions around it.
    names: Mapping[str, Any] = field(default_factory=dict, compare=False)
    _types: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)
    _converters: dict[str, Converter] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        function: Callable[..., Any],
        where: str,
        names: Mapping[str, Any] | None = None,
        is_method: bool = True,
    ) -> Signature:
        """Read the parameters, those after `self` if it is a method.

        Raises:
            DefinitionError: there is no `self`, or parameters that cannot be bound by name; or what is called
                returns a coroutine or a generator.
        """
        if is_deferred(function) or is_deferred(vars(type(function)).get("__call__")):
            raise DefinitionError(
                f"{where}: a step is a plain method. Of a coroutine, call asyncio.run(…) inside it; of a "
                "generator, return list(…)."
            )
        try:
            signature = scope.signature_of(function)
        except (TypeError, ValueError):
            raise DefinitionError(f"{where}: @step takes a method written in Python.") from None
        parameters = list(signature.parameters.values())
        if (is_method and not parameters) or (
            is_method
            and parameters[0].kind
            not in (
                inspect.Parameter.POSITIONAL_ONLY,
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
            )
        ):
            raise DefinitionError(f"{where}: a step is a method: its first parameter must be self.")
        required, optional, takes_rest = [], [], False
        parameters = parameters[1:] if is_method else parameters
        for parameter in parameters:
            if parameter.kind is inspect.Parameter.VAR_KEYWORD:
                takes_rest = True
            elif parameter.kind in (
                inspect.Parameter.VAR_POSITIONAL,
                inspect.Parameter.POSITIONAL_ONLY,
            ):
                raise DefinitionError(
                    f"{where}: the parameter {parameter} cannot be bound by name. "
                    "Steps take named parameters, and **kwargs for the rest."
                )
            elif parameter.default is inspect.Parameter.empty:
                required.append(parameter.name)
            else:
                optional.append(parameter.name)
        annotated = {one.name: one.annotation for one in parameters}
        annotated["return"] = signature.return_annotation
        empty = inspect.Signature.empty
        annotated = {name: one for name, one in annotated.items() if one is not empty}
        kept = scope.needed(names or {}, annotated.values())
        return cls(function, tuple(required), tuple(optional), takes_rest, annotated, kept)

    @property
    def parameters(self) -> tuple[str, ...]:
        """All of them that have names."""
        return (*self.required, *self.optional)

    def type_of(self, name: str) -> Any:
        """The type that a parameter, or `return`, is annotated with; Any if it is not.

        Raises:
            BindingError: the annotation cannot be read.
        """
        if name not in self.annotations:
            return Any
        if name not in self._types:
            try:
                self._types[name] = scope.read(
                    self.function, name, self.annotations[name], self.names
                )
            except Exception as error:  # whatever evaluating a user's annotation raises
                of = "what it returns" if name == "return" else f"the parameter {name!r}"
                raise BindingError(
                    f"the annotation of {of} cannot be read: {error}. Import the name at run time, not only "
                    "under TYPE_CHECKING, and in the module, the class or a function around it."
                ) from error
        return self._types[name]

    @property
    def returned(self) -> Any:
        """The annotated type of the output; None if it does not say."""
        try:
            return self.type_of("return") if "return" in self.annotations else None
        except BindingError:
            return None

    @property
    def hint(self) -> str:
        """What may help where nothing supplies a parameter of a decorated method."""
        if not hasattr(self.function, "__wrapped__"):
            return ""
        return (
            " If a decorator of the step passes it, let the decorator set __signature__ to the parameters "
            "that are left to supply."
        )

    def converter(self, name: str) -> Converter:
        """What turns the value of a parameter into its type."""
        if name not in self._converters:
            self._converters[name] = Converter(
                self.type_of(name),
                name,
                f"the value of the parameter {name!r}",
                "Hand over a value that does, or change the annotation.",
            )
        return self._converters[name]

    def bind(
        self,
        input: Mapping[str, Any],
        outputs: Mapping[str, Any],
        context: Any,
        signals: Mapping[str, Any] | None = None,
        earlier: Callable[[], Mapping[str, Any]] = dict,
        defaults: Callable[[], Mapping[str, Any]] = dict,
        soft: Soft = ALL_THERE,
    ) -> dict[str, Any]:
        """The arguments of one attempt.

        Args:
            input: the run's input.
            outputs: what each direct dependency returned.
            context: the attempt's StepContext.
            signals: the payloads of the signals that the step awaits, each bound under its own name only.
            earlier: what steps further back returned: asked for only to say where a missing name is.
            defaults: what the type of the workflow's input adds to an input that leaves it out.
            soft: what is not there.

        Raises:
            BindingError: nothing supplies a parameter, two dependencies disagree on it, or its value does
                not fit its type. Where signals' payloads do not fit, its `signals` has their names.
        """
        signals = signals or {}
        supplied = _Supplied(input, outputs)
        arguments = self._bind_signals(signals, soft.lapsed)
        for name in self.parameters:
            if name == CONTEXT:
                arguments[name] = context
            elif name == INPUT:
                arguments[name] = self._convert(name, input)
            elif name in signals:
                continue
            elif name in outputs:
                arguments[name] = self._convert(name, outputs[name])
            elif name in soft.failures:
                arguments[name] = soft.failures[name]
            elif name in soft.absent:
                if name in self.required:
                    arguments[name] = None
            elif name in supplied.ambiguous:
                one, other = supplied.ambiguous[name]
                raise BindingError(
                    f"the parameter {name!r} is handed over by both {one} and {other}, with different "
                    f"values. Take one of them whole, by a parameter named {one!r} or {other!r}."
                )
            elif name in supplied.values:
                arguments[name] = self._convert(name, supplied.values[name])
            elif name in (more := defaults()):
                arguments[name] = self._convert(name, more[name])
            elif name in self.required and soft.absent and self.takes_none(name):
                arguments[name] = None
            elif name in self.required:
                raise BindingError(self._missing(name, supplied, signals, outputs, earlier))
        if self.takes_rest:
            rest = {**supplied.values, **signals}
            for name in (
                rest.keys() - arguments.keys() - supplied.ambiguous.keys() - {"self", CONTEXT}
            ):
                arguments[name] = rest[name]
            lost = supplied.ambiguous.keys() - arguments.keys()
            if lost:
                log(
                    "WARN",
                    "names left out of **kwargs",
                    run_id=context.run_id,
                    workflow=context.workflow,
                    step=context.step,
                    attempt=context.attempt,
                    names=sorted(lost),
                )
        return arguments

    def takes_none(self, name: str) -> bool:
        """Whether a parameter may be None, as far as its annotation tells."""
        try:
            kind = self.type_of(name)
        except BindingError:
            return True
        return any(
            one is None
            or one in (Any, object, type(None))
            or isinstance(one, TypeVar)
            or (typing.get_origin(one) is typing.Literal and None in typing.get_args(one))
            for one in _alternatives(kind)
        )

    def takes(self, kind: type, name: str) -> bool:
        """Whether a parameter may be a value of a class, as far as its annotation tells."""
        try:
            annotated = self.type_of(name)
        except BindingError:
            return True
        classes = [typing.get_origin(one) or one for one in _alternatives(annotated)]
        return any(
            one is Any or not isinstance(one, type) or issubclass(kind, one) for one in classes
        )

    def _bind_signals(self, signals: Mapping[str, Any], lapsed: frozenset[str]) -> dict[str, Any]:
        arguments: dict[str, Any] = {}
        refused: dict[str, str] = {}
        for name, payload in signals.items():
            if name not in self.parameters:
                continue
            converter = self.converter(name)
            _ = (
                converter.adapter if self.type_of(name) is not Any else None
            )  # the payload is not to blame
            try:
                arguments[name] = converter.convert(payload)
            except BindingError as error:
                if name in lapsed:
                    raise BindingError(
                        f"{error} It is the default of signal({name!r}), which has not come in time."
                    ) from None
                refused[name] = str(error).removesuffix(f" {converter.remedy}")
        if refused:
            problems = " ".join(f"signal {name}: {problem}" for name, problem in refused.items())
            raise BindingError(
                f"{problems} The step waits for {', '.join(refused)} again: send a payload that fits.",
                signals=tuple(refused),
            )
        return arguments

    def _convert(self, name: str, value: Any) -> Any:
        if name not in self.annotations:
            return value
        return self.converter(name).convert(value)

    def _missing(
        self,
        name: str,
        supplied: _Supplied,
        signals: Mapping[str, Any],
        outputs: Mapping[str, Any],
        earlier: Callable[[], Mapping[str, Any]],
    ) -> str:
        known = ", ".join(sorted({*supplied.values, *signals} - {*supplied.ambiguous})) or "nothing"
        sources = "the run's input has"
        if outputs:
            sources = f"the run's input and what {', '.join(outputs)} handed over have"
        try:
            outputs_before = earlier()
        except Exception:  # noqa: BLE001 - the table cannot be read: the error is clear without it
            outputs_before = {}
        has = [
            step
            for step, output in outputs_before.items()
            if isinstance(output, Mapping) and name in output
        ]
        remedy = (
            "Pass it to start, return it from a step in depends_on, or give it a default."
            if not has
            else f"The step {has[-1]}, further back, returned it: add {has[-1]!r} to depends_on."
        )
        whole = f" Parameters named {', '.join(outputs)} take whole outputs." if outputs else ""
        return f"nothing supplies the parameter {name!r}: {sources} {known}. {remedy}{whole}{self.hint}"


def _alternatives(kind: Any) -> Iterator[Any]:
    """The types that a type is a union of: itself, if it is none."""
    if hasattr(kind, "__value__"):  # `type Maybe = …`
        yield from _alternatives(kind.__value__)
    elif typing.get_origin(kind) is typing.Annotated:
        yield from _alternatives(typing.get_args(kind)[0])
    elif typing.get_origin(kind) in (typing.Union, UnionType):
        for one in typing.get_args(kind):
            yield from _alternatives(one)
    else:
        yield kind


class _Supplied:
    """What input and outputs supply by name."""

    def __init__(self, input: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        self.values: dict[str, Any] = dict(input)
        #: Names that two dependencies hand over with different values, with those two.
        self.ambiguous: dict[str, tuple[str, str]] = {}
        suppliers: dict[str, str] = {}
        for step, output in outputs.items():
            if not isinstance(output, Mapping):
                continue
            for name, value in output.items():
                if name in suppliers and not same(self.values[name], value):
                    self.ambiguous[name] = (suppliers[name], step)
                self.values[name] = value
                suppliers[name] = step


def is_deferred(function: Any) -> bool:
    """Whether a call only makes what has still to be run."""
    return (
        inspect.iscoroutinefunction(function)
        or inspect.isasyncgenfunction(function)
        or inspect.isgeneratorfunction(function)
    )
