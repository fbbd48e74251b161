"""What is wrong with a workflow is said when its class is decorated: which one, which step, and what to do."""

from __future__ import annotations

import abc
import asyncio
import dataclasses
import functools
import inspect
import warnings
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Protocol, TypedDict

import pytest
from pydantic import BaseModel, Field

from fluxio import Retry, step, workflow
from fluxio.definition import (
    MAX_DEPENDENTS,
    MAX_STEP_NAME,
    MAX_STEPS,
    WorkflowDefinition,
    definition_of,
)
from fluxio.errors import DefinitionError, DefinitionWarning
from fluxio_client import FluxioError
from fluxio_protocol.graph import Graph


def made(cls: type) -> WorkflowDefinition:
    definition = definition_of(cls)
    assert definition is not None
    return definition


def refusal(define: Callable[[], object]) -> str:
    """What the decorator says of a definition."""
    with pytest.raises(DefinitionError) as caught:
        define()
    assert isinstance(caught.value, FluxioError)
    return str(caught.value)


def made_async(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


def made_async_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def wrapper(*args: Any, **kwargs: Any) -> Any:
        yield function(*args, **kwargs)

    return wrapper


def made_generator(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        yield function(*args, **kwargs)

    return wrapper


class AsyncCall:
    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)

    async def __call__(self, *args: Any, **kwargs: Any) -> Any: ...


def run(function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return asyncio.run(function(*args, **kwargs))

    return wrapper


def generated(count: int, depends_on: Callable[[int], list[str]]) -> type:
    body: dict[str, Any] = {}
    for at in range(count):

        def method(self): ...

        method.__name__ = f"s{at}"
        body[method.__name__] = step(depends_on=depends_on(at))(method)
    return type("Generated", (), body)


class TestGraph:
    def test_a_class_becomes_steps_edges_and_waves(self) -> None:
        @workflow
        class Diamond:
            @step
            def top(self): ...

            @step(depends_on=["top"], retry=2, timeout=5)
            def left(self): ...

            @step(depends_on=("top",), isolated=True)
            def right(self): ...

            @step(depends_on=["left", "right"])
            def bottom(self): ...

            def helper(self): ...

        diamond = made(Diamond)
        assert diamond.name == "Diamond"
        assert diamond.cls is Diamond
        assert diamond.graph.depends_on == {
            "top": (),
            "left": ("top",),
            "right": ("top",),
            "bottom": ("left", "right"),
        }
        assert diamond.waves == (("top",), ("left", "right"), ("bottom",))
        assert diamond.steps["left"].retry == Retry(2)
        assert diamond.steps["left"].timeout == 5
        assert diamond.steps["top"].timeout is None
        assert [s.isolated for s in diamond.steps.values()] == [False, False, True, False]

    def test_a_wave_stands_after_the_last_of_what_it_depends_on(self) -> None:
        @workflow
        class Lopsided:
            @step
            def a(self): ...

            @step(depends_on=["a"])
            def b(self): ...

            @step(depends_on=["a", "b"])
            def c(self): ...

            @step
            def d(self): ...

        assert made(Lopsided).waves == (("a", "d"), ("b",), ("c",))

    def test_steps_may_be_written_in_any_order(self) -> None:
        @workflow
        class Backwards:
            @step(depends_on=["first"])
            def second(self): ...

            @step
            def first(self): ...

        assert made(Backwards).waves == (("first",), ("second",))

    def test_a_dependency_on_an_unknown_step(self) -> None:
        def define() -> None:
            @workflow
            class W:
                @step
                def charge(self): ...

                @step(depends_on=["charge", "chrage"])
                def ship(self): ...

        assert refusal(define) == (
            "W.ship: depends_on names 'chrage', which is no step of W. Its steps are: charge, ship."
        )

    def test_a_method_that_is_no_step_is_not_one(self) -> None:
        def define() -> None:
            @workflow
            class W:
                def helper(self): ...

                @step(depends_on=["helper"])
                def ship(self): ...

        assert "depends_on names 'helper', which is no step of W" in refusal(define)

    def test_a_circle_is_shown_in_the_direction_of_depends_on(self) -> None:
        def define() -> None:
            @workflow
            class W:
                @step
                def start(self): ...

                @step(depends_on=["start", "c"])
                def a(self): ...

                @step(depends_on=["a"])
                def b(self): ...

                @step(depends_on=["b"])
                def c(self): ...

        said = refusal(define)
        assert said.startswith("W: the steps depend on each other in a circle: ")
        circle = said.partition("circle: ")[2].partition(" (read")[0].split(" -> ")
        assert circle[0] == circle[-1]
        assert {*circle} == {"a", "b", "c"}
        waits_for = {"a": "c", "b": "a", "c": "b"}
        assert [waits_for[one] for one in circle[:-1]] == circle[1:]
        assert "Remove one of these dependencies" in said

    def test_a_step_that_depends_on_itself(self) -> None:
        def define() -> None:
            @workflow
            class W:
                @step(depends_on=["a"])
                def a(self): ...

        assert "in a circle: a -> a" in refusal(define)

    def test_two_steps_of_one_name(self) -> None:
        def define() -> None:
            class W:
                @step
                def a(self): ...

                @step(retry=1)
                def a(self): ...  # noqa: F811

        assert "W.a: two steps have the name 'a'" in refusal(define)

    def test_a_class_without_steps(self) -> None:
        def define() -> None:
            @workflow
            class W:
                def a(self): ...

        assert refusal(define) == "W: no method is a step. Mark at least one with @step."

    def test_what_is_no_class(self) -> None:
        assert "@workflow takes a class, not" in refusal(lambda: workflow(lambda: None))  # type: ignore[type-var]

    def test_as_many_steps_as_fit_and_no_more(self) -> None:
        workflow(generated(MAX_STEPS, lambda at: []))
        assert "201 steps; at most 200 fit" in refusal(
            lambda: workflow(generated(MAX_STEPS + 1, lambda at: []))
        )

    def test_as_many_dependents_as_fit_and_no_more(self) -> None:
        def after_first(at: int) -> list[str]:
            return ["s0"] if at else []

        workflow(generated(MAX_DEPENDENTS + 1, after_first))
        assert "Generated.s0: 101 steps depend on it; at most 100 may. Put a step between." in (
            refusal(lambda: workflow(generated(MAX_DEPENDENTS + 2, after_first)))
        )

    def test_the_version_follows_steps_and_edges_only(self) -> None:
        def version(**more: Any) -> str:
            @workflow
            class W:
                @step
                def a(self): ...

                @step(**more)
                def b(self): ...

            return made(W).graph.version

        assert len(version()) == 8
        assert version() == version(retry=3, timeout=9)
        assert version() != version(depends_on=["a"])

    def test_the_version_follows_the_signals_and_they_are_stored_with_the_graph(self) -> None:
        def graph(*awaits: str) -> Graph:
            @workflow
            class W:
                @step
                def a(self): ...

                @step(depends_on=["a"], awaits=awaits)
                def b(self): ...

            return made(W).graph

        assert graph("x").version == graph("x").version != graph().version
        assert graph("x", "y").version == graph("y", "x").version
        for one in (graph(), graph("x", "y")):
            assert Graph.from_json(one.to_json()) == one

    @pytest.mark.parametrize(
        ("awaits", "message"),
        [
            ("approved", "pass a list of names of signals"),
            (["two words"], "W.b: awaits: signal name 'two words'"),
            (["x", "x"], "names a signal twice"),
            (["a"], "'a', which is a step of W: depend on it"),
        ],
    )
    def test_signals_that_cannot_be_awaited(self, awaits: Any, message: str) -> None:
        with pytest.raises(DefinitionError, match=message):

            @workflow
            class W:
                @step
                def a(self): ...

                @step(awaits=awaits)
                def b(self): ...

    def test_the_version_does_not_follow_the_order_of_dependencies(self) -> None:
        def version(*deps: str) -> str:
            @workflow
            class W:
                @step
                def a(self): ...

                @step
                def b(self): ...

                @step(depends_on=deps)
                def c(self): ...

            return made(W).graph.version

        assert version("a", "b") == version("b", "a")


class TestNames:
    def test_a_workflow_may_have_a_name_of_its_own(self) -> None:
        @workflow(name="orders.Fulfil-v2")
        class W:
            @step
            def a(self): ...

        assert made(W).name == "orders.Fulfil-v2"

    @pytest.mark.parametrize("name", ["", "a b", "1st", "x" * 65, "a#b"])
    def test_a_name_that_cannot_be_one(self, name: str) -> None:
        def define() -> None:
            @workflow(name=name)
            class W:
                @step
                def a(self): ...

        assert f"W: workflow name {name!r}: use 1 to 64 letters" in refusal(define)

    @pytest.mark.parametrize("name", ["x" * (MAX_STEP_NAME + 1), "größe"])
    def test_a_step_name_that_cannot_be_one(self, name: str) -> None:
        def method(self): ...

        method.__name__ = name
        assert "a step's name is at most 40 ASCII letters, digits and '_'" in refusal(
            lambda: step(method)
        )

    @pytest.mark.parametrize("name", ["x" * (MAX_STEP_NAME + 1), "größe", "ctx", "input", "self"])
    def test_nor_one_that_the_class_gives_it(self, name: str) -> None:
        def method(self): ...

        assert f"W.{name}: a step" in refusal(lambda: workflow(type("W", (), {name: step(method)})))


class TestStepArguments:
    def define(self, **arguments: Any) -> Callable[[], object]:
        def a(self): ...

        a.__qualname__ = "W.a"
        return lambda: step(**arguments)(a)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"depends_on": "b"}, "W.a: depends_on is 'b'; pass a list of step names"),
            ({"depends_on": 7}, "W.a: depends_on is 7; pass a list of step names"),
            ({"depends_on": None}, "W.a: depends_on is None; pass a list of step names"),
            ({"depends_on": [1]}, "W.a: depends_on is [1]; pass a list of step names"),
            ({"depends_on": ["b", "b"]}, "W.a: depends_on names a step twice: ['b', 'b']"),
            ({"retry": "3"}, "W.a: retry is '3'; pass a whole number or a Retry(…)"),
            ({"retry": True}, "W.a: retry is True; pass a whole number"),
            ({"retry": 1.5}, "W.a: retry is 1.5; pass a whole number"),
            ({"retry": -1}, "W.a: Retry(max=-1): use a whole number from 0 to 100"),
            ({"timeout": 0}, "W.a: timeout is 0; pass seconds above 0 and at most 900"),
            ({"timeout": 901}, "W.a: timeout is 901"),
            ({"timeout": -5}, "W.a: timeout is -5"),
            ({"timeout": "30"}, "W.a: timeout is '30'"),
            ({"timeout": True}, "W.a: timeout is True"),
            ({"timeout": float("nan")}, "W.a: timeout is nan"),
        ],
    )
    def test_what_cannot_be_used(self, arguments: dict[str, Any], message: str) -> None:
        assert message in refusal(self.define(**arguments))

    @pytest.mark.parametrize("timeout", [0, -1, "60", True, 31_536_001, float("inf")])
    def test_a_workflows_timeout_that_cannot_be_used(self, timeout: Any) -> None:
        def define() -> None:
            @workflow(timeout=timeout)
            class W:
                @step
                def a(self): ...

        assert f"W: timeout is {timeout!r}; pass seconds above 0" in refusal(define)

    @pytest.mark.parametrize("timeout", [0.01, 1, 900, 900.0])
    def test_timeouts_that_can(self, timeout: float) -> None:
        self.define(timeout=timeout)()


