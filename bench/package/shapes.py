"""The workflows that are measured, on fluxio: their steps do nothing."""

from fluxio import step, workflow


def shaped(name: str, edges: dict[str, list[str]]) -> type:
    steps = {}
    for at, deps in edges.items():

        def run(self: object) -> dict[str, bool]:  # noqa: ARG001
            return {"done": True}

        run.__name__ = run.__qualname__ = at
        steps[at] = step(depends_on=deps)(run)
    return workflow(type(name, (), steps))


def fan(width: int) -> dict[str, list[str]]:
    branches = {f"b{at}": ["begin"] for at in range(width)}
    return {"begin": [], **branches, "end": list(branches)}


Order = shaped("Order", fan(3))
Chain = shaped("Chain", {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(20)})
Fan = shaped("Fan", fan(100))
