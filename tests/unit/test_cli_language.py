"""What the command says and draws of edges, conditions, timers, signals with timeouts, rounds and deadlines."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from xml.etree import ElementTree

import pytest

from fluxio_client import Failure, Run, RunStatus, Step, StepStatus
from fluxio_client.cli.drawing import svg, svg_for_page
from fluxio_client.cli.legend import legend
from fluxio_client.cli.mermaid import mermaid
from fluxio_client.cli.moments import local
from fluxio_client.cli.picture import Course, picture_of
from fluxio_client.cli.records import node_record, run_record, step_record
from fluxio_client.cli.timeline import bars
from fluxio_client.cli.tree import graph_lines, run_lines
from fluxio_client.cli.waiting import For, goes_on, waiting
from fluxio_protocol.edge import ANY_OF, FAILED, FIRST_OF, MAYBE, Edge
from fluxio_protocol.graph import Graph
from fluxio_protocol.node import Node, SignalTimeout, Timer

START = 1_800_000_000_000
NOW = START + 60_000
HOUR = 3_600_000

DONE: dict[str, Any] = {"status": StepStatus.SUCCEEDED}
SKIPPED: dict[str, Any] = {"status": StepStatus.SKIPPED, "attempt": 0, "token": "t"}
REFUSED = Failure("BankRefused", "no such account", "pay", 2)
HANDLED: dict[str, Any] = {"status": StepStatus.FAILED, "handled": True, "error": REFUSED}
OPEN: dict[str, Any] = {"status": StepStatus.PENDING, "attempt": 0}


def graph_of(**nodes: Node) -> Graph:
    return Graph(nodes)


def run_of(graph: Graph, steps: dict[str, dict[str, Any]], **more: Any) -> Run:
    """A run whose steps ended as it began."""

    def made(name: str) -> Step:
        node = graph.nodes[name]
        given: dict[str, Any] = {"attempt": 1, **steps.get(name, OPEN)}
        if given["status"] is not StepStatus.PENDING:
            given = {"started_at": START, "ended_at": START, **given}
        deps = len(node.depends_on)
        return Step(name, awaits=node.awaits, completed_deps=deps, total_deps=deps, **given)

    return Run(
        run_id="r-1",
        workflow="W",
        created_at=START,
        opened_at=START,
        version="0a1b2c3d",
        steps={name: made(name) for name in graph.nodes},
        graph=graph,
        **{"status": RunStatus.RUNNING, **more},
    )


def told(run: Run, graph: Graph) -> str:
    """What `fluxio show` says, without its lines' ends and branches."""
    text = " ".join(line.plain for line in run_lines(run, graph, NOW, 100))
    return " ".join(text.replace("│", " ").split())


MAYBE_GRAPH = graph_of(
    a=Node(), b=Node(("a",), when=True), c=Node(("a", "b"), edges=(Edge(MAYBE, ("b",)),))
)
FAILED_GRAPH = graph_of(
    pay=Node(),
    cheque=Node(("pay",), edges=(Edge(FAILED, ("pay",), ("BankRefused",)),)),
    clear=Node(("pay", "cheque"), edges=(Edge(ANY_OF, ("pay", "cheque")),)),
)
FIRST_GRAPH = graph_of(
    a=Node(), b=Node(), c=Node(("a", "b"), edges=(Edge(FIRST_OF, ("a", "b")),)), d=Node(("c",))
)
TIMER = graph_of(a=Node(), b=Node(("a",), timer=Timer(2 * HOUR)))
TIMER_AT = graph_of(a=Node(), b=Node(("a",), timer=Timer(None, "a.at")))
SIGNAL = graph_of(a=Node(), b=Node(("a",), ("go",)))
WITH_DEFAULT = graph_of(
    a=Node(), b=Node(("a",), ("go",), timeouts={"go": SignalTimeout(2 * HOUR, '"gone"')})
)
NO_DEFAULT = graph_of(a=Node(), b=Node(("a",), ("go",), timeouts={"go": SignalTimeout(HOUR)}))
DEADLINE = graph_of(a=Node(), b=Node(("a",), deadline=6 * HOUR))
PLAIN = Graph.of_steps({"a": (), "b": ("a",)})

