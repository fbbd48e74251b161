"""Which writes were applied although they were refused: their answers were lost, and they were sent again."""

from __future__ import annotations

from fluxio.actions import Write
from fluxio_protocol.changes import Values
from fluxio_protocol.run import Run, Step, StepStatus


def was_applied(write: Write, run: Run, token: str) -> bool:
    """Whether a refused write was applied before, by the SDK's first try or the worker's.

    Told by the steps that it claims or ends: they have the holder's token, and what the write set.

    Args:
        write: what was refused.
        run: the run as it stands.
        token: the fence of the holder of the message, whose write it was.
    """
    wrote: dict[str, tuple[StepStatus | None, Values]] = {}
    for change in write.changes:
        if change.step is not None and change.row.step_to is not None:
            wrote[change.step] = (change.row.step_to, change.values)
        for name, laid_out in change.steps.items():
            if "token" in laid_out:
                wrote[name] = (StepStatus.RUNNING, laid_out)
    return bool(wrote) and all(
        name in run.steps
        and run.steps[name].token == token
        and run.steps[name].status is status
        and _carries(run.steps[name], values)
        for name, (status, values) in wrote.items()
    )


def _carries(step: Step, values: Values) -> bool:
    """Whether a step has the times and the error that a write set."""
    error = None if step.error is None else step.error.to_json()
    return values.get("error", error) == error and all(
        getattr(step, at) == values[at]
        for at in ("started_at", "lease_until", "not_before", "ended_at")
        if at in values
    )
