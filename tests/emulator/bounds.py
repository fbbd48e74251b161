"""The module's inputs at their bounds, as deployments that lie in one root.

Bounds that a validation says in a simple form (`var.x >= 1 && var.x <= 10`, `contains([…], var.x)`) are
read from variables.tf. For the others `values` has a row: what the first deployment sets, the second, and so
on; then it begins again. None leaves the input out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dev import ROOT

VARIABLES = ROOT / "modules" / "fluxio" / "variables.tf"

DEPLOYMENTS = 4
"""As many as the input with the most values has: of the Pythons and of the log levels there are four."""

FIRST, *OTHERS = "b0", "b" * 39 + "1", "bounds-2", "bounds-3"
"""Names of deployments: of the least length, of the greatest, and two more."""

KEY_LENGTH, VALUE_LENGTH = 128, 256
"""The most that tags take: https://docs.aws.amazon.com/tag-editor/latest/userguide/best-practices-and-strats.html"""


class Existing(NamedTuple):
    """What is there before the apply, with names as long as they may be."""

    package: Path
    package_s3: dict[str, str]
    layer_zip: Path
    layer_s3: dict[str, str]
    layer_arn: str
    key_arn: str
    subnet_ids: list[str]
    security_group_ids: list[str]
    table: dict[str, str]
    queue: dict[str, str]
    dlq: dict[str, str]
    role: str
    role_arn: str
    function: str
    event_bus: str
    topic: str


def alarms(**thresholds: float) -> dict[str, Any]:
    return {name: {"threshold": threshold} for name, threshold in thresholds.items()}


COUNTED = (
    *("dlq_not_empty", "runs_failed", "runs_parked", "runs_stuck"),
    *("table_throttled", "worker_errors", "worker_throttles"),
)
"""Alarms whose threshold is a count without a greatest value."""

MOST = 1_000_000_000
TOPICS = [f"arn:aws:sns:us-east-1:123456789012:{'t' * 250}-{at}" for at in range(5)]
CAPACITY = 40_000
"""The default quota of a table: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ServiceQuotas.html"""


def values(there: Existing) -> dict[str, Sequence[Any]]:
    """By input, what each deployment sets."""
    statement = {"actions": ["s3:GetObject"], "resources": ["*"]}
    condition = {"test": "StringLike", "variable": "aws:PrincipalTag/team", "values": ["a*"]}
    return {
        "name": [FIRST, *OTHERS],
        "tags": [{}, {f"{at:02}{'k' * (KEY_LENGTH - 2)}": "v" * VALUE_LENGTH for at in range(50)}],
        "existing": [
            None,
            None,
            None,
            {
                "table": there.table,
                "queue": there.queue,
                "dlq": there.dlq,
                "role": {"name": there.role, "arn": there.role_arn},
            },
        ],
        "package": [str(there.package), None],
        "package_s3": [None, there.package_s3],
        "layer_zip": [str(there.layer_zip), None, None, None],
        "layer_arn": [None, there.layer_arn, None, there.layer_arn],
        "layer_s3": [None, None, there.layer_s3, None],
        "layer_parameter": ["p", f"/{'p' * 450}/{'q' * 448}", None, None],
        "layers": [[there.layer_arn], []],
        # Without python3.14, which provider 5 refuses before it sends anything.
        "runtime": [f"python3.{minor}" for minor in (10, 11, 12, 13)],
        "handler": ["h.h", f"{'h' * 60}/{'h' * 60}.{'h' * 6}"],
        "environment": [{}, {"A1": ""}, {"CARD_NETWORK": "x" * 3000}],
        "policy_statements": [
            [],
            [
                {**statement, "sid": "S3", "conditions": [condition]},
                {**statement, "effect": "Deny", "actions": ["*"]},
            ],
        ],
        "vpc": [
            None,
            {
                "subnet_ids": there.subnet_ids,
                "security_group_ids": there.security_group_ids,
                "ipv6": True,
            },
        ],
        # Belong together: what the queue starts, and what is ready, comes out of what is reserved.
        "maximum_concurrency": [None, 2, 1000, None],
        "reserved_concurrency": [2, None, 1000, None],
        "provisioned_concurrency": [0, 1, 1000, 0],
        "billing": [
            {"max_read_units": 1, "max_write_units": 1},
            {
                "mode": "PROVISIONED",
                "read": {"min": 1, "max": 1, "utilization": 20},
                "write": {"min": 1, "max": 2, "utilization": 20},
            },
            {
                "mode": "PROVISIONED",
                "read": {"min": 1, "max": CAPACITY, "utilization": 90},
                "write": {"min": CAPACITY, "max": CAPACITY, "utilization": 90},
            },
            None,  # the existing table's
        ],
        "point_in_time_recovery": [{"days": 1}, {"days": 35}, {"enabled": False}, None],
        "kms_key_arn": [None, there.key_arn],
        "schedules": [
            {},
            {
                "s" * 23: {
                    "workflow": "W" * 64,
                    "expression": "cron(0/15 8-17 ? * MON-FRI 2026-2030)",
                    "timezone": "America/Argentina/ComodRivadavia",
                    "input": json.dumps({"a": "x" * 239_986}, separators=(",", ":")),
                    "enabled": False,
                },
                "s": {"workflow": "W", "expression": "at(2030-01-31T08:00:00)"},
            },
            {"s": {"workflow": "W", "expression": "rate(1 minute)"}},
        ],
        "run_events": [
            {"event_bus_arn": there.event_bus},
            {
                "topic_arn": there.topic,
                "topic_kms_key_arn": there.key_arn,
                "statuses": ["FAILED"],
            },
            None,
            None,
        ],
        "role_path": ["/", f"/{'p' * 510}/"],
        "permissions_boundary": [None, "arn:aws:iam::aws:policy/ReadOnlyAccess"],
        "alarm_actions": [[], TOPICS],
        "composite_alarm_actions": [[], TOPICS],
        "runbook_url": [None, f"https://{'r' * 200}"],
        "alarms": [
            alarms(**dict.fromkeys(COUNTED, 0), oldest_nudge=60, sweep_silent=2, worker_duration=1),
            alarms(
                **dict.fromkeys(COUNTED, MOST),
                oldest_nudge=1209600,
                sweep_silent=60,
                worker_duration=99.9,
            ),
        ],
    }


