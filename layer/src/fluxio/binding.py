"""A step's parameters: which there are, who can supply them, and the values for one attempt.

Plain values of plain types (str, int, float, bool, dict, list) are passed as they are; pydantic is imported
only when a type or a value asks for it, because importing it costs a cold start about half as much again as
boto3 does.
"""

from __future__ import annotations

import inspect
import json
import typing
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, fields, is_dataclass
from functools import cache, cached_property
from typing import Any

from fluxio.errors import BindingError, DefinitionError

CONTEXT = "ctx"


@dataclass(frozen=True)
class Signature:
    """The parameters of a step's method, without `self`."""

    function: Callable[..., Any]
    required: tuple[str, ...]
    optional: tuple[str, ...]
    takes_rest: bool

    @classmethod
    def of(cls, function: Callable[..., Any], where: str) -> Signature:
        """Read the parameters.

        Raises:
            DefinitionError: there is no `self`, or parameters that cannot be bound by name.
        """
        if inspect.iscoroutinefunction(function) or inspect.isgeneratorfunction(function):
            raise DefinitionError(
                f"{where}: a step is a plain method. Of a coroutine, call asyncio.run(…) inside it; of a "
                "generator, return list(…)."
            )
        try:
            parameters = list(inspect.signature(function).parameters.values())
        except (TypeError, ValueError):
            raise DefinitionError(f"{where}: @step takes a method written in Python.") from None
        if not parameters or parameters[0].kind not in (
            inspect.Parameter.POSITIONAL_ONLY,
            inspect.Parameter.POSITIONAL_OR_KEYWORD,
        ):
            raise DefinitionError(f"{where}: a step is a method: its first parameter must be self.")
        required, optional, takes_rest = [], [], False
        for parameter in parameters[1:]:
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
        return cls(function, tuple(required), tuple(optional), takes_rest)

    @cached_property
    def types(self) -> dict[str, Any]:
        """The annotation of each parameter and of `return`, names resolved."""
        try:
            return typing.get_type_hints(self.function, include_extras=True)
        except Exception as error:  # whatever evaluating a user's annotation raises
            raise BindingError(
                f"an annotation of {self.function.__qualname__} cannot be read: {error}. Import the "
                "name at run time, not only under TYPE_CHECKING."
            ) from error

    def check_suppliers(
        self,
        where: str,
        depends_on: tuple[str, ...],
        dependencies: Mapping[str, Signature],
        steps: Collection[str],
        input: type | None,
    ) -> None:
        """Refuse a parameter that nothing can supply, as far as types tell.

        Raises:
            DefinitionError: it is named like a step that is not a dependency; or the workflow's input and
                the dependencies' return types all say their names and none is it.
        """
        for name in (*self.required, *self.optional):
            if name in steps and name not in depends_on:
                raise DefinitionError(
                    f"{where}: the parameter {name!r} is named like a step it does not depend on. "
                    f"Add {name!r} to depends_on, or rename the parameter."
                )
        if input is None:
            return
        supplied: set[str] = {CONTEXT, *depends_on}
        for kind in (input, *(one.returned for one in dependencies.values())):
            names = _field_names(kind)
            if names is None:
                return
            supplied |= names
        for name in self.required:
            if name not in supplied:
                raise DefinitionError(
                    f"{where}: nothing supplies the parameter {name!r}: neither the workflow's input "
                    f"({input.__name__}) nor a step in depends_on has it. Add it there, give it a "
                    "default, or depend on the step that returns it."
                )

    @property
    def returned(self) -> Any:
        """The annotated type of the output; None if it does not say."""
        try:
            return self.types.get("return")
        except BindingError:
            return None

    def bind(
        self,
        input: Mapping[str, Any],
        outputs: Mapping[str, Any],
        context: Any,
    ) -> dict[str, Any]:
        """The arguments of one attempt.

        Args:
            input: the run's input.
            outputs: what each direct dependency returned.
            context: the attempt's StepContext.

        Raises:
            BindingError: nothing supplies a parameter, two dependencies disagree on it, or its value does
                not fit its type.
        """
        supplied: dict[str, Any] = dict(input)
        suppliers: dict[str, str] = {}
        ambiguous: dict[str, tuple[str, str]] = {}
        for step, output in outputs.items():
            if not isinstance(output, Mapping):
                continue
            for name, value in output.items():
                if name in suppliers and supplied[name] != value:
                    ambiguous[name] = (suppliers[name], step)
                supplied[name] = value
                suppliers[name] = step
        arguments: dict[str, Any] = {}
        for name in (*self.required, *self.optional):
            if name == CONTEXT:
                arguments[name] = context
            elif name in outputs:
                arguments[name] = self._convert(name, outputs[name])
            elif name in ambiguous:
                one, other = ambiguous[name]
                raise BindingError(
                    f"the parameter {name!r} is handed over by both {one} and {other}, with different "
                    f"values. Take one of them whole, by a parameter named {one!r} or {other!r}."
                )
            elif name in supplied:
                arguments[name] = self._convert(name, supplied[name])
            elif name in self.required:
                known = ", ".join(sorted({*supplied} - {*ambiguous})) or "nothing"
                sources = "the run's input has"
                if outputs:
                    sources = f"the run's input and what {', '.join(outputs)} handed over have"
                raise BindingError(
                    f"nothing supplies the parameter {name!r}: {sources} {known}. Pass it to start, return it "
                    "from a step in depends_on, or give it a default."
                )
        if self.takes_rest:
            rest = supplied.keys() - arguments.keys() - ambiguous.keys() - {"self", CONTEXT}
            arguments |= {name: supplied[name] for name in supplied if name in rest}
        return arguments

    def _convert(self, name: str, value: Any) -> Any:
        kind = self.types.get(name, Any)
        if kind is Any or type(value) is kind:
            return value
        if kind is float and type(value) is int:
            return float(value)
        from pydantic import ValidationError

        try:
            # As JSON, because that is what it is: a date, a UUID or bytes comes as a string.
            return _validator(kind).validate_json(json.dumps(value))
        except ValidationError as error:
            problems = "; ".join(
                f"{'.'.join(map(str, problem['loc'])) or name}: {problem['msg']}"
                for problem in error.errors(include_url=False, include_input=False)
            )
            raise BindingError(
                f"the value of the parameter {name!r} does not fit its type: {problems}. Hand over a value "
                "that does, or change the annotation."
            ) from None


@cache
def _cached_validator(kind: Any) -> Any:
    from pydantic import PydanticSchemaGenerationError, PydanticUserError, TypeAdapter

    try:
        return TypeAdapter(kind)
    except (PydanticSchemaGenerationError, PydanticUserError) as error:
        raise BindingError(
            f"the annotation {kind!r} is no type that pydantic can check: {error}"
        ) from None


def _validator(kind: Any) -> Any:
    try:
        return _cached_validator(kind)
    except TypeError:  # an annotation that cannot be hashed
        return _cached_validator.__wrapped__(kind)


def _field_names(kind: Any) -> set[str] | None:
    """The names a type says a value has; None where it does not tell."""
    if kind is type(None):
        return set()
    if is_dataclass(kind):
        return {field.name for field in fields(kind)}
    if typing.is_typeddict(kind):
        return {*kind.__annotations__}
    model_fields = getattr(kind, "model_fields", None)
    if not isinstance(model_fields, dict) or kind.model_config.get("extra") == "allow":
        return None
    # As pydantic writes it, which is how it is stored and handed over.
    return {of.serialization_alias or of.alias or name for name, of in model_fields.items()}
