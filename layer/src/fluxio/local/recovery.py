"""What a process that has ended left behind: steps that were running, and are not any more.

On AWS nothing tells whether a worker is dead, so its steps stay under its lease until that has expired. Here
only one process can hold the state: what it finds RUNNING when it starts was lost with the one before.
"""

from __future__ import annotations

from fluxio.local.aws import TABLE, LocalAws
from fluxio.retry import ATTEMPTS_UNDER_CRASHES
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.run import Failure, Step, StepStatus
from fluxio_protocol.store import Store

#: After every time.
_EVER = 2**53


def put_back(aws: LocalAws) -> tuple[list[str], list[str]]:
    """Let the steps that were under way be claimed again, at once.

    A step that has been lost again and again keeps its lease: when that has expired, the engine gives it up, as
    it does with one that kills its workers.

    Returns:
        Which runs are open, and which steps of which runs are to run again.
    """
    store = Store(aws.dynamodb, TABLE)
    found = []
    open_runs = [
        run_id
        for shard in range(layout.SHARDS)
        for run_id, _ in store.due(shard, _EVER, len(aws.table.items) + 1)
    ]
    for run_id in open_runs:
        run = store.read(run_id)
        steps = [] if run is None else [step for step in run.steps.values() if _was_lost(step)]
        for step in steps:
            failure = Failure(
                "WorkerLost", "the process that ran it has ended", step.name, step.attempt
            )
            assert step.token is not None
            now = aws.clock.now()
            retry = to.retry(step.name, step.token, step.attempt, failure, now)
            if store.apply(run_id, [retry], now).applied:
                found.append(f"{step.name} of {run_id}")
    return open_runs, found


def _was_lost(step: Step) -> bool:
    tries = step.attempt - step.redriven_at
    return (
        step.status is StepStatus.RUNNING
        and step.token is not None
        and tries < ATTEMPTS_UNDER_CRASHES
    )
