"""How a run becomes an item, and an item a run.

A step stands in the map `steps` of the run item in one of three forms:

    not at all    it is PENDING and was never claimed: the graph says that there is such a step. Or it has
                  succeeded and was sealed: `sealed` has its place in the graph.
    a map         it was claimed and has not ended for good: RUNNING; FAILED, so that a redrive may reset it; or
                  PENDING again, to be retried. Or it failed before it was claimed.
    a text        it has ended for good: see `ended_text`.

So a run's item stays near a kilobyte, whatever the size of its graph. When ended steps make it longer, a worker
copies their texts to an archive item, and the write that commits its next outcome takes them out.

Runs that were opened before there was a `schema` are of schema 1: there each step is a map from the start, with
its status, and counts the steps it waits for. They keep that form to their end.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any, NamedTuple

from fluxio_protocol import layout
from fluxio_protocol.graph import Graph
from fluxio_protocol.layout import UNKNOWN, Item, plain
from fluxio_protocol.limits import item_bytes
from fluxio_protocol.new_run import StartedBy
from fluxio_protocol.run import Failure, Run, RunStatus, RunSummary, Step, StepStatus
from fluxio_protocol.trace import Trace

#: The form of the run items that this version's workers open.
SCHEMA = 2

#: In `steps`, where no step can have this name: an entry whose `awaits` has the signals that the run's steps
#: await. Clients from before schema 2 look for them in the item's steps, never in the graph.
SIGNALS = "*"

#: In the place of an output: it is the run's result.
RESULT_MARK = "="

#: What a step's map has besides its status, its error, its output and its signals.
_STEP_FIELDS = frozenset(
    {field.name for field in fields(Step)}
    - {"name", "status", "error", "output_json", "progress_json", "state_json", "awaits"}
    - {"sealed", "handled"}
)

_TIMES = re.compile(r"(-?\d+)([+-]\d+)")


def new_run_item(
    run_id: str,
    workflow: str,
    input_json: str,
    now: int,
    wake_at: int,
    trace: Trace | None = None,
    started_by: StartedBy | None = None,
    not_before: int | None = None,
) -> Item:
    """The item of a run that no worker has opened yet.

    Args:
        run_id: its id.
        workflow: the name of its workflow.
        input_json: its input; it stands here, or under a sort key of its own if it is too long.
        now: when it is started.
        wake_at: when the sweeper looks after it first.
        trace: the trace that it is recorded in.
        started_by: the step that starts it, if one does.
        not_before: when it may begin; None: at once.
    """
    number = layout.shard(run_id)
    attributes: dict[str, str | int] = {
        "workflow": workflow,
        "workflow_shard": layout.workflow_shard(workflow, number),
        "status": RunStatus.PENDING.value,
        "created_at": now,
        "due": number,
        "wake_at": wake_at,
    }
    if trace is not None:
        attributes["trace"] = trace.text
    if started_by is not None:
        attributes["started_by"] = started_by.to_text()
    if not_before is not None:
        attributes["not_before"] = not_before
    if layout.fits_inline(input_json):
        attributes["input"] = input_json
    else:
        attributes["input_ref"] = layout.INPUT
    return layout.run_key(run_id) | {name: layout.value(of) for name, of in attributes.items()}


def ended_text(
    attempt: int,
    token: str | None,
    started_at: int,
    ended_at: int,
    created_at: int,
    output: str | None,
    status: StepStatus = StepStatus.SUCCEEDED,
) -> str:
    """A step that has ended for good, as the run item has it: `1 5c01e2.pV3nD-8q 5023+150 {"paid":true}`.

    These are the attempt that succeeded, its token (up to the dot: where it ran), milliseconds from the run's
    start to the attempt's, those that it took, and the output as JSON. An output with an item of its own is
    left out; "=" stands for that of the last step, which is the run's result.

    Of one that has not succeeded, the status comes first (`SKIPPED 0 5c01e2.pV3nD-8q 5023+0`), and in the place
    of an output stands the failure.
    """
    head = f"{attempt} {token or '-'} {started_at - created_at}{ended_at - started_at:+d}"
    if status is not StepStatus.SUCCEEDED:
        head = f"{status.value} {head}"
    return head if output is None else f"{head} {output}"


def sealed_text(places: Iterable[int]) -> str:
    """Places of steps in their graph's order, as `sealed` has them: `0-57,60`."""
    found: list[list[int]] = []
    for place in sorted(places):
        if found and found[-1][-1] == place - 1:
            found[-1][1:] = [place]
        else:
            found.append([place])
    return ",".join("-".join(map(str, ends)) for ends in found)


