"""What `fluxio dev` was asked for, as its process gets it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Options:
    """The options.

    Attributes:
        folder: the user's code with its manifest.
        state: the SQLite file.
        port: of the endpoint; 0: any that is free.
        workers: how many messages are handled at a time.
        timeout: seconds that an invocation may take.
        inline_branches: branches of a fan-out in one invocation.
        tables: tables of the user's own, and the attributes of their keys.
        start: a workflow to start a run of.
        input: that run's input.
        json: whether to speak to a script.
    """

    folder: Path
    state: Path
    port: int
    workers: int = 4
    timeout: int = 120
    inline_branches: int = 10
    tables: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    start: str | None = None
    input: Any = None
    json: bool = False

    def to_json(self) -> str:
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> Options:
        parts = json.loads(text)
        paths = {name: Path(parts[name]) for name in ("folder", "state")}
        tables = {name: tuple(keys) for name, keys in parts["tables"].items()}
        return cls(**parts | paths | {"tables": tables})
