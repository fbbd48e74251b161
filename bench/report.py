"""What was measured, as text and as JSON."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.engines import Engine
from dev import ROOT

COST = ("writes", "write_units", "index_write_units", "messages", "invocations", "cpu_ms")


def circumstances(engines: Mapping[str, Engine], emulator_python: Path) -> dict[str, Any]:
    """The machine, the versions, the commit and the date: without them no figure can be compared."""
    ministack = subprocess.run(
        [emulator_python, "-c", "from importlib.metadata import version as v; print(v('ministack'))"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "commit": _commit(),
        "engines": {name: engine.version for name, engine in engines.items()},
        "ministack": ministack,
        "boto3": version("boto3"),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "load_before": os.getloadavg()[0],
    }


def _commit() -> str:
    """The commit, marked where the tree differs from it; a copy without git has none."""
    asked = ["git", "describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    answer = subprocess.run(asked, cwd=ROOT, capture_output=True, text=True)
    return answer.stdout.strip() or "unknown"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "unknown"
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def text(found: Mapping[str, Any]) -> str:
    """All that a reader needs who sees nothing but this."""
    about = found["circumstances"]
    engines = ", ".join(f"{name} ({version})" for name, version in about["engines"].items())
    machine = f"{about['system']}, {about['processors']} x {about['processor']}"
    load = f"before {about['load_before']:.2f}, after {about['load_after']:.2f}"
    parts = [
        [
            f"{engines}; commit {about['commit']}, {about['date']}",
            f"MiniStack {about['ministack']}, Python {about['python']}, {machine}",
            f"load of the machine {load}. Nothing here ran on AWS.",
        ]
    ]
    if found.get("latency"):
        parts += [_latency(found["latency"], found["rounds"]), _ratios(found["latency"])]
    if found.get("cost"):
        parts.append(_cost(found["cost"], found["runs"]))
    return "\n\n".join("\n".join(part) for part in parts if part)


def _latency(latency: Mapping[str, Any], rounds: int) -> list[str]:
    names = list(next(iter(latency.values()))["milliseconds"])
    rows = [["start call to seen end, ms: min / median / p95", *names]]
    for workflow, of in latency.items():
        cells = [of["milliseconds"][name] for name in names]
        rows.append(
            [workflow, *(f"{c['min']:.0f} / {c['median']:.0f} / {c['p95']:.0f}" for c in cells)]
        )
    return [*_aligned(rows), f"{rounds} rounds"]


def _ratios(latency: Mapping[str, Any]) -> list[str]:
    """A line for each workflow, those first in which a rival wins."""
    with_ratios = {workflow: of for workflow, of in latency.items() if "ratios" in of}
    if not with_ratios:
        return []
    rivals = list(next(iter(with_ratios.values()))["ratios"])
    rows = [["fluxio / rival, of each round: median (min-max)", *rivals, "the faster rival"]]

    def to_the_faster(workflow: str) -> float:
        of = with_ratios[workflow]
        return float(of["ratios"][of["faster_rival"]]["median"])

    for workflow in sorted(with_ratios, key=to_the_faster, reverse=True):
        of = with_ratios[workflow]
        cells = [of["ratios"][name] for name in rivals]
        told = [f"{c['median']:.2f} ({c['min']:.2f}-{c['max']:.2f})" for c in cells]
        rows.append([workflow, *told, of["faster_rival"]])
    return _aligned(rows)


def _cost(cost: Mapping[str, Any], runs: int) -> list[str]:
    rows = [["a run on fluxio", *(name.replace("_", " ") for name in COST)]]
    for workflow, of in cost.items():
        cells = (_told(of[name], ".1f" if name == "cpu_ms" else "g") for name in COST)
        rows.append([workflow, *cells])
    return [*_aligned(rows), f"{runs} runs of each; median, and (min-max) where they differ"]


def _told(of: Mapping[str, float], form: str) -> str:
    low, middle, high = (format(of[name], form) for name in ("min", "median", "max"))
    return middle if low == high else f"{middle} ({low}-{high})"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell: the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if at else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
