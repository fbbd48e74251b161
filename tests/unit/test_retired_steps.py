"""`@step(retired=True)`: a step that is on its way out is in the class, and in no new run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from fluxio import step, workflow
from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.errors import DefinitionError


def made(cls: type) -> WorkflowDefinition:
    definition = definition_of(cls)
    assert definition is not None
    return definition


def claim(**of_pay: Any) -> type:
    """A workflow with two steps, and a third one as the test wants it."""

    @workflow
    class Claim:
        @step
        def register(self) -> None: ...

        @step(depends_on=["register"])
        def pay_out(self, pay: str = "") -> None: ...

        if of_pay:

            @step(**of_pay)
            def pay(self) -> None: ...

    return Claim


def test_it_can_be_run_but_is_in_no_new_runs_graph() -> None:
    definition = made(claim(depends_on=["register"], awaits=["approved"], retired=True))

    assert [*definition.steps] == ["register", "pay_out", "pay"]
    assert [*definition.graph.depends_on] == ["register", "pay_out"]
    assert not definition.graph.awaits


def test_the_version_is_that_of_the_workflow_without_it() -> None:
    retired = made(claim(depends_on=["register"], retired=True)).graph.version

    assert retired == made(claim()).graph.version


def test_a_step_may_take_what_only_older_runs_supply() -> None:
    """`pay` was a dependency once: a parameter of that name is not a forgotten `depends_on`."""
    with pytest.raises(DefinitionError, match="named like a step it does not depend on"):
        claim(depends_on=["register"])
    assert claim(depends_on=["register"], retired=True)


def _needed_by_a_new_step() -> None:
    @workflow
    class W:
        @step(retired=True)
        def old(self) -> None: ...

        @step(depends_on=["old"])
        def new(self) -> None: ...


def _all_retired() -> None:
    @workflow
    class W:
        @step(retired=True)
        def old(self) -> None: ...


def _a_circle() -> None:
    @workflow
    class W:
        @step
        def new(self) -> None: ...

        @step(retired=True, depends_on=["two"])
        def one(self) -> None: ...

        @step(retired=True, depends_on=["one"])
        def two(self) -> None: ...


@pytest.mark.parametrize(
    ("define", "message"),
    [
        (_needed_by_a_new_step, r"W\.new: depends_on names 'old', which is retired"),
        (_all_retired, "every step is retired"),
        (_a_circle, "in a circle"),
    ],
)
def test_a_graph_that_no_new_run_could_have_is_refused(
    define: Callable[[], None], message: str
) -> None:
    with pytest.raises(DefinitionError, match=message):
        define()


def test_retired_steps_may_depend_on_each_other() -> None:
    @workflow
    class W:
        @step
        def new(self) -> None: ...

        @step(retired=True, depends_on=["new"])
        def one(self) -> None: ...

        @step(retired=True, depends_on=["one"])
        def two(self) -> None: ...

    assert made(W).waves == (("new",),)
