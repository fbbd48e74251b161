"""The policy: what the holder of a message does next, as a pure function of what it last saw.

No boto3, no clock, no randomness: the caller brings the run as it last read it, what it holds in its hand,
what the deployment says of the workflow, and the time. The same function is driven by the worker and by the
simulation.

Four rules carry the promise that nothing is lost:

* A message is acknowledged only when nothing that it answers for is unfinished and nothing that became
  ready by this worker is unsent. It is never given up because somebody else is running the step.
* A message answers for the step it names and for every step whose `owner` it is: those its holder went on
  with in the same invocation. If somebody else did the step it names, it answers for those behind it.
* A worker that finds its own step done has arrived after a crash or a duplicate: it looks at the whole run,
  because the one before may have died between its write and its messages.
* A worker that was fenced off a step commits what else it has in hand, takes nothing more, and does not
  acknowledge.

And one that no step's code runs twice without need:

* While a worker has anything in hand, a call that fails is repeated until the lease or the time of the
  invocation is nearly over.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from fluxio_client import layout
from fluxio_client import transitions as to
from fluxio_client.expression import fits
from fluxio_client.graph import Graph
from fluxio_client.queue import Nudge
from fluxio_client.run import Failure, Run, RunStatus, Step, StepStatus
from fluxio_client.transitions import Change

#: Milliseconds a lease holds beyond the step's timeout: the commit takes some, and two workers' clocks may
#: differ by the rest.
LEASE_MARGIN = 10_000

#: Milliseconds an invocation must have left beyond a step's timeout for the step to be begun in it.
TIME_MARGIN = 2_000

#: A backoff up to this (milliseconds) is waited for by the message's own visibility; a longer one by the
#: run's `wake_at` and the sweeper, so that no message is held for long.
HOLD = 120_000

#: A message received this often is replaced by a fresh one before it is put back again, so that waiting
#: never brings a healthy run to the dead-letter queue (the module's maxReceiveCount is 10).
RENEW_AFTER = 5

#: Milliseconds between two looks of the sweeper at a run that waits for nothing but a signal: the signal
#: wakes it, so this only bounds how long a defect could keep it asleep.
SIGNAL_WATCH = 86_400_000

#: Milliseconds that it may take to write one item's time to live.
EXPIRY_TIME = 20

#: Seconds until a message comes back that a fenced worker put back.
FENCED_PAUSE = 1

#: Milliseconds for which a deployment must have been unable to go on with a run before the run is parked: while
#: a deploy is under way, workers with the old code and the new one, or half of each, take turns. A deployment
#: may set less (the module's `park_after`), but no more: a message waits for it.
PATIENCE = 300_000

#: Seconds between two looks at such a run: 300 in all, and fewer receipts than the dead-letter queue allows.
BLOCKED_PAUSES = (10, 20, 40, 60, 80, 90)

#: How the occasion of a nudge begins that has been waiting for a deployment that can go on; the rest is since
#: when, in hexadecimal seconds since 1970.
BLOCKED = "blocked:"

#: Attempts that a step has whose arguments do not fit the deployed code, which is of another version than the
#: run: with `FOREIGN_PAUSE` milliseconds between them, about as long as `PATIENCE`.
FOREIGN_ATTEMPTS = 10
FOREIGN_PAUSE = 30_000

#: Milliseconds before a failed call is repeated: the first pause and the longest. Jitter takes up to half away.
FIRST_PAUSE, LONGEST_PAUSE = 100, 5_000

#: Milliseconds before the end of the lease or the invocation at which a failing call is repeated no more.
LAST_MOMENT = 1_000


# What follows are named tuples: a class of its own for each costs a cold start a tenth of what a
# dataclass does.

# --- what the deployment says


class StepPolicy(NamedTuple):
    """How the deployed code wants a step run."""

    #: Milliseconds an attempt may take.
    timeout: int
    #: Attempts after which an exception makes the step FAILED.
    attempts: int
    #: Attempts after which a dead worker makes the step FAILED.
    attempts_under_crashes: int
    isolated: bool = False


class Plan(NamedTuple):
    """The graph a run goes by, and how the deployed code wants its steps run."""

    workflow: str
    graph: Graph
    policies: Mapping[str, StepPolicy]
    #: Milliseconds a run may take from its start, by AWS's clock; None: as long as it needs.
    timeout: int | None
    #: Steps of a fan-out that run as threads of one invocation; 0: each in its own.
    inline_branches: int


class Problem(NamedTuple):
    """Why the deployment cannot go on with a run: it fails, or is parked for an operator."""

    failure: Failure
    parks: bool
    #: Milliseconds for which it must have been so.
    patience: int = PATIENCE


# --- what a worker holds


class Succeeded(NamedTuple):
    """An attempt returned. `output` is ("output", text) or ("output_ref", sort key)."""

    output: tuple[str, str]
    operations: tuple[dict[str, object], ...] = ()
    #: The text that must be stored under the sort key before the commit.
    unstored: str | None = None


class Failed(NamedTuple):
    """An attempt raised; `retry_after` milliseconds it may be tried again, None: never."""

    failure: Failure
    retry_after: int | None
    #: Whether it took longer than its timeout.
    timed_out: bool = False
    #: Whether the step's code has not run, because its arguments could not be bound.
    unbound: bool = False
    #: Whether the run is of another version than the deployed code, which may be the reason.
    foreign: bool = False
    #: The signals whose payloads do not fit: not the step is to blame, it waits for them anew.
    refused: tuple[str, ...] = ()


Outcome: TypeAlias = Succeeded | Failed


@dataclass
class Hand:
    """One message and what its holder knows beyond the run."""

    nudge: Nudge
    #: How often the message was received, this time included.
    received: int
    #: The fence of this holder's claims.
    token: str
    #: When SQS took the message; None if that is not known.
    sent_at: int | None = None
    #: Attempts under way in this process, with the time each must have ended by.
    running: dict[str, int] = field(default_factory=dict)
    #: Attempts that have ended here and are not committed yet.
    outcomes: dict[str, Outcome] = field(default_factory=dict)
    #: (step, attempt) of the nudges sent; the step is "" for a nudge of the run as a whole.
    sent: set[tuple[str, int]] = field(default_factory=set)
    fenced: bool = False
    result_stored: bool = False
    #: Why the result could not be stored.
    result_failure: Failure | None = None
    #: The trace that a run begins which this holder opens, if it is in none yet.
    trace: str | None = None
    #: (step, attempt) of outputs in items of their own: stored here, or perhaps by a worker that was lost.
    stored: set[tuple[str, int]] = field(default_factory=set)
    #: Whether this holder has tried to end the run.
    ending: bool = False
    #: Sort keys of the items that this holder has given the run's time to live.
    expired: set[str] = field(default_factory=set)
    #: Calls that have failed in a row, and when the last of them is to be repeated.
    failures: int = 0
    resume_at: int = 0

    @property
    def nonce(self) -> str:
        """What tells this holder's messages from others': the token without the place in front."""
        return self.token.rpartition(".")[2]

    @property
    def owner(self) -> str:
        """What this holder writes as `owner` on the steps it claims."""
        return self.nudge.step or ""

    def has_sent(self, nudge: Nudge) -> bool:
        """Whether this holder has sent a nudge for this step and attempt."""
        return (nudge.step or "", nudge.attempt) in self.sent

    def holds(self, step: Step) -> bool:
        """Whether the step is RUNNING under this holder's claim."""
        return step.status is StepStatus.RUNNING and step.token == self.token

    def answers_for(self, step: Step) -> bool:
        """Whether this message must bring the step back if its worker dies."""
        return step.owner == self.owner or step.name == self.nudge.step

    def settle(self, run: Run) -> None:
        """Drop the outcomes that a fresh look at the run shows to be committed, or fenced off."""
        for name in list(self.outcomes):
            step = run.steps.get(name)
            if step is not None and self.holds(step):
                continue  # still to be committed
            del self.outcomes[name]
            if step is None or step.token != self.token:
                self.fenced = True


