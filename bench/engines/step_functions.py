"""AWS Step Functions, as the emulator has them: standard workflows whose tasks are Lambda functions."""

from __future__ import annotations

import json
import time
from typing import Any

from bench.engines import FUNCTION, FUNCTIONS, LOOK, ROLE, NotSucceeded, Site, zipped
from bench.package.workflows import STAGES, step_names


class StepFunctions:
    """A state machine of each workflow, and the function that is all of their tasks."""

    def __init__(self, site: Site) -> None:
        self._states = site.clients["stepfunctions"]
        function = site.clients["lambda"].create_function(
            FunctionName="bench-task",
            Runtime="python3.12",
            Role=ROLE,
            Handler="task.handler",
            Code={"ZipFile": zipped(FUNCTIONS / "task.py")},
            **FUNCTION,
        )["FunctionArn"]
        self._machines = {
            workflow: self._states.create_state_machine(
                name=f"bench-{workflow}",
                roleArn=ROLE,
                definition=json.dumps(definition(step_names(stages), function)),
            )["stateMachineArn"]
            for workflow, stages in STAGES.items()
        }

    @property
    def version(self) -> str:
        return "the emulator's"

    def run(self, workflow: str) -> None:
        """Start it, and look at it until it has ended."""
        arn = self._states.start_execution(stateMachineArn=self._machines[workflow])["executionArn"]
        while (run := self._states.describe_execution(executionArn=arn))["status"] == "RUNNING":
            time.sleep(LOOK)
        if run["status"] != "SUCCEEDED":
            raise NotSucceeded(
                f"{workflow} on Step Functions: {arn} is {run['status']}: {run.get('cause')}"
            )


def definition(stages: list[list[str]], function: str) -> dict[str, Any]:
    """A workflow in the Amazon States Language: a stage is a task, or parallel branches of one task each."""

    def task(**more: Any) -> dict[str, Any]:
        return {"Type": "Task", "Resource": function, **more}

    states: dict[str, Any] = {}
    for at, stage in enumerate(stages):
        then = {"Next": f"stage{at + 1}"} if at + 1 < len(stages) else {"End": True}
        if len(stage) == 1:
            states[f"stage{at}"] = task(**then)
        else:
            branches = [{"StartAt": name, "States": {name: task(End=True)}} for name in stage]
            states[f"stage{at}"] = {"Type": "Parallel", "Branches": branches, **then}
    return {"StartAt": "stage0", "States": states}
