"""The bench beside rivals, where it needs no emulator: whose turn it is, what is counted, what it says."""

from __future__ import annotations

import pytest

from bench import cost, report
from bench.engines import NotSucceeded
from bench.engines.step_functions import definition
from bench.package import workflows
from bench.package.workflows import STAGES, step_names
from bench.rounds import PAUSE, WARM_UP, measure, summary
from fluxio.definition import definition_of

pytestmark = pytest.mark.once


class Clock:
    """Time that passes in a sleep or a run only."""

    def __init__(self) -> None:
        self.at = 0.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.at

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


class Timed:
    """An engine whose runs take so many milliseconds, one after the other."""

    version = "1"

    def __init__(self, name: str, clock: Clock, turns: list[str], milliseconds: list[int]) -> None:
        self._name, self._clock, self._turns = name, clock, turns
        self._left = iter(milliseconds)

    def run(self, workflow: str) -> None:
        self._turns.append(self._name)
        self._clock.at += next(self._left) / 1000


def test_every_engine_has_one_turn_a_round_and_another_one_begins_each() -> None:
    clock, turns, told = Clock(), list[str](), list[str]()
    engines = {name: Timed(name, clock, turns, [7] * 5) for name in "abc"}

    measure(engines, ["Chain20"], 3, told.append, clock.sleep, clock)

    rounds = [turns[at : at + 3] for at in range(0, len(turns), 3)]
    assert [sorted(of) for of in rounds] == [["a", "b", "c"]] * (WARM_UP + 3)
    assert [of[0] for of in rounds[:3]] == ["a", "b", "c"]


def test_a_time_is_that_of_the_run_alone_and_warming_up_is_not_counted() -> None:
    clock = Clock()
    engines = {"a": Timed("a", clock, [], [900, 800, 10, 20, 30])}

    times = measure(engines, ["Chain20"], 3, lambda _: None, clock.sleep, clock)

    assert times["Chain20"]["a"] == pytest.approx([10, 20, 30])
    assert clock.slept == [PAUSE] * 5


def test_a_ratio_compares_the_runs_of_one_round() -> None:
    """A machine that was slow for a round is so for both: medians of all rounds would say 10 / 20."""
    times = {"Chain20": {"fluxio": [10.0, 10.0, 90.0], "rival": [20.0, 11.0, 100.0]}}

    of = summary(times, "fluxio")["Chain20"]

    assert of["ratios"]["rival"] == pytest.approx({"min": 0.5, "median": 0.9, "max": 10 / 11})
    assert of["milliseconds"]["fluxio"] == {"min": 10, "median": 10, "max": 90, "p95": 90}


def test_a_workflow_in_which_a_rival_wins_stands_first() -> None:
    """`Z` is lost, `A` is won; the faster rival is the one with the smaller median."""
    times = {
        "A": {"fluxio": [10.0], "slow": [50.0], "fast": [40.0]},
        "Z": {"fluxio": [90.0], "slow": [45.0], "fast": [60.0]},
    }
    about = {"engines": {}, "commit": "c", "date": "d", "ministack": "m", "python": "p"}
    about |= {"system": "s", "processors": 2, "processor": "x", "load_before": 0, "load_after": 0}

    text = report.text(
        {"circumstances": about, "latency": summary(times, "fluxio"), "rounds": 1, "runs": 1}
    )

    ratios = text.partition("fluxio / rival")[2].splitlines()
    assert [line.split()[0] for line in ratios[1:3]] == ["Z", "A"]
    assert [line.split()[-1] for line in ratios[1:3]] == ["slow", "fast"]


RUN = {"workflow": "Chain20", "run_id": "r", "status": "SUCCEEDED", "client": [1, 1, 2]}
RUN |= {"invocations": 2, "cpu_ms": 3.5, "wall_ms": 9.0}

HANDLED = {"message": "message handled", "run_id": "r", "writes": 4, "write_units": 5}
HANDLED |= {"index_write_units": 1, "sent": 1}


def test_a_run_costs_what_client_and_worker_spent_on_it() -> None:
    lines = [HANDLED, HANDLED, HANDLED | {"run_id": "another"}, HANDLED | {"message": "swept"}]

    found = cost.figures([RUN], lines)["Chain20"]

    assert {of: found[of]["median"] for of in report.COST} == {
        "writes": 1 + 2 * 4,
        "write_units": 1 + 2 * 5,
        "index_write_units": 2 + 2 * 1,
        "messages": 1 + 2 * 1,
        "invocations": 2,
        "cpu_ms": 3.5,
    }


def test_what_a_run_cost_that_did_not_succeed_is_not_told() -> None:
    with pytest.raises(NotSucceeded, match="run r is FAILED"):
        cost.figures([RUN | {"status": "FAILED"}], [HANDLED])


@pytest.mark.parametrize("name", STAGES)
def test_a_workflow_has_the_same_steps_and_order_on_fluxio_as_its_stages_say(name: str) -> None:
    made = definition_of(getattr(workflows, name))
    assert made is not None
    stages = step_names(STAGES[name])

    assert made.name == name
    assert {step: set(deps) for step, deps in made.graph.depends_on.items()} == {
        step: set(stages[at - 1] if at else []) for at, of in enumerate(stages) for step in of
    }


@pytest.mark.parametrize("name", STAGES)
def test_a_workflow_has_the_same_steps_and_order_on_step_functions(name: str) -> None:
    made = definition(step_names(STAGES[name]), "arn:task")

    at, widths = made["StartAt"], []
    while at:
        state = made["States"][at]
        widths.append(len(state.get("Branches", [at])))
        assert state.get("End", False) is ("Next" not in state)
        at = state.get("Next")
    assert widths == STAGES[name]
