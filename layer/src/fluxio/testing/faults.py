"""What goes wrong at a call to DynamoDB or SQS, by the number of the call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError, ReadTimeoutError

from fluxio.testing.aws import Call
from fluxio.testing.death import Death
from fluxio.testing.function import Function

#: What may go wrong at a call.
FAULTS = {
    "before": "its caller dies before it",
    "after": "its caller dies after it has landed",
    "twice": "its answer is lost after it has landed, and the SDK sends it again",
    "delivered again": "at that moment a second worker is handed the same messages",
    "overtaken": "it stands still until a lease has expired and a second worker has handled its messages",
    "crossed": "the same, but it lands right after the first write of that second worker",
    "late": "its answer is lost, the SDK sends it again, and copies of it land before the next calls",
    "unanswered": "its answer is lost after it has landed, and the SDK gives up",
    "throttled": "it is refused for its rate, and the SDK gives up",
    "cut off": "it is not answered until Lambda ends the invocation at its timeout",
}

#: The faults that take a second worker, and messages to hand it.
SECOND_WORKER = ("delivered again", "overtaken", "crossed")

#: The faults of invocations that handle messages; clients and sweeps have none of them.
ON_MESSAGES = (*SECOND_WORKER, "cut off")

#: Calls before each of which a late copy lands.
LATE = 4


@dataclass
class Made:
    """A call as it was made."""

    what: str
    #: Whether messages are in a worker's hands, so that they can be delivered again.
    deliverable: bool


class Faults:
    """A wire on which calls go wrong.

    Args:
        function: whose calls; those of clients may go by this wire as well.
        at: the way a call goes wrong, by the number of the call, from 0.
        most: calls after which the process that makes another dies: a run that goes round in a circle.
    """

    def __init__(self, function: Function, at: Mapping[int, str], most: int = 1_000) -> None:
        self.calls: list[Made] = []
        self.at = at
        self._function = function
        self._aws = function.aws
        self._most = most
        #: Calls that stand still until another worker has written; and what came of those that did.
        self._crossing: list[Call] = []
        self._crossed: dict[int, dict[str, Any] | ClientError] = {}
        #: Requests of which copies are on their way, and how many.
        self._late: list[tuple[Call, int]] = []

    @property
    def endless(self) -> bool:
        """Whether there were more calls than any run needs."""
        return len(self.calls) > self._most

    def wire(self, call: Call) -> dict[str, Any]:
        """Let a call land once, twice or never, lose its answer, or end its caller."""
        number = len(self.calls)
        self.calls.append(Made(str(call), any(self._function.in_hand)))
        if number >= self._most:
            raise Death
        self._land_late()
        fault = self.at.get(number)
        if fault is None:
            return self._land(call)
        if fault == "before":
            raise Death
        if fault == "cut off":
            cut_off(self._function)
        if fault == "throttled":
            code = "RequestThrottled" if call.service == "sqs" else "ThrottlingException"
            raise call.error(code)
        if fault in SECOND_WORKER:
            if fault != "delivered again":
                stand_still(self._function)
            if fault == "crossed":
                return self._cross(call)
            self._function.deliver_again()
            return self._land(call)
        with suppress(ClientError):  # a refusal is an answer too, and is lost
            self._land(call)
        if fault == "late":
            self._late.append((call, LATE))
        if fault in ("twice", "late"):
            return self._land(call)
        if fault == "after":
            raise Death
        raise ReadTimeoutError(endpoint_url="https://aws")

    def _land(self, call: Call) -> dict[str, Any]:
        """The call lands; and if it has written, so does one that has waited for that."""
        answer = call.land()
        if self._crossing and call.operation in ("update_item", "transact_write_items"):
            crossing = self._crossing.pop()
            try:
                self._crossed[id(crossing)] = crossing.land()
            except ClientError as error:
                self._crossed[id(crossing)] = error
        return answer

    def _cross(self, call: Call) -> dict[str, Any]:
        self._crossing.append(call)
        self._function.deliver_again()
        if call in self._crossing:  # the second worker has written nothing
            self._crossing.remove(call)
            return self._land(call)
        answer = self._crossed.pop(id(call))
        if isinstance(answer, ClientError):
            raise answer
        return answer

    def _land_late(self) -> None:
        late, self._late = self._late, []
        for call, copies in late:
            with suppress(ClientError):  # the answer reaches no caller
                call.land()
            if copies > 1:
                self._late.append((call, copies - 1))


def cut_off(function: Function) -> None:
    """Let time pass until Lambda ends the invocation under way.

    Raises:
        Death: always.
    """
    if function.invocations:
        clock = function.aws.clock
        clock.at = max(clock.at, function.invocations[-1].ends)
    raise Death


def stand_still(function: Function) -> None:
    """Let time pass until the first lease has expired; without one, until the messages are visible again."""
    aws = function.aws
    until = aws.clock.at + 1000 * (aws.queue.visibility + 1)
    leases = [at for item in aws.table.items.values() for at in _leases(item)]
    aws.clock.at = max(aws.clock.at, min([until, *leases]))


def _leases(value: Any) -> Iterator[int]:
    """The ends of all leases in an item, wherever in it they stand."""
    for name, part in value.items():
        if name == "lease_until":
            yield int(part["N"])
        elif isinstance(part, dict):
            yield from _leases(part)
