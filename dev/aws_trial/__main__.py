"""The command line of the trial."""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timezone
from uuid import uuid4

from dev import ROOT, emulator
from dev.aws_trial import leftovers, report
from dev.aws_trial.plan import LAST, Step, announcement, chosen
from dev.aws_trial.record import Outcome, Record, Result, Verdict
from dev.aws_trial.steps import STEPS
from dev.aws_trial.target import Target
from dev.aws_trial.trial import Trial
from dev.stage import DevError, command_line, say

FOLDER = ROOT / ".aws-trial"
"""Not in .fluxio, which `make clean` removes: Terraform's state of what runs in an account is in it."""


def options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m dev.aws_trial", description="Try fluxio on AWS itself. See docs/aws-trial.md."
    )
    parser.add_argument("--list", action="store_true", help="show the steps and end")
    parser.add_argument("--region", help="the AWS Region; it is asked for otherwise")
    parser.add_argument("--name", default="fluxio-trial", help="of the deployment (fluxio-trial)")
    parser.add_argument(
        "--only", metavar="STEPS", help="these steps, such as 7 or 1-4,9; again, if they have run"
    )
    parser.add_argument("--keep", action="store_true", help="do not destroy at the end")
    parser.add_argument("--destroy", action="store_true", help="only take away what there is")
    parser.add_argument("--yes", action="store_true", help="do not ask")
    parser.add_argument(
        "--emulator", metavar="NAME", help="run against MiniStack, started under this name"
    )
    given = parser.parse_args(arguments)
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,30}[a-z0-9]", given.name):
        parser.error("--name: 2 to 32 characters (a-z, 0-9, hyphen), beginning with a letter")
    return given


def main(arguments: list[str]) -> None:
    given = options(arguments)
    steps = chosen(STEPS, str(LAST) if given.destroy else given.only)
    if given.list:
        say(listing())
        return
    with target_of(given) as target:
        record = record_of(target, given.name)
        announce(target, record, steps, given)
        verdicts = run_all(Trial(target, record), steps, given)
    if Verdict.FAIL in verdicts:
        sys.exit(1)


def run_all(trial: Trial, steps: Sequence[Step], given: argparse.Namespace) -> list[Verdict]:
    """Run the steps, take everything away unless it is to be kept, and write the report."""
    record, left, verdicts = trial.record, None, list[Verdict]()
    stands = f"The deployment stands, and costs: {again(given, '--destroy')} takes it away."
    by_number = {step.number: step for step in steps if step.number != LAST}
    try:
        for step in by_number.values():
            verdicts.append(tried(trial, step).verdict)
        if len(by_number) < len(steps) or not given.keep:
            taken = tried(trial, STEPS[-1])
            verdicts.append(taken.verdict)
            left = taken.figures.get("left")
    except KeyboardInterrupt:
        say(f"\ninterrupted. {stands}")
        raise
    finally:
        written = report.write(record, STEPS, left)
        say(f"\n{report.counts(record)}\nwritten: {', '.join(str(path) for path in written)}")
    if record.applied is not None:
        say(stands)
    return verdicts


def listing() -> str:
    lines = []
    for step in STEPS:
        cost = f"${step.dollars:.2f}, {step.minutes} min"
        lines.append(f"{step.number:2}  {step.does} ({cost})\n      expected: {step.expects}")
        if step.emulated:
            how = "runs in an emulator, without an answer" if step.here else "not in an emulator"
            lines.append(f"      {how}: {step.emulated}")
        if step.asked_for:
            lines.append(f"      only with --only {step.number}")
    return "\n".join(lines)


