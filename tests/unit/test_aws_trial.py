"""The trial's plan, what it keeps, what it says, and when it refuses to begin."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dev import ROOT
from dev.aws_trial import __main__ as command
from dev.aws_trial import leftovers, report
from dev.aws_trial.plan import A_DAY, LAST, Step, announcement, chosen, most_dollars
from dev.aws_trial.record import Outcome, Record, Verdict, judged
from dev.aws_trial.steps import STEPS
from dev.aws_trial.target import Target
from dev.aws_trial.trial import Trial
from dev.stage import DevError

pytestmark = pytest.mark.once

ACCOUNT = "123456789012"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where trials are kept; nothing is there under their names."""
    monkeypatch.setattr(command, "FOLDER", tmp_path)
    monkeypatch.setattr(leftovers, "by_name", lambda target, name: [])
    return tmp_path


class Somewhere(Target):
    """A target that is never asked for anything but its account."""

    def __init__(self, on: str = "AWS", account: str = ACCOUNT, fresh: bool = False) -> None:
        super().__init__(on, "us-east-1", {}, fresh=fresh)
        self._account = account


def step(run: Callable[[Trial], Outcome], number: int = 7, **fields: Any) -> Step:
    return Step(number, "does", "expects", 0.1, 1, run, **fields)


class Fake:
    """The part of a trial that the command line sees."""

    def __init__(self, target: Target, record: Record) -> None:
        self.target, self.record = target, record


def kept(folder: Path, **fields: Any) -> Record:
    record = Record(
        folder, "fluxio-trial", "t1", "AWS", ACCOUNT, "us-east-1", "2026-11-25T00:00:00"
    )
    return replace(record, **fields)


# ---- The plan ---------------------------------------------------------------------------------------


def test_the_steps_are_numbered_in_order_and_the_last_takes_all_away() -> None:
    assert [step.number for step in STEPS] == list(range(1, 22))
    assert STEPS[-1].number == LAST
    assert all(step.does and step.expects for step in STEPS)


def test_the_document_has_each_step_with_what_is_expected() -> None:
    document = (ROOT / "docs" / "aws-trial.md").read_text(encoding="utf-8")
    for each in STEPS:
        assert f"| {each.number} | {each.does} | {each.expects} |" in document


def test_all_steps_together_stay_below_three_dollars() -> None:
    assert most_dollars(STEPS) < 3


def test_without_a_choice_all_steps_run_but_the_one_that_takes_days() -> None:
    assert [step.number for step in chosen(STEPS, None)] == [n for n in range(1, 22) if n != 20]


@pytest.mark.parametrize(
    ("only", "numbers"), [("7", [7]), ("1-3,9", [1, 2, 3, 9]), ("9, 7,7", [7, 9]), ("20", [20])]
)
def test_steps_are_chosen_by_number_and_range(only: str, numbers: list[int]) -> None:
    assert [step.number for step in chosen(STEPS, only)] == numbers


@pytest.mark.parametrize("only", ["22", "0", "1-", "seven", "1-x", "5-3", ""])
def test_a_choice_that_names_no_step_is_refused(only: str) -> None:
    with pytest.raises(DevError, match="--only"):
        chosen(STEPS, only)


def test_what_it_makes_where_and_the_most_it_costs_is_said_before_it_begins() -> None:
    steps = chosen(STEPS, "1-3")
    text = announcement(steps, "fluxio-trial", f"account {ACCOUNT}, us-east-1", True)
    assert ACCOUNT in text
    assert f"${sum(step.dollars for step in steps) + A_DAY:.2f}" in text
    for each in steps:
        assert each.does in text


# ---- Whether it begins ------------------------------------------------------------------------------


def options(*arguments: str) -> Any:
    return command.options(["--region", "us-east-1", *arguments])