class TestParameters:
    @pytest.mark.parametrize(
        ("method", "message"),
        [
            (lambda: None, "a step is a method: its first parameter must be self"),
            (lambda *args: None, "its first parameter must be self"),
            (lambda self, *rest: None, "the parameter *rest cannot be bound by name"),
        ],
    )
    def test_what_cannot_be_bound_by_name(self, method: Callable[..., Any], message: str) -> None:
        method.__name__ = "a"
        assert message in refusal(lambda: step(method))

    def test_positional_only_parameters_cannot(self) -> None:
        def a(self, x, /): ...

        assert "the parameter x cannot be bound by name" in refusal(lambda: step(a))

    def test_coroutines_and_generators_are_no_steps(self) -> None:
        async def a(self): ...

        def b(self):
            yield

        async def c(self):
            yield

        for method in (a, b, c):
            assert "a step is a plain method. Of a coroutine, call asyncio.run" in refusal(
                lambda method=method: step(method)
            )

    @pytest.mark.parametrize("make", [made_async, made_async_generator, made_generator, AsyncCall])
    def test_nor_what_another_decorator_makes_one(self, make: Callable[..., Any]) -> None:
        def define() -> None:
            @workflow
            class W:
                @make
                @step
                def a(self): ...

        assert "W.a: a step is a plain method. Of a coroutine, call asyncio.run" in refusal(define)

    def test_a_coroutine_that_a_decorator_runs_is_a_step(self) -> None:
        @workflow
        class W:
            @step
            @run
            async def a(self, n: int) -> int:
                return n + 1

        assert made(W).steps["a"].function(W(), n=1) == 2

    @pytest.mark.parametrize("name", ["ctx", "input", "self"])
    def test_names_that_mean_something_else_are_no_steps_and_no_signals(self, name: str) -> None:
        def method(self): ...

        def other(self): ...

        method.__name__ = name
        assert f"a step cannot be called {name!r}" in refusal(lambda: step(method))
        assert f"awaits names {name!r}" in refusal(lambda: step(awaits=[name])(other))

    def test_a_parameter_that_a_decorator_passes_is_not_asked_for(self) -> None:
        def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapper(self: Any, **given: Any) -> Any:
                return function(self, client="the client", **given)

            signature = inspect.signature(function)
            left = [one for name, one in signature.parameters.items() if name != "client"]
            wrapper.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
            return wrapper

        @workflow(input=Order)
        class W:
            @with_client
            @step
            def a(self, client: Any, order_id: str) -> str:
                return f"{client} {order_id}"

        a = made(W).steps["a"]
        assert a.function(W(), **a.bind({"order_id": "o-1"}, {}, None)) == "the client o-1"

    def test_one_that_does_not_say_so_is_told_how(self) -> None:
        def with_client(function: Callable[..., Any]) -> Callable[..., Any]:
            @functools.wraps(function)
            def wrapper(self: Any, **given: Any) -> Any:
                return function(self, client="the client", **given)

            return wrapper

        def define() -> None:
            @workflow(input=Order)
            class W:
                @with_client
                @step
                def a(self, client: Any, order_id: str) -> None: ...

        assert "nothing supplies the parameter 'client'" in (said := refusal(define))
        assert "__signature__" in said

    @pytest.mark.parametrize("kind", [staticmethod, classmethod])
    def test_static_and_class_methods_are_no_steps_in_either_order(self, kind: Any) -> None:
        def a(self): ...

        def above() -> None:
            step(kind(a))

        def below() -> None:
            workflow(type("W", (), {"a": kind(step(a))}))

        for define in (above, below):
            assert f"a step is a plain method with self, not a {kind.__name__}" in refusal(define)

    def test_what_is_no_method(self) -> None:
        assert "@step takes a method, not 7" in refusal(lambda: step(7))  # type: ignore[call-overload]

    def test_a_parameter_named_like_a_step_it_does_not_depend_on(self) -> None:
        def define() -> None:
            @workflow
            class W:
                @step
                def price(self) -> dict: ...

                @step
                def bill(self, price: dict) -> None: ...

        assert refusal(define) == (
            "W.bill: the parameter 'price' is named like a step it does not depend on. "
            "Add 'price' to depends_on, or rename the parameter."
        )