def sealed_places(text: str) -> set[int]:
    """The places that `sealed_text` wrote."""
    found: set[int] = set()
    for ends in text.split(",") if text else ():
        first, _, last = ends.partition("-")
        found.update(range(int(first), int(last or first) + 1))
    return found


def run_from_item(
    item: Item,
    payloads: Mapping[str, str] | None = None,
    graph: Graph | None = None,
    ended: Mapping[str, str] | None = None,
) -> Run:
    """The run that an item holds. What a later version of fluxio has added is passed over.

    Args:
        item: the run item.
        payloads: JSON text by sort key, for values that stand in items of their own.
        graph: that of the run's version; without it the steps that do not stand in the item are missing.
        ended: the texts of sealed steps, by name, as far as they were read.
    """
    at = {name: plain(part) for name, part in item.items()}
    schema, created_at, input_ref = at.get("schema", 1), at["created_at"], at.get("input_ref")
    error, result_ref = at.get("error"), at.get("result_ref")
    values = _Values(created_at, payloads or {}, at.get("result"), result_ref)
    trace = Trace.from_text(at.get("trace"))
    lapsed = {
        signal: of
        for name, of in at.items()
        if (signal := layout.signal_of(name)) and isinstance(of, dict) and "lapsed" in of
    }
    return Run(
        run_id=at["pk"],
        workflow=at["workflow"],
        status=RunStatus.of(at["status"]),
        created_at=created_at,
        version=at.get("version"),
        ended_at=at.get("ended_at"),
        error=Failure.from_json(error) if error else None,
        steps=_steps(at, schema, values, graph, ended or {}),
        wake_at=at.get("wake_at"),
        deadline=at.get("deadline"),
        input_json=at.get("input", values.of(input_ref)),
        input_ref=input_ref,
        signals_json={
            signal: text or values.of(layout.signal_ref(signal))
            for name, text in at.items()
            if (signal := layout.signal_of(name)) and isinstance(text, str)
        }
        | {signal: of["default"] for signal, of in lapsed.items() if "default" in of},
        lapsed={signal: of["lapsed"] for signal, of in lapsed.items()},
        result_json=values.result,
        result_ref=result_ref,
        trace=trace.root if trace else None,
        schema=schema,
        archives=at.get("archives", 0),
        sealed=at.get("sealed", ""),
        started_by=StartedBy.from_text(at.get("started_by", "")),
        started_texts={
            step: text for name, text in at.items() if (step := layout.starter_of(name))
        },
        not_before=at.get("not_before"),
        opened_at=at.get("opened_at"),
        graph=graph,
        item_bytes=item_bytes(item),
    )


class _Edges(NamedTuple):
    """What the graph says of a step: the fields of `Step` after its attempt."""

    completed_deps: int = 0
    total_deps: int = 0
    awaits: tuple[str, ...] = ()


class _Values:
    """What the steps of a run are read with: its start, its result, and the items of long values."""

    def __init__(
        self,
        created_at: int,
        payloads: Mapping[str, str],
        result: str | None,
        result_ref: str | None,
    ) -> None:
        self.created_at = created_at
        self._payloads = payloads
        self.result = result if result is not None else self.of(result_ref)

    def of(self, sort_key: str | None) -> str | None:
        """The value of an item of its own; None if it was not read."""
        return None if sort_key is None else self._payloads.get(sort_key)


def _steps(
    at: dict[str, Any], schema: int, values: _Values, graph: Graph | None, ended: Mapping[str, str]
) -> dict[str, Step]:
    """The steps of a run: with its graph every one of them, in the graph's order."""
    stored = {
        name: part
        for name, part in at.get("steps", {}).items()
        if name != SIGNALS and (isinstance(part, dict) or (isinstance(part, str) and schema != 1))
    }
    if schema == 1 or graph is None:
        return {name: _step(name, part, values, _Edges()) for name, part in stored.items()}
    sealed = sealed_places(at.get("sealed", ""))
    for place, name in enumerate(graph.depends_on):
        if place in sealed and name not in stored:
            stored[name] = ended.get(name, "")  # a text, or a mark that there is one elsewhere
    steps: dict[str, Step] = {}
    for name in dict.fromkeys([*graph.depends_on, *stored]):
        part, deps = stored.get(name), graph.depends_on.get(name, ())
        # A step that was claimed has all that it depends on.
        done = (
            len(deps) if part is not None else sum(isinstance(stored.get(dep), str) for dep in deps)
        )
        edges = _Edges(done, len(deps), graph.awaits.get(name, ()))
        steps[name] = _step(name, part, values, edges)
        if name in ended:
            steps[name] = replace(steps[name], sealed=True)
    return steps


