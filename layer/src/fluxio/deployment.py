"""What this deployment says of a run: the plan to go by, or why it cannot go on with it."""

from __future__ import annotations

from fluxio.claims import TIME_MARGIN
from fluxio.definition import WorkflowDefinition
from fluxio.errors import DeploymentError, UnknownWorkflow
from fluxio.manifest import Manifest
from fluxio.plan import PATIENCE, Plan, Problem, StepPolicy
from fluxio.retry import ATTEMPTS_UNDER_CRASHES
from fluxio.steps import DEFAULT_TIMEOUT, StepDefinition
from fluxio_protocol.graph import Graph
from fluxio_protocol.run import Failure, Run
from fluxio_protocol.store import Store

#: Milliseconds of an invocation that may have passed before the first step is begun.
START_UP = 1_000


class Deployment:
    """The user's workflows as this worker has them.

    Args:
        manifest: which there are.
        store: where graphs of versions are kept.
        inline_branches: steps of a fan-out that run as threads of one invocation.
        patience: milliseconds for which it must have been unable to go on with a run before that is parked.
    """

    def __init__(
        self, manifest: Manifest, store: Store, inline_branches: int, patience: int = PATIENCE
    ) -> None:
        self._manifest = manifest
        self._store = store
        self._inline_branches = inline_branches
        self._patience = patience
        self._policies: dict[tuple[str, int], tuple[WorkflowDefinition, dict[str, StepPolicy]]] = {}

    def definition(self, workflow: str) -> WorkflowDefinition:
        """The workflow's code; see `Manifest.load` for the errors."""
        return self._manifest.load(workflow)

    def plan(self, workflow: str, run: Run | None, function_timeout: int) -> Plan | Problem:
        """What to go by for a run of a workflow.

        Args:
            workflow: its name.
            run: the run, once it was read: it keeps the version it was opened with.
            function_timeout: milliseconds an invocation of this function may take.
        """
        try:
            definition = self._manifest.load(workflow)
            policies = self._policies_of(definition, function_timeout)
            graph = self._graph(definition, run)
        except UnknownWorkflow as error:
            # A run under way knew its workflow once: what is missing is a part of the deployment.
            parks = run is not None and run.version is not None
            return Problem(Failure("UnknownWorkflow", str(error)), parks, self._patience)
        except DeploymentError as error:
            return Problem(Failure("DeploymentError", str(error)), True, self._patience)
        timeout = None if definition.timeout is None else round(definition.timeout * 1000)
        return Plan(workflow, graph, policies, timeout, self._inline_branches)

    def _policies_of(
        self, definition: WorkflowDefinition, function_timeout: int
    ) -> dict[str, StepPolicy]:
        """The policies of a workflow's steps, worked out once: they are asked for at each look at a run."""
        key = (definition.name, function_timeout)
        found = self._policies.get(key)
        if found is None or found[0] is not definition:
            steps = definition.steps.items()
            made = {name: _policy(definition.name, step, function_timeout) for name, step in steps}
            found = self._policies[key] = (definition, made)
        return found[1]

    def _graph(self, definition: WorkflowDefinition, run: Run | None) -> Graph:
        deployed = definition.graph
        version = run.version if run is not None and run.version else deployed.version
        if version == deployed.version:
            self._store.put_graph(definition.name, deployed)
            return deployed
        stored = self._store.get_graph(definition.name, version)
        if stored is None:
            raise DeploymentError(
                f"the graph of version {version} of {definition.name} is not in the table, "
                f"and version {deployed.version} is deployed. Deploy version {version} again."
            )
        if stored.unknown:
            nodes = ", ".join(f"{name} ({what})" for name, what in stored.unknown.items())
            raise DeploymentError(
                f"version {version} of {definition.name} was written by a later version of fluxio "
                f"than this worker's: it does not know {nodes}. Deploy that layer again."
            )
        if run is not None:
            missing = [
                step.name
                for step in run.steps.values()
                if not step.settled and step.name not in definition.steps
            ]
            if missing:
                raise DeploymentError(
                    f"this deployment of {definition.name} (version {deployed.version}) has no step "
                    f"{', '.join(missing)}, which the run, of version {version}, still needs. Put it back "
                    "with @step(retired=True), which keeps it for such runs only, deploy that and redrive "
                    "the run, or cancel it."
                )
        return stored


def _policy(workflow: str, step: StepDefinition, function_timeout: int) -> StepPolicy:
    longest = function_timeout - TIME_MARGIN - START_UP
    if step.timeout is None:
        timeout = max(min(DEFAULT_TIMEOUT * 1000, longest), 1)
    else:
        timeout = round(step.timeout * 1000)
        if timeout > longest:
            raise DeploymentError(
                f"step {step.name} of {workflow} has timeout={step.timeout:g} s, but the worker's "
                f"function is stopped after {function_timeout / 1000:.0f} s, of which the worker needs "
                f"{(TIME_MARGIN + START_UP) // 1000}. Raise the module's `timeout`, or lower the step's."
            )
    attempts = step.retry.max + 1
    return StepPolicy(timeout, attempts, max(attempts, ATTEMPTS_UNDER_CRASHES), step.isolated)
