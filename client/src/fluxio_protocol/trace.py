"""Which trace a run is in: the header that carries it from caller to queue to worker, and how a run keeps it.

https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html#xray-concepts-tracingheader

Only a sampled trace is one here: what is not recorded costs nothing, neither an attribute nor a header.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import NamedTuple

#: Where Lambda puts the header of an invocation.
HEADER_VARIABLE = "_X_AMZN_TRACE_ID"

_ROOT = re.compile(r"1-[0-9a-f]{8}-[0-9a-f]{24}")
_SEGMENT = re.compile(r"[0-9a-f]{16}")


class Trace(NamedTuple):
    """A place in a sampled trace: what is recorded next hangs below `parent`."""

    #: The trace's id: "1-", its time in 8 hex digits, "-", and 24 random ones.
    root: str
    #: A segment's id, 16 hex digits; "" if nothing was recorded before.
    parent: str = ""

    @classmethod
    def fresh(cls, now: int) -> Trace:
        """A new trace; `now` in milliseconds since 1970."""
        return cls(f"1-{now // 1000:08x}-{secrets.token_hex(12)}")

    @classmethod
    def from_header(cls, header: str | None) -> Trace | None:
        """The trace of a header; None if it is not sampled, or if there is none that can be read."""
        parts = _parts(header)
        root, parent = parts.get("Root", ""), parts.get("Parent", "")
        if parts.get("Sampled") != "1" or not _ROOT.fullmatch(root):
            return None
        return cls(root, parent if _SEGMENT.fullmatch(parent) else "")

    @classmethod
    def of_run(cls, root: str | None, sender: Trace | None) -> Trace | None:
        """The trace that a run is in, below its sender if that one is in it, too; None if it is in none."""
        if root is None:
            return None
        return sender if sender is not None and sender.root == root else cls(root)

    @property
    def header(self) -> str:
        """The header that hands this trace on."""
        parent = f";Parent={self.parent}" if self.parent else ""
        return f"Root={self.root}{parent};Sampled=1"

    @classmethod
    def from_text(cls, text: str | None) -> Trace | None:
        """The trace that a run keeps; None if it keeps none, or one of a form this version does not know."""
        try:
            digits = urlsafe_b64decode(f"{text or ''}==").hex()
        except ValueError:
            return None
        return cls(f"1-{digits[:8]}-{digits[8:]}") if len(digits) == 32 else None

    @property
    def text(self) -> str:
        """The trace as a run keeps it: 22 characters, because every write of the run pays for them."""
        digits = self.root.removeprefix("1-").replace("-", "")
        return urlsafe_b64encode(bytes.fromhex(digits)).decode().rstrip("=")


def _parts(header: str | None) -> dict[str, str]:
    found = (part.strip().partition("=") for part in (header or "").split(";"))
    return {name: value for name, _, value in found}
