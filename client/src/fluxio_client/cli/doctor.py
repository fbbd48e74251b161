"""`fluxio doctor`: is the deployment as it should be, and what to do if not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer
from rich.text import Text

from fluxio_client.cli import deploy_check
from fluxio_client.cli.checks import CHECKS, Examination, Finding, Level, examine
from fluxio_client.cli.command import end_with
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.session import Session

_STYLES = {Level.OK: "green", Level.WARN: "bold yellow", Level.FAIL: "bold red"}


def doctor(
    session: Session,
    strict: Annotated[bool, typer.Option("--strict", help="Let a WARN count as a FAIL.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Only what is not OK.")] = False,
    package: Annotated[
        Path | None,
        typer.Option(
            metavar="ZIP",
            help="Say, too, which open runs a deploy of this package would park or fail.",
        ),
    ] = None,
) -> None:
    """Check table, queues, worker, layer, schedule and your own rights; changes nothing.

    FAIL means that runs stand still or will, WARN that something is not as the module makes it or could
    not be looked at. The exit code is 5 if there is a FAIL; 2 or 7 if AWS cannot be asked at all.

    With --package, open runs are read one by one, and the package's workflows are imported as `fluxio
    package` does.

    Example: fluxio doctor --package orders.zip
    """
    # What no check can do without is said once, as every command says it, and not by each check.
    _ = session.table, session.queue
    examination = Examination(session)
    with session.busy("reaching AWS …"):
        examination.reach()
    found: list[Finding] = []
    with session.progress("looking", len(CHECKS)) as bar:
        for _, some in examine(examination):
            found += some
            bar.advance()
    if package is not None:
        found += deploy_check.findings(session, package)
    counted = Counter(finding.level for finding in found)
    bad = counted[Level.FAIL] + (counted[Level.WARN] if strict else 0)
    if session.json:
        session.print_json(
            {
                "ok": not bad,
                "counts": {level.value: counted[level] for level in Level},
                "findings": [
                    {
                        "level": finding.level.value,
                        "area": finding.area,
                        "text": finding.text,
                        "remedy": finding.remedy or None,
                    }
                    for finding in found
                ],
            }
        )
    else:
        for finding in found:
            if not (quiet and finding.level is Level.OK):
                _print(session, finding)
        session.out.print(", ".join(f"{counted[level]} {level}" for level in Level))
    end_with(ExitCode.FINDINGS if bad else ExitCode.OK)


def _print(session: Session, finding: Finding) -> None:
    line = Text.assemble(
        (f"{finding.level:4}", _STYLES[finding.level]), f"  {finding.area:8}  {finding.text}"
    )
    session.out.print(line, soft_wrap=True)
    if finding.remedy:
        session.out.print(f"{'':16}do: {finding.remedy}", soft_wrap=True)
