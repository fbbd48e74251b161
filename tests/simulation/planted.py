"""Breakages of the engine, mostly of one line, each of which breaks a promise: the nets must catch them all."""

from __future__ import annotations

import fluxio.claims
import fluxio.decide
import fluxio.loop
import fluxio.message
import fluxio.outage
import fluxio.starting
import fluxio.sweeper
import fluxio_client.redrive
import fluxio_protocol.changes as to
import fluxio_protocol.run_item
import fluxio_protocol.store
from fluxio.hand import Hand
from fluxio.loop import Loop
from fluxio.worker import Worker
from fluxio_client.client import FluxioClient
from fluxio_protocol.expression import Steps
from fluxio_protocol.payloads import Payloads
from fluxio_protocol.queue import Nudge, Queue
from fluxio_protocol.run import Run, RunStatus
from fluxio_protocol.store import Store
from fluxio_protocol.transitions import Guard
from tests.simulation.breakages import (
    ack_instead,
    barrier_apart,
    both,
    claim_whatever_stands,
    count_some,
    count_twice,
    drop_branches,
    forget_kept,
    forget_others,
    give_the_step_up_alone,
    looks_away,
    no_reprieves,
    nudge_no_signal,
    nudge_own_starts,
    overwrite_archive,
    own_step_alone,
    park_at_once,
    raise_at_once,
    ready_too_early,
    row,
    seal_what_was_wanted,
    send_all_but_one,
    send_once,
    shards_in_a_row,
    spread_all_but_one,
    start_afterwards,
    start_first,
    together,
    unasked,
    without,
    wrap,
    write_first,
)
from tests.simulation.fault import Planted
from tests.simulation.planted_language import LANGUAGE

