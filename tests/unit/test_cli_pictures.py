"""Graphs and timelines of the command: nothing overlaps, nothing is cut, states stand there in words."""

from __future__ import annotations

import random
from dataclasses import replace
from itertools import combinations, pairwise
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fluxio_client import Failure, Run, RunStatus, Step, StepStatus
from fluxio_client.cli.colours import SIGNAL
from fluxio_client.cli.drawing import svg, svg_for_page
from fluxio_client.cli.layers import Layout, lay_out
from fluxio_client.cli.mermaid import mermaid
from fluxio_client.cli.timeline import BLOCKS, PLAIN, bars
from fluxio_client.cli.tree import rows, run_lines
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node

GOLDEN = Path(__file__).parents[1] / "golden"
START = 1_800_000_000_000
NOW = START + 60_000

DIAMOND = Graph.of_steps(
    {"take": (), "charge": ("take",), "reserve": ("take",), "ship": ("charge", "reserve")},
    {"ship": ("approved",)},
)


def step(name: str, status: StepStatus, begin: int | None = None, end: int | None = None) -> Step:
    return Step(
        name=name,
        status=status,
        attempt=0 if begin is None else 1,
        started_at=None if begin is None else START + begin,
        ended_at=None if end is None else START + end,
        token="0a1b2c3d.x",
        awaits=DIAMOND.awaits.get(name, ()),
    )


def diamond(**more: object) -> Run:
    steps = [
        step("take", StepStatus.SUCCEEDED, 100, 1_100),
        step("charge", StepStatus.SUCCEEDED, 1_100, 4_000),
        step("reserve", StepStatus.RUNNING, 2_000),
        replace(step("ship", StepStatus.PENDING), completed_deps=1, total_deps=2),
    ]
    return Run(
        run_id="r-1",
        workflow="Order",
        status=RunStatus.RUNNING,
        created_at=START,
        version=DIAMOND.version,
        steps={one.name: one for one in steps},
        **more,  # type: ignore[arg-type]
    )


def random_graph(chance: random.Random) -> Graph:
    depends_on: dict[str, tuple[str, ...]] = {}
    for at in range(chance.randint(1, 40)):
        earlier = list(depends_on)
        count = min(len(earlier), chance.choice([0, 1, 1, 2, 3]))
        depends_on[f"step_{at}"] = tuple(chance.sample(earlier, count))
    return Graph.of_steps(depends_on)


def placed(graph: Graph, seed: int = 0) -> Layout:
    chance = random.Random(seed)
    return lay_out(graph, {name: (chance.uniform(60, 300), 50.0) for name in graph.depends_on})


@pytest.mark.parametrize("seed", range(60))
def test_no_box_covers_another_and_none_leaves_the_picture(seed: int) -> None:
    layout = placed(random_graph(random.Random(seed)), seed)

    for one, other in combinations(layout.boxes.values(), 2):
        apart = (
            one[0] + one[2] <= other[0]
            or other[0] + other[2] <= one[0]
            or one[1] + one[3] <= other[1]
            or other[1] + other[3] <= one[1]
        )
        assert apart
    for x, y, width, height in layout.boxes.values():
        assert x >= 0
        assert y >= 0
        assert x + width <= layout.width + 0.01
        assert y + height <= layout.height + 0.01


@pytest.mark.parametrize("seed", range(60))
def test_edges_lead_downwards_from_box_to_box_and_around_the_others(seed: int) -> None:
    graph = random_graph(random.Random(seed))
    layout = placed(graph, seed)

    assert {*layout.edges} == {
        (dep, name) for name, deps in graph.depends_on.items() for dep in deps
    }
    for (dep, name), points in layout.edges.items():
        assert all(y < next_y for (_, y), (_, next_y) in pairwise(points))
        for end, box in ((points[0], layout.boxes[dep]), (points[-1], layout.boxes[name])):
            assert box[0] <= end[0] <= box[0] + box[2]
        for x, y in points[1:-1]:
            for left, top, width, height in layout.boxes.values():
                inside = left < x < left + width and top < y < top + height
                assert not inside