#: Each construct: its graph, and what the legend has of it.
CONSTRUCTS = {
    "plain": (PLAIN, set()),
    "maybe and when": (MAYBE_GRAPH, {"needs", "maybe", "when"}),
    "failed and any_of": (FAILED_GRAPH, {"failed", "any_of"}),
    "first_of": (FIRST_GRAPH, {"first_of"}),
    "timer": (TIMER, {"timer"}),
    "signal": (SIGNAL, set()),
    "signal with timeout": (WITH_DEFAULT, set()),
    "deadline": (DEADLINE, {"deadline"}),
}


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_the_legend_has_what_occurs_and_nothing_else(name: str) -> None:
    graph, samples = CONSTRUCTS[name]

    assert {entry.sample for entry in legend(picture_of(graph))} == samples


#: An arrow at the side of a picture that is wider than its legend, with a label that is wider than its steps.
LONG_LABEL = graph_of(
    a=Node(),
    b=Node(("a",), edges=(Edge(FAILED, ("a",), ("AnErrorWithALongNameOfItsOwn",)),)),
    **{f"c{at}": Node() for at in range(8)},
)


@pytest.mark.parametrize(
    "graph", [*(graph for graph, _ in CONSTRUCTS.values()), LONG_LABEL], ids=[*CONSTRUCTS, "label"]
)
def test_nothing_of_a_picture_is_cut_off_at_its_sides(graph: Graph) -> None:
    root = ElementTree.fromstring(svg_for_page(graph, "W", run_of(graph, {})))
    left, top, width, height = map(float, root.attrib["viewBox"].split())

    for rect in root.iter("rect"):
        x, y, wide, high = (float(rect.attrib[part]) for part in ("x", "y", "width", "height"))
        assert left <= x
        assert x + wide <= left + width + 1
        assert top <= y
        assert y + high <= top + height + 1
    for text in root.iter("text"):
        if text.attrib["class"] == "key":  # the legend's; characters are 6.6 wide at 11 px
            assert float(text.attrib["x"]) + 6.6 * len(text.text or "") <= left + width


@pytest.mark.parametrize("name", CONSTRUCTS)
def test_each_construct_stands_in_every_kind_of_picture(name: str) -> None:
    graph, _ = CONSTRUCTS[name]
    words = {
        "plain": [],
        "maybe and when": ["maybe", "when"],
        "failed and any_of": ["BankRefused", "any"],
        "first_of": ["first"],
        "timer": ["timer 2 h"],
        "signal": ["signal go"],
        "signal with timeout": ["signal go: 2 h, then default"],
        "deadline": ["deadline 6 h"],
    }[name]
    text = "\n".join(line.plain for line in graph_lines(graph, None, NOW, 100))

    for drawn in (svg(graph, "W"), mermaid(graph), text):
        for word in words:
            assert word in drawn
        for step in graph.nodes:
            assert step in drawn


TAKEN, UNTAKEN, STILL_OPEN = Course.TAKEN, Course.UNTAKEN, Course.OPEN


@pytest.mark.parametrize(
    ("graph", "steps", "courses"),
    [
        (
            MAYBE_GRAPH,
            {"a": DONE, "b": SKIPPED, "c": DONE},
            {("a", "b"): UNTAKEN, ("a", "c"): TAKEN, ("b", "c"): UNTAKEN},
        ),
        (
            MAYBE_GRAPH,
            {"a": DONE, "b": DONE},
            {("a", "b"): TAKEN, ("a", "c"): TAKEN, ("b", "c"): TAKEN},
        ),
        (
            MAYBE_GRAPH,
            {"a": DONE},
            {("a", "b"): TAKEN, ("a", "c"): TAKEN, ("b", "c"): STILL_OPEN},
        ),
        (
            FAILED_GRAPH,
            {"pay": HANDLED, "cheque": DONE, "clear": DONE},
            {
                ("pay", "cheque"): TAKEN,
                ("pay", "*"): UNTAKEN,
                ("cheque", "*"): TAKEN,
                ("*", "clear"): TAKEN,
            },
        ),
        (
            FAILED_GRAPH,
            {"pay": DONE, "cheque": SKIPPED, "clear": DONE},
            {
                ("pay", "cheque"): UNTAKEN,
                ("pay", "*"): TAKEN,
                ("cheque", "*"): UNTAKEN,
                ("*", "clear"): TAKEN,
            },
        ),
        (
            FIRST_GRAPH,
            {"a": SKIPPED, "b": DONE},
            {("a", "*"): UNTAKEN, ("b", "*"): TAKEN, ("*", "c"): TAKEN, ("c", "d"): STILL_OPEN},
        ),
        (
            FIRST_GRAPH,
            {"a": SKIPPED, "b": SKIPPED, "c": SKIPPED, "d": SKIPPED},
            {("a", "*"): UNTAKEN, ("b", "*"): UNTAKEN, ("*", "c"): UNTAKEN, ("c", "d"): UNTAKEN},
        ),
    ],
)
def test_the_way_a_run_took_is_told_from_the_one_it_did_not(
    graph: Graph, steps: dict[str, Any], courses: dict[tuple[str, str], Course]
) -> None:
    run = run_of(graph, steps)
    picture = picture_of(graph, run, NOW)

    found = {
        tuple("*" if end in picture.gates else end for end in ends): arrow.course
        for ends, arrow in picture.arrows.items()
    }
    assert found == courses
    untaken = [*courses.values()].count(UNTAKEN)
    drawn = svg_for_page(graph, "W", run, NOW)
    legend_has_one = 1 if untaken or SKIPPED in steps.values() else 0
    assert drawn.count("untaken)") == untaken + legend_has_one
    assert ("stroke:#ced4da" in mermaid(graph, run, NOW)) == bool(untaken)


