"""What runs in place of a step's code."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fluxio.binding import CONTEXT
from fluxio.steps import StepDefinition
from fluxio.testing.errors import InvalidTest
from fluxio_protocol.duration import Duration, in_seconds
from fluxio_protocol.errors import InvalidInput


class _Code:
    """Stands for the step's own code."""

    def __repr__(self) -> str:
        return "CODE"


#: As a mock, or as the `then` of one: the step's own code.
CODE = _Code()


@dataclass(frozen=True)
class Failing:
    """Raises so many times, then goes on to `then`; made by `fails`."""

    times: int
    error: Any
    then: Any


@dataclass(frozen=True)
class Lasting:
    """Takes so many seconds (None: longer than any timeout), so many times; made by `lasts` and `times_out`."""

    seconds: float | None
    times: int | None
    then: Any


def fails(times: int = 1, error: Any = None, then: Any = CODE) -> Failing:
    """A mock that raises the first so many times that its step is run.

    Args:
        times: how often.
        error: the exception, or its type; by default a RuntimeError.
        then: what runs afterwards: a mock, by default the step's own code.
    """
    return Failing(times, error, then)


def times_out(times: int | None = None, then: Any = CODE) -> Lasting:
    """A mock that takes longer than the step's timeout.

    Args:
        times: how often; None: each time.
        then: what runs afterwards: a mock, by default the step's own code.
    """
    return Lasting(None, times, then)


def lasts(duration: Duration, then: Any = CODE) -> Lasting:
    """A mock that takes time, by the test's clock: a step that takes longer than its timeout is interrupted.

    Args:
        duration: seconds, or a timedelta.
        then: what runs when the time has passed: a mock, by default the step's own code.

    Raises:
        InvalidInput: the duration is none.
    """
    try:
        return Lasting(in_seconds(duration), None, then)
    except InvalidInput as error:
        raise InvalidInput(f"lasts: the duration {error}.") from None


def play(
    mock: Any,
    time: int,
    code: Callable[[], Any],
    last: Callable[[float | None], None],
    arguments: Mapping[str, Any],
    context: Any,
) -> Any:
    """Run a mock in place of a step's code.

    Args:
        mock: the mock.
        time: which time the step is run, from 1.
        code: runs the step's own code.
        last: lets so many seconds pass; None: as many as the step's timeout.
        arguments: what the step is given.
        context: the step's context.
    """
    while isinstance(mock, (Failing, Lasting)):
        if isinstance(mock, Failing):
            if time <= mock.times:
                raise RuntimeError(f"fails({mock.times})") if mock.error is None else mock.error
        elif mock.times is None or time <= mock.times:
            last(mock.seconds)
        mock = mock.then
    if mock is CODE:
        return code()
    if isinstance(mock, BaseException):
        raise mock
    if isinstance(mock, type) and issubclass(mock, BaseException):
        raise mock
    if callable(mock):
        return mock(**_arguments(mock, {CONTEXT: context, **arguments}, arguments))
    return mock


def _arguments(
    mock: Callable[..., Any], known: Mapping[str, Any], given: Mapping[str, Any]
) -> Mapping[str, Any]:
    """What a function takes of the step's arguments; one with **kwargs takes all."""
    try:
        parameters = inspect.signature(mock).parameters.values()
    except (TypeError, ValueError):
        return given
    if any(one.kind is inspect.Parameter.VAR_KEYWORD for one in parameters):
        return given
    return {one.name: known[one.name] for one in parameters if one.name in known}


def check(mock: Any, name: str, step: StepDefinition) -> None:
    """See that a function that stands in for a step asks for nothing that the step is not given.

    Raises:
        InvalidTest: it does.
    """
    while isinstance(mock, (Failing, Lasting)):
        mock = mock.then
    if mock is CODE or isinstance(mock, type) or not callable(mock) or step.signature.takes_rest:
        return
    try:
        parameters = inspect.signature(mock).parameters.values()
    except (TypeError, ValueError):
        return
    known = {CONTEXT, *step.signature.parameters}
    for one in parameters:
        if one.kind in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD):
            continue
        if one.default is inspect.Parameter.empty and (
            one.name not in known or one.kind is inspect.Parameter.POSITIONAL_ONLY
        ):
            raise InvalidTest(
                f"the mock of {name} takes {one.name!r}, which the step is not given: it has "
                f"{', '.join(sorted(known))}. Name the mock's parameters like the step's, as many as it needs."
            )