def test_a_tree_that_can_be_drawn_without_crossings_is() -> None:
    """The branches are written down in an order that crosses."""
    graph = Graph.of_steps(
        {"a": (), "b": (), "b1": ("b",), "a1": ("a",), "b2": ("b1",), "a2": ("a1",)}
    )
    boxes = placed(graph).boxes

    for upper, lower in (("a", "a1"), ("a1", "a2")):
        left_of_b = boxes[upper][0] < boxes[upper.replace("a", "b")][0]
        assert left_of_b == (boxes[lower][0] < boxes[lower.replace("a", "b")][0])


def test_mermaid_is_as_it_was() -> None:
    expected = (GOLDEN / "graph.mmd").read_text(encoding="utf-8")

    assert mermaid(DIAMOND) + mermaid(DIAMOND, diamond()) == expected


def test_a_step_with_a_word_of_mermaids_own_does_not_end_the_chart() -> None:
    assert '    s0["end"]' in mermaid(Graph.of_steps({"end": ()}))


def test_the_svg_is_as_it_was() -> None:
    assert svg(DIAMOND, "Order r-1", diamond()) == (GOLDEN / "graph.svg").read_text(
        encoding="utf-8"
    )


def test_the_svg_is_xml_whatever_an_error_says() -> None:
    run = diamond(error=None)
    broken = Step("take", StepStatus.FAILED, 1, error=Failure("E", '<b> & "quotes" ]]>'))

    text = svg(DIAMOND, 'a "title" & more', Run(**{**vars(run), "steps": {"take": broken}}))

    titles = [
        one.text for one in ElementTree.fromstring(text).iter("{http://www.w3.org/2000/svg}title")
    ]
    assert any(title and '<b> & "quotes" ]]>' in title for title in titles)


def test_states_stand_in_words_so_that_colour_is_not_needed() -> None:
    text = svg(DIAMOND, "Order", diamond())

    for word in ("SUCCEEDED", "RUNNING", "PENDING", "awaits signal approved"):
        assert word in text


def left_behind(lease_ends: int) -> Run:
    """A run that failed while a branch was at work."""
    run = diamond()
    at_work = replace(run.steps["reserve"], lease_until=START + lease_ends)
    charge = replace(
        run.steps["charge"],
        status=StepStatus.FAILED,
        error=Failure("CardDeclined", "no", "charge", 1),
    )
    steps = run.steps | {"reserve": at_work, "charge": charge}
    return replace(run, steps=steps, status=RunStatus.FAILED, ended_at=START + 5_000)


def test_a_step_that_an_ended_run_left_behind_is_shown_as_lost_once_its_lease_has_ended() -> None:
    lost, held = left_behind(30_000), left_behind(90_000)

    for draw in (
        lambda run: svg(DIAMOND, "Order", run, NOW),
        lambda run: mermaid(DIAMOND, run, NOW),
        lambda run: "\n".join(line.plain for line in run_lines(run, DIAMOND, NOW, 100)),
    ):
        assert "LOST" in draw(lost)
        assert "RUNNING" not in draw(lost)
        assert "LOST" not in draw(held)
        assert "RUNNING" in draw(held)
    chart = "\n".join(line.plain for line in bars(lost, DIAMOND, NOW, 100))
    assert "lost" in next(line for line in chart.splitlines() if line.startswith("reserve"))
    assert "did not end: its worker was lost" in chart


def test_the_box_of_a_step_that_failed_names_the_error() -> None:
    assert ">CardDeclined</text>" in svg(DIAMOND, "Order", left_behind(30_000), NOW)


