"""The worker's Lambda function in this process: its event source mapping, and the schedule of its sweeps."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from fluxio.testing.aws import Aws, Wire, sound
from fluxio.testing.death import Death
from fluxio.testing.in_place import InPlace, no_time
from fluxio.testing.platform import Invocation, Workflows, acknowledged, make_worker, records_of
from fluxio.worker import Worker

Record = dict[str, Any]


class Function:
    """Hands messages to workers, one invocation at a time; nothing runs unless it is asked to.

    Args:
        aws: where the messages are.
        workflows: what is deployed.
        inline_branches: as in the module.
        batch_size: messages that one invocation gets at most; the module sets 1.
        together: whether branches that run in one invocation are seen to end together.
        lasts: milliseconds that a branch of a fan-out takes.
        chance: a number from 0 to 1 for each draw of the engine's.
    """

    def __init__(
        self,
        aws: Aws,
        workflows: Workflows,
        *,
        inline_branches: int = 10,
        batch_size: int = 1,
        together: bool = True,
        lasts: Callable[[Any], int] = no_time,
        chance: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.aws = aws
        #: What lies between workers, the mapping and AWS.
        self.wire: Wire = sound
        #: The messages of each invocation under way: a second one's are handed out within a call of the first.
        self.in_hand: list[list[Record]] = []
        self.invocations: list[Invocation] = []
        #: How many invocations there were.
        self.invoked = 0
        #: Whether every message is handed to a second worker when the first has handled it.
        self.twice = False
        #: What handlers raised: Lambda fails the whole batch for that.
        self.raised: list[Exception] = []
        self._workflows = workflows
        self._inline_branches = inline_branches
        self._batch_size = batch_size
        self._together = together
        self._lasts = lasts
        self._chance = chance
        self._tokens = count(1)
        self._worker: Worker | None = None

    def deliver(self) -> bool:
        """Invoke the function with the next messages; False if none is visible."""
        queue = self.aws.queue
        if not queue.messages:
            return False
        mapping = self.aws.sqs.client()
        answer = mapping.receive_message(QueueUrl=queue.url, MaxNumberOfMessages=self._batch_size)
        records = records_of(answer)
        if records:
            self._invoke(records, self._warm())
        return bool(records)

    def deliver_again(self) -> None:
        """Hand the messages that are being handled, if they are still there, to a second worker as well."""
        if not self.in_hand:
            return
        queue = self.aws.queue
        there = {message.message_id: message for message in queue.messages}
        again = []
        for record in self.in_hand[-1]:
            message = there.get(record["messageId"])
            if message is not None:
                self.aws.sqs.receive(message, queue.visibility)
                attributes = {
                    **record["attributes"],
                    "ApproximateReceiveCount": str(message.received),
                }
                again.append({**record, "receiptHandle": message.receipt, "attributes": attributes})
        if again:
            self._invoke(again, self._new_worker(), again=True)

    def sweep(self) -> None:
        """The schedule invokes the function."""
        clock = self.aws.clock
        context = Invocation(clock, clock.at + self.aws.function_timeout * 1000)
        self.invocations.append(context)
        self.in_hand.append([])
        try:
            self._warm().handle({"fluxio": "sweep"}, context)
        except Death:
            self._worker = None
        except Exception:  # noqa: BLE001 - Lambda logs it; a minute later it is tried again
            return
        finally:
            self.in_hand.pop()
            self.invocations.pop()

    def _warm(self) -> Worker:
        self._worker = self._worker or self._new_worker()
        return self._worker

    def _new_worker(self) -> Worker:
        clock = self.aws.clock
        return make_worker(
            self.aws,
            self._workflows,
            self._inline_branches,
            wire=lambda call: self.wire(call),
            now=clock.now,
            new_token=lambda: f"t{next(self._tokens)}",
            chance=self._chance,
            new_threads=lambda: InPlace(clock, self._together, self._lasts),
            sleep=clock.advance,
        )

    def _invoke(self, records: list[Record], worker: Worker, again: bool = False) -> None:
        """One invocation and what the mapping makes of its answer."""
        clock = self.aws.clock
        context = Invocation(clock, clock.at + self.aws.function_timeout * 1000)
        mapping = self.aws.sqs.client(lambda call: self.wire(call))
        self.invoked += 1
        self.in_hand.append(records)
        self.invocations.append(context)
        try:
            try:
                answer = worker.handle({"Records": records}, context)
            except Exception as error:  # noqa: BLE001 - Lambda fails the batch for it
                self.raised.append(error)
                return
            if self.twice and not again:
                self.deliver_again()
            for record in acknowledged(records, answer):
                try:
                    mapping.delete_message(
                        QueueUrl=self.aws.queue.url, ReceiptHandle=record["receiptHandle"]
                    )
                except Exception:  # noqa: BLE001 - the mapping logs it; the message comes back
                    continue
        except Death:
            if worker is self._worker:
                self._worker = None
        finally:
            self.in_hand.pop()
            self.invocations.pop()
