"""Sending many runs on: which have stopped, and what became of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fluxio_client.cli.failures import Explained, explain
from fluxio_client.cli.session import Session
from fluxio_client.cli.which import newest_page
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.run import STOPPED, Run, RunStatus


def stopped_runs(
    session: Session, workflow: str, status: RunStatus, since: int, limit: int
) -> list[str]:
    with session.busy(f"looking for {status} runs of {workflow} …"):
        return [run.run_id for run in newest_page(session, workflow, status, since, limit)]


@dataclass
class Outcome:
    """What became of the runs of one redrive."""

    #: Those that had stopped and go on.
    sent_on: list[str] = field(default_factory=list)
    #: Of these, the ones that had a time limit.
    unlimited: list[str] = field(default_factory=list)
    #: Those that were open already.
    nudged: list[Run] = field(default_factory=list)
    refused: list[tuple[str, Explained]] = field(default_factory=list)


def redrive_each(session: Session, ids: Sequence[str]) -> Outcome:
    """Redrive each run; one that refuses does not keep the others from it."""
    found = Outcome()
    with session.progress("redriving", len(ids)) as bar:
        for run_id in ids:
            try:
                before = session.store.read(run_id)
                after = session.client.redrive(run_id)
            except FluxioError as error:
                why = explain(error)
                assert why is not None
                found.refused.append((run_id, why))
            else:
                if before is not None and before.status not in STOPPED:
                    found.nudged.append(after)
                else:
                    found.sent_on.append(run_id)
                    if before is not None and before.deadline is not None:
                        found.unlimited.append(run_id)
            bar.advance()
    return found
