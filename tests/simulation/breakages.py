"""How the engine is broken: each function makes a breakage, mostly of one line, to be planted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

import fluxio.claims
import fluxio.decide
import fluxio.loop
import fluxio.message
import fluxio.outage
import fluxio.sweeper
import fluxio_protocol.changes as to
import fluxio_protocol.expression
import fluxio_protocol.queue
from fluxio.actions import Ack, Nack, Write
from fluxio.hand import Hand
from fluxio.worker import Worker
from fluxio_client.client import FluxioClient
from fluxio_protocol.expression import Expression
from fluxio_protocol.payloads import Payloads
from fluxio_protocol.queue import Nudge, Queue, QueueError
from fluxio_protocol.run import Failure, Run, RunStatus, Step, StepStatus
from fluxio_protocol.standing import Phase, Standing
from fluxio_protocol.store import Store
from fluxio_protocol.transitions import TABLE, Guard

Patch = pytest.MonkeyPatch


def without(row: str, guard: Guard) -> Callable[[Patch], None]:
    def break_it(patch: Patch) -> None:
        found = TABLE[row]
        patch.setitem(TABLE, row, found._replace(guards=found.guards - {guard}))  # type: ignore[arg-type]

    return break_it


def unasked(attribute: str) -> Callable[[Patch], None]:
    """Half of the fence: any value of the step's token, or of its attempt, will do."""

    def broken(sound: Any, made: Expression, change: Any, now: int, counted: Any) -> None:
        if Guard.FENCE not in change.row.guards:
            return sound(made, change, now, counted)
        path = made.path("steps", change.step, attribute)
        require = made.require

        def loosely(condition: str) -> None:
            asked = condition.startswith(f"{path}=")
            require(f"({condition} OR attribute_exists({path}))" if asked else condition)

        made.require = loosely  # type: ignore[method-assign]
        sound(made, change, now, counted)
        made.require = require  # type: ignore[method-assign]
        return None

    return wrap(fluxio_protocol.expression, "_change_step", broken)


