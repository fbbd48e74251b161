"""DynamoDB: updates that are refused."""

from __future__ import annotations

from tests.simulation.conformance.backend import Backend, check, refused, wire


@check
def paths_that_overlap_are_refused(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    for update in (
        "SET steps=:m, steps.a.attempt=:m",
        "SET steps.a.attempt=:m REMOVE steps.a.attempt",
        "SET steps.a.attempt=:m REMOVE steps.a",
        "SET one=:m, one=:m",
    ):
        with refused("ValidationException"):
            at.update(pk, update, m=1)


@check
def nothing_is_set_under_a_map_that_is_not_there(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="RUNNING")
    for update in ("SET steps.a=:m", "SET #0.a=:m"):
        with refused("ValidationException"):
            at.update(pk, update, m=1, **({"names": {"#0": "status"}} if "#" in update else {}))
    assert at.get(pk) == old


@check
def nothing_is_removed_under_a_map_that_is_not_there(at: Backend) -> None:
    at.put(pk := at.fresh(), status="RUNNING")
    with refused("ValidationException"):
        at.update(pk, "REMOVE steps.a")


@check
def what_is_not_there_may_be_removed_from_a_map_that_is(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    found = at.update(pk, "REMOVE steps.a.holder, held")["Attributes"]
    assert found["steps"] == wire({"a": {"attempt": 1}})


@check
def arithmetic_needs_a_number_on_both_sides(at: Backend) -> None:
    old = at.put(pk := at.fresh(), text="1")
    for update in ("SET absent=absent+:one", "SET sum_of=#0+:one"):
        with refused("ValidationException"):
            at.update(pk, update, one=1, **({"names": {"#0": "text"}} if "#" in update else {}))
    assert at.get(pk) == old


@check
def every_value_and_name_that_is_given_is_used(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET uno=:one", one=1, two=2)
    with refused("ValidationException"):
        at.update(pk, "SET #0=:one", names={"#0": "a", "#1": "b"}, one=1)


@check
def every_value_and_name_that_is_used_is_given(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET #0=:one", one=1)
    with refused("ValidationException"):
        at.update(pk, "SET uno=:one, due_=:two", one=1)


@check
def the_key_is_not_updated(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET sk=:other", other="other")


@check
def an_expression_of_more_than_4096_bytes_is_refused(at: Backend) -> None:
    at.put(pk := at.fresh())
    long = ",".join(f"{'a' * 40}{number}=:one" for number in range(90))
    assert 4096 < len(f"SET {long}") < 4600
    with refused("ValidationException"):
        at.update(pk, f"SET {long}", one=1)


@check
def an_item_of_more_than_400_kb_is_refused(at: Backend) -> None:
    pk = at.fresh()
    with refused("ValidationException"):
        at.put(pk, payload="x" * 410_000)
    old = at.put(pk, payload="x" * 399_000)
    with refused("ValidationException"):
        at.update(pk, "SET more=:more", more="x" * 12_000)
    assert at.get(pk) == old


@check
def an_attribute_of_the_wrong_type_for_an_index_is_refused(at: Backend) -> None:
    with refused("ValidationException"):
        at.put(at.fresh(), due="a string")
