"""Measure: python -m bench --sdk <folder of aws_durable_execution_sdk_python> [--rounds 10] [--json <file>]."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import sys
import time
from pathlib import Path

import boto3

from bench import SHAPES, Engine
from bench.on_fluxio import Fluxio
from bench.rivals import DurableFunctions, StepFunctions
from dev import ROOT, emulator

#: Seconds between two runs: the emulator's poller sleeps for 50 ms after a message.
PAUSE = 0.15


def measure(engines: list[Engine], rounds: int) -> dict[str, dict[str, list[float]]]:
    """Milliseconds of each run, by shape and engine; in each round every engine has its turn."""
    found: dict[str, dict[str, list[float]]] = {
        shape: {engine.name: [] for engine in engines} for shape in SHAPES
    }
    for number in range(rounds + 2):
        for shape in SHAPES:
            for engine in engines:
                time.sleep(PAUSE)
                took = engine.run(shape)
                if number > 1:  # the first two rounds warm up
                    found[shape][engine.name].append(took)
    return found


def table(found: dict[str, dict[str, list[float]]]) -> str:
    """The medians, and fluxio's ratio to the faster rival, round by round."""
    lines = []
    for shape, by_engine in found.items():
        medians = ", ".join(f"{name} {statistics.median(of):.0f}" for name, of in by_engine.items())
        rivals = [of for name, of in by_engine.items() if name != "fluxio"]
        faster = min(rivals, key=statistics.median)
        ratios = [mine / other for mine, other in zip(by_engine["fluxio"], faster, strict=True)]
        lines.append(
            f"{shape}: {medians} ms; fluxio to the faster rival {statistics.median(ratios):.2f} "
            f"({min(ratios):.2f} to {max(ratios):.2f})"
        )
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Deploy all engines on one emulator, and measure."""
    parser = argparse.ArgumentParser(prog="python -m bench")
    parser.add_argument("--sdk", type=Path, required=True)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args(arguments)
    work = ROOT / ".fluxio" / "bench"
    with emulator.running("bench") as running:
        os.environ.update(running.environment())
        os.environ.pop("AWS_PROFILE", None)
        clients = {name: boto3.client(name) for name in ("lambda", "stepfunctions")}
        engines: list[Engine] = [
            Fluxio(work, running.environment()),
            StepFunctions(clients),
            DurableFunctions(clients, running.endpoint, given.sdk),
        ]
        found = measure(engines, given.rounds)
    shutil.rmtree(work, ignore_errors=True)
    sys.stdout.write(table(found) + "\n")
    if given.json:
        given.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main(sys.argv[1:])
