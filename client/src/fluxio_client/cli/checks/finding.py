"""What a check finds: how something is, and what to do about it."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from botocore.exceptions import ClientError

from fluxio_client.cli.failures import explain, is_denied, missing_action

#: What to do where the deployment is not as the module makes it.
APPLY = "`terraform plan` shows what differs from the module; apply it."


class Level(str, Enum):
    """How a check ended."""

    __str__ = str.__str__

    OK = "OK"
    #: It works, but not as the module makes it; or it could not be looked at.
    WARN = "WARN"
    #: Runs stand still, get lost sight of, or will.
    FAIL = "FAIL"


class Finding(NamedTuple):
    """One line: what was looked at, how it is, what to do."""

    level: Level
    area: str
    text: str
    remedy: str = ""


def ok(area: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(Level.OK, area, text)


def warn(area: str, text: str, remedy: str) -> Finding:
    """It works, but."""
    return Finding(Level.WARN, area, text, remedy)


def fail(area: str, text: str, remedy: str) -> Finding:
    """It does not work, or not for long."""
    return Finding(Level.FAIL, area, text, remedy)


def unanswered(area: str, error: Exception) -> Finding:
    """A call that AWS did not answer, as a finding."""
    failure = explain(error)
    assert failure is not None
    if isinstance(error, ClientError) and is_denied(error):
        action = missing_action(error)
        return warn(
            area, f"not looked at: AWS denies {action}", f"add {action} to the policy of your role."
        )
    return fail(area, failure.message, "")
