"""What is wrong with an edge, a timer, a signal, a predicate or a deadline is said when the class is decorated.

Each error is one sentence or two that name the workflow, the step, and what to do.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from math import inf, nan
from typing import Annotated, Any, Literal, Optional, TypedDict

import pytest
from pydantic import BaseModel

from fluxio import (
    Again,
    Failure,
    RetryAfter,
    any_of,
    failed,
    first_of,
    maybe,
    signal,
    step,
    timer,
    workflow,
)
from fluxio.definition import definition_of
from fluxio.edges import SignalEdge
from fluxio.errors import BindingError, DefinitionError
from tests.unit.conftest import Package


class Order(BaseModel):
    amount: int = 0


class Approval(BaseModel):
    by: str


def refusal(define: Callable[[], object]) -> str:
    with pytest.raises(DefinitionError) as caught:
        define()
    return str(caught.value)


def last_step(*depends_on: Any, **arguments: Any) -> Callable[[], object]:
    """A workflow W with the steps `a` and `b`, and `c` with these arguments."""

    def define() -> object:
        def a(self: Any) -> None: ...
        def b(self: Any) -> None: ...
        def c(self: Any) -> None: ...

        for method in (a, b, c):
            method.__qualname__ = f"W.{method.__name__}"
        made = step(depends_on=[*depends_on], **arguments)(c)
        return workflow(type("W", (), {"a": step(a), "b": step(b), "c": made}))

    return define


def takes(method: Callable[..., Any], *depends_on: Any, **arguments: Any) -> Callable[[], object]:
    """A workflow W in which this function is the step `c`, behind `a` and `b`."""

    def define() -> object:
        def a(self: Any) -> Order: ...
        def b(self: Any) -> Order: ...

        method.__name__, method.__qualname__ = "c", "W.c"
        made = step(depends_on=[*depends_on], **arguments)(method)
        return workflow(input=Order)(type("W", (), {"a": step(a), "b": step(b), "c": made}))

    return define


EDGES = {
    "maybe": lambda *names: maybe(names[0]),
    "failed": lambda *names: failed(names[0]),
    "any_of": lambda *names: any_of(*names),
    "first_of": lambda *names: first_of(*names),
}


@pytest.mark.parametrize("edge", EDGES)
class TestSteps:
    def test_an_unknown_step(self, edge: str) -> None:
        said = refusal(last_step(EDGES[edge]("chrage", "a")))
        assert said.startswith("W.c: depends_on names 'chrage', which is no step of W.")
        assert "Its steps are: a, b, c." in said

    def test_a_step_that_an_edge_and_a_name_both_name(self, edge: str) -> None:
        said = refusal(last_step("a", EDGES[edge]("a", "b")))
        assert said.startswith("W.c: depends_on names a step twice: ['a', 'a'")
        assert "in one edge" in said

    def test_the_step_itself(self, edge: str) -> None:
        said = refusal(last_step(EDGES[edge]("c", "a")))
        assert said.startswith("W: the steps depend on each other in a circle: c -> c")

    def test_a_circle(self, edge: str) -> None:
        def a(self: Any) -> None: ...
        def b(self: Any) -> None: ...
        def x(self: Any) -> None: ...

        one, other = step(depends_on=[EDGES[edge]("b", "x")])(a), step(depends_on=["a"])(b)
        said = refusal(lambda: workflow(type("W", (), {"a": one, "b": other, "x": step(x)})))
        assert said.startswith("W: the steps depend on each other in a circle: ")
        assert "a -> b" in said
        assert "Remove one of these dependencies." in said

    def test_a_retired_step(self, edge: str) -> None:
        def old(self: Any) -> None: ...
        def a(self: Any) -> None: ...
        def c(self: Any) -> None: ...

        steps = {"old": step(retired=True)(old), "a": step(a)}
        steps["c"] = step(depends_on=[EDGES[edge]("old", "a")])(c)
        said = refusal(lambda: workflow(type("W", (), steps)))
        assert said.startswith("W.c: depends_on names 'old', which is retired")
        assert "or retire 'c', too" in said

    @pytest.mark.parametrize("wrong", [5, None, "input", len, ["a", "b"]], ids=repr)
    def test_what_is_no_step(self, edge: str, wrong: Any) -> None:
        said = refusal(last_step(EDGES[edge](wrong, "b")))
        assert said.startswith(f"W.c: {edge}: {wrong!r} is no step: pass its name, or the method")

    @pytest.mark.parametrize("inner", [maybe("a"), signal("go"), timer(5)])
    def test_an_edge_in_an_edge(self, edge: str, inner: Any) -> None:
        said = refusal(last_step(EDGES[edge](inner, "b")))
        assert said.startswith(f"W.c: {edge}: an edge, a signal or a timer cannot stand in another")

    def test_what_is_wrong_with_an_edge_in_an_edge_is_what_is_said(self, edge: str) -> None:
        said = refusal(last_step(EDGES[edge](maybe(5), "b")))
        assert said.startswith("W.c: maybe: 5 is no step")

    def test_an_edge_outside_a_list(self, edge: str) -> None:
        made = EDGES[edge]("a", "b")
        said = refusal(lambda: step(depends_on=made)(lambda self: None))
        assert "pass a list of step names" in said


NUMBERED = [f"s{at}" for at in range(21)]


class TestGroups:
    @pytest.mark.parametrize("group", [any_of, first_of])
    @pytest.mark.parametrize("names", [(), ("a",), ("a", "a"), ("a", "b", "a")])
    def test_fewer_than_two_or_one_twice(self, group: Any, names: tuple[str, ...]) -> None:
        said = refusal(last_step(group(*names)))
        given = ", ".join(map(repr, names))
        assert said == f"W.c: {group.__name__}({given}): pass two steps or more, each once."

    def test_more_than_one_write_can_release(self) -> None:
        said = refusal(last_step(first_of(*NUMBERED)))
        assert said.startswith("W.c: first_of: 21 steps; at most 20")
        assert "Divide them into groups" in said

    def test_twenty_can_be_released_and_any_of_takes_more(self) -> None:
        for edge in (first_of(*NUMBERED[:20]), any_of(*NUMBERED)):
            steps: dict[str, Any] = {}
            for name in NUMBERED:

                def method(self: Any) -> None: ...

                method.__name__ = name
                steps[name] = step(method)

            def last(self: Any) -> None: ...

            workflow(type("W", (), {**steps, "last": step(depends_on=[edge])(last)}))


class TestErrors:
    @pytest.mark.parametrize(
        "wrong", [5, int, ValueError("x"), "a b", "stripe.CardError", [ValueError], None]
    )
    def test_what_is_no_type_of_exception(self, wrong: Any) -> None:
        said = refusal(last_step(failed("a", ValueError, wrong)))
        assert said.startswith("W.c: failed(…, ")
        assert "pass exception types, or their names" in said

    @pytest.mark.parametrize("kind", [dict, Order, str | None, Annotated[dict, "why"]])
    def test_a_parameter_that_takes_no_failure(self, kind: Any) -> None:
        def c(self, a): ...

        c.__annotations__ = {"a": kind}
        said = refusal(takes(c, failed("a")))
        assert said.startswith("W.c: the parameter 'a' receives why the step a failed.")
        assert "Annotate it with fluxio.Failure" in said

    @pytest.mark.parametrize("kind", [Failure, Failure | None, Any, object])
    def test_a_parameter_that_does(self, kind: Any) -> None:
        def c(self, a): ...

        c.__annotations__ = {"a": kind}
        takes(c, failed("a"))()

    def test_a_failure_that_no_annotation_is_checked_for_by_pydantic(self) -> None:
        def c(self, a: Failure): ...

        assert made(takes(c, failed("a"))).annotation_problems() == []


def made(define: Callable[[], object]) -> Any:
    return definition_of(define())


class TestNever:
    """Steps that no run could ever come to."""

    def test_behind_a_step_and_behind_what_handles_its_failure(self) -> None:
        @step
        def pay(self): ...

        @step(depends_on=[failed(pay)])
        def pay_by_cheque(self): ...

        @step(depends_on=["pay_by_cheque"])
        def book(self): ...

        @step(depends_on=["pay", "book"])
        def clear(self): ...

        steps = {"pay": pay, "pay_by_cheque": pay_by_cheque, "book": book, "clear": clear}
        said = refusal(lambda: workflow(type("W", (), steps)))
        assert said.startswith("W.clear: can never run: ")
        assert "'pay' must have succeeded and must have failed" in said
        assert "any_of(…) or maybe(…)" in said

    def test_behind_what_handles_the_failure_of_one_behind_a_failure(self) -> None:
        @step
        def a(self): ...

        @step(depends_on=["a"])
        def b(self): ...

        @step(depends_on=[failed("a"), failed("b")])
        def c(self): ...

        said = refusal(lambda: workflow(type("W", (), {"a": a, "b": b, "c": c})))
        assert said.startswith("W.c: can never run: ")

    def test_a_member_of_first_of_that_only_begins_when_another_one_has_won(self) -> None:
        @step
        def a(self): ...

        @step(depends_on=["a"])
        def b(self): ...

        @step(depends_on=[first_of("a", "b")])
        def c(self): ...

        said = refusal(lambda: workflow(type("W", (), {"a": a, "b": b, "c": c})))
        assert said.startswith("W.c: first_of(a, b): 'b' begins once 'a' has succeeded")
        assert "Take it out of first_of." in said

    @pytest.mark.parametrize("edge", [any_of, first_of])
    def test_one_of_two_ways_may_lead_to_a_step(self, edge: Any) -> None:
        @step
        def pay(self): ...

        @step(depends_on=[failed(pay)])
        def instead(self): ...

        @step(depends_on=[edge("pay", "instead")])
        def clear(self): ...

        workflow(type("W", (), {"pay": pay, "instead": instead, "clear": clear}))


#: What is no duration of a wait.
NO_WAITS = [True, 0, -1, nan, inf, "60", timedelta(0), timedelta(days=-1), timedelta(days=366)]


class TestDurations:
    @pytest.mark.parametrize("wrong", NO_WAITS, ids=repr)
    @pytest.mark.parametrize(
        ("what", "define"),
        [
            ("timer: the duration", lambda wrong: last_step("a", timer(wrong))),
            ("signal('go'): timeout", lambda wrong: last_step(signal("go", timeout=wrong))),
            ("deadline", lambda wrong: last_step("a", deadline=wrong)),
        ],
        ids=["timer", "signal", "deadline"],
    )
    def test_one_that_is_none(self, wrong: Any, what: str, define: Any) -> None:
        said = refusal(define(wrong))
        assert said.startswith(f"W.c: {what} is {wrong!r}; pass seconds above 0")
        assert "31,536,000 (a year)" in said

    @pytest.mark.parametrize("wrong", [True, "5", None, timedelta(1)], ids=repr)
    @pytest.mark.parametrize("part", ["days", "hours", "minutes", "seconds"])
    def test_a_part_of_a_timer_that_is_no_number(self, part: str, wrong: Any) -> None:
        said = refusal(last_step("a", timer(**{part: wrong})))
        assert said == f"W.c: timer: {part} is {wrong!r}; pass a number of {part}."

    @pytest.mark.parametrize("wrong", [nan, inf, 1e20])
    def test_a_part_of_a_timer_beyond_all_bounds(self, wrong: float) -> None:
        said = refusal(last_step("a", timer(hours=1, days=wrong)))
        assert said.startswith("W.c: timer(days=")
        assert "at most a year" in said

    @pytest.mark.parametrize(
        ("made", "says"),
        [
            (lambda: timer(), "W.c: timer: pass how long to wait"),
            (lambda: timer(days=0), "W.c: timer: pass how long to wait"),
            (lambda: timer(5, days=1), "W.c: timer: pass one duration, not two."),
            (lambda: timer(5, at="a.at"), "W.c: timer: pass a duration or `at`, not both."),
            (lambda: timer(at="a.at", days=1), "W.c: timer: pass a duration or `at`, not both."),
            (lambda: timer(days=200, hours=24 * 200), "W.c: timer: the duration is"),
        ],
    )
    def test_none_or_two_of_a_timer(self, made: Any, says: str) -> None:
        assert refusal(last_step("a", made())).startswith(says)

    @pytest.mark.parametrize("wrong", [True, -1, nan, inf, "60", timedelta(days=366)], ids=repr)
    @pytest.mark.parametrize("kind", [Again, RetryAfter])
    def test_a_wait_that_a_step_names(self, kind: Any, wrong: Any) -> None:
        with pytest.raises(ValueError, match=rf"^{kind.__name__}: after is .*; pass seconds 0 to"):
            kind(wrong)

    def test_a_deadline_that_is_over_before_the_timer(self) -> None:
        said = refusal(last_step("a", timer(minutes=10), deadline=timedelta(minutes=10)))
        assert said.startswith("W.c: the deadline is over before its timer is")
        assert "make the deadline longer" in said

    def test_a_deadline_that_is_over_before_the_timeout_of_a_signal(self) -> None:
        late = signal("go", timeout=timedelta(days=2), default=None)
        said = refusal(last_step("a", late, deadline=timedelta(days=1)))
        assert said.startswith(
            "W.c: the deadline is over before the timeout of signal('go') is, which"
        )
        last_step("a", late, timer(hours=1), deadline=timedelta(days=3))()


class TestTimerInAValue:
    @pytest.mark.parametrize("wrong", [5, "", ".", "a.", "a..at", ["a"]])
    def test_what_is_no_path(self, wrong: Any) -> None:
        said = refusal(last_step("a", timer(at=wrong)))
        assert said.startswith(f"W.c: timer(at={wrong!r}): pass 'input' or the name of a step")

    @pytest.mark.parametrize("source", ["b", "nowhere", " a"])
    def test_of_a_step_that_it_does_not_depend_on(self, source: str) -> None:
        said = refusal(last_step("a", timer(at=f"{source}.at")))
        assert said.startswith(f"W.c: timer(at='{source}.at') begins with {source!r}, which is")

    @pytest.mark.parametrize("edge", EDGES)
    def test_of_a_step_that_may_have_no_output(self, edge: str) -> None:
        said = refusal(last_step(EDGES[edge]("a", "b"), timer(at="a.at")))
        assert said.startswith(f"W.c: timer(at='a.at'): 'a' stands in {edge}(…)")

    def test_two_timers(self) -> None:
        said = refusal(last_step("a", timer(5), timer(at="a.at")))
        assert said.startswith("W.c: depends_on has 2 timers; it can have one.")


class TestSignals:
    @pytest.mark.parametrize("wrong", [5, "", "a b", "größe", "x" * 41, None], ids=repr)
    def test_a_name_that_is_none(self, wrong: Any) -> None:
        assert refusal(last_step(signal(wrong))).startswith(f"W.c: signal name {wrong!r}: use 1 to")

    @pytest.mark.parametrize("name", ["ctx", "input", "self"])
    def test_a_name_that_means_something_else(self, name: str) -> None:
        said = refusal(last_step(signal(name)))
        assert said.startswith(f"W.c: signal({name!r}): a parameter of that name means something")

    def test_the_name_of_a_step(self) -> None:
        said = refusal(last_step(signal("a")))
        assert said.startswith("W.c: waits for the signal 'a', which is a step of W: depend on it")

    def test_one_twice(self) -> None:
        said = refusal(last_step(signal("go"), signal("go")))
        assert said.startswith("W.c: depends_on names the signal 'go' twice.")
        said = refusal(last_step(signal("go"), awaits=["go"]))
        assert said.startswith("W.c: the signals ['go'] stand in awaits and in depends_on.")

    @pytest.mark.parametrize("wrong", ["Approval", 5, {}, [str], timedelta(days=1)], ids=repr)
    def test_a_type_that_is_none(self, wrong: Any) -> None:
        said = refusal(last_step(signal("go", wrong)))
        assert said.startswith(f"W.c: signal('go'): type is {wrong!r}, which is no type.")

    def test_a_type_that_pydantic_cannot_check(self) -> None:
        class Strange: ...

        said = refusal(last_step(signal("go", type=Strange)))
        assert said.startswith("W.c: signal('go'): the payload: the annotation")
        # Found here only where pydantic has been imported. Otherwise the step fails; no payload is to blame.
        unchecked = made(last_step(signal("go"))).steps["c"]
        unchecked = unchecked._replace(signals={"go": SignalEdge("go", Strange)})
        with pytest.raises(BindingError, match="no type that pydantic can check") as caught:
            unchecked.bind({}, {}, None, {"go": 1})
        assert caught.value.signals == ()

    def test_a_default_without_a_timeout(self) -> None:
        said = refusal(last_step(signal("go", default=None)))
        assert said.startswith("W.c: signal('go'): the default is bound when a timeout is over")

    @pytest.mark.parametrize(
        "wrong",
        [object(), nan, {1: {2}, 3: object()}, "\ud800"],
        ids=["object", "nan", "deep", "surrogate"],
    )
    def test_a_default_that_is_no_json(self, wrong: Any) -> None:
        said = refusal(last_step(signal("go", timeout=5, default=wrong)))
        assert said.startswith("W.c: the default of signal('go')")

    def test_a_default_that_is_too_long(self) -> None:
        said = refusal(last_step(signal("go", timeout=5, default="x" * 400)))
        assert said.startswith("W.c: signal('go'): the default takes more than 400 bytes of JSON.")

    @pytest.mark.parametrize(
        ("default", "kind"),
        [
            ("much", int),
            (None, int),
            (None, dict),
            (None, Approval),
            (None, list[None]),
            (None, Literal["yes", "no"]),
            (None, Annotated[int, "cents"]),
            ({"by": 3}, Approval),
            ({}, Approval | None),
            ("x", Literal["yes", "no"]),
            (True, dict[str, int]),
        ],
    )
    def test_a_default_that_does_not_fit_the_parameter(self, default: Any, kind: Any) -> None:
        def c(self, go): ...

        c.__annotations__ = {"go": kind}
        said = refusal(takes(c, signal("go", timeout=5, default=default)))
        assert said.startswith("W.c: the default of signal('go') does not fit the parameter 'go': ")
        assert said.endswith("Pass another default, or change the annotation.")

    @pytest.mark.parametrize(
        ("default", "kind"),
        [
            (None, Any),
            (None, object),
            (None, Optional[Approval]),  # noqa: UP045 - as older code has it
            (None, Approval | None),
            (None, Annotated[Approval | None, "by whom"]),
            (None, Literal["yes", None]),
            ({"by": "ada"}, Approval),
            (3, int),
            (3, float),
        ],
    )
    def test_a_default_that_does(self, default: Any, kind: Any) -> None:
        def c(self, go): ...

        c.__annotations__ = {"go": kind}
        takes(c, signal("go", type=Approval, timeout=5, default=default))()

    @pytest.mark.parametrize(
        "other",
        [
            {"depends_on": [signal("go", timeout=5)]},
            {"depends_on": [signal("go", timeout=6, default=None)]},
            {"depends_on": [signal("go", timeout=5, default=0)]},
            {"depends_on": [signal("go")]},
            {"awaits": ["go"]},
        ],
    )
    def test_two_steps_that_say_different_things_of_one(self, other: dict[str, Any]) -> None:
        def a(self): ...
        def b(self): ...

        one = step(depends_on=[signal("go", timeout=5, default=None)])(a)
        said = refusal(lambda: workflow(type("W", (), {"a": one, "b": step(**other)(b)})))
        assert said.startswith("W.b: the signal 'go' has another timeout or default here than in a")
        assert "give them the same" in said


async def _asynchronous() -> bool: ...


def _generator() -> Any:
    yield True


class TestWhen:
    @pytest.mark.parametrize("wrong", [True, 5, "a > 1", {}, int], ids=repr)
    def test_what_is_no_function(self, wrong: Any) -> None:
        said = refusal(last_step("a", when=wrong))
        assert said.startswith(f"W.c: when is {wrong!r}; pass a function, such as")

    @pytest.mark.parametrize("wrong", [_asynchronous, _generator])
    def test_what_is_always_true(self, wrong: Any) -> None:
        said = refusal(last_step("a", when=wrong))
        assert said.startswith("W.c: when is a coroutine or a generator, which is always true.")

    def test_another_step(self) -> None:
        @step
        def assess(self): ...

        said = refusal(last_step("a", when=assess))
        assert said.startswith("W.c: when is the step 'assess'. Name it in depends_on")

    @pytest.mark.parametrize("wrong", [lambda *values: True, len], ids=["*", "/"])
    def test_parameters_that_cannot_be_bound_by_name(self, wrong: Any) -> None:
        assert refusal(last_step("a", when=wrong)).startswith("W.c: when: the parameter ")

    def test_a_parameter_that_nothing_supplies(self) -> None:
        def c(self): ...

        said = refusal(takes(c, "a", when=lambda amuont: amuont > 5))
        assert said.startswith("W.c: when: nothing supplies the parameter 'amuont'")

    def test_a_parameter_named_like_a_step_that_it_does_not_depend_on(self) -> None:
        said = refusal(last_step("a", when=lambda b: b))
        assert said.startswith("W.c: when: the parameter 'b' is named like a step it does not")
        assert "Add 'b' to depends_on" in said

    def test_a_parameter_that_takes_no_none(self) -> None:
        def asks(a: Order) -> bool: ...

        said = refusal(last_step(maybe("a"), when=asks))
        assert said.startswith("W.c: when: the parameter 'a' is None if the step a has not")

    def test_an_annotation_that_cannot_be_read(self) -> None:
        def asks(a: Missing) -> bool: ...  # type: ignore[name-defined]  # noqa: F821

        (problem,) = made(last_step("a", when=asks)).annotation_problems()
        assert problem.startswith("W.c: when: the annotation of the parameter 'a' cannot be read")


class Paid(TypedDict):
    receipt: str


@pytest.mark.parametrize("edge", ["maybe", "any_of", "first_of"])
class TestSoftParameters:
    def test_a_whole_output_that_may_be_none(self, edge: str) -> None:
        def c(self, a: Order): ...

        said = refusal(takes(c, EDGES[edge]("a", "b")))
        assert said.startswith("W.c: the parameter 'a' is None if the step a has not succeeded.")
        assert "`… | None`" in said

    @pytest.mark.parametrize("kind", [Order | None, Any, object])
    def test_one_that_takes_none(self, edge: str, kind: Any) -> None:
        def c(self, a): ...

        c.__annotations__ = {"a": kind}
        takes(c, EDGES[edge]("a", "b"))()

    def test_one_that_has_a_default(self, edge: str) -> None:
        def c(self, a: Order = Order()): ...  # noqa: B008

        takes(c, EDGES[edge]("a", "b"))()

    def test_a_name_that_only_one_of_them_returns(self, edge: str) -> None:
        @step
        def a(self) -> Paid: ...

        @step
        def b(self) -> Order: ...

        @step(depends_on=[EDGES[edge]("a", "b")])
        def c(self, receipt: str): ...

        said = refusal(lambda: workflow(input=Order)(type("W", (), {"a": a, "b": b, "c": c})))
        assert said.startswith("W.c: only a supplies the parameter 'receipt', and need not have")


LANGUAGE = """
from datetime import timedelta
from fluxio import Again, any_of, failed, maybe, signal, step, timer, workflow

