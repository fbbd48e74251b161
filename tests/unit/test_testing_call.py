"""`fluxio.testing.call`: one step alone, called as the engine calls it."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from pydantic import BaseModel

from fluxio import StepContext, step, workflow
from fluxio.errors import BindingError
from fluxio.testing import InvalidTest, call
from fluxio_protocol.errors import PayloadError


class Order(BaseModel):
    order_id: str
    day: date


@workflow(input=Order)
class Fulfils:
    def __init__(self, shop: str = "shop") -> None:
        self.shop = shop

    @step(timeout=30)
    def open(self, input: Order, ctx: StepContext) -> dict:
        return {"day": input.day, "key": ctx.idempotency_key, "left": ctx.deadline, "by": self.shop}

    @step(depends_on=["open"], awaits=["approved"])
    def pay(self, open: dict, approved: dict, order_id: str, ctx: StepContext) -> dict:
        return {"open": open, "approved": approved, "order": order_id, "attempt": ctx.attempt}

    @step(depends_on=["pay"])
    def book(self, ctx: StepContext) -> dict:
        ctx.transact({"Put": {"TableName": "books", "Item": {"pk": {"S": ctx.run_id}}}})
        return {"booked": ctx.idempotency_key}

    @step(depends_on=["pay"])
    def bad(self) -> Any:
        return object()


def test_arguments_are_converted_and_the_output_is_as_json_gives_it_back() -> None:
    output = call(Fulfils.open, order_id="o-1", day="2030-01-02")

    assert (output["day"], output["key"], output["by"]) == ("2030-01-02", "run-1/open", "shop")
    assert output["left"] > 0


def test_outputs_and_signals_are_bound_under_their_names() -> None:
    output = call(Fulfils.pay, open={"day": "x"}, approved={"by": "lee"}, order_id="o", attempt=2)

    assert output == {"open": {"day": "x"}, "approved": {"by": "lee"}, "order": "o", "attempt": 2}


def test_a_context_of_the_tests_own_shows_what_the_step_handed_to_it() -> None:
    ctx = StepContext("r-7", "Fulfils", "book", 3, 0)

    output = call(Fulfils.book, ctx=ctx)

    assert output == {"booked": "r-7/book"}
    assert [*ctx.operations[0]] == ["Put"]


class _Hostile(type):
    def __getattribute__(cls, name: str) -> Any:
        raise RuntimeError(f"no {name}")


def test_classes_of_others_that_cannot_be_looked_at_are_passed_over() -> None:
    hostile = _Hostile("Hostile", (), {})

    assert call(Fulfils.pay, open={}, approved={}, order_id="o")["attempt"] == 1
    assert type(hostile) is _Hostile


def test_a_method_of_an_object_is_called_on_that() -> None:
    assert call(Fulfils("mine").open, order_id="o-1", day="2030-01-02")["by"] == "mine"


def test_a_value_that_does_not_fit_is_refused_as_in_a_run() -> None:
    with pytest.raises(BindingError, match="day"):
        call(Fulfils.open, order_id="o-1", day="soon")
    with pytest.raises(BindingError, match="approved"):
        call(Fulfils.pay, open={}, order_id="o")


def test_what_cannot_be_stored_is_refused() -> None:
    with pytest.raises(PayloadError, match=r"the output of Fulfils\.bad"):
        call(Fulfils.bad)
    with pytest.raises(PayloadError, match="the argument order_id"):
        call(Fulfils.open, order_id=object(), day="2030-01-02")


@pytest.mark.parametrize("what", [len, Order, Fulfils, lambda: None])
def test_what_is_no_step_is_refused(what: Any) -> None:
    with pytest.raises(InvalidTest, match="is no step of a workflow"):
        call(what)
