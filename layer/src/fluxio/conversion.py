"""A stored value as the type that a parameter's annotation asks for.

Plain values of plain types (str, int, float, bool, dict, list) are passed as they are; pydantic is imported
only when a type or a value asks for it, because importing it costs a cold start about half as much again as
boto3 does.
"""

from __future__ import annotations

import json
import math
import re
import sys
import typing
from typing import Any

from fluxio.errors import BindingError
from fluxio_protocol import encoding

#: Digits or an exponent beyond which a float is infinite.
_HUGE = re.compile(r"\d{309}|[eE]\+?\d{3}")


class Converter:
    """Converts values to one type.

    Args:
        kind: the type.
        name: what the values are called: the parameter.
        what: what they are, for errors: "the value of the parameter 'amount'".
        remedy: what to do about one that does not fit.
    """

    def __init__(self, kind: Any, name: str, what: str, remedy: str) -> None:
        self._kind = kind
        self._name = name
        self._what = what
        self.remedy = remedy
        self._adapter: Any = None

    def convert(self, value: Any) -> Any:
        """The value as the type has it.

        Raises:
            BindingError: it does not fit, or pydantic knows no such type.
        """
        if self._kind is Any or type(value) is self._kind:
            return value
        if self._kind is float and type(value) is int:
            try:
                return float(value)
            except OverflowError:
                raise self._refused("it is beyond what a float can hold") from None
        adapter = self.adapter
        from pydantic import ValidationError

        try:
            # As JSON, because that is what it is: a date, a UUID or bytes comes as a string.
            text = json.dumps(value)
            converted = adapter.validate_json(text)
        except ValidationError as error:
            raise self._refused(self._problems(error)) from None
        except Exception as error:  # a validator is the user's own code
            raise self._refused(f"{type(error).__name__}: {error}") from error
        if _HUGE.search(text) and _is_infinite(converted):
            raise self._refused("a number in it is beyond what a float can hold")
        return converted

    @property
    def adapter(self) -> Any:
        """pydantic's adapter of the type.

        Raises:
            BindingError: pydantic cannot check the type.
        """
        if self._adapter is None:
            from pydantic import TypeAdapter

            try:
                adapter = TypeAdapter(_checkable(self._kind))
                _ = (
                    adapter.validator.title
                )  # of a model whose own annotations cannot be read there is none
                self._adapter = adapter
            except Exception as error:  # noqa: BLE001 - the type may say itself how it is checked
                raise BindingError(
                    f"{self._what}: the annotation {self._kind!r} is no type that pydantic can check: {error}"
                ) from None
        return self._adapter

    def _problems(self, error: Any) -> str:
        try:
            found = error.errors(include_url=False, include_input=False, include_context=False)
        except Exception:  # noqa: BLE001 - a validator's own error that cannot be shown
            return "a validator refuses it"
        return "; ".join(
            f"{'.'.join(map(str, problem['loc'])) or self._name}: {problem['msg']}"
            for problem in found
        )

    def _refused(self, problems: str) -> BindingError:
        return BindingError(f"{self._what} does not fit its type: {problems}. {self.remedy}")


def _checkable(kind: Any) -> Any:
    """A type as pydantic takes it: before Python 3.12 it wants typing_extensions' TypedDict."""
    if sys.version_info >= (3, 12) or not typing.is_typeddict(kind):
        return kind
    from typing_extensions import NotRequired, Required, TypedDict

    hints = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        if typing.get_origin(hint) in (Required, NotRequired):
            (hint,) = typing.get_args(hint)
        hints[name] = (
            _checkable(hint) if name in kind.__required_keys__ else NotRequired[_checkable(hint)]
        )
    return TypedDict(kind.__name__, hints)  # type: ignore[operator]


def _is_infinite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isinf(value)
    try:
        encoding.to_tree(value)
    except encoding.Unstorable as error:
        return error.problem == encoding.NOT_FINITE
    except Exception:  # noqa: BLE001 - it is a value for the step, and need not be one to store
        return False
    return False