class Order(BaseModel):
    order_id: str


@dataclasses.dataclass
class OrderData:
    order_id: str


class OrderDict(TypedDict):
    order_id: str


class Price(BaseModel):
    amount: float


class Aliased(BaseModel):
    order_id: str = Field(alias="orderId")


class Loose(BaseModel):
    model_config = {"extra": "allow"}
    order_id: str


class TestSuppliers:
    """With @workflow(input=…), a parameter that nothing supplies is found without running anything."""

    @pytest.mark.parametrize("kind", [Order, OrderData, OrderDict])
    def test_a_root_that_asks_for_what_the_input_does_not_have(self, kind: type) -> None:
        def define() -> None:
            @workflow(input=kind)
            class W:
                @step
                def a(self, order_id: str, amount: float): ...

        assert refusal(define) == (
            "W.a: nothing supplies the parameter 'amount': neither the workflow's input "
            f"({kind.__name__}) nor a step in depends_on has it. Add it there, give it a default, or "
            "depend on the step that returns it."
        )

    def test_what_is_supplied_is_accepted(self) -> None:
        @workflow(input=Order)
        class W:
            @step
            def price(self, order_id: str) -> Price: ...

            @step(depends_on=["price"], awaits=["note"])
            def bill(self, ctx, input, order_id, amount, price, note, **kwargs) -> None: ...

        assert made(W).waves == (("price",), ("bill",))

    def test_the_outputs_of_indirect_dependencies_do_not_count(self) -> None:
        def define() -> None:
            @workflow(input=Order)
            class W:
                @step
                def price(self) -> Price: ...

                @step(depends_on=["price"])
                def between(self) -> None: ...

                @step(depends_on=["between"])
                def bill(self, amount: float) -> None: ...

        assert "W.bill: nothing supplies the parameter 'amount'" in refusal(define)

    def test_a_dependency_that_does_not_say_what_it_returns_may_supply_anything(self) -> None:
        @workflow(input=Order)
        class W:
            @step
            def price(self) -> dict: ...

            @step(depends_on=["price"])
            def bill(self, anything: float) -> None: ...

        assert made(W).steps["bill"].signature.required == ("anything",)

    def test_without_a_type_the_input_may_supply_anything(self) -> None:
        @workflow
        class W:
            @step
            def a(self, anything: int): ...

        assert made(W).steps["a"].signature.required == ("anything",)

    def test_a_model_that_allows_extras_may_supply_anything(self) -> None:
        @workflow(input=Loose)
        class W:
            @step
            def a(self, anything: int): ...

    def test_a_field_is_known_by_the_name_it_is_stored_under(self) -> None:
        @workflow(input=Aliased)
        class W:
            @step
            def a(self, orderId: str): ...  # noqa: N803

        def define() -> None:
            @workflow(input=Aliased)
            class W:
                @step
                def a(self, order_id: str): ...

        assert "nothing supplies the parameter 'order_id'" in refusal(define)


