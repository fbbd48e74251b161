"""The steps of the trial: what each does, what is expected, and the most that it can cost."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from dev.aws_trial.record import Outcome
from dev.aws_trial.trial import Trial
from dev.stage import DevError

A_DAY = 0.35
"""Dollars that the deployment costs in a day in which nothing runs: docs/cost.md, without any free tier."""

LAST = 21
"""The step that takes everything away: it is never left out, unless with --keep."""


@dataclass(frozen=True)
class Step:
    """A step of the trial.

    Attributes:
        number: by which it is named.
        does: what it does, in a line.
        expects: what is expected, in a line.
        dollars: the most that it can cost.
        minutes: how long it takes on AWS, roughly.
        run: does it.
        emulated: what an emulator's answer is worth: "" if it is an answer; else why only AWS can tell.
        here: whether it runs in an emulator at all.
        asked_for: whether it runs only where `--only` names it.
    """

    number: int
    does: str
    expects: str
    dollars: float
    minutes: int
    run: Callable[[Trial], Outcome]
    emulated: str = ""
    here: bool = True
    asked_for: bool = False


def chosen(steps: Sequence[Step], only: str | None) -> list[Step]:
    """The steps that `--only` names ("7", "1-4,9"), in their order; without it all, but those to be asked for.

    Raises:
        DevError: it names a step that there is not.
    """
    if only is None:
        return [step for step in steps if not step.asked_for]
    numbers: set[int] = set()
    for part in only.split(","):
        found = re.fullmatch(r"\s*(\d+)(?:-(\d+))?\s*", part)
        first, last = (int(found[1]), int(found[2] or found[1])) if found else (1, 0)
        if first > last:
            raise DevError(f"--only {only!r}: say numbers of steps, such as 7 or 1-4,9.")
        numbers |= set(range(first, last + 1))
    known = {step.number: step for step in steps}
    if unknown := numbers - known.keys():
        raise DevError(
            f"--only {only!r}: there is no step {min(unknown)}; --list shows them, 1 to {max(known)}."
        )
    return [known[number] for number in sorted(numbers)]


def most_dollars(steps: Sequence[Step]) -> float:
    """The most that these steps can cost, and a day of the deployment besides."""
    return sum(step.dollars for step in steps) + A_DAY


def announcement(steps: Sequence[Step], name: str, where: str, on_aws: bool) -> str:
    """What is about to happen, before anything does."""
    minutes = sum(step.minutes for step in steps)
    lines = [
        f"The trial makes a fluxio deployment named {name} in {where}: two queues, a Lambda function with",
        f"its layer, three DynamoDB tables, roles named {name}-*, alarms, a dashboard, a log group and a",
        "schedule; for step 15 also a KMS key, a VPC and endpoints. Everything that takes tags is tagged. It",
        "then runs these steps:",
        "",
        *(f"  {step.number:2}  {step.does}" for step in steps),
        "",
    ]
    if on_aws:
        lines += [
            f"It takes about {_hours(minutes)} and costs at most ${most_dollars(steps):.2f}, with a day of the",
            f"deployment (${A_DAY:.2f}) in it. Each day that it is kept costs ${A_DAY:.2f} more. At the end",
            "everything is destroyed, unless with --keep.",
        ]
    else:
        lines += [
            "It is an emulator: nothing costs anything, and what only AWS can answer is marked as such."
        ]
    return "\n".join(lines)


def _hours(minutes: int) -> str:
    return f"{minutes} minutes" if minutes < 90 else f"{minutes / 60:.0f} hours"
