"""What is stored is the value that was handed over, or an error says which part of it cannot be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections import OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from enum import Enum, IntEnum, IntFlag
from fractions import Fraction
from ipaddress import IPv4Address
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

import pytest
from pydantic import (
    AnyUrl,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    PlainSerializer,
    PrivateAttr,
    RootModel,
    Secret,
    SecretBytes,
    SecretStr,
    TypeAdapter,
    computed_field,
    field_serializer,
    field_validator,
    model_serializer,
)
from pydantic.dataclasses import dataclass as pydantic_dataclass

from fluxio_protocol import layout
from fluxio_protocol.encoding import same
from fluxio_protocol.errors import PayloadError


def stored(value: object) -> Any:
    return json.loads(layout.encode(value, "the output"))


class Colour(Enum):
    RED = "red"


class Word(str, Enum):
    YES = "yes"


class Level(IntEnum):
    HIGH = 3


class Bits(IntFlag):
    A = 1
    B = 2


class Ratio(float, Enum):
    HALF = 0.5


class Euro(float): ...


class Count(int): ...


class Name(str): ...


Point = namedtuple("Point", "x y")
ID = UUID(int=7)
UTC = timezone.utc


class Base(BaseModel):
    sku: str = "s"


class Sub(Base):
    gift: bool = True


class Basket(BaseModel):
    lines: list[Base] = []
    first: Base | None = None
    by_name: dict[str, Base] = {}


@dataclass
class Line:
    sku: str
    price: Decimal = Decimal(0)


@dataclass
class LongLine(Line):
    note: str = ""


@pydantic_dataclass
class Checked:
    at: date
    lines: list[Line] = field(default_factory=list)


class Camel(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    charge_id: str = Field("none", alias="chargeId")


class Total(BaseModel):
    net: int

    @computed_field
    def gross(self) -> int:
        return 2 * self.net


class Tags(RootModel[set[str]]): ...


class Loose(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Revealed(BaseModel):
    """Pydantic's documented way to write a secret out."""

    token: SecretStr

    @field_serializer("token", when_used="json")
    def reveal(self, token: SecretStr) -> str:
        return token.get_secret_value()


class Cents(BaseModel):
    amount: Annotated[Decimal, PlainSerializer(str)]


T = TypeVar("T")


class Box(BaseModel, Generic[T]):
    content: T


class Cached(BaseModel):
    a: int
    _cache: dict[str, int] = PrivateAttr(default_factory=dict)
    scratch: int | None = Field(default=None, exclude=True)


def cached() -> Cached:
    made = Cached(a=1)
    made._cache["x"] = 1
    return made


