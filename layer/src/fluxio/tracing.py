"""Traces: what the handling of a message leaves in its run's trace, in AWS X-Ray.

A run that is traced keeps its trace in the run item (`fluxio_protocol.trace`), and that is the truth; the
header of a message only says which segment of the trace its handling belongs below. The handling of a message
is a segment, each attempt of a step a subsegment of it. Both are sent twice, by UDP to the daemon that Lambda
runs beside the function: as in progress when the attempt begins, and complete when it is committed. So an
attempt whose worker died stays in progress for ever. Each document is below 4 KB, whatever the workflow's
size (X-Ray takes 64 KB).

A run is traced if whoever started it was, or if the invocation that opens it was sampled; and only where
FLUXIO_TRACING is 1, which the module's `tracing = "Active"` sets. Before that nothing of the SDK is imported.

aws-xray-sdk is in maintenance since 2026-02-25. This module alone knows it, and needs little of it: its
documents and its emitter. Its recorder stays out, because in Lambda that can only add to the invocation's own
segment, while an invocation handles messages of several runs. To make OpenTelemetry's spans instead, keep the
public members of `MessageTrace` and write its private ones and what follows the class anew: `found` starts a
span of kind CONSUMER under a remote parent (the 8 + 24 digits of `Trace.root` are OpenTelemetry's trace id),
`begin` a child of it, `ended` records the exception's type, and `onward` names the span to the next worker.
OpenTelemetry exports a span when it ends, so a dead worker's attempt would be missing.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cache, wraps
from typing import TYPE_CHECKING, Any, TypeVar

from fluxio.log import log
from fluxio.process import environment
from fluxio_protocol.run import Failure, Run, RunStatus, StepStatus
from fluxio_protocol.trace import HEADER_VARIABLE, Trace

if TYPE_CHECKING:
    from fluxio.context import StepContext
    from fluxio.hand import Hand

Method = TypeVar("Method", bound=Callable[..., None])

#: The annotation `outcome` of an attempt, by what its commit has made of the step.
_OUTCOMES = {
    StepStatus.SUCCEEDED: "succeeded",
    StepStatus.PENDING: "retried",
    StepStatus.FAILED: "failed",
}


def _harmless(method: Method) -> Method:
    """Whatever goes wrong in it costs the message its trace, and nothing else."""

    @wraps(method)
    def guarded(self: MessageTrace, *arguments: Any) -> None:
        if not self._on:
            return
        try:
            method(self, *arguments)
        except Exception as error:  # noqa: BLE001 - no run may fail for its trace
            self._on = False
            log("WARN", "message not traced", error=type(error).__name__, reason=str(error))

    return guarded  # type: ignore[return-value]


class MessageTrace:
    """What the handling of one message adds to its run's trace: nothing, unless the run is traced.

    Args:
        header: the message's system attribute AWSTraceHeader.
        now: the time in milliseconds since 1970.
        request_id: the invocation's.
    """

    #: The trace that begins with this message, if it opens a run that is in none.
    fresh: Trace | None = None
    #: The trace that nudges of the run carry.
    onward: Trace | None = None

    def __init__(
        self, header: str | None, now: Callable[[], int], request_id: str | None = None
    ) -> None:
        self._on = environment("FLUXIO_TRACING") == "1"
        self._began = now()
        self._now = now
        self._request_id = request_id
        self._sender = Trace.from_header(header)
        if self._on and Trace.from_header(os.environ.get(HEADER_VARIABLE)):
            self.fresh = Trace.fresh(self._began)
        self._run: Run | None = None
        self._found_as: RunStatus | None = None
        self._segment: Any = None
        self._sent_in_progress = False
        #: Attempts that are not settled yet, by step.
        self._attempts: dict[str, _Attempt] = {}
        self._warm_up()

    @_harmless
    def _warm_up(self) -> None:
        """Import the SDK before a step is claimed: later it would take of the step's time."""
        if self.fresh or self._sender:
            _sdk()

    def found(self, run: Run, hand: Hand) -> None:
        """Take in the run as it stands: the trace it is in, and what became of attempts that ended here."""
        if self.onward is None:
            self.onward = Trace.of_run(run.trace, self._sender)
        self._take_in(run, hand)

    @_harmless
    def _take_in(self, run: Run, hand: Hand) -> None:
        self._run = run
        self._found_as = self._found_as or run.status
        if self.onward is None:
            return
        if self._segment is None:
            self._segment = self._new_segment(self.onward, run, hand)
            self.onward = Trace(self.onward.root, self._segment.id)
        for name, attempt in list(self._attempts.items()):
            step = run.steps.get(name)
            if step is None or attempt.ended_at is None:
                continue
            if step.token != hand.token:
                self._settle(name, "fenced")
            elif step.status is not StepStatus.RUNNING:
                self._settle(name, _OUTCOMES[step.status])

    @_harmless
    def begin(self, context: StepContext) -> None:
        """An attempt of a step begins."""
        if self._segment is None:
            return
        if not self._sent_in_progress:
            self._sent_in_progress = True
            _send(self._segment)
        subsegment = _sdk().Subsegment(context.step, "local", self._segment)
        subsegment.start_time = self._now() / 1000
        self._segment.add_subsegment(subsegment)
        _annotate(
            subsegment,
            run_id=context.run_id,
            workflow=context.workflow,
            step=context.step,
            attempt=context.attempt,
        )
        self._attempts[context.step] = _Attempt(subsegment)
        _send(subsegment)

    @_harmless
    def ended(self, step: str, failure: Failure | None) -> None:
        """An attempt has returned, or raised; it is settled when it is committed."""
        if attempt := self._attempts.get(step):
            attempt.ended_at, attempt.failure = self._now(), failure

    @_harmless
    def close(self, verdict: str) -> None:
        """The message was handled; `verdict` is what becomes of it."""
        if self._segment is None or self._run is None:
            return
        for name, attempt in list(self._attempts.items()):
            if attempt.ended_at is not None:  # one that was left to itself stays in progress
                self._settle(name, "uncommitted")
        _annotate(self._segment, run_status=self._run.status.value)
        self._segment.put_metadata("verdict", verdict, "fluxio")
        if self._run.status is RunStatus.FAILED and self._found_as is not RunStatus.FAILED:
            self._segment.add_fault_flag()
        self._segment.close(self._now() / 1000)
        _send(self._segment)

    def _new_segment(self, trace: Trace, run: Run, hand: Hand) -> Any:
        worker = environment("AWS_LAMBDA_FUNCTION_NAME")
        segment = _sdk().Segment(
            worker or "local", traceid=trace.root, parent_id=trace.parent or None
        )
        segment.start_time = self._began / 1000
        if worker:
            segment.origin = "AWS::Lambda::Function"
        _annotate(segment, run_id=run.run_id, workflow=run.workflow)
        woken_by = hand.nudge.occasion.partition(":")[0] or ("step" if hand.nudge.step else "start")
        for name, value in {
            "woken_by": woken_by,
            "received": hand.received,
            "request_id": self._request_id,
        }.items():
            segment.put_metadata(name, value, "fluxio")
        return segment

    def _settle(self, name: str, outcome: str) -> None:
        attempt = self._attempts.pop(name)
        _annotate(attempt.subsegment, outcome=outcome)
        if attempt.failure is not None:
            attempt.subsegment.add_exception(_raised(attempt.failure), [])
        assert attempt.ended_at is not None
        attempt.subsegment.close(attempt.ended_at / 1000)
        _send(attempt.subsegment)
        self._segment.remove_subsegment(attempt.subsegment)


