"""The durable function: all workflows, by AWS's SDK for Python, as its documentation writes them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from aws_durable_execution_sdk_python import durable_execution, durable_step


def _task(ctx: Any) -> dict[str, bool]:  # noqa: ARG001
    # The emulator waits 50 ms for a handler that writes nothing to stderr.
    sys.stderr.write("done\n")
    sys.stderr.flush()
    return {"done": True}


task = durable_step(_task)


def _branch(name: str) -> Callable[[Any], Any]:
    return lambda child: child.step(task(), name=name)


def _run(event: dict[str, Any], context: Any) -> dict[str, bool]:
    for at, stage in enumerate(event["stages"]):
        if len(stage) == 1:
            context.step(task(), name=stage[0])
        else:
            branches = [_branch(name) for name in stage]
            context.parallel(branches, name=f"s{at}").throw_if_error()
    return {"done": True}


handler = durable_execution(_run)