def test_a_type_of_the_input_that_cannot_be_checked_is_refused() -> None:
    class Odd: ...

    for kind in (Odd, "Order", 7):

        def define(kind: Any = kind) -> None:
            @workflow(input=kind)
            class W:
                @step
                def a(self): ...

        assert "W: the run's input: the annotation" in refusal(define)


class TestWhoHasIt:
    """The error says where a name is that nothing supplies."""

    def test_a_step_further_back(self) -> None:
        def define() -> None:
            @workflow(input=Order)
            class W:
                @step
                def price(self) -> Price: ...

                @step(depends_on=["price"])
                def between(self) -> None: ...

                @step(depends_on=["between"])
                def further(self) -> int: ...

                @step(depends_on=["further"])
                def bill(self, amount: float) -> None: ...

        assert "price, further back, returns it: add 'price' to depends_on" in refusal(define)

    def test_a_field_that_is_stored_under_its_alias(self) -> None:
        def define() -> None:
            @workflow(input=Aliased)
            class W:
                @step
                def a(self, order_id: str): ...

        assert "stored under its alias: name the parameter 'orderId'" in refusal(define)

    def test_signals_supply_their_own_names_only(self) -> None:
        def define() -> None:
            @workflow(input=Order)
            class W:
                @step(awaits=["approved"])
                def a(self, approved: bool, by: str): ...

        assert "W.a: nothing supplies the parameter 'by'" in refusal(define)

    @pytest.mark.parametrize("kind", [None, str, int, list, list[str], tuple[int, ...]])
    def test_an_output_that_is_no_object_supplies_no_names(self, kind: Any) -> None:
        def price(self: Any) -> None: ...

        price.__annotations__["return"] = kind

        def define() -> None:
            workflow(input=Order)(
                type("W", (), {"price": step(price), "bill": step(depends_on=["price"])(bill)})
            )

        def bill(self, amount): ...

        assert "W.bill: nothing supplies the parameter 'amount'" in refusal(define)


