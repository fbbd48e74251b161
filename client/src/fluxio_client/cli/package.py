"""`fluxio package`: the user's zip for the worker, checked before it is deployed."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fluxio_client.cli import check_workflows
from fluxio_client.cli.archive import File, read_folder, write_zip
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_client.errors import FluxioError, InvalidInput

#: Seconds that importing all workflows may take; Lambda gives a worker 10 for its start.
PATIENCE = 60

#: What Lambda takes unzipped, layers included, and what CreateFunction takes as an upload.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UNZIPPED_LIMIT, UPLOAD_LIMIT = 250 * 1024 * 1024, 50 * 1024 * 1024

MANIFEST = (
    "an entry_points.txt at its root with a section [fluxio.workflows] and lines 'Name = module:Class', "
    "like OrderFulfillment = orders.workflows:OrderFulfillment"
)


class Unusable(FluxioError):
    """The folder would not work as the worker's zip."""


def package(
    session: Session,
    folder: Annotated[
        Path, typer.Argument(help="Your code with its manifest and what it needs besides.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip to write.")],
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Take only this file or folder of it; repeatable."),
    ] = None,
    provided: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MODULE", help="A module that another layer of yours brings; repeatable."
        ),
    ] = None,
) -> None:
    """Zip FOLDER for the worker, and import every workflow of its manifest as the worker would.

    Steps are not run. The same files give the same bytes, so Terraform sees a change only where there is
    one. It needs the engine: pip install fluxio.

    Example: fluxio package build/orders -o build/orders.zip
    """
    try:
        contents = read_folder(folder, only or None)
    except FileNotFoundError as error:
        raise InvalidInput(str(error)) from None
    if output.resolve().is_relative_to(folder.resolve()):
        contents.pop(output.resolve().relative_to(folder.resolve()).as_posix(), None)
    with session.busy("importing the workflows …"):
        found = checked(contents, provided or [])
    warnings = _warnings(contents)
    try:
        write_zip(output, contents)
    except OSError as error:
        raise InvalidInput(f"{output} cannot be written: {error.strerror}.") from None
    packed = output.read_bytes()
    if len(packed) > UPLOAD_LIMIT:
        warnings.append(
            f"it is {_size(len(packed))}; Lambda takes {_size(UPLOAD_LIMIT)} as an upload: put it into S3 "
            "and give the module `package_s3`."
        )
    if session.json:
        session.print_json(
            {
                "zip": str(output),
                "sha256": hashlib.sha256(packed).hexdigest(),
                "files": len(contents),
                "bytes": len(packed),
                "unzipped_bytes": sum(len(file.content) for file in contents.values()),
                "engine": found["engine"],
                "workflows": [
                    {name: part for name, part in one.items() if name != "problem"}
                    for one in found["workflows"]
                ],
                "warnings": warnings,
            }
        )
        return
    session.out.print(
        f"wrote {output}: {len(contents)} files, {_size(len(packed))}", soft_wrap=True
    )
    for one in found["workflows"]:
        steps, signals = len(one["steps"]), ", ".join(one["signals"])
        session.out.print(
            f"  {one['name']}  {steps} step{'' if steps == 1 else 's'}, version {one['version']}"
            + (f", awaits {signals}" if signals else ""),
            soft_wrap=True,
        )
    for warning in warnings:
        session.err.print(f"warning: {warning}", style="yellow", soft_wrap=True)


def checked(contents: Mapping[str, File], provided: list[str]) -> dict[str, Any]:
    """What the workflows in these files are.

    Raises:
        Unusable: there is no manifest, or a workflow cannot be imported; says all that is wrong.
        FluxioError: the engine is not installed here.
    """
    with tempfile.TemporaryDirectory(prefix="fluxio-package-") as name:
        root = Path(name).resolve()
        for path, file in contents.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(file.content)
        found = _import_workflows(root, provided)
    if found["engine"] is None:
        raise FluxioError(
            "the workflows cannot be checked, since the engine is not installed beside this command "
            f"({found['problem']}): pip install fluxio=={client_version()}"
        )
    problems = [found["problem"], *(one["problem"] for one in found.get("workflows", ()))]
    if not found["problem"] and not found["workflows"]:
        problems = [f"there is no manifest that names a workflow: add {MANIFEST}."]
    if wrong := [_without_place(problem, root) for problem in problems if problem]:
        raise Unusable(" ".join(wrong) + " Nothing was written.")
    return found


def _import_workflows(root: Path, provided: list[str]) -> dict[str, Any]:
    environment = {
        "AWS_DEFAULT_REGION": "us-east-1",  # Lambda sets one, and a module may make a client
        **os.environ,
        "LAMBDA_TASK_ROOT": str(root),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, check_workflows.__file__, str(root), ",".join(provided)]
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired:
        raise Unusable(
            f"importing the workflows took more than {PATIENCE} s: a module does something when it is "
            "imported. Move it into a step. Nothing was written."
        ) from None
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise Unusable(
            f"importing the workflows ended the interpreter (exit {done.returncode}: {last}). Nothing was "
            "written."
        ) from None
    return found


def _without_place(problem: str, root: Path) -> str:
    """The message without the temporary folder, which nobody can look into any more."""
    text = problem.replace(f"{root}{os.sep}", "")
    return " ".join(text.split())


def _warnings(contents: Mapping[str, File]) -> list[str]:
    brought = sorted(
        {path.split("/")[0] for path in contents}
        & (check_workflows.LAYER | check_workflows.RUNTIME)
    )
    found = []
    if brought:
        found.append(
            f"the zip brings {', '.join(brought)}, which the layer or Lambda's runtime has already; the "
            "zip's own goes first. Leave it out, unless you need another version."
        )
    unzipped = sum(len(file.content) for file in contents.values())
    if unzipped > UNZIPPED_LIMIT:
        found.append(f"unzipped it is {_size(unzipped)}; Lambda takes {_size(UNZIPPED_LIMIT)}.")
    return found


def _size(count: int) -> str:
    if count < 1024 * 1024:
        return f"{max(1, round(count / 1024))} KB"
    return f"{count / 1024 / 1024:.1f} MB"
