"""What AWS does around the worker, in one process: the event source mapping, and the schedule of the sweep."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from botocore.exceptions import ClientError

from fluxio.deployment import Deployment
from fluxio.local.aws import TABLE, LocalAws
from fluxio.local.clock import LocalClock
from fluxio.manifest import Manifest
from fluxio.services import Services
from fluxio.testing.dynamodb import Key
from fluxio.testing.platform import acknowledged, records_of
from fluxio.worker import Worker
from fluxio_protocol.layout import INDEX_DUE, INDEXES
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store

#: Seconds of a long poll.
POLL = 20

#: Seconds between two sweeps if nothing is due, as the module's schedule has it; and between two looks
#: whether something is.
SWEEP, LOOK = 60.0, 0.5

#: Seconds until a message is asked for again after something went wrong.
PAUSE = 1.0


@dataclass
class Invocation:
    """Lambda's context object."""

    clock: LocalClock
    ends: int
    aws_request_id: str

    @classmethod
    def of(cls, clock: LocalClock, seconds: int) -> Invocation:
        return cls(clock, clock.now() + 1000 * seconds, str(uuid4()))

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self.ends - self.clock.now())


class Due:
    """When the next open run must be looked at, kept from the writes to the table."""

    def __init__(self, aws: LocalAws) -> None:
        self._index = INDEXES[INDEX_DUE]
        self._times: dict[Key, int] = {}
        for key, item in aws.table.items.items():
            self.see(key, item)
        aws.watchers.append(self.see)

    def see(self, key: Key, item: dict[str, Any] | None) -> None:
        """Take in what an item is after a write."""
        if item is not None and self._index.hash_key in item and self._index.range_key in item:
            self._times[key] = int(item[self._index.range_key]["N"])
        else:
            self._times.pop(key, None)

    def first(self) -> int | None:
        """In milliseconds since 1970; None if no run is open."""
        return min([*self._times.values()], default=None)


class Workers:
    """Hands messages to the real worker, some of them side by side, and has it sweep.

    The first worker is the main thread, since only there can a step be interrupted at its timeout. The others
    take messages only while it is busy: so somebody who debugs one run has it all in one thread.

    Args:
        aws: where the messages are.
        manifest: the user's workflows.
        count: how many messages are handled at a time.
        function_timeout: seconds that an invocation may take.
        inline_branches: as the module's input.
        complain: tells of what should not happen.
    """

    def __init__(
        self,
        aws: LocalAws,
        manifest: Manifest,
        count: int,
        function_timeout: int,
        inline_branches: int,
        complain: Callable[[str], None],
    ) -> None:
        self._aws = aws
        self._clock = aws.clock
        self._count = count
        self._function_timeout = function_timeout
        self._complain = complain
        self._due = Due(aws)
        self._changed = threading.Condition()
        self._busy: set[int] = set()
        self._stopping = False
        self._workers = [self._made(manifest, inline_branches) for _ in range(count + 1)]

    def _made(self, manifest: Manifest, inline_branches: int) -> Worker:
        """A worker of its own for each thread, as each instance of a Lambda function has one."""
        store, queue = Store(self._aws.dynamodb, TABLE), Queue(self._aws.sqs, self._aws.queue.url)
        deployment = Deployment(manifest, store, inline_branches)
        services = Services(store, queue, deployment, self._clock.now)
        return Worker(services, 1000 * self._function_timeout)

    @property
    def busy(self) -> bool:
        """Whether a message is being handled."""
        return bool(self._busy)

    def run(self) -> None:
        """Work until `stop` is called; in the main thread."""
        for number in range(1, self._count):
            threading.Thread(target=self._work, args=(number,), daemon=True).start()
        threading.Thread(target=self._sweep, daemon=True).start()
        self._work(0)

    def stop(self, patience: float) -> bool:
        """Take no more messages; whether those at hand were done within so many seconds."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
            return self._changed.wait_for(lambda: not self._busy, patience)

    def _work(self, number: int) -> None:
        while not self._stopping:
            if number and not self._is_needed():
                continue
            try:
                # A long poll of a worker beside the first ends soon, so that it stands back again.
                self._poll(number, POLL if number == 0 else 1)
            except Exception as error:  # noqa: BLE001 - it goes on, as Lambda does
                self._complain(f"{type(error).__name__}: {error}")
                time.sleep(PAUSE)

    def _is_needed(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._stopping or 0 in self._busy)
            return not self._stopping

    def _poll(self, number: int, wait: int) -> None:
        sqs, url = self._aws.sqs, self._aws.queue.url
        answer = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=1, WaitTimeSeconds=wait)
        records = records_of(answer)
        if not records:
            return
        with self._changed:
            if self._stopping:
                return  # the process that follows finds the message visible
            self._busy.add(number)
            self._changed.notify_all()
        try:
            context = Invocation.of(self._clock, self._function_timeout)
            done = self._workers[number].handle({"Records": records}, context)
            for record in acknowledged(records, done):
                try:
                    sqs.delete_message(QueueUrl=url, ReceiptHandle=record["receiptHandle"])
                except ClientError:
                    continue  # it took longer than the message was invisible, and comes again
        finally:
            with self._changed:
                self._busy.discard(number)
                if not self._busy:
                    self._clock.catch_up()
                self._changed.notify_all()

    def _sweep(self) -> None:
        last = time.monotonic()
        while not self._stopping:
            time.sleep(LOOK)
            first, passed = self._due.first(), time.monotonic() - last
            if passed < SWEEP and (first is None or first > self._clock.now()):
                continue
            last = time.monotonic()
            try:
                self._workers[-1].handle({"fluxio": "sweep"}, Invocation.of(self._clock, 60))
            except Exception as error:  # noqa: BLE001 - the next one is a minute away
                self._complain(f"the sweep failed: {type(error).__name__}: {error}")
