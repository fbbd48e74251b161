"""The layer with the engine, and its version."""

from __future__ import annotations

import re
import urllib.request
from collections.abc import Iterator
from contextlib import suppress

from fluxio_client.cli.checks.examination import Examination, last
from fluxio_client.cli.checks.finding import APPLY, Finding, fail, ok, warn
from fluxio_client.cli.version import client_version

#: Bytes of the end of a layer's zip that are read: its list of files is there.
TAIL = 1_000_000


def layer(at: Examination) -> Iterator[Finding]:
    if at.worker is None:
        return
    arns = [layer["Arn"] for layer in at.worker.get("Layers", ())]
    if not arns:
        yield fail("layer", "the worker has no layer, so no engine", APPLY)
        return
    mine = client_version()
    found = [(arn, version) for arn in arns if (version := _engine_version(at, arn))]
    if not found:
        short = ", ".join(last(arn, 2) for arn in arns)
        yield warn(
            "layer",
            f"no version of fluxio to be read from {short}",
            f"see that it is the one that goes with this client, {mine}.",
        )
    for arn, version in found:
        what = f"{last(arn, 2)} holds fluxio {version}"
        if version == mine:
            yield ok("layer", f"{what}, as this client does")
        elif _series(version) == _series(mine):
            yield ok("layer", f"{what}, this client is {mine}: within a series they go together")
        else:
            newer, older = f"deploy the layer of {mine}", "the module of the same version with it"
            if _parts(version) > _parts(mine):
                newer, older = (
                    f'pip install "fluxio-client[cli]=={version}"',
                    "then what uses the client",
                )
            yield warn("layer", f"{what}, this client is {mine}", f"{newer}, and {older}.")


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _series(version: str) -> tuple[int, ...]:
    """Versions that go together in any order (docs/upgrading.md)."""
    return _parts(version)[:2]


def _engine_version(at: Examination, arn: str) -> str | None:
    """The version of fluxio in a layer: from its description, or else from its zip's list of files."""
    layer = at.lambda_.get_layer_version_by_arn(Arn=arn)
    # As the module describes it, or a release's file.
    if found := re.search(
        r"fluxio engine (\d[\w.]*)|fluxio-layer-(\d[\w.]*?)-(?:x86_64|arm64)",
        layer.get("Description", ""),
    ):
        return found[1] or found[2]
    location = layer.get("Content", {}).get("Location", "")
    if not location.startswith(("https://", "http://")):
        return None
    request = urllib.request.Request(location, headers={"Range": f"bytes=-{TAIL}"})
    with suppress(OSError), urllib.request.urlopen(request, timeout=10) as answer:
        listed = re.search(rb"python/fluxio-(\d[\w.]*)\.dist-info/", answer.read())
        return listed[1].decode() if listed else None
    return None
