"""The caller, the table and its indexes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from botocore.exceptions import ClientError

from fluxio_client.cli.checks.examination import Examination
from fluxio_client.cli.checks.finding import APPLY, Finding, fail, ok, unanswered, warn
from fluxio_protocol import layout

#: What is wrong is mostly the name; only then the table.
RIGHT_TABLE = "is --table-name or FLUXIO_TABLE_NAME the module's output `table_name`? If so: "


def caller(at: Examination) -> Iterator[Finding]:
    who = at.session.aws("sts").get_caller_identity()["Arn"]
    yield ok("caller", f"you are {who}")


def table(at: Examination) -> Iterator[Finding]:
    name = at.session.table
    try:
        table = at.session.dynamodb.describe_table(TableName=name)["Table"]
    except at.session.dynamodb.exceptions.ResourceNotFoundException:
        yield fail(
            "table",
            f"there is no table {name} in this Region",
            "set --table-name or FLUXIO_TABLE_NAME to the module's output `table_name`, and the Region to "
            "its own.",
        )
        return
    if table["TableStatus"] in ("ACTIVE", "UPDATING"):
        yield ok("table", f"{name} is {table['TableStatus']}")
    else:
        yield fail("table", f"{name} is {table['TableStatus']}", "wait, or restore it.")
    if _keys(table) != ("pk", "sk"):
        keys = ", ".join(_keys(table))
        yield fail("table", f"{name} has the keys {keys}, not pk, sk", RIGHT_TABLE + APPLY)
    yield from _indexes(
        {index["IndexName"]: index for index in table.get("GlobalSecondaryIndexes", ())}
    )


def _indexes(there: dict[str, dict[str, Any]]) -> Iterator[Finding]:
    """What is to be said of the table's indexes, which DescribeTable has described so."""
    wrong, made, dear = [], [], []
    for name, index in layout.INDEXES.items():
        found = there.get(name)
        has = _projected(found) if found else set()
        lacks = {*index.projected} - has if "ALL" not in has else set()
        if found is None or _keys(found) != index[:2] or lacks:
            wrong.append(name)
        elif (status := found.get("IndexStatus", "ACTIVE")) not in ("ACTIVE", "UPDATING"):
            made.append(f"{name} is {status}")
        elif more := sorted(has - {*index.projected}):
            dear.append(f"{name} ({', '.join(more)})")
    if wrong:
        yield fail(
            "table",
            f"indexes missing or not as they should be: {', '.join(wrong)}",
            RIGHT_TABLE + APPLY,
        )
    if made:
        yield fail(
            "table",
            f"{', '.join(made)}: until it is ACTIVE, no command that needs it works; runs go on",
            "wait: an upgrade that changes an index deletes it and makes it anew (docs/upgrading.md).",
        )
    if dear:
        yield warn(
            "table",
            f"indexes with attributes that fluxio does not read, which cost write units: {', '.join(dear)}",
            APPLY,
        )
    if not wrong + made + dear:
        yield ok("table", f"indexes {', '.join(layout.INDEXES)} are there")


def _projected(index: dict[str, Any]) -> set[str]:
    """What an index has besides its keys; "ALL" for everything."""
    projection = index.get("Projection", {})
    return (
        {"ALL"}
        if projection.get("ProjectionType") == "ALL"
        else {*projection.get("NonKeyAttributes", ())}
    )


def table_care(at: Examination) -> Iterator[Finding]:
    dynamodb, name = at.session.dynamodb, at.session.table
    for read in (_time_to_live, _recovery, _encryption):
        try:
            yield read(dynamodb, name)
        except ClientError as error:
            yield unanswered("table", error)


def _time_to_live(dynamodb: Any, name: str) -> Finding:
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    if ttl["TimeToLiveStatus"] in ("ENABLED", "ENABLING") and ttl.get("AttributeName") == "ttl":
        return ok("table", "ended runs are deleted by TTL")
    return warn("table", "TTL on `ttl` is off: the table only grows", APPLY)


def _recovery(dynamodb: Any, name: str) -> Finding:
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups.get("PointInTimeRecoveryDescription", {})
    if recovery.get("PointInTimeRecoveryStatus") == "ENABLED":
        return ok("table", "point-in-time recovery is on")
    return warn("table", "point-in-time recovery is off", APPLY)


def _encryption(dynamodb: Any, name: str) -> Finding:
    sse = dynamodb.describe_table(TableName=name)["Table"].get("SSEDescription", {})
    if sse.get("Status") in ("ENABLED", "ENABLING", "UPDATING"):
        return ok("table", f"encrypted with {sse.get('KMSMasterKeyArn', 'a KMS key')}")
    return ok("table", "encrypted with a key that AWS owns")


def _keys(of: dict[str, Any]) -> tuple[str, ...]:
    order = {"HASH": 0, "RANGE": 1}
    keys = sorted(of["KeySchema"], key=lambda key: order[key["KeyType"]])
    return tuple(key["AttributeName"] for key in keys)
