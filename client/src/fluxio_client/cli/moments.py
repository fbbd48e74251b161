"""Times and durations: how they are typed in, shown, and written as JSON."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from fluxio_protocol.errors import InvalidInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_AGO = re.compile(r"(\d+(?:\.\d+)?)([smhdw])")


def seconds_of(text: str) -> float:
    """Seconds of a duration: 90, 90s, 15m, 2h, 3d, 1w.

    Raises:
        InvalidInput: it is none.
    """
    found = _AGO.fullmatch(text if text[-1:] in _UNITS else f"{text}s")
    if found is None:
        raise InvalidInput(f"{text!r} is no duration: write 90s, 15m, 2h, 3d or 1w.")
    return float(found[1]) * _UNITS[found[2]]


def moment_of(text: str, now: int) -> int:
    """Milliseconds since 1970 of "2h" (so long ago) or of an ISO time; without a zone it is local time.

    Raises:
        InvalidInput: it is neither.
    """
    if _AGO.fullmatch(text):
        return max(0, now - round(seconds_of(text) * 1000))
    try:
        # Python 3.10 does not know Z.
        at = datetime.fromisoformat(re.sub(r"[Zz]$", "+00:00", text))
    except ValueError:
        raise InvalidInput(
            f"{text!r} is no time: write how long ago (90s, 15m, 2h, 3d, 1w), or an ISO time like "
            "2026-03-01T22:15 or 2026-03-01T22:15:00Z."
        ) from None
    return max(0, round(at.astimezone(timezone.utc).timestamp() * 1000))


def iso(at: int | None) -> str | None:
    """An ISO time in UTC, with milliseconds."""
    if at is None:
        return None
    whole = datetime.fromtimestamp(at / 1000, timezone.utc)
    return whole.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def both(name: str, at: int | None) -> dict[str, str | int | None]:
    """A time as records have it: `<name>` as ISO, `<name>_ms` as milliseconds since 1970."""
    return {name: iso(at), f"{name}_ms": at}


def local(at: int | None, now: int) -> str:
    """A time for a person: local, without the date if it is today's."""
    if at is None:
        return "-"
    then = datetime.fromtimestamp(at / 1000).astimezone()
    same_day = then.date() == datetime.fromtimestamp(now / 1000).astimezone().date()
    return then.strftime("%H:%M:%S" if same_day else "%Y-%m-%d %H:%M:%S")


def length(seconds: float | None) -> str:
    """A duration for a person: two units at most."""
    if seconds is None:
        return "-"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.2f} s" if seconds < 9.995 else f"{seconds:.1f} s"
    whole = round(seconds)
    for large, small, size in (("d", "h", 86_400), ("h", "min", 3600), ("min", "s", 60)):
        if whole >= size:
            left = whole % size // {"h": 3600, "min": 60, "s": 1}[small]
            return f"{whole // size} {large}" + (f" {left} {small}" if left else "")
    return f"{whole} s"
