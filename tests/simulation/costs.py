"""What a run costs in the table, counted on the stand-in: applied writes and their units, item by item.

python -m tests.simulation.costs chain 20        units at outputs of 0 to 2,048 bytes
python -m tests.simulation.costs fan 100 0       the same without inline branches
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping
from typing import Any

from fluxio import step, workflow
from fluxio.testing.aws import Aws
from fluxio.testing.in_place import InPlace
from fluxio.testing.platform import (
    Invocation,
    Workflows,
    acknowledged,
    logging_to,
    make_client,
    make_worker,
    records_of,
)
from fluxio_protocol import limits

#: A workflow's steps, with the steps that each depends on.
Edges = Mapping[str, list[str]]


def chain(length: int) -> Edges:
    """Steps in a row."""
    return {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(length)}


def fan(width: int) -> Edges:
    """One step, `width` branches and a step that waits for all of them."""
    branches = {f"b{at}": ["begin"] for at in range(width)}
    return {"begin": [], **branches, "end": list(branches)}


ORDER: Edges = {
    "validate_payment": [],
    "charge_card": ["validate_payment"],
    "reserve_inventory": ["validate_payment"],
    "send_confirmation": ["validate_payment"],
    "fulfill_order": ["charge_card", "reserve_inventory", "send_confirmation"],
}


def workflow_of(edges: Edges, size: int, name: str = "Priced") -> type:
    """A workflow whose steps return `size` bytes of JSON."""

    def returns(given: str) -> Any:
        def run(self: Any) -> Any:
            return given

        return run

    steps: dict[str, Any] = {}
    for at, deps in edges.items():
        run = returns("o" * max(size - 2, 0))
        run.__name__ = run.__qualname__ = at
        steps[at] = step(depends_on=deps)(run)
    return workflow(type(name, (), steps))


def spent(edges: Edges, size: int, inline_branches: int = 10) -> Counter[str]:
    """What one run costs, its graph being stored before: `units`, `writes`, `invocations`."""
    aws = Aws(120)
    cls = workflow_of(edges, size)
    clock = aws.clock
    tokens = iter(range(10**6))
    worker = make_worker(
        aws,
        Workflows.of(cls),
        inline_branches,
        now=lambda: clock.at,
        new_token=lambda: f"a1b2c3.{next(tokens):08d}",
        chance=lambda: 0.5,
        new_threads=lambda: InPlace(clock, together=True),
        sleep=lambda seconds: clock.advance(seconds),
    )
    client = make_client(aws)
    counted: Counter[str] = Counter()
    for _ in range(2):
        counted.clear()
        counted.update(_one_run(aws, worker, client))
    return counted


def _one_run(aws: Aws, worker: Any, client: Any) -> Counter[str]:
    counted: Counter[str] = Counter()

    def see(table: str, key: Any, old: Any, new: Any) -> None:
        size = max(limits.item_bytes(item) for item in (old, new) if item)
        counted["units"] += -(-size // 1024)
        counted["writes"] += 1

    aws.dynamodb.watchers.append(see)
    run = client.start("Priced", {"n": 1})
    sqs, url = aws.sqs.client(), aws.queue.url
    asked = {"QueueUrl": url, "AttributeNames": ["All"]}
    while records := records_of(sqs.receive_message(**asked)):
        counted["invocations"] += 1
        context = Invocation(aws.clock, aws.clock.at + 1000 * aws.function_timeout)
        for record in acknowledged(records, worker.handle({"Records": records}, context)):
            sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
    aws.dynamodb.watchers.remove(see)
    assert client.get(run.run_id).status == "SUCCEEDED", client.get(run.run_id)
    return counted


def main(arguments: list[str]) -> None:
    """Print the units of a workflow at each size of its outputs."""
    kind, *more = arguments or ["order"]
    edges = {"chain": chain, "fan": fan}[kind](int(more[0])) if kind != "order" else ORDER
    inline_branches = int(more[1]) if len(more) > 1 else 10
    for size in (0, 12, 50, 100, 150, 200, 250, 300, 350, 380, 400, 420, 450, 500, 512, 513, 550, 600,
                 700, 800, 900, 940, 950, 1000, 1024, 1100, 1300, 1500, 1800, 2048):  # fmt: skip
        counted = spent(edges, size, inline_branches)
        sys.stdout.write(f"{size:5} B: {dict(counted)}\n")


if __name__ == "__main__":
    with logging_to(lambda line: None):
        main(sys.argv[1:])
