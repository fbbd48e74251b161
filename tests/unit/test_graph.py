"""Stored graphs: what an older worker and a newer one can go by, and what neither does."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fluxio_protocol.graph import SCHEMA, Graph
from fluxio_protocol.node import Node

DIAMOND = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
#: Steps alone, and steps that wait for signals, with the versions that runs in the table name.
GRAPHS = {
    "50e86600": Graph.of_steps({"a": ()}),
    "dccf168f": Graph.of_steps({"a": (), "b": ("a",)}, {"b": ("go",)}),
    "3a03930c": Graph.of_steps(DIAMOND),
    "e5cce587": Graph.of_steps(DIAMOND, {"a": ("one",), "d": ("y", "x")}),
}


@pytest.mark.parametrize("version", GRAPHS)
def test_a_graph_keeps_the_version_under_which_its_runs_were_opened(version: str) -> None:
    assert GRAPHS[version].version == version


@pytest.mark.parametrize("version", GRAPHS)
def test_a_stored_graph_is_read_as_it_was_with_its_nodes_in_order(version: str) -> None:
    graph = GRAPHS[version]
    read = Graph.from_item(graph.to_item())

    assert read == graph
    assert [*read.nodes] == [*graph.nodes]
    assert not read.unknown


@pytest.mark.parametrize("version", GRAPHS)
def test_a_worker_of_the_version_before_can_go_by_a_graph_that_is_stored_now(version: str) -> None:
    # It knows nodes of the kind "step" that have these keys and no others, and parks a run for any other.
    for name, node in json.loads(GRAPHS[version].to_json()).items():
        assert node["kind"] == "step"
        assert node.keys() <= {"kind", "depends_on", "awaits"}
        assert node.get("depends_on", []) == [*GRAPHS[version].depends_on[name]]
        assert node.get("awaits", []) == [*GRAPHS[version].awaits.get(name, ())]


@pytest.mark.parametrize("schema", [{}, {"schema": {"N": "1"}}], ids=["none", "1"])
def test_graphs_in_the_earlier_forms_are_known(schema: dict[str, Any]) -> None:
    stored = {"a": [], "b": {"depends_on": ["a"], "awaits": ["go"]}, "c": ["a", "b"]}

    read = Graph.from_item(schema | {"graph": {"S": json.dumps(stored)}})

    assert read == Graph.of_steps({"a": (), "b": ("a",), "c": ("a", "b")}, {"b": ("go",)})
    assert not read.unknown


def test_a_graph_of_a_later_schema_can_be_shown_but_not_gone_by() -> None:
    item = GRAPHS["dccf168f"].to_item() | {"schema": {"N": str(SCHEMA + 1)}}

    read = Graph.from_item(item)

    assert (read.depends_on, read.awaits) == ({"a": (), "b": ("a",)}, {"b": ("go",)})
    assert read.unknown.keys() == {"a", "b"}


@pytest.mark.parametrize(
    ("stored", "says"),
    [
        ({"kind": "timer", "depends_on": ["a"], "seconds": 60}, "timer"),
        ({"kind": "step", "depends_on": ["a"], "any_of": True}, "step with any_of"),
        (["a", "somewhere else"], "another form"),
        ("2030-01-01", "another form"),
        (None, "another form"),
    ],
)
def test_a_node_that_a_later_version_stored_is_told_from_those_that_are_known(
    stored: object, says: str
) -> None:
    read = Graph.from_json(json.dumps({"a": [], "b": stored}))

    assert [*read.unknown] == ["b"]
    assert says in read.unknown["b"]
    assert {*read.depends_on["b"]} <= {"a"}


def test_another_kind_of_node_is_another_version_of_the_graph() -> None:
    graph = GRAPHS["50e86600"]

    assert Graph({"a": Node(kind="timer")}).version != graph.version
