"""What the code of a step does in a schedule, and what is known of each of its executions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from fluxio import Again, StepContext
from fluxio.errors import StepTimeout
from fluxio.testing.aws import Aws
from fluxio.testing.death import Death
from fluxio_protocol.new_run import StartedBy
from tests.simulation.schedules.drawing import StepPlan, Weather
from tests.simulation.schedules.faults import Faults
from tests.simulation.schedules.hub import Hub
from tests.simulation.schedules.language import PLAIN, Extra
from tests.simulation.watch import Watch

Attempt = tuple[str, str, int]


class Steps:
    """Runs steps as they were drawn, and keeps the books.

    Args:
        hub: whose tasks run them.
        faults: what happens to them.
        weather: how often.
        watch: how long an attempt may take.
        extras: what the steps are besides.
    """

    def __init__(
        self,
        hub: Hub,
        faults: Faults,
        weather: Weather,
        watch: Watch,
        extras: Mapping[str, Extra] = MappingProxyType({}),
    ) -> None:
        self._extras = extras
        self._hub = hub
        self._faults = faults
        self._weather = weather
        self._watch = watch
        #: How often the code of each attempt, (run id, step, attempt), was begun.
        self.executions: Counter[Attempt] = Counter()
        #: How each attempt's code ended: "returned", "raised" or "overran"; missing: its worker died.
        self.ends: dict[Attempt, str] = {}
        #: Whether the code that kills its process has been mended.
        self.mended = False

    def run(self, plan: StepPlan, ctx: StepContext, given: Mapping[str, Any]) -> Any:
        """The code of every step."""
        hub, rng, task = self._hub, self._hub.rng, self._hub.current
        key = (ctx.run_id, plan.name, ctx.attempt)
        self.executions[key] += 1
        hub.say(f"{task.name}: runs {ctx.run_id} {plan.name} attempt {ctx.attempt}")
        if self.executions[key] > 1:
            hub.problems.append(f"the code of {key} ran twice")
        holder = task.parent or task
        self._watch.holds.begins(key, holder, holder.deadline)
        self._check(key, plan, given)
        if plan.starts:
            ctx.progress(ctx.attempt, flush=rng.random() < 0.5)
        lasts = rng.choice([0, 1, 50, 800])
        timeout = self._watch.timeouts[ctx.workflow, plan.name]
        if rng.random() < plan.overruns:
            lasts = timeout + rng.choice([100, 5_000, 20_000])
        began = hub.clock.at
        if hub.storm and rng.random() < self._weather.dies:
            hub.pause(min(lasts, timeout) // 2)
            raise Death
        if plan.kills and not self.mended:
            hub.pause(1)  # before its siblings are done
            raise Death
        if self._faults.strikes(self._weather.stalls):
            lasts = self._faults.stall(rng.choice([15_000, 45_000]))
        if lasts >= timeout:
            self.ends[key] = "overran"  # in a thread, the worker does not wait for it any longer
        if task.alarm is not None and hub.clock.at + lasts > task.alarm:
            hub.pause(max(0, task.alarm - hub.clock.at))
            self.ends[key] = "overran"
            raise StepTimeout
        hub.pause(lasts)
        raises = ctx.attempt in plan.raises
        if hub.clock.at - began >= timeout:
            self.ends[key] = "overran"
        else:
            self.ends[key] = "raised" if raises else "returned"
        if raises:
            raise RuntimeError(f"planned for attempt {ctx.attempt}")
        if plan.transacts:
            ctx.transact(_count(ctx.run_id, plan.name))
        extra = self._extras.get(plan.name, PLAIN)
        if (ctx.state or {}).get("after") != (ctx.round - 1 if ctx.round else None):
            problems = hub.problems
            problems.append(f"{key} has the state {ctx.state} in round {ctx.round}")
        if ctx.round < extra.rounds:
            text = "s" * (900 if extra.long_state else 1)
            return Again(extra.after, {"after": ctx.round, "text": text})
        if plan.starts and self._watch.run(ctx.run_id).get("started_by") is None:
            self._start(plan, ctx)
        output: dict[str, Any] = dict.fromkeys((f"by_{plan.name}", *plan.says), ctx.attempt)
        return output | ({f"text_{plan.name}": "o" * 2100} if plan.long else {})

    def _start(self, plan: StepPlan, ctx: StepContext) -> None:
        """Start runs that are told whose they are, half of them by names of their own."""
        for number in range(plan.starts):
            by = StartedBy(ctx.run_id, plan.name, number, ctx.created_at)
            chosen = f"{ctx.run_id}.{plan.name}.{number}" if number else None
            given = {"of": chosen or by.derived_id(), "text": "i" * (600 if number else 3)}
            ctx.start(ctx.workflow, given, run_id=chosen)

    def _check(self, key: Attempt, plan: StepPlan, given: Mapping[str, Any]) -> None:
        """It is given what was committed, and of its own run."""
        problems, run_id = self._hub.problems, key[0]
        for dep in self._watch.graph(run_id).depends_on[plan.name]:
            step = self._watch.run(run_id)["steps"][dep]
            committed = int(step["attempt"]) if step["status"] == "SUCCEEDED" else None
            if given.get(f"by_{dep}") != committed:
                problems.append(f"{key} was given {given}, but {dep} committed {committed}")
        for signal in plan.awaits:
            if isinstance(self._watch.run(run_id).get(f"signal:{signal}"), dict):
                if given[signal] is not None:
                    problems.append(f"{key} was given {given}, not the default of {signal}")
            elif given.get(signal, {}).get(f"by_{signal}") != run_id:
                problems.append(f"{key} was given {given}, not what the signal {signal} brought")
        if given["of"] != run_id:
            problems.append(f"{key} was given another run's input")


def _count(run_id: str, name: str) -> dict[str, Any]:
    return {
        "Update": {
            "TableName": Aws.LEDGER,
            "Key": {"pk": {"S": run_id}, "sk": {"S": name}},
            "UpdateExpression": "ADD times :one",
            "ExpressionAttributeValues": {":one": {"N": "1"}},
        }
    }