def test_a_handled_failure_does_not_look_like_one_that_ended_a_run() -> None:
    run = run_of(FAILED_GRAPH, {"pay": HANDLED, "cheque": DONE, "clear": DONE})
    broken = replace(run, steps=run.steps | {"pay": replace(run.steps["pay"], handled=False)})

    page, chart = svg_for_page(FAILED_GRAPH, "W", run, NOW), mermaid(FAILED_GRAPH, run, NOW)
    assert '<g class="state-handled">' in page
    assert "state-failed" not in page
    assert "class s0 handled" in chart
    assert '<g class="state-failed">' in svg_for_page(FAILED_GRAPH, "W", broken, NOW)
    assert "class s0 failed" in mermaid(FAILED_GRAPH, broken, NOW)
    assert "handled by cheque" in svg(FAILED_GRAPH, "W", run, NOW)


HOSTILE = '"]<b>&#1;\x1b'


def test_names_from_outside_are_escaped_wherever_they_are_drawn() -> None:
    graph = graph_of(
        a=Node(),
        b=Node(
            ("a",), edges=(Edge(FAILED, ("a",), (HOSTILE,)),), timer=Timer(None, f"a.{HOSTILE}")
        ),
    )
    error = Failure(HOSTILE, HOSTILE, "a", 1)
    run = run_of(graph, {"a": HANDLED | {"error": error}})

    ElementTree.fromstring(svg(graph, HOSTILE, run, NOW))
    ElementTree.fromstring(svg_for_page(graph, HOSTILE, run, NOW))
    chart = mermaid(graph, run, NOW)
    assert HOSTILE[:4] not in chart
    assert "#quot;]#lt;b>" in chart
    for text in (chart, *(line.plain for line in graph_lines(graph, run, NOW, 100))):
        assert "\x1b" not in text


# --- what a step waits for


@pytest.mark.parametrize(
    ("graph", "b", "more", "says", "what"),
    [
        (TIMER, OPEN, {}, f"waits for its timer until {local(START + 2 * HOUR, NOW)}", For.TIMER),
        (TIMER_AT, OPEN, {}, "waits for its timer: the time in a.at", For.TIMER),
        (SIGNAL, OPEN, {}, "waits for the signal go", For.SIGNALS),
        (
            WITH_DEFAULT,
            OPEN,
            {},
            f"waits for the signal go until {local(START + 2 * HOUR, NOW)}, then its default is taken",
            For.SIGNALS,
        ),
        (
            NO_DEFAULT,
            OPEN,
            {},
            f"waits for the signal go until {local(START + HOUR, NOW)}, then the step fails",
            For.SIGNALS,
        ),
        (NO_DEFAULT, OPEN, {"signals_json": {"go": "1"}}, "ready; waits for a worker", For.WORKER),
        (
            DEADLINE,
            {**OPEN, "attempt": 12, "redriven_at": 12, "round": 12, "not_before": NOW + 30_000},
            {},
            f"round 12 begins in 30.0 s, at {local(NOW + 30_000, NOW)}",
            For.ROUND,
        ),
        (
            DEADLINE,
            {**OPEN, "attempt": 13, "redriven_at": 12, "round": 12, "not_before": NOW + 30_000},
            {},
            "next attempt in 30.0 s",
            For.BACKOFF,
        ),
    ],
)
def test_a_step_says_what_it_waits_for(
    graph: Graph, b: dict[str, Any], more: dict[str, Any], says: str, what: For
) -> None:
    run = run_of(graph, {"a": DONE, "b": b}, **more)

    stands = waiting(run, run.steps["b"], graph, NOW)

    assert stands is not None
    assert stands.what is what
    assert says in stands.sentence(NOW)
    assert says in told(run, graph)
    assert says in "; ".join(goes_on(run, NOW))
    assert stands.to_record()["for"] == what.value


