"""What steps of the trial take for a pass: each with what it should see, and with one thing that is wrong."""

from __future__ import annotations

from typing import Any

import pytest

from dev.aws_trial import leftovers
from dev.aws_trial.record import Verdict
from dev.aws_trial.steps import deploying, running
from fluxio_client import Run, RunStatus, Step, StepStatus

pytestmark = pytest.mark.once

START = 1_000_000


def ran(
    workflow: str, seconds: float, status: RunStatus = RunStatus.SUCCEEDED, **steps: Step
) -> Run:
    ended = START + round(seconds * 1000)
    return Run(f"run-{workflow}", workflow, status, START, ended_at=ended, steps=steps)


def done(attempt: int, began: float, ended: float) -> Step:
    times = {"started_at": START + round(began * 1000), "ended_at": START + round(ended * 1000)}
    return Step("a", StepStatus.SUCCEEDED, attempt, **times)


class Answers:
    """A trial whose runs, queue and account answer as they are told."""

    class target:  # noqa: N801
        is_aws = True

    class deployment:  # noqa: N801
        @staticmethod
        def destroy() -> None:
            """Takes no time."""

    class record:  # noqa: N801
        name, id = "fluxio-trial", "t1"

    def __init__(self, *runs: Run, left: int = 0, **clients: Any) -> None:
        self.runs = {run.workflow: run for run in runs}
        self.left, self.clients = left, clients
        self.outputs = {"ledger": "ledger"}

    def deployed(self, *_: Any, **__: Any) -> None:
        """It is."""

    def run(self, workflow: str, *_: Any) -> Run:
        return self.runs[workflow]

    def until(self, done: Any, *_: Any, **__: Any) -> Any:
        return done()

    def messages(self) -> int:
        return self.left

    def load(self, wanted: int) -> int:
        return 10

    def new_id(self, of: str) -> str:
        return f"trial-{of}"

    def start(self, workflow: str, inputs: list[Any]) -> list[str]:
        return [f"run-{at}" for at in range(len(inputs))]

    def ended(self, run_ids: list[str], seconds: float) -> list[Run]:
        return [next(iter(self.runs.values()))] * len(run_ids)

    def lines(self, *_: Any, **__: Any) -> list[Any]:
        return []

    def aws(self, service: str) -> Any:
        return self.clients[service]


def two_invocations(gap: float) -> Run:
    steps = {"first": done(1, 0, 12), "second": done(1, 12 + gap, 13 + gap)}
    return ran("TwoInvocations", 14, **steps)


@pytest.mark.parametrize(
    ("seconds", "attempt", "gap", "left", "verdict"),
    [
        (31.0, 2, 0.1, 0, Verdict.PASS),
        (12.0, 2, 0.1, 0, Verdict.FAIL),  # came back too early
        (90.0, 2, 0.1, 0, Verdict.FAIL),  # too late
        (31.0, 3, 0.1, 0, Verdict.FAIL),  # an attempt too many
        (31.0, 2, 20.0, 0, Verdict.FAIL),  # the next invocation did not begin at once
        (31.0, 2, 0.1, 1, Verdict.FAIL),  # a message stays
    ],
)
def test_a_retry_passes_only_on_time_as_the_next_attempt_and_with_an_empty_queue(
    seconds: float, attempt: int, gap: float, left: int, verdict: Verdict
) -> None:
    failed = ran("FailsOnce", seconds, call=done(attempt, seconds - 1, seconds))
    trial: Any = Answers(failed, two_invocations(gap), left=left)
    assert running.a_retry(trial).verdict is verdict


class Ledger:
    """A table with one account in it."""

    def __init__(self, balance: int, plain: int) -> None:
        self.item = {"balance": {"N": str(balance)}, "plain": {"N": str(plain)}}

    def update_item(self, **_: Any) -> None:
        """A plain update."""

    def get_item(self, **_: Any) -> dict[str, Any]:
        return {"Item": self.item}


@pytest.mark.parametrize(
    ("balance", "plain", "status", "verdict"),
    [
        (45, 10, RunStatus.SUCCEEDED, Verdict.PASS),
        (44, 10, RunStatus.SUCCEEDED, Verdict.FAIL),
        (54, 10, RunStatus.SUCCEEDED, Verdict.FAIL),
        (45, 9, RunStatus.SUCCEEDED, Verdict.FAIL),
        (45, 10, RunStatus.FAILED, Verdict.FAIL),
    ],
)
def test_money_passes_only_to_the_cent(
    balance: int, plain: int, status: RunStatus, verdict: Verdict
) -> None:
    run = ran("Deposit", 1, status, pay_in=done(1, 0, 1))
    trial: Any = Answers(run, dynamodb=Ledger(balance, plain))
    assert running.money(trial).verdict is verdict


@pytest.mark.parametrize(
    ("named", "tagged", "verdict", "left"),
    [
        ([], [], Verdict.PASS, []),
        (["table t-runs"], [], Verdict.FAIL, ["table t-runs"]),
        ([], ["arn:aws:sqs:…:q"], Verdict.FAIL, ["arn:aws:sqs:…:q"]),
        ([], ["arn:aws:kms:…:key/waits"], Verdict.PASS, []),
        ([], ["arn:aws:kms:…:key/lives"], Verdict.FAIL, ["arn:aws:kms:…:key/lives"]),
    ],
)
def test_all_is_gone_only_if_neither_name_nor_tag_finds_anything_but_a_key_that_waits(
    monkeypatch: pytest.MonkeyPatch,
    named: list[str],
    tagged: list[str],
    verdict: Verdict,
    left: list[str],
) -> None:
    monkeypatch.setattr(leftovers, "by_name", lambda target, name: named)
    monkeypatch.setattr(leftovers, "by_tag", lambda target, tag: tagged)
    waits = staticmethod(lambda target, arn: arn.endswith("key/waits"))
    monkeypatch.setattr(leftovers, "is_key_that_waits", waits)
    trial: Any = Answers()
    outcome = deploying.take_away(trial)
    assert outcome.verdict is verdict
    assert outcome.figures["left"] == left


def test_runs_that_are_still_open_count_as_lost() -> None:
    runs = [ran("Quick", 1), ran("Slow", 1, RunStatus.RUNNING), ran("Bad", 1, RunStatus.FAILED)]
    assert running.lost(runs) == ["run-Slow", "run-Bad"]


def test_latency_is_told_by_percentiles() -> None:
    runs = [ran("Quick", seconds) for seconds in range(101)]
    assert running.latency(runs) == {"p50_seconds": 50.0, "p99_seconds": 99.0}
