"""DynamoDB and SQS of `fluxio dev`: the stand-in of `fluxio.testing`, with each write put down in a file.

All calls go through one lock, whether they come from the worker in this process or by HTTP, and a write is
answered when SQLite has it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from fluxio.local import state as journal
from fluxio.local.clock import LocalClock
from fluxio.local.state import State, Statement, to_json
from fluxio.testing.clients import Call
from fluxio.testing.dynamodb import CLIENT_TOKEN_MS, DynamoDB, Key
from fluxio.testing.sqs import SQS, FifoQueue, Message
from fluxio.testing.table import key_of
from fluxio_protocol.layout import INDEXES

TABLE, QUEUE, DEAD_LETTERS = "fluxio", "fluxio.fifo", "fluxio-dlq.fifo"

#: Seconds for which a message stays invisible beyond the worker's timeout, as in the module.
VISIBILITY_MARGIN = 30

#: The longest a long poll sleeps before it looks again: the clock may have stood still meanwhile.
_NAP = 1.0


class LocalAws:
    """The two services.

    Args:
        state: where they keep what is in them.
        clock: theirs.
        function_timeout: seconds an invocation of the worker may take.
        tables: tables of the user's own, and the attributes of their keys.
        monotonic: seconds of a clock that nothing sets; for tests.
        nap: waits on a condition for at most so many seconds; for tests.
    """

    def __init__(
        self,
        state: State,
        clock: LocalClock,
        function_timeout: int,
        tables: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
        monotonic: Callable[[], float] = time.monotonic,
        nap: Callable[[threading.Condition, float], object] = threading.Condition.wait,
    ) -> None:
        self.clock = clock
        self._state = state
        self._monotonic = monotonic
        self._nap = nap
        self._arrived = threading.Condition(threading.RLock())
        self._closed = False
        self._operation = ""
        #: What the call under way has changed; kept until SQLite has it.
        self._changed: list[Statement] = []
        self._dynamodb = DynamoDB(clock)
        self._sqs = SQS(clock, lambda: str(uuid4()))
        self.table = self._dynamodb.create_table(TABLE, INDEXES)
        for name, keys in tables.items():
            self._dynamodb.create_table(name, keys=keys)
        self.dead_letters = self._sqs.create_queue(DEAD_LETTERS)
        self.queue = self._sqs.create_queue(
            QUEUE, function_timeout + VISIBILITY_MARGIN, self.dead_letters
        )
        self._names = {self.queue.url: QUEUE, self.dead_letters.url: DEAD_LETTERS}
        self.urls = {name: url for url, name in self._names.items()}
        #: Told of every write to the table: the key, and the item after it.
        self.watchers: list[Callable[[Key, dict[str, Any] | None], None]] = []
        self._load()
        self._dynamodb.watchers.append(self._item_changed)
        self._sqs.watchers.append(self._message_changed)
        self.dynamodb = self._dynamodb.client(self._wire)
        self.sqs = self._sqs.client(self._wire)

    def _load(self) -> None:
        now = self.clock.now()
        self._state.commit(journal.forgotten(now - CLIENT_TOKEN_MS))
        gone: list[Statement] = []
        for name, table in self._dynamodb.tables.items():
            for item in self._state.items(name):
                key = key_of(item, table)
                if name == TABLE and int(item.get("ttl", {}).get("N", now)) < now // 1000:
                    gone.append(journal.item_changed(name, key, None))
                else:
                    table.items[key] = item
        self._state.commit(gone)
        for queue in (self.queue, self.dead_letters):
            name = self._names[queue.url]
            queue.messages += [Message(**content) for content in self._state.messages(name)]
            for group, deduplication_id, at, message_id in self._state.deduplication(name):
                queue.seen[group, deduplication_id] = at, message_id
        self._dynamodb.client_tokens.update(self._state.client_tokens())

    # --- calls

    def _wire(self, call: Call) -> dict[str, Any]:
        if call.operation == "receive_message":
            return self._receive(call)
        if call.operation == "transact_write_items":
            # A step's own operations may have bytes; all else has the protocol's form already.
            call.arguments = json.loads(to_json(call.arguments))
        with self._arrived:
            return self._land(call)

    def _land(self, call: Call) -> dict[str, Any]:
        self._operation = call.operation
        answer = call.land()
        if call.operation == "transact_write_items":
            self._changed.append(
                journal.token_used(call.arguments["ClientRequestToken"], self.clock.now())
            )
        if self._changed:
            try:
                self._state.commit(self._changed)
            except sqlite3.Error as error:
                # Not answered, so not promised; with the next call that is, all of it is written.
                raise call.error(
                    "InternalServerError",
                    f"{self._state.path} cannot be written: {error}",
                    ResponseMetadata={"HTTPStatusCode": 500},
                ) from error
            self._changed.clear()
        if call.service == "sqs":
            self._arrived.notify_all()
        return answer

    def _receive(self, call: Call) -> dict[str, Any]:
        """A long poll, which waits for a message here and not in the stand-in."""
        until = self._monotonic() + call.arguments.pop("WaitTimeSeconds", 0)
        with self._arrived:
            while not self._closed:
                answer = self._land(call)
                left = until - self._monotonic()
                if answer.get("Messages") or left <= 0:
                    return answer
                now = self.clock.now()
                queue = self._sqs.queues[call.arguments["QueueUrl"]]
                due = [one.visible_at - now for one in queue.messages if one.visible_at > now]
                self._nap(self._arrived, min(left, _NAP, *(ms / 1000 for ms in due)))
        return {}

    # --- changes

    def _item_changed(self, table: str, key: Key, _: Any, new: dict[str, Any] | None) -> None:
        self._changed.append(journal.item_changed(table, key, new))
        for watcher in self.watchers:
            watcher(key, new)

    def _message_changed(self, queue: FifoQueue, message: Message, there: bool) -> None:
        name = self._names[queue.url]
        content = None
        if there:
            content = asdict(message) | {"receipt": None}
            if self._operation == "receive_message":
                # A process that finds this in the file is another one: nobody handles the message any more.
                content["visible_at"] = self.clock.now()
        self._changed.append(journal.message_changed(name, message.message_id, content))
        if self._operation == "send_message_batch":
            at, first = queue.seen[message.group, message.deduplication_id]
            self._changed.append(
                journal.message_sent(name, message.group, message.deduplication_id, at, first)
            )

    # --- the end

    def close(self, patience: float = 2.0) -> None:
        """Let no call begin any more, and close the file."""
        if self._arrived.acquire(timeout=patience):
            self._closed = True
            self._arrived.notify_all()
            with suppress(sqlite3.Error):
                self._state.close()
