"""`fluxio package`: the user's zip for the worker, checked before it is deployed."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from fluxio_client.cli.archive import UNZIPPED_LIMIT, File, left_out, read_folder, shown, write_zip
from fluxio_client.cli.compiled import ARCHITECTURES, Target, too_new
from fluxio_client.cli.lambda_has import hidden_by
from fluxio_client.cli.reproducible import without_traces
from fluxio_client.cli.session import Session
from fluxio_client.cli.version import client_version
from fluxio_client.cli.workflow_check import Checked, Unusable, check
from fluxio_protocol.errors import InvalidInput

#: Bytes unzipped from which the engine's layer (up to 46 million) may no longer fit beside the zip.
UNZIPPED_WARNING = 215_000_000

#: What CreateFunction takes as an upload.
#: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html
UPLOAD_LIMIT = 50 * 1024 * 1024

#: Names that one line of the answer may hold.
SHOWN = 5


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
    allow: Annotated[
        list[str] | None,
        typer.Option(
            "--allow",
            "--provided",
            metavar="MODULE",
            help="A module that another layer of yours brings; repeatable. One that this machine lacks stops "
            "nothing.",
        ),
    ] = None,
    check_imports: Annotated[
        bool, typer.Option("--check/--no-check", help="Import the workflows before writing.")
    ] = True,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict",
            help="Refuse parameters of which no type tells who supplies them, and outputs that hide a name "
            "of the run's input.",
        ),
    ] = False,
    runtime: Annotated[
        str | None,
        typer.Option(metavar="PYTHON", help="The module's input `runtime`, like python3.12."),
    ] = None,
    architecture: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The module's input `architecture`: x86_64 or arm64."),
    ] = None,
) -> None:
    """Zip FOLDER for the worker, and import every workflow of its manifest as the worker would.

    Steps are not run. The same files give the same bytes, so Terraform sees a change only where there is
    one. It needs the engine: pip install fluxio. What was compiled for another Python or processor than
    this machine's is written, and warned about where no Lambda function loads it.

    Example: fluxio package build/orders -o build/orders.zip
    """
    if runtime is not None and not re.fullmatch(r"python3\.\d+", runtime):
        raise InvalidInput(
            f"--runtime is {runtime!r}: write it as the module does, like python3.12."
        )
    if architecture not in (None, *ARCHITECTURES):
        raise InvalidInput(f"--architecture is {architecture!r}: it is x86_64 or arm64.")
    contents = without_traces(read_folder(folder, only or None, besides=output))
    target = Target.of(contents)
    found = Checked([], ["the workflows were not imported (--no-check)."])
    if check_imports:
        with session.busy("importing the workflows …"):
            try:
                found = check(contents, target, allow or [], runtime, strict)
            except Unusable as error:
                raise Unusable(f"{error} Nothing was written.") from None
    packed = write_zip(output, contents)
    warnings = [
        *found.warnings,
        *target.warnings(runtime, architecture),
        *_warnings(contents, len(packed)),
    ]
    stays_out = left_out(folder, only or None)
    if session.json:
        session.print_json(
            {
                "zip": str(output),
                "sha256": hashlib.sha256(packed).hexdigest(),
                "files": len(contents),
                "bytes": len(packed),
                "unzipped_bytes": _unzipped(contents),
                "engine": client_version(),
                "workflows": [
                    {name: part for name, part in one.items() if name != "code"}
                    for one in found.workflows
                ],
                "built_for": {
                    "python": None if target.pythons is None else sorted(target.pythons),
                    "architecture": None
                    if target.processors is None
                    else sorted(target.processors),
                },
                "left_out": stays_out,
                "warnings": warnings,
            }
        )
        return
    _print(session, output, contents, len(packed), found.workflows, target)
    if stays_out:
        more = f" and {len(stays_out) - SHOWN} more" if len(stays_out) > SHOWN else ""
        session.out.print(
            f"  left out: {', '.join(stays_out[:SHOWN])}{more} (hidden or empty; --only takes what it names)",
            soft_wrap=True,
            markup=False,
        )
    for warning in warnings:
        session.err.print(f"warning: {warning}", style="yellow", soft_wrap=True, markup=False)


def _print(
    session: Session,
    output: Path,
    contents: Mapping[str, File],
    size: int,
    workflows: list[dict[str, Any]],
    target: Target,
) -> None:
    lines = [f"wrote {shown(output)}: {len(contents)} files, {_size(size)}"]
    for one in workflows:
        if not one["checked"]:
            lines.append(f"  {one['name']}  not checked")
            continue
        steps, signals = len(one["steps"]), ", ".join(one["signals"])
        lines.append(
            f"  {one['name']}  {steps} step{'' if steps == 1 else 's'}, version {one['version']}"
            + (f", awaits {signals}" if signals else "")
            + (f", retired: {', '.join(one['retired'])}" if one["retired"] else "")
        )
    built_for = [
        *(f"Python {python}" for python in sorted(target.pythons or ())),
        *sorted(target.processors or ()),
    ]
    if built_for:
        lines.append(f"  compiled for {', '.join(built_for)}")
    for line in lines:
        session.out.print(line, soft_wrap=True, markup=False)


def _warnings(contents: Mapping[str, File], size: int) -> list[str]:
    found = []
    hidden = hidden_by(contents)
    if files := hidden.pop("Python", None):
        found.append(
            f"{', '.join(files)} at the zip's root hides Python's own module of that name, for the engine and "
            "every library, too. Rename it."
        )
    if brought := sorted({file for files in hidden.values() for file in files}):
        names = ", ".join(name.rstrip("/") for name in brought)
        found.append(
            f"the zip brings {names}, which the layer or Lambda's runtime has already; the zip's own goes "
            "first. Leave it out, unless you need another version."
        )
    if new := too_new(contents):
        found.append(
            f"{', '.join(new)} needs a newer C library than Lambda has: pip install … --platform "
            "manylinux2014_x86_64 (arm64: manylinux2014_aarch64)."
        )
    if (unzipped := _unzipped(contents)) >= UNZIPPED_WARNING:
        found.append(
            f"unzipped it is {_size(unzipped)}; Lambda takes {_size(UNZIPPED_LIMIT)}, all layers included, and "
            "the engine's layer has about 26 MB of that."
        )
    if size > UPLOAD_LIMIT:
        found.append(
            f"it is {_size(size)}; Lambda takes {_size(UPLOAD_LIMIT)} as an upload: put it into S3 and give "
            "the module `package_s3`."
        )
    return found


def _unzipped(contents: Mapping[str, File]) -> int:
    return sum(len(file.content) for file in contents.values())


def _size(count: int) -> str:
    if count < 1024 * 1024:
        return f"{max(1, round(count / 1024))} KB"
    return f"{count / 1024 / 1024:.1f} MB"
