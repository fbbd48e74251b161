"""Breakages of the engine, mostly of one line, each of which breaks a promise: the nets must catch them all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import pytest

import fluxio.claims
import fluxio.decide
import fluxio.loop
import fluxio.message
import fluxio.outage
import fluxio.sweeper
import fluxio_client.client
import fluxio_client.expression
import fluxio_client.queue
import fluxio_client.transitions as to
from fluxio.actions import Ack, Nack, Write
from fluxio.hand import Hand
from fluxio.loop import Loop
from fluxio.worker import Worker
from fluxio_client.client import FluxioClient
from fluxio_client.expression import Expression
from fluxio_client.queue import Nudge, Queue, QueueError
from fluxio_client.run import Run
from fluxio_client.store import Store
from fluxio_client.transitions import Guard

Patch = pytest.MonkeyPatch
#: Something that may go wrong: a seed of the random schedules, a case of the matrix and its faults, or a drill.
Place: TypeAlias = int | str | tuple[str, dict[int, str]]


@dataclass(frozen=True)
class Planted:
    """A breakage: what is broken, how, where it was seen first, and as what."""

    what: str
    break_it: Callable[[Patch], None]
    seen_at: Place
    #: Words of the violation: what it must be caught for, not for any other reason.
    shows: str
    #: The kinds of schedules that come to it, see `Schedule.kind`; empty: all.
    kinds: tuple[str, ...] = ()


def _without(row: str, guard: Guard) -> Callable[[Patch], None]:
    def break_it(patch: Patch) -> None:
        found = to.TABLE[row]
        patch.setitem(to.TABLE, row, found._replace(guards=found.guards - {guard}))  # type: ignore[arg-type]

    return break_it


def _unasked(attribute: str) -> Callable[[Patch], None]:
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

    return _wrap(fluxio_client.expression, "_change_step", broken)


def _both(*breakages: Callable[[Patch], None]) -> Callable[[Patch], None]:
    """Two conditions at once, where either alone keeps the promise."""

    def break_it(patch: Patch) -> None:
        for each in breakages:
            each(patch)

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


def _send_all_but_one(sound: Any, self: Queue, nudges: Sequence[Nudge], *more: Any) -> None:
    steps = [nudge for nudge in nudges if nudge.step]
    sound(self, steps[1:] if steps else nudges, *more)


def _send_once(patch: Patch) -> None:
    def send(sound: Any, *args: Any) -> None:
        with suppress(QueueError):
            sound(*args)

    patch.setattr(fluxio_client.queue, "SEND_TRIES", 1)
    _wrap(Queue, "send", send)(patch)


def _write_first(
    sound: Any, self: Store, run_id: str, changes: Any, now: int, operations: Any = ()
) -> Any:
    if operations:
        self._client.transact_write_items(TransactItems=list(operations))
    return sound(self, run_id, changes, now)


def _raise_at_once(sound: Any, self: Worker, handling: Any, error: Exception) -> Any:
    raise error


def _nudge_no_signal(sound: Any, self: FluxioClient, nudge: Nudge, *more: Any) -> None:
    if not nudge.occasion.startswith("signal:"):
        sound(self, nudge, *more)


def _ack_instead(sound: Any, *args: Any) -> Any:
    verdict = sound(*args)
    return None if isinstance(verdict, Nack) else verdict


def _barrier_apart(sound: Any, self: Store, run_id: str, changes: Any, now: int, *more: Any) -> Any:
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
    self._client.update_item(TableName=self._table, Key=key, **arguments)
    return written._replace(run=self.read(run_id))


def _own_step_alone(sound: Any, run: Any, hand: Hand, plan: Any, now: int) -> list[Any]:
    found = sound(run, hand, plan, now)
    if any(step.token == hand.token for step in run.steps.values()):
        return found
    return [step for step in found if hand.answers_for(step)]


def _give_the_step_up_alone(step: Any, now: int) -> Write:
    failure = to.Failure("WorkerLost", "its workers died", step.name, step.attempt)
    return Write((to.give_up(step.name, step.attempt, failure, now),))


def _drop_branches(run: Run, hand: Hand, *_: Any) -> Nack:
    return Nack(1)


def _park_at_once(patch: Patch) -> None:
    def blocked(run: Run, hand: Hand, problem: Any, now: int) -> Any:
        if run.status not in (to.RunStatus.PENDING, to.RunStatus.RUNNING):
            return Ack()
        failure = problem.failure
        return Write((to.park(failure) if problem.parks else to.fail_run(failure, now),))

    patch.setattr(fluxio.outage, "blocked", blocked)


def _together(sound: Any, run: Any, hand: Hand, plan: Any, ready: Any, time_left: int) -> Any:
    """Branches that were lost with their worker are taken over by one worker, as if they were fresh."""
    if run is None:
        return sound(run, hand, plan, ready, time_left)
    fresh = {
        name: replace(step, status=to.StepStatus.PENDING) if name in ready else step
        for name, step in run.steps.items()
    }
    return sound(replace(run, steps=fresh), hand, plan, ready, time_left)


def _shards_in_a_row(sound: Any, *args: Any) -> Any:
    """Each shard is swept to its end before the next, from the first one on."""
    return sound(*args, side_by_side=_first_shard)


def _first_shard(page: Any, shards: Sequence[int]) -> list[Any]:
    first = page(min(shards))
    rest = [
        fluxio.sweeper.SweptPage(shard, [], full=True) for shard in shards if shard != first.shard
    ]
    return [first, *rest]


def _no_reprieves(sound: Any, run: Run) -> Any:
    fresh, _ = sound(run)
    return fresh, []


def _looks_away(sound: Any, run: Any, hand: Hand, plan: Any, now: int, time_left: int) -> Any:
    action = sound(run, hand, plan, now, time_left)
    ends = isinstance(action, Write) and [change.row.name for change in action.changes]
    return Ack() if ends == ["fail_run"] else action


AGAIN = "a step that fails twice and is tried again at once"
PLANTED = [
    # --- the fence
    Planted(
        "a completion does not ask whose claim it is",
        _without("complete", Guard.FENCE),
        (AGAIN, {10: "crossed"}),
        "was committed for attempt 4 with the output {'attempt': 3}",
    ),
    Planted(
        "a retry does not ask whose claim it is",
        _without("retry", Guard.FENCE),
        ("a step that fails once", {7: "crossed"}),
        "is PENDING after attempt 2, which has not failed",
    ),
    Planted(
        "a failure does not ask whose claim it is",
        _without("fail", Guard.FENCE),
        ("a step that fails for good", {7: "crossed"}),
        "is FAILED after attempt 2, which has not failed",
    ),
    Planted("a fence does not ask for the token", _unasked("token"), 1174, "but s1 committed 2"),
    Planted(
        "a fence does not ask for the attempt",
        _unasked("attempt"),
        (AGAIN, {6: "late"}),
        "is PENDING after attempt 3, which has not failed",
    ),
    Planted(
        "a worker that was fenced goes on as if it were not",
        lambda patch: patch.setattr(Hand, "settle", lambda self, run: self.outcomes.clear()),
        4,
        "ran twice",
    ),
    Planted(
        "all workers have one token",
        _wrap(
            Hand,
            "__init__",
            lambda sound, self, nudge, received, _: sound(self, nudge, received, "t"),
        ),
        9,
        "something never came to its end",
    ),
    # --- claims
    Planted(
        "a take-over does not ask whether the lease is over",
        _without("take_over", Guard.LEASE_OVER),
        0,
        "within its timeout",
    ),
    Planted(
        "a lease is over when it begins",
        lambda patch: patch.setattr(fluxio.claims, "LEASE_MARGIN", -60_000),
        ("order, branches inline", {}),
        "was taken over 0 ms after its claim, within its timeout",
    ),
    Planted(
        "a claim does not ask whether the backoff is over",
        _without("claim", Guard.DUE),
        116,
        "before its backoff was over",
    ),
    Planted(
        "neither the policy nor a claim asks whether all dependencies are done",
        _both(
            _without("claim", Guard.BARRIER),
            lambda patch: patch.setattr(fluxio.claims, "is_ready", lambda *_: True),
        ),
        ("diamond, branches inline", {}),
        "was claimed before what it depends on had succeeded",
    ),
    Planted(
        "a run that is open is opened again",
        _row("open", run_from=frozenset({to.RunStatus.PENDING, to.RunStatus.RUNNING})),
        ("order, a nudge per branch", {2: "delivered again"}),
        "was changed after its commit",
    ),
    # --- signals
    Planted(
        "a signal that has come before is overwritten",
        _without("signal", Guard.UNSIGNALLED),
        11,
        "has lost signal:",
    ),
    Planted(
        "neither the policy nor a claim asks whether the signals have arrived",
        _both(
            _without("claim", Guard.SIGNALLED),
            lambda patch: patch.setattr(Run, "awaiting", lambda *_: ()),
        ),
        ("signals when all waits for them", {}),
        "step both was claimed before its signal left had arrived",
    ),
    Planted(
        "a signal wakes nobody",
        _wrap(FluxioClient, "_nudge", _nudge_no_signal),
        ("signals when all waits for them", {}),
        "it never came to rest",
    ),
    # --- the barrier
    Planted(
        "a completion counts each dependent twice",
        _wrap(to, "complete", _count_twice),
        3,
        "counts 2 of ['s0']",
    ),
    Planted(
        "a completion forgets a dependent",
        _wrap(to, "complete", _count_some),
        3,
        "counts 0 of ['s0']",
    ),
    Planted(
        "the barrier is counted up by a write of its own",
        _wrap(Store, "apply", _barrier_apart),
        ("order, branches inline", {}),
        "counts 0 of ['validate_payment']",
    ),
    # --- acknowledgements
    Planted(
        "a message is acknowledged while somebody else runs its step",
        _wrap(fluxio.message, "put_back", _ack_instead),
        ("signals, early", {15: "unanswered"}),
        "it never came to rest",
    ),
    Planted(
        "a message answers for the step it names alone",
        lambda patch: patch.setattr(
            Hand, "answers_for", lambda self, step: step.name == self.nudge.step
        ),
        ("signals, early", {15: "unanswered"}),
        "it never came to rest",
    ),
    Planted(
        "an error that comes with one message is everybody's",
        _wrap(Worker, "_outage", _raise_at_once),
        ("order, branches inline", {2: "unanswered"}),
        "the whole batch is stranded",
    ),
    # --- nudges
    Planted(
        "a nudge of a fan-out is not sent",
        _wrap(Queue, "send", _send_all_but_one),
        ("order, two branches inline", {}),
        "it never came to rest",
    ),
    Planted("entries that SQS refused are not sent again", _send_once, 110, "still at it"),
    Planted(
        "a redelivered message does not look whether others were nudged",
        _wrap(fluxio.claims, "due_steps", _own_step_alone),
        ("signals when all waits for them", {}),
        "it never came to rest",
    ),
    Planted(
        "messages of different attempts have one deduplication id",
        lambda patch: patch.setattr(
            Nudge, "deduplication_id", property(lambda self: f"{self.run_id}/{self.step}")
        ),
        219,
        "still at it",
    ),
    Planted(
        "start stores a run and does not nudge it",
        lambda patch: patch.setattr(FluxioClient, "_nudge", lambda *_: None),
        ("order, branches inline", {}),
        "it never came to rest",
    ),
    # --- the sweeper
    Planted(
        "the sweeper looks after a run only once",
        lambda patch: patch.setattr(fluxio.sweeper, "WATCHDOG_MS", 10 * 365 * 86_400_000),
        307,
        "something never came to its end",
    ),
    Planted(
        "the sweeper finds nothing",
        lambda patch: patch.setattr(Store, "due", lambda *_: []),
        ("a backoff of ten minutes", {}),
        "it never came to rest",
    ),
    Planted(
        "a run is started without a watchdog",
        lambda patch: patch.setattr(fluxio_client.client, "WATCHDOG_MS", 10 * 365 * 86_400_000),
        ("chain of 6, started once", {1: "before"}),
        "it never came to rest",
    ),
    # --- failures and effects
    Planted(
        "a step is given up but its run does not fail",
        lambda patch: (
            patch.setattr(fluxio.claims, "give_up", _give_the_step_up_alone),
            patch.setattr(fluxio.claims, "left_behind", lambda run: None),
        ),
        1,
        "is RUNNING with",
        ("poison",),
    ),
    Planted(
        "a step is given up after one death",
        lambda patch: patch.setattr(fluxio.claims, "lost_for_good", lambda *_: True),
        ("order, branches inline", {5: "after"}),
        "(attempt 1): WorkerLost",
    ),
    Planted(
        "the writes of ctx.transact go before the completion, not with it",
        _wrap(Store, "apply", _write_first),
        ("transactions in a chain", {6: "after"}),
        "account from has -14 instead of -7",
    ),
    # --- what a worker has in hand
    Planted(
        "a commit that failed is not made again",
        lambda patch: patch.setattr(Loop, "_will_repeat", lambda *_: False),
        ("signals, early", {17: "throttled"}),
        "was let go by a live worker",
    ),
    Planted(
        "a worker that has lost one branch drops the others",
        lambda patch: patch.setattr(fluxio.decide, "_finish_what_is_held", _drop_branches),
        "a_branch_lost_to_another_worker",
        "because its worker lost step left",
    ),
    Planted(
        "branches that were lost with their worker are taken over together",
        _wrap(fluxio.claims, "divide", _together),
        50,
        "taken along by",
        ("poison",),
    ),
    # --- operators
    Planted(
        "a step fails in a run that was redriven meanwhile",
        _without("fail", Guard.RUN_SEEN),
        4,
        "is RUNNING with",
        ("haste",),
    ),
    Planted(
        "a step fails for attempts that a redrive has just given back",
        _without("fail", Guard.REDRIVE_SEEN),
        1784,
        "failed of 2 attempts",
        ("haste",),
    ),
    Planted(
        "a redrive forgets the steps under way",
        _wrap(fluxio_client.client, "_fresh_attempts", _no_reprieves),
        495,
        "is RUNNING with",
        ("haste",),
    ),
    Planted(
        "a worker leaves a run RUNNING that has a FAILED step",
        _wrap(fluxio.loop, "decide", _looks_away),
        "a_failed_step_in_a_running_run",
        "no message is left",
    ),
    # --- deployments
    Planted(
        "a run is parked at once by code that cannot go on with it",
        _park_at_once,
        227,
        "the code that stays has all that it needs",
        ("a step is added", "a step is inserted", "a step is removed", "a step is renamed"),
    ),
    Planted(
        "arguments that do not fit another version count at once",
        lambda patch: patch.setattr(Loop, "_foreign", lambda self, failed: failed),
        150,
        "BindingError",
        ("a parameter is renamed",),
    ),
    # --- fairness
    Planted(
        "the sweep does not go on before a shard is done",
        _wrap(fluxio.sweeper, "sweep", _shards_in_a_row),
        "backlog_of_sweeps",
        "was never swept",
    ),
    Planted(
        "the signals of a run share a group",
        lambda patch: patch.setattr(
            Nudge, "group_id", property(lambda self: f"{self.run_id}/{self.occasion[:6]}")
        ),
        "a_signal_behind_another",
        "while the message of another signal is held",
    ),
]
