"""Who supplies a step's parameters, as far as the types of input and outputs tell before anything runs."""

from __future__ import annotations

import typing
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxio.binding import CONTEXT, RESERVED, Signature
from fluxio.errors import BindingError
from fluxio_protocol.edge import ANY_OF, FIRST_OF
from fluxio_protocol.run import Failure

if TYPE_CHECKING:
    from fluxio.steps import StepDefinition

#: Types of outputs that supply no names; they can be taken whole.
_NAMELESS = (type(None), str, bytes, int, float, bool, list, tuple, set, frozenset)


class Finding(NamedTuple):
    """Something about who supplies a parameter."""

    text: str
    #: Whether the step can never be bound.
    refuse: bool


class _Source(NamedTuple):
    """What supplies names: the run's input, or a step's output."""

    step: str | None
    #: The type of each name; None where the source does not say which names it has.
    types: Mapping[str, Any] | None
    #: The name that a field is stored under, for fields of models with aliases.
    aliases: Mapping[str, str]

    @property
    def title(self) -> str:
        return "the run's input" if self.step is None else f"the output of {self.step}"


def check(
    workflow: str, steps: Mapping[str, StepDefinition], input: Any, strict: bool = False
) -> Iterator[Finding]:
    """What is wrong, or probably not meant, with the suppliers of each step's parameters.

    Args:
        workflow: its name.
        steps: its steps.
        input: the type of its input; None if it does not say.
        strict: whether what no type tells is a finding, too.
    """
    outputs = {name: _source(name, step.signature.returned) for name, step in steps.items()}
    given = _Source(None, None, {}) if input is None else _source(None, input)
    for name, step in steps.items():
        sources = [given, *(outputs[dep] for dep in step.depends_on if dep not in step.handled)]
        further = [outputs[each] for each in _further_back(name, steps)]
        for where, signature in step.bound(workflow):
            yield from _of_no_dependency(where, step, signature, steps)
            yield from _of_failures(where, step, signature)
            yield from _perhaps_missing(where, step, signature, sources)
            yield from _missing(where, step, signature, sources, further, input, strict)
            yield from _hidden(where, step, signature, sources, strict)


def supplied_by(kind: Any) -> list[str] | None:
    """The names that a value of a type supplies: an input, or an output; None where the type does not say."""
    types = _source(None, kind).types
    return None if types is None else sorted(types)


def _of_no_dependency(
    where: str, step: StepDefinition, signature: Signature, steps: Mapping[str, StepDefinition]
) -> Iterator[Finding]:
    for parameter in signature.parameters:
        # One named like a retired step is supplied by older graphs.
        like = steps.get(parameter)
        if like and not like.retired and parameter not in step.depends_on:
            yield Finding(
                f"{where}: the parameter {parameter!r} is named like a step it does not depend on. "
                f"Add {parameter!r} to depends_on, or rename the parameter.",
                refuse=True,
            )


def _of_failures(where: str, step: StepDefinition, signature: Signature) -> Iterator[Finding]:
    """Parameters that receive a `Failure` and say that they take something else."""
    for name in signature.parameters:
        if name in step.handled and not signature.takes(Failure, name):
            yield Finding(
                f"{where}: the parameter {name!r} receives why the step {name} failed. Annotate it with "
                "fluxio.Failure, or leave it out.",
                refuse=True,
            )


def _missing(
    where: str,
    step: StepDefinition,
    signature: Signature,
    sources: list[_Source],
    further: list[_Source],
    input: Any,
    strict: bool,
) -> Iterator[Finding]:
    supplied = {*RESERVED, *step.depends_on, *step.awaits}
    supplied |= {name for source in sources for name in source.types or ()}
    silent = [source.title for source in sources if source.types is None]
    for name in signature.parameters:
        if name in supplied:
            continue
        required = name in signature.required
        if silent:
            if strict:
                yield Finding(
                    f"{where}: no type tells who supplies the parameter {name!r}; {', '.join(silent)} may. "
                    "Annotate it with a model, a dataclass or a TypedDict.",
                    refuse=required,
                )
            continue
        remedy = _remedy(name, sources, further) or (
            "Add it there, give it a default, or depend on the step that returns it."
            if required
            else "It keeps its default for ever: see to its spelling, or supply it."
        )
        yield Finding(
            f"{where}: nothing supplies the parameter {name!r}: neither the workflow's input "
            f"({getattr(input, '__name__', input)}) nor a step in depends_on has it. "
            f"{remedy}{signature.hint}",
            refuse=required,
        )


