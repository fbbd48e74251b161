"""What a step is given: the run's input, outputs of earlier steps and signals, wherever they are stored."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from fluxio.binding import Soft
from fluxio.errors import BindingError
from fluxio_protocol import layout
from fluxio_protocol.edge import FAILED
from fluxio_protocol.errors import FluxioError, PayloadError
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, Step, StepStatus
from fluxio_protocol.store import Store
from fluxio_protocol.timeouts import INPUT


class Given(NamedTuple):
    """The run's input, and by name what the step's dependencies returned and what its signals brought."""

    input: Any = None
    #: What the steps returned that it depends on and that have succeeded.
    outputs: Mapping[str, Any] = MappingProxyType({})
    signals: Mapping[str, Any] = MappingProxyType({})
    #: What is not there, and why.
    soft: Soft = Soft()
    #: What the step kept for this round.
    state: Any = None
    #: Why it cannot be had.
    unreadable: PayloadError | BindingError | None = None


class Inputs:
    """What the steps of one run are given; a long value is read from its item once.

    Args:
        store: where items of long values are.
        run_id: the run.
    """

    def __init__(self, store: Store, run_id: str) -> None:
        self._store = store
        self._run_id = run_id
        self._read: dict[str, str] = {}

    def keep(self, sort_key: str, text: str) -> None:
        """Remember a long value, so that it need not be read again."""
        self._read[sort_key] = text

    def given(self, name: str, run: Run, graph: Graph) -> Given:
        """What a step of the run is given."""
        step = run.steps[name]
        if gone := run.awaiting(name):
            refused = BindingError(
                f"signal {', '.join(gone)}: another step has refused its payload, which did not fit. The "
                "step waits for it again: send a payload that fits.",
                signals=tuple(gone),
            )
            return Given(unreadable=refused)
        try:
            run = self._with_ended(run, graph.depends_on[name])
            before = [run.steps[dep] for dep in graph.depends_on[name]]
            handled = {
                source
                for edge in graph.nodes[name].edges
                if edge.kind == FAILED
                for source in edge.sources
            }
            return Given(
                self._value(run.input_json, run.input_ref),
                {dep.name: self.output(dep) for dep in before if _succeeded(dep)},
                {
                    signal: self._value(run.signals_json[signal] or None, layout.signal_ref(signal))
                    for signal in step.awaits
                },
                Soft(
                    frozenset(dep.name for dep in before if not _succeeded(dep)),
                    {dep.name: dep.error for dep in before if dep.error and dep.name in handled},
                    frozenset(run.lapsed),
                ),
                self._value(step.state_json, step.state_ref),
            )
        except (FluxioError, ValueError, RecursionError) as error:
            unreadable = PayloadError(
                f"run {run.run_id} step {name} (attempt {step.attempt}): what it is given cannot be read "
                f"from the table: {error}. Mend the item, and redrive the run."
            )
            return Given(unreadable=unreadable)

    def earlier(self, name: str, run: Run, graph: Graph) -> dict[str, Any]:
        """What the steps returned that a step depends on through others, the nearest last."""
        found: dict[str, Any] = {}
        run = self._with_ended(run, graph.depends_on)
        front = {*graph.depends_on[name]}
        while front:
            front = {dep for each in front for dep in graph.depends_on[each]} - found.keys()
            for each in front:
                found[each] = self.output(run.steps[each])
        return dict(reversed(found.items()))

    def _with_ended(self, run: Run, names: Iterable[str]) -> Run:
        """The run with the records of sealed steps, if some of these were not read."""
        if not any(run.steps[name].unread for name in names):
            return run
        return self._store.with_ended(run)

    def source(self, name: str, run: Run) -> Any:
        """What a step returned, or the run's input, by the name that the path of a timer has for it."""
        if name == INPUT:
            return self._value(run.input_json, run.input_ref)
        return self.output(self._with_ended(run, [name]).steps[name])

    def output(self, step: Step) -> Any:
        """What a step returned; None if it has not."""
        return self._value(step.output_json, step.output_ref)

    def _value(self, text: str | None, sort_key: str | None) -> Any:
        if text is None and sort_key is not None:
            if sort_key not in self._read:
                self._read[sort_key] = self._store.payloads.get(self._run_id, sort_key)
            text = self._read[sort_key]
        return None if text is None else json.loads(text)


def _succeeded(step: Step) -> bool:
    return step.status is StepStatus.SUCCEEDED
