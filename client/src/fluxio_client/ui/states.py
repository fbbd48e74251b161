"""How states look on the pages: a sign and a word, and a class that colours them."""

from __future__ import annotations

from typing import NamedTuple

from fluxio_client.cli.colours import look
from fluxio_client.cli.drawing import state_class
from fluxio_client.cli.waiting import state_of
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Run, RunStatus, Step

#: Beside the words of states that are known.
SIGNS = {
    "PENDING": "○",
    "RUNNING": "◐",
    "WAITING": "Ⅱ",
    "SUCCEEDED": "✓",
    "FAILED": "✕",
    "COMPENSATING": "↶",
    "COMPENSATED": "↶",
    "CANCELLED": "⊘",
    "SKIPPED": "↷",
    "HANDLED": "↪",
    "LOST": "!",
}

UNKNOWN_SIGN = "?"


class State(NamedTuple):
    """A state as a page shows it."""

    word: str
    sign: str
    css: str


def state_of_run(status: RunStatus) -> State:
    """How the status of a run is shown."""
    word = str(status)
    return State(word, SIGNS.get(word, UNKNOWN_SIGN), state_class(word, look(word)))


def state_of_step(run: Run, step: Step, graph: Graph | None, now: int) -> State:
    """How a step is shown as of a moment."""
    state = state_of(run, step, graph, now)
    css = state_class(state.word, state.look)
    waits = css == "state-waiting" and state.word == "PENDING"
    return State(state.word, SIGNS.get("WAITING" if waits else state.word, UNKNOWN_SIGN), css)
