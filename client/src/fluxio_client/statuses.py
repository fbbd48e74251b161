"""Statuses that this version of the client knows, and those that a later one wrote."""

from __future__ import annotations

from fluxio_protocol.errors import UnknownStatus
from fluxio_protocol.run import Run


def known(run: Run) -> Run:
    """The run, if this version knows how one in its status may be moved.

    Raises:
        UnknownStatus: it does not.
    """
    if not run.status.known:
        raise UnknownStatus(
            f"run {run.run_id} is {run.status}, a status that this version of fluxio-client does not know: a "
            "later one wrote it, and nothing was changed. Upgrade fluxio-client to the deployment's version."
        )
    return run
