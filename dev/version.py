"""VERSION is the one place of the version; this writes it where packaging needs it again.

    python -m dev.version            stamp the project files with VERSION
    python -m dev.version 0.2.0      set VERSION first
    python -m dev.version --check    fail if a file disagrees

tests/unit/test_version.py asks the same of what is installed.
"""

from __future__ import annotations

import re
from pathlib import Path

from dev import ROOT
from dev.stage import DevError, command_line, say

FORM = re.compile(r"\d+\.\d+\.\d+((a|b|rc)\d+)?")

STAMPED = {
    "client/pyproject.toml": [r'(?m)^(version = ")[^"]*'],
    "layer/pyproject.toml": [r'(?m)^(version = ")[^"]*', r'("fluxio-client==)[^"]*'],
    "modules/fluxio/release.tf": [r'(?m)^(  version = ")[^"]*'],
    "modules/fluxio/modules/layer/release.tf": [r'(?m)^(  version = ")[^"]*'],
}
"""In each file, what stands right before every place of the version."""

DOCUMENTS = ("README.md", "docs/quickstart.md", "docs/upgrading.md", "modules/fluxio/README.md")
"""Here it stands in names of released files, as often as the text needs them."""

RELEASED = re.compile(r"((?:terraform-aws-fluxio|fluxio-layer)-)\d+\.\d+\.\d+(?:(?:a|b|rc)\d+)?")

FILES = (*STAMPED, *DOCUMENTS)


def wrong_files(root: Path = ROOT) -> list[str]:
    """The files that do not say what VERSION says."""
    version = _read(root)
    return [name for name in FILES if _stamped(root, name, version) != (root / name).read_text()]


def stamp(root: Path = ROOT) -> None:
    version = _read(root)
    for name in FILES:
        (root / name).write_text(_stamped(root, name, version))


def _read(root: Path) -> str:
    version = (root / "VERSION").read_text().strip()
    if not FORM.fullmatch(version):
        raise DevError(f"VERSION holds {version!r}; it must be like 0.2.0 or 0.2.0rc1.")
    return version


def _stamped(root: Path, name: str, version: str) -> str:
    text = (root / name).read_text()
    if name in DOCUMENTS:
        return RELEASED.sub(rf"\g<1>{version}", text)
    for pattern in STAMPED[name]:
        text, count = re.subn(pattern, rf"\g<1>{version}", text)
        if count != 1:
            raise DevError(f"{name} must have exactly one place like {pattern}, it has {count}.")
    return text


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        if wrong := wrong_files():
            raise DevError(
                f"{', '.join(wrong)}: not at version {_read(ROOT)}. Run `python -m dev.version`."
            )
        return
    if arguments:
        if not FORM.fullmatch(arguments[0]):
            raise DevError(f"{arguments[0]!r} is no version like 0.2.0 or 0.2.0rc1.")
        (ROOT / "VERSION").write_text(f"{arguments[0]}\n")
    stamp()
    say(f"version {_read(ROOT)}")


if __name__ == "__main__":
    command_line(main)
