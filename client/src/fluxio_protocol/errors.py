"""Everything that can go wrong, one class each.

A class docstring is the explanation a reader gets when nothing more specific is said; the message always
names the place (run, step, attempt) and the next move.
"""

from __future__ import annotations


class FluxioError(Exception):
    """Something in fluxio went wrong; every error of fluxio derives from this one."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or " ".join((self.__doc__ or "").split()))


class SettingError(FluxioError):
    """A setting (argument or environment variable) is missing or cannot be used."""


class InvalidInput(FluxioError):
    """A value handed to fluxio from outside is not acceptable: a run id, a workflow name, an input."""


class PayloadError(FluxioError):
    """An input or an output cannot be stored: it is not JSON, or it is too large."""


class RunNotFound(FluxioError):
    """There is no run of this id in the table: it was never started, or its retention has passed."""


class RunExists(FluxioError):
    """A run of this id exists already, with another workflow or input."""


class RunEnded(FluxioError):
    """The run has ended, so that what was asked of it cannot be done any more."""


class UnknownStatus(FluxioError):
    """The run is in a status that this version of fluxio does not know: a later one wrote it. Upgrade."""


class RunParked(FluxioError):
    """The run waits for an operator: the deployed worker cannot go on with it, its error says why."""


class SignalExists(FluxioError):
    """The run has this signal already, with another payload. The first one stands."""


class SignalLapsed(FluxioError):
    """The signal has come after its timeout. The run goes on without it, or has failed for that."""


class WaitTimeout(FluxioError):
    """The run had not ended when the time to wait was over. It goes on; wait again or look at it later."""


class NotNudged(FluxioError):
    """The run is stored but its first message was not accepted by SQS."""


class IndexNotReady(FluxioError):
    """An index of the table is being made anew by an upgrade; runs go on, listings work when it is ACTIVE."""


class MalformedNudge(FluxioError):
    """A message in the queue is not one that fluxio wrote."""
