"""What may stand in `depends_on` besides a step: edges that ask otherwise, timers, signals with timeouts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import wraps
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from fluxio import marks
from fluxio.binding import RESERVED
from fluxio.errors import DefinitionError
from fluxio_protocol import edge, layout
from fluxio_protocol.duration import YEAR, Duration, in_seconds
from fluxio_protocol.edge import Edge
from fluxio_protocol.errors import InvalidInput, PayloadError
from fluxio_protocol.node import SignalTimeout, Timer
from fluxio_protocol.timeouts import INPUT

StepLike = str | Callable[..., Any]

#: Steps that a `first_of` may name: the write in which one succeeds releases the others.
MAX_FIRST_OF = 20


class SignalEdge(NamedTuple):
    """A signal that a step waits for."""

    name: str
    #: What its payload must be; None: anything.
    type: Any = None
    timeout: SignalTimeout | None = None


class TimerEdge(NamedTuple):
    """A time that a step waits for."""

    timer: Timer


class Unusable(NamedTuple):
    """What stands in `depends_on` for an edge that cannot be used: `@step` says so, and of which step."""

    problem: str


_MISSING: Any = object()

#: What a signal's `type` may be mistaken for: a payload, a timeout, a name.
_NO_TYPES = (str, bytes, int, float, timedelta, list, tuple, dict, set)

_Of = ParamSpec("_Of")
_Made = TypeVar("_Made")


def _told_by_step(make: Callable[_Of, _Made]) -> Callable[_Of, _Made]:
    """Leave an error to `@step`, which knows the workflow and the step: here, neither has a name yet."""

    @wraps(make)
    def made(*args: _Of.args, **kwargs: _Of.kwargs) -> _Made:
        try:
            return make(*args, **kwargs)
        except DefinitionError as error:
            return cast("_Made", Unusable(str(error)))

    return made


@_told_by_step
def maybe(step: StepLike) -> Edge:
    """Wait until a step has ended, whether it succeeded, was skipped, or failed and that is handled.

    What it returned is bound, or None: to a parameter that takes None or has a default.

    Args:
        step: its name, or the method itself.

    Raises:
        DefinitionError: (by `@step`) it is neither.
    """
    return Edge(edge.MAYBE, (_name(step, "maybe"),))


@_told_by_step
def failed(step: StepLike, *errors: type[BaseException] | str) -> Edge:
    """Run only if a step has failed for good, its retries used up. That handles the failure: the run goes on.

    The parameter of the step's name receives the `Failure`.

    Args:
        step: its name, or the method itself.
        errors: exception types, or their names, that it must have failed with; none: any. fluxio's own are
            "TimeoutError" (an attempt took too long), "WorkerLost", "SignalTimeout" and "StepDeadline".

    Raises:
        DefinitionError: (by `@step`) an argument is none of these.
    """
    names = []
    for error in errors:
        given: Any = error
        if isinstance(given, type) and issubclass(given, BaseException):
            names.append(given.__name__)
        elif isinstance(given, str) and given.isidentifier():
            names.append(given)
        else:
            raise DefinitionError(
                f"failed(…, {error!r}): pass exception types, or their names, after the step."
            )
    return Edge(edge.FAILED, (_name(step, "failed"),), tuple(names))


@_told_by_step
def any_of(*steps: StepLike) -> Edge:
    """Wait until all of these steps have ended; one of them at least must have succeeded.

    Args:
        steps: their names, or the methods themselves: two or more.

    Raises:
        DefinitionError: (by `@step`) they are fewer, or something else.
    """
    return _group(edge.ANY_OF, steps)


@_told_by_step
def first_of(*steps: StepLike) -> Edge:
    """Wait until the first of these steps has succeeded; the others are skipped, or stopped where they run.

    What the first returned is bound; None for the others.

    Args:
        steps: their names, or the methods themselves: 2 to 20.

    Raises:
        DefinitionError: (by `@step`) they are fewer or more, or something else.
    """
    return _group(edge.FIRST_OF, steps)


@_told_by_step
def timer(
    after: Duration | None = None,
    *,
    at: str | None = None,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> TimerEdge:
    """Wait for a time once everything else in `depends_on` but signals is there. Nothing runs meanwhile.

    Args:
        after: seconds, or a timedelta; or as `days`, `hours`, `minutes` and `seconds`. At most a year.
        at: where the time stands instead: "input" or the name of a step in `depends_on`, and the fields
            inside, as in "order.ship_at"; not a step in `maybe` and the like, which may have no output. It is a
            text in ISO 8601 (UTC, unless it says otherwise), or seconds since 1970; a past one is no wait.
            If it is no time, the step fails.

    Raises:
        DefinitionError: (by `@step`) both or neither are given, or the wait is not above 0 and at most a year.
    """
    parts = _sum(days=days, hours=hours, minutes=minutes, seconds=seconds)
    if at is not None:
        if after is not None or parts:
            raise DefinitionError("timer: pass a duration or `at`, not both.")
        if type(at) is not str or not all(part.strip() for part in at.split(".")):
            raise DefinitionError(
                f"timer(at={at!r}): pass 'input' or the name of a step, and the fields inside with dots "
                "between, as in 'order.ship_at'."
            )
        return TimerEdge(Timer(None, at))
    if after is not None and parts:
        raise DefinitionError("timer: pass one duration, not two.")
    if after is None and not parts:
        raise DefinitionError(
            "timer: pass how long to wait, as in timer(days=30), or at which time, as in "
            "timer(at='order.ship_at')."
        )
    wait = parts if after is None else after
    return TimerEdge(Timer(milliseconds(wait, "timer: the duration"), None))


@_told_by_step
def signal(
    name: str, type: Any = None, timeout: Duration | None = None, default: Any = _MISSING
) -> SignalEdge:
    """Wait for a signal (`FluxioClient.signal`), bound to the parameter of its name and to no other.

    Args:
        name: which signal: 1 to 40 letters, digits or '_'.
        type: what its payload must be: anything that pydantic can check. A payload that is not is refused, and
            the step goes on waiting.
        timeout: seconds, or a timedelta, counted from when everything else in `depends_on` is there; at most a
            year. Once it is over, a signal that comes later is refused, and its sender is told so.
        default: what is bound when the timeout is over. Without one, the step fails with SignalTimeout.

    Raises:
        DefinitionError: (by `@step`) the name cannot be a signal's, the type is none, the timeout is out of
            bounds, a default has no timeout, is no JSON, is too long, or does not fit the parameter.
    """
    try:
        layout.check_signal(name)
    except InvalidInput as error:
        raise DefinitionError(str(error)) from None
    if name in RESERVED:
        raise DefinitionError(
            f"signal({name!r}): a parameter of that name means something else. Rename the signal."
        )
    if isinstance(type, _NO_TYPES):
        raise DefinitionError(
            f"signal({name!r}): type is {type!r}, which is no type. Pass a class, such as dict or a pydantic "
            "model, or leave it out."
        )
    if timeout is None:
        if default is not _MISSING:
            raise DefinitionError(
                f"signal({name!r}): the default is bound when a timeout is over, and there is none. Pass "
                "timeout=… as well, or leave the default out."
            )
        return SignalEdge(name, type)
    text = None
    if default is not _MISSING:
        try:
            text = layout.encode(default, f"the default of signal({name!r})")
        except PayloadError as error:
            raise DefinitionError(str(error)) from None
        if not layout.fits_inline(text):
            raise DefinitionError(
                f"signal({name!r}): the default takes more than {layout.INLINE_BYTES} bytes of JSON. Pass a "
                "short one, such as None, and let the step supply what it stands for."
            )
    return SignalEdge(
        name, type, SignalTimeout(milliseconds(timeout, f"signal({name!r}): timeout"), text)
    )


def milliseconds(of: Any, where: str) -> int:
    """A duration in milliseconds.

    Raises:
        DefinitionError: it is not above 0 and at most a year.
    """
    try:
        return max(1, round(1000 * in_seconds(of, above=0, most=YEAR)))
    except InvalidInput as error:
        raise DefinitionError(f"{where} {error}.") from None


def _sum(**parts: float) -> timedelta:
    for name, of in parts.items():
        if type(of) not in (int, float):
            raise DefinitionError(f"timer: {name} is {of!r}; pass a number of {name}.")
    try:
        return timedelta(**parts)
    except (ValueError, OverflowError):
        given = ", ".join(f"{name}={of!r}" for name, of in parts.items() if of)
        raise DefinitionError(
            f"timer({given}) is no duration; pass one of at most a year."
        ) from None


def _group(kind: str, steps: tuple[StepLike, ...]) -> Edge:
    names = tuple(_name(step, kind) for step in steps)
    if len(names) < 2 or len({*names}) < len(names):
        given = ", ".join(map(repr, names))
        raise DefinitionError(f"{kind}({given}): pass two steps or more, each once.")
    if kind == edge.FIRST_OF and len(names) > MAX_FIRST_OF:
        raise DefinitionError(
            f"{kind}: {len(names)} steps; at most {MAX_FIRST_OF}, since the first to succeed releases the "
            "others in one write. Divide them into groups, each with a step behind it."
        )
    return Edge(kind, names)


def _name(step: Any, where: str) -> str:
    if isinstance(step, Unusable):
        raise DefinitionError(step.problem)
    if isinstance(step, (Edge, SignalEdge, TimerEdge)):
        raise DefinitionError(
            f"{where}: an edge, a signal or a timer cannot stand in another edge. Pass steps, and let a step "
            "of its own wait for the rest."
        )
    found = step if isinstance(step, str) else getattr(marks.of(step), "name", None)
    if not isinstance(found, str) or found == INPUT:
        raise DefinitionError(
            f"{where}: {step!r} is no step: pass its name, or the method marked with @step."
        )
    return found
