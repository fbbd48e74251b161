"""One change of each row of the transition table, as a caller makes it, on the run of `ITEM`.

Run as a module it writes expressions.json anew: `python -m tests.golden.rows`.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from fluxio_client import Failure, RunStatus, StepStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import expression
from fluxio_protocol.graph import Graph
from fluxio_protocol.run_item import run_from_item

NOW = 1_800_000_000_000
RUN_ID = "wf-000000000001"
FAILURE = Failure("ValueError", "no", "mine", 2)
CLAIM = to.claim_values("new-token", NOW + 70_000, "", NOW)
GRAPH = Graph.of_steps(
    {"root": (), "before": ("root",), "mine": ("before",), "after": ("mine",)}, {"mine": ("go",)}
)

#: A run in which every guard holds, for every row; a test sets the statuses.
ITEM: dict[str, Any] = {
    "pk": RUN_ID,
    "sk": "run",
    "workflow": "W",
    "workflow_shard": "W#3",
    "created_at": NOW - 9_000,
    "due": 3,
    "wake_at": NOW - 1_000,
    "deadline": NOW,
    "version": GRAPH.version,
    "schema": 2,
    "archives": 1,
    "sealed": "0",
    "input": "{}",
    "signal:go": "{}",
    "steps": {
        "before": "1 token 10+20 {}",
        "mine": {
            "attempt": 2,
            "token": "token",
            "lease_until": NOW,
            "owner": "",
            "started_at": NOW - 5_000,
            "error": '{"type":"E","message":"m"}',
        },
    },
}

#: The same run as a version stored it that knew schema 1 only.
COUNTED: dict[str, Any] = {
    name: value for name, value in ITEM.items() if name not in ("schema", "archives", "sealed")
} | {
    "steps": {
        "before": {"status": "SUCCEEDED", "attempt": 1, "token": "token", "output": "{}"},
        "mine": ITEM["steps"]["mine"] | {"awaits": "go", "completed_deps": 1, "total_deps": 1},
        "after": {"status": "PENDING", "attempt": 0, "completed_deps": 0, "total_deps": 1},
    }
}

RUN = run_from_item(
    {n: layout.value(of) for n, of in (ITEM | {"status": "RUNNING"}).items()}, None, GRAPH
)
MINE = RUN.steps["mine"]
PENDING = replace(MINE, status=StepStatus.PENDING)
RUNNING = replace(MINE, status=StepStatus.RUNNING)

CHANGES: dict[str, Change] = {
    "open": to.open_run("W", GRAPH, {"root": CLAIM}),
    "claim": to.claim("mine", CLAIM, first=False, awaits=("go",)),
    "take_over": to.take_over("mine", CLAIM, 2),
    "complete": to.complete(RUN, MINE, "token", "{}", ("after",), NOW),
    "retry": to.retry("mine", "token", 2, FAILURE, NOW + 1_000),
    "refuse_signal": to.refuse_signal("mine", "token", 2, FAILURE, {"go": "{}"}),
    "progress": to.progress("mine", "token", 2, "7"),
    "fail": to.fail("mine", "token", 2, FAILURE, RunStatus.RUNNING, NOW),
    "give_up": to.give_up("mine", 2, FAILURE, NOW),
    "decline": to.decline(RUN, MINE, "token", NOW),
    "again": to.again(MINE, "token", NOW + 1_000, {"state": "[1]"}),
    "again_here": to.again(MINE, "token", NOW, {"state_ref": "state#mine#2"}, CLAIM),
    "lapse": to.lapse(RUN, PENDING, "token", FAILURE, NOW, "later", handled=False),
    "lapse_handled": to.lapse(RUN, PENDING, "token", FAILURE, NOW, "later", handled=True),
    "fail_handled": to.fail_handled(RUN, MINE, "token", FAILURE, NOW),
    "give_up_handled": to.give_up_handled(RUN, MINE, "token", FAILURE, NOW),
    "skip": to.skip(RUN, PENDING, "token", NOW),
    "release": to.release(RUN, RUNNING, NOW),
    "default_signal": to.default_signal("later", "null", PENDING, NOW),
    "seal": to.seal(("before",), 2, "0-1"),
    "finish": to.finish(("result", "{}"), NOW),
    "fail_run": to.fail_run(FAILURE, NOW),
    "expire": to.expire(FAILURE, NOW),
    "park": to.park(FAILURE),
    "cancel": to.cancel(NOW),
    "redrive": to.redrive(opened=True, due=3, end_seen=None, now=NOW),
    "restart": to.redrive(opened=False, due=3, end_seen=None, now=NOW),
    "reset": to.reset("mine", 2),
    "reprieve": to.reprieve("mine", 2),
    "signal": to.signal("later", "{}", NOW),
    "keep_signal": to.keep_signal("later", "{}"),
    "replace_signal": to.replace_signal(
        "go", "[]", [MINE], RunStatus.RUNNING, NOW, archives_seen=1
    ),
    "wake": to.wake(NOW + 300_000, NOW - 1_000),
}

#: A claim of a step that was never claimed before, by one who has seen the run, and by one who has not.
FIRST_CLAIM = to.claim("after", CLAIM, first=True, archives_seen=1, total_deps=1)
UNSEEN_CLAIM = to.claim("after", CLAIM, first=True, sources=("mine",))

#: Writes that apply several rows at once, as a worker makes them.
TOGETHER: dict[str, list[Change]] = {
    "complete and claim the next": [
        CHANGES["complete"],
        FIRST_CLAIM,
    ],
    "complete and finish": [CHANGES["complete"], CHANGES["finish"]],
    "complete and seal": [CHANGES["complete"], CHANGES["seal"]],
    "fail and end the run": [CHANGES["fail"], CHANGES["fail_run"]],
    "redrive and reset": [CHANGES["redrive"], CHANGES["reset"]],
    "complete and release one that was never claimed": [
        CHANGES["complete"],
        to.release(RUN, RUN.steps["after"], NOW),
    ],
    "skip one that was never claimed": [to.skip(RUN, RUN.steps["after"], "token", NOW)],
    "a signal lapses for a step that was never claimed": [
        to.lapse(RUN, RUN.steps["after"], "token", FAILURE, NOW, "later", handled=False),
        to.fail_run(FAILURE, NOW),
    ],
    "redrive and wait for the signal anew": [
        CHANGES["redrive"],
        to.reset("mine", 2, ("go",), NOW),
    ],
    "fail in a run that failed": [
        to.fail("mine", "token", 2, FAILURE, RunStatus.FAILED, NOW),
    ],
}

WRITES: dict[str, list[Change]] = {name: [one] for name, one in CHANGES.items()} | TOGETHER
WRITES |= {"claim unseen": [UNSEEN_CLAIM]}

#: The expressions of these writes, by schema, as every version has written them.
GOLDEN = Path(__file__).with_name("expressions.json")
EXPRESSIONS: dict[str, Any] = json.loads(GOLDEN.read_text())

#: Writes that no run of schema 1 gets.
NOT_COUNTED = {
    "open",
    "seal",
    "complete and seal",
    "claim unseen",
    "decline",
    "skip",
    "release",
    "fail_handled",
    "give_up_handled",
    "lapse_handled",
    "complete and release one that was never claimed",
    "skip one that was never claimed",
    "a signal lapses for a step that was never claimed",
}


def write_of(name: str, schema: int) -> dict[str, Any]:
    """The arguments of a write."""
    return expression(WRITES[name], NOW, 90, schema).arguments()


def item(run_status: str, step_status: str, schema: int = 2, **changed: Any) -> layout.Item:
    """The run in these statuses, in DynamoDB's form; None takes an attribute out, `mine__x` is the step's."""
    stored = ITEM if schema == 2 else COUNTED
    attributes = stored | {"status": run_status}
    mine = stored["steps"]["mine"] | {"status": step_status}
    for name, value in changed.items():
        of, _, attribute = name.rpartition("mine__")
        target = mine if "mine__" in name else attributes
        target[attribute or of] = value
    step = {name: value for name, value in mine.items() if value is not None}
    if schema == 2 and step_status == "SUCCEEDED":
        step = "2 token 4000+5000 {}"  # type: ignore[assignment]
    attributes["steps"] = attributes["steps"] | {"mine": step}
    return {name: layout.value(value) for name, value in attributes.items() if value is not None}


if __name__ == "__main__":
    made = {
        str(schema): {
            name: write_of(name, schema)
            for name in WRITES
            if schema == 2 or name not in NOT_COUNTED
        }
        for schema in (1, 2)
    }
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