def asked(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    """A terminal where somebody types this; None: there is no terminal."""
    stdin = io.StringIO("")
    stdin.isatty = lambda: answer is not None  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", stdin)
    monkeypatch.setattr("builtins.input", lambda _: answer)


@pytest.mark.parametrize("answer", [None, "", "yes", "999999999999"])
def test_on_aws_nothing_is_done_before_the_accounts_number_is_typed(
    monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str | None
) -> None:
    asked(monkeypatch, answer)
    with pytest.raises(DevError):
        command.announce(Somewhere(), kept(folder), STEPS, options())


def test_it_goes_on_with_the_accounts_number_or_with_yes(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    asked(monkeypatch, ACCOUNT)
    command.announce(Somewhere(), kept(folder), STEPS, options())
    asked(monkeypatch, None)
    command.announce(Somewhere(), kept(folder), STEPS, options("--yes"))


def test_a_region_is_never_guessed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked(monkeypatch, None)
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    with pytest.raises(DevError, match="--region"), command.target_of(command.options([])):
        pass


def test_an_emulators_endpoint_is_not_taken_for_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")
    with pytest.raises(DevError, match="AWS_ENDPOINT_URL"):
        Target.aws("us-east-1")


def test_an_account_with_resources_under_the_name_is_refused(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(leftovers, "by_name", lambda target, name: [f"table {name}-runs"])
    with pytest.raises(DevError, match="table fluxio-trial-runs"):
        command.record_of(Somewhere(), "fluxio-trial")
    # So is one in which a trial ended long ago, and others have taken its name since.
    kept(folder / "fluxio-trial").save()
    with pytest.raises(DevError, match="table fluxio-trial-runs"):
        command.record_of(Somewhere(), "fluxio-trial")


def test_a_trial_that_was_broken_off_is_gone_on_with(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(leftovers, "by_name", lambda target, name: ["its own"])
    kept(folder / "fluxio-trial", applied={}, id="of-before").save()
    assert command.record_of(Somewhere(), "fluxio-trial").id == "of-before"


def test_a_trial_with_resources_in_another_account_is_not_mixed_up_with_this_one(
    folder: Path,
) -> None:
    kept(folder / "fluxio-trial", applied={"settings": {}}).save()
    with pytest.raises(DevError, match=ACCOUNT):
        command.record_of(Somewhere(account="999999999999"), "fluxio-trial")


def test_what_was_in_an_emulator_went_away_with_it(folder: Path) -> None:
    on = folder / "fluxio-trial-on-mini"
    kept(on, on="mini", applied={"settings": {}}, id="of-before").save()
    again = command.record_of(Somewhere("mini", fresh=True), "fluxio-trial")
    assert again.applied is None
    assert again.id != "of-before"


# ---- What a step's outcome is worth -----------------------------------------------------------------


def outcome(target: Target, of: Step, folder: Path) -> Outcome:
    return command.outcome_of(Fake(target, kept(folder)), of)  # type: ignore[arg-type]


PASSES = judged(True, "as expected", figure=1)
EMULATED = "the emulator has no such thing"


def test_on_aws_a_step_has_the_last_word(folder: Path) -> None:
    of = step(lambda trial: PASSES, emulated=EMULATED, here=False)
    assert outcome(Somewhere(), of, folder) == PASSES


def test_an_emulators_answer_counts_where_it_is_one(folder: Path) -> None:
    assert outcome(Somewhere("mini"), step(lambda trial: PASSES), folder) == PASSES


@pytest.mark.parametrize("found", [PASSES, judged(False, "otherwise")])
def test_what_only_aws_can_answer_is_neither_passed_nor_failed_in_an_emulator(
    folder: Path, found: Outcome
) -> None:
    got = outcome(Somewhere("mini"), step(lambda trial: found, emulated=EMULATED), folder)
    assert got.verdict is Verdict.NEEDS_AWS
    assert EMULATED in got.seen
    assert found.seen in got.seen
    assert got.figures == found.figures


def test_what_an_emulator_cannot_even_run_is_not_run(folder: Path) -> None:
    def run(trial: Trial) -> Outcome:
        raise AssertionError

    got = outcome(Somewhere("mini"), step(run, emulated=EMULATED, here=False), folder)
    assert got.verdict is Verdict.NEEDS_AWS
    assert "not run" in got.seen


def test_a_step_that_breaks_has_failed_and_says_with_what(folder: Path) -> None:
    def run(trial: Trial) -> Outcome:
        raise ConnectionError("no way there")

    for target in (Somewhere(), Somewhere("mini")):
        got = outcome(target, step(run), folder)
        assert got.verdict is Verdict.FAIL
        assert "ConnectionError: no way there" in got.seen


def run_all(record: Record, *steps: Step, options: str = "") -> list[Verdict]:
    given = command.options(["--region", "us-east-1", *options.split()])
    return command.run_all(Fake(Somewhere(), record), steps, given)  # type: ignore[arg-type]


def taken_away(monkeypatch: pytest.MonkeyPatch, found: Outcome) -> list[int]:
    """Let the last step end like this; the list grows when it runs."""
    runs: list[int] = []

    def run(trial: Trial) -> Outcome:
        runs.append(LAST)
        return found

    monkeypatch.setattr(command, "STEPS", (*STEPS[:-1], step(run, LAST)))
    return runs


GONE = judged(True, "gone", left=[])


@pytest.mark.parametrize(("given", "destroyed"), [("", [LAST]), ("--keep", [])])
def test_everything_is_taken_away_unless_it_is_to_be_kept(
    monkeypatch: pytest.MonkeyPatch, folder: Path, given: str, destroyed: list[int]
) -> None:
    """Also where a step has failed."""
    runs = taken_away(monkeypatch, GONE)
    verdicts = run_all(kept(folder), step(lambda trial: judged(False, "no")), options=given)
    assert runs == destroyed
    assert verdicts[0] is Verdict.FAIL


def test_a_destroy_that_fails_does_not_say_that_nothing_is_left(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    taken_away(monkeypatch, judged(False, "broke off"))
    record = kept(folder, applied={"settings": {}})
    assert run_all(record, step(lambda trial: PASSES)) == [Verdict.PASS, Verdict.FAIL]
    page = (folder / report.PAGE).read_text()
    assert "Nothing." not in page
    assert "The deployment stands" in page


def test_an_interrupt_leaves_a_report_and_says_how_to_take_everything_away(
    monkeypatch: pytest.MonkeyPatch, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(trial: Trial) -> Outcome:
        raise KeyboardInterrupt

    runs = taken_away(monkeypatch, GONE)
    with pytest.raises(KeyboardInterrupt):
        run_all(kept(folder, applied={}), step(lambda trial: PASSES, 1), step(interrupted, 2))
    assert runs == []
    assert "1 pass" in (folder / report.PAGE).read_text()
    assert "--region us-east-1 --name fluxio-trial --destroy" in capsys.readouterr().out


# ---- What is kept, and what is written --------------------------------------------------------------


def test_results_are_on_disk_after_each_step(folder: Path) -> None:
    record = kept(folder / "fluxio-trial", applied={"settings": {"timeout": 60}})
    trial = Fake(Somewhere(), record)
    command.tried(trial, step(lambda trial: PASSES))  # type: ignore[arg-type]
    assert Record.load(folder / "fluxio-trial") == record
    assert record.results[7].verdict is Verdict.PASS


def test_a_file_that_cannot_be_read_is_named_and_left_alone(folder: Path) -> None:
    path = folder / "trial.json"
    path.write_text('{"name": 1}')
    with pytest.raises(DevError, match=r"trial\.json"):
        Record.load(folder)
    assert path.exists()


def results(folder: Path) -> Record:
    record = kept(folder)
    for number, found in enumerate(
        [PASSES, judged(False, "a | b\n<c>"), Outcome(Verdict.NEEDS_AWS, EMULATED)], 1
    ):
        trial = Fake(Somewhere(), record)
        command.tried(trial, step(lambda trial, found=found: found, number))  # type: ignore
    return record


def test_the_page_has_a_row_for_each_step_run_or_not(folder: Path) -> None:
    page = report.markdown(results(folder), STEPS, ["arn:aws:kms:us-east-1:1:key/k"])
    rows = [line for line in page.splitlines() if line.startswith("| ") and line[2].isdigit()]
    assert [int(row.split("|")[1]) for row in rows] == list(range(1, 22))
    assert "**pass**" in rows[0]
    assert "**fail**" in rows[1]
    assert r"a \| b &lt;c>" in rows[1]
    assert "**needs AWS**" in rows[2]
    assert "not run" in rows[3]
    assert "1 pass, 1 fail, 1 needs AWS" in page
    assert "arn:aws:kms:us-east-1:1:key/k" in page
    assert ACCOUNT not in page


def test_the_json_says_the_same(folder: Path) -> None:
    record = results(folder)
    report.write(record, STEPS, [])
    content = json.loads((folder / report.DOCUMENT).read_text())
    assert content["account"] == ACCOUNT
    assert content["left"] == []
    found = [one["result"] and one["result"]["verdict"] for one in content["steps"]]
    assert found == ["pass", "fail", "needs AWS", *([None] * 18)]
    assert content["steps"][0]["result"]["figures"] == {"figure": 1}
