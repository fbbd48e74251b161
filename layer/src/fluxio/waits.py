"""What a step waits for: `depends_on` and `awaits`, read and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

from fluxio import marks
from fluxio.binding import RESERVED
from fluxio.edges import SignalEdge, TimerEdge, Unusable, milliseconds
from fluxio.errors import DefinitionError
from fluxio_protocol import layout
from fluxio_protocol.edge import Edge
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.node import Timer
from fluxio_protocol.timeouts import INPUT

#: An entry of `depends_on`.
Dependency: TypeAlias = str | Callable[..., Any] | Edge | SignalEdge | TimerEdge

#: Signals that one step may await: its claim asks for each of them in one expression.
MAX_AWAITS = 100


class Waits(NamedTuple):
    """What stands in `depends_on`."""

    steps: tuple[str, ...]
    edges: tuple[Edge, ...]
    signals: dict[str, SignalEdge]
    timer: Timer | None


def define_dependencies(depends_on: Any, where: str) -> Waits:
    listed = isinstance(depends_on, (list, tuple, set, frozenset))
    steps: list[str] = []
    edges: list[Edge] = []
    signals: dict[str, SignalEdge] = {}
    timers: list[Timer] = []
    for one in depends_on if listed else [depends_on]:
        if isinstance(one, Unusable):
            raise DefinitionError(f"{where}: {one.problem}")
        found = one if isinstance(one, (str, Edge, SignalEdge, TimerEdge)) else marks.of(one)
        if not listed or found is None:
            raise DefinitionError(
                f"{where}: depends_on is {depends_on!r}; pass a list of step names, or of methods marked with "
                '@step: depends_on=["…"]. It may have maybe(…), failed(…), any_of(…), first_of(…), timer(…) '
                "and signal(…), too."
            )
        if isinstance(found, Edge):
            steps += found.sources
            edges.append(found)
        elif isinstance(found, SignalEdge):
            if found.name in signals:
                raise DefinitionError(
                    f"{where}: depends_on names the signal {found.name!r} twice. Remove one of them."
                )
            signals[found.name] = found
        elif isinstance(found, TimerEdge):
            timers.append(found.timer)
        else:
            steps.append(found if isinstance(found, str) else found.name)
    if len({*steps}) < len(steps):
        raise DefinitionError(
            f"{where}: depends_on names a step twice: {steps}. Name each once, in one edge: maybe(…) and "
            "any_of(…) wait for a step however it ends."
        )
    if len(timers) > 1:
        raise DefinitionError(
            f"{where}: depends_on has {len(timers)} timers; it can have one. Put the other in front of a step "
            "between."
        )
    timer = timers[0] if timers else None
    if timer is not None and timer.at is not None:
        source = timer.at.partition(".")[0]
        if source != INPUT and source not in steps:
            raise DefinitionError(
                f"{where}: timer(at={timer.at!r}) begins with {source!r}, which is neither 'input' nor a step "
                "in its depends_on. Take the time from one of these."
            )
        for edge in edges:
            if source in edge.sources:
                raise DefinitionError(
                    f"{where}: timer(at={timer.at!r}): {source!r} stands in {edge.kind}(…), so it may have no "
                    "output to take the time from. Name it as a plain step, or take the time from another."
                )
    return Waits(tuple(steps), tuple(edges), signals, timer)


def define_deadline(given: Any, waits: Waits, where: str) -> int | None:
    """Milliseconds; checked against the waits that begin at the same time."""
    if given is None:
        return None
    deadline = milliseconds(given, f"{where}: deadline")
    if waits.timer is not None and (waits.timer.after or 0) >= deadline:
        raise DefinitionError(
            f"{where}: the deadline is over before its timer is, so the step would always fail. Both count "
            "from when the other steps have ended: make the deadline longer."
        )
    for name, edge in waits.signals.items():
        if edge.timeout is not None and edge.timeout.after >= deadline:
            raise DefinitionError(
                f"{where}: the deadline is over before the timeout of signal({name!r}) is, which would never "
                "come to pass. Both count from when the other steps have ended: make the deadline longer, or "
                "leave the timeout out."
            )
    return deadline


def define_awaits(awaits: Any, where: str) -> tuple[str, ...]:
    if not isinstance(awaits, (list, tuple)):
        raise DefinitionError(
            f'{where}: awaits is {awaits!r}; pass a list of names of signals: awaits=["…"].'
        )
    for name in awaits:
        try:
            layout.check_signal(name)
        except InvalidInput as error:
            raise DefinitionError(f"{where}: awaits: {error}") from None
        if name in RESERVED:
            raise DefinitionError(
                f"{where}: awaits names {name!r}: a parameter of that name means something else. Rename it."
            )
    if len({*awaits}) < len(awaits):
        raise DefinitionError(f"{where}: awaits names a signal twice: {list(awaits)}.")
    if len(awaits) > MAX_AWAITS:
        raise DefinitionError(
            f"{where}: awaits names {len(awaits)} signals; at most {MAX_AWAITS} fit the condition of one "
            "write. Let several steps await them, or send what they bring in fewer signals."
        )
    return tuple(awaits)
