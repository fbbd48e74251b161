"""Steps that apply, change and take away."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

from dev.aws_trial import leftovers
from dev.aws_trial.record import Outcome, Verdict, judged
from dev.aws_trial.steps.running import latency, lost
from dev.aws_trial.trial import Trial
from dev.stage import DevError

PROVIDER, NEWEST = 'version = "~> 5.100"', 'version = "~> 6.0"'


def quota(trial: Trial) -> Outcome:
    """Step 1."""
    limit = trial.aws("lambda").get_account_settings()["AccountLimit"]
    count = int(limit["ConcurrentExecutions"])
    seen = f"{count} concurrent executions"
    if count < 1000:
        seen += ": a new account's quota; ask for 1,000 (Service Quotas, Lambda), see docs/quickstart.md"
    return Outcome(Verdict.FIGURE, seen, {"concurrent_executions": count})


def first_apply(trial: Trial) -> Outcome:
    """Step 2."""
    trial.deployed()
    applied = (
        f"applied in {seconds} s" if (seconds := round(trial.deployment.seconds)) else "was applied"
    )
    changes = trial.deployment.plan()
    figures: dict[str, Any] = {"apply_seconds": seconds, "changes": changes}
    seen = f"{applied}; the second plan: {', '.join(changes) or 'empty'}"
    newest = plan_with_the_newest_provider(trial)
    if newest is None and not changes:
        return Outcome(Verdict.FIGURE, f"{seen}; no provider 6 can be had on this machine", figures)
    version, words = newest or ("6", "not to be had")
    seen += f"; with provider {version}: {words or 'empty, no warnings'}"
    return judged(not changes and "change" not in words, seen, newest_provider=version, **figures)


def plan_with_the_newest_provider(trial: Trial) -> tuple[str, str] | None:
    """What a provider 6 says to the same state, in a copy of the root: its version, and its words.

    None if there is none to be had.

    The trial itself stays with the provider that made the resources: state that provider 6 has written is not
    for 5 to read.
    """
    terraform = trial.deployment.terraform
    copy = terraform.work.with_name("provider-6")
    shutil.rmtree(copy, ignore_errors=True)
    leave = shutil.ignore_patterns(".terraform", ".terraform.lock.hcl")
    shutil.copytree(terraform.work, copy, ignore=leave)
    main = copy / "main.tf"
    main.write_text(main.read_text(encoding="utf-8").replace(PROVIDER, NEWEST), encoding="utf-8")

    def ask(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [terraform.binary, *arguments, "-no-color", "-input=false"]
        return subprocess.run(
            command, cwd=copy, env=terraform.env, capture_output=True, text=True, timeout=1800
        )

    try:
        if (init := ask("init")).returncode:
            return None
        found = re.search(r"hashicorp/aws v(\d[\d.]*\d)", init.stdout)
        planned = ask("plan", "-lock=false", "-detailed-exitcode")
        words = sorted(set(re.findall(r"Warning: (.*)", planned.stdout + planned.stderr)))
        if planned.returncode == 2:
            words.insert(0, "changes: " + ", ".join(re.findall(r"# (\S+) will be", planned.stdout)))
        elif planned.returncode:
            words.insert(0, f"no plan, so no change known: {planned.stderr.strip()[:500]}")
        return found[1] if found else "6", "; ".join(words)
    finally:
        shutil.rmtree(copy, ignore_errors=True)


def as_operator(trial: Trial) -> Outcome:
    """Step 3."""
    trial.deployed()
    said = trial.fluxio("doctor", role="operator")
    text = said.out + said.err
    denied = re.findall(r"denies \S+", text)
    not_ok = [line for line in said.out.splitlines() if line.startswith(("WARN", "FAIL"))]
    seen = f"doctor ended with {said.code}; {'; '.join(not_ok) or 'all OK'}; {len(denied)} denied"
    return judged(said.code == 0 and not denied and not not_ok, seen, findings=not_ok)


def changes_under_load(trial: Trial) -> Outcome:
    """Step 14."""
    first: dict[str, Any] = {"compiled_for": ("3.12", "x86_64")}
    trial.deployed(**first)
    figures: dict[str, Any] = {}
    wrong: list[str] = []
    changes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("alarm_off", {"alarms": {"worker_duration": {"enabled": False}}}, first),
        ("python_3_13", {"runtime": "python3.13"}, {"compiled_for": ("3.13", "x86_64")}),
        ("arm64", {"architecture": "arm64"}, {"compiled_for": ("3.12", "arm64")}),
        ("provisioned_1", {"provisioned_concurrency": 1}, first),
        ("provisioned_0", {}, first),
    ]
    for name, settings, variables in changes:
        with under_load(trial) as run_ids:
            try:
                trial.deployed(settings, **variables)
            except (
                DevError
            ) as error:  # the runs went on all the same, and the other changes are tried
                wrong.append(f"{name}: {' '.join(str(error).split())}")
            trial.pause(60, "load after the deploy")
        runs = trial.ended(run_ids, 300)
        wrong += [f"{name}: {run.run_id} {run.status}" for run in runs if run.run_id in lost(runs)]
        figures[name] = {
            "runs": len(runs),
            "apply_seconds": round(trial.deployment.seconds),
            **latency(runs),
        }
    more = f" and {len(wrong) - 5} more" if len(wrong) > 5 else ""
    seen = (
        f"applies that failed and runs that did not succeed: {', '.join(wrong[:5]) or 'none'}{more}"
    )
    return judged(not wrong, seen, **figures)


@contextmanager
def under_load(trial: Trial) -> Iterator[list[str]]:
    """Start two runs a second of the workflow with a compiled library; their ids."""
    client, stop, run_ids = trial.client(), Event(), list[str]()
    prefix = trial.new_id("load")

    def load() -> None:
        while not stop.wait(0.5):
            given = {"number": len(run_ids)}
            run = client.start("Compiled", given, run_id=f"{prefix}-{len(run_ids)}")
            run_ids.append(run.run_id)

    thread = Thread(target=load, daemon=True)
    thread.start()
    try:
        yield run_ids
    finally:
        stop.set()
        thread.join()


def own_key_and_vpc(trial: Trial) -> Outcome:
    """Step 15."""
    trial.deployed(network=True)
    trial.deployed(network=True, private=True)
    seconds = round(trial.deployment.seconds)
    started = trial.fluxio(
        "start", "OrderFulfillment", "--input", '{"order_id": "o-1", "amount": 1.0}', "--wait",
        "--timeout", "120s", role="client",
    )  # fmt: skip
    listed = trial.fluxio("list", "OrderFulfillment", role="client")
    doctor = trial.fluxio("doctor", role="operator")
    trial.deployed(network=True)
    off = round(trial.deployment.seconds)
    after = trial.fluxio("list", "OrderFulfillment", role="client")
    trial.deployed()
    seen = (
        f"with the key and in the VPC: start ended with {started.code}, list with {listed.code}, doctor with "
        f"{doctor.code}; without them list with {after.code}"
        + "".join(f"; {said.err.strip()}" for said in (started, listed, after) if said.code)
    )
    good = not (started.code or listed.code or doctor.code or after.code)
    return judged(good, seen, apply_seconds=seconds, off_again_seconds=off)


def take_away(trial: Trial) -> Outcome:
    """Step 21."""
    started = time.monotonic()
    trial.deployment.destroy()
    seconds = round(time.monotonic() - started)

    def left() -> list[str]:
        return [
            *leftovers.by_name(trial.target, trial.record.name),
            *(
                arn
                for arn in leftovers.by_tag(trial.target, trial.record.id)
                if not leftovers.is_key_that_waits(trial.target, arn)
            ),
        ]

    trial.until(lambda: not left(), 300)
    there = left()
    seen = f"destroyed in {seconds} s; left: {', '.join(there) or 'nothing'}"
    return judged(not there, seen, destroy_seconds=seconds, left=there)
