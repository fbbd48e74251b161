"""`FluxioEngine`: starting runs from code that has the engine installed."""

from __future__ import annotations

from typing import Any

from fluxio_client.client import FluxioClient


class FluxioEngine:
    """Starts runs; `fluxio_client.FluxioClient` does the same with fewer dependencies, and more.

    Args:
        table_name: the module's output `table_name`; by default FLUXIO_TABLE_NAME.
        queue_url: the module's output `queue_url`; by default FLUXIO_QUEUE_URL.
        clients: `dynamodb` and `sqs`, boto3 clients, if the default ones will not do.

    Raises:
        SettingError: table or queue are neither given nor in the environment, or cannot be used.
    """

    def __init__(
        self, table_name: str | None = None, queue_url: str | None = None, **clients: Any
    ) -> None:
        self.client = FluxioClient(table_name, queue_url, **clients)

    def start_workflow(
        self, workflow_name: str | type, input_data: Any = None, run_id: str | None = None
    ) -> str:
        """Start a run; see `FluxioClient.start` for the arguments and errors.

        Args:
            workflow_name: the workflow's name; or its class, whose `@workflow(input=…)` the input is then held
                against before the run is started.
            input_data: the run's input.
            run_id: an id of your own, with which the call can be repeated safely.

        Returns:
            The run's id, which is the `run_id` given, or "wf-" and 12 hex digits.

        Raises:
            InvalidInput: the class is no workflow, or the input does not fit the type it says.
        """
        return self.client.start(workflow_name, input_data, run_id=run_id).run_id
