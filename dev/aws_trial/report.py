"""The page and the JSON that a trial leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dev.aws_trial.plan import Step
from dev.aws_trial.record import Record, Result, Verdict

PAGE, DOCUMENT = "report.md", "report.json"


def write(record: Record, steps: Sequence[Step], left: Sequence[str] | None) -> list[Path]:
    """Write both beside the trial's state; their paths.

    Args:
        record: what was found.
        steps: all steps of the trial, run or not.
        left: what was still there under the trial's tag at the end; None if that was not asked.
    """
    record.folder.mkdir(parents=True, exist_ok=True)
    page, document = record.folder / PAGE, record.folder / DOCUMENT
    page.write_text(markdown(record, steps, left), encoding="utf-8")
    content = json.dumps(as_json(record, steps, left), indent=2, ensure_ascii=False, default=str)
    document.write_text(content + "\n", encoding="utf-8")
    return [page, document]


def counts(record: Record) -> str:
    """`3 pass, 1 fail`, in the order of the verdicts."""
    counted = Counter(result.verdict for result in record.results.values())
    return ", ".join(f"{counted[verdict]} {verdict}" for verdict in Verdict if counted[verdict])


def as_json(record: Record, steps: Sequence[Step], left: Sequence[str] | None) -> dict[str, Any]:
    return {
        "name": record.name,
        "tag": record.id,
        "on": record.on,
        "account": record.account,
        "region": record.region,
        "begun": record.begun,
        "deployed": record.applied is not None,
        "left": left,
        "steps": [
            {
                "number": step.number,
                "does": step.does,
                "expects": step.expects,
                "most_dollars": step.dollars,
                "only_aws": step.emulated or None,
                "result": _result_json(record.results.get(step.number)),
            }
            for step in steps
        ],
    }


def _result_json(result: Result | None) -> dict[str, Any] | None:
    if result is None:
        return None
    return {
        "verdict": result.verdict.value,
        "seen": result.seen,
        "figures": dict(result.figures),
        "at": result.at,
        "seconds": result.seconds,
    }


def markdown(record: Record, steps: Sequence[Step], left: Sequence[str] | None) -> str:
    where = "AWS" if record.on == "AWS" else f"the emulator {record.on}, which is not AWS"
    lines = [
        f"# Trial of fluxio on {where}",
        "",
        f"Deployment `{record.name}`, {record.region}, account {_masked(record.account)}, {record.begun}.",
        f"Result: {counts(record) or 'nothing has run yet'}.",
        "",
        "| step | does | expected | result | seen |",
        "|---|---|---|---|---|",
    ]
    for step in steps:
        result = record.results.get(step.number)
        verdict = f"**{result.verdict}**" if result else "not run"
        seen = result.seen if result else ""
        cells = (str(step.number), step.does, step.expects, verdict, seen)
        lines.append(f"| {' | '.join(_cell(cell) for cell in cells)} |")
    lines += ["", "## Figures", ""]
    for step in steps:
        if (result := record.results.get(step.number)) and result.figures:
            figures = ", ".join(f"{name}: {value}" for name, value in result.figures.items())
            lines.append(f"- {step.number}: {_cell(figures)}")
    lines += ["", "## What is left", "", *_left(record, left), ""]
    return "\n".join(lines)


def _left(record: Record, left: Sequence[str] | None) -> list[str]:
    if left is None:
        kept = "The deployment stands" if record.applied is not None else "Nothing is deployed"
        return [f"{kept}; what carries the tag `{record.id}` was not asked for."]
    if not left:
        return ["Nothing."]
    return [f"- `{arn}`" for arn in left]


def _cell(text: str) -> str:
    """Text from AWS may hold anything, and a cell of a table takes no line's end and no bar."""
    return " ".join(text.replace("|", "\\|").replace("<", "&lt;").split())


def _masked(account: str) -> str:
    """A page is passed on; which account it was need not be in it. The JSON has the whole number."""
    return f"…{account[-4:]}"