def _perhaps_missing(
    where: str, step: StepDefinition, signature: Signature, sources: list[_Source]
) -> Iterator[Finding]:
    """Parameters that only steps supply which need not have succeeded, and that take no None."""
    for name in signature.required:
        if name in step.soft - step.handled and not signature.takes_none(name):
            yield Finding(
                f"{where}: the parameter {name!r} is None if the step {name} has not succeeded. Annotate it "
                "with `… | None`, or give it a default.",
                refuse=True,
            )
    if not step.soft or any(source.types is None for source in sources):
        return
    having = {
        name: {source.step for source in sources if name in (source.types or ())}
        for name in signature.required
        if name not in RESERVED and name not in step.depends_on and name not in step.awaits
    }
    for name, found in having.items():
        groups = (edge.sources for edge in step.edges if edge.kind in (ANY_OF, FIRST_OF))
        sure = found - step.soft or any(found.issuperset(group) for group in groups)
        if found and not sure and not signature.takes_none(name):
            steps = ", ".join(sorted(one for one in found if one))
            yield Finding(
                f"{where}: only {steps} supplies the parameter {name!r}, and need not have succeeded. Annotate "
                "it with `… | None`, or give it a default.",
                refuse=True,
            )


def _remedy(name: str, sources: Iterable[_Source], further: Iterable[_Source]) -> str | None:
    for source in sources:
        if name in source.aliases:
            alias = source.aliases[name]
            return (
                f"In {source.title} the field {name!r} is stored under its alias: name the parameter "
                f"{alias!r}, take the whole, or remove the alias."
            )
    for source in further:
        if name in (source.types or ()):
            return f"{source.step}, further back, returns it: add {source.step!r} to depends_on."
    return None


def _hidden(
    where: str,
    step: StepDefinition,
    signature: Signature,
    sources: list[_Source],
    strict: bool,
) -> Iterator[Finding]:
    """Names of the input that an output hides: surely with another value where the types differ."""
    given, *outputs = sources
    for name in signature.parameters:
        if name in step.depends_on or name in step.awaits or name not in (given.types or ()):
            continue
        for output in outputs:
            if name not in (output.types or ()):
                continue
            one, other = (given.types or {})[name], (output.types or {})[name]
            if strict or (one is not None and other is not None and one != other):
                yield Finding(
                    f"{where}: the parameter {name!r} is taken from {output.title}, which hides the one in the "
                    "run's input. Rename one of them; or take the input whole, by a parameter named 'input'.",
                    refuse=False,
                )


def _further_back(name: str, steps: Mapping[str, StepDefinition]) -> list[str]:
    """The steps that a step depends on through others, the nearest first."""
    found: dict[str, None] = {}
    front = list(steps[name].depends_on)
    while front:
        front = [dep for step in front for dep in steps[step].depends_on if dep not in found]
        found |= dict.fromkeys(front)
    return [step for step in found if step not in steps[name].depends_on]


def annotation_problems(workflow: str, steps: Mapping[str, StepDefinition]) -> Iterator[str]:
    """Annotations of parameters that cannot be read, or that pydantic cannot check.

    To be asked when all modules have been imported: an annotation may name what stands further below.
    """
    for name, step in steps.items():
        for where, signature in step.bound(workflow):
            for parameter in signature.parameters:
                # What is no value of JSON is not converted.
                if parameter in step.handled or parameter == CONTEXT:
                    continue
                if parameter not in signature.annotations:
                    continue
                try:
                    if signature.type_of(parameter) is not Any:
                        _ = signature.converter(parameter).adapter
                except BindingError as error:
                    yield f"{where}: {error}"
        yield from step.signal_problems(f"{workflow}.{name}")


def _source(step: str | None, kind: Any) -> _Source:
    if kind in _NAMELESS or typing.get_origin(kind) in _NAMELESS:
        return _Source(step, {}, {})
    if typing.is_typeddict(kind):
        names = kind.__required_keys__ | kind.__optional_keys__
        return _Source(step, {**dict.fromkeys(names), **_hints(kind)}, {})
    infos = getattr(kind, "model_fields", None) if isinstance(kind, type) else None
    if isinstance(infos, dict):
        if kind.model_config.get("extra") == "allow" or getattr(kind, "__pydantic_root_model__", 0):
            return _Source(step, None, {})
        # As pydantic writes it, which is how it is stored and handed over.
        keys = {name: of.serialization_alias or of.alias or name for name, of in infos.items()}
        types = {keys[name]: of.annotation for name, of in infos.items() if not of.exclude}
        types |= {of.alias or name: None for name, of in kind.model_computed_fields.items()}
        return _Source(step, types, {name: key for name, key in keys.items() if name != key})
    if isinstance(kind, type) and is_dataclass(kind):
        hints = _hints(kind)
        return _Source(step, {of.name: hints.get(of.name) for of in fields(kind)}, {})
    return _Source(step, None, {})


def _hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind)
    except Exception:  # noqa: BLE001 - whatever evaluating a user's annotation raises
        return {}
