"""Modules that stood in this package before there was `fluxio_protocol`, under their names of then.

Nothing of it is loaded before such a name is imported. It goes with version 1.0.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

#: Where each stands now, in `fluxio_protocol`.
MOVED = {
    name: name
    for name in (
        "clock", "encoding", "errors", "expression", "graph", "layout", "limits", "model_shape",
        "queue", "run", "settings", "store", "trace", "transient",
    )
} | {"transitions": "changes"}  # fmt: skip


class _Moved(MetaPathFinder, Loader):
    def find_spec(self, fullname: str, *_path: object) -> ModuleSpec | None:
        package, _, name = fullname.rpartition(".")
        known = package == __package__ and name in MOVED
        return ModuleSpec(fullname, self) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module = import_module(f"fluxio_protocol.{MOVED[spec.name.rpartition('.')[2]]}")
        spec.loader_state = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        # It is there already; what it says of itself stays as it was.
        assert module.__spec__ is not None
        module.__spec__ = module.__spec__.loader_state


def find_moved() -> None:
    """Let them be found, after everything else."""
    sys.meta_path.append(_Moved())
