"""What the inputs and signals of workflows are, by their code: JSON schemas, for the forms of the pages."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from fluxio_client.ui import print_schemas
from fluxio_protocol.errors import FluxioError

#: Seconds that importing all workflows may take.
PATIENCE = 60

Schema = Mapping[str, Any]


class Schemas(NamedTuple):
    """The schemas that are known; where one is not, a form takes JSON, or goes by what came before."""

    #: Of a workflow's input, by the workflow's name.
    inputs: Mapping[str, Schema] = {}
    #: Of a signal's payload, by the workflow's name and the signal's.
    signals: Mapping[str, Mapping[str, Schema]] = {}


def schemas_of(folder: Path) -> Schemas:
    """The schemas of the workflows in a folder, which are imported in a process of their own.

    Args:
        folder: the code with its manifest.

    Raises:
        FluxioError: the folder cannot be imported from.
    """
    if not folder.is_dir():
        raise FluxioError(f"{folder} is no folder: name the one with your code and its manifest.")
    command = [sys.executable, "-B", print_schemas.__file__, str(folder.resolve())]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
        )
        found = json.loads(done.stdout.strip().splitlines()[-1])
        return Schemas(found["inputs"], found["signals"])
    except subprocess.TimeoutExpired:
        why = f"importing the workflows took more than {PATIENCE} s"
    except (ValueError, IndexError, KeyError):
        why = (done.stderr.strip().splitlines() or ["the process said nothing"])[-1]
    raise FluxioError(
        f"the workflows of {folder} cannot be imported here: {why}. Without --folder, forms go by the newest "
        "run's input."
    )


#: Nothing is known.
UNKNOWN = Schemas()
