"""`when=`: the predicate that says, once a step is claimed, whether its code runs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from fluxio import marks, scope
from fluxio.alarm import call_function
from fluxio.binding import Signature, is_deferred
from fluxio.errors import DefinitionError

if TYPE_CHECKING:
    from fluxio.given import Given


class When(NamedTuple):
    """A predicate, bound by name like a step."""

    function: Callable[..., Any]
    signature: Signature
    #: Whether it takes the workflow's instance first.
    is_method: bool

    @classmethod
    def of(cls, function: Any, where: str, names: Mapping[str, Any]) -> When | None:
        """Read a predicate; None if there is none.

        Raises:
            DefinitionError: it is no function, or its parameters cannot be bound by name.
        """
        if function is None:
            return None
        if (mark := marks.of(function)) is not None:
            raise DefinitionError(
                f"{where}: when is the step {mark.name!r}. Name it in depends_on, and ask for what it "
                f"returned: `lambda {mark.name}: …`."
            )
        if not callable(function) or isinstance(function, type):
            raise DefinitionError(
                f"{where}: when is {function!r}; pass a function, such as "
                "`lambda assess: assess['amount'] > 1000`."
            )
        if is_deferred(function):
            raise DefinitionError(
                f"{where}: when is a coroutine or a generator, which is always true. Pass a plain function."
            )
        try:
            first = next(iter(scope.signature_of(function).parameters.values()), None)
        except (TypeError, ValueError):
            raise DefinitionError(
                f"{where}: when takes a function written in Python. Call {function!r} in a lambda."
            ) from None
        is_method = (
            first is not None
            and first.name == "self"
            and first.kind is not inspect.Parameter.VAR_KEYWORD
        )
        signature = Signature.of(function, f"{where}: when", names, is_method=is_method)
        return cls(function, signature, is_method)

    def holds(
        self,
        given: Given,
        context: Any,
        cls: type,
        defaults: Callable[[], Mapping[str, Any]] = dict,
    ) -> bool:
        """Whether the step's code is to run.

        Args:
            given: what the step is given.
            context: the attempt's StepContext.
            cls: the workflow's class.
            defaults: what the type of the workflow's input adds to an input that leaves it out.

        Raises:
            BindingError: nothing supplies a parameter; see `Signature.bind`.
            Exception: whatever the predicate raises: the attempt has failed with it.
        """
        arguments = self.signature.bind(
            given.input,
            given.outputs,
            context,
            given.signals,
            defaults=defaults,
            soft=given.soft,
        )
        positional = (cls(),) if self.is_method else ()
        return bool(call_function(self.function, positional, arguments))