# --- what it does next


class Read:
    """Read the run."""


class Write(NamedTuple):
    """Apply rows of the transition table, all or none."""

    changes: tuple[Change, ...]
    operations: tuple[dict[str, object], ...] = ()


class Send(NamedTuple):
    """Send nudges."""

    nudges: tuple[Nudge, ...]


class Execute(NamedTuple):
    """Run these claimed steps: alone in this thread if it is the only one, else each in a thread."""

    steps: tuple[str, ...]


class Await(NamedTuple):
    """Wait for a running step to end, until `until` at the latest."""

    until: int


class Pause(NamedTuple):
    """Do nothing until `until`."""

    until: int


class StoreOutput(NamedTuple):
    """Store the output of a step that has ended here in an item of its own."""

    step: str


class StoreResult:
    """Store the run's result in an item of its own."""


class ExpirePayloads(NamedTuple):
    """Let items with long values go when their run goes, which ended at `ended_at`."""

    sort_keys: tuple[str, ...]
    ended_at: int


class Ack:
    """Let SQS delete the message."""


class Nack(NamedTuple):
    """Put the message back, to return after so many seconds."""

    seconds: int


Action: TypeAlias = (
    Read
    | Write
    | Send
    | Execute
    | Await
    | Pause
    | StoreOutput
    | StoreResult
    | ExpirePayloads
    | Ack
    | Nack
)