@contextmanager
def target_of(given: argparse.Namespace) -> Iterator[Target]:
    if given.emulator:
        was_there = emulator.find(given.emulator) is not None
        try:
            yield Target.emulator(emulator.start(given.emulator), given.emulator)
        finally:
            if not was_there and not given.keep:
                emulator.stop(given.emulator)
        return
    region = given.region
    if region is None and sys.stdin.isatty():
        region = input("AWS Region, such as us-east-1: ").strip()
    if not region or not re.fullmatch(r"[a-z]{2,4}(-[a-z]+)+-\d", region):
        raise DevError("say in which AWS Region: --region us-east-1")
    given.region = region
    yield Target.aws(region)


def record_of(target: Target, name: str) -> Record:
    """The trial of this name, gone on with or begun.

    Raises:
        DevError: the trial of this name runs elsewhere, or the account has something under its name.
    """
    folder = FOLDER / (name if target.is_aws else f"{name}-on-{target.on}")
    account = target.account()
    if target.fresh:
        shutil.rmtree(
            folder, ignore_errors=True
        )  # of an emulator that is gone, with all that was in it
    found = Record.load(folder)
    if found and found.applied is not None:
        if (found.on, found.account, found.region) == (target.on, account, target.region):
            return found
        raise DevError(
            f"the trial {name!r} has resources in account {found.account}, {found.region}. Go on there, or "
            "take them away with --destroy first, or give this one another --name."
        )
    if there := leftovers.by_name(target, name):
        raise DevError(
            f"account {account} in {target.region} has resources under this name, and no trial in {FOLDER} "
            f"made them: {', '.join(there)}. Give another --name, or remove them by hand if they are yours."
        )
    begun = datetime.now(timezone.utc).isoformat(timespec="seconds")
    return Record(folder, name, uuid4().hex[:12], target.on, account, target.region, begun)


def announce(
    target: Target, record: Record, steps: Sequence[Step], given: argparse.Namespace
) -> None:
    """Say what is about to happen, and ask.

    Raises:
        DevError: the answer is no, or there is nobody to ask.
    """
    where = f"account {record.account}, {record.region}" if target.is_aws else target.on
    if [step.number for step in steps] == [LAST]:
        say(f"What the trial {record.name} has made in {where} is taken away.")
        return
    say(announcement(steps, record.name, where, target.is_aws))
    if given.yes or not target.is_aws:
        return
    if not sys.stdin.isatty():
        raise DevError("there is no terminal to ask on: say --yes if you agree.")
    if input(f"Type the account's number ({record.account}) to go on: ").strip() != record.account:
        raise DevError("nothing was done.")


def tried(trial: Trial, step: Step) -> Outcome:
    """Run a step and keep what it found. A step that breaks has failed; the others go on."""
    say(f"\n{step.number}. {step.does}")
    started = time.monotonic()
    outcome = outcome_of(trial, step)
    seconds = round(time.monotonic() - started, 1)
    at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    trial.record.results[step.number] = Result(
        outcome.verdict, outcome.seen, outcome.figures, at, seconds
    )
    trial.record.save()
    say(f"  {outcome.verdict}: {outcome.seen}")
    return outcome


def outcome_of(trial: Trial, step: Step) -> Outcome:
    """What a step has to say; in an emulator, whether that is an answer."""
    emulated = not trial.target.is_aws and step.emulated
    if emulated and not step.here:
        return Outcome(Verdict.NEEDS_AWS, f"not run: {step.emulated}")
    try:
        outcome = step.run(trial)
    except Exception as error:  # noqa: BLE001 - whatever broke is this step's result, and the others go on
        return Outcome(Verdict.FAIL, f"broke off with {type(error).__name__}: {error}")
    if emulated:
        return Outcome(
            Verdict.NEEDS_AWS, f"{step.emulated}; seen there: {outcome.seen}", outcome.figures
        )
    return outcome


def again(given: argparse.Namespace, what: str) -> str:
    where = f"--emulator {given.emulator}" if given.emulator else f"--region {given.region}"
    return f"`python -m dev.aws_trial {where} --name {given.name} {what}`"


if __name__ == "__main__":
    command_line(main)