# --- the SDK


class _Attempt:
    """An attempt of a step that is not settled yet."""

    def __init__(self, subsegment: Any) -> None:
        self.subsegment = subsegment
        self.ended_at: int | None = None
        self.failure: Failure | None = None


@cache
def _sdk() -> Any:
    from types import SimpleNamespace

    from aws_xray_sdk.core.emitters.udp_emitter import UDPEmitter
    from aws_xray_sdk.core.models.segment import Segment
    from aws_xray_sdk.core.models.subsegment import Subsegment

    return SimpleNamespace(Segment=Segment, Subsegment=Subsegment, UDPEmitter=UDPEmitter)


@cache
def _emitter(address: str) -> Any:
    return _sdk().UDPEmitter(address)


def _send(entity: Any) -> None:
    address = environment("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000")
    _emitter(address).send_entity(entity)


def _annotate(entity: Any, **annotations: str | int) -> None:
    for name, value in annotations.items():
        entity.put_annotation(name, value)


def _raised(failure: Failure) -> Exception:
    """The exception again, as the SDK wants it; its message may hold what the step was working on."""
    message = failure.message[: failure.MAX_MESSAGE]
    told = [message] if environment("FLUXIO_LOG_PAYLOADS") == "1" else []
    return type(failure.type, (Exception,), {})(*told)  # type: ignore[no-any-return]