class Priced(BaseModel):
    order_id: int
    amount: float


class SameId(BaseModel):
    order_id: str


class TestWarnings:
    """What is probably not meant is said when the class is decorated, and strictly when it is packaged."""

    def test_a_parameter_that_keeps_its_default_for_ever(self) -> None:
        with pytest.warns(
            DefinitionWarning, match=r"W\.bill: nothing supplies the parameter 'ammount'"
        ):

            @workflow(input=Order)
            class W:
                @step
                def price(self) -> Price: ...

                @step(depends_on=["price"])
                def bill(self, amount: float, ammount: float = 0.0) -> None: ...

    def test_an_output_that_hides_an_input_of_another_type(self) -> None:
        with pytest.warns(
            DefinitionWarning, match=r"'order_id' is taken from the output of price, which hides"
        ):

            @workflow(input=Order)
            class W:
                @step
                def price(self) -> Priced: ...

                @step(depends_on=["price"])
                def bill(self, order_id: int) -> None: ...

    def test_what_hands_an_input_on_is_only_told_strictly(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")

            @workflow(input=Order)
            class W:
                @step
                def price(self) -> SameId: ...

                @step(depends_on=["price"])
                def bill(self, order_id: str) -> None: ...

        (problem,) = made(W).supply_problems()
        assert "W.bill: the parameter 'order_id' is taken from the output of price" in problem

    def test_a_supplier_that_does_not_tell_is_only_told_strictly(self) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")

            @workflow
            class W:
                @step
                def price(self, order_id: str) -> dict: ...

                @step(depends_on=["price"])
                def bill(self, amount: float, ctx: Any, price: dict, note: str = "") -> None: ...

        names = [
            problem.partition("parameter ")[2].split()[0] for problem in made(W).supply_problems()
        ]
        assert names == ["'order_id';", "'amount';", "'note';"]

    def test_a_workflow_whose_types_tell_all_has_no_problem(self) -> None:
        @workflow(input=Order)
        class W:
            @step
            def price(self, order_id: str) -> Price: ...

            @step(depends_on=["price"], awaits=["approved"])
            def bill(self, amount: float, price: Price, approved: bool, input: Order) -> None: ...

        assert made(W).supply_problems() == []


class TestDependencies:
    def test_they_may_be_given_as_methods_and_as_names(self) -> None:
        class Base:
            @step
            def first(self): ...

        @workflow
        class W(Base):
            @step
            def a(self): ...

            @step(depends_on=[a, "first"])
            def b(self): ...

            @step(depends_on=(a, b, Base.first))
            def c(self): ...

        assert made(W).graph.depends_on == {
            "first": (),
            "a": (),
            "b": ("a", "first"),
            "c": ("a", "b", "first"),
        }

    @pytest.mark.parametrize("other", [len, lambda self: None, 7, None, object()])
    def test_what_is_no_step_is_refused(self, other: Any) -> None:
        def a(self): ...

        assert "pass a list of step names, or of methods marked with @step" in refusal(
            lambda: step(depends_on=["b", other])(a)
        )

    def test_a_method_and_its_name_are_the_same_step(self) -> None:
        def define() -> None:
            class W:
                @step
                def a(self): ...

                @step(depends_on=[a, "a"])
                def b(self): ...

        assert "depends_on names a step twice: ['a', 'a']" in refusal(define)


class TestDurations:
    def test_a_timedelta_is_as_good_as_seconds(self) -> None:
        @workflow(timeout=timedelta(days=2))
        class W:
            @step(
                timeout=timedelta(minutes=2),
                retry=Retry(2, timedelta(seconds=5), maximum=timedelta(hours=1)),
            )
            def a(self): ...

        a = made(W).steps["a"]
        assert (made(W).timeout, a.timeout) == (172_800, 120)
        assert (a.retry.initial, a.retry.maximum) == (5, 3600)
        assert a.retry == Retry(2, 5.0, maximum=3600.0)

    @pytest.mark.parametrize("bad", [timedelta(0), timedelta(seconds=-1), timedelta(days=400)])
    def test_within_the_same_bounds(self, bad: timedelta) -> None:
        def a(self): ...

        refusal(lambda: step(timeout=bad)(a))
        refusal(lambda: workflow(timeout=bad)(type("W", (), {"a": step(a)})))
        if bad:
            refusal(lambda: Retry(initial=bad))


class TestClasses:
    def test_steps_are_inherited(self) -> None:
        class Base:
            @step
            def a(self): ...

        @workflow
        class Child(Base):
            @step(depends_on=["a"])
            def b(self): ...

        assert made(Child).graph.depends_on == {"a": (), "b": ("a",)}

    def test_an_overriding_step_replaces_the_inherited_one(self) -> None:
        class Base:
            @step(retry=1)
            def a(self): ...

            @step(depends_on=["a"])
            def b(self): ...

        @workflow
        class Child(Base):
            @step(retry=7)
            def a(self): ...

        steps = made(Child).steps
        assert steps["a"].retry == Retry(7)
        assert steps["a"].function is Child.a
        assert steps["b"].function is Base.b

    def test_overriding_by_what_is_no_step_takes_the_step_out(self) -> None:
        class Base:
            @step
            def a(self): ...

            @step
            def b(self): ...

        @workflow
        class Child(Base):
            def a(self): ...

        assert [*made(Child).steps] == ["b"]

    def test_a_subclass_is_a_workflow_only_if_it_is_decorated_itself(self) -> None:
        @workflow
        class Base:
            @step
            def a(self): ...

        class Child(Base): ...

        assert definition_of(Child) is None
        assert definition_of(Base) is not None

    def test_a_decorator_over_step_stays_in_force(self) -> None:
        def doubled(function: Callable[..., int]) -> Callable[..., int]:
            @functools.wraps(function)
            def inner(*args: Any, **kwargs: Any) -> int:
                return 2 * function(*args, **kwargs)

            return inner

        @workflow
        class W:
            @doubled
            @step(retry=3)
            def a(self, n: int) -> int:
                return n

        a = made(W).steps["a"]
        assert a.function(W(), n=4) == 8
        assert (a.retry, a.signature.required) == (Retry(3), ("n",))

    def test_the_decorated_class_is_the_class_and_a_step_an_ordinary_method(self) -> None:
        @workflow
        class W:
            @step(retry=3)
            def double(self, n: int) -> int:
                return 2 * n

        assert W().double(4) == 8

    def test_a_class_that_cannot_be_made_without_arguments(self) -> None:
        def define() -> None:
            @workflow
            class W:
                def __init__(self, client): ...

                @step
                def a(self): ...

        said = refusal(define)
        assert "W: the class is made anew for each attempt, without arguments" in said
        assert "'client'" in said
        assert "Give the parameters defaults" in said

    def test_a_class_that_is_abstract(self) -> None:
        class Base(abc.ABC):
            @abc.abstractmethod
            def price(self) -> int: ...

        class Meta(metaclass=abc.ABCMeta):
            @property
            @abc.abstractmethod
            def price(self) -> int: ...

        class Shape(Protocol):
            @step
            def a(self): ...

        def steps_in(*bases: Any) -> Callable[[], object]:
            def a(self): ...

            return lambda: workflow(type("W", bases, {"a": step(a)}))

        for base in (Base, Meta):
            assert "W: the class is abstract, and no step can be run of it: it lacks price" in (
                refusal(steps_in(base))
            )
        assert "is a Protocol" in refusal(lambda: workflow(Shape))

    @pytest.mark.parametrize(
        "body",
        [
            {"__init__": lambda self, client: None},
            {"__init__": lambda self, *, client: None},
            {"__new__": lambda cls, client: object.__new__(cls)},
        ],
    )
    @pytest.mark.parametrize("inherited", [False, True])
    def test_whatever_makes_it_need_them(self, body: dict[str, Any], inherited: bool) -> None:
        def a(self): ...

        bases, body = ((type("Base", (), body),), {}) if inherited else ((), body)
        assert "without arguments" in refusal(
            lambda: workflow(type("W", bases, {**body, "a": step(a)}))
        )

    def test_a_metaclass_may_make_it_need_them(self) -> None:
        class Meta(type):
            def __call__(cls, client):
                return super().__call__()

        def a(self): ...

        assert "without arguments" in refusal(lambda: workflow(Meta("W", (), {"a": step(a)})))

    def test_a_dataclass_with_a_field_that_has_no_default(self) -> None:
        def define() -> None:
            @workflow
            @dataclasses.dataclass
            class W:
                client: Any

                @step
                def a(self): ...

        assert "'client'" in refusal(define)

    def test_a_class_whose_arguments_have_defaults_will_do(self) -> None:
        @workflow
        class W:
            def __init__(self, client=None, *rest, **more): ...

            @step
            def a(self): ...

        assert made(W).name == "W"