@workflow
class Order:
    @step
    def assess(self) -> dict: ...
    @step(depends_on=[assess], when=lambda assess: assess["amount"] > 5)
    def audit(self, assess: dict) -> dict: ...
    @step(depends_on=[maybe(audit), timer(days=1), signal("go", type=dict, timeout=5, default=None)])
    def pay(self, audit: dict | None, go: dict | None) -> dict: ...
    @step(depends_on=[failed(pay, OSError)])
    def instead(self) -> dict: ...
    @step(depends_on=[any_of(pay, instead)], deadline=timedelta(hours=1))
    def clear(self) -> dict | Again: ...
"""


class TestPackage:
    def test_a_workflow_with_all_of_it_is_packaged(self, package: Package, folder: Any) -> None:
        (folder / "shop" / "workflows.py").write_text(LANGUAGE)
        said = package()
        assert (said.code, said.err) == (0, "")
        assert "Order  5 steps" in said.out

    @pytest.mark.parametrize(
        ("right", "wrong", "says"),
        [
            ("maybe(audit)", "maybe('adit')", "Order.pay: depends_on names 'adit'"),
            ("days=1", "days=-1", "Order.pay: timer: the duration is"),
            ("lambda assess: assess[", "lambda clear: clear[", "Order.audit: when: the parameter"),
            ("go: dict | None", "go: dict", "Order.pay: the default of signal('go')"),
            ("go: dict | None", "go: list[int]", "Order.pay: the default of signal('go')"),
            ("type=dict", "type=type('Odd', (), {})", "Order.pay: signal('go'): the payload"),
        ],
    )
    def test_one_that_is_wrong_is_not(
        self, package: Package, folder: Any, right: str, wrong: str, says: str
    ) -> None:
        assert right in LANGUAGE
        (folder / "shop" / "workflows.py").write_text(LANGUAGE.replace(right, wrong))
        said = package()
        assert said.code == 1
        assert says in said.err
        assert "Traceback" not in said.err

    def test_a_default_that_needs_pydantic_to_be_checked_is_checked_here(
        self, package: Package, folder: Any
    ) -> None:
        code = LANGUAGE.replace("default=None", "default={'n': 'x'}")
        (folder / "shop" / "workflows.py").write_text(
            code.replace("go: dict | None", "go: dict[str, int]")
        )
        said = package()
        assert said.code == 1
        assert "Order.pay: the default of signal('go') does not fit the parameter 'go'" in said.err


def test_a_worker_imports_such_a_workflow_without_pydantic() -> None:
    code = LANGUAGE.replace("default=None", "default={'n': 1}")
    code = code.replace("go: dict | None", "go: dict[str, int]")
    check = f"{code}\nimport sys; assert 'pydantic' not in sys.modules, 'pydantic was imported'"
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
