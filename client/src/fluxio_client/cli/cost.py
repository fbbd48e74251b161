"""`fluxio cost`: what a workflow costs per million runs, here and elsewhere."""

from __future__ import annotations

from typing import Annotated, Any

import typer
from rich.table import Table

from fluxio_client.cli.bill import NOT_COUNTED, Line, total
from fluxio_client.cli.costing import Costing, costing
from fluxio_client.cli.prices import AS_OF, PRICES, REGION
from fluxio_client.cli.session import Session


def cost(
    session: Session,
    name: Annotated[
        str, typer.Argument(metavar="RUN|WORKFLOW", help="A run's id, or a workflow's name.")
    ],
    runs: Annotated[
        int, typer.Option(help="Of a workflow: average so many of its newest runs.", min=1, max=200)
    ] = 10,
    log_group: Annotated[
        str | None, typer.Option(help="The worker's log group. Default: found from the queue.")
    ] = None,
) -> None:
    """Say what a run, or the average run of a workflow, costs per million, from what it has used up.

    Writes, messages, invocations and milliseconds come from the worker's log; prices are list prices of
    us-east-1. Beside it stands what the same graph costs in Step Functions Standard and as a Lambda durable
    function, by their rules for counting.

    Example: fluxio cost OrderFulfillment
    """
    _print(session, costing(session, name, runs, log_group))


def _print(session: Session, found: Costing) -> None:
    runs, usage, compute = found.runs, found.usage, found.compute
    if session.json:
        session.print_json(
            {
                "workflow": runs[0].workflow,
                "runs": [run.run_id for run in runs],
                "runs_without_log": usage.unseen,
                "per_run": {
                    "writes": usage.per_run(usage.writes),
                    "write_units": usage.per_run(usage.write_units),
                    "index_write_units": usage.per_run(usage.index_write_units),
                    "reads": usage.per_run(usage.reads),
                    "messages": usage.per_run(usage.messages),
                    "messages_taken": usage.per_run(usage.taken),
                    "sqs_requests": usage.per_run(usage.requests),
                    "invocations": usage.per_run(len(usage.invocations)),
                    "milliseconds": usage.per_run(usage.milliseconds),
                    "attempts": usage.per_run(usage.attempts),
                },
                "memory_mb": compute.memory_mb,
                "architecture": compute.architecture,
                "fluxio": _record(found.own),
                "peers": {peer: _record(lines) for peer, lines in found.peers.items()},
                "prices": {
                    "region": REGION,
                    "as_of": AS_OF,
                    "sources": sorted({price.source for price in PRICES.values()}),
                },
                "not_counted": NOT_COUNTED,
            }
        )
        return
    counted = "this run" if len(runs) == 1 else f"the average of {len(runs)} runs"
    used = (
        _count(usage.per_run(usage.writes), "table write"),
        _count(usage.per_run(usage.messages), "message"),
        _count(usage.per_run(len(usage.invocations)), "invocation"),
    )
    milliseconds = f"{usage.per_run(usage.milliseconds):.0f} ms"
    session.out.print(
        f"{runs[0].workflow}, {counted}: {', '.join(used)}, {milliseconds} at {compute.memory_mb} MB "
        f"({compute.architecture})",
        soft_wrap=True,
    )
    table = Table(box=None, pad_edge=False, show_edge=False, header_style="bold")
    table.add_column("per million runs", no_wrap=True)
    table.add_column("a run", justify="right", no_wrap=True)
    table.add_column("", no_wrap=True)
    table.add_column("$", justify="right", no_wrap=True)
    for title, lines_ in (("fluxio", found.own), *found.peers.items()):
        table.add_row(title, "", "", _dollars(total(lines_)), style="bold")
        for line in lines_:
            table.add_row(
                f"  {line.what}",
                f"{line.amount:.4g}",
                line.unit,
                _dollars(line.dollars_per_million),
            )
    session.out.print(table)
    session.note(
        "counted: the start, and what workers did. A write unit is a kilobyte begun of the run item, which "
        f"grows with its steps. Workers took {_count(usage.per_run(usage.taken), 'message')} a run, those of "
        "signals, redrives, sweeps and retries included; SQS counts a request to send one, and two to take "
        "it: receive and delete, or receive and put back"
    )
    if usage.unseen:
        session.note(
            f"{usage.unseen} of the runs have no line in the log and count as a start only"
        )
    session.note(
        f"list prices of {REGION} as published in {AS_OF} (sources: --json). Not counted: {NOT_COUNTED}"
    )


def _record(lines_: list[Line]) -> dict[str, Any]:
    return {
        "dollars_per_million_runs": round(total(lines_), 4),
        "lines": [
            {
                "what": line.what,
                "per_run": line.amount,
                "unit": line.unit,
                "dollars_per_million_runs": round(line.dollars_per_million, 4),
            }
            for line in lines_
        ],
    }


def _count(number: float, what: str) -> str:
    return f"{number:g} {what}{'' if number == 1 else 's'}"


def _dollars(amount: float) -> str:
    return f"{amount:,.2f}"
