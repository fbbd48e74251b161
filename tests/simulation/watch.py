"""The promises, held against every write that the table accepts.

A `Watch` is told of each applied write and knows the graphs. It never stops a worker: what it finds is kept
in `violations`, for the test to ask about.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fluxio.claims import TIME_MARGIN
from fluxio.definition import WorkflowDefinition
from fluxio.deployment import START_UP
from fluxio.steps import DEFAULT_TIMEOUT
from fluxio.testing.aws import Aws
from fluxio.testing.expressions import Item
from fluxio_protocol import layout
from fluxio_protocol.graph import Graph
from fluxio_protocol.new_run import StartedBy, started_ids
from fluxio_protocol.run_item import SIGNALS, sealed_places
from tests.simulation.holds import Holds
from tests.simulation.needed import (
    beaten,
    edges_in,
    failure,
    handled,
    needed,
    over,
    waits_since,
    winners,
)

OPEN = ("PENDING", "RUNNING")
#: Where a run may go from where; of FAILED and WAITING, only by an operator's redrive.
RUN_MOVES = {
    "PENDING": {"RUNNING", "FAILED", "WAITING", "CANCELLED"},
    "RUNNING": {"SUCCEEDED", "FAILED", "WAITING", "CANCELLED"},
    "FAILED": {"RUNNING", "PENDING"},
    "WAITING": {"RUNNING", "PENDING", "CANCELLED"},
}

StepKey = tuple[str, str]


@dataclass
class Watch:
    """Counts what was committed, and collects what must never be.

    Args:
        aws: whose table is watched.
        definitions: the workflows, each in all versions that are deployed.
        skew: milliseconds by which two workers' clocks differ at most.
    """

    aws: Aws
    definitions: Iterable[WorkflowDefinition]
    skew: int = 0
    violations: list[str] = field(default_factory=list)
    #: How often each step went from RUNNING to SUCCEEDED.
    commits: Counter[StepKey] = field(default_factory=Counter)
    takeovers: int = 0
    #: How often each step was skipped, has failed unclaimed, and has begun another round.
    skips: Counter[StepKey] = field(default_factory=Counter)
    lapses: Counter[StepKey] = field(default_factory=Counter)
    rounds: Counter[StepKey] = field(default_factory=Counter)
    #: How many of these rounds began at once.
    at_once: int = 0
    #: How many archives were written and used.
    archives: int = 0
    #: When each attempt was claimed, by the table's own clock.
    claimed_at: dict[tuple[str, str, int], int] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    #: Is told the token of a claim when another claim takes its step over.
    on_takeover: Callable[[str], None] = lambda token: None
    #: Are told the run's id and its status when that has changed.
    on_status: list[Callable[[str, str], None]] = field(default_factory=list)
    #: The attempts that each operator's redrive left a step with: those up to this one no longer count.
    counted_from: dict[StepKey, int] = field(default_factory=dict)
    #: Each run as it was last seen.
    _last: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.holds = Holds(self.skew)
        longest = self.aws.function_timeout * 1000 - TIME_MARGIN - START_UP
        #: By workflow and version.
        self.graphs: dict[tuple[str, str], Graph] = {}
        #: Milliseconds an attempt may take, by workflow and step.
        self.timeouts: dict[tuple[str, str], int] = {}
        for definition in self.definitions:
            self.graphs[definition.name, definition.graph.version] = definition.graph
            for name, step in definition.steps.items():
                default = min(1000 * DEFAULT_TIMEOUT, longest)
                timeout = round(1000 * step.timeout) if step.timeout else default
                self.timeouts[definition.name, name] = timeout
        self.aws.dynamodb.watchers.append(self._see)

    def hear(
        self, line: Mapping[str, Any], holder: Hashable = None, deadline: int | None = None
    ) -> None:
        """Take in a line that an invocation, which ends at `deadline`, has logged."""
        now = self.aws.clock.at
        self.holds.hear(line, holder, now if deadline is None else deadline, now)

    def _see(self, table: str, key: tuple[str, str], old: Item | None, new: Item | None) -> None:
        if table != Aws.TABLE:
            return
        if new is None:
            self._blame(f"the item {key} was deleted")
        elif key[1] == layout.RUN:
            before = self._last.get(key[0], {})
            graph = self.graphs.get((new["workflow"]["S"], new.get("version", {}).get("S", "")))
            after = self._last[key[0]] = plain(new, old, before, graph)
            for problem in self._sealing_problems(key[0], old, new):
                self._blame(f"run {key[0]}: {problem}")
            for problem in self._run_problems(key[0], before, after):
                self._blame(f"run {key[0]}: {problem}")
            if after["status"] != before.get("status"):
                for told in self.on_status:
                    told(key[0], after["status"])
        elif old is not None and "payload" in old and old["payload"] != new["payload"]:
            # Two attempts never share an output item, and one writes it once, or again the same.
            self._blame(f"the item {key} was overwritten with another value")
        elif old is not None and old.get("steps") != new.get("steps"):
            self._blame(f"the archive {key} was overwritten with other records")

    def _sealing_problems(self, run_id: str, old: Item | None, new: Item) -> Iterator[str]:
        """A record leaves the run item for the archive that the item names, and as it was."""
        if old is None or new.get("archives") == old.get("archives"):
            return
        number = int(new["archives"]["N"])
        self.archives += 1
        if number != int(old.get("archives", {"N": "0"})["N"]) + 1:
            yield f"goes from the archive {old.get('archives')} to {number}"
        archive = self.aws.table.items.get((run_id, f"ended#{number}"), {"steps": {"M": {}}})
        gone = {n: v for n, v in old["steps"]["M"].items() if n not in new["steps"]["M"]}
        if archive["steps"]["M"] != gone:
            yield f"has sealed {gone}, and its archive {number} has {archive['steps']['M']}"

    def run(self, run_id: str) -> dict[str, Any]:
        """A run as it was last written, with Python's own values."""
        return self._last[run_id]

    def _started(self, run_id: str) -> list[str]:
        """The runs that a run says its steps have started."""
        run = self._last[run_id]
        return [
            started
            for name, text in run.items()
            if (step := layout.starter_of(name))
            for started in started_ids(text, run_id, step, run["created_at"])
        ]

    def start_problems(self) -> Iterator[str]:
        """What a run says that its steps have started is there, and everything else was started by nobody."""
        for run_id in [*self._last]:
            for started in self._started(run_id):
                by = StartedBy.from_text(self._last.get(started, {}).get("started_by", ""))
                if by is None or by.run_id != run_id:
                    yield f"run {run_id} has started {started}, which is not there, or was started by {by}"

    def graph(self, run_id: str) -> Graph:
        """The graph that a run goes by."""
        run = self._last[run_id]
        return self.graphs[run["workflow"], run["version"]]

    def _blame(self, problem: str) -> None:
        self.violations.append(problem)

    def _run_problems(self, run_id: str, old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
        status, before = new["status"], old.get("status")
        self.statuses[run_id] = status
        if before is None:
            if status != "PENDING":
                yield f"begins as {status}"
            if (by := StartedBy.from_text(new.get("started_by", ""))) is not None:
                starter = self._last.get(by.run_id, {})
                step = starter.get("steps", {}).get(by.step, {})
                committed = step.get("status") == "SUCCEEDED" or step.get("round", 0) > 0
                if not committed or run_id not in self._started(by.run_id):
                    yield f"was started by {by}, which is {step} and has started {starter}"
        elif status != before and status not in RUN_MOVES.get(before, ()):
            yield f"goes from {before} to {status}"
        open_ = status in OPEN
        if ("due" in new) is not open_ or ("wake_at" in new) is not open_:
            yield f"is {status} with due={new.get('due')} and wake_at={new.get('wake_at')}"
        if ("failed" in new) is not (status == "FAILED"):
            yield f"is {status} with failed={new.get('failed')}"
        if ("ended_at" in new) is (open_ or status == "WAITING"):
            yield f"is {status} with ended_at={new.get('ended_at')}"
        if ("ttl" in new) is not ("ended_at" in new):
            yield f"is {status} with ttl={new.get('ttl')}"
        was_parked = status == "CANCELLED" and "error" in old  # it still says why
        if ("error" in new) is not (status in ("FAILED", "WAITING") or was_parked):
            yield f"is {status} with error={new.get('error')}"
        if ("result" in new or "result_ref" in new) is not (status == "SUCCEEDED"):
            yield f"is {status} with a result, or without"
        redriven = before == "FAILED" and status == "RUNNING"
        for name, text in old.items():
            if isinstance(text, dict) and redriven:  # what had not come in time is waited for anew
                continue
            if name.startswith("signal:") and new.get(name) != text:
                yield f"has lost {name} {text}, or has another: {new.get(name)}"
        steps = new.get("steps", {})
        if status == "PENDING":
            if steps:
                yield "has steps before it is opened"
            return
        if not steps:
            return
        if steps.keys() != self.graph(run_id).depends_on.keys():
            yield f"has the steps {sorted(steps)}"
            return
        if status == "RUNNING":
            if before in ("FAILED", "WAITING"):
                self._redriven(run_id, old.get("steps", {}))
            failed = sorted(
                name
                for name, step in steps.items()
                if step["status"] == "FAILED" and not step.get("final")
            )
            if failed:
                yield f"is RUNNING with {failed} FAILED: nothing will ever end it"
        done = {name for name, step in steps.items() if over(step)}
        if status == "SUCCEEDED" and done != steps.keys():
            yield f"succeeded without {sorted(steps.keys() - done)}"
        did = {name for name, step in old.get("steps", {}).items() if over(step)}
        for name, first in winners(self.graph(run_id), steps):
            if len(first) > 1:
                yield f"has {first}, which were all the first that {name} waits for"
        for name, step in steps.items():
            if did == done and old.get("steps", {}).get(name) is step:
                continue
            was = old.get("steps", {}).get(name, {"status": "PENDING", "attempt": 0})
            for problem in self._step_problems(run_id, new, name, was, step, done):
                yield f"step {name} {problem}"

    def _redriven(self, run_id: str, steps: dict[str, Any]) -> None:
        for name, step in steps.items():
            if step["status"] in ("FAILED", "RUNNING"):
                under_way = step["status"] == "RUNNING"
                self.counted_from[run_id, name] = step["attempt"] - under_way

    def _step_problems(
        self,
        run_id: str,
        run: dict[str, Any],
        name: str,
        old: dict[str, Any],
        new: dict[str, Any],
        done: set[str],
    ) -> Iterator[str]:
        before, status = old["status"], new["status"]
        graph = self.graph(run_id)
        deps = graph.depends_on[name]
        if over(old):
            if new != old:
                yield f"was changed after its commit: {old} to {new}"
            return
        claimed = new["attempt"] != old["attempt"]
        if status == "SKIPPED":
            self.skips[run_id, name] += 1
            yield from self._skip_problems(run_id, run["steps"], name, old, new)
            return
        if before == "PENDING" and status == "FAILED":
            self.lapses[run_id, name] += 1
            yield from self._lapse_problems(run_id, run, name, new)
            return
        if before == "FAILED" and new != old:
            reset = status == "PENDING" and new.get("redriven_at") == new["attempt"]
            if not reset or run["status"] != "RUNNING":
                yield f"was changed after it had failed: {old} to {new}"
            return
        if status == "SUCCEEDED":
            self.commits[run_id, name] += 1
            if before != "RUNNING":
                yield f"was committed from {before}"
            output = json.loads(new.get("output", "{}"))
            if output.get("attempt", new["attempt"]) != new["attempt"]:
                yield f"was committed for attempt {new['attempt']} with the output {output}"
            ref = new.get("output_ref")
            if (ref is None) is ("output" not in new):
                yield f"was committed without an output: {new}"
            if ref is not None and (run_id, ref) not in self.aws.table.items:
                yield f"was committed with an output that is not there: {ref}"
            if claimed or new.get("token") != old.get("token"):
                yield "was committed by another claim than its last"
        else:
            # Where steps report how far they are, they say which attempt they are.
            reported = json.loads(new.get("progress", "0"))
            of = {old["attempt"], new["attempt"]} if "round" in new else {new["attempt"]}
            told = not new.get("final") and new.get("progress") != old.get("progress")
            if told and reported not in of:
                yield f"has the progress of attempt {reported} in attempt {new['attempt']}"
            counted, released = new.get("completed_deps"), done.intersection(deps)
            if "schema" not in run and counted != len(released):
                yield f"counts {counted} of {sorted(released)}"
            if "schema" not in run and new["total_deps"] != len(deps):
                yield f"waits for {new['total_deps']} of {deps}"
        again = "round" in new and new["round"] != old.get("round", 0)
        if again:
            self.rounds[run_id, name] += 1
            self.at_once += status == "RUNNING"
            self.counted_from[run_id, name] = old["attempt"]
            if new["round"] != old.get("round", 0) + 1 or before != "RUNNING":
                yield f"goes from round {old.get('round', 0)} to {new['round']} of {before}"
            if (run_id, name, old["attempt"]) not in self.holds.asked_again:
                yield f"is run again after attempt {old['attempt']}, which has not asked for that"
            if new.get("token") != old.get("token"):
                yield "is run again by another claim than its last"
        elif before == "RUNNING" and status in ("PENDING", "FAILED"):
            final = bool(new.get("final"))
            error, types = failure(new) if status == "FAILED" else ("", set[str]())
            if status == "FAILED" and final is not handled(graph, name, types):
                yield f"has failed with {error}, and that is {'' if final else 'not '}final"
            lost = status == "FAILED" and error == "WorkerLost"
            if lost and (broken := self.holds.broken((run_id, name, old["attempt"]))):
                yield broken
            if not lost and (run_id, name, new["attempt"]) not in self.holds.raised:
                yield f"is {status} after attempt {new['attempt']}, which has not failed: {new}"
        if claimed:
            released = bool(needed(graph, name, run["steps"]))
            yield from self._claim_problems(run_id, run, name, old, new, released, again)
        elif status == "RUNNING" and new["token"] != old["token"]:
            yield "has a new token but no new attempt"

    def _claim_problems(
        self,
        run_id: str,
        run: dict[str, Any],
        name: str,
        old: dict[str, Any],
        new: dict[str, Any],
        released: bool,
        again: bool,
    ) -> Iterator[str]:
        now, attempt = self.aws.clock.at, new["attempt"]
        if attempt != old["attempt"] + 1:
            yield f"goes from attempt {old['attempt']} to {attempt}"
        if new["status"] != "RUNNING" or not new.get("token") or not new.get("lease_until"):
            yield f"has attempt {attempt} without a claim: {new}"
        if not released:
            yield "was claimed before what it depends on had succeeded"
        for signal in self.graph(run_id).awaits.get(name, ()):
            if f"signal:{signal}" not in run:
                yield f"was claimed before its signal {signal} had arrived"
        if (run_id, name, attempt) in self.claimed_at:
            yield f"was claimed twice for attempt {attempt}"
        self.claimed_at[run_id, name, attempt] = now
        self.holds.leases[run_id, name, attempt] = new["lease_until"]
        node = self.graph(run_id).nodes[name]
        start = edges_in(self.graph(run_id), name, run["steps"], run)
        timer = node.timer.after if node.timer and node.timer.after else 0
        if start is not None and start + timer > now + 2 * self.skew:
            yield f"was claimed {start + timer - now} ms before its timer was over"
        if again:
            return
        if old["status"] == "RUNNING":
            if broken := self.holds.broken((run_id, name, old["attempt"])):
                yield broken
            self.takeovers += 1
            self.on_takeover(old["token"])
            # Since the claim was decided on: the write itself may have been long on its way.
            held = now - old["started_at"]
            if held < self.timeouts[run["workflow"], name]:
                yield f"was taken over {held} ms after its claim, within its timeout"
        elif old["status"] != "PENDING":
            yield f"was claimed from {old['status']}"
        if old.get("not_before", 0) > now + self.skew:
            yield f"was claimed {old['not_before'] - now} ms before its backoff was over"

    def _skip_problems(
        self,
        run_id: str,
        steps: dict[str, Any],
        name: str,
        old: dict[str, Any],
        new: dict[str, Any],
    ) -> Iterator[str]:
        """A step is skipped if it is not needed, was beaten, or its own `when` said no."""
        graph = self.graph(run_id)
        if beaten(graph, name, steps):
            return
        if old["status"] == "PENDING" and needed(graph, name, steps) is False:
            return
        declined = (run_id, name, new["attempt"]) in self.holds.declined
        if old["status"] == "RUNNING" and declined and new["token"] == old["token"]:
            return
        yield f"was skipped though it is needed: {old} to {new}"

    def _lapse_problems(
        self, run_id: str, run: dict[str, Any], name: str, new: dict[str, Any]
    ) -> Iterator[str]:
        """A step fails unclaimed only if something did not come in time for it."""
        graph, now = self.graph(run_id), self.aws.clock.at
        node, final = graph.nodes[name], bool(new.get("final"))
        error, types = failure(new)
        start = waits_since(graph, name, run["steps"], run)
        if start is None or needed(graph, name, run["steps"]) is not True:
            yield f"has failed for {error} before the steps before it had ended"
            return
        if final is not handled(graph, name, types):
            yield f"has failed with {error}, and that is {'' if final else 'not '}final"
        lapsed = [s for s in node.awaits if isinstance(run.get(f"signal:{s}"), dict)]
        waits = [of.after for s, of in node.timeouts.items() if s in lapsed and of.default is None]
        if error == "SignalTimeout" and not waits:
            yield f"has failed for a signal, and none of {node.awaits} has lapsed"
        if error == "StepDeadline":
            waits = [] if node.deadline is None else [node.deadline]
        # Another step's wait for the same signal may have been over first.
        early = [wait for wait in waits if start + wait > now + 2 * self.skew]
        if not waits or (error == "StepDeadline" and early):
            yield f"has failed for {error} {early} ms too early"


def plain(
    item: Item, old: Item | None, before: dict[str, Any], graph: Graph | None
) -> dict[str, Any]:
    """An item with Python's own values and every step as a dict; those the write left alone are of `before`."""
    made = {name: layout.plain(value) for name, value in item.items() if name != "steps"}
    if "steps" not in item or graph is None:
        return made
    stored, was = item["steps"]["M"], old["steps"]["M"] if old and "steps" in old else {}
    sealed = sealed_places(made.get("sealed", ""))
    steps = made["steps"] = {}
    for place, name in enumerate(graph.depends_on):
        value = stored.get(name)
        if value is None and "schema" in made:
            known = before.get("steps", {}).get(name, {})
            steps[name] = known if place in sealed else {"status": "PENDING", "attempt": 0}
        elif value is not None and was.get(name) is value:
            steps[name] = before["steps"][name]
        elif value is not None:
            steps[name] = layout.plain(value) if "M" in value else ended(name, value["S"], made)
    more = stored.keys() - steps.keys() - ({SIGNALS} if "schema" in made else set())
    steps |= {name: layout.plain(stored[name]) for name in more}
    return made


def ended(name: str, text: str, run: dict[str, Any]) -> dict[str, Any]:
    """What the record of a step says, in the form of a step under way."""
    status, final = "SUCCEEDED", {}
    if not text[:1].isdigit():
        status, _, text = text.partition(" ")
        final = {"final": True}
    attempt, token, times, *output = text.split(" ", 3)
    started, took = re.fullmatch(r"(-?\d+)([+-]\d+)", times).groups()  # type: ignore[union-attr]
    started_at = run["created_at"] + int(started)
    step: dict[str, Any] = {
        "status": status,
        "attempt": int(attempt),
        "token": token,
        "started_at": started_at,
        "ended_at": started_at + int(took),
        **final,
    }
    if status != "SUCCEEDED":
        error = json.loads(output[0]) if output else {}
        return step | {"error_type": error.get("type"), "error_bases": error.get("is", [])}
    if not output:
        return step | {"output_ref": f"out#{name}#{attempt}"}
    return step | {"output": run.get("result", "") if output == ["="] else output[0]}
