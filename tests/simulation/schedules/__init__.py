"""Random schedules: workers interleaved at every AWS call, and everything going wrong that may.

    python -m tests.simulation.schedules --seed 7         prints schedule 7, step by step
    python -m tests.simulation.schedules --count 100000   runs so many, and prints figures

A seed decides everything: the workflow, the weather (how often what goes wrong), and every choice of who goes
on next. Workers, callers of `start` and sweeps are greenlets: each gives way at every call it makes, and ends
there if it is its turn to die. Time is the stand-in's clock. When the storm is over, faults stop (but for the
clocks, which go on differing), and whatever was started must come to its end.
"""

from tests.simulation.schedules.figures import run_many, summary
from tests.simulation.schedules.schedule import Schedule

__all__ = ["Schedule", "run_many", "summary"]