def decide(
    run: Run | None, hand: Hand, plan: Plan | Problem | None, now: int, time_left: int
) -> Action:
    """What to do next.

    Args:
        run: the run as last read; None before the first look.
        hand: the message and what its holder has under way.
        plan: what the deployment says of the run's workflow; None if the nudge does not name it and the
            run was not read yet.
        now: milliseconds since 1970.
        time_left: milliseconds until the invocation ends.
    """
    action = _next(run, hand, plan, now, time_left)
    if run is not None and isinstance(action, (Ack, Nack)):
        return _expire_payloads(run, hand, now, time_left) or action
    return action


def _next(
    run: Run | None, hand: Hand, plan: Plan | Problem | None, now: int, time_left: int
) -> Action:
    if run is None:
        return _first(hand, plan, now, time_left)
    if hand.resume_at > now:
        waits = [hand.resume_at, *hand.running.values()]
        return Await(min(waits)) if hand.running else Pause(hand.resume_at)
    if isinstance(plan, Problem):
        assert not hand.running
        assert not hand.outcomes
        return _blocked(run, hand, plan, now)
    assert isinstance(plan, Plan)
    if hand.outcomes:
        return _commit(run, hand, plan, now, time_left)
    if hand.fenced:
        return _finish_what_is_held(run, hand, plan, now)
    if run.status is RunStatus.PENDING:
        return _open(run.created_at, hand, plan, now, time_left)
    if run.status is RunStatus.RUNNING and run.deadline is not None and run.deadline <= now:
        return _expire(run, plan, now)
    if run.status is not RunStatus.RUNNING:
        return Await(max(hand.running.values())) if hand.running else Ack()
    if failure := _left_behind(run):
        return Write((to.fail_run(failure, now),))
    todo = _todo(run, hand, plan, now)
    lost = [step for step in todo if _lost_for_good(step, plan)]
    if lost:
        return _give_up(lost[0], now)
    inline, elsewhere = _divide(run, hand, plan, [step.name for step in todo], time_left)
    claims = [_claim(run.steps[name], hand, plan, now) for name in inline]
    fitting = _fitting((), claims, now)
    elsewhere += inline[fitting:]
    nudges = [_nudge(run, name, _occasion(hand)) for name in elsewhere]
    if nudges:
        return Send(tuple(nudges))
    if claims:
        return Write(tuple(claims[:fitting]))
    if begin := _to_begin(run, hand, plan, now):
        return Execute(begin)
    if hand.running:
        return Await(_until(run, hand, now))
    if todo:
        return _next_invocation(hand, _nudge(run, todo[0].name, f"again:{hand.nonce}"))
    return (
        _put_back(run, hand, plan, now) or _end(run, hand, plan, now) or _sleep(run, now) or Ack()
    )


