"""Steps that start runs and look at what became of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from statistics import quantiles
from typing import Any

from dev.aws_trial.deployment import BACK
from dev.aws_trial.record import Outcome, Verdict, judged
from dev.aws_trial.trial import Trial
from fluxio_client import Run, RunEnded, RunStatus

ORDER = {"order_id": "o-1001", "amount": 99.0}
LOAD = 500

UNITS = 12 + 2
"""Write units of OrderFulfillment by docs/cost.md, with the one retry that the example has."""

RESERVED = 5
QUOTA_OF_NEW_ACCOUNTS = 10


def lost(runs: Sequence[Run]) -> list[str]:
    """Ids of runs that have not succeeded."""
    return [run.run_id for run in runs if run.status is not RunStatus.SUCCEEDED]


def latency(runs: Sequence[Run]) -> dict[str, float]:
    """How long runs took from start to end, in seconds."""
    took = sorted(run.duration for run in runs if run.duration is not None)
    if len(took) < 2:
        return {"p50_seconds": took[0]} if took else {}
    cuts = quantiles(took, n=100, method="inclusive")
    return {"p50_seconds": round(cuts[49], 2), "p99_seconds": round(cuts[98], 2)}


def first_wait(run: Run) -> float:
    """Seconds from the run's start to its first step's, in which the nudge found a worker."""
    began = min(step.started_at for step in run.steps.values() if step.started_at is not None)
    return round((began - run.created_at) / 1000, 3)


def a_run(trial: Trial) -> Outcome:
    """Step 4."""
    trial.deployed()
    since = time.time()
    cold = trial.run("OrderFulfillment", ORDER)
    warm = [trial.run("OrderFulfillment", ORDER) for _ in range(5)]
    if wrong := lost([cold, *warm]):
        return judged(False, f"not SUCCEEDED: {', '.join(wrong)}")
    starts = trial.lines("initDurationMs", since) + trial.lines("Init Duration", since, patience=0)
    said = trial.fluxio("cost", cold.workflow, "--runs", "5", "--json", role="operator")
    bill = json.loads(said.out)["per_run"] if said.code == 0 else {}
    figures = {
        "cold_seconds": cold.duration,
        "warm_seconds": [run.duration for run in warm],
        "nudge_to_step_cold_seconds": first_wait(cold),
        "nudge_to_step_warm_seconds": [first_wait(run) for run in warm],
        "init": [line.get("record", line).get("metrics", line) for line in starts[:3]],
        "write_units": bill.get("write_units"),
        "index_write_units": bill.get("index_write_units"),
        "messages": bill.get("messages"),
    }
    wanted = sum(bill.get(of, 0) for of in ("write_units", "index_write_units"))
    seen = f"SUCCEEDED, {cold.duration} s cold; {wanted} write units a run"
    if said.code:
        return judged(False, f"{seen}; `fluxio cost` failed: {said.err.strip()}", **figures)
    return judged(0 < wanted <= UNITS, seen, **figures)


def a_retry(trial: Trial) -> Outcome:
    """Step 7."""
    trial.deployed()
    failed = trial.run("FailsOnce", {}, 120)
    two = trial.run("TwoInvocations", {"seconds": 12}, 120)
    if wrong := lost([failed, two]):
        return judged(False, f"not SUCCEEDED: {', '.join(wrong)}")
    took = failed.duration or 0.0
    first, second = two.steps["first"], two.steps["second"]
    gap = round(((second.started_at or 0) - (first.ended_at or 0)) / 1000, 2)
    left = trial.until(lambda: trial.messages() == 0, 60)
    seen = (
        f"the retry of 30 s came after {took:.1f} s as attempt {failed.steps['call'].attempt}; the next "
        f"invocation began {gap} s after the first; messages left: {0 if left else trial.messages()}"
    )
    good = 28 <= took <= 36 and failed.steps["call"].attempt == 2 and gap < 5 and bool(left)
    return judged(good, seen, retry_seconds=took, gap_seconds=gap)


def a_crash(trial: Trial) -> Outcome:
    """Step 8."""
    trial.deployed()
    since = time.time()
    neighbours = trial.start("Quick", [{"number": at} for at in range(trial.load(20))])
    crashed = trial.start("Crashes", [{} for _ in range(5 if trial.target.is_aws else 1)])
    ended = trial.ended(neighbours, 180)
    back = trial.ended(crashed, 300)
    late = [run.duration or 0.0 for run in back]
    figures: dict[str, Any] = {"crashed_seconds": late, **latency(ended)}
    if wrong := lost([*ended, *back]):
        return judged(False, f"not SUCCEEDED: {', '.join(wrong)}", **figures)
    trial.pause(120, "CloudWatch's figures")
    figures["concurrency"] = trial.of_worker("ConcurrentExecutions", since, "Maximum")
    slowest = max(run.duration or 0 for run in ended)
    seen = (
        f"a step whose process died was back after {min(late)} to {max(late)} s; the slowest of {len(ended)} "
        f"neighbours took {slowest} s"
    )
    good = all(BACK - 10 <= each <= BACK + 40 for each in late) and slowest < BACK / 2
    return judged(good, seen, **figures)


def a_burst(trial: Trial) -> Outcome:
    """Step 9."""
    trial.deployed()
    since = time.time()
    runs = trial.ended(trial.start("Quick", _numbers(trial.load(LOAD))), 600)
    figures: dict[str, Any] = {"runs": len(runs), **latency(runs)}
    trial.pause(120, "CloudWatch's figures")
    figures["concurrency_a_minute"] = trial.of_worker("ConcurrentExecutions", since, "Maximum")
    figures["environments"] = len({run.result.get("environment") for run in runs if run.result})
    wrong = lost(runs)
    seen = f"{len(runs) - len(wrong)} of {len(runs)} runs SUCCEEDED"
    return judged(not wrong, seen, **figures)


def a_reservation(trial: Trial) -> Outcome:
    """Step 10."""
    limits = trial.aws("lambda").get_account_settings()["AccountLimit"]
    if limits["ConcurrentExecutions"] < RESERVED + QUOTA_OF_NEW_ACCOUNTS:
        seen = (
            f"the account's quota is {limits['ConcurrentExecutions']} concurrent executions, of which 10 must "
            "stay unreserved: ask AWS for more (Service Quotas, Lambda), and run this step again"
        )
        return Outcome(Verdict.SKIPPED, seen)
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    for maximum in (None, RESERVED):
        of = f"maximum_{maximum or 'none'}"
        trial.deployed({"reserved_concurrency": RESERVED, "maximum_concurrency": maximum})
        since = time.time()
        runs = trial.ended(trial.start("Quick", _numbers(trial.load(LOAD))), 900)
        wrong += lost(runs)
        trial.pause(120, "CloudWatch's figures")
        figures[f"{of}_throttles"] = sum(trial.of_worker("Throttles", since))
        figures[f"{of}_in_dlq"] = trial.messages("dlq_url")
        figures |= {f"{of}_{name}": value for name, value in latency(runs).items()}
    throttles = figures[f"maximum_{RESERVED}_throttles"]
    seen = (
        f"{figures['maximum_none_throttles']:.0f} throttles without a maximum, {throttles:.0f} with one; "
        f"runs that did not succeed: {len(wrong)}"
    )
    return judged(not wrong and throttles == 0, seen, **figures)


def a_long_chain(trial: Trial) -> Outcome:
    """Step 11."""
    trial.deployed()
    chain = trial.run("Chain40", {}, 300)
    done = sum(step.ended_at is not None for step in chain.steps.values())
    if lost([chain]):
        return judged(False, f"{chain.status} after {done} of 40 hops", hops_allowed=done)
    functions, worker = trial.aws("lambda"), trial.outputs["worker"]
    guard = {"FunctionName": worker, "RecursiveLoop": "Terminate"}
    functions.put_function_recursion_config(**guard)
    try:
        trial.pause(30, "Lambda takes the setting up")
        stopped = trial.client().start("Chain40", {}, run_id=trial.new_id("chain"))
        trial.pause(90, "40 hops, if nothing stops them")
        after = trial.client().get(stopped.run_id)
        doctor = trial.fluxio("doctor", role="operator")
    finally:
        functions.put_function_recursion_config(**{**guard, "RecursiveLoop": "Allow"})
    hops = sum(step.ended_at is not None for step in after.steps.values())
    with suppress(RunEnded):  # nothing has stopped it
        trial.client().cancel(stopped.run_id)
    seen = (
        f"40 hops with Allow; with Terminate {hops} and {after.status}; doctor ended with {doctor.code} "
        "(5: it found something)"
    )
    return judged(hops < 40 and doctor.code == 5, seen, hops_allowed=done, hops_terminated=hops)


def money(trial: Trial) -> Outcome:
    """Step 12."""
    trial.deployed()
    account, since = trial.new_id("account"), time.time()
    dynamodb, ledger = trial.aws("dynamodb"), trial.outputs["ledger"]

    def plain(_: int) -> None:
        dynamodb.update_item(
            TableName=ledger,
            Key={"id": {"S": account}},
            UpdateExpression="ADD plain :one",
            ExpressionAttributeValues={":one": {"N": "1"}},
        )

    count = trial.load(100)
    started = trial.start("Deposit", [{"account": account, "amount": at} for at in range(count)])
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(plain, range(count)))
    runs = trial.ended(started, 300)
    item = dynamodb.get_item(TableName=ledger, Key={"id": {"S": account}}, ConsistentRead=True)
    balance, plainly = (int(item["Item"].get(name, {"N": 0})["N"]) for name in ("balance", "plain"))
    conflicts = len(trial.lines("TransactionConflict", since, wanted=0))
    attempts = sum(run.steps["pay_in"].attempt - 1 for run in runs if "pay_in" in run.steps)
    wrong = lost(runs)
    seen = (
        f"{count} deposits of 0 to {count - 1}: balance {balance}, expected {sum(range(count))}; plain updates "
        f"{plainly} of {count}; runs that did not succeed: {len(wrong)}"
    )
    good = balance == sum(range(count)) and plainly == count and not wrong
    return judged(good, seen, lines_with_conflicts=conflicts, further_attempts=attempts)


def a_new_right(trial: Trial) -> Outcome:
    """Step 13."""
    trial.deployed()
    trial.deployed(may_write_elsewhere=True)
    runs = [trial.run("WritesElsewhere", {"key": str(at)}, 240) for at in range(5)]
    attempts = [run.steps["write"].attempt for run in runs if "write" in run.steps]
    figures = {"attempts": attempts, "seconds": [run.duration for run in runs]}
    seen = f"{len(runs) - len(lost(runs))} of 5 runs SUCCEEDED, with {attempts} attempts"
    return judged(not lost(runs), seen, **figures)


def a_listing(trial: Trial) -> Outcome:
    """Step 16."""
    client = trial.deployed()
    run_ids = trial.start("Quick", _numbers(trial.load(20)))
    began = time.monotonic()
    newest = run_ids[-1]
    trial.until(lambda: newest in {run.run_id for run in client.list("Quick").runs}, 30, pause=0.02)
    lag = round((time.monotonic() - began) * 1000)
    trial.ended(run_ids, 180)
    asked = ("list", "Quick", "--since", "60s", "--limit", "5", "--json")
    first = trial.fluxio(*asked, role="operator")
    if first.code:
        return judged(False, f"`fluxio list` failed: {first.err.strip()}", index_lag_ms=lag)
    token = json.loads(first.out)["next_page"]
    trial.pause(30, "the window of 60 s moves on")
    second = trial.fluxio(*asked, "--page", token, role="operator")
    plain = trial.fluxio("list", role="operator")
    seen = (
        f"the newest run was listed after {lag} ms; a page after 30 s ended with {second.code}, "
        f"`fluxio list` with {plain.code} {(second.err + plain.err).strip()}"
    )
    return judged(second.code == 0 and plain.code == 0, seen.strip(), index_lag_ms=lag)


def a_throttled_table(trial: Trial) -> Outcome:
    """Step 17."""
    trial.deployed({"billing": {"max_write_units": 1}})
    runs = trial.start("Quick", _numbers(trial.load(50)))
    state = trial.until(lambda: trial.alarms().get("table-throttled") == "ALARM", 600)
    ended = trial.ended(runs, 1200)
    # DynamoDB keeps a limit that is merely left out: -1 takes it away.
    trial.deployed({"billing": {"max_write_units": -1}})
    capacity = {"min": 1, "max": 5}
    trial.deployed({"billing": {"mode": "PROVISIONED", "read": capacity, "write": capacity}})
    changes = trial.deployment.plan()
    wrong = lost(ended)
    seen = (
        f"table_throttled was {'raised' if state else 'not raised'}; runs that did not succeed: {len(wrong)}; "
        f"the plan after 1 to 5 provisioned units: {', '.join(changes) or 'empty'}"
    )
    return judged(bool(state) and not wrong and not changes, seen, **latency(ended))


def _numbers(count: int) -> list[dict[str, int]]:
    return [{"number": number} for number in range(count)]