class TestWhatIsStored:
    @pytest.mark.parametrize(
        ("value", "tree"),
        [
            (Euro(1.5), 1.5),
            (Count(3), 3),
            (Name("n"), "n"),
            (Colour.RED, "red"),
            (Word.YES, "yes"),
            (Level.HIGH, 3),
            (Bits.A | Bits.B, 3),
            (Ratio.HALF, 0.5),
            (10**300, 10**300),
            (-0.0, -0.0),
            (Decimal("0.10000000000000000000000001"), "0.10000000000000000000000001"),
            (Fraction(1, 3), "1/3"),
            (time(1, 2), "01:02:00"),
            (timedelta(days=1, microseconds=1), "P1DT0.000001S"),
            (datetime(2030, 1, 2, 3, tzinfo=timezone(timedelta(hours=1))), "2030-01-02T03:00:00+01:00"),
            (IPv4Address("10.0.0.1"), "10.0.0.1"),
            (Path("/a/b"), "/a/b"),
            (HttpUrl("https://a.b/c"), "https://a.b/c"),
            (AnyUrl("s3://a/b"), "s3://a/b"),
            (bytearray(b"ab"), "ab"),
            (Point(1, [2]), [1, [2]]),
            (deque([1, date(2030, 1, 2)]), [1, "2030-01-02"]),
            (OrderedDict(b=1, a=2), {"b": 1, "a": 2}),
            (defaultdict(list, a=[ID]), {"a": [str(ID)]}),
            (MappingProxyType({"a": 1}), {"a": 1}),
            ((part for part in (1, ID)), [1, str(ID)]),
            (map(str, [1]), ["1"]),
            ({3, 20, 100}, [3, 20, 100]),
            (frozenset({ID}), [str(ID)]),
            ({Colour.RED: {Level.HIGH}}, {"red": [3]}),
            (Line("x", Decimal("1.10")), {"sku": "x", "price": "1.10"}),
            (
                Checked(date(2030, 1, 2), [Line("x")]),
                {"at": "2030-01-02", "lines": [{"sku": "x", "price": "0"}]},
            ),
            (Basket(lines=[Sub()]), {"lines": [{"sku": "s", "gift": True}], "first": None, "by_name": {}}),
            (
                Basket(first=Sub(), by_name={"a": Sub(gift=False)}),
                {
                    "lines": [],
                    "first": {"sku": "s", "gift": True},
                    "by_name": {"a": {"sku": "s", "gift": False}},
                },
            ),
            ([Checked(date(2030, 1, 2), [LongLine("x", note="n")])],
             [{"at": "2030-01-02", "lines": [{"sku": "x", "price": "0", "note": "n"}]}]),
            (Camel(charge_id="c"), {"chargeId": "c"}),  # type: ignore[call-arg]
            (Total(net=2), {"net": 2, "gross": 4}),
            (Tags({"b", "a", "c"}), ["a", "b", "c"]),
            (Loose(a=1, b={ID}), {"a": 1, "b": [str(ID)]}),  # type: ignore[call-arg]
            (Revealed(token=SecretStr("t-1")), {"token": "t-1"}),
            (SecretStr(""), ""),
            (Cents(amount=Decimal("1.10")), {"amount": "1.10"}),
            (Box[Base](content=Sub()), {"content": {"sku": "s", "gift": True}}),
            (Box[Any](content=Decimal("1.1")), {"content": "1.1"}),
            (cached(), {"a": 1}),
        ],
    )  # fmt: skip
    def test_it_is_the_value(self, value: object, tree: object) -> None:
        assert same(stored({"x": [value]})["x"][0], tree)

    @pytest.mark.parametrize(
        "value",
        [
            Basket(lines=[Sub()]),
            Checked(date(2030, 1, 2), [Line("x", Decimal("1.1"))]),
            Camel(charge_id="c"),  # type: ignore[call-arg]
            Total(net=2),
            Tags({"a", "b"}),
            Revealed(token=SecretStr("t-1")),
            Cents(amount=Decimal("1.10")),
            Box[set[Decimal]](content={Decimal(1), Decimal("2.5")}),
            Box[dict[UUID, date]](content={ID: date(2030, 1, 2)}),
            Box[bytes](content=b"ab"),
            Line("x", Decimal("1.1")),
        ],
    )
    def test_its_class_reads_back_an_equal_one(self, value: Any) -> None:
        back = TypeAdapter(type(value)).validate_json(layout.encode(value, "the output"))
        if isinstance(value, Basket):  # whoever declares the base gets the base
            back.lines[0] = Sub(**back.lines[0].model_dump())
        assert back == value


class Plain(BaseModel):
    token: SecretStr | SecretBytes | Secret[date] | None = None


class Excluded(BaseModel):
    a: int = 1
    card: str | None = Field(None, exclude=True)


class ExcludedRequired(BaseModel):
    card: str = Field(exclude=True)


class OneWay(BaseModel):
    charge_id: str = Field("none", serialization_alias="chargeId")


class Rounded(BaseModel):
    amount: Decimal

    @field_serializer("amount")
    def two_digits(self, amount: Decimal) -> str:
        return f"{amount:.2f}"


class RoundedInside(BaseModel):
    amounts: list[Annotated[Decimal, PlainSerializer(float)]]


class Hashed(BaseModel):
    word: str

    @field_validator("word")
    @classmethod
    def hash_it(cls, word: str) -> str:
        return f"#{word}"


class Cat(BaseModel):
    name: str


class Dog(BaseModel):
    name: str


class Pet(BaseModel):
    who: Cat | Dog


