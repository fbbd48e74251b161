"""The Lambda layer: `layer/dist/fluxio-layer-<version>-<architecture>.zip`.

    python -m dev.layer [--force]

It holds fluxio, fluxio-client and layer/requirements.txt for every supported Python in one flat
`python/` folder: compiled modules and bytecode carry the Python in their file name, all other files
are the same for all. The zips are byte-identical for identical sources and the same versions of Python
on the machine (dev/bytecode.py says why). So files are taken straight from wheels instead of from an
installation (which adds RECORD, INSTALLER, direct_url.json, scripts, …), and the files of a wheel that
name the one Python it was made for stay out, and so does what is for tests alone.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import sys
import zipfile
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dev import ROOT, STATE, bytecode
from dev.bootstrap import SUPPORTED
from dev.stage import DevError, command_line, run, say
from fluxio_client.cli.archive import write_zip

ARCHITECTURES = {"x86_64": "x86_64", "arm64": "aarch64"}
"""Lambda's names and those of wheels."""

PLATFORM = "manylinux2014"
"""glibc 2.17. Lambda's oldest supported runtimes (Amazon Linux 2) have 2.26."""

LIMIT = 250 * 1024 * 1024
"""What a function and its layers may measure unzipped."""

FROM_THE_RUNTIME = ("boto3", "botocore", "dateutil", "jmespath", "s3transfer", "six", "urllib3")
"""Modules that every Python runtime of Lambda brings."""

NOT_FOR_FUNCTIONS = ("fluxio/testing/", "fluxio/local/", "fluxio_client/ui/")
"""In the wheels: they are for tests, a developer's machine and an operator's browser, and for no function."""
NOT_FOR_FUNCTIONS = re.compile(
    r"fluxio/testing/|fluxio_client/ui/|fluxio-[^/]*\.dist-info/entry_points\.txt"
)
"""In the wheels, since they are for a user's tests, with an entry point for pytest, and for an operator's browser."""