def _expire_payloads(run: Run, hand: Hand, now: int, time_left: int) -> Action | None:
    """What is to be done with items of long values before the message is given back.

    The worker that ends a run sees to all of its items; so does the holder of a message that comes back and
    finds the run ended, because the one before may have died in between. A worker that commits after the run
    has ended sees to its own output. An output that was stored and can no longer be committed belongs to
    nothing, whatever becomes of the run.
    """
    if not run.ended:
        keys = {layout.output_ref(*at) for at in hand.stored if _abandoned(run, *at)}
        return ExpirePayloads(tuple(sorted(keys)), now) if keys else None
    keys = {layout.output_ref(*at) for at in hand.stored}
    if hand.result_stored:
        keys.add(layout.RESULT)
    if hand.ending or hand.received > 1:
        keys.update(layout.payload_keys(run))
    keys -= hand.expired
    if not keys:
        return None
    if time_left < TIME_MARGIN + len(keys) * EXPIRY_TIME:
        return Nack(0)  # to an invocation that has the time
    assert run.ended_at is not None
    return ExpirePayloads(tuple(sorted(keys)), run.ended_at)


def _abandoned(run: Run, name: str, attempt: int) -> bool:
    """Whether an attempt of a step can no longer be committed."""
    step = run.steps[name]
    if step.attempt > attempt:
        return step.output_ref != layout.output_ref(name, attempt)
    return step.status in (StepStatus.PENDING, StepStatus.FAILED)


def _first(hand: Hand, plan: Plan | Problem | None, now: int, time_left: int) -> Action:
    """A fresh message spares the read: what it hopes for is tried at once, and refused if it is not so."""
    nudge = hand.nudge
    if hand.received > 1 or not isinstance(plan, Plan) or nudge.occasion:
        return Read()
    if nudge.step is None and plan.timeout is not None and hand.sent_at is None:
        return Read()  # the deadline counts from the run's start
    if nudge.step is None:
        return _open(now, hand, plan, now, time_left)
    if nudge.step not in plan.policies:
        return Read()
    if not _in_time(plan, nudge.step, time_left):
        return _next_invocation(hand, nudge._replace(occasion=f"again:{hand.nonce}"))
    values = _claim_values(nudge.step, hand, plan, now)
    awaits = plan.graph.awaits.get(nudge.step, ())
    return Write((to.claim(nudge.step, values, awaits=awaits),))


def _next_invocation(hand: Hand, again: Nudge) -> Action:
    """What is left of this invocation is too short: let the message come back at once, to another."""
    if hand.received < RENEW_AFTER:
        return Nack(0)
    return Ack() if hand.has_sent(again) else Send((again,))


def repeat_at(run: Run | None, hand: Hand, now: int, time_left: int, chance: float) -> int | None:
    """When a call that failed is to be made again; None if the message must come back instead.

    It is repeated only while there is something that would be lost: attempts that run here, outcomes that are
    not committed, claimed steps that have not begun. Another worker may take a step over when its lease has
    expired, so that is how long a repetition is worth it.

    Args:
        run: the run as last read.
        hand: the message and what its holder has under way.
        now: milliseconds since 1970.
        time_left: milliseconds until the invocation ends.
        chance: a number from 0 to 1, for the jitter.
    """
    if run is None:
        return None
    leases = [step.lease_until or 0 for step in run.steps.values() if hand.holds(step)]
    at_work = {*hand.running, *hand.outcomes}
    leases += [run.steps[name].lease_until or 0 for name in at_work if name in run.steps]
    if not leases:
        return None
    pause = min(FIRST_PAUSE * 2 ** min(hand.failures, 10), LONGEST_PAUSE)
    at = now + max(1, round(pause * (0.5 + 0.5 * chance)))
    return at if at < min(max(leases), now + time_left) - LAST_MOMENT else None


