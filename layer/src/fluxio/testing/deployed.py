"""What is deployed in a test: the workflows, their steps by name, and the mocks of these."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from fluxio.definition import WorkflowDefinition, definition_of
from fluxio.testing import mocks as mocking
from fluxio.testing.errors import InvalidTest


def definitions_of(workflow: type, also: Iterable[type]) -> list[WorkflowDefinition]:
    """What @workflow made of the classes of a test; the one under test comes first.

    Raises:
        InvalidTest: one of them is no workflow.
    """
    found: list[WorkflowDefinition] = []
    for cls in (workflow, *also):
        definition = definition_of(cls)
        if definition is None:
            raise InvalidTest(
                f"{cls!r} is no workflow: pass a class decorated with @workflow itself (a subclass has to be "
                "decorated, too)."
            )
        found.append(definition)
    return found


def steps_called(
    definitions: list[WorkflowDefinition], name: str, where: str
) -> tuple[WorkflowDefinition, str]:
    """The step of a name: of the workflow under test, or of another one as "Other.name".

    Raises:
        InvalidTest: there is none.
    """
    workflow, dot, step = name.rpartition(".")
    for definition in definitions if dot else definitions[:1]:
        if step in definition.steps and workflow in ("", definition.name):
            return definition, step
    known = [*definitions[0].steps, *(f"{d.name}.{s}" for d in definitions[1:] for s in d.steps)]
    raise InvalidTest(
        f"{where}: {definitions[0].name} has no step {name!r}. There are: {', '.join(known)}."
    )


def mocked(
    definitions: list[WorkflowDefinition], mocks: Mapping[str, Any]
) -> dict[tuple[str, str], Any]:
    """Mocks by workflow and step.

    Raises:
        InvalidTest: a step is unknown, or a mock asks for what its step is not given.
    """
    found: dict[tuple[str, str], Any] = {}
    for name, mock in mocks.items():
        definition, step = steps_called(definitions, name, "mocks")
        mocking.check(mock, name, definition.steps[step])
        found[definition.name, step] = mock
    return found