@pytest.mark.parametrize(
    ("graph", "b", "more", "says"),
    [
        (WITH_DEFAULT, OPEN, {}, "the signal go had not come by"),
        (NO_DEFAULT, OPEN, {"lapsed": {"go": NOW}}, "the signal go had not come by"),
        (DEADLINE, OPEN, {}, "it had not ended by its deadline"),
        (MAYBE_GRAPH, SKIPPED, {}, None),
    ],
)
def test_what_no_worker_has_recorded_yet_is_said_to_be_so(
    graph: Graph, b: dict[str, Any], more: dict[str, Any], says: str | None
) -> None:
    run = run_of(graph, {"a": DONE, "b": b}, **more)

    stands = waiting(run, run.steps["b"], graph, START + 24 * HOUR)

    if says is None:
        assert stands is None
        return
    assert stands is not None
    assert stands.what is For.WORKER
    assert says in (stands.reason or "")
    assert "a worker records that next" in stands.sentence(NOW)


def test_a_step_that_waits_for_a_signal_and_a_timer_says_both() -> None:
    graph = graph_of(a=Node(), b=Node(("a",), ("go",), timer=Timer(HOUR)))
    run = run_of(graph, {"a": DONE})

    assert "waits for the signal go; waits for its timer until " in told(run, graph)
    record = step_record(run, run.steps["b"], graph, NOW)["waiting"]
    assert record["also"]["until_ms"] == START + HOUR


def test_a_stopped_run_says_what_its_steps_waited_for() -> None:
    for graph, says in (
        (TIMER, "waited for its timer until"),
        (NO_DEFAULT, "waited for the signal go"),
    ):
        run = run_of(graph, {"a": DONE}, status=RunStatus.CANCELLED, ended_at=NOW)
        assert says in told(run, graph)


@pytest.mark.parametrize(
    ("graph", "steps", "name", "why"),
    [
        (MAYBE_GRAPH, {"a": DONE, "b": SKIPPED | {"attempt": 1}}, "b", "its `when` said no"),
        (MAYBE_GRAPH, {"a": SKIPPED, "b": SKIPPED}, "b", "a was skipped"),
        (FIRST_GRAPH, {"a": SKIPPED | {"token": None}, "b": DONE}, "a", "b was first"),
        (FIRST_GRAPH, {"a": SKIPPED | {"attempt": 1}, "b": DONE}, "a", "its `when` said no"),
        (FAILED_GRAPH, {"pay": DONE, "cheque": SKIPPED}, "cheque", "pay did not fail"),
        (
            FAILED_GRAPH,
            {"pay": HANDLED | {"error": Failure("OSError", "x")}, "cheque": SKIPPED},
            "cheque",
            "pay failed with OSError, not with BankRefused",
        ),
        (
            FAILED_GRAPH,
            {"pay": SKIPPED, "cheque": SKIPPED, "clear": SKIPPED},
            "clear",
            "none of pay, cheque succeeded",
        ),
        (
            FIRST_GRAPH,
            {"a": HANDLED, "b": SKIPPED, "c": SKIPPED, "d": SKIPPED},
            "d",
            "c was skipped",
        ),
    ],
)
def test_a_skipped_step_says_why(graph: Graph, steps: dict[str, Any], name: str, why: str) -> None:
    run = run_of(graph, steps)

    assert f"not needed: {why}" in told(run, graph)
    assert step_record(run, run.steps[name], graph, NOW)["skipped_because"] == why
    assert why in picture_of(graph, run, NOW).boxes[name].tooltip


def test_a_handled_failure_names_what_handles_it() -> None:
    run = run_of(FAILED_GRAPH, {"pay": HANDLED | {"attempt": 2}, "cheque": DONE})

    text = told(run, FAILED_GRAPH)
    assert "attempt 2 failed: BankRefused: no such account handled by cheque" in text
    record = step_record(run, run.steps["pay"], FAILED_GRAPH, NOW)
    assert (record["status"], record["handled"], record["handled_by"]) == (
        "FAILED",
        True,
        ["cheque"],
    )