def filled_in(run: Run, records: Mapping[str, str]) -> Run:
    """A run with the records of its sealed steps, which its item no longer has."""
    values = _Values(run.created_at, {}, run.result_json, None)
    steps = dict(run.steps)
    for name, step in run.steps.items():
        if step.unread and name in records:
            edges = _Edges(step.completed_deps, step.total_deps, step.awaits)
            steps[name] = replace(_ended_step(name, records[name], values, edges), sealed=True)
    return replace(run, steps=steps)


def _step(name: str, part: dict[str, Any] | str | None, values: _Values, edges: _Edges) -> Step:
    """A step in any of its forms; what a later version wrote in another one is shown as unknown."""
    if part is None:
        return _pending(name, edges)
    if part == "":
        return Step(name, StepStatus.SUCCEEDED, 0, *edges, sealed=True)
    if isinstance(part, str):
        return _ended_step(name, part, values, edges)
    awaits, ref, error = part.get("awaits"), part.get("output_ref"), part.get("error")
    state = part.get("state", values.of(part.get("state_ref")))
    if awaits and isinstance(awaits, str):
        edges = edges._replace(awaits=tuple(awaits.split(",")))
    return Step(
        name=name,
        status=StepStatus.of(part.get("status", UNKNOWN)),
        error=Failure.from_json(error) if error else None,
        output_json=part.get("output", values.of(ref)),
        progress_json=part.get("progress"),
        state_json=state,
        **edges._asdict() | {field: part[field] for field in _STEP_FIELDS & part.keys()},
    )


@lru_cache(maxsize=1024)
def _pending(name: str, edges: _Edges) -> Step:
    """A step that was never claimed; most of a run's are the same at each look."""
    return Step(name, StepStatus.PENDING, 0, *edges)


def _ended_step(name: str, text: str, values: _Values, edges: _Edges) -> Step:
    step = _read_record(name, text, values.created_at, edges)
    if step.output_json == RESULT_MARK:
        return replace(step, output_json=values.result)
    if step.output_ref is not None and (output := values.of(step.output_ref)) is not None:
        return replace(step, output_json=output)
    return step


@lru_cache(maxsize=512)
def _read_record(name: str, text: str, created_at: int, edges: _Edges) -> Step:
    """The step that `ended_text` wrote; what is written never changes, so it is read once."""
    first, _, rest = text.partition(" ")
    status = StepStatus.SUCCEEDED
    if not first.isdecimal() and first.isidentifier():
        status, text = StepStatus.of(first), rest
    attempt, token, times, output = [*text.split(" ", 3), "", "", ""][:4]
    matched = _TIMES.fullmatch(times)
    if not attempt.isdecimal() or matched is None:
        unknown = status is StepStatus.SUCCEEDED
        return Step(name, StepStatus.of(UNKNOWN) if unknown else status, 0, *edges)
    started_at = created_at + int(matched[1])
    step = Step(
        name,
        status,
        int(attempt),
        *edges,
        token=None if token == "-" else token,
        started_at=started_at,
        ended_at=started_at + int(matched[2]),
    )
    if status is StepStatus.SUCCEEDED:
        ref = None if output else layout.output_ref(name, int(attempt))
        return replace(step, output_json=output or None, output_ref=ref)
    failed = status is StepStatus.FAILED
    return replace(step, handled=failed, error=Failure.from_json(output) if output else None)


def summary_from_item(item: Item) -> RunSummary:
    """The run that SUMMARY of a run item shows, or an entry of `failed` or `by_workflow` as far as it goes."""
    at = {name: plain(part) for name, part in item.items()}
    workflow = at.get("workflow") or at.get("failed") or at["workflow_shard"].rpartition("#")[0]
    return RunSummary(
        run_id=at["pk"],
        workflow=workflow,
        status=RunStatus.of(at.get("status", UNKNOWN)),
        created_at=at.get("created_at", at.get("ended_at", 0)),
        ended_at=at.get("ended_at"),
    )
