"""Measure: `make bench`, with options as in make bench BENCH='--rounds 30 --workflows Chain20'."""

from __future__ import annotations

import argparse
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from bench import cost, report
from bench.engines import Engine, NotSucceeded, Site
from bench.engines.durable_functions import DurableFunctions
from bench.engines.fluxio import Fluxio
from bench.engines.step_functions import StepFunctions
from bench.package.workflows import STAGES
from bench.rounds import measure, summary
from dev import STATE, emulator
from dev.bootstrap import bench_environment, ministack_environment
from dev.stage import DevError, command_line, say

OWN = "fluxio"

#: How each engine is deployed, in the order of the table.
ENGINES: dict[str, Callable[[Site], Engine]] = {
    OWN: Fluxio,
    "step-functions": StepFunctions,
    "durable-functions": DurableFunctions,
}

PARTS = ("latency", "cost")


def main(arguments: list[str]) -> None:
    given = _parser().parse_args(arguments)
    given.workflows = [name for name in STAGES if name in given.workflows]  # each once
    if given.parts == ["cost"]:
        if OWN not in given.engines:
            raise DevError("the part `cost` is fluxio's alone: name fluxio among the engines.")
        given.engines = [OWN]
    found = _measured(given)
    given.json.parent.mkdir(parents=True, exist_ok=True)
    given.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    say(f"\n{report.text(found)}\n\nall of it, with each round: {given.json}")


def _measured(given: argparse.Namespace) -> dict[str, Any]:
    """Deploy the engines on an emulator of their own, and measure; it is ended whatever happens."""
    name = f"bench-{os.getpid()}"  # two benches do not meet, nor do one and a demo
    work = STATE / name
    rivals = bench_environment()
    try:
        with emulator.running(name) as running:
            environment = running.environment()
            os.environ.clear()  # a profile or an endpoint of the caller's could lead to an account
            os.environ.update(environment)
            work.mkdir(parents=True)
            once = Config(retries={"mode": "standard", "total_max_attempts": 1}, read_timeout=120)
            clients = {
                service: boto3.client(service, config=once)
                for service in ("lambda", "sqs", "stepfunctions")
            }
            site = Site(running, work, rivals, clients)
            # Terraform takes a minute: what may fail at once goes first.
            chosen = [name for name in ENGINES if name in given.engines]
            deployed = {name: ENGINES[name](site) for name in reversed(chosen)}
            engines = {name: deployed[name] for name in chosen}
            found: dict[str, Any] = {
                "circumstances": report.circumstances(engines, ministack_environment()),
                "rounds": given.rounds,
                "runs": given.runs,
            }
            if "latency" in given.parts:
                times = measure(engines, given.workflows, given.rounds, say)
                found |= {"latency": summary(times, OWN), "times": times}
            fluxio = engines.get(OWN)
            if "cost" in given.parts and isinstance(fluxio, Fluxio):
                found["cost"] = cost.measure(site, fluxio, given.workflows, given.runs)
            found["circumstances"]["load_after"] = os.getloadavg()[0]
            return found
    except NotSucceeded as problem:
        raise DevError(f"{problem}. Nothing was measured.") from None
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--engines", nargs="+", choices=ENGINES, default=list(ENGINES))
    parser.add_argument("--workflows", nargs="+", choices=STAGES, default=list(STAGES))
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--rounds", type=_count, default=20, help="of the latency (default: 20)")
    parser.add_argument("--runs", type=_count, default=30, help="for the cost (default: 30)")
    parser.add_argument("--json", type=Path, default=STATE / "bench.json", help="where to write it")
    return parser


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


if __name__ == "__main__":
    command_line(main)
