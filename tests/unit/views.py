"""Runs, hands and plans as `decide` sees them, made of plain values."""

from __future__ import annotations

import random
from typing import Any

from fluxio.hand import Failed, Hand, Succeeded
from fluxio.plan import Plan, StepPolicy
from fluxio_client import Failure, Run, RunStatus, Step, StepStatus
from fluxio_protocol.graph import Graph
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import ENDED

NOW = 1_800_000_000_000
MINUTES = 60_000
ME, OTHER = "my-token", "other-token"

POLICY = StepPolicy(timeout=30_000, attempts=3, attempts_under_crashes=5)

Policies = dict[str, Any]


def plan(
    graph: dict[str, tuple[str, ...]],
    inline_branches: int = 10,
    timeout: int | None = None,
    **policies: StepPolicy,
) -> Plan:
    return Plan(
        workflow="W",
        graph=Graph.of_steps(graph),
        policies=dict.fromkeys(graph, POLICY) | policies,
        timeout=timeout,
        inline_branches=inline_branches,
    )


def hand(step: str | None = None, received: int = 1, **more: Any) -> Hand:
    occasion = more.pop("occasion", "")
    return Hand(Nudge("r", "W", step, 1, occasion), received, ME, **more)


def pending(done: int = 0, of: int = 0, attempt: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "status": StepStatus.PENDING,
        "attempt": attempt,
        "completed_deps": done,
        "total_deps": of,
        **more,
    }


def running(token: str = ME, attempt: int = 1, **more: Any) -> dict[str, Any]:
    given = {"lease_until": NOW + 40_000, "owner": "", "started_at": NOW}
    return {"status": StepStatus.RUNNING, "attempt": attempt, "token": token, **given, **more}


def succeeded(token: str = ME, output: str = "{}", **more: Any) -> dict[str, Any]:
    given = {"attempt": 1, "ended_at": NOW, "output_json": output} | more
    return {
        "status": StepStatus.SUCCEEDED,
        "token": token,
        "started_at": given["ended_at"],
        **given,
    }


def run(
    steps: dict[str, dict[str, Any]], status: RunStatus = RunStatus.RUNNING, **more: Any
) -> Run:
    given: dict[str, Any] = {"created_at": NOW - MINUTES, "wake_at": NOW + 4 * MINUTES}
    if status in ENDED:
        given |= {"wake_at": None, "ended_at": NOW - 1_000}
    given |= more
    return Run(
        run_id="r",
        workflow="W",
        status=status,
        version="0a1b2c3d",
        schema=2,
        steps={name: Step(name=name, **values) for name, values in steps.items()},
        **given,
    )


def returned(text: str = "{}") -> Succeeded:
    return Succeeded(text)


def raised(retry_after: int | None, step: str = "a", attempt: int = 1) -> Failed:
    return Failed(Failure("E", "no", step, attempt), retry_after)


def random_view(chance: random.Random) -> tuple[Run | None, Hand, Plan, int]:
    """A run as it may stand, seen by a holder of one of its messages, and the time left."""
    graph: dict[str, tuple[str, ...]] = {}
    for at in range(chance.randint(1, 8)):
        earlier = list(graph)
        graph[f"s{at}"] = tuple(chance.sample(earlier, chance.randint(0, min(3, len(earlier)))))
    deployed = plan(
        graph,
        inline_branches=chance.choice([0, 1, 2, 10]),
        timeout=chance.choice([None, None, None, 10 * MINUTES]),
        **{
            name: StepPolicy(
                chance.choice([5_000, 30_000]), chance.choice([1, 3]), 5, chance.random() < 0.15
            )
            for name in graph
        },
    )
    tokens, owners = [ME, OTHER, OTHER], ["", *graph]
    steps: dict[str, dict[str, Any]] = {}
    for name, deps in graph.items():
        done = sum(steps[dep]["status"] is StepStatus.SUCCEEDED for dep in deps)
        ready = done == len(deps)
        kind = chance.choice(["pending", "backoff", "running", "done", "done"]) if ready else "wait"
        attempt = chance.choice([1, 1, 2, 5])
        if kind in ("wait", "pending"):
            steps[name] = pending(done, len(deps))
        elif kind == "backoff":
            not_before = NOW + chance.choice([-1_000, 0, 5_000, 20 * MINUTES])
            token, owner = chance.choice(tokens), chance.choice(owners)
            steps[name] = pending(
                done, len(deps), attempt, not_before=not_before, token=token, owner=owner
            )
        elif kind == "running":
            token, owner = chance.choice(tokens), chance.choice(owners)
            leases = [20_000, 40_000, 40_000] if token == ME else [-1_000, 0, 1, 20_000]
            lease = NOW + chance.choice(leases)
            barrier = {"completed_deps": done, "total_deps": len(deps)}
            steps[name] = running(token, attempt, lease_until=lease, owner=owner, **barrier)
        else:
            output = chance.choice(["{}", '"' + "x" * 390 + '"'])
            steps[name] = succeeded(chance.choice(tokens), output)
            if chance.random() < 0.1:
                steps[name] |= {"output_json": None, "output_ref": f"out#{name}#1"}
    status = chance.choice([RunStatus.RUNNING] * 8 + list(RunStatus))
    if status is RunStatus.PENDING:
        steps = {}
    seen = run(
        steps,
        status,
        wake_at=NOW + chance.choice([-MINUTES, 0, 4 * MINUTES]),
        deadline=chance.choice([None, None, None, NOW - 1, NOW + 9 * MINUTES]),
    )
    mine = [s for s in seen.steps.values() if s.status is StepStatus.RUNNING and s.token == ME]
    held = hand(
        chance.choice([None, None, *graph]),
        chance.randint(1, 10),
        occasion=chance.choice(["", "", "sweep:1", "again:x"]),
    )
    for step in mine:
        state = chance.choice(["running", "ended", "to begin"])
        if state == "running":
            held.running[step.name] = NOW + 5_000
        elif state == "ended":
            held.outcomes[step.name] = chance.choice(
                [returned(), raised(None, step.name), raised(1_000, step.name)]
            )
    for step in seen.steps.values():
        if chance.random() < 0.1:
            held.sent.add((step.name, step.attempt + 1))
    held.began_at = {name: NOW - chance.choice([0, 50, 500]) for name in held.running}
    held.took = chance.choice([0, 10, 2_000])
    held.kept = {name for name in seen.steps if chance.random() < 0.2}
    first_look = chance.random() < 0.05 and not mine
    return (None if first_look else seen), held, deployed, chance.choice([500, 8_000, 60_000])
