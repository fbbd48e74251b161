"""fluxio measured beside its rivals, in rounds that alternate, on one emulator: see README.md."""

from __future__ import annotations

from typing import Protocol

#: The shapes that are measured: 1-3-1, 20 in a row, 1-100-1.
SHAPES = ("order", "chain", "fan")


#: Seconds between two looks at a run that was started: each look takes the emulator's time from the run.
LOOK = 0.005


class Engine(Protocol):
    """One engine, deployed with a workflow of each shape."""

    name: str

    def run(self, shape: str) -> float:
        """Run it once; milliseconds from the start call to the seen end."""