def test_a_signal_that_lapsed_is_not_said_to_have_come() -> None:
    more = {"lapsed": {"go": START + HOUR}, "signals_json": {"go": '"gone"'}}
    run = run_of(WITH_DEFAULT, {"a": DONE, "b": DONE}, **more)

    text = told(run, WITH_DEFAULT)
    assert (
        f"the signal go had not come by {local(START + HOUR, NOW)}: its default was taken" in text
    )
    assert "had its signal" not in text
    record = run_record(run, WITH_DEFAULT, NOW)
    assert record["signals"] == []
    assert record["lapsed"][0]["signal"] == "go"
    assert record["lapsed"][0]["default_taken"] is True


@pytest.mark.parametrize(
    ("b", "more", "says"),
    [
        (OPEN, {}, "awaits signal go: 2 h, then default"),
        (OPEN, {"signals_json": {"go": "1"}}, "had signal go"),
        (
            OPEN,
            {"lapsed": {"go": NOW}, "signals_json": {"go": "1"}},
            "no signal go in time: default",
        ),
        (OPEN, {"lapsed": {"go": NOW}}, "no signal go in time"),
        (OPEN, {"status": RunStatus.CANCELLED, "ended_at": NOW}, "signal go: 2 h, then default"),
        (SKIPPED, {}, "signal go: 2 h, then default"),
        ({"status": StepStatus.FAILED}, {}, "signal go: 2 h, then default"),
    ],
)
def test_the_box_of_a_step_says_what_became_of_its_signal(
    b: dict[str, Any], more: dict[str, Any], says: str
) -> None:
    run = run_of(WITH_DEFAULT, {"a": DONE, "b": b}, **more)

    (mark,) = picture_of(WITH_DEFAULT, run, NOW).boxes["b"].marks

    assert (mark.kind, mark.text) == ("signal", says)


@pytest.mark.parametrize("status", [StepStatus.PENDING, StepStatus.RUNNING])
def test_a_step_with_a_deadline_says_when_it_must_have_ended(status: StepStatus) -> None:
    b = {"status": status, "attempt": 1, "lease_until": NOW + 1, "ended_at": None}
    run = run_of(DEADLINE, {"a": DONE, "b": b})

    assert f"must have ended in 5 h 59 min, by {local(START + 6 * HOUR, NOW)}" in told(
        run, DEADLINE
    )
    assert step_record(run, run.steps["b"], DEADLINE, NOW)["deadline_ms"] == START + 6 * HOUR


@pytest.mark.parametrize("a", [OPEN, {"status": StepStatus.FAILED}])
def test_the_deadline_of_a_step_is_not_told_before_its_clock_has_begun(a: dict[str, Any]) -> None:
    run = run_of(DEADLINE, {"a": a})

    assert "must have ended" not in told(run, DEADLINE)
    assert step_record(run, run.steps["b"], DEADLINE, NOW)["deadline"] is None


def test_a_timeline_has_no_bars_for_steps_that_were_not_needed() -> None:
    run = run_of(MAYBE_GRAPH, {"a": DONE, "b": SKIPPED, "c": DONE})

    lines = [line.plain for line in bars(run, MAYBE_GRAPH, NOW, 80)]

    assert [line.split()[0] for line in lines[1:3]] == ["a", "c"]
    assert lines[3:] == ["not needed: b"]


def test_a_timeline_says_in_which_round_a_step_is() -> None:
    b = {
        **OPEN,
        "attempt": 3,
        "redriven_at": 3,
        "round": 3,
        "started_at": START + 9,
        "not_before": NOW + 1,
    }
    run = run_of(DEADLINE, {"a": DONE, "b": b})

    assert any("round 3" in line.plain for line in bars(run, DEADLINE, NOW, 80))


def test_the_record_of_a_node_has_its_edges_and_bounds() -> None:
    record = node_record("b", NO_DEFAULT.nodes["b"])

    assert record["edges"] == [{"kind": "needs", "steps": ["a"], "errors": []}]
    assert record["timeouts"] == [{"signal": "go", "after_s": 3600, "then": "fails"}]
    assert node_record("b", TIMER.nodes["b"])["timer"] == {"after_s": 7200, "at": None}
    assert node_record("b", DEADLINE.nodes["b"])["deadline_s"] == 21_600
