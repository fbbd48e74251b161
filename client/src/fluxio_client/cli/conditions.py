"""What a step asks of the steps, signals and times before it: as `depends_on` has it, and for a reader."""

from __future__ import annotations

from fluxio_client.cli.moments import length
from fluxio_protocol.edge import NEEDS, Edge
from fluxio_protocol.node import Node, SignalTimeout, Timer


def edges_of(node: Node) -> tuple[Edge, ...]:
    """All edges of a node: one for each step that must have succeeded, then the others."""
    soft = {source for edge in node.edges for source in edge.sources}
    needed = (Edge(NEEDS, (name,)) for name in node.depends_on if name not in soft)
    return (*needed, *node.edges)


def as_written(edge: Edge) -> str:
    """An edge as `depends_on` has it: `audit`, `maybe(audit)`, `failed(pay, BankRefused)`."""
    inside = ", ".join((*edge.sources, *edge.errors))
    return inside if edge.kind == NEEDS else f"{edge.kind}({inside})"


def after(node: Node) -> list[str]:
    """What a node depends on, edge by edge, as it is written."""
    return [as_written(edge) for edge in edges_of(node)]


def on_failure(edge: Edge) -> str:
    """The label of a failure edge."""
    return f"on {' or '.join(edge.errors)}" if edge.errors else "on failure"


def timer_words(timer: Timer) -> str:
    """What a timer waits for."""
    if timer.after is None:
        return f"timer until {timer.at}"
    return f"timer {duration(timer.after)}"


def timeout_words(timeout: SignalTimeout) -> str:
    """How long a signal is waited for, and what then."""
    then = "fails" if timeout.default is None else "default"
    return f"{duration(timeout.after)}, then {then}"


def signal_words(name: str, node: Node) -> str:
    """Which signal a node waits for, and how long if not as long as it takes."""
    limits = f": {timeout_words(node.timeouts[name])}" if name in node.timeouts else ""
    return f"signal {name}{limits}"


def bounds_of(node: Node) -> list[str]:
    """What decides and bounds a node besides the steps before it: its `when`, timer, signals, deadline."""
    found = ["only if its `when` says yes"] if node.when else []
    found += [timer_words(node.timer)] if node.timer else []
    found += [signal_words(name, node) for name in node.awaits]
    found += [deadline_words(node.deadline)] if node.deadline is not None else []
    return found


def asks(node: Node) -> list[str]:
    """What a node asks besides that the one step before it, if any, has succeeded."""
    several = node.edges or len(node.depends_on) > 1
    return [*([f"after {', '.join(after(node))}"] if several else []), *bounds_of(node)]


def deadline_words(deadline: int) -> str:
    """By when a step must have ended, from when the steps before it have."""
    return f"deadline {duration(deadline)}"


def duration(milliseconds: int) -> str:
    """A configured duration: without what a measured one would show behind the point."""
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:g} s"
    return length(milliseconds / 1000)
