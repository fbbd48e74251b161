"""CloudWatch's embedded metric format as AWS specifies it, to hold the worker's lines against.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
The schema is what its JSON schema says; `problems` adds what the text around it asks for besides.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from jsonschema import Draft202012Validator

_PER_SECOND = ("Bytes", "Kilobytes", "Megabytes", "Gigabytes", "Terabytes")
_BITS = ("Bits", "Kilobits", "Megabits", "Gigabits", "Terabits")
UNITS = (
    *("Seconds", "Microseconds", "Milliseconds", "Percent", "Count", "None"),
    *(unit for size in (*_PER_SECOND, *_BITS) for unit in (size, f"{size}/Second")),
    "Count/Second",
)

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 0},
                "CloudWatchMetrics": {
                    "type": "array",
                    "minItems": 1,
                    "items": {"$ref": "#/$defs/directive"},
                },
            },
            "additionalProperties": False,
        }
    },
    "$defs": {
        "directive": {
            "type": "object",
            "required": ["Namespace", "Dimensions", "Metrics"],
            "properties": {
                "Namespace": {"$ref": "#/$defs/name"},
                "Dimensions": {
                    "type": "array",
                    "minItems": 1,
                    "items": {
                        "type": "array",
                        "minItems": 1,
                        "maxItems": 30,
                        "items": {"type": "string", "minLength": 1, "maxLength": 250},
                    },
                },
                "Metrics": {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "items": {"$ref": "#/$defs/metric"},
                },
            },
            "additionalProperties": False,
        },
        "metric": {
            "type": "object",
            "required": ["Name"],
            "properties": {
                "Name": {"$ref": "#/$defs/name"},
                "Unit": {"enum": [*UNITS]},
                "StorageResolution": {"enum": [1, 60]},
            },
            "additionalProperties": False,
        },
        "name": {"type": "string", "minLength": 1, "maxLength": 1024},
        "value": {"type": "number"},
        "values": {
            "anyOf": [
                {"$ref": "#/$defs/value"},
                {
                    "type": "array",
                    "minItems": 1,
                    "maxItems": 100,
                    "items": {"$ref": "#/$defs/value"},
                },
            ]
        },
    },
}

#: A log event's bound, and so a line's.
LINE_BYTES = 1_048_576

Draft202012Validator.check_schema(SCHEMA)
_root = Draft202012Validator(SCHEMA)
_values = Draft202012Validator(
    {"$defs": SCHEMA["$defs"], **SCHEMA["$defs"]["values"]},
)

#: A metric of CloudWatch's: name and dimensions with their values.
Series = tuple[str, tuple[tuple[str, str], ...]]


def problems(line: Any) -> list[str]:
    """What is wrong with a line; nothing if it is in the format."""
    found = [f"{error.json_path}: {error.message}" for error in _root.iter_errors(line)]
    if found:
        return found
    if len(json.dumps(line).encode()) > LINE_BYTES:
        found.append("the line is longer than a log event may be")
    told: set[Any] = set()
    for directive in line["_aws"]["CloudWatchMetrics"]:
        for name in {name for one in directive["Dimensions"] for name in one}:
            value = line.get(name)
            if not isinstance(value, str) or not value.strip() or len(value) > 1024:
                found.append(f"the dimension {name} has no value of 1 to 1,024 characters")
            elif not value.isascii():
                found.append(f"the dimension {name} is not in ASCII: {value!r}")
        for metric in directive["Metrics"]:
            if metric["Name"] not in line:
                found.append(f"the metric {metric['Name']} has no value")
                continue
            for error in _values.iter_errors(line[metric["Name"]]):
                found.append(f"{metric['Name']}: {error.message}")
            for dimensions in directive["Dimensions"]:
                series = (directive["Namespace"], metric["Name"], tuple(sorted(dimensions)))
                if series in told:
                    found.append(f"{metric['Name']} is told twice for {dimensions}")
                told.add(series)
    return found


def samples(lines: Iterable[dict[str, Any]]) -> Iterator[tuple[Series, float]]:
    """The samples that CloudWatch makes of lines."""
    for line in lines:
        for directive in line["_aws"]["CloudWatchMetrics"]:
            for metric in directive["Metrics"]:
                values = line[metric["Name"]]
                for dimensions in directive["Dimensions"]:
                    said = tuple((name, line[name]) for name in dimensions)
                    for value in values if isinstance(values, list) else [values]:
                        yield (metric["Name"], said), value
