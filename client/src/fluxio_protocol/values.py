"""Where a value stands: in the run item, or, where it is long, in an item of its own.

Every write of a run pays for all that stands in its item, and an item of its own is paid for twice: when it is
written, and when its run ends and it is given the run's time to live. So a value belongs into the run item
while it is carried by few writes, or is short.
"""

from __future__ import annotations

from fluxio_protocol import layout
from fluxio_protocol.graph import Graph
from fluxio_protocol.limits import text_bytes
from fluxio_protocol.run import Run

#: Bytes of a write unit.
UNIT = 1024

#: Bytes that an item of its own has besides the value: its key, its time to live, and names.
ITEM_OVERHEAD = 80

#: Bytes of an output that may stand in the run item at the most: an item holds 400 KB, those of 100 branches.
MAX_INLINE = 2048

#: Writes that a value in the run item costs besides those that carry it, if its step is sealed: the archive is
#: written and given its time to live, as an item of the value's own would be.
SEALING = 2


def payload_keys(run: Run) -> list[str]:
    """The sort keys of all items of a run besides its own: long values, and sealed steps."""
    steps = run.steps.values()
    refs = [run.input_ref, *(step.output_ref for step in steps), run.result_ref]
    refs += [step.state_ref for step in steps]
    signals = [
        layout.signal_ref(name)
        for name, text in run.signals_json.items()
        if name not in run.lapsed and (text is None or not layout.fits_inline(text))
    ]
    archives = [layout.archive_ref(number) for number in range(1, run.archives + 1)]
    return [*dict.fromkeys(ref for ref in refs if ref is not None), *signals, *archives]


def output_fits(text: str, carried: int) -> bool:
    """Whether an output stands in the run item.

    Args:
        text: the output as JSON.
        carried: how many writes carry it, that of its commit included, until it is needed no longer.
    """
    size = text_bytes(text)
    if size > MAX_INLINE:
        return False
    return size * carried <= max(2 * UNIT, 2 * (size + ITEM_OVERHEAD))


def carried(run: Run, graph: Graph, name: str, at_once: int) -> int:
    """How many writes will carry the output of a step that has just returned; see `output_fits`.

    Args:
        run: the run as it stands.
        graph: that of its version.
        name: the step.
        at_once: how many steps of a wave end in one write.
    """
    left = writes_left(run, graph, at_once)
    until = max((graph.level[dep] for dep in graph.dependents[name]), default=None)
    if until is None:
        return 1 + left
    needed = writes_left(run, graph, at_once, until)
    return 1 + min(left, needed + SEALING)


def writes_left(run: Run, graph: Graph, at_once: int, until: int | None = None) -> int:
    """About how many writes commit the steps behind those under way, up to a level of the graph."""
    unfinished: dict[int, int] = {}
    for name, level in graph.level.items():
        if not run.steps[name].settled and (until is None or level <= until):
            unfinished[level] = unfinished.get(level, 0) + 1
    waves = sum(-(-count // max(at_once, 1)) for count in unfinished.values())
    return max(waves - 1, 0)
