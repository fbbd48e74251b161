"""One-line breakages of the engine, each of which breaks a promise: the nets must catch every one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import pytest

import fluxio.decide
import fluxio.sweeper
import fluxio.worker
import fluxio_client.transitions as to
from fluxio.decide import Hand, Nack, Write
from fluxio.worker import Worker
from fluxio_client.client import WATCHDOG_MS, FluxioClient
from fluxio_client.queue import Nudge, Queue
from fluxio_client.store import Expression, Store
from fluxio_client.transitions import Guard

Patch = pytest.MonkeyPatch
#: Which net catches it: one fault at one call of the matrix, or random schedules.
MATRIX = "matrix"
SCHEDULES = "schedules"


@dataclass(frozen=True)
class Planted:
    """A breakage: what is broken, how, and what sees it."""

    what: str
    break_it: Callable[[Patch], None]
    net: str
    #: What the net says, in part.
    says: str


def _without(row: str, guard: Guard) -> Callable[[Patch], None]:
    def break_it(patch: Patch) -> None:
        found = to.TABLE[row]
        patch.setitem(to.TABLE, row, found._replace(guards=found.guards - {guard}))  # type: ignore[arg-type]

    return break_it


def _row(row: str, **changed: Any) -> Callable[[Patch], None]:
    def break_it(patch: Patch) -> None:
        patch.setitem(to.TABLE, row, to.TABLE[row]._replace(**changed))  # type: ignore[arg-type]

    return break_it


def _wrap(owner: Any, name: str, broken: Callable[..., Any]) -> Callable[[Patch], None]:
    """Replace a function by one that is handed the sound one first."""

    def break_it(patch: Patch) -> None:
        sound = getattr(owner, name)
        patch.setattr(owner, name, lambda *args, **kwargs: broken(sound, *args, **kwargs))

    return break_it


def _count_twice(sound: Any, *args: Any) -> Any:
    change = sound(*args)
    return change._replace(dependents=change.dependents * 2)


def _count_some(sound: Any, *args: Any) -> Any:
    change = sound(*args)
    return change._replace(dependents=change.dependents[1:])


def _send_all_but_one(sound: Any, self: Queue, nudges: Iterable[Nudge]) -> None:
    steps = [nudge for nudge in nudges if nudge.step]
    sound(self, steps[1:] if steps else nudges)


def _send_once(sound: Any, self: Queue, nudges: Any) -> None:
    entries = [
        {
            "Id": str(at),
            "MessageBody": nudge.to_json(),
            "MessageGroupId": nudge.group_id,
            "MessageDeduplicationId": nudge.deduplication_id,
        }
        for at, nudge in enumerate(nudges)
    ]
    self._client.send_message_batch(QueueUrl=self._url, Entries=entries)  # and Failed is not read


def _never_fenced(sound: Any, self: Hand, run: Any) -> None:
    sound(self, run)
    self.fenced = False


def _wake_before_send(
    store: Store, queue: Queue, now: Callable[[], int], time_left: Callable[[], int]
) -> dict[str, int]:
    nudged = 0
    for shard in range(8):
        for run_id, seen in store.due(shard, now(), 100):
            store.apply(run_id, [to.wake(now() + 10 * 365 * 86_400_000, seen)], now())
            queue.send([Nudge(run_id, occasion=f"sweep:{seen}")])
            nudged += 1
    return {"nudged": nudged, "latest_ms": 0}


def _write_first(
    sound: Any, self: Store, run_id: str, changes: Any, now: int, operations: Any = ()
) -> Any:
    if operations:
        self._client.transact_write_items(TransactItems=list(operations))
    return sound(self, run_id, changes, now)


def _raise_at_once(sound: Any, self: Worker, nudge: Any, received: int, error: Exception) -> Any:
    raise error


def _ack_instead(sound: Any, *args: Any) -> Any:
    verdict = sound(*args)
    return None if isinstance(verdict, Nack) else verdict


def _barrier_apart(sound: Any, self: Store, run_id: str, changes: Any, now: int, *more: Any) -> Any:
    """The seed's mistake: complete, and count up afterwards, in a write of its own."""
    counted = [dependent for change in changes for dependent in change.dependents]
    plain = [
        change._replace(dependents=())
        for change in changes
        if change.row.name != "claim" or change.total_deps is None
    ]
    if not counted or any(change.row.name == "finish" for change in changes):
        return sound(self, run_id, changes, now, *more)
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
    self._client.update_item(TableName=self._table, Key=key, **arguments)
    return written._replace(run=self.read(run_id))