def test_a_step_that_only_a_signal_keeps_waiting_has_a_colour_of_its_own() -> None:
    run = diamond()
    done = {
        name: replace(run.steps[name], status=StepStatus.SUCCEEDED)
        for name in ("charge", "reserve")
    }
    done["ship"] = replace(run.steps["ship"], completed_deps=2)
    ready = replace(run, steps=run.steps | done)
    arrived = replace(ready, signals_json={"approved": "{}"})

    assert "classDef pending" in mermaid(DIAMOND, run, NOW)
    assert "classDef signal" in mermaid(DIAMOND, ready, NOW)
    assert "classDef signal" not in mermaid(DIAMOND, arrived, NOW)
    assert SIGNAL.fill in svg(DIAMOND, "Order", ready, NOW)
    assert SIGNAL.fill not in svg(DIAMOND, "Order", run, NOW)


# --- timeline


@pytest.mark.parametrize("width", [40, 60, 80, 140, 300])
def test_a_timeline_fits_its_width(width: int) -> None:
    lines = bars(diamond(), DIAMOND, NOW, width)

    assert all(len(line.plain) <= width for line in lines)


def test_bars_stand_where_the_steps_ran_and_dots_where_they_waited() -> None:
    run = diamond()
    run.steps["reserve"] = step("reserve", StepStatus.SUCCEEDED, 6_000, 9_000)
    _, take, charge, reserve, *_ = bars(
        Run(**{**vars(run), "ended_at": START + 9_000}), DIAMOND, NOW, 111
    )

    full, _, dot, _ = BLOCKS
    assert take.plain.index(full) < charge.plain.index(full) < reserve.plain.index(full)
    assert charge.plain.count(full) == pytest.approx(reserve.plain.count(full), abs=2)
    assert dot not in charge.plain
    assert reserve.plain.count(dot) > charge.plain.count(full)


def test_a_terminal_without_unicode_gets_a_timeline_in_ascii() -> None:
    assert all(line.plain.isascii() for line in bars(diamond(), DIAMOND, NOW, 80, PLAIN))


def test_a_timeline_names_the_steps_that_were_not_begun() -> None:
    assert bars(diamond(), DIAMOND, NOW, 80)[-1].plain == "not begun: ship"


@pytest.mark.parametrize("milliseconds", [0, 1, 7, 999, 61_000, 7_200_000, 40 * 86_400_000])
def test_any_length_of_a_run_has_an_axis(milliseconds: int) -> None:
    run = Run("r", "W", RunStatus.CANCELLED, START, ended_at=START + milliseconds)

    assert bars(run, None, NOW, 80)[0].plain.strip().startswith("│0")


# --- the tree


def test_a_chain_does_not_wander_to_the_right() -> None:
    names = [f"s{at}" for at in range(30)]
    chain = {name: tuple(names[at - 1 : at]) for at, name in enumerate(names)}

    assert {len(row.branch) for row in rows(chain)} == {3, 5}


def test_every_step_is_in_the_tree_once() -> None:
    for seed in range(40):
        graph = random_graph(random.Random(seed))
        assert sorted(row.step for row in rows(graph.depends_on)) == sorted(graph.depends_on)


@pytest.mark.parametrize("width", [60, 80, 140])
def test_the_tree_fits_its_width_and_says_what_it_waits_for(width: int) -> None:
    run = diamond()
    long = "it failed " * 30
    run.steps["charge"] = Step(
        "charge", StepStatus.PENDING, 2, error=Failure("E", long), not_before=NOW + 5_000
    )

    lines = [line.plain for line in run_lines(run, DIAMOND, NOW, width)]

    assert all(len(line) <= max(width, 78) for line in lines)
    text = " ".join(" ".join(lines).replace("│", " ").split())
    assert "attempt 2 failed: E: it failed it failed" in text
    assert "next attempt in 5.00 s" in text


def test_what_leads_from_a_box_and_what_is_written_in_it_is_escaped() -> None:
    name = '"><script>alert(1)</script>'

    text = svg_for_page(Graph({name: Node()}), name, None, 0, lambda _: f'/"{name}')

    assert "<script" not in text
    ElementTree.fromstring(text.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1))
