"""The release: everything that one version publishes, in `dist`.

    python -m dev.release                 build it
    python -m dev.release --tag v0.2.0    fail unless that tag may be released from this tree
    python -m dev.release --notes         print what CHANGELOG.md says of this version

    fluxio-…, fluxio_client-…                     a wheel and an sdist each, for PyPI
    fluxio-layer-<version>-<architecture>.zip     the Lambda layer
    fluxio-layer-<version>-<architecture>.cdx.json   what is in it (CycloneDX)
    terraform-aws-fluxio-<version>.zip            the module with both layers inside
    SHA256SUMS                                    of all of these

The same sources give the same bytes, whenever, wherever and on whichever supported Python they are
built, as long as zlib is the same (it is what compresses, and its forks compress differently) and the
layer's bytecode is made by the same versions of Python: the SBOM names them.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
import zipfile
from collections.abc import Sequence
from email.parser import BytesHeaderParser
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

from cyclonedx.contrib.license.factories import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output import make_outputter
from cyclonedx.schema import OutputFormat, SchemaVersion
from packageurl import PackageURL

from dev import ROOT, bytecode, layer
from dev.stage import DevError, command_line, say
from dev.version import wrong_files
from fluxio_client.cli.archive import write_zip

MODULE = Path("modules/fluxio")

SPDX = {"Apache License 2.0": "Apache-2.0"}
"""SPDX's names for licences that a wheel of the layer still calls by a name of its own."""


COMPILER = "fluxio:bytecode:python"
"""The property of an SBOM that names a version of Python; there is one for each."""


def build(source: Path = ROOT, target: Path = ROOT / "dist") -> list[Path]:
    """Build the release of `source` into `target`, which then holds nothing else."""
    if wrong := wrong_files(source):
        raise DevError(
            f"{', '.join(wrong)}: not at the version in VERSION. Run `python -m dev.version`."
        )
    unfinished = target.with_name(f"{target.name}.part")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)

    layers = layer.build(source, unfinished)
    for built in distributions(source):
        shutil.copyfile(built, unfinished / built.name)
    for architecture, zipped in zip(layer.ARCHITECTURES, layers, strict=True):
        bom = zipped.with_suffix(".cdx.json")
        bom.write_text(
            sbom(zipped, layer.contents(source, architecture), layer.version(source)),
            encoding="utf-8",
        )
    write_zip(
        unfinished / f"terraform-aws-fluxio-{layer.version(source)}.zip",
        module(source, layers),
    )
    files = sorted(unfinished.iterdir())
    (unfinished / "SHA256SUMS").write_text(checksums(files), encoding="utf-8")

    # Only now, so that `target` is never half of one version and half of another.
    shutil.rmtree(target, ignore_errors=True)
    unfinished.rename(target)
    return sorted(target.iterdir())


def distributions(source: Path) -> list[Path]:
    """What goes to PyPI, where `layer.build` leaves it."""
    return [
        built
        for wheel in layer.wheels(source)
        for built in (wheel, wheel.with_name(wheel.name.replace("-py3-none-any.whl", ".tar.gz")))
    ]


def module(source: Path, layers: Sequence[Path]) -> dict[str, bytes]:
    """The files of the module's zip: Terraform takes its root for the module's own folder.

    The layers lie where the module looks when it is given none, so that one `source` brings both. The
    modules inside it come along, to be used by themselves (`<source>//modules/layer`).
    """
    folder = source / MODULE
    contents = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for pattern in ("*.tf", "README.md", "modules/*/*.tf", "modules/*/README.md")
        for path in folder.glob(pattern)
    }
    # The runbook that the module's alarms send their reader to, and the pages that it leads to.
    for path in (source / "docs").rglob("*.md"):
        contents[path.relative_to(source).as_posix()] = path.read_bytes()
    contents["LICENSE"] = (source / "LICENSE").read_bytes()
    for zipped in layers:
        contents[f"layer/{zipped.name}"] = zipped.read_bytes()
    return contents


