"""What a worker's code can import on Lambda besides what is in the zip, and what its own files would hide."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from importlib.machinery import all_suffixes

#: Top-level modules of the layer (layer/requirements.txt) and the distributions that they belong to.
LAYER = {
    "annotated_types": "annotated-types",
    "aws_xray_sdk": "aws-xray-sdk",
    "fluxio": "fluxio",
    "fluxio_client": "fluxio-client",
    "fluxio_protocol": "fluxio-client",
    "pydantic": "pydantic",
    "pydantic_core": "pydantic-core",
    "typing_extensions": "typing-extensions",
    "typing_inspection": "typing-inspection",
    "wrapt": "wrapt",
}

#: The same of Lambda's Python runtimes.
RUNTIME = {
    "awslambdaric": "awslambdaric",
    "boto3": "boto3",
    "botocore": "botocore",
    "dateutil": "python-dateutil",
    "jmespath": "jmespath",
    "s3transfer": "s3transfer",
    "six": "six",
    "snapshot_restore_py": "snapshot-restore-py",
    "urllib3": "urllib3",
}

#: Modules of the runtime that nobody imports but the runtime itself.
RUNTIME_ITSELF = {
    "awslambdaric",
    "bootstrap",
    "lambda_internal",
    "lambda_runtime_client",
    "lambda_runtime_exception",
    "lambda_runtime_log_utils",
    "lambda_runtime_marshaller",
    "runtime_client",
}

_SUFFIXES = sorted({*all_suffixes(), ".so", ".pyc"}, key=len, reverse=True)


def hidden_by(paths: Iterable[str]) -> dict[str, list[str]]:
    """What files at the zip's root hide, since the root is searched first.

    Returns:
        The files, by whose modules they hide: "Python", "the runtime", "the layer"; without those that hide
        nothing. A folder hides a module only with an __init__ in it.
    """
    found: dict[str, list[str]] = {}
    for path in sorted(paths):
        top, *rest = path.split("/")
        if len(rest) > 1:
            continue
        module = _module(rest[0]) if rest else _module(top)
        if rest:
            module = top if module == "__init__" else None
        for whose, names in (
            ("Python", sys.stdlib_module_names),
            ("the runtime", RUNTIME.keys() | RUNTIME_ITSELF),
            ("the layer", LAYER.keys()),
        ):
            if module in names:
                found.setdefault(whose, []).append(f"{top}/" if rest else top)
    return found


def _module(file: str) -> str | None:
    """The module in a file, whichever Python it was compiled for; None if it is none."""
    if not any(file.endswith(suffix) for suffix in _SUFFIXES):
        return None
    return file.partition(".")[0]
