"""The command line: print one schedule, or run many."""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter

from tests.simulation.schedules import Schedule, run_many, summary


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.schedules")
    parser.add_argument("--seed", type=int, help="print this schedule, step by step")
    parser.add_argument("--count", type=int, default=1000, help="run so many")
    parser.add_argument("--first", type=int, default=0, help="from this seed on")
    options = parser.parse_args(arguments)
    if options.seed is not None:
        schedule = Schedule(options.seed).run()
        print(schedule)  # noqa: T201
        return bool(schedule.problems)
    figures: Counter[str] = Counter()
    began = time.monotonic()
    for first in range(options.first, options.first + options.count, 1000):
        seeds = range(first, min(first + 1000, options.first + options.count))
        figures.update(run_many(seeds, _tell))
        print(summary(figures, time.monotonic() - began), flush=True)  # noqa: T201
    return figures["violations"] > 0


def _tell(schedule: Schedule) -> None:
    if schedule.problems:
        print(f"seed {schedule.seed}: {'; '.join(schedule.problems)}", flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
