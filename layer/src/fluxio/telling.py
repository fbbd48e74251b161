"""What an operator is told of a worker's writes: metrics and log lines, each for what was really applied."""

from __future__ import annotations

from collections.abc import Mapping

from fluxio.actions import Write
from fluxio.attempt import Attempt
from fluxio.hand import Failed, Hand, Succeeded
from fluxio.log import log
from fluxio.metrics import Metrics
from fluxio_protocol.changes import Change
from fluxio_protocol.run import Failure, Run, RunStatus, StepStatus

#: Where a write of the worker's may bring a run to: what counts that, and what the log says.
_REACHED = {
    RunStatus.SUCCEEDED: ("runs_succeeded", "run succeeded"),
    RunStatus.FAILED: ("runs_failed", "run failed"),
    RunStatus.WAITING: ("runs_parked", "run parked"),
}


class Telling:
    """Counts and logs.

    Args:
        metrics: where the invocation counts and measures.
        hand: what the holder of a message has in hand.
        attempts: the attempts of that holder, by step.
    """

    def __init__(self, metrics: Metrics, hand: Hand, attempts: Mapping[str, Attempt]) -> None:
        self._metrics = metrics
        self._hand = hand
        self._attempts = attempts

    def wrote(self, action: Write, before: Run | None, run: Run, now: int) -> None:
        """Count and log what a write has brought about.

        Args:
            action: the write.
            before: the run before it, as it was last seen.
            run: the run after it.
            now: when it was made.
        """
        for change in action.changes:
            if change.row.step_to is not None:
                self._step(change, before, run, now)
            elif change.row.name == "open":
                self._metrics.count("runs_started", run.workflow)
            elif change.row.run_to is not None:
                self._run(change, run, now)

    def _run(self, change: Change, run: Run, now: int) -> None:
        assert change.row.run_to is not None
        metric, message = _REACHED[change.row.run_to]
        self._metrics.count(metric, run.workflow)
        if change.row.run_to is not RunStatus.WAITING:
            # The clock of the machine that started it may be ahead of this one.
            took = max(0, now - run.created_at)
            self._metrics.took("run_duration", took, run.workflow)
        if change.row.run_to is RunStatus.SUCCEEDED:
            log("INFO", message, run_id=run.run_id, workflow=run.workflow)
            return
        error = Failure.from_json(str(change.values["error"]))
        log(
            "ERROR",
            message,
            run_id=run.run_id,
            workflow=run.workflow,
            step=error.step,
            attempt=error.attempt,
            error=error.type,
            # fluxio's own words where no step is to blame; a step's may hold what it worked on
            reason=None if error.step else error.message,
        )

    def _step(self, change: Change, before: Run | None, run: Run, now: int) -> None:
        assert change.step is not None
        step = run.steps[change.step]
        if change.row.name == "take_over":
            self._metrics.count("takeovers")
            log(
                "WARN",
                "step taken over",
                run_id=run.run_id,
                workflow=run.workflow,
                step=step.name,
                attempt=step.attempt,
                taken_from=before.steps[step.name].ran_in if before else None,
            )
        if change.row.name == "retry":
            self._metrics.count("step_retries", run.workflow, step.name)
        if change.row.step_to is StepStatus.FAILED:
            self._metrics.count("step_failures", run.workflow, step.name)
        outcome = self._hand.outcomes.get(step.name)
        if outcome is None:
            return
        if isinstance(outcome, Succeeded) and outcome.transacts:
            log("INFO", "step returned", **self._attempts[step.name].ids)
        if isinstance(outcome, Failed) and outcome.timed_out:
            self._metrics.count("step_timeouts", run.workflow, step.name)
        if step.started_at is not None:
            took = now - step.started_at
            self._metrics.took("step_duration", took, run.workflow, step.name)

    def fenced(self, run: Run) -> None:
        """Count and log the outcomes that can no longer be committed: another worker took their steps over."""
        for name in self._hand.outcomes:
            step = run.steps.get(name)
            if step is not None and step.status is StepStatus.SKIPPED:
                log("INFO", "step released", **self._attempts[name].ids)
            elif step is None or step.token != self._hand.token:
                self._metrics.count("fenced_commits")
                log("WARN", "commit fenced", **self._attempts[name].ids)