def _blocked(run: Run, hand: Hand, problem: Problem, now: int) -> Action:
    """Wait for a deployment that can go on with the run; park it, or fail it, when that lasts too long.

    Since when stands in the message: the run itself is as it was for a worker that can go on with it.
    """
    if run.status not in (RunStatus.PENDING, RunStatus.RUNNING):
        return Ack()
    since = blocked_since(hand.nudge)
    if since is None and problem.patience:
        again = hand.nudge._replace(occasion=f"{BLOCKED}{now // 1000:x}")
        return Ack() if hand.has_sent(again) else Send((again,))
    left = (since or now) + problem.patience - now
    if left > 0:
        pause = BLOCKED_PAUSES[min(hand.received, len(BLOCKED_PAUSES)) - 1]
        return Nack(min(pause, -(-left // 1000)))
    if problem.parks:
        return Write((to.park(problem.failure),))
    return Write((to.fail_run(problem.failure, now),))


def blocked_since(nudge: Nudge) -> int | None:
    """Since when a nudge waits for a deployment that can go on with its run, in milliseconds since 1970."""
    if not nudge.occasion.startswith(BLOCKED):
        return None
    try:
        return int(nudge.occasion.removeprefix(BLOCKED), 16) * 1000
    except ValueError:
        return None


def _finish_what_is_held(run: Run, hand: Hand, plan: Plan, now: int) -> Action:
    """After one step was lost to another worker: the others go on to their ends, and nothing new begins."""
    if begin := _to_begin(run, hand, plan, now):
        return Execute(begin)
    return Await(max(hand.running.values())) if hand.running else Nack(FENCED_PAUSE)


def _expire(run: Run, plan: Plan, now: int) -> Write:
    assert run.deadline is not None
    seconds = (plan.timeout or run.deadline - run.created_at) / 1000
    missing = sorted({signal for step in run.steps for signal in run.awaiting(step)})
    why = "see which of its steps take long"
    if missing:
        why = f"send in time what it waited for: the signal {', the signal '.join(missing)}"
    failure = Failure(
        "RunTimeout",
        f"the run had not ended after the {seconds:g} s its workflow gives it. Raise the `timeout` of "
        f"@workflow, or {why}.",
    )
    return Write((to.expire(failure, now),))


def _open(created_at: int, hand: Hand, plan: Plan, now: int, time_left: int) -> Action:
    roots = [name for name in plan.graph.roots if name not in plan.graph.awaits]
    if roots and not any(_in_time(plan, name, time_left) for name in roots):
        return _next_invocation(hand, hand.nudge._replace(occasion=f"again:{hand.nonce}"))
    deadline = None
    if plan.timeout is not None:
        deadline = min(_started(created_at, hand), now) + plan.timeout
    overdue = deadline is not None and deadline <= now  # then it ends next, and nothing may begin
    inline, _ = _divide(None, hand, plan, () if overdue else roots, time_left)
    claims = {name: _claim_values(name, hand, plan, now) for name in inline}
    return Write((to.open_run(plan.workflow, plan.graph, claims, deadline, hand.trace),))


def _started(created_at: int, hand: Hand) -> int:
    """When the run was started, or redriven before it was ever opened.

    `created_at` is by the clock of the machine that started it, which may be minutes off. The first message was
    sent right afterwards, and when SQS took it AWS's clock says.
    """
    first = hand.nudge.occasion == "" or hand.nudge.occasion.startswith("redrive:")
    return hand.sent_at if first and hand.sent_at is not None else created_at


def _commit(run: Run, hand: Hand, plan: Plan, now: int, time_left: int) -> Action:
    """Commit what has ended here, and in the same write take what becomes ready, or end the run."""
    for name, outcome in hand.outcomes.items():
        if isinstance(outcome, Succeeded) and outcome.unstored is not None:
            return StoreOutput(name)
    for name, outcome in hand.outcomes.items():
        if isinstance(outcome, Succeeded) and outcome.operations:
            changes = _committing(run, {name: outcome}, hand, plan, now, time_left)
            return Write(changes, outcome.operations)
    outcomes = dict(hand.outcomes)
    while True:
        changes = _committing(run, outcomes, hand, plan, now, time_left)
        if len(outcomes) == 1 or fits(changes, now):
            return Write(changes)
        outcomes.popitem()


def _committing(
    run: Run,
    outcomes: Mapping[str, Outcome],
    hand: Hand,
    plan: Plan,
    now: int,
    time_left: int,
) -> tuple[Change, ...]:
    changes: list[Change] = []
    ends: Failure | None = None
    refused: set[str] = set()
    for name, outcome in outcomes.items():
        step = run.steps[name]
        attempt = step.attempt
        if isinstance(outcome, Succeeded):
            dependents = plan.graph.dependents[name]
            changes.append(to.complete(name, hand.token, attempt, outcome.output, dependents, now))
        elif _tries_again(run, name, outcome, plan):
            assert outcome.retry_after is not None
            changes.append(
                to.retry(name, hand.token, attempt, outcome.failure, now + outcome.retry_after)
            )
        elif outcome.refused:
            # Steps that await the same signal may refuse it together, and one write takes it out once.
            signals = tuple(
                one for one in outcome.refused if one in run.signals_json and one not in refused
            )
            refused.update(signals)
            changes.append(to.refuse_signal(name, hand.token, attempt, outcome.failure, signals))
        else:
            failure = outcome.failure
            changes.append(
                to.fail(name, hand.token, attempt, failure, run.status, now, step.redriven_at)
            )
            ends = ends or outcome.failure
    if run.status is not RunStatus.RUNNING:
        return tuple(changes)
    if ends is not None:
        return (*changes, to.fail_run(ends, now))
    done = {name for name, outcome in outcomes.items() if isinstance(outcome, Succeeded)}
    succeeded = done | {s.name for s in run.steps.values() if s.status is StepStatus.SUCCEEDED}
    if len(succeeded) == len(run.steps):
        result = _result(run, outcomes, plan)
        return (*changes, to.finish(result, now)) if result else tuple(changes)
    if hand.fenced or (run.deadline is not None and run.deadline <= now):
        return tuple(changes)  # the message goes back, or the run ends next: nothing may begin
    ready = [
        name
        for name in _in_order(plan.graph, (d for n in done for d in plan.graph.dependents[n]))
        if succeeded.issuperset(plan.graph.depends_on[name]) and not run.awaiting(name)
    ]
    inline, _ = _divide(run, hand, plan, ready, time_left)
    claims = [
        to.claim(
            name,
            _claim_values(name, hand, plan, now),
            len(plan.graph.depends_on[name]),
            run.steps[name].awaits,
        )
        for name in inline
    ]
    return (*changes, *claims[: _fitting(changes, claims, now)])


def _fitting(changes: Sequence[Change], claims: Sequence[Change], now: int) -> int:
    """How many of the claims go into one write with the changes; one alone always does."""
    counts = range(len(claims), 0, -1)
    return next((count for count in counts if fits((*changes, *claims[:count]), now)), 0)


def _tries_again(run: Run, name: str, outcome: Failed, plan: Plan) -> bool:
    if outcome.retry_after is None or run.status is not RunStatus.RUNNING:
        return False
    step = run.steps[name]
    attempts = plan.policies[name].attempts
    if outcome.foreign:
        attempts = max(attempts, FOREIGN_ATTEMPTS)
    return step.attempt - step.redriven_at < attempts


def _todo(run: Run, hand: Hand, plan: Plan, now: int) -> list[Step]:
    """Steps this worker is to see to: claim them here, or send somebody."""
    # Coming without a claim of its own it looks at everything; otherwise at what its own commits released,
    # because what others released is theirs to see to.
    working = any(step.token == hand.token for step in run.steps.values())
    found = []
    for name in plan.graph.depends_on:
        step = run.steps[name]
        if (name, step.attempt + 1) in hand.sent:
            continue
        if name in hand.running:
            # Lost to somebody else while it ran here, and free again. Taken now, its next attempt would be
            # mistaken for the one that still runs: that one ends first, and is fenced.
            continue
        if step.status is StepStatus.PENDING:
            mine = (
                not working
                or hand.answers_for(step)
                or (not plan.graph.depends_on[name] and hand.nudge.step is None)
                or any(run.steps[dep].token == hand.token for dep in plan.graph.depends_on[name])
            )
            if mine and _ready(run, step) and (step.not_before or 0) <= now:
                found.append(step)
        elif step.status is StepStatus.RUNNING and not hand.holds(step):
            mine = not working or hand.answers_for(step)
            if mine and (step.lease_until or 0) <= now:
                found.append(step)
    return found


def _ready(run: Run, step: Step) -> bool:
    return step.completed_deps == step.total_deps and not run.awaiting(step.name)


def _left_behind(run: Run) -> Failure | None:
    """Why a step of a running run failed: it did so just as a redrive reopened the run."""
    for step in run.steps.values():
        if step.status is StepStatus.FAILED:
            return step.error or Failure("StepFailed", "why is unknown", step.name, step.attempt)
    return None


def _lost_for_good(step: Step, plan: Plan) -> bool:
    return (
        step.status is StepStatus.RUNNING
        and step.attempt - step.redriven_at >= plan.policies[step.name].attempts_under_crashes
    )


def _give_up(step: Step, now: int) -> Write:
    failure = Failure(
        "WorkerLost",
        f"the worker died or overran its lease in attempt {step.attempt}, the last one this step "
        "has. Look for timeouts and memory in the worker's log.",
        step.name,
        step.attempt,
    )
    give_up = to.give_up(step.name, step.attempt, failure, now, step.redriven_at)
    return Write((give_up, to.fail_run(failure, now)))


def _divide(
    run: Run | None, hand: Hand, plan: Plan, ready: Collection[str], time_left: int
) -> tuple[list[str], list[str]]:
    """Which of the ready steps run in this invocation, and which get a nudge and run in others."""
    busy = 0
    if run is not None:
        busy = sum(hand.holds(s) and s.name not in hand.outcomes for s in run.steps.values())
    room = max(plan.inline_branches, 1) - busy
    lost = {
        name for name in ready if run is not None and run.steps[name].status is StepStatus.RUNNING
    }
    # The step a message names is claimed by its holder; sending it on would go round in a circle. One that was
    # lost with its worker comes last: it may be what killed it, so it takes no other along, and goes alone.
    names = sorted(ready, key=lambda name: (name != hand.nudge.step, name in lost))
    inline: list[str] = []
    elsewhere: list[str] = []
    for name in names:
        named = name == hand.nudge.step
        apart = plan.policies[name].isolated and not named
        here = len(inline) < room and lost.isdisjoint(inline)
        if name in lost:
            here = not busy and not inline
        if here and not apart and _in_time(plan, name, time_left):
            inline.append(name)
        elif not named:
            elsewhere.append(name)
    return inline, elsewhere


def _in_time(plan: Plan, name: str, time_left: int) -> bool:
    return plan.policies[name].timeout + TIME_MARGIN <= time_left


def _claim_values(name: str, hand: Hand, plan: Plan, now: int) -> dict[str, str | int]:
    lease_until = now + plan.policies[name].timeout + LEASE_MARGIN
    return to.claim_values(hand.token, lease_until, hand.owner, now)


def _claim(step: Step, hand: Hand, plan: Plan, now: int) -> Change:
    values = _claim_values(step.name, hand, plan, now)
    if step.status is StepStatus.RUNNING:
        return to.take_over(step.name, values, step.attempt)
    return to.claim(step.name, values, awaits=step.awaits)


def _to_begin(run: Run, hand: Hand, plan: Plan, now: int) -> tuple[str, ...]:
    """Steps that are claimed here and not begun, and whose leases still hold for their whole timeouts.

    The answer to a claim may come so late that one does not; then another worker takes the step over.
    """
    return tuple(
        step.name
        for step in run.steps.values()
        if hand.holds(step)
        and step.name not in hand.running
        and (step.lease_until or 0) - now >= plan.policies[step.name].timeout
    )


def _occasion(hand: Hand) -> str:
    """Under which occasion the holder of a message sends others.

    After a sweep or a redrive under theirs: what was sent before may have been acknowledged while the run
    stood still, and SQS would take the same nudge for a duplicate for five minutes.
    """
    return hand.nudge.occasion if hand.nudge.occasion.startswith(("sweep:", "redrive:")) else ""


def _nudge(run: Run, name: str, occasion: str = "") -> Nudge:
    return Nudge(run.run_id, run.workflow, name, run.steps[name].attempt + 1, occasion)


def _until(run: Run, hand: Hand, now: int) -> int:
    """Until when to wait for a running step: one overruns, or another's backoff ends."""
    backoffs = [
        step.not_before
        for step in run.steps.values()
        if step.status is StepStatus.PENDING
        and step.not_before is not None
        and step.not_before > now
        and hand.answers_for(step)
    ]
    return min([*hand.running.values(), *backoffs])


def _put_back(run: Run, hand: Hand, plan: Plan, now: int) -> Action | None:
    """Put the message back while something it answers for is unfinished."""
    held: dict[str, int] = {}
    gone_on_with = _gone_on_with(run, hand, plan)
    for step in run.steps.values():
        if not hand.answers_for(step) and step.name not in gone_on_with:
            continue
        if step.status is StepStatus.RUNNING:
            held[step.name] = step.lease_until or now
        elif step.status is StepStatus.PENDING and now < (step.not_before or 0) <= now + HOLD:
            held[step.name] = step.not_before or 0
    # A step that was nudged under its next attempt has a message of its own.
    held = {n: t for n, t in held.items() if (n, run.steps[n].attempt + 1) not in hand.sent}
    if not held:
        return None
    if hand.received >= RENEW_AFTER:
        return Send(tuple(_nudge(run, name, f"again:{hand.nonce}") for name in held))
    return Nack(max(0, -(-(min(held.values()) - now) // 1000)))


def _gone_on_with(run: Run, hand: Hand, plan: Plan) -> set[str]:
    """The steps behind the one the message names, where somebody else did that one.

    Whoever did it went on with them under another message, which may be gone: a duplicate's holder goes on
    after the other one has acknowledged. This message is still there, so it answers for them, too.
    """
    named = run.steps.get(hand.nudge.step or "")
    if named is None or named.status is not StepStatus.SUCCEEDED or named.token == hand.token:
        return set()
    behind: set[str] = set()
    front = [named.name]
    while front:
        new = {name for step in front for name in plan.graph.dependents[step]} - behind
        behind |= new
        front = list(new)
    return behind


def _end(run: Run, hand: Hand, plan: Plan, now: int) -> Action | None:
    if any(step.status is not StepStatus.SUCCEEDED for step in run.steps.values()):
        return None
    if hand.result_failure:
        return Write((to.fail_run(hand.result_failure, now),))
    if hand.result_stored:
        return Write((to.finish(("result_ref", layout.RESULT), now),))
    result = _result(run, {}, plan)
    return Write((to.finish(result, now),)) if result else StoreResult()


def _result(run: Run, outcomes: Mapping[str, Outcome], plan: Plan) -> tuple[str, str] | None:
    """The run's result, where it can be had from the run item alone: what the leaves returned."""
    outputs: dict[str, tuple[str, str]] = {}
    for name in plan.graph.leaves:
        outcome, step = outcomes.get(name), run.steps[name]
        if isinstance(outcome, Succeeded):
            outputs[name] = outcome.output
        elif step.output_json is not None:
            outputs[name] = ("output", step.output_json)
        elif step.output_ref is not None:
            outputs[name] = ("output_ref", step.output_ref)
    if len(outputs) == 1:
        kind, text = next(iter(outputs.values()))
        return ("result", text) if kind == "output" else ("result_ref", text)
    if any(kind == "output_ref" for kind, _ in outputs.values()):
        return None
    parts = ",".join(f"{json.dumps(name)}:{text}" for name, (_, text) in outputs.items())
    text = "{" + parts + "}"
    return ("result", text) if layout.fits_inline(text) else None


def _sleep(run: Run, now: int) -> Action | None:
    """Let the sweeper wake the run at its deadline, or when a backoff or a signal is all it waits for."""
    if run.wake_at is None:
        return None
    waits: list[int] = []
    underway = False  # something else goes on, which the watchdog must keep an eye on
    for step in run.steps.values():
        if step.status is StepStatus.PENDING and (step.not_before or 0) > now + HOLD:
            waits.append(step.not_before or 0)
        elif step.status is StepStatus.RUNNING or (
            step.status is StepStatus.PENDING and _ready(run, step)
        ):
            underway = True
        elif step.status is StepStatus.PENDING and step.completed_deps == step.total_deps:
            # For a signal. What is far off already is left: each look would move it by a little.
            far = run.wake_at > now + SIGNAL_WATCH // 2
            waits.append(run.wake_at if far else now + SIGNAL_WATCH)
    candidates = [*waits, *([] if run.deadline is None else [run.deadline])]
    if not candidates:
        return None
    until = min(candidates)
    # Later than the watchdog only where there is nothing it could find: no message that may be lost.
    if run.wake_at == until or (run.wake_at < until and (underway or not waits)):
        return None
    return Write((to.wake(until, run.wake_at),))


def _in_order(graph: Graph, names: Iterable[str]) -> list[str]:
    wanted = set(names)
    return [name for name in graph.depends_on if name in wanted]
