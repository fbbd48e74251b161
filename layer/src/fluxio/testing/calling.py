"""`call`: one step alone, called as the engine calls it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from fluxio import marks
from fluxio.context import StepContext
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import BindingError
from fluxio.testing.aws import Aws
from fluxio.testing.clients import Clock
from fluxio.testing.errors import InvalidTest
from fluxio_protocol import layout

#: Milliseconds that a step has until its deadline, if it does not say.
_TIMEOUT = 60_000


def call(
    step: Callable[..., Any],
    /,
    *,
    attempt: int = 1,
    ctx: StepContext | None = None,
    **values: Any,
) -> Any:
    """Call one step: its arguments are bound and validated, and its output stored, as the engine does.

    Args:
        step: the method: `OrderFulfillment.charge_card`, or of an object that you have made yourself,
            `OrderFulfillment().charge_card`.
        attempt: which attempt `ctx.attempt` says it is.
        ctx: a context of your own, to see what the step hands to it (`ctx.operations`, `ctx.starts`); by
            default one of a run "run-1".
        values: what it is given, by name: the run's input; under the name of a step that it depends on, that
            one's output; under the name of a signal that it awaits, the payload.

    Returns:
        What it returned, as JSON gives it back: as the next step gets it.

    Raises:
        InvalidTest: it is no step of a workflow.
        BindingError: a parameter has no value, or one that does not fit its type.
        PayloadError: a value or the output is not JSON.
        Exception: whatever the step raises.
    """
    function = getattr(step, "__func__", step)
    instance = getattr(step, "__self__", None)
    definition, name = _step_of(function, instance)
    found = definition.steps[name]
    where = f"{definition.name}.{name}"
    given = {key: _stored(value, f"the argument {key} of {where}") for key, value in values.items()}
    outputs = {key: given.pop(key) for key in found.depends_on if key in given}
    signals = {key: given.pop(key) for key in found.awaits if key in given}
    if found.input is not None and found.depends_on:
        try:
            found.input.convert(given)
        except BindingError:  # a later step is tested with what it takes of the input alone
            found = found._replace(input=None)
    timeout = _TIMEOUT if found.timeout is None else round(found.timeout * 1000)
    now = Clock().now()
    context = ctx or StepContext(
        "run-1", definition.name, name, attempt, now + timeout, table=Aws.TABLE, created_at=now
    )
    arguments: Mapping[str, Any] = found.bind(given, outputs, context, signals)
    value = found.function(definition.cls() if instance is None else instance, **arguments)
    return _stored(value, f"the output of {where}")


def _stored(value: Any, what: str) -> Any:
    return json.loads(layout.encode(value, what))


def _step_of(function: Any, instance: Any) -> tuple[WorkflowDefinition, str]:
    classes = iter(type(instance).__mro__)
    if instance is None:  # a function does not know its class
        classes = _subclasses(object) if marks.of(function) is not None else iter(())
    for definition in _definitions(classes):
        for name, step in definition.steps.items():
            if step.function is function:
                return definition, name
    raise InvalidTest(
        f"{function!r} is no step of a workflow: pass a method marked with @step of a class decorated with "
        "@workflow, as in call(OrderFulfillment.charge_card, amount=99)."
    )


def _definitions(classes: Iterable[type]) -> Iterator[WorkflowDefinition]:
    for cls in classes:
        definition = None
        with suppress(Exception):  # of all classes there are, some raise when they are looked at
            definition = definition_of(cls)
        if definition is not None:
            yield definition


def _subclasses(of: type) -> Iterator[type]:
    """All classes there are; the latest come first, since a test may define one anew."""
    seen: set[int] = set()
    left = [of]
    while left:
        cls = left.pop()
        if id(cls) not in seen:
            seen.add(id(cls))
            yield cls
            left += type.__subclasses__(cls)