AGAIN = "a step that fails twice and is tried again at once"
PLANTED = [
    *LANGUAGE,
    # --- the fence
    Planted(
        "a completion does not ask whose claim it is",
        without("complete", Guard.FENCE),
        (AGAIN, {10: "crossed"}),
        "was committed by another claim than its last",
    ),
    Planted(
        "a retry does not ask whose claim it is",
        without("retry", Guard.FENCE),
        ("a step that fails once", {7: "crossed"}),
        "is PENDING after attempt 2, which has not failed",
    ),
    Planted(
        "a failure does not ask whose claim it is",
        without("fail", Guard.FENCE),
        ("a step that fails for good", {7: "crossed"}),
        "is FAILED after attempt 2, which has not failed",
    ),
    Planted(
        "a fence does not ask for the token",
        unasked("token"),
        1016,
        "was committed by another claim than its last",
    ),
    Planted(
        "a fence does not ask for the attempt",
        unasked("attempt"),
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
        wrap(
            Hand,
            "__init__",
            lambda sound, self, nudge, received, _: sound(self, nudge, received, "t"),
        ),
        0,
        "ran twice",
    ),
    Planted(
        "a report of a step's progress does not ask whose claim it is",
        without("progress", Guard.FENCE),
        ("steps that report, one of which fails once", {6: "crossed"}),
        "has the progress of attempt 1 in attempt 2",
    ),
    # --- claims
    Planted(
        "a take-over does not ask whether the lease is over",
        without("take_over", Guard.LEASE_OVER),
        23,
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
        without("claim", Guard.DUE),
        6,
        "before its backoff was over",
    ),
    Planted(
        "neither the policy nor a claim asks whether all dependencies are done",
        both(
            without("claim", Guard.BARRIER),
            wrap(fluxio.claims, "standing", ready_too_early),
        ),
        ("diamond, branches inline", {}),
        "was claimed before what it depends on had succeeded",
    ),
    Planted(
        "a first claim does not ask whether the step stands in the item",
        wrap(Steps, "claim", claim_whatever_stands),
        ("signals, early", {16: "late"}),
        "was claimed",
    ),
    Planted(
        "a claim does not ask whether steps were sealed since",
        without("claim", Guard.SEALS_SEEN),
        6,
        "was changed after its commit",
    ),
    Planted(
        "a claim by a worker that has not seen the run does not ask what came before",
        without("claim", Guard.BARRIER),
        93,
        "was changed after its commit",
    ),
    Planted(
        "a run that is open is opened again",
        row("open", run_from=frozenset({RunStatus.PENDING, RunStatus.RUNNING})),
        ("order, a nudge per branch", {2: "delivered again"}),
        "was changed after its commit",
    ),
    # --- signals
    Planted(
        "a signal that has come before is overwritten",
        without("signal", Guard.UNSIGNALLED),
        11,
        "has lost signal:",
    ),
    Planted(
        "neither the policy nor a claim asks whether the signals have arrived",
        both(
            without("claim", Guard.SIGNALLED),
            lambda patch: patch.setattr(Run, "awaiting", lambda *_: ()),
        ),
        ("signals when all waits for them", {}),
        "step both was claimed before its signal left had arrived",
    ),
    Planted(
        "a signal wakes nobody",
        wrap(FluxioClient, "_nudge", nudge_no_signal),
        ("signals when all waits for them", {}),
        "it never came to rest",
    ),
    # --- the barrier
    Planted(
        "a completion counts each dependent twice",
        wrap(to, "complete", count_twice),
        31,
        "counts 2 of ['s0']",
    ),
    Planted(
        "a completion forgets a dependent",
        wrap(to, "complete", count_some),
        31,
        "counts 0 of ['s0']",
    ),
    Planted(
        "the barrier is counted up by a write of its own",
        wrap(Store, "apply", barrier_apart),
        13,
        "counts 0 of",
    ),
    # --- archives
    Planted(
        "an archive is written over another worker's",
        wrap(Payloads, "put_archive", overwrite_archive),
        504,
        "was overwritten with other records",
    ),
    Planted(
        "a worker takes out what it wanted to seal, not what the archive has",
        wrap(Payloads, "put_archive", seal_what_was_wanted),
        2118,
        "has sealed",
    ),
    Planted(
        "records are taken out before their archive is stored",
        lambda patch: patch.setattr(
            Payloads, "put_archive", lambda self, _, __, of, ___: tuple(of)
        ),
        6,
        "has sealed",
    ),
    Planted(
        "a seal does not ask for the archives that there are",
        without("seal", Guard.SEALS_SEEN),
        219,
        "has sealed",
    ),
    Planted(
        "a sealed step is taken for one that was never claimed",
        lambda patch: patch.setattr(fluxio_protocol.run_item, "sealed_places", lambda _: set()),
        6,
        "was changed after its commit",
    ),
    # --- acknowledgements
    Planted(
        "a message is acknowledged while somebody else runs its step",
        wrap(fluxio.message, "put_back", ack_instead),
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
        wrap(Worker, "_outage", raise_at_once),
        ("order, branches inline", {2: "unanswered"}),
        "the whole batch is stranded",
    ),
    # --- branches that wait for threads
    Planted(
        "a message is acknowledged while branches wait for threads",
        wrap(fluxio.claims, "divide", forget_kept),
        ("branches in waves of two", {}),
        "it never came to rest",
    ),
    Planted(
        "a worker keeps branches back that another one has released, and forgets them",
        wrap(fluxio.claims, "due_steps", forget_others),
        "branches_that_wait_when_their_run_fails",
        "no message is left",
    ),
    Planted(
        "a branch that has waited for a thread long enough is not sent elsewhere",
        wrap(fluxio.claims, "divide", spread_all_but_one),
        580,
        "still at it",
    ),
    Planted(
        "branches wait for threads however long those take that have them",
        wrap(fluxio.claims, "spread_at", lambda sound, *given: sound(*given) + 10**6),
        "branches_behind_slow_ones",
        "of 2 branches were sent elsewhere",
    ),
    # --- nudges
    Planted(
        "a nudge of a fan-out is not sent",
        wrap(Queue, "send", send_all_but_one),
        ("order, branches inline", {6: "after"}),
        "it never came to rest",
    ),
    Planted("entries that SQS refused are not sent again", send_once, 110, "still at it"),
    Planted(
        "a redelivered message does not look whether others were nudged",
        wrap(fluxio.claims, "due_steps", own_step_alone),
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
            patch.setattr(fluxio.claims, "give_up", give_the_step_up_alone),
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
        wrap(Store, "apply", write_first),
        ("transactions in a chain", {6: "after"}),
        "account from has -14 instead of -7",
    ),
    Planted(
        "a started run is stored before its step is completed, not with it",
        wrap(Store, "_apply_with", start_first),
        ("runs that steps start, one of which fails once", {6: "after"}),
        "was started by StartedBy",
    ),
    Planted(
        "a started run is stored after its step is completed, not with it",
        wrap(Store, "_apply_with", start_afterwards),
        ("runs that steps start, one of which fails once", {6: "after"}),
        "which is not there",
    ),
    Planted(
        "the same, by the random schedules",
        wrap(Store, "_apply_with", start_afterwards),
        1129,
        "which is not there",
    ),
    Planted(
        "a message that comes again does not nudge what its steps have started",
        wrap(fluxio.starting, "nudges", nudge_own_starts),
        ("runs that steps start, one of which fails once", {6: "after"}),
        "it never came to rest",
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
        lambda patch: patch.setattr(fluxio.decide, "_finish_what_is_held", drop_branches),
        "a_branch_lost_to_another_worker",
        "because its worker lost step left",
    ),
    Planted(
        "branches that were lost with their worker are taken over together",
        wrap(fluxio.claims, "divide", together),
        50,
        "taken along by",
        ("poison",),
    ),
    # --- operators
    Planted(
        "a step fails in a run that was redriven meanwhile",
        without("fail", Guard.RUN_SEEN),
        4,
        "is RUNNING with",
        ("haste",),
    ),
    Planted(
        "a step fails for attempts that a redrive has just given back",
        without("fail", Guard.REDRIVE_SEEN),
        615,
        "failed of 2 attempts",
        ("haste",),
    ),
    Planted(
        "a redrive forgets the steps under way",
        wrap(fluxio_client.redrive, "_fresh_attempts", no_reprieves),
        495,
        "is RUNNING with",
        ("haste",),
    ),
    Planted(
        "a worker leaves a run RUNNING that has a FAILED step",
        wrap(fluxio.loop, "decide", looks_away),
        "a_failed_step_in_a_running_run",
        "no message is left",
    ),
    # --- deployments
    Planted(
        "a run is parked at once by code that cannot go on with it",
        park_at_once,
        227,
        "the code that stays has all that it needs",
        ("a step is added", "a step is inserted", "a step is removed", "a step is renamed"),
    ),
    Planted(
        "arguments that do not fit another version count at once",
        lambda patch: patch.setattr(Loop, "_foreign", lambda self, failed: failed),
        3317,
        "BindingError",
        ("a parameter is renamed",),
    ),
    Planted(
        "a worker that could not read a run's graph goes on without it",
        lambda patch: patch.setattr(fluxio_protocol.store, "replace", lambda run, **_: run),
        "a_graph_that_is_not_read_at_once",
        "the run is RUNNING",
    ),
    # --- fairness
    Planted(
        "the sweep does not go on before a shard is done",
        wrap(fluxio.sweeper, "sweep", shards_in_a_row),
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
