"""Print the JSON schemas of a folder's workflows; run as a script, in a process of its own.

    python print_schemas.py <folder>

A type without a schema is left out: its form takes JSON.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fluxio.conversion import Converter


def main(folder: str) -> None:
    """Print one line of JSON."""
    sys.path.insert(0, folder)
    from fluxio.manifest import Manifest

    manifest = Manifest([folder])
    inputs: dict[str, Any] = {}
    signals: dict[str, dict[str, Any]] = {}
    for name in manifest.entries():
        definition = manifest.load(name)
        for step in definition.steps.values():
            if step.input is not None and name not in inputs and (of := _schema(step.input)):
                inputs[name] = of
            for signal in step.awaits:
                if signal not in step.signature.parameters:
                    continue
                if of := _schema(step.signature.converter(signal)):
                    signals.setdefault(name, {})[signal] = of
    print(json.dumps({"inputs": inputs, "signals": signals}))  # noqa: T201


def _schema(of: Converter) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = of.adapter.json_schema()
    except Exception:  # noqa: BLE001 - types of many kinds have none, each with an error of its own
        return None
    return found


if __name__ == "__main__":
    main(sys.argv[1])
