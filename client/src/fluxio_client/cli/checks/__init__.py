"""What `fluxio doctor` looks at, and what each thing should be like.

The module makes all of it, so the remedy is mostly the same: something was changed by hand, or the module
was not applied. A check whose call is denied says which action is missing, and the others go on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from fluxio_client.cli.checks import layer, queues, runs, schedule, table, worker
from fluxio_client.cli.checks.examination import Examination
from fluxio_client.cli.checks.finding import Finding, Level, unanswered
from fluxio_client.cli.failures import concerns_every_call, explain

__all__ = ["CHECKS", "Examination", "Finding", "Level", "examine"]

Check = Callable[[Examination], Iterator[Finding]]


CHECKS: tuple[tuple[str, Check], ...] = (
    ("caller", table.caller),
    ("table", table.table),
    ("table", table.table_care),
    ("queue", queues.queue),
    ("dlq", queues.dead_letters),
    ("worker", worker.mapping),
    ("worker", worker.function),
    ("worker", worker.recursion),
    ("worker", worker.concurrency),
    ("layer", layer.layer),
    ("schedule", schedule.schedule),
    ("runs", runs.runs),
    ("runs", runs.parked),
    ("rights", runs.rights),
)


def examine(at: Examination) -> Iterator[tuple[str, list[Finding]]]:
    """Each check in turn: its area, and what it found; a failure that several meet is said once."""
    said: set[str] = set()
    for area, check in CHECKS:
        found: list[Finding] = []
        try:
            found.extend(check(at))
        except Exception as error:
            if explain(error) is None or concerns_every_call(error):
                raise
            finding = unanswered(area, error)
            if finding.text not in said:
                found.append(finding)
                said.add(finding.text)
        yield area, found
