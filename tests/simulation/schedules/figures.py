"""Many schedules, and what they met, in figures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from tests.simulation.schedules.schedule import Schedule

#: What is named in the summary.
NAMED = (
    "deaths", "invocations timed out", "takeovers", "duplicates", "answers lost", "unanswered",
    "throttled", "late copies", "half-sent batches", "deletes lost", "stale deletes",
    "back too late", "runs failed",
    "cancels", "redrives", "late failures", "signals", "dead letters",
    "saved by the sweeper", "rollouts", "poisoned", "mended", "archives",
)  # fmt: skip


def run_many(seeds: range, each: Callable[[Schedule], None] | None = None) -> Counter[str]:
    """Run schedules and add up their figures."""
    figures: Counter[str] = Counter()
    for seed in seeds:
        schedule = Schedule(seed).run()
        figures.update(schedule.figures)
        figures["violations"] += bool(schedule.problems)
        if each is not None:
            each(schedule)
    return figures


def summary(figures: Counter[str], seconds: float) -> str:
    """The figures of many schedules, in words."""
    parts = [f"{figures[name]:,} {name}" for name in NAMED]
    return (
        f"{figures['schedules']:,} random schedules ({figures['schedules'] / seconds:.0f}/s), "
        f"{figures['calls']:,} calls, {figures['needed the sweeper']:,} schedules swept, "
        f"{', '.join(parts)}: {figures['violations']} violations"
    )
