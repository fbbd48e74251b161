"""What a run is started with is checked before any step's code runs, and reaches the steps as it is."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal
from enum import Enum
from typing import Any, TypedDict
from uuid import UUID

import pytest
from pydantic import BaseModel, Field

from fluxio import FluxioEngine, step, workflow
from fluxio_client import InvalidInput, PayloadError, Run, RunExists, RunStatus
from tests.moto.pump import LogLines, World

CALLED: list[str] = []


class Order(BaseModel):
    order_id: str
    amount: Decimal = Field(gt=0)
    currency: str = "EUR"


@dataclass
class OrderData:
    order_id: str
    amount: Decimal
    currency: str = "EUR"


class OrderDict(TypedDict):
    order_id: str
    amount: Decimal


@workflow(input=Order)
class Typed:
    """Charges before anything asks for the field that is wrong."""

    @step(retry=3)
    def charge(self, order_id: str) -> dict[str, str]:
        CALLED.append(order_id)
        return {"charge_id": "c"}

    @step(retry=3)
    def reserve(self) -> None:
        CALLED.append("reserve")

    @step(depends_on=["charge", "reserve"])
    def ship(self, charge_id: str, input: Order, currency: str) -> dict[str, Any]:
        return {"charge_id": charge_id, "amount": input.amount, "currency": currency}


@pytest.fixture(autouse=True)
def _nothing_was_called() -> None:
    CALLED.clear()


class TestInput:
    @pytest.mark.parametrize("inline_branches", [0, 10])
    @pytest.mark.parametrize(
        "input",
        [{}, {"order_id": "o-1"}, {"order_id": 7, "amount": 1}, {"order_id": "o-1", "amount": -1}],
    )
    def test_one_that_does_not_fit_fails_before_any_step_runs(
        self, world: World, input: dict[str, Any], inline_branches: int
    ) -> None:
        run = world.run(Typed, input, inline_branches=inline_branches)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert run.error.type == "BindingError"
        assert run.error.message.startswith("the run's input does not fit its type: ")
        assert CALLED == []

    def test_one_that_fits_reaches_the_steps_whole_by_name_and_with_its_defaults(
        self, world: World
    ) -> None:
        run = world.run(Typed, {"order_id": "o-1", "amount": "1.10"})
        assert run.result == {"charge_id": "c", "amount": "1.10", "currency": "EUR"}
        assert sorted(CALLED) == ["o-1", "reserve"]

    def test_what_the_input_says_comes_before_the_types_default(self, world: World) -> None:
        run = world.run(Typed, {"order_id": "o-1", "amount": 1, "currency": "CHF"})
        assert run.result["currency"] == "CHF"

    @pytest.mark.parametrize("kind", [OrderData, OrderDict])
    def test_the_type_may_be_a_dataclass_or_a_typed_dict(self, world: World, kind: type) -> None:
        @workflow(input=kind)
        class Other:
            @step
            def charge(self, order_id: str, input: kind) -> dict[str, Any]:  # type: ignore[valid-type]
                CALLED.append(order_id)
                return {"input": input}

        assert world.run(Other, {"order_id": "o-1"}).status is RunStatus.FAILED
        assert CALLED == []
        run = world.run(Other, {"order_id": "o-1", "amount": "2"})
        assert run.result["input"]["amount"] == "2"

    def test_without_a_type_input_is_what_was_handed_over(self, world: World) -> None:
        @workflow
        class Plain:
            @step
            def first(self, input: dict[str, Any], rest: int = 0) -> dict[str, Any]:
                return input

        assert world.run(Plain, {"a": 1, "input": 2}).result == {"a": 1, "input": 2}


@pytest.mark.parametrize("by", ["client", "engine"])
class TestClassAtHand:
    """Where the class is at hand, `start` checks the input before there is a run."""

    def start(self, world: World, by: str, cls: type, input: Any, run_id: str | None = None) -> str:
        if by == "client":
            return world.client.start(cls, input, run_id).run_id
        engine = FluxioEngine.__new__(FluxioEngine)
        engine.client = world.client
        return engine.start_workflow(cls, input, run_id)

    def test_a_class_starts_its_workflow(self, world: World, by: str) -> None:
        order = Order(order_id="o-1", amount=Decimal(3))
        run_id = self.start(world, by, Typed, order, "order-1")
        assert self.start(world, by, Typed, order, "order-1") == run_id
        world.pump(Typed).drain()
        assert world.client.get(run_id).status is RunStatus.SUCCEEDED

    @pytest.mark.parametrize("input", [None, {"order_id": "o-1"}, {"order_id": "o-1", "amount": 0}])
    def test_an_input_that_does_not_fit_starts_nothing(
        self, world: World, by: str, input: Any
    ) -> None:
        with pytest.raises(InvalidInput, match=r"no run of Typed was started: .* does not fit"):
            self.start(world, by, Typed, input, "order-2")
        assert world.client.start("Typed", {"other": 1}, run_id="order-2").created_at

    def test_what_is_no_workflow(self, world: World, by: str) -> None:
        with pytest.raises(InvalidInput, match="is no workflow: pass a class decorated"):
            self.start(world, by, Order, {})


class Colour(Enum):
    RED = "red"


class Item(BaseModel):
    id: UUID = UUID(int=1)
    price: Decimal = Decimal("1.10")
    on: date = date(2030, 1, 2)
    tags: set[str] = {"b", "a", "c"}
    colour: Colour = Colour.RED
    days: dict[date, int] = {date(2030, 1, 2): 1}


@dataclass
class ItemData:
    days: dict[date, int]
    tags: frozenset[str]
    colour: Colour
    on: date
    price: Decimal
    id: UUID


ITEM = Item()


class TestSameRun:
    """`start` may be repeated with the same id and the same values, however they are put."""

    @pytest.mark.parametrize(
        "again",
        [
            Item(tags={"c", "b", "a"}),
            ITEM.model_dump(),
            ITEM.model_dump(mode="json") | {"tags": ["a", "b", "c"]},
            dict(reversed(ITEM.model_dump().items())),
            ItemData(
                days={date(2030, 1, 2): 1},
                tags=frozenset("cba"),
                colour=Colour.RED,
                on=date(2030, 1, 2),
                price=Decimal("1.10"),
                id=UUID(int=1),
            ),
        ],
    )
    def test_equal_values_are_the_same_run(self, world: World, again: Any) -> None:
        assert world.client.start("W", ITEM, run_id="r").run_id == "r"
        assert world.client.start("W", again, run_id="r").run_id == "r"

    @pytest.mark.parametrize(
        "change",
        [
            {"price": Decimal("1.1")},
            {"price": Decimal("1.100")},
            {"at": datetime(2030, 1, 2, 1, tzinfo=timezone(timedelta(hours=1)))},
            {"part": {"item": Item(price=Decimal("1.1"), tags={"c", "a", "b"})}},
        ],
    )
    def test_equal_values_that_are_written_otherwise_too(self, world: World, change: Any) -> None:
        first = {
            "price": Decimal("1.10"),
            "part": {"item": ITEM},
            "at": datetime(2030, 1, 2, tzinfo=timezone.utc),
        }
        world.client.start("W", first, run_id="r")
        assert world.client.start("W", {**first, **change}, run_id="r").run_id == "r"

    @pytest.mark.parametrize(
        "change",
        [
            {"price": Decimal("1.11")},
            {"price": "1.1"},
            {"price": None},
            {"at": datetime(2030, 1, 2)},  # noqa: DTZ001
            {"part": {"item": Item(price=Decimal("1.11"))}},
            {"part": {"item": Item(tags={"a"})}},
            {"part": {"item": Item(), "more": 1}},
            {"part": {"item": {**ITEM.model_dump(), "more": 1}}},
        ],
    )
    def test_and_others_are_another_run(self, world: World, change: Any) -> None:
        first = {
            "price": Decimal("1.10"),
            "part": {"item": ITEM},
            "at": datetime(2030, 1, 2, tzinfo=timezone.utc),
        }
        world.client.start("W", first, run_id="r")
        with pytest.raises(RunExists):
            world.client.start("W", {**first, **change}, run_id="r")

    @pytest.mark.parametrize(
        ("one", "same"), [(0.0, -0.0), (1e2, 100.0), ({1, 2}, {2, 1}), ((1,), [1])]
    )
    def test_however_python_puts_them(self, world: World, one: Any, same: Any) -> None:
        world.client.start("W", {"a": one}, run_id="r")
        assert world.client.start("W", {"a": same}, run_id="r").run_id == "r"

    @pytest.mark.parametrize(
        ("one", "other"),
        [
            (1, True),
            (1, 1.0),
            (True, 1.0),
            (0, False),
            (0, None),
            ("1", 1),
            ([1, 2], [2, 1]),
            ([1], [True]),
        ],
    )
    def test_values_that_json_tells_apart_are_another_run(
        self, world: World, one: Any, other: Any
    ) -> None:
        world.client.start("W", {"a": [{"b": one}]}, run_id="r")
        with pytest.raises(RunExists):
            world.client.start("W", {"a": [{"b": other}]}, run_id="r")

    def test_a_process_that_comes_after_writes_the_same(self) -> None:
        code = (
            "from fluxio_protocol import layout\n"
            "from tests.moto.test_typed_input import ITEM\n"
            "print(layout.encode(ITEM, 'x'))"
        )
        seen = {
            subprocess.run(
                [sys.executable, "-c", code],
                env={
                    **os.environ,
                    "PYTHONHASHSEED": seed,
                    "PYTHONPATH": os.pathsep.join(["", *sys.path]),
                },
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            for seed in "123"
        }
        assert len(seen) == 1

    def test_an_input_that_would_become_another_value_starts_nothing(self, world: World) -> None:
        with pytest.raises(PayloadError, match=r"\(at \['a'\]\[0\]\)"):
            world.client.start("W", {"a": [float("nan")]}, run_id="r")


@workflow
class Chain:
    @step
    def a(self) -> dict[str, Any]:
        return {"user_id": 7, "long": "x" * 1000}

    @step(depends_on=["a"])
    def b(self) -> dict[str, Any]:
        return {"other": 1}

    @step(depends_on=["b"], retry=2)
    def c(self, user_id: int) -> int:
        return user_id


@workflow
class Join:
    @step
    def left(self) -> dict[str, Any]:
        return {"status": "left", "secret": "4111", "flag": 1, "same": [1], "only_left": 1}

    @step
    def right(self) -> dict[str, Any]:
        return {"status": "right", "secret": "4222", "flag": True, "same": [1]}

    @step(depends_on=["left", "right"])
    def join(self, **kwargs: Any) -> dict[str, Any]:
        return kwargs


def failed(run: Run) -> str:
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert run.error.type == "BindingError"
    return run.error.message


def test_a_name_that_only_a_step_further_back_has_is_said_to_be_there(world: World) -> None:
    said = failed(world.run(Chain))
    assert "The step a, further back, returned it: add 'a' to depends_on." in said


def test_names_that_kwargs_lose_are_in_the_log_and_their_values_are_not(
    world: World, log_lines: LogLines
) -> None:
    run = world.run(Join, {"status": "input"})
    assert run.result == {"same": [1], "only_left": 1}
    (line,) = [line for line in log_lines() if line["message"] == "names left out of **kwargs"]
    assert (line["level"], line["names"]) == ("WARN", ["flag", "secret", "status"])
    assert (line["step"], line["run_id"]) == ("join", run.run_id)
    assert "4111" not in str(log_lines())


def test_a_predicate_is_given_what_the_inputs_type_adds(world: World) -> None:
    class Order(BaseModel):
        express: bool = True

    @workflow(name="Adds", input=Order)
    class Adds:
        @step(when=lambda express: express)
        def send(self) -> dict[str, bool]:
            return {"sent": True}

    world.client.start("Adds", {}, run_id="a")
    world.pump(Adds).drain()
    assert world.client.get("a").result == {"sent": True}
