"""The workflows that are measured, and fluxio's form of them: their steps do nothing."""

from __future__ import annotations

from typing import Any

from fluxio import step, workflow

#: By workflow, how many branches each of its stages has; a stage begins when the one before has ended.
STAGES: dict[str, list[int]] = {
    "OrderFulfillment": [1, 3, 1],
    "Chain20": [1] * 20,
    "FanOut100": [1, 100, 1],
}


def step_names(stages: list[int]) -> list[list[str]]:
    """The names of the steps, stage by stage; the same for every engine."""
    return [
        [f"s{at}" if width == 1 else f"s{at}b{branch}" for branch in range(width)]
        for at, width in enumerate(stages)
    ]


def _workflow(name: str) -> type:
    steps: dict[str, Any] = {}
    before: list[str] = []
    for stage in step_names(STAGES[name]):
        for step_name in stage:
            steps[step_name] = step(depends_on=before)(_does_nothing(step_name))
        before = stage
    return workflow(type(name, (), steps))


def _does_nothing(name: str) -> Any:
    def run(self: object) -> dict[str, bool]:  # noqa: ARG001
        return {"done": True}

    run.__name__ = run.__qualname__ = name
    return run


OrderFulfillment = _workflow("OrderFulfillment")
Chain20 = _workflow("Chain20")
FanOut100 = _workflow("FanOut100")
