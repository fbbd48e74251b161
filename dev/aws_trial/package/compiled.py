"""A workflow that needs a compiled library: built for one Python and one processor, it loads on no other."""

from __future__ import annotations

import platform
from typing import Any

import rpds

from fluxio import step, workflow


@workflow
class Compiled:
    @step(retry=2)
    def call(self, number: int) -> dict[str, Any]:
        numbers = rpds.List([number, number])
        where = f"{platform.python_version()} on {platform.machine()}"
        return {"sum": sum(numbers), "where": where}
