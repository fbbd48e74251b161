"""Whatever goes wrong when a value becomes its parameter's type is a BindingError that names the parameter."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypedDict

import pytest
from pydantic import AfterValidator, BaseModel, BeforeValidator, field_validator, model_validator
from pydantic_core import PydanticCustomError

from fluxio.binding import Signature
from fluxio.errors import BindingError


def bind(kind: Any, value: Any) -> Any:
    def s(self: Any, amount: Any) -> None: ...

    s.__annotations__["amount"] = kind
    return Signature.of(s, "W.s").bind({"amount": value}, {}, None)["amount"]


def raising(error: Callable[[], BaseException]) -> Callable[[Any], Any]:
    def check(value: Any) -> Any:
        raise error()

    return check


class Model(BaseModel):
    n: float


class Typed(TypedDict):
    n: float


@dataclass
class Data:
    n: float


class Unshowable(ValueError):
    def __str__(self) -> str:
        raise RuntimeError("not even this")


class Picky(BaseModel):
    n: int

    @field_validator("n")
    @classmethod
    def check(cls, n: int) -> int:
        return 1 // n


class PickyAsAWhole(BaseModel):
    n: int

    @model_validator(mode="after")
    def check(self) -> PickyAsAWhole:
        raise KeyError(self.n)


class NoSchema:
    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: Any) -> Any:
        raise LookupError("no schema today")


class Deep(BaseModel):
    inner: Deep | None = None


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth):
        value = {"inner": value}
    return value


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, 10**400),
        (float, -(10**400)),
        pytest.param(float, 10**5000, id="float-long"),
        (float, "1" + "0" * 400),
        (float, "1e400"),
        (list[float], [1.5, 10**400]),
        (dict[str, float], {"a": "1e999"}),
        (float | None, 10**400),
        (Model, {"n": 10**400}),
        (Data, {"n": 10**400}),
        (Typed, {"n": -(10**400)}),
        (int, "1" * 5000),
        (int, 1e300),
        (int, "many"),
        (Decimal, "1e9999999999999999999"),
        (Decimal, "NaN"),
        (timedelta, 10**30),
        (date, 10**30),
        (bytes, 5),
        (Deep, nested(900)),
        (Picky, {"n": 0}),
        (PickyAsAWhole, {"n": 1}),
        (Annotated[int, AfterValidator(raising(lambda: ZeroDivisionError("x")))], 1),
        (Annotated[int, BeforeValidator(raising(lambda: OverflowError("x")))], 1),
        (Annotated[int, AfterValidator(raising(lambda: RecursionError("x")))], 1),
        (Annotated[int, AfterValidator(raising(lambda: StopIteration("x")))], 1),
        (Annotated[int, AfterValidator(raising(lambda: OSError("x")))], 1),
        (Annotated[int, AfterValidator(raising(Unshowable))], 1),
        (Annotated[int, AfterValidator(raising(lambda: AssertionError("x")))], 1),
        (Annotated[int, AfterValidator(raising(lambda: PydanticCustomError("k", "no {x}")))], 1),
        (NoSchema, 1),
        (list[NoSchema], [1]),
    ],
)
def test_it_is_named(kind: Any, value: Any) -> None:
    with pytest.raises(BindingError, match="parameter 'amount'"):
        bind(kind, value)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (float, 10**300),
        (float, "1e300"),
        (float, "-Infinity"),
        (int, 10**400),
        (list[int], [10**400]),
        (Decimal, 10**400),
        (str, "1" * 400),
        (list[str], ["1e400", "9" * 400]),
        (Model, {"n": 1e308}),
    ],
)
def test_what_is_only_large_fits(kind: Any, value: Any) -> None:
    back = bind(kind, value)
    assert json.loads(json.dumps(value)) == value
    assert back == (Model(**value) if kind is Model else kind(value))  # type: ignore[operator]


def test_the_value_is_not_in_the_error() -> None:
    for kind in (int, date, list[int], Model):
        with pytest.raises(BindingError) as caught:
            bind(kind, "4111 1111 1111 1111")
        assert "4111" not in str(caught.value)


def test_types_that_are_equal_to_python_are_not_confused() -> None:
    assert bind(int | bool, True) is True
    assert type(bind(list[int], [1])[0]) is int


class Part(TypedDict):
    sku: str


class Whole(TypedDict, total=False):
    part: Part
    at: date


def test_a_typed_dict_of_the_standard_library_is_a_type_on_every_python() -> None:
    assert bind(Typed, {"n": 1}) == {"n": 1.0}
    assert bind(Whole, {}) == {}
    assert bind(Whole, {"part": {"sku": "s"}, "at": "2030-01-02"}) == {
        "part": {"sku": "s"},
        "at": date(2030, 1, 2),
    }
    for bad in ({"part": {}}, {"at": "soon"}, []):
        with pytest.raises(BindingError, match="parameter 'amount'"):
            bind(Whole, bad)
