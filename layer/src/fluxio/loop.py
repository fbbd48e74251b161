"""One message from receipt to verdict: decide, perform, decide again.

Nothing here chooses: `decide` does. Nothing here catches what it cannot mend: an outage of DynamoDB or SQS
leaves the loop as it is, and the message goes back.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable
from typing import Any, NamedTuple

from fluxio.attempt import Attempt, Returned, Threads
from fluxio.context import StepContext
from fluxio.decide import (
    Ack,
    Await,
    Execute,
    Failed,
    Hand,
    Nack,
    Plan,
    Problem,
    Read,
    Send,
    StoreResult,
    Succeeded,
    Write,
    decide,
)
from fluxio.deployment import Deployment
from fluxio.log import count, log
from fluxio_client import layout
from fluxio_client.errors import FluxioError, MalformedNudge, PayloadError
from fluxio_client.queue import Nudge, Queue
from fluxio_client.run import Failure, Run, RunStatus
from fluxio_client.store import Store, TransactionFailed

#: Writes refused in a row after which the worker lets the message come back instead of trying on.
REFUSALS = 20


class Stuck(FluxioError):
    """Write after write was refused, which no rule of the protocol explains."""


class Services(NamedTuple):
    """What the loop works with; tests bring their own."""

    store: Store
    queue: Queue
    deployment: Deployment
    now: Callable[[], int]
    #: A fresh fence for each message handled.
    new_token: Callable[[], str] = lambda: secrets.token_urlsafe(6)
    #: A number from 0 to 1 for each backoff's jitter.
    chance: Callable[[], float] = random.random
    #: What runs the branches of a fan-out side by side.
    new_threads: Callable[[], Threads] = Threads


class Loop:
    """The handling of one message.

    Args:
        services: store, queue, deployment, clock.
        nudge: what the message says.
        received: how often it was received, this time included.
        deadline: when the invocation ends, in milliseconds since 1970.
        function_timeout: milliseconds an invocation may take.
    """

    def __init__(
        self, services: Services, nudge: Nudge, received: int, deadline: int, function_timeout: int
    ) -> None:
        self._services = services
        self._deadline = deadline
        self._function_timeout = function_timeout
        self._hand = Hand(nudge, received, services.new_token())
        self._run: Run | None = None
        self._plan: Plan | Problem | None = None
        self._threads = services.new_threads()
        self._attempts: dict[str, Attempt] = {}
        self._payloads: dict[str, str] = {}
        self._refusals = 0

    def handle(self) -> Ack | Nack:
        """Work until the message can be acknowledged or must come back.

        Raises:
            MalformedNudge: it names a run that does not exist.
            Exception: DynamoDB or SQS could not be reached.
        """
        if self._hand.nudge.workflow is not None:
            self._see(None, self._hand.nudge.workflow)
        while True:
            now = self._services.now()
            action = decide(self._run, self._hand, self._plan, now, self._deadline - now)
            if isinstance(action, (Ack, Nack)):
                return action
            self._perform(action, now)

    def _perform(self, action: Any, now: int) -> None:
        if isinstance(action, Read):
            self._look(self._services.store.read(self._hand.nudge.run_id))
        elif isinstance(action, Write):
            self._write(action, now)
        elif isinstance(action, Send):
            self._services.queue.send(action.nudges)
            self._hand.sent |= {(nudge.step or "", nudge.attempt) for nudge in action.nudges}
        elif isinstance(action, Execute):
            self._execute(action.steps)
        elif isinstance(action, Await):
            self._await(action.until, now)
        elif isinstance(action, StoreResult):
            self._store_result(now)

    def _look(self, run: Run | None) -> None:
        """Take in the run as it stands."""
        if run is None:
            raise MalformedNudge(
                f"there is no run {self._hand.nudge.run_id} in this table. A run is stored before its "
                "first message is sent: was the message sent by hand, or the run deleted?"
            )
        self._run = run
        self._hand.settle(run)
        self._see(run, run.workflow)

    def _see(self, run: Run | None, workflow: str) -> None:
        self._plan = self._services.deployment.plan(workflow, run, self._function_timeout)

    def _write(self, action: Write, now: int) -> None:
        try:
            written = self._services.store.apply(
                self._hand.nudge.run_id, action.changes, now, action.operations
            )
        except TransactionFailed as error:
            # The step's own writes were refused: that is the step's failure, with its reasons.
            name = action.changes[0].step
            assert name is not None
            self._hand.outcomes[name] = self._attempts[name].failed(error)
            return
        if written.applied:
            self._tell(action)
        self._refusals = 0 if written.applied else self._refusals + 1
        if self._refusals > REFUSALS:
            raise Stuck(
                f"run {self._hand.nudge.run_id}: {self._refusals} writes in a row were refused, the "
                f"last one {[change.row.name for change in action.changes]}."
            )
        self._look(written.run)

    def _tell(self, action: Write) -> None:
        """Log what somebody on call wants to find: runs that stop, and steps taken from a dead worker."""
        run_id = self._hand.nudge.run_id
        for change in action.changes:
            if change.row.run_to in (RunStatus.FAILED, RunStatus.WAITING):
                error = Failure.from_json(str(change.values["error"]))
                message = "run failed" if change.row.run_to is RunStatus.FAILED else "run parked"
                log(
                    "ERROR",
                    message,
                    run_id=run_id,
                    step=error.step,
                    error=error.type,
                    # fluxio's own words where no step is to blame; a step's may hold what it worked on
                    reason=None if error.step else error.message,
                )
                if change.row.run_to is RunStatus.WAITING:
                    count("runs_parked", self._services.now(), run_id=run_id)
            elif change.row.name == "take_over":
                log("WARNING", "step taken over", run_id=run_id, step=change.step)

    # --- steps

    def _execute(self, steps: tuple[str, ...]) -> None:
        given = {name: self._given(name) for name in steps}
        # What they are given may have taken long to read: their time begins when they do.
        now = self._services.now()
        begun = [self._attempt(name, *given[name], now) for name in steps]
        if len(begun) == 1 and not self._hand.running:
            self._keep(begun[0], begun[0].run(interrupt=True), self._services.now())
            return
        for attempt in begun:
            self._hand.running[attempt.context.step] = attempt.context.deadline
            self._threads.start(attempt)

    def _given(self, name: str) -> tuple[Any, dict[str, Any]]:
        """The run's input, and the outputs of the steps that a step depends on."""
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        outputs = {
            dep: self._value(run.steps[dep].output_json, run.steps[dep].output_ref)
            for dep in plan.graph.depends_on[name]
        }
        return self._value(run.input_json, run.input_ref), outputs

    def _attempt(self, name: str, given: Any, outputs: dict[str, Any], now: int) -> Attempt:
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        workflow = self._services.deployment.definition(run.workflow)
        timeout = plan.policies[name].timeout
        attempt = Attempt(
            definition=workflow.steps[name],
            cls=workflow.cls,
            context=StepContext(
                run.run_id, run.workflow, name, run.steps[name].attempt, now + timeout
            ),
            input=given,
            outputs=outputs,
            timeout=timeout / 1000,
            tries=run.steps[name].attempt - run.steps[name].redriven_at,
            chance=self._services.chance(),
        )
        self._attempts[name] = attempt
        return attempt

    def _value(self, text: str | None, ref: str | None) -> Any:
        if text is None and ref is not None:
            if ref not in self._payloads:
                run_id = self._hand.nudge.run_id
                self._payloads[ref] = self._services.store.get_payload(run_id, ref)
            text = self._payloads[ref]
        return None if text is None else json.loads(text)

    def _await(self, until: int, now: int) -> None:
        ended = self._threads.wait((until - now) / 1000)
        now = self._services.now()
        for attempt, _ in ended:
            del self._hand.running[attempt.context.step]
        # Keeping an outcome may take long: who has overrun is settled before.
        for name in [name for name, deadline in self._hand.running.items() if deadline <= now]:
            attempt = self._threads.give_up(name)
            ended.append((attempt, attempt.timed_out()))
        for attempt, outcome in ended:
            self._keep(attempt, outcome, now)

    def _keep(self, attempt: Attempt, outcome: Returned | Failed, now: int) -> None:
        """Hold an attempt's outcome until it is committed; a long output is stored first."""
        context = attempt.context
        self._hand.running.pop(context.step, None)
        if isinstance(outcome, Failed):
            self._hand.outcomes[context.step] = outcome
            return
        log(
            "INFO",
            "step returned",
            run_id=context.run_id,
            workflow=context.workflow,
            step=context.step,
            attempt=context.attempt,
        )
        stored = ("output", outcome.text)
        if not layout.fits_inline(outcome.text):
            ref = layout.output_ref(context.step, context.attempt)
            self._services.store.put_payload(context.run_id, ref, outcome.text, now)
            self._payloads[ref] = outcome.text
            stored = ("output_ref", ref)
        self._hand.outcomes[context.step] = Succeeded(stored, outcome.operations)

    def _store_result(self, now: int) -> None:
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        parts = {
            name: self._value(run.steps[name].output_json, run.steps[name].output_ref)
            for name in plan.graph.leaves
        }
        try:
            text = layout.encode(parts, f"the result of run {run.run_id}")
        except PayloadError as error:
            self._hand.result_failure = Failure("PayloadError", str(error))
            return
        self._services.store.put_payload(run.run_id, layout.RESULT, text, now)
        self._hand.result_stored = True
