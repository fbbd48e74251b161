"""Starting a run whose id is taken: it is the same run, or another one."""

from __future__ import annotations

import json
from typing import Any

from fluxio_client.equality import is_same_json, is_stored_as
from fluxio_protocol.errors import RunExists
from fluxio_protocol.run import Run
from fluxio_protocol.store import Store


def same_run(store: Store, there: Run, workflow: str, text: str, input: Any) -> Run:
    """The run that is there, if it was started with the same workflow and input.

    Args:
        store: where the run is.
        there: the run that has the id.
        workflow: the workflow that is to be started.
        text: its input, as JSON.
        input: its input, as the caller has it.

    Raises:
        RunExists: it was started with others.
    """
    if there.workflow != workflow:
        difference = f"of workflow {there.workflow}, not {workflow}"
    else:
        # A GetItem: the worker's role may read an item, but not query the table.
        ref, stored = there.input_ref, there.input_json
        if ref is not None:
            stored = store.payloads.get(there.run_id, ref)
        if stored is not None and (
            is_same_json(stored, text) or is_stored_as(input, json.loads(stored))
        ):
            return there
        difference = "with another input"
    raise RunExists(
        f"run {there.run_id} exists already, {difference}: choose another run_id, "
        "or leave it out to get a fresh one."
    )
