"""Why a step or a run failed, as it is stored."""

from __future__ import annotations

import json
from bisect import bisect_right
from dataclasses import dataclass
from typing import Any


def _json(of: Any) -> str:
    return json.dumps(of, separators=(",", ":"), ensure_ascii=False)


def _cut(text: str, limit: int) -> str:
    """The text, or as much of its beginning as takes `limit` bytes in JSON with an ellipsis after it."""

    def size(length: int) -> int:
        return len(_json(text[:length]).encode("utf-8", "surrogatepass")) - 2  # its quotation marks

    if len(text) <= limit and size(limit) <= limit:
        return text
    # Each character takes a byte or more, so the end is at `limit` or before.
    kept = bisect_right(range(1, limit + 1), limit - len("…".encode()), key=size)
    return text[:kept] + "…"


@dataclass(frozen=True)
class Failure:
    """Why a step or a run failed: the exception's type and message, and where it was raised."""

    #: The name of the exception's type, cut to MAX_TYPE bytes once it is stored.
    type: str
    #: What the exception said, cut to MAX_MESSAGE bytes once it is stored.
    message: str
    #: The step that failed; None if the run failed as a whole, or was parked.
    step: str | None = None
    #: The step's attempt that failed, from 1; None without a step.
    attempt: int | None = None
    #: Types that `failed` edges name and the exception is of, besides its own.
    bases: tuple[str, ...] = ()

    #: Bytes of a message as it is stored, in JSON: the run item is paid for by the kilobyte, and has room for
    #: the errors of 200 steps.
    MAX_MESSAGE = 400

    #: Bytes of a type's name as it is stored, in JSON.
    MAX_TYPE = 100

    def to_json(self) -> str:
        """The failure as it is stored."""
        parts: dict[str, Any] = {
            "type": _cut(self.type, self.MAX_TYPE),
            "message": _cut(self.message, self.MAX_MESSAGE),
        }
        if self.step is not None:
            parts.update(step=self.step, attempt=self.attempt)
        if self.bases:
            parts["is"] = self.bases
        return _json(parts)

    @property
    def kinds(self) -> frozenset[str]:
        """The names of the types that the exception is of, as far as they matter."""
        return frozenset({self.type, *self.bases})

    @classmethod
    def from_json(cls, text: str) -> Failure:
        """The failure that `to_json` stored; what a later version wrote in another form becomes the message."""
        try:
            at = json.loads(text)
        except ValueError:
            at = text
        if not isinstance(at, dict) or not {"type", "message"} <= at.keys():
            return cls("Unknown", text)
        bases = tuple(at.get("is", ()))
        return cls(at["type"], at["message"], at.get("step"), at.get("attempt"), bases)

    def __str__(self) -> str:
        where = f"step {self.step} (attempt {self.attempt}): " if self.step else ""
        return f"{where}{self.type}: {self.message}"
