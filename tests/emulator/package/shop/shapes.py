"""Workflows of a shape and a size, whose steps return as many bytes as the run's input says."""

from fluxio import step, workflow


def shaped(name: str, edges: dict[str, list[str]]) -> type:
    def says(self, size: int) -> str:
        return "o" * (size - 2)

    steps = {}
    for at, deps in edges.items():
        run = lambda self, size: says(self, size)  # noqa: E731 - a function for each step
        run.__name__ = run.__qualname__ = at
        steps[at] = step(depends_on=deps)(run)
    return workflow(type(name, (), steps))


def chain(length: int) -> dict[str, list[str]]:
    return {f"s{at}": [f"s{at - 1}"] if at else [] for at in range(length)}


def fan(width: int) -> dict[str, list[str]]:
    branches = {f"b{at}": ["begin"] for at in range(width)}
    return {"begin": [], **branches, "end": list(branches)}


Chain20, Chain100, Chain200 = (shaped(f"Chain{of}", chain(of)) for of in (20, 100, 200))
Fan20, Fan100 = (shaped(f"Fan{of}", fan(of)) for of in (20, 100))
