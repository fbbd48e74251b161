"""When a failed attempt is tried again, and how long that waits."""

from __future__ import annotations

from dataclasses import dataclass

from fluxio.errors import DefinitionError
from fluxio.raised import each_of, is_one_of, leaves_of
from fluxio_protocol.duration import Duration, in_seconds
from fluxio_protocol.errors import InvalidInput

#: Seconds that a wait may have at the most: a day.
MAX_WAIT = 86_400

#: A worker that dies says little about the step it held, so a step gets at least this many attempts before
#: deaths alone make it FAILED, whatever its own `retry`.
ATTEMPTS_UNDER_CRASHES = 5


@dataclass(frozen=True)
class Retry:
    """How often a step is tried again after an exception, and after how long.

    Args:
        max: how often at most, 0 to 100; 3 means up to four attempts. An attempt whose worker died counts.
        initial: seconds before the first retry, or a timedelta; 0 to 86,400 seconds.
        backoff: what each further wait is multiplied by, 1 to 10.
        maximum: seconds a wait is at most, or a timedelta; 0 to 86,400 seconds.
        jitter: the share of a wait that is drawn at random, 0 to 1, so that many runs that failed together
            do not come back together.
        retry_on: exception types that are retried; others fail the step at once. Default: whatever is raised.
            An exception group is retried if it is of such a type itself, or all exceptions in it are.
        give_up_on: exception types that fail the step at once, even if `retry_on` has them; also if only one
            exception in a group is of such a type.

    Types are told as by an `except` clause.

    Raises:
        DefinitionError: a value is out of its bounds.
    """

    max: int = 3
    initial: Duration = 1.0
    backoff: float = 2.0
    maximum: Duration = 900.0
    jitter: float = 0.5
    retry_on: tuple[type[BaseException], ...] = (BaseException,)
    give_up_on: tuple[type[BaseException], ...] = ()

    def __post_init__(self) -> None:
        for name in ("retry_on", "give_up_on"):
            types = getattr(self, name)
            if isinstance(types, type):
                types = (types,)
            types = tuple(types)
            if not all(isinstance(of, type) and issubclass(of, BaseException) for of in types):
                raise DefinitionError(f"Retry({name}=…) takes exception types, got {types!r}.")
            object.__setattr__(self, name, types)
        if type(self.max) is not int or not 0 <= self.max <= 100:
            raise DefinitionError(f"Retry(max={self.max!r}): use a whole number from 0 to 100.")
        for name in ("initial", "maximum"):
            try:
                seconds = in_seconds(getattr(self, name), most=MAX_WAIT)
            except InvalidInput as error:
                raise DefinitionError(f"Retry: {name} {error}.") from None
            object.__setattr__(self, name, seconds)
        for name, low, high in (("backoff", 1, 10), ("jitter", 0, 1)):
            given = getattr(self, name)
            if type(given) not in (int, float) or not low <= given <= high:
                raise DefinitionError(
                    f"Retry({name}={given!r}): use a number from {low} to {high}."
                )

    def allows(self, error: BaseException) -> bool:
        """Whether an exception of this type is retried at all."""
        if any(is_one_of(one, self.give_up_on) for one in each_of(error)):
            return False
        return is_one_of(error, self.retry_on) or all(
            is_one_of(one, self.retry_on) for one in leaves_of(error)
        )

    def delay(self, attempt: int, chance: float) -> int:
        """Milliseconds to wait after this attempt failed.

        Args:
            attempt: the attempt that failed, from 1.
            chance: a number from 0 to 1, drawn at random by the caller.
        """
        initial, maximum = in_seconds(self.initial), in_seconds(self.maximum)
        wait: float = min(maximum, initial * self.backoff ** min(attempt - 1, 64))
        return round(1000 * wait * (1 - self.jitter * chance))
