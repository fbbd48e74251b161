"""The worker: the one module that speaks the Lambda event.

`lambda_handler` takes the messages of the event source mapping, answers with those that must come back
(ReportBatchItemFailures), and sweeps when the schedule asks for it. It is the function's handler straight
from the layer: `fluxio.worker.lambda_handler`.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import lru_cache
from typing import Any

from fluxio.decide import Ack, Nack
from fluxio.deployment import Deployment
from fluxio.log import log
from fluxio.loop import Loop, Services
from fluxio.manifest import Manifest
from fluxio.sweeper import sweep
from fluxio_client import settings
from fluxio_client.client import now_ms
from fluxio_client.errors import FluxioError, MalformedNudge, SettingError
from fluxio_client.queue import Nudge, Queue
from fluxio_client.store import Store

#: Seconds until a malformed message comes back: soon, so that it is in the dead-letter queue soon.
MALFORMED_PAUSE = 1

#: Seconds a message stays away at most after DynamoDB or SQS could not be reached.
OUTAGE_PAUSE = 120

#: Receipts after which a message that an outage keeps coming back is replaced by a fresh one: one before
#: the dead-letter queue would take it (the module's maxReceiveCount is 10).
RENEW_IN_OUTAGE = 9


class Worker:
    """Handles Lambda events.

    Args:
        services: store, queue, deployment, clock.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    @classmethod
    def from_environment(cls) -> Worker:
        """The worker that the function's environment describes.

        Raises:
            SettingError: a variable is missing or out of its bounds.
        """
        table_name = settings.setting(settings.TABLE_NAME)
        queue_url = settings.queue_url()
        inline_branches = _whole("FLUXIO_INLINE_BRANCHES", 10, 0, 20)
        retention_days = _whole("FLUXIO_RETENTION_DAYS", 90, 1, 3650)
        store = Store(settings.aws_client("dynamodb"), table_name, retention_days)
        queue = Queue(settings.aws_client("sqs"), queue_url)
        return cls(Services(store, queue, Deployment(Manifest(), store, inline_branches), now_ms))

    def handle(self, event: Any, context: Any) -> dict[str, Any]:
        """One invocation: messages of the queue, or a sweep.

        Raises:
            ValueError: the event is neither; the function is meant to be invoked by its mapping and schedule.
        """
        time_left = context.get_remaining_time_in_millis
        if isinstance(event, dict) and event.get("fluxio") == "sweep":
            return dict(
                sweep(self._services.store, self._services.queue, self._services.now, time_left)
            )
        if not isinstance(event, dict) or not isinstance(event.get("Records"), list):
            raise ValueError(
                "the event is neither a batch of SQS messages nor a sweep: invoke this function "
                'through its event source mapping, or with {"fluxio": "sweep"}.'
            )
        left = time_left()
        deadline = self._services.now() + left
        # Lambda's timeouts are whole seconds, of which the start has taken some milliseconds already.
        function_timeout = -(-left // 1000) * 1000
        before, sent = replace(self._services.store.spent), self._services.queue.sent
        back: list[tuple[dict[str, Any], int]] = []
        for record in event["Records"]:
            verdict = self._handle_record(record, deadline, function_timeout)
            if isinstance(verdict, Nack):
                back.append((record, verdict.seconds))
        self._hide(back)
        spent = self._services.store.spent
        log(
            "INFO",
            "batch",
            received=len(event["Records"]),
            back=len(back),
            reads=spent.reads - before.reads,
            writes=spent.writes - before.writes,
            write_units=spent.write_units - before.write_units,
            index_write_units=spent.index_write_units - before.index_write_units,
            sent=self._services.queue.sent - sent,
        )
        return {
            "batchItemFailures": [{"itemIdentifier": record["messageId"]} for record, _ in back]
        }

    def _handle_record(
        self, record: dict[str, Any], deadline: int, function_timeout: int
    ) -> Ack | Nack:
        """One message; whatever becomes of it does not touch the others of the batch."""
        received = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
        nudge = None
        try:
            nudge = Nudge.from_json(record["body"])
            verdict = Loop(self._services, nudge, received, deadline, function_timeout).handle()
        except MalformedNudge as error:
            log(
                "ERROR",
                f"message refused: {error} It goes to the dead-letter queue.",
                message_id=record.get("messageId"),
                run_id=nudge.run_id if nudge else None,
                received=received,
            )
            return Nack(MALFORMED_PAUSE)
        except Exception as error:  # noqa: BLE001 - whatever it is, the others of the batch go on
            return self._outage(nudge, received, error)
        return verdict

    def _outage(self, nudge: Nudge | None, received: int, error: Exception) -> Ack | Nack:
        """Let the message come back, later each time; before the dead-letter queue takes it, afresh."""
        pause = (0.5 + 0.5 * self._services.chance()) * min(2**received, OUTAGE_PAUSE)
        log(
            "ERROR",
            "message put back",
            run_id=nudge.run_id if nudge else None,
            step=nudge.step if nudge else None,
            received=received,
            error=type(error).__name__,
            code=(getattr(error, "response", None) or {}).get("Error", {}).get("Code"),
            reason=str(error) if isinstance(error, FluxioError) else None,
            seconds=round(pause),
        )
        if nudge is not None and received >= RENEW_IN_OUTAGE:
            occasion = f"again:{self._services.new_token()}"
            try:
                self._services.queue.send(
                    [Nudge(nudge.run_id, nudge.workflow, nudge.step, nudge.attempt, occasion)]
                )
                return Ack()
            except Exception as error:  # noqa: BLE001
                # SQS is out too; the sweeper finds the run if the dead-letter queue takes this
                log("ERROR", "not sent afresh", run_id=nudge.run_id, error=type(error).__name__)
        return Nack(round(pause))

    def _hide(self, back: list[tuple[dict[str, Any], int]]) -> None:
        """Set when messages come back; those of a group together, because one hidden holds the others."""
        soonest: dict[str, int] = {}
        for record, seconds in back:
            group = record.get("attributes", {}).get("MessageGroupId", record["messageId"])
            soonest[group] = min(seconds, soonest.get(group, seconds))
        for record, _ in back:
            group = record.get("attributes", {}).get("MessageGroupId", record["messageId"])
            try:
                self._services.queue.hide(record["receiptHandle"], soonest[group])
            except Exception as error:  # noqa: BLE001
                # It comes back after the queue's own visibility timeout instead.
                log("WARNING", "visibility not set", error=type(error).__name__)


def _whole(name: str, default: int, low: int, high: int) -> int:
    text = os.environ.get(name, "").strip() or str(default)
    if not text.isdecimal() or not low <= int(text) <= high:
        raise SettingError(f"{name} is {text!r}: set it to a whole number from {low} to {high}.")
    return int(text)


@lru_cache(maxsize=1)
def _worker() -> Worker:
    return Worker.from_environment()


def lambda_handler(event: Any, context: Any) -> dict[str, Any]:
    """The handler of the worker's Lambda function."""
    return _worker().handle(event, context)


if "AWS_LAMBDA_FUNCTION_NAME" in os.environ:
    # In Lambda the clients are made while the function initialises, with a whole CPU. A setting that is
    # wrong is said again by each invocation, which is where somebody looks.
    try:
        _worker()
    except SettingError as error:
        log("ERROR", str(error))
