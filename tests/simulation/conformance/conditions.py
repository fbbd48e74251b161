"""DynamoDB: conditions, and what an update reads."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import pytest

from tests.simulation.conformance.backend import Backend, check, refused, wire


@check
def a_put_of_an_item_that_exists_is_refused_with_the_old_item(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="PENDING")
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.dynamodb.put_item(
            TableName=at.table,
            Item=at.key(pk),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"] == old
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert at.get(pk) == old


@check
def an_update_answers_with_the_item_as_it_is_afterwards(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="PENDING", steps={"a": {"attempt": 0}})
    answer = at.update(
        pk,
        "SET #0=:running, #1.a.attempt=#1.a.attempt+:one REMOVE nothing",
        "#0=:pending",
        names={"#0": "status", "#1": "steps"},
        running="RUNNING",
        pending="PENDING",
        one=1,
    )
    new = old | {"status": {"S": "RUNNING"}, "steps": wire({"a": {"attempt": 1}})}
    assert answer["Attributes"] == new
    assert at.get(pk) == new


@check
def a_refused_update_changes_nothing_and_brings_the_item(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="RUNNING", steps={"a": {"token": "mine"}})
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.update(
            pk,
            "SET #0=:new",
            "#0=:other",
            names={"#0": "status"},
            new="SUCCEEDED",
            other="PENDING",
        )
    assert caught.value.response["Item"] == old
    assert at.get(pk) == old


@check
def a_refused_update_of_no_item_brings_none_and_makes_none(at: Backend) -> None:
    pk = at.fresh()
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.update(pk, "SET #0=:new", "#0=:new", names={"#0": "status"}, new="SUCCEEDED")
    assert "Item" not in caught.value.response
    assert at.get(pk) is None


@check
def a_condition_tells_a_text_from_a_map_and_from_nothing(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"text": "1 t 0+1", "map": {"attempt": 1}})
    for name, is_text in {"text": True, "map": False, "nothing": False}.items():
        with nullcontext() if is_text else refused("ConditionalCheckFailedException"):
            at.update(
                pk,
                "SET seen=:name",
                "attribute_type(#0.#1,:kind)",
                names={"#0": "steps", "#1": name},
                name=name,
                kind="S",
            )
    assert at.get(pk)["seen"] == {"S": "text"}


@check
def a_text_takes_the_place_of_a_map_and_a_map_that_of_nothing(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    at.update(
        pk,
        "SET #0.#1=:text,#0.#2=:map",
        "attribute_not_exists(#0.#2) AND #0.#1.attempt=:one",
        names={"#0": "steps", "#1": "a", "#2": "b"},
        text="1 t 0+1",
        map={"attempt": 1},
        one=1,
    )
    assert at.get(pk)["steps"] == wire({"a": "1 t 0+1", "b": {"attempt": 1}})


@check
def an_update_without_a_condition_makes_the_item(at: Backend) -> None:
    pk = at.fresh()
    assert at.update(pk, "ADD balance :one", one=1)["Attributes"]["balance"] == {"N": "1"}
    assert at.update(pk, "ADD balance :one", one=1)["Attributes"]["balance"] == {"N": "2"}


@check
def conditions_are_read_from_the_item_before_the_write(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"done": 1, "wanted": 2}})
    at.update(
        pk,
        "SET steps.a.done=steps.a.done+:one, steps.a.taken=:one",
        "steps.a.done=:one",
        one=1,
    )
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET steps.a.taken=:two", "steps.a.done=:one", one=1, two=2)
    item = at.get(pk)
    assert item is not None
    assert item["steps"] == wire({"a": {"done": 2, "wanted": 2, "taken": 1}})


@check
def right_sides_are_read_from_the_item_before_the_write(at: Backend) -> None:
    at.put(pk := at.fresh(), uno="1", due_="2")
    found = at.update(pk, "SET uno=due_, due_=uno")["Attributes"]
    assert (found["uno"], found["due_"]) == ({"S": "2"}, {"S": "1"})


@check
def two_attributes_are_compared_with_each_other(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"done": 1, "wanted": 2}})
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:yes", "steps.a.done=steps.a.wanted", yes=1)
    at.update(pk, "SET steps.a.done=:two", two=2)
    at.update(pk, "SET taken=:yes", "steps.a.done=steps.a.wanted", yes=1)


@check
def what_is_not_there_compares_as_false(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    for condition in (
        "steps.a.lease_until<=:now",
        "steps.b.attempt=:now",
        "steps.a.attempt.deeper=:now",
        "absent IN (:now)",
        "attribute_exists(steps.b)",
    ):
        with refused("ConditionalCheckFailed"):
            at.update(pk, "SET taken=:now", condition, now=9)
    at.update(
        pk,
        "SET taken=:now",
        "(attribute_not_exists(steps.a.not_before) OR steps.a.not_before<=:now)",
        now=9,
    )


@check
def values_of_two_types_are_never_equal(at: Backend) -> None:
    at.put(pk := at.fresh(), number=1)
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:one", "#0=:one", names={"#0": "number"}, one="1")


@check
def numbers_compare_by_value_and_not_as_text(at: Backend) -> None:
    at.put(pk := at.fresh(), wake=9)
    at.update(pk, "SET taken=:later", "wake<=:later", later=10)
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:later", "wake>:later", later=10)


@check
def in_and_and_or_and_not_mean_what_they_say(at: Backend) -> None:
    at.put(pk := at.fresh(), status="PENDING", number=5)
    names = {"#0": "status"}
    more: dict[str, Any] = {"a": "PENDING", "b": "RUNNING", "five": 5, "names": names}
    for holds, condition in (
        (True, "#0 IN (:a,:b) AND #n=:five"),
        (False, "#0 IN (:b,:b) AND #n=:five OR NOT #0=:a"),
        (True, "#0=:b AND #n=:five OR #0=:a"),
        (False, "#0=:b AND (#n=:five OR #0=:a)"),
        (True, "NOT #0=:b AND #n BETWEEN :five AND :five AND #0<>:b AND #0=:a"),
    ):
        used = {part: value for part, value in more.items() if f":{part}" in condition}
        arguments = at.updating(
            pk, "SET seen=#0", condition, names=names | {"#n": "number"}, **used
        )
        if holds:
            at.dynamodb.update_item(**arguments)
        else:
            with refused("ConditionalCheckFailed"):
                at.dynamodb.update_item(**arguments)
