"""What runs still wait for, told from their items alone: whatever a workflow is made of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fluxio.testing.expressions import Item
from fluxio.testing.table import Key
from fluxio_protocol.run import Run

#: Milliseconds within which a time in an item may be one that something waits for.
CENTURY = 100 * 365 * 86_400_000


def wakes(items: Mapping[Key, Item]) -> Iterator[int]:
    """When the sweeper is to look at each open run next."""
    for item in items.values():
        if "wake_at" in item:
            yield int(item["wake_at"]["N"])


def standing(items: Mapping[Key, Item]) -> dict[Key, Item]:
    """All items, but for what each look at them moves."""
    return {
        key: {name: value for name, value in item.items() if name != "wake_at"}
        for key, item in items.items()
    }


def awaits_a_time(items: Mapping[Key, Item], now: int) -> bool:
    """Whether an item has a time to come, other than when it is looked at next."""
    return any(
        now < time < now + CENTURY for item in standing(items).values() for time in _numbers(item)
    )


def _numbers(value: Any) -> Iterator[int]:
    """All whole numbers in an item, wherever in it they stand."""
    for name, part in value.items():
        if name == "N" and isinstance(part, str):
            if part.lstrip("-").isdigit():
                yield int(part)
        elif isinstance(part, dict):
            yield from _numbers(part)


def missing(run: Run) -> Iterator[str]:
    """What a run waits for, as far as it says so."""
    for name in run.steps:
        if signals := run.awaiting(name):
            yield (
                f"the step {name} waits for the signal {', '.join(signals)}, which the test does not send: "
                f'pass signals={{"{signals[0]}": …}}, or call signal("{signals[0]}", …)'
            )