class Base64(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64")
    data: bytes


class Stripped(BaseModel):
    a: int = 1
    b: int = 2

    @model_serializer
    def only_a(self) -> dict[str, int]:
        return {"a": self.a}


class Numbers(BaseModel):
    n: float = 0
    o: float | None = None


@dataclass
class Late:
    a: int
    total: int = field(init=False, default=0)


def late() -> Late:
    made = Late(1)
    made.total = 5
    return made


@pydantic_dataclass
class ExcludedData:
    card: str = Field("", exclude=True)


class Lazy(BaseModel):
    lines: Iterable[int]


class LazyBesideOwn(Lazy):
    at: Annotated[Decimal, PlainSerializer(str)]


class Unknown: ...


class TestWhatIsRefused:
    @pytest.mark.parametrize(
        ("value", "place"),
        [
            (SecretStr("t-1"), ""),
            (SecretBytes(b"t-1"), ""),
            (Secret[date](date(2030, 1, 2)), ""),
            ([SecretStr("t-1")], "[0]"),
            (Plain(token=SecretStr("t-1")), "['token']"),
            (Plain(token=SecretBytes(b"t-1")), "['token']"),
            (Plain(token=Secret[date](date(2030, 1, 2))), "['token']"),
            ({"a": [Plain(token=SecretStr("t-1"))]}, "['a'][0]['token']"),
            (Box[list[SecretStr]](content=[SecretStr("t-1")]), "['content'][0]"),
            (Box[Any](content=SecretStr("t-1")), "['content']"),
            ({SecretStr("t-1"): 1}, "[SecretStr('**********')]"),
            (Excluded(card="4111"), "['card']"),
            (ExcludedRequired(card="4111"), "['card']"),
            (ExcludedData(card="4111"), "['card']"),
            (Box[Excluded](content=Excluded(card="4111")), "['content']['card']"),
            (OneWay(charge_id="c"), "['charge_id']"),
            (Rounded(amount=Decimal("1.005")), "['amount']"),
            (
                RoundedInside(amounts=[Decimal("0.1"), Decimal("0.10000000000000000000001")]),
                "['amounts'][1]",
            ),
            (Hashed(word="x"), "['word']"),
            (Pet(who=Dog(name="rex")), "['who']"),
            (Base64(data=b"abc"), "['data']"),
            (Stripped(b=7), "['b']"),
            (Numbers(n=float("nan")), "['n']"),
            (Numbers(o=float("inf")), "['o']"),
            (Box[float](content=Euro("nan")), "['content']"),
            ({"a": (1, float("-inf"))}, "['a'][1]"),
            ([Decimal("NaN")], "[0]"),
            ({"a": Decimal("Infinity")}, "['a']"),
            (late(), "['total']"),
            ({"p": re.compile("a", re.IGNORECASE)}, "['p']"),
            ({"b": b"\xff"}, "['b']"),
            (Box[Any](content=b"\xff"), "['content']"),
            ({"u": Unknown()}, "['u']"),
            (Box[Any](content=[Unknown()]), "['content'][0]"),
            ({"c": Unknown}, "['c']"),
            ({"r": [range(3)]}, "['r'][0]"),
            ({"s": "\ud800"}, "['s']"),
            (Lazy(lines=[1, 2]), "['lines']"),
            (LazyBesideOwn(lines=[1, 2], at=Decimal("1.5")), "['lines']"),
            ({"n": [10**5000]}, "['n'][0]"),
        ],
    )
    def test_another_value_is_never_stored_and_the_error_says_where(
        self, value: object, place: str
    ) -> None:
        with pytest.raises(PayloadError) as caught:
            layout.encode(value, "the output of a")
        said = str(caught.value)
        assert said.startswith(
            f"the output of a cannot be stored as JSON{place and f' (at {place})'}: "
        )
        assert "4111" not in said
        assert "t-1" not in said

    def test_a_coroutine_is_named_as_one(self) -> None:
        async def charge() -> None: ...

        with pytest.raises(
            PayloadError, match=r"\(at \['a'\]\): it is a coroutine that nothing has awaited"
        ):
            layout.encode({"a": charge()}, "the output")

    def test_a_generator_that_raises_is_the_users_error(self) -> None:
        def lines() -> Any:
            yield 1
            raise LookupError("no such line")

        with pytest.raises(LookupError, match="no such line"):
            layout.encode({"lines": lines()}, "the output")


class TestKeys:
    @pytest.mark.parametrize(
        ("key", "text"),
        [
            (ID, str(ID)),
            (date(2030, 1, 2), "2030-01-02"),
            (datetime(2030, 1, 2, tzinfo=UTC), "2030-01-02T00:00:00Z"),
            (time(1, 2), "01:02:00"),
            (timedelta(seconds=3), "PT3S"),
            (Decimal("1.50"), "1.50"),
            (Colour.RED, "red"),
            (Word.YES, "yes"),
            (Level.HIGH, "3"),
            (Name("n"), "n"),
            (7, "7"),
            (1.5, "1.5"),
            (True, "true"),
            (None, "None"),
            (b"ab", "ab"),
            (IPv4Address("10.0.0.1"), "10.0.0.1"),
            (Path("/a"), "/a"),
        ],
    )
    @pytest.mark.parametrize(
        "wrap", [lambda d: d, lambda d: [{"in": d}], lambda d: Box[Any](content=d)]
    )
    def test_they_are_written_as_pydantic_writes_them(
        self, key: Any, text: str, wrap: Callable[[Any], Any]
    ) -> None:
        from pydantic_core import to_jsonable_python

        assert to_jsonable_python({key: 1}) == {text: 1}
        assert stored(wrap({key: 1})) == stored(wrap({text: 1}))

    @pytest.mark.parametrize(
        ("keys", "text"),
        [
            ((1, "1"), "'1'"),
            ((True, "true"), "'true'"),
            ((ID, str(ID)), f"'{ID}'"),
            ((Colour.RED, "red"), "'red'"),
            ((Decimal("1.5"), "1.5"), "'1.5'"),
            ((date(2030, 1, 2), "2030-01-02"), "'2030-01-02'"),
        ],
    )
    @pytest.mark.parametrize("wrap", [lambda d: d, lambda d: Box[Any](content=d)])
    def test_two_that_become_one_are_refused_by_name(
        self, keys: tuple[Any, Any], text: str, wrap: Callable[[Any], Any]
    ) -> None:
        with pytest.raises(PayloadError, match=f"two of its keys are written as {text}"):
            layout.encode(wrap(dict.fromkeys(keys, 0)), "the output")

    @pytest.mark.parametrize(
        "key", [(1, 2), Point(1, 2), frozenset({1}), float("nan"), Unknown(), b"\xff"]
    )
    def test_what_can_be_no_key_is_refused(self, key: Any) -> None:
        with pytest.raises(PayloadError, match="cannot be stored as JSON"):
            layout.encode({"a": {key: 1}}, "the output")


SETS = """
from dataclasses import dataclass
from pydantic import BaseModel, field_serializer
from fluxio_protocol import layout
class M(BaseModel):
    tags: set[str]
    pairs: set[tuple[str, int]]
    deep: frozenset[frozenset[str]]
@dataclass
class D:
    tags: frozenset[str]
words = ("cold", "express", "fragile", "gift", "heavy", "9", "10")
pairs = {(word, at) for at, word in enumerate(words)}
deep = frozenset(frozenset(words[:at]) for at in range(5))
value = {"plain": set(words), "mixed": {1, "1", 2.5, None}, "model": M(tags=words, pairs=pairs, deep=deep)}
print(layout.encode({**value, "data": [D(frozenset(words))], "keys": {*dict.fromkeys(words)}}, "x"))
"""


def test_a_set_is_stored_alike_in_every_process() -> None:
    seen = set()
    for seed in ("1", "2", "3", "4"):
        done = subprocess.run(
            [sys.executable, "-c", SETS],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        seen.add(done.stdout)
    assert len(seen) == 1


def test_plain_values_do_not_import_pydantic() -> None:
    code = """
import sys
from fluxio_protocol import layout
layout.encode({"a": [1, 2.5, True, None, "x"], "b": {"c": (1,)}}, "x")
assert "pydantic" not in sys.modules and "pydantic_core" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
