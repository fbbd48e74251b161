"""A step's arguments: by name from the run's input, then from what its dependencies returned."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from fluxio import StepContext
from fluxio.binding import Signature
from fluxio.errors import BindingError

if TYPE_CHECKING:
    from fluxio.services import Services

CONTEXT = StepContext("run-1", "W", "s", 1, 0)


def bind(
    function: Callable[..., Any],
    input: dict[str, Any] | None = None,
    outputs: dict[str, Any] | None = None,
) -> dict[str, Any]:
    return Signature.of(function, "W.s").bind(input or {}, outputs or {}, CONTEXT)


class TestNames:
    def test_the_input_supplies_by_name(self) -> None:
        def s(self, a, b): ...

        assert bind(s, {"a": 1, "b": [2], "unused": 3}) == {"a": 1, "b": [2]}

    def test_a_dependencys_output_comes_before_the_input(self) -> None:
        def s(self, a, b): ...

        assert bind(s, {"a": "input", "b": "input"}, {"dep": {"a": "dep"}}) == {
            "a": "dep",
            "b": "input",
        }

    def test_a_parameter_named_like_a_dependency_gets_its_whole_output(self) -> None:
        def s(self, dep, other): ...

        outputs = {"dep": {"dep": "inner", "x": 1}, "other": [1, 2]}
        assert bind(s, {"dep": "input"}, outputs) == {
            "dep": {"dep": "inner", "x": 1},
            "other": [1, 2],
        }

    def test_ctx_gets_the_context_whatever_the_input_says(self) -> None:
        def s(self, ctx: StepContext): ...

        assert bind(s, {"ctx": "input"}) == {"ctx": CONTEXT}

    def test_kwargs_get_the_rest(self) -> None:
        def s(self, a, **kwargs): ...

        assert bind(s, {"a": 1, "b": 2, "ctx": 0, "self": 0}, {"dep": {"c": 3}}) == {
            "a": 1,
            "b": 2,
            "c": 3,
        }

    def test_defaults_stand_where_nothing_is_supplied(self) -> None:
        def s(self, a=1, *, b=2): ...

        assert bind(s, {"b": 5}) == {"b": 5}

    def test_null_is_a_value(self) -> None:
        def s(self, a=1): ...

        assert bind(s, {"a": None}) == {"a": None}

    @pytest.mark.parametrize("output", [None, 7, "text", [{"a": 1}]])
    def test_an_output_that_is_no_object_supplies_no_names(self, output: object) -> None:
        def s(self, a="default"): ...

        assert bind(s, {}, {"dep": output}) == {}


class TestConflicts:
    def test_two_dependencies_that_agree_are_fine(self) -> None:
        def s(self, a): ...

        assert bind(s, {}, {"x": {"a": [1]}, "y": {"a": [1]}}) == {"a": [1]}

    def test_two_that_disagree_are_an_error_that_names_them(self) -> None:
        def s(self, a): ...

        with pytest.raises(BindingError) as caught:
            bind(s, {"a": 0}, {"x": {"a": 1}, "y": {"a": 2}})
        assert str(caught.value) == (
            "the parameter 'a' is handed over by both x and y, with different values. "
            "Take one of them whole, by a parameter named 'x' or 'y'."
        )

    def test_a_third_that_agrees_with_the_second_does_not_mend_it(self) -> None:
        def s(self, a): ...

        with pytest.raises(BindingError, match="handed over by both x and y"):
            bind(s, {}, {"x": {"a": 1}, "y": {"a": 2}, "z": {"a": 2}})

    def test_a_step_that_does_not_ask_for_the_name_does_not_mind(self) -> None:
        def s(self, b, **kwargs): ...

        assert bind(s, {}, {"x": {"a": 1, "b": 3}, "y": {"a": 2}}) == {"b": 3}

    def test_taking_the_dependencies_whole_settles_it(self) -> None:
        def s(self, x, y): ...

        outputs = {"x": {"a": 1}, "y": {"a": 2}}
        assert bind(s, {}, outputs) == outputs


class TestNothingSupplies:
    def test_the_error_says_what_there_is(self) -> None:
        def s(self, token): ...

        with pytest.raises(BindingError) as caught:
            bind(s, {"order_id": 1}, {"pay": {"amount": 2}})
        assert str(caught.value) == (
            "nothing supplies the parameter 'token': the run's input and what pay handed over have "
            "amount, order_id. Pass it to start, return it from a step in depends_on, or give it a "
            "default. Parameters named pay take whole outputs."
        )

    def test_a_root_with_an_empty_input(self) -> None:
        def s(self, token): ...

        with pytest.raises(BindingError, match="the run's input has nothing"):
            bind(s)


class Colour(Enum):
    RED = "red"


class Address(BaseModel):
    street: str
    number: int


class Customer(BaseModel):
    name: str
    address: Address
    since: date = Field(alias="customerSince")


@dataclass
class Line:
    sku: str
    count: int = 1


class TestTypes:
    @pytest.mark.parametrize(
        ("kind", "value", "bound"),
        [
            (float, 99, 99.0),
            (int, "7", 7),
            (bool, True, True),
            (str, "text", "text"),
            (dict, {"a": 1}, {"a": 1}),
            (list[int], [1, "2"], [1, 2]),
            (int | None, None, None),
            (Literal["a", "b"], "b", "b"),
            (date, "2030-01-02", date(2030, 1, 2)),
            (
                datetime,
                "2030-01-02T03:04:05Z",
                datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
            ),
            (Decimal, "1.10", Decimal("1.10")),
            (
                UUID,
                "12345678-1234-5678-1234-567812345678",
                UUID(int=0x12345678123456781234567812345678),
            ),
            (bytes, "abc", b"abc"),
            (Colour, "red", Colour.RED),
            (Line, {"sku": "x"}, Line("x", 1)),
            (list[Line], [{"sku": "x", "count": 2}], [Line("x", 2)]),
            (
                Customer,
                {
                    "name": "A",
                    "address": {"street": "B", "number": 1},
                    "customerSince": "2030-01-02",
                },
                Customer(
                    name="A", address=Address(street="B", number=1), customerSince=date(2030, 1, 2)
                ),
            ),
            (Any, {"as": "it is"}, {"as": "it is"}),
        ],
    )
    def test_a_value_becomes_what_its_annotation_says(
        self, kind: Any, value: object, bound: object
    ) -> None:
        def s(self, x): ...

        s.__annotations__["x"] = kind
        got = bind(s, {"x": value})["x"]
        assert got == bound
        assert type(got) is type(bound)

    def test_annotations_that_are_strings_are_read(self) -> None:
        def s(self, at: date, line: Line | None = None): ...

        assert all(isinstance(kind, str) for kind in s.__annotations__.values())
        assert bind(s, {"at": "2030-01-02", "line": {"sku": "x"}}) == {
            "at": date(2030, 1, 2),
            "line": Line("x"),
        }

    def test_whole_outputs_are_converted_too(self) -> None:
        def s(self, address: Address): ...

        outputs = {"address": {"street": "B", "number": 1}}
        assert bind(s, {}, outputs) == {"address": Address(street="B", number=1)}

    def test_defaults_and_kwargs_are_left_as_they_are(self) -> None:
        def s(self, at: date = "never", **kwargs: int): ...  # type: ignore[assignment]

        assert bind(s, {"other": "text"}) == {"other": "text"}

    @pytest.mark.parametrize(
        ("kind", "value", "problem"),
        [
            (int, "many", "x: Input should be a valid integer"),
            (int, 1.5, "x: Input should be a valid integer"),
            (str, 7, "x: Input should be a valid string"),
            (date, "soon", "x: Input should be a valid date"),
            (Address, {"street": "B"}, "number: Field required"),
            (list[Line], [{"sku": 1}], "0.sku: Input should be a valid string"),
            (Literal["a"], "b", "x: Input should be 'a'"),
        ],
    )
    def test_a_value_that_does_not_fit_is_an_error_that_says_where(
        self, kind: Any, value: object, problem: str
    ) -> None:
        def s(self, x): ...

        s.__annotations__["x"] = kind
        with pytest.raises(BindingError) as caught:
            bind(s, {"x": value})
        assert str(caught.value).startswith(
            f"the value of the parameter 'x' does not fit its type: {problem}"
        )

    def test_the_error_does_not_show_the_value(self) -> None:
        def s(self, x: int): ...

        with pytest.raises(BindingError) as caught:
            bind(s, {"x": "4111 1111 1111 1111"})
        assert "4111" not in str(caught.value)

    def test_an_annotation_that_is_not_there_at_run_time(self) -> None:
        def s(self, x: Services): ...

        with pytest.raises(BindingError, match="Import the name at run time, not only under TYPE"):
            bind(s, {"x": 1})

    def test_an_annotation_that_pydantic_does_not_know(self) -> None:
        class Odd: ...

        def s(self, x): ...

        s.__annotations__["x"] = Odd
        with pytest.raises(BindingError, match="is no type that pydantic can check"):
            bind(s, {"x": 1})


def test_plain_values_of_plain_types_do_not_import_pydantic() -> None:
    import subprocess

    code = """
import sys
from fluxio.binding import Signature
def s(self, a: str, b: float, c: dict, d: "list", e, f: bool = True): ...
values = {"a": "x", "b": 1, "c": {}, "d": [], "e": None, "f": False}
assert Signature.of(s, "W.s").bind(values, {}, None) == values
assert "pydantic" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
