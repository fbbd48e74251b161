"""A method that was marked with @step is a step of the workflow, or the class is refused."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

from fluxio import step, workflow
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import DefinitionError


def made(cls: type) -> WorkflowDefinition:
    definition = definition_of(cls)
    assert definition is not None
    return definition


def logged(function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    return wrapper


class Wrapper:
    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)


class Descriptor(Wrapper):
    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return functools.partial(self.function, instance)


def configured(**_: Any) -> Callable[..., Any]:
    return logged


def my_step(**arguments: Any) -> Callable[..., Any]:
    """A decorator of the user's own that applies @step, and something above it."""

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        return logged(step(**arguments)(function))

    return decorate


HIDING = [
    logged,
    configured(level=1),
    Wrapper,
    Descriptor,
    functools.partial,
    functools.partialmethod,
    functools.singledispatchmethod,
    property,
    functools.cached_property,
    lambda method: lambda self: method(self),
    lambda method: lambda self, *, _f=method: _f(self),
    lambda method: None,
    lambda method: "charged",
    lambda method: logged(functools.wraps(method)(logged(method))),
]


@pytest.mark.parametrize("hide", HIDING)
class TestHidden:
    def test_by_a_decorator_above(self, hide: Callable[..., Any]) -> None:
        with pytest.raises(
            DefinitionError, match=r"Order\.charge: marked with @step, .*functools\.wraps"
        ):

            @workflow
            class Order:
                @step
                def validate(self) -> None: ...

                @hide
                @step(depends_on=["validate"])
                def charge(self) -> None: ...

    def test_in_a_class_it_is_inherited_from(self, hide: Callable[..., Any]) -> None:
        class Mixin:
            @hide
            @step
            def charge(self) -> None: ...

        with pytest.raises(DefinitionError, match=r"Order\.charge: marked with @step"):

            @workflow
            class Order(Mixin):
                @step
                def validate(self) -> None: ...

    def test_or_in_the_class_that_overrides_a_step(self, hide: Callable[..., Any]) -> None:
        class Base:
            @step
            def charge(self) -> None: ...

        with pytest.raises(DefinitionError, match=r"Order\.charge: marked with @step"):

            @workflow
            class Order(Base):
                @hide
                @step
                def charge(self) -> None: ...

    def test_but_not_where_a_subclass_has_its_own(self, hide: Callable[..., Any]) -> None:
        class Base:
            @hide
            @step
            def charge(self) -> None: ...

        @workflow
        class Order(Base):
            @step
            def charge(self) -> None: ...  # type: ignore[override]

        assert [*made(Order).steps] == ["charge"]


def test_by_a_decorator_that_applies_step_itself() -> None:
    with pytest.raises(DefinitionError, match=r"Order\.charge: marked with @step"):

        @workflow
        class Order:
            @step
            def validate(self) -> None: ...

            @my_step(retry=2)
            def charge(self) -> None: ...


def test_by_another_method_or_value_of_its_name() -> None:
    for replacement in (lambda self: None, None, 7):
        with pytest.raises(DefinitionError, match=r"Order\.charge: marked with @step"):

            @workflow
            class Order:
                @step
                def validate(self) -> None: ...

                @step
                def charge(self) -> None: ...

                charge = replacement  # type: ignore[assignment]  # noqa: F811


def test_by_what_is_done_to_the_class_before_workflow_sees_it() -> None:
    def log_all(cls: type) -> type:
        for name, value in [*vars(cls).items()]:
            if callable(value):
                setattr(cls, name, logged(value))
        return cls

    with pytest.raises(DefinitionError, match=r"Order\.charge: marked with @step"):

        @workflow
        @log_all
        class Order:
            @step
            def charge(self) -> None: ...


def test_a_step_that_is_taken_out_on_purpose_by_a_subclass_is_none() -> None:
    class Base:
        @step
        def validate(self) -> None: ...

        @step
        def charge(self) -> None: ...

    @workflow
    class Order(Base):
        charge = None  # type: ignore[assignment]

    assert [*made(Order).steps] == ["validate"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: functools.wraps(f)(lambda *args, **more: f(*args, **more)),
        lambda f: functools.wraps(f, updated=())(lambda *args, **more: f(*args, **more)),
        lambda f: functools.update_wrapper(Wrapper(f), f),
        lambda f: functools.lru_cache(f),
    ],
)
def test_what_functools_wraps_stays_a_step(wrap: Callable[..., Any]) -> None:
    @workflow
    class Order:
        @wrap
        @step(retry=2)
        def charge(self, amount: int) -> int:
            return amount + 1

    charge = made(Order).steps["charge"]
    assert (charge.retry.max, charge.signature.required) == (2, ("amount",))
    assert charge.function(Order(), amount=1) == 2


def test_what_else_stands_in_a_class_may_be_any_object() -> None:
    class Touchy:
        def __getattr__(self, name: str) -> Any:
            raise RuntimeError(name)

    class Fields(BaseModel):
        amount: int = 1

    @workflow
    class Order:
        touchy: ClassVar[Any] = Touchy()

        @step
        def charge(self) -> None: ...

    @workflow
    class Model(Fields):
        @step
        def charge(self) -> int:
            return self.amount

    assert [*made(Order).steps] == [*made(Model).steps] == ["charge"]


def test_a_step_under_another_name_is_a_step_of_that_name() -> None:
    @workflow
    class Order:
        @step
        def _charge(self) -> None: ...

        charge = _charge
        del _charge

    assert [(name, one.name) for name, one in made(Order).steps.items()] == [("charge", "charge")]


def test_workflows_of_functions_that_were_marked_elsewhere() -> None:
    def charge(self: Any) -> None: ...

    assert [*made(workflow(type("Order", (), {"charge": step(charge)}))).steps] == ["charge"]