def sbom(zipped: Path, wheels: Sequence[Path], version: str) -> str:
    """A CycloneDX document: each wheel that went into `zipped`, with version, licence and hash.

    A component is one wheel file, so a compiled distribution is named once for each Python. The
    versions of Python whose bytecode is in `zipped` are properties of the whole. The time of its making
    stays out, the one thing that would differ between two builds.
    """
    components = [_component(wheel) for wheel in wheels]
    digest = _sha256(zipped)
    whole = Component(
        type=ComponentType.LIBRARY,
        name="fluxio-layer",
        version=version,
        description=f"The Lambda layer {zipped.name}",
        bom_ref=zipped.name,
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        licenses=[LicenseFactory().make_from_string("MIT")],
        properties=[Property(name=COMPILER, value=version) for version in bytecode.compilers()],
    )
    bom = Bom(
        components=components,
        metadata=BomMetaData(component=whole),
        serial_number=uuid5(NAMESPACE_URL, f"sha256:{digest}"),
    )
    bom.register_dependency(whole, components)
    written = make_outputter(bom, OutputFormat.JSON, SchemaVersion.V1_6).output_as_string()
    document = json.loads(written)
    del document["metadata"]["timestamp"]
    return json.dumps(document, indent=2, sort_keys=True) + "\n"


def _component(wheel: Path) -> Component:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [n for n in archive.namelist() if re.fullmatch(r"[^/]+\.dist-info/METADATA", n)]
        metadata = BytesHeaderParser().parsebytes(archive.read(name))
    licence = metadata["License-Expression"] or metadata["License"]
    if not licence:
        raise DevError(
            f"{wheel.name} names no licence, so it cannot be listed. Find out what it is, and "
            "take another version or another distribution if it must not be passed on."
        )
    project = re.sub(r"[-_.]+", "-", metadata["Name"]).lower()
    version = metadata["Version"]
    purl = PackageURL("pypi", None, project, version, {"file_name": wheel.name})
    return Component(
        type=ComponentType.LIBRARY,
        name=project,
        version=version,
        purl=purl,
        bom_ref=purl.to_string(),
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=_sha256(wheel))],
        licenses=[LicenseFactory().make_from_string(SPDX.get(licence, licence))],
    )


def checksums(files: Sequence[Path]) -> str:
    """As `sha256sum --check` reads them."""
    return "".join(f"{_sha256(file)}  {file.name}\n" for file in sorted(files))


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_tag(tag: str, source: Path = ROOT) -> None:
    """A tag is released only if it says what VERSION says and CHANGELOG.md dates that version."""
    version = layer.version(source)
    if tag != f"v{version}":
        raise DevError(
            f"the tag is {tag}, but VERSION says {version}, whose tag is v{version}. Tag the "
            "commit that carries the version, or set it with `python -m dev.version`."
        )
    heading, _ = _changes(source)
    if not re.search(r" - \d{4}-\d\d-\d\d$", heading):
        raise DevError(
            f"CHANGELOG.md: {heading!r} has no date. Write the day of the release there, like "
            f"`## [{version}] - 2027-01-31`, commit it and tag that commit."
        )


def check_compilers() -> None:
    """A release has bytecode for every supported Python, so all of them are on the machine that builds it."""
    if without := bytecode.missing():
        raise DevError(
            f"Python {', '.join(without)} is not on this machine, so the layer would have no bytecode for "
            "it. Install it, or let the release be built where it is installed."
        )


def notes(source: Path = ROOT) -> str:
    """What CHANGELOG.md says of the version in VERSION, without its heading."""
    return _changes(source)[1]


def _changes(source: Path) -> tuple[str, str]:
    version = layer.version(source)
    text = (source / "CHANGELOG.md").read_text(encoding="utf-8")
    for section in re.split(r"(?m)^(?=## )", text)[1:]:
        heading, _, body = section.partition("\n")
        if heading.startswith(f"## [{version}]"):
            # Links' targets stand at the file's end, after the last section.
            return heading, re.sub(r"(?m)^\[[^]]+\]: .*\n?", "", body).strip()
    raise DevError(
        f"CHANGELOG.md has no section for {version}. Rename `## [Unreleased]` to "
        f"`## [{version}] - <date>`, and begin a new Unreleased above it."
    )


def main(arguments: list[str]) -> None:
    match arguments:
        case []:
            files = build()
            say(f"\nrelease {layer.version()} in dist:")
            for file in files:
                say(f"  {file.stat().st_size:>12,}  {file.name}")
        case ["--tag", tag]:
            check_tag(tag)
            check_compilers()
            say(f"{tag} is what VERSION and CHANGELOG.md say")
        case ["--notes"]:
            sys.stdout.write(f"{notes()}\n")
        case _:
            raise DevError("say: python -m dev.release [--tag <tag> | --notes]")


if __name__ == "__main__":
    command_line(main)