def read_bounds(variables: str) -> dict[str, list[Any]]:
    """By input, the values at its bounds, where its validation says them in a simple form."""
    found: dict[str, list[Any]] = {}
    for name, block in re.findall(r'(?ms)^variable "(\w+)" \{(.*?)^\}', variables):
        if listed := re.search(rf"condition\s+= contains\(\[([^\]]+)\], var\.{name}\)", block):
            found[name] = _ends(json.loads(f"[{listed[1].strip().rstrip(',')}]"))
        least, most = (re.search(rf"var\.{name} {sign} (\d+)\b", block) for sign in (">=", "<="))
        if least and most:
            found[name] = [int(least[1]), int(most[1])]
    return found


def _ends(listed: list[Any]) -> list[Any]:
    """All of several words; of many numbers the first two (0 may mean something of its own) and the last."""
    return sorted(listed)[:2] + sorted(listed)[-1:] if isinstance(listed[0], int) else listed


def validated(variables: str) -> set[str]:
    """Inputs with a validation."""
    blocks = re.findall(r'(?ms)^variable "(\w+)" \{(.*?)^\}', variables)
    return {name for name, block in blocks if "validation {" in block}


def root(there: Existing, shift: int = 0) -> dict[str, Any]:
    """A root module with all deployments, and one whose function is the caller's.

    Args:
        there: what is there already.
        shift: 1 gives the first two deployments each other's values, of what can be changed without making
            the deployment anew: what an update sends is seen by it.
    """
    of = {**read_bounds(VARIABLES.read_text(encoding="utf-8")), **values(there)}
    modules = {}
    for at in range(DEPLOYMENTS):
        deployment = _deployment(of, at)
        if at < 2 and shift:
            other = _deployment(of, 1 - at)
            stays = (
                *("name", "package", "package_s3", "role_path"),
                *("layer_zip", "layer_arn", "layer_s3", "layer_parameter", "layers"),
            )
            deployment = {
                **{name: value for name, value in other.items() if name not in stays},
                **{name: deployment[name] for name in stays if name in deployment},
            }
        modules[f"bounds_{at}"] = deployment
    modules["own_function"] = {
        "name": "bounds-own",
        "timeout": 10,
        "existing_function": {
            "function_name": there.function,
            "timeout": 10,
            "role": there.role_arn,
            "environment": [{"variables": "${module.own_function.worker_environment}"}],
        },
    }
    source = {"source": "../../../modules/fluxio"}
    return {
        "terraform": {
            "required_version": ">= 1.7",
            "required_providers": {"aws": {"source": "hashicorp/aws", "version": ">= 5.100, < 7"}},
        },
        "module": {name: {**source, **inputs} for name, inputs in modules.items()},
        "output": {
            f"{name}_{policy}": {"value": f"${{module.{name}.{policy}_policy_json}}"}
            for name in modules
            for policy in ("worker", "client", "operator")
        },
    }


def _deployment(of: Mapping[str, Sequence[Any]], at: int) -> dict[str, Any]:
    set_here = {name: rows[at % len(rows)] for name, rows in of.items()}
    return {name: value for name, value in set_here.items() if value is not None}
