"""One change of each row of the transition table, as a caller makes it, on the run of `ITEM`.

Run as a module it writes expressions.json anew: `python -m tests.golden.rows`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from fluxio_client import Failure, RunStatus
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import expression
from fluxio_protocol.graph import Graph

NOW = 1_800_000_000_000
RUN_ID = "wf-000000000001"
FAILURE = Failure("ValueError", "no", "mine", 2)
CLAIM = to.claim_values("new-token", NOW + 70_000, "", NOW)
GRAPH = Graph.of_steps({"before": (), "mine": ("before",), "after": ("mine",)})

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
    "version": "0a1b2c3d",
    "input": "{}",
    "signal:go": "{}",
    "steps": {
        "mine": {
            "awaits": "go",
            "attempt": 2,
            "completed_deps": 1,
            "total_deps": 1,
            "token": "token",
            "lease_until": NOW,
            "owner": "",
            "started_at": NOW - 5_000,
            "error": '{"type":"E","message":"m"}',
        },
        "after": {"status": "PENDING", "attempt": 0, "completed_deps": 0, "total_deps": 1},
    },
}

CHANGES: dict[str, Change] = {
    "open": to.open_run("W", GRAPH, {"before": CLAIM}),
    "claim": to.claim("mine", CLAIM, awaits=("go",)),
    "take_over": to.take_over("mine", CLAIM, 2),
    "complete": to.complete("mine", "token", 2, ("output", "{}"), ("after",), NOW),
    "retry": to.retry("mine", "token", 2, FAILURE, NOW + 1_000),
    "refuse_signal": to.refuse_signal("mine", "token", 2, FAILURE, {"go": "{}"}),
    "fail": to.fail("mine", "token", 2, FAILURE, RunStatus.RUNNING, NOW),
    "give_up": to.give_up("mine", 2, FAILURE, NOW),
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
    "replace_signal": to.replace_signal("go", "[]", ("mine",), RunStatus.RUNNING, NOW),
    "wake": to.wake(NOW + 300_000, NOW - 1_000),
}

#: Writes that apply several rows at once, as a worker makes them.
TOGETHER: dict[str, list[Change]] = {
    "complete and claim the next": [
        CHANGES["complete"],
        to.claim("after", CLAIM, total_deps=1),
    ],
    "complete and finish": [CHANGES["complete"], CHANGES["finish"]],
    "fail and end the run": [CHANGES["fail"], CHANGES["fail_run"]],
    "redrive and reset": [CHANGES["redrive"], CHANGES["reset"]],
    "fail in a run that failed": [
        to.fail("mine", "token", 2, FAILURE, RunStatus.FAILED, NOW),
    ],
}

WRITES: dict[str, list[Change]] = {name: [one] for name, one in CHANGES.items()} | TOGETHER

#: The expressions of these writes, as every version has written them.
GOLDEN = Path(__file__).with_name("expressions.json")
EXPRESSIONS: dict[str, Any] = json.loads(GOLDEN.read_text())


def item(run_status: str, step_status: str, **changed: Any) -> layout.Item:
    """The run in these statuses, in DynamoDB's form; None takes an attribute out, `mine__x` is the step's."""
    attributes = ITEM | {"status": run_status}
    mine = ITEM["steps"]["mine"] | {"status": step_status}
    for name, value in changed.items():
        of, _, attribute = name.rpartition("mine__")
        target = mine if "mine__" in name else attributes
        target[attribute or of] = value
    attributes["steps"] = ITEM["steps"] | {
        "mine": {name: value for name, value in mine.items() if value is not None}
    }
    return {name: layout.value(value) for name, value in attributes.items() if value is not None}


if __name__ == "__main__":
    made = {name: expression(changes, NOW, 90).arguments() for name, changes in WRITES.items()}
    GOLDEN.write_text(json.dumps(made, indent=1) + "\n")
