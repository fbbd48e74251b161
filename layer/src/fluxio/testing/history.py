"""What happened in a test, in order."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Event:
    """Something that happened.

    Attributes:
        at: seconds since the test's run was started.
        what: "step began", "step returned", "step raised", "step timed out", "worker died
            before", "run SUCCEEDED", …
        run_id: the run that it was about; None if it was about none.
        step: the step, if it was about one.
        attempt: the step's attempt, from 1.
        detail: more of it, for a reader.
    """

    at: float
    what: str
    run_id: str | None = None
    step: str | None = None
    attempt: int | None = None
    detail: str = ""

    def __str__(self) -> str:
        about = "" if self.step is None else f" {self.step}"
        if self.attempt is not None and self.attempt > 1:
            about += f" (attempt {self.attempt})"
        return f"{self.at:>12,.3f} s  {self.what}{about}" + (
            f": {self.detail}" if self.detail else ""
        )


class History(list[Event]):
    """The events of a test; as text, one a line."""

    def __str__(self) -> str:
        return "\n".join(map(str, self))


#: What the engine logs that belongs to a history.
TOLD = {
    "step taken over",
    "commit fenced",
    "transaction refused",
    "step not begun",
    "run blocked",
    "message put back",
}


#: How a history says what happens to a worker around the code of a step.
STRIKES = {
    "dies": "worker died",
    "cut off": "worker cut off at Lambda's timeout",
    "doubled": "message delivered again",
    "overtaken": "worker stood still past its lease, message delivered again",
}

#: And how at a call.
AT_CALLS = {
    "before": "worker died before",
    "after": "worker died after",
    "cut off": f"{STRIKES['cut off']} before",
    "delivered again": f"{STRIKES['doubled']} before",
    "overtaken": f"{STRIKES['overtaken']} before",
    "throttled": "throttled",
}
