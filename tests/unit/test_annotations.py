"""An annotation means what stands where it is written: in the class, in a function around it, in the module."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, Optional

import pytest
from pydantic import BaseModel, Field

from fluxio import step, workflow
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import BindingError

if TYPE_CHECKING:
    from decimal import Decimal

    from fluxio import StepContext


class Order(BaseModel):
    lines: list[str]


def made(cls: type) -> WorkflowDefinition:
    definition = definition_of(cls)
    assert definition is not None
    return definition


def bound(cls: type, value: Any, name: str = "a") -> Any:
    """What the parameter `x` of a step gets."""
    return made(cls).steps[name].bind({"x": json.loads(json.dumps(value))}, {}, None)["x"]


@workflow
class Nested:
    class Order(BaseModel):
        sku: str

    Short = Annotated[str, Field(max_length=2)]

    @step
    def a(self, x: Order) -> None: ...

    @step
    def b(self, x: Optional[Order] = None) -> None: ...  # noqa: UP045

    @step
    def c(self, x: list[Order]) -> None: ...

    @step
    def d(self, x: Nested.Order) -> None: ...

    @step
    def e(self, x: Short) -> None: ...


@workflow
class Inherits(Nested):
    class Order(BaseModel):
        number: int

    @step
    def own(self, x: Order) -> None: ...


@workflow
class Shadows:
    """A step may be called like a type that another one takes."""

    @step
    def date(self) -> None: ...

    @step
    def a(self, x: date) -> None: ...


@workflow
class Later:
    @step
    def a(self, x: DefinedBelow) -> None: ...

    @step
    def b(self, x: list[DefinedBelow] | None) -> None: ...


class DefinedBelow(BaseModel):
    sku: str


@workflow
class OnlyForTypeCheckers:
    @step
    def a(self, x: int, ctx: StepContext) -> Decimal: ...

    @step
    def b(self, x: Decimal, y: int = 0) -> None: ...


class TestClassBody:
    @pytest.mark.parametrize("name", ["a", "b", "d"])
    def test_its_own_names_come_before_the_modules(self, name: str) -> None:
        assert bound(Nested, {"sku": "s"}, name) == Nested.Order(sku="s")

    def test_inside_other_types_too(self) -> None:
        assert bound(Nested, [{"sku": "s"}], "c") == [Nested.Order(sku="s")]

    def test_an_alias_with_a_constraint(self) -> None:
        assert bound(Nested, "ab", "e") == "ab"
        with pytest.raises(BindingError, match="at most 2 characters"):
            bound(Nested, "abc", "e")

    def test_an_inherited_step_sees_the_class_it_was_written_in(self) -> None:
        assert bound(Inherits, {"sku": "s"}, "a") == Nested.Order(sku="s")
        assert bound(Inherits, {"number": 1}, "own") == Inherits.Order(number=1)

    def test_a_step_is_no_type(self) -> None:
        assert bound(Shadows, "2030-01-02") == date(2030, 1, 2)

    def test_what_stands_further_below_in_the_module(self) -> None:
        assert bound(Later, {"sku": "s"}) == DefinedBelow(sku="s")
        assert bound(Later, [{"sku": "s"}], "b") == [DefinedBelow(sku="s")]


class TestFunctions:
    def test_a_model_defined_in_the_function_around(self) -> None:
        class Order(BaseModel):
            sku: str

        @workflow
        class W:
            @step
            def a(self, x: Order) -> None: ...

        assert bound(W, {"sku": "s"}) == Order(sku="s")

    def test_in_the_function_around_that(self) -> None:
        class Line(BaseModel):
            sku: str

        def inner() -> tuple[type, type]:
            class Order(BaseModel):
                number: int

            @workflow
            class W:
                @step
                def a(self, x: Order) -> None: ...

                @step
                def b(self, x: Line) -> None: ...

            return W, Order

        W, Order = inner()  # noqa: N806
        assert bound(W, {"number": 1}) == Order(number=1)
        assert bound(W, {"sku": "s"}, "b") == Line(sku="s")

    def test_the_class_itself_comes_before_the_function(self) -> None:
        class Order(BaseModel):
            number: int

        @workflow
        class W:
            class Order(BaseModel):
                sku: str

            @step
            def a(self, x: Order) -> None: ...

        assert bound(W, {"sku": "s"}) == W.Order(sku="s")
        assert Order

    def test_what_is_imported_or_made_in_the_function(self) -> None:
        from decimal import Decimal as Number

        from annotated_types import Gt

        positive = Gt(0)

        @workflow
        class W:
            @step
            def a(self, x: Annotated[Number, positive, Field(lt=10)]) -> None: ...

        assert bound(W, "1.5") == Number("1.5")
        for bad in ("-1", "11"):
            with pytest.raises(BindingError, match="'x'"):
                bound(W, bad)

    def test_a_name_of_the_caller_is_not_taken_for_one_of_the_scope(self) -> None:
        def build() -> type:
            @workflow
            class W:
                @step
                def a(self, x: Order) -> None: ...

            return W

        def caller() -> type:
            class Order(BaseModel):
                number: int

            assert Order
            return build()

        assert bound(caller(), {"lines": []}) == Order(lines=[])

    def test_nothing_else_of_the_function_is_kept(self) -> None:
        import weakref

        class Big: ...

        def build() -> tuple[type, weakref.ref[Big]]:
            big = Big()

            @workflow
            class W:
                @step
                def a(self, x: Order) -> None: ...

            return W, weakref.ref(big)

        cls, big = build()
        assert big() is None
        assert made(cls)


class TestDecorated:
    @pytest.mark.parametrize("above", [True, False])
    def test_a_wrapped_step_is_read_where_it_was_written(self, above: bool) -> None:
        namespace: dict[str, Any] = {"functools": functools, "Order": int}
        exec(
            "def logged(f):\n"
            "    @functools.wraps(f)\n"
            "    def inner(*args, **kwargs):\n"
            "        return f(*args, **kwargs)\n"
            "    return inner\n",
            namespace,
        )
        logged: Callable[..., Any] = namespace["logged"]

        if above:

            @workflow
            class W:
                class Order(BaseModel):
                    sku: str

                @logged
                @step
                def a(self, x: Order) -> None: ...
        else:

            @workflow
            class W:  # type: ignore[no-redef]
                class Order(BaseModel):
                    sku: str

                @step
                @logged
                def a(self, x: Order) -> None: ...

        assert bound(W, {"sku": "s"}) == W.Order(sku="s")


class TestWhatIsNotThereAtRunTime:
    def test_only_a_parameters_own_annotation_is_needed(self) -> None:
        step_a = made(OnlyForTypeCheckers).steps["a"]
        assert step_a.bind({"x": 1}, {}, "the context") == {"x": 1, "ctx": "the context"}

    def test_the_error_names_the_parameter(self) -> None:
        with pytest.raises(
            BindingError, match=r"parameter 'x' cannot be read: .*'Decimal'.*TYPE_CHECKING"
        ):
            bound(OnlyForTypeCheckers, "1.5", "b")

    def test_it_is_told_before_anything_runs(self) -> None:
        assert made(Later).annotation_problems() == []
        (problem,) = made(OnlyForTypeCheckers).annotation_problems()
        assert problem.startswith("OnlyForTypeCheckers.b: the annotation of the parameter 'x'")

    def test_a_type_that_pydantic_cannot_check_is_told_too(self) -> None:
        class Odd: ...

        @workflow
        class W:
            @step
            def a(self, x: Odd, y: list[Odd]) -> None: ...

        if TYPE_CHECKING:

            class Missing(BaseModel): ...

        class Incomplete(BaseModel):
            part: Missing

        @workflow
        class V:
            @step
            def a(self, x: Incomplete) -> None: ...

        assert len(made(V).annotation_problems()) == 1
        problems = made(W).annotation_problems()
        assert [problem.partition(":")[0] for problem in problems] == ["W.a", "W.a"]
