"""What goes wrong: between a caller and AWS, to a message, and to the time that things take."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError, ConnectTimeoutError, ReadTimeoutError

from fluxio.testing.aws import Call
from fluxio.testing.death import Death
from tests.simulation.schedules.drawing import Weather
from tests.simulation.schedules.hub import Hub, Process
from tests.simulation.schedules.transcript import asked, filled

#: Calls of one invocation that no workflow here needs.
MANY_CALLS = 250
#: Calls that change nothing.
READS = ("get_item", "query")
_RUN_FAILS = re.compile(r"(SET |,)status=FAILED")


class Faults:
    """The weather at work, as long as the storm lasts.

    Args:
        hub: whose tasks are struck.
        weather: how often.
    """

    def __init__(self, hub: Hub, weather: Weather) -> None:
        self._hub = hub
        self._weather = weather
        self._rng = hub.rng
        #: Who made each claim, by its token.
        self.claimants: dict[str, Process] = {}

    def strikes(self, share: float) -> bool:
        """Whether a fault that strikes so often strikes now."""
        struck = self._hub.storm and share > 0 and self._rng.random() < share
        if struck and self._hub.current is not None:
            self._hub.current.struck = True
        return struck

    # --- time

    def latency(self) -> int:
        """Milliseconds that a call, or its answer, is on its way."""
        if self.strikes(self._weather.stalls):
            return self.stall(self._rng.choice([15_000, 25_000, 45_000, 70_000, 200_000]))
        if self.strikes(self._weather.slow):
            return self._rng.randint(500, 6_000)
        return self._rng.randint(1, 20)

    def stall(self, lasts: int) -> int:
        """Long enough for a lease to end; and its messages may come to another worker meanwhile."""
        hub = self._hub
        hub.figures["stalls"] += 1
        hub.say(f"{hub.current.name}: stands still for {lasts // 1000} s")
        held = {record["messageId"] for record in hub.current.records}
        for message in hub.aws.queue.messages:
            if message.message_id in held and self._rng.random() < self._weather.handed_on:
                until = hub.clock.at + self._rng.randint(0, lasts)
                message.visible_at = min(message.visible_at, until)
                hub.harmed[message.message_id] += 1
                hub.figures["duplicates"] += 1
        hub.current.still_until = hub.clock.at + lasts
        return lasts

    def comes_back(self, token: str) -> None:
        """A worker that stood still while its step was taken over comes back at the worst time: right now."""
        process, now = self.claimants.get(token), self._hub.clock.at
        if process is None or self._rng.random() >= self._weather.comes_back:
            return
        for task in process.tasks:
            if now < task.ready_at <= task.still_until:
                task.ready_at = now + self._rng.randint(1, self._rng.choice([5, 50, 500]))
                self._hub.figures["back too late"] += 1
                self._hub.say(f"{task.name}: comes back when its step has just been taken over")

    # --- calls

    def wire(self, call: Call) -> dict[str, Any]:
        """Between a client and AWS: the call lands once, twice or never, and its answer may be lost."""
        hub, weather, name = self._hub, self._weather, self._hub.current.name
        hub.figures["calls"] += 1
        hub.current.calls += 1
        if hub.current.calls == MANY_CALLS:
            hub.problems.append(f"{name} goes round in a circle: {MANY_CALLS} calls and no end")
        hub.pause(self.latency())
        if self.strikes(weather.dies):
            hub.say(f"{name}: {call} - dies before it")
            raise Death
        if self.strikes(weather.throttled):
            hub.figures["throttled"] += 1
            raise self._throttled(name, call)
        if call.operation == "send_message_batch" and self.strikes(weather.halves):
            return self._half(name, call)
        twice = self.strikes(weather.twice)
        if call.operation not in READS and self.strikes(weather.late):
            self._spawn_copy(call)
        hub.figures["late failures"] += self._fails_late(call)
        try:
            answer = call.land()
        except ClientError as error:
            if hub.tells:
                code = error.response["Error"]["Code"]
                hub.say(f"{name}: {call} {asked(call)} - refused: {code}")
            if not twice:
                raise
        else:
            if hub.tells:
                hub.say(f"{name}: {call} {asked(call)}")
        if self.strikes(weather.dies):
            hub.say(f"{name}: {call} - dies after it")
            raise Death
        if self.strikes(weather.unanswered):
            hub.figures["unanswered"] += 1
            hub.say(f"{name}: {call} - no answer, and the SDK gives up")
            raise ReadTimeoutError(endpoint_url="https://aws")
        if twice:
            hub.figures["answers lost"] += 1
            hub.pause(self.latency())
            hub.say(f"{name}: {call} - no answer, and the SDK sends it again")
            answer = call.land()
        if hub.storm:
            hub.pause(self.latency())
        return answer

    def _fails_late(self, call: Call) -> bool:
        """Whether it fails a step but not its run, which it takes for FAILED; redriven, that is RUNNING."""
        values = call.arguments.get("ExpressionAttributeValues", {})
        if call.operation != "update_item" or {"S": "FAILED"} not in values.values():
            return False
        item = self._hub.aws.table.items.get(
            tuple(part["S"] for part in call.arguments["Key"].values()), {}
        )
        sets = filled(call.arguments["UpdateExpression"], call.arguments)
        return item.get("status") == {"S": "RUNNING"} and not _RUN_FAILS.search(sets)

    def _spawn_copy(self, call: Call) -> None:
        """The SDK lost patience with a request that was only slow: it lands, too, and perhaps much later."""
        hub = self._hub
        late = self._rng.randint(1, self._rng.choice([20, 200, 3_000, 60_000]))
        name = f"{hub.current.name}'s copy"

        def work() -> None:
            hub.pause(late)
            try:
                call.land()
                what = "lands"
            except ClientError as error:
                what = f"is refused: {error.response['Error']['Code']}"
            hub.say(f"{name}: {call} {asked(call)} {what}, late")

        hub.figures["late copies"] += 1
        hub.spawn(name, Process("the network", 0), work)

    def _throttled(self, name: str, call: Call) -> Exception:
        kind = self._rng.random()
        self._hub.say(f"{name}: {call} - not taken")
        if kind < 0.3:
            return ConnectTimeoutError(endpoint_url="https://aws")
        if call.service == "sqs":
            return call.error("RequestThrottled")
        if call.operation == "transact_write_items":
            reasons = [{"Code": "TransactionConflict"} for _ in call.arguments["TransactItems"]]
            return call.error("TransactionCanceledException", CancellationReasons=reasons)
        if call.operation == "update_item" and kind < 0.6:
            return call.error("TransactionConflictException")
        return call.error("ThrottlingException")

    def _half(self, name: str, call: Call) -> dict[str, Any]:
        """SQS takes some entries of a batch, and says so; or it takes one and says that it did not."""
        self._hub.figures["half-sent batches"] += 1
        entries = call.arguments["Entries"]
        refused = [entry for entry in entries if self._rng.random() < 0.5]
        landed = [entry for entry in entries if entry not in refused or self._rng.random() < 0.2]
        if landed:
            queue_url = call.arguments["QueueUrl"]
            self._hub.aws.sqs.send_message_batch(QueueUrl=queue_url, Entries=landed)
        self._hub.say(
            f"{name}: {call} {asked(call)} - of {len(entries)} it says {len(refused)} are refused"
        )
        failed = [
            {"Id": entry["Id"], "Code": "InternalError", "SenderFault": False} for entry in refused
        ]
        taken = [{"Id": e["Id"], "MessageId": "?"} for e in entries if e not in refused]
        return {"Successful": taken, "Failed": failed}

    # --- messages

    def lapse(self) -> None:
        """A message in flight becomes visible too early: it is delivered twice."""
        hub = self._hub
        held = [m for m in hub.aws.queue.messages if m.visible_at > hub.clock.at]
        if held:
            message = self._rng.choice(held)
            message.visible_at = hub.clock.at
            hub.harmed[message.message_id] += 1
            hub.figures["duplicates"] += 1
            hub.say(f"{message.message_id} can be received a second time")

    def delete(self, record: dict[str, Any]) -> None:
        """The mapping deletes a message; where it dies, the message comes back."""
        hub, queue = self._hub, self._hub.aws.queue
        hub.pause(self.latency())
        if self.strikes(self._weather.dies):
            hub.say(f"{hub.current.name}: the mapping dies before it deletes {record['messageId']}")
            hub.figures["deletes lost"] += 1
            return
        there = [m for m in queue.messages if m.message_id == record["messageId"]]
        handle = record["receiptHandle"]
        for message in there:
            if message.receipt != handle or message.visible_at <= hub.clock.at:
                stale = self.strikes(self._weather.stale_deletes)
                hub.say(
                    f"{hub.current.name}: deletes {message.message_id} with a stale handle"
                    + (", and it is gone" if stale else "")
                )
                if stale:
                    hub.figures["stale deletes"] += 1
                    queue.messages.remove(message)
                return
        hub.say(f"{hub.current.name}: deletes {record['messageId']}")
        hub.aws.sqs.delete_message(QueueUrl=queue.url, ReceiptHandle=handle)