PLANTED = [
    Planted(
        "a completion does not ask whose claim it is",
        _without("complete", Guard.FENCE),
        SCHEDULES,
        "another claim than its last",
    ),
    Planted(
        "a claim does not ask whether the steps before have succeeded",
        _without("claim", Guard.BARRIER),
        MATRIX,
        "claimed before",
    ),
    Planted(
        "a claim does not ask whether the backoff is over",
        _without("claim", Guard.DUE),
        SCHEDULES,
        "before its backoff was over",
    ),
    Planted(
        "a take-over does not ask whether the lease is over",
        _without("take_over", Guard.LEASE_OVER),
        SCHEDULES,
        "within its timeout",
    ),
    Planted(
        "a run that is open is opened again",
        _row("open", run_from=frozenset({to.RunStatus.PENDING, to.RunStatus.RUNNING})),
        MATRIX,
        "step",
    ),
    Planted(
        "a failed run may be finished",
        _row("finish", run_from=frozenset(to.RunStatus)),
        SCHEDULES,
        "goes from",
    ),
    Planted(
        "a message is acknowledged while somebody else runs its step",
        _wrap(fluxio.decide, "_put_back", _ack_instead),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "a worker that lost its lease acknowledges",
        _wrap(Hand, "settle", _never_fenced),
        SCHEDULES,
        "",
    ),
    Planted(
        "a completion counts each dependent twice",
        _wrap(to, "complete", _count_twice),
        MATRIX,
        "counts",
    ),
    Planted(
        "a completion forgets a dependent",
        _wrap(to, "complete", _count_some),
        MATRIX,
        "counts",
    ),
    Planted(
        "the barrier is counted up by a write of its own",
        _wrap(Store, "apply", _barrier_apart),
        MATRIX,
        "counts",
    ),
    Planted(
        "a nudge of a fan-out is not sent",
        _wrap(Queue, "send", _send_all_but_one),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "entries that SQS refused are not sent again",
        _wrap(Queue, "send", _send_once),
        SCHEDULES,
        "never came to its end",
    ),
    Planted(
        "a message answers for the step it names alone",
        lambda patch: patch.setattr(
            Hand, "answers_for", lambda self, step: step.name == self.nudge.step
        ),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "a redelivered message looks at its own step alone",
        lambda patch: patch.setattr(fluxio.decide, "_todo", _own_step_alone),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "the sweeper moves the clock on before it sends",
        lambda patch: patch.setattr(fluxio.worker, "sweep", _wake_before_send),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "the sweeper finds nothing",
        lambda patch: patch.setattr(Store, "due", lambda *_: []),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "a step is given up but its run does not fail",
        lambda patch: patch.setattr(
            fluxio.decide,
            "_give_up",
            lambda step, now: Write(
                (to.give_up(step.name, step.attempt, to.Failure("WorkerLost", "…"), now),)
            ),
        ),
        SCHEDULES,
        "never came to its end",
    ),
    Planted(
        "a step is given up after one death",
        lambda patch: patch.setattr(fluxio.decide, "_lost_for_good", lambda *_: True),
        MATRIX,
        "FAILED",
    ),
    Planted(
        "messages of different attempts have one deduplication id",
        lambda patch: patch.setattr(
            Nudge, "deduplication_id", property(lambda self: f"{self.run_id}/{self.step}")
        ),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "the writes of ctx.transact go before the completion, not with it",
        _wrap(Store, "apply", _write_first),
        MATRIX,
        "account",
    ),
    Planted(
        "an error that comes with one message is everybody's",
        _wrap(Worker, "_outage", _raise_at_once),
        MATRIX,
        "the handler raised",
    ),
    Planted(
        "a run is started without a watchdog",
        _wrap(
            Store,
            "start",
            lambda sound, self, run_id, name, text, now, wake_at: sound(
                self, run_id, name, text, now, wake_at + 100 * WATCHDOG_MS
            ),
        ),
        MATRIX,
        "never came to rest",
    ),
    Planted(
        "start does not nudge a run that it finds stored",
        lambda patch: patch.setattr(FluxioClient, "_nudge", _only_once()),
        MATRIX,
        "",
    ),
]


def _only_once() -> Any:
    return lambda self, nudge: None


def _own_step_alone(run: Any, hand: Any, plan: Any, now: int) -> list[Any]:
    found = []
    for step in run.steps.values():
        mine = hand.answers_for(step) or step.token == hand.token
        ready = step.status == "PENDING" and step.completed_deps == step.total_deps
        lost = step.status == "RUNNING" and not hand.holds(step) and step.lease_until <= now
        due = (step.not_before or 0) <= now
        if (lost and mine) or (ready and due and (mine or not hand.nudge.step)):
            found.append(step)
    return found
