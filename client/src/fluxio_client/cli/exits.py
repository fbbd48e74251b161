"""The exit codes of the command: what a script may branch on."""

from __future__ import annotations

from enum import IntEnum


class ExitCode(IntEnum):
    """One code for each thing that a script would do something else about."""

    def __new__(cls, code: int, meaning: str) -> ExitCode:
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        return member

    meaning: str

    OK = 0, "done"
    ERROR = 1, "it could not be done; the message says why and what to do"
    USAGE = 2, "the command line, a value in it, or a setting is wrong"
    UNSUCCESSFUL = (
        3,
        "the run FAILED, was CANCELLED, or is parked (start --wait, show --exit-code); replay: it raised",
    )
    NOT_FOUND = 4, "there is no such run, workflow or message"
    FINDINGS = 5, "doctor found something that is not as it should be"
    NOT_ENDED = 6, "the run had not ended in time (start --wait, show --exit-code)"
    AWS = 7, "AWS refused or could not be reached: credentials, permissions, Region, endpoint"
    INTERRUPTED = 130, "interrupted by Ctrl-C"