def both(*breakages: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Two conditions at once, where either alone keeps the promise."""

    def break_it(patch: Patch) -> None:
        for each in breakages:
            each(patch)

    return break_it


def row(row: str, **changed: Any) -> Callable[[Patch], None]:
    def break_it(patch: Patch) -> None:
        patch.setitem(TABLE, row, TABLE[row]._replace(**changed))  # type: ignore[arg-type]

    return break_it


def wrap(owner: Any, name: str, broken: Callable[..., Any]) -> Callable[[Patch], None]:
    """Replace a function by one that is handed the sound one first."""

    def break_it(patch: Patch) -> None:
        sound = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **kwargs: broken(sound, *args, **kwargs))

    return break_it


def count_twice(sound: Any, *args: Any, **more: Any) -> Any:
    change = sound(*args, **more)
    return change._replace(dependents=change.dependents * 2)


def count_some(sound: Any, *args: Any, **more: Any) -> Any:
    change = sound(*args, **more)
    return change._replace(dependents=change.dependents[1:])


def ready_too_early(sound: Any, run: Run, step: Step, now: int) -> Standing:
    stands: Standing = sound(run, step, now)
    return stands._replace(phase=Phase.READY) if stands.for_steps else stands


def send_all_but_one(sound: Any, self: Queue, nudges: Sequence[Nudge], *more: Any) -> None:
    steps = [nudge for nudge in nudges if nudge.step]
    sound(self, steps[1:] if steps else nudges, *more)


def send_once(patch: Patch) -> None:
    def send(sound: Any, *args: Any) -> None:
        with suppress(QueueError):
            sound(*args)

    patch.setattr(fluxio_protocol.queue, "SEND_TRIES", 1)
    wrap(Queue, "send", send)(patch)


def write_first(
    sound: Any, self: Store, run_id: str, changes: Any, now: int, operations: Any, *more: Any
) -> Any:
    if operations:
        self.calls.client.transact_write_items(TransactItems=list(operations))
    return sound(self, run_id, changes, now, (), *more)


def start_first(
    sound: Any, self: Store, at: str, update: Any, operations: Any, starts: Any, *more: Any
) -> Any:
    """What a step starts is stored by writes of their own, before the step is completed."""
    _start_apart(self, starts, *more)
    return sound(self, at, update, operations, (), *more)


def start_afterwards(
    sound: Any, self: Store, at: str, update: Any, operations: Any, starts: Any, *more: Any
) -> Any:
    """What a step starts is stored by writes of their own, once the step is completed."""
    written = sound(self, at, update, operations, (), *more)
    if written.applied:
        _start_apart(self, starts, *more)
    return written


def nudge_own_starts(sound: Any, run: Run, hand: Hand, now: int) -> Any:
    """Only the worker that has started runs nudges them."""
    return sound(run, replace(hand, received=1), now)


def _start_apart(self: Store, starts: Any, now: int, trace: Any) -> None:
    for new in starts:
        for put in self._puts_of(new, now, trace):
            with suppress(self.calls.client.exceptions.ConditionalCheckFailedException):
                self.calls.write("put_item", **put["Put"])


def raise_at_once(sound: Any, self: Worker, handling: Any, error: Exception) -> Any:
    raise error


def nudge_no_signal(sound: Any, self: FluxioClient, nudge: Nudge, *more: Any) -> None:
    if not nudge.occasion.startswith("signal:"):
        sound(self, nudge, *more)


def ack_instead(sound: Any, *args: Any) -> Any:
    verdict = sound(*args)
    return None if isinstance(verdict, Nack) else verdict


def barrier_apart(sound: Any, self: Store, run_id: str, changes: Any, now: int, *more: Any) -> Any:
    """Complete, and count up afterwards, in a write of its own."""
    counted = [dependent for change in changes for dependent in change.dependents]
    if not counted:
        return sound(self, run_id, changes, now, *more)
    plain = [change._replace(dependents=()) for change in changes if change.total_deps is None]
    written = sound(self, run_id, plain, now, *more)
    if not written.applied:
        return written
    made = Expression()
    for dependent in dict.fromkeys(counted):
        path = made.path("steps", dependent, "completed_deps")
        made.set(path, f"{path}+{made.value(counted.count(dependent))}")
    arguments = made.arguments()
    del arguments["ConditionExpression"]
    key = {"pk": {"S": run_id}, "sk": {"S": "run"}}
    self.calls.client.update_item(TableName=self.table_name, Key=key, **arguments)
    return written._replace(run=self.read(run_id))


def claim_whatever_stands(sound: Any, self: Any, change: Any) -> bool:
    require, self._made.require = self._made.require, lambda condition: None
    written: bool = sound(self, change)
    self._made.require = require
    return written


def overwrite_archive(
    sound: Any, self: Payloads, run_id: str, number: int, records: Any, now: int
) -> tuple[str, ...]:
    item = self.item(run_id, f"ended#{number}", "", now)
    item["steps"] = {"M": {name: {"S": record} for name, record in records.items()}}
    del item["payload"]
    self._calls.write("put_item", TableName=self._calls.table_name, Item=item)
    return tuple(records)


def seal_what_was_wanted(
    sound: Any, self: Payloads, run_id: str, number: int, records: Any, now: int
) -> tuple[str, ...]:
    sound(self, run_id, number, records, now)
    return tuple(records)


def own_step_alone(sound: Any, run: Any, hand: Hand, plan: Any, now: int) -> list[Any]:
    found = sound(run, hand, plan, now)
    if any(step.token == hand.token for step in run.steps.values()):
        return found
    return [step for step in found if hand.answers_for(step)]


def give_the_step_up_alone(_: Run, step: Any, hand: Hand, plan: Any, now: int) -> Write:
    failure = Failure("WorkerLost", "its workers died", step.name, step.attempt)
    return Write((to.give_up(step.name, step.attempt, failure, now),))


def drop_branches(run: Run, hand: Hand, *_: Any) -> Nack:
    return Nack(1)


def park_at_once(patch: Patch) -> None:
    def blocked(run: Run, hand: Hand, problem: Any, now: int) -> Any:
        if run.status not in (RunStatus.PENDING, RunStatus.RUNNING):
            return Ack()
        failure = problem.failure
        return Write((to.park(failure) if problem.parks else to.fail_run(failure, now),))

    patch.setattr(fluxio.outage, "blocked", blocked)


def together(
    sound: Any, run: Any, hand: Hand, plan: Any, ready: Any, now: int, time_left: int
) -> Any:
    """Branches that were lost with their worker are taken over by one worker, as if they were fresh."""
    if run is None:
        return sound(run, hand, plan, ready, now, time_left)
    fresh = {
        name: replace(step, status=StepStatus.PENDING) if name in ready else step
        for name, step in run.steps.items()
    }
    return sound(replace(run, steps=fresh), hand, plan, ready, now, time_left)


def forget_kept(sound: Any, run: Any, hand: Hand, *more: Any) -> Any:
    """Branches that wait for threads are taken for branches that were nudged."""
    divided = sound(run, hand, *more)
    if run is not None:
        hand.sent |= {(name, run.steps[name].attempt + 1) for name in divided.kept}
    return divided


def forget_others(sound: Any, run: Any, hand: Hand, *more: Any) -> Any:
    """A holder keeps branches back that another worker has released, and no longer looks at them."""
    hand.kept.clear()
    return sound(run, hand, *more)


def spread_all_but_one(sound: Any, run: Any, hand: Hand, *more: Any) -> Any:
    """Of the branches that need no longer wait for threads one gets no message."""
    divided = sound(run, hand, *more)
    if not (hand.began_at and divided.elsewhere):
        return divided
    name, *rest = divided.elsewhere
    hand.sent.add((name, run.steps[name].attempt + 1))
    return divided._replace(elsewhere=rest)


def shards_in_a_row(sound: Any, *args: Any) -> Any:
    """Each shard is swept to its end before the next, from the first one on."""
    return sound(*args, side_by_side=first_shard)


def first_shard(page: Any, shards: Sequence[int]) -> list[Any]:
    first = page(min(shards))
    rest = [
        fluxio.sweeper.SweptPage(shard, [], full=True) for shard in shards if shard != first.shard
    ]
    return [first, *rest]


def no_reprieves(sound: Any, run: Run, now: int) -> Any:
    fresh, _ = sound(run, now)
    return fresh, []


def looks_away(sound: Any, run: Any, hand: Hand, plan: Any, now: int, time_left: int) -> Any:
    action = sound(run, hand, plan, now, time_left)
    ends = isinstance(action, Write) and [change.row.name for change in action.changes]
    return Ack() if ends == ["fail_run"] else action
