"""One message from receipt to verdict: decide, perform, decide again.

Nothing here chooses: `decide` does. A call that failed is repeated while the worker has something in hand that
would be lost. Otherwise the error leaves the loop, and the message goes back.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fluxio.actions import (
    Ack,
    Await,
    Execute,
    ExpirePayloads,
    KeepPayloads,
    Nack,
    Pause,
    Read,
    ReadArchives,
    ReadTimer,
    Send,
    StoreArchive,
    StoreOutput,
    StoreResult,
    Write,
)
from fluxio.applied import was_applied
from fluxio.attempt import Attempt, Ended
from fluxio.commits import FOREIGN_PAUSE, result_steps
from fluxio.context import StepContext
from fluxio.decide import decide
from fluxio.given import Given, Inputs
from fluxio.hand import Declined, Failed, Hand, RunAgain, Succeeded
from fluxio.log import log
from fluxio.metrics import Metrics
from fluxio.outage import blocked_since, repeat_at
from fluxio.plan import Plan, Problem
from fluxio.sealing import record
from fluxio.services import Services
from fluxio.telling import Telling
from fluxio.tracing import MessageTrace
from fluxio_protocol import changes as to
from fluxio_protocol import layout
from fluxio_protocol.changes import Change
from fluxio_protocol.errors import FluxioError, MalformedNudge, PayloadError
from fluxio_protocol.new_run import started_before
from fluxio_protocol.queue import Nudge
from fluxio_protocol.run import ENDED, Failure, Run
from fluxio_protocol.run_item import SCHEMA
from fluxio_protocol.store import TransactionFailed
from fluxio_protocol.timeouts import time_in
from fluxio_protocol.trace import Trace
from fluxio_protocol.transient import error_code, is_transient
from fluxio_protocol.transitions import Guard

#: Writes refused in a row after which the worker lets the message come back instead of trying on.
REFUSALS = 20


class Stuck(FluxioError):
    """Write after write was refused, which no rule of the protocol explains."""


class Loop:
    """The handling of one message.

    Args:
        services: store, queue, deployment, clock.
        nudge: what the message says.
        received: how often it was received, this time included.
        deadline: when the invocation ends, in milliseconds since 1970.
        function_timeout: milliseconds an invocation may take.
        trace: records the message's segment of its run's trace.
        metrics: where the invocation counts and measures.
        sent_at: when SQS took the message, in milliseconds since 1970; None if that is not known.
    """

    def __init__(
        self,
        services: Services,
        nudge: Nudge,
        received: int,
        deadline: int,
        function_timeout: int,
        trace: MessageTrace,
        metrics: Metrics,
        sent_at: int | None = None,
    ) -> None:
        self._services = services
        self._deadline = deadline
        self._function_timeout = function_timeout
        self._trace = trace
        self._hand = Hand(nudge, received, services.new_token())
        self._hand.sent_at = sent_at
        self._hand.trace = trace.fresh.text if trace.fresh else None
        self._run: Run | None = None
        self._plan: Plan | Problem | None = None
        self._threads = services.new_threads()
        self._attempts: dict[str, Attempt] = {}
        self._told = Telling(metrics, self._hand, self._attempts)
        self._pid = os.getpid()
        self._inputs = Inputs(services.store, nudge.run_id)
        self._refusals = 0
        #: Writes that failed, with their times: each may have been applied all the same.
        self._unanswered: list[tuple[Write, int]] = []

    @property
    def run(self) -> Run | None:
        """The run as it was last seen; None before the first look."""
        return self._run

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
            try:
                self._perform(action, now)
            except Exception as error:
                if not self._will_repeat(error):
                    raise
                if isinstance(action, Write):
                    self._unanswered.append((action, now))
            else:
                if not isinstance(action, (Await, Pause)):
                    self._hand.failures = 0

    def _will_repeat(self, error: Exception) -> bool:
        """Whether the call that failed will be made again; then the time for that is set."""
        if not is_transient(error):
            return False
        now, chance = self._services.now(), self._services.chance()
        at = repeat_at(self._run, self._hand, now, self._deadline - now, chance)
        if at is None:
            return False
        self._hand.resume_at = at
        self._hand.failures += 1
        if self._hand.failures == 1:
            log(
                "WARN",
                "call repeated",
                run_id=self._hand.nudge.run_id,
                error=type(error).__name__,
                code=error_code(error),
            )
        return True

    def _perform(self, action: Any, now: int) -> None:
        if isinstance(action, Read):
            self._look(self._services.store.read(self._hand.nudge.run_id))
        elif isinstance(action, Write):
            self._write(action, now)
        elif isinstance(action, Send):
            self._send(action.nudges)
        elif isinstance(action, Execute):
            self._execute(action.steps)
        elif isinstance(action, Await):
            self._await(action.until, now)
        elif isinstance(action, Pause):
            self._services.sleep((action.until - now) / 1000)
        elif isinstance(action, StoreOutput):
            self._store_output(action.step, now)
        elif isinstance(action, ReadTimer):
            self._read_timer(action.step)
        elif isinstance(action, StoreArchive):
            self._store_archive(action, now)
        elif isinstance(action, ReadArchives):
            assert self._run is not None
            self._run = self._hand.recall(self._services.store.with_ended(self._run))
            self._hand.read_archives = True
        elif isinstance(action, StoreResult):
            self._store_result(now)
        elif isinstance(action, ExpirePayloads):
            self._expire_payloads(action)
        elif isinstance(action, KeepPayloads):
            self._services.store.payloads.keep(self._hand.nudge.run_id, action.sort_keys, now, now)
            self._hand.kept_payloads = True

    def _send(self, nudges: Sequence[Nudge]) -> None:
        self._services.queue.send(nudges, self._trace.onward)
        own = self._hand.nudge.run_id
        self._hand.nudged |= {nudge.run_id for nudge in nudges if nudge.run_id != own}
        self._hand.sent |= {(n.step or "", n.attempt) for n in nudges if n.run_id == own}
        if isinstance(self._plan, Problem) and any(map(blocked_since, nudges)):
            log(
                "WARN",
                "run blocked",
                run_id=self._hand.nudge.run_id,
                workflow=self._run.workflow if self._run else None,
                reason=self._plan.failure.message,
            )

    def _look(self, run: Run | None) -> None:
        """Take in the run as it stands."""
        if run is None:
            raise MalformedNudge(
                f"there is no run {self._hand.nudge.run_id} in this table. A run is stored before its "
                "first message is sent: was the message sent by hand, or the run deleted?"
            )
        self._run = run = self._hand.recall(run)
        self._told.fenced(run)
        self._hand.settle(run)
        for name in self._hand.released(run):
            # What it still brings is dropped; until it ends, its thread stays.
            self._threads.give_up(name)
            del self._hand.running[name]
            self._hand.began_at.pop(name, None)
        self._trace.found(run, self._hand)
        self._see(run, run.workflow)

    def _see(self, run: Run | None, workflow: str) -> None:
        at_work = bool(self._hand.running or self._hand.outcomes)
        if run is not None and not at_work:
            # What is here may be the deployed version's, by which a commit would count the wrong dependents;
            # and the run's own may take a call that fails.
            self._plan = None
        if run is not None and run.partial:
            return  # it is read again, with its graph
        plan = self._services.deployment.plan(workflow, run, self._function_timeout)
        if isinstance(plan, Problem) and at_work:
            return  # what is under way goes on by the plan that it began with
        self._plan = plan
        if isinstance(plan, Plan) and self._run is not None:
            # How long a step may wait is what is deployed under the run's version.
            self._run = replace(self._run, graph=plan.graph)

    def _expire_payloads(self, action: ExpirePayloads) -> None:
        run_id = self._hand.nudge.run_id
        self._services.store.payloads.expire(run_id, action.sort_keys, action.ended_at)
        self._hand.stored.clear()
        self._hand.expired.update(action.sort_keys)

    def _write(self, action: Write, now: int) -> None:
        self._hand.kept.update(action.kept)
        for change in action.changes:
            self._hand.ending |= change.row.run_to in ENDED
            if Guard.LEASE_OVER in change.row.guards and change.step is not None:
                # The worker that was lost may have stored its output, and no more.
                assert change.attempt is not None
                self._hand.stored.add((change.step, change.attempt))
        try:
            written = self._services.store.apply(
                self._hand.nudge.run_id,
                action.changes,
                now,
                action.operations,
                self._run.schema if self._run else SCHEMA,
                action.starts,
                Trace.of_run(self._run.trace, None) if self._run else None,
            )
        except TransactionFailed as error:
            # The step's own writes were refused: that is the step's failure, with its reasons.
            name = action.changes[0].step
            assert name is not None
            failed = self._attempts[name].refused(error)
            self._hand.outcomes[name] = failed
            self._trace.ended(name, failed.failure)
            return
        if written.run is not None:
            for earlier, at in [*self._unanswered, (action, now)]:
                applied = written.applied and earlier is action
                if applied or was_applied(earlier, written.run, self._hand.token):
                    before = self._run
                    self._hand.went_on(earlier.changes)
                    self._told.wrote(earlier, before, written.run, at)
                    break
        if written.applied:
            self._forget_progress(action.changes)
        self._unanswered.clear()
        self._refusals = 0 if written.applied else self._refusals + 1
        if self._refusals > REFUSALS:
            raise Stuck(
                f"run {self._hand.nudge.run_id}: {self._refusals} writes in a row were refused, the "
                f"last one {[change.row.name for change in action.changes]}."
            )
        self._look(written.run)

    def _forget_progress(self, changes: Sequence[Change]) -> None:
        """What has been written of how far steps are need not be written again."""
        for change in changes:
            if change.step is None or change.attempt is None:
                continue
            at = (change.step, change.attempt)
            if self._hand.progress.get(at) == change.values.get("progress"):
                self._hand.progress.pop(at, None)

    # --- steps

    def _execute(self, steps: tuple[str, ...]) -> None:
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        given = {name: self._inputs.given(name, run, plan.graph) for name in steps}
        # What they are given may have taken long to read: their time begins when they do.
        now = self._services.now()
        begun = []
        for name in steps:
            self._hand.begun[name] = run.steps[name].attempt
            self._hand.payloads[name] = run.signals_json
            if state_ref := run.steps[name].state_ref:
                self._hand.states.add(state_ref)
            attempt = self._attempt(name, given[name], now)
            unreadable = given[name].unreadable
            if unreadable is None:
                begun.append(attempt)
            else:
                self._keep(attempt, attempt.not_begun(unreadable))
        for attempt in begun:
            self._trace.begin(attempt.context)
        if len(begun) == 1 and not self._hand.running:
            self._hand.took = 0
            self._keep(begun[0], begun[0].run(interrupt=True))
            return
        for attempt in begun:
            self._hand.running[attempt.context.step] = attempt.context.deadline
            self._hand.began_at[attempt.context.step] = now
            self._threads.start(attempt)

    def _attempt(self, name: str, given: Given, now: int) -> Attempt:
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        workflow = self._services.deployment.definition(run.workflow)
        timeout = plan.policies[name].timeout
        attempt = Attempt(
            definition=workflow.steps[name],
            cls=workflow.cls,
            context=StepContext(
                run.run_id,
                run.workflow,
                name,
                run.steps[name].attempt,
                now + timeout,
                round=run.steps[name].round,
                state=given.state,
                table=self._services.store.table_name,
                started_before=started_before(run.started_texts.get(name, "")),
                created_at=run.created_at,
                load=self._services.deployment.definition,
                report=lambda text, flush: self._report(run, name, text, flush),
            ),
            given=given,
            timeout=timeout / 1000,
            tries=run.steps[name].attempt - run.steps[name].redriven_at,
            chance=self._services.chance(),
            earlier=lambda: self._inputs.earlier(name, run, plan.graph),
        )
        self._attempts[name] = attempt
        return attempt

    def _report(self, run: Run, name: str, text: str, flush: bool) -> None:
        """Take in how far a step is, in the step's own thread."""
        attempt = run.steps[name].attempt
        self._hand.progress[name, attempt] = text
        if not flush or os.getpid() != self._pid:
            return
        change = to.progress(name, self._hand.token, attempt, text)
        store, now = self._services.store, self._services.now()
        try:
            written = self._services.aside(
                lambda: store.apply(run.run_id, [change], now, schema=run.schema)
            )
        except Exception as error:  # noqa: BLE001 - no step fails for what it says of itself
            ids = self._attempts[name].ids
            log("WARN", "progress not written", **ids, error=type(error).__name__)
            return
        if written.applied and self._hand.progress.get((name, attempt)) == text:
            del self._hand.progress[name, attempt]

    def _await(self, until: int, now: int) -> None:
        ended = self._threads.wait((until - now) / 1000)
        now = self._services.now()
        for attempt, _ in ended:
            del self._hand.running[attempt.context.step]
        for name in [name for name, deadline in self._hand.running.items() if deadline <= now]:
            attempt = self._threads.give_up(name)
            ended.append((attempt, attempt.timed_out()))
        began = [self._hand.began_at.pop(attempt.context.step) for attempt, _ in ended]
        if began:
            self._hand.took = sum(now - at for at in began) // len(began)
        for attempt, outcome in ended:
            self._keep(attempt, outcome)

    def _keep(self, attempt: Attempt, outcome: Ended) -> None:
        """Hold an attempt's outcome until it is committed."""
        context = attempt.context
        self._hand.running.pop(context.step, None)
        failure = outcome.failure if isinstance(outcome, Failed) else None
        self._trace.ended(context.step, failure)
        if isinstance(outcome, Failed):
            self._hand.outcomes[context.step] = self._foreign(outcome)
            return
        if isinstance(outcome, Declined):
            log("INFO", "step skipped", **attempt.ids)
            self._hand.outcomes[context.step] = outcome
            return
        self._hand.started |= {new.run_id: new for new in outcome.starts}
        if isinstance(outcome, RunAgain):
            log("INFO", "step asks to be run again", **attempt.ids)
            self._hand.outcomes[context.step] = outcome
            return
        ended = Succeeded(outcome.text, outcome.operations, starts=outcome.starts)
        if not ended.transacts:  # that may be refused yet: it is told when it is committed
            log("INFO", "step returned", **attempt.ids)
        self._hand.outcomes[context.step] = ended

    def _foreign(self, failed: Failed) -> Failed:
        """A failure to bind the arguments of a run of another version: the right code may be on its way."""
        run = self._run
        assert run is not None
        deployed = self._services.deployment.definition(run.workflow).graph.version
        if not failed.unbound or run.version == deployed:
            return failed
        return failed._replace(retry_after=FOREIGN_PAUSE, foreign=True)

    def _store_output(self, step: str, now: int) -> None:
        outcome = self._hand.outcomes[step]
        assert isinstance(outcome, (Succeeded, RunAgain))
        assert outcome.text is not None
        attempt = self._attempts[step].context.attempt
        if isinstance(outcome, RunAgain):
            ref = layout.state_ref(step, attempt)
            self._hand.states.add(ref)
        else:
            ref = layout.output_ref(step, attempt)
            self._hand.stored.add((step, attempt))
        self._inputs.keep(ref, outcome.text)
        self._services.store.payloads.put(self._hand.nudge.run_id, ref, outcome.text, now)
        self._hand.outcomes[step] = outcome._replace(stored=True)

    def _read_timer(self, name: str) -> None:
        """Take in the time that a step waits for, where it stands in a long value."""
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        timer = plan.graph.nodes[name].timer
        assert timer is not None
        path = timer.at or ""
        source, _, fields = path.partition(".")
        value = self._inputs.source(source, run)
        self._hand.timers[name] = time_in(value, fields, path)
        self._run = self._hand.recall(run)

    def _store_archive(self, action: StoreArchive, now: int) -> None:
        run = self._run
        assert run is not None
        records = {name: record(run, run.steps[name]) for name in action.steps}
        steps = self._services.store.payloads.put_archive(run.run_id, action.number, records, now)
        self._hand.archive = (action.number, steps)

    def _store_result(self, now: int) -> None:
        run, plan = self._run, self._plan
        assert run is not None
        assert isinstance(plan, Plan)
        leaves = result_steps(run.steps, plan)
        parts = {name: self._inputs.output(run.steps[name]) for name in leaves}
        try:
            text = layout.encode(parts, f"the result of run {run.run_id}")
        except PayloadError as error:
            self._hand.result_failure = Failure("PayloadError", str(error))
            return
        self._services.store.payloads.put(run.run_id, layout.RESULT, text, now)
        self._hand.result_stored = True
