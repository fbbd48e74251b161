"""The worker: the one module that speaks the Lambda event.

`lambda_handler` takes the messages of the event source mapping, answers with those that must come back
(ReportBatchItemFailures), and sweeps when the schedule asks for it. It is the function's handler straight
from the layer: `fluxio.worker.lambda_handler`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxio import process
from fluxio.actions import Ack, Nack
from fluxio.deployment import Deployment
from fluxio.log import log
from fluxio.loop import Loop
from fluxio.manifest import Manifest
from fluxio.metrics import Metrics
from fluxio.plan import PATIENCE
from fluxio.services import Services
from fluxio.tracing import MessageTrace
from fluxio_protocol import layout, settings
from fluxio_protocol.clock import now_ms
from fluxio_protocol.errors import FluxioError, MalformedNudge, SettingError
from fluxio_protocol.queue import Nudge, Queue
from fluxio_protocol.store import Store
from fluxio_protocol.transient import error_code

if TYPE_CHECKING:
    from fluxio.sweeper import SideBySide, SweptPage

#: Seconds an invocation may take, as the module sets it for its function; 0: it is not said.
FUNCTION_TIMEOUT = "FLUXIO_FUNCTION_TIMEOUT"

#: Seconds until a malformed message comes back: soon, so that it is in the dead-letter queue soon.
MALFORMED_PAUSE = 1

#: Seconds a message stays away at most after DynamoDB or SQS could not be reached.
OUTAGE_PAUSE = 120

#: Receipts after which a message that an outage keeps coming back is replaced by a fresh one: one before
#: the dead-letter queue would take it (the module's maxReceiveCount is 10).
RENEW_IN_OUTAGE = 9


class _Back(NamedTuple):
    """A message that must come back."""

    record: dict[str, Any]
    seconds: int
    nudge: Nudge | None


class _Handling:
    """One message from its receipt on, for the lines and figures that are about it.

    Args:
        services: those of the worker.
        record: the message, as Lambda hands it over.
        request_id: the invocation's.
        metrics: where the invocation counts and measures.
    """

    def __init__(
        self, services: Services, record: dict[str, Any], request_id: str | None, metrics: Metrics
    ) -> None:
        attributes = record.get("attributes", {})
        self.record = record
        self.received = int(attributes.get("ApproximateReceiveCount", 1))
        self.metrics = metrics
        self.nudge: Nudge | None = None
        self.loop: Loop | None = None
        self._services = services
        self._request_id = request_id
        self._began = services.now()
        self._spent, self._sent = replace(services.store.spent), services.queue.sent
        self.sent_at = int(attributes["SentTimestamp"]) if "SentTimestamp" in attributes else None
        if self.received == 1 and self.sent_at is not None:
            metrics.took("queue_delay", self._began - self.sent_at)

    @property
    def ids(self) -> dict[str, Any]:
        """What its lines say of the run: all that is known by now."""
        if self.nudge is None:
            return {}
        run = self.loop.run if self.loop else None
        return {
            "run_id": self.nudge.run_id,
            "workflow": run.workflow if run else self.nudge.workflow,
            "step": self.nudge.step,
        }

    def tell(self, verdict: Ack | Nack) -> None:
        """Log what became of it, and what that cost."""
        before, spent = self._spent, self._services.store.spent
        log(
            "INFO",
            "message handled",
            **self.ids,
            received=self.received,
            verdict="put back" if isinstance(verdict, Nack) else "acknowledged",
            seconds=verdict.seconds if isinstance(verdict, Nack) else None,
            reads=spent.reads - before.reads,
            writes=spent.writes - before.writes,
            write_units=spent.write_units - before.write_units,
            index_write_units=spent.index_write_units - before.index_write_units,
            sent=self._services.queue.sent - self._sent,
            ms=self._services.now() - self._began,
            request_id=self._request_id,
        )


class Worker:
    """Handles Lambda events.

    Args:
        services: store, queue, deployment, clock.
        function_timeout: milliseconds an invocation may take; None: the longest that one had so far.
        side_by_side: what a sweep goes through its shards with; see `sweep`.
    """

    def __init__(
        self,
        services: Services,
        function_timeout: int | None = None,
        side_by_side: SideBySide = map,
    ) -> None:
        self._services = services
        self._function_timeout = function_timeout
        self._longest = 0
        self._side_by_side = side_by_side
        process.hold()

    @classmethod
    def from_environment(cls) -> Worker:
        """The worker that the function's environment describes.

        Raises:
            SettingError: a variable is missing or out of its bounds.
        """
        table_name = settings.setting(settings.TABLE_NAME)
        queue_url = settings.queue_url()
        inline_branches = settings.whole("FLUXIO_INLINE_BRANCHES", 10, 0, 20)
        store = Store(settings.aws_client("dynamodb"), table_name, settings.retention_days())
        queue = Queue(settings.aws_client("sqs"), queue_url)
        patience = 1000 * settings.whole("FLUXIO_PARK_AFTER", PATIENCE // 1000, 0, PATIENCE // 1000)
        deployment = Deployment(Manifest(), store, inline_branches, patience)
        services = Services(store, queue, deployment, now_ms)
        function_timeout = 1000 * settings.whole(FUNCTION_TIMEOUT, 0, 0, 900)
        return cls(services, function_timeout or None, _in_threads)

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """One invocation: messages of the queue, or a sweep.

        Raises:
            ValueError: the event is neither; the function is meant to be invoked by its mapping and schedule.
        """
        metrics = Metrics(self._services.now)
        try:
            return self._handle(event, context, metrics)
        finally:
            metrics.flush()

    def _handle(self, event: Any, context: Any, metrics: Metrics) -> dict[str, Any]:
        time_left = context.get_remaining_time_in_millis
        if isinstance(event, dict) and event.get("fluxio") == "sweep":
            from fluxio.sweeper import (
                sweep,  # messages do not need it, nor does a cold start for them
            )

            store, queue = self._services.store, self._services.queue
            now = self._services.now
            return sweep(store, queue, now, time_left, metrics, self._side_by_side)
        if not isinstance(event, dict) or not isinstance(event.get("Records"), list):
            raise ValueError(
                "the event is neither a batch of SQS messages nor a sweep: invoke this function "
                'through its event source mapping, or with {"fluxio": "sweep"}.'
            )
        left = time_left()
        deadline = self._services.now() + left
        # Lambda's timeouts are whole seconds, of which the start has taken some milliseconds already, and
        # more where Lambda initialises the function within the invocation.
        self._longest = max(self._longest, -(-left // 1000) * 1000)
        function_timeout = self._function_timeout or self._longest
        request_id = getattr(context, "aws_request_id", None)
        back: list[_Back] = []
        for record in event["Records"]:
            trace = MessageTrace(
                record.get("attributes", {}).get("AWSTraceHeader"), self._services.now, request_id
            )
            handling = _Handling(self._services, record, request_id, metrics)
            verdict = self._handle_record(handling, deadline, function_timeout, trace)
            handling.tell(verdict)
            trace.close("put back" if isinstance(verdict, Nack) else "acknowledged")
            if isinstance(verdict, Nack):
                back.append(_Back(record, verdict.seconds, handling.nudge))
        self._hide(back)
        return {"batchItemFailures": [{"itemIdentifier": one.record["messageId"]} for one in back]}

    def _handle_record(
        self, handling: _Handling, deadline: int, function_timeout: int, trace: MessageTrace
    ) -> Ack | Nack:
        """One message; whatever becomes of it does not touch the others of the batch."""
        record, received = handling.record, handling.received
        try:
            nudge = handling.nudge = Nudge.from_json(record["body"])
            if nudge.input_json is not None:
                from fluxio.schedules import start  # only a schedule's messages need it

                start(self._services.store, nudge, self._services.now())
            loop = handling.loop = Loop(
                self._services,
                nudge,
                received,
                deadline,
                function_timeout,
                trace,
                handling.metrics,
                handling.sent_at,
            )
            return loop.handle()
        except MalformedNudge as error:
            handling.metrics.count("messages_refused")
            log(
                "ERROR",
                f"message refused: {error} It goes to the dead-letter queue.",
                message_id=record.get("messageId"),
                received=received,
                **handling.ids,
            )
            return Nack(MALFORMED_PAUSE)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others of the batch go on
            return self._outage(handling, error)

    def _outage(self, handling: _Handling, error: Exception) -> Ack | Nack:
        """Let the message come back, later each time; before the dead-letter queue takes it, afresh."""
        nudge, received = handling.nudge, handling.received
        pause = (0.5 + 0.5 * self._services.chance()) * min(2**received, OUTAGE_PAUSE)
        log(
            "ERROR",
            "message put back",
            **handling.ids,
            received=received,
            error=type(error).__name__,
            code=error_code(error),
            reason=str(error) if isinstance(error, FluxioError) else None,
            seconds=round(pause),
        )
        if nudge is not None and received >= RENEW_IN_OUTAGE:
            occasion = f"again:{self._services.new_token().rpartition('.')[2]}"
            try:
                self._services.queue.send([nudge._replace(occasion=occasion)])
                return Ack()
            except Exception as error:  # noqa: BLE001
                # SQS is out too; the sweeper finds the run if the dead-letter queue takes this
                log("ERROR", "not sent afresh", **handling.ids, error=type(error).__name__)
        return Nack(round(pause))

    def _hide(self, back: list[_Back]) -> None:
        """Set when messages come back; those of a group together, because one hidden holds the others."""
        soonest: dict[str, int] = {}
        for record, seconds, _ in back:
            group = record.get("attributes", {}).get("MessageGroupId", record["messageId"])
            soonest[group] = min(seconds, soonest.get(group, seconds))
        for record, _, nudge in back:
            group = record.get("attributes", {}).get("MessageGroupId", record["messageId"])
            try:
                self._services.queue.hide(record["receiptHandle"], soonest[group])
            except Exception as error:  # noqa: BLE001
                # It comes back after the queue's own visibility timeout instead.
                ids = {"run_id": nudge.run_id, "step": nudge.step} if nudge else {}
                log("WARN", "visibility not set", **ids, error=type(error).__name__)


def _in_threads(
    function: Callable[[int], SweptPage], shards: Iterable[int], /
) -> Iterable[SweptPage]:
    from concurrent.futures import ThreadPoolExecutor  # only sweeps need it

    with ThreadPoolExecutor(layout.SHARDS) as pool:
        return [*pool.map(function, shards)]


@lru_cache(maxsize=1)
def _worker() -> Worker:
    return Worker.from_environment()


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """The handler of the worker's Lambda function."""
    return _worker().handle(event, context)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda the clients are made while the function initialises, with a whole CPU. A setting that is
    # wrong is said again by each invocation, which is where an operator looks.
    with process.uncollected():
        try:
            _worker()
        except SettingError as error:
            log("ERROR", str(error))
