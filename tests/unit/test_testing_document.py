"""docs/testing.md: its code is run as it stands, and does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fluxio.testing import TestedRun
from fluxio.testing.history import STRIKES
from tests.unit.conftest import run_in

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
(SHOWN,) = re.findall(r"```text\n(.*?)```", PAGE, re.DOTALL)

pytestmark = pytest.mark.once


def uncounted(text: str) -> str:
    """A text without its figures: how many points there are, each version of the engine has as it needs."""
    return re.sub(r"\d+", "…", text)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page's files; pieces of one file stand in it one after the other."""
    made = tmp_path_factory.mktemp("orders")
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", code).group(1)
        with (made / name).open("a", encoding="utf-8") as file:
            file.write(code)
    return made


@pytest.fixture(scope="module")
def said(folder: Path) -> str:
    """What pytest prints of all of them."""
    return run_in(folder)


def test_the_tests_of_the_page_pass_but_for_the_one_that_is_to_fail(
    folder: Path, said: str
) -> None:
    tests = "".join(path.read_text() for path in folder.glob("test_*.py")).count("\ndef test_")

    assert f"1 failed, {tests - 1} passed" in said, said
    assert "FAILED test_crashes.py::" in said


def test_the_crash_test_fails_as_the_page_shows(said: str) -> None:
    lines = [line.strip() for line in SHOWN.splitlines() if line.strip() not in ("", "…")]
    printed = {line.removeprefix("E").strip() for line in said.splitlines()}
    printed = {line.removeprefix("fluxio.testing.errors.NotCrashSafe: ") for line in printed}
    printed = set(map(uncounted, printed))
    assert [line for line in lines if uncounted(line) not in printed] == [], said


def test_the_mended_step_passes_at_every_point(said: str) -> None:
    (printed,) = re.findall(r"`(crash_everywhere\(Mended\): .*)`", PAGE)
    assert uncounted(printed) in uncounted(said)


@pytest.mark.parametrize(
    "name", ["status", "result", "error", "steps", "history", "cost", "elapsed"]
)
def test_the_page_names_what_a_run_has(name: str) -> None:
    assert hasattr(TestedRun, name)
    assert f"`{name}" in PAGE


def test_the_page_names_all_that_happens_to_a_worker() -> None:
    for strike in STRIKES:
        assert f"*{strike}*" in PAGE
