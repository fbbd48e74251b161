"""What may be released, what is said of it, and what the SBOM takes from a wheel."""

from __future__ import annotations

import json
import subprocess
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("cyclonedx", reason="releases are built in .venv alone")

from dev import ROOT, release
from dev.stage import DevError

CHANGELOG = """# Changelog

## [Unreleased]

## [0.2.0] - 2027-01-31

### Added

- The second thing.

## [0.1.0] - 2026-12-24

- The first thing.

[0.2.0]: https://example.com/0.2.0
"""


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """The sources of version 0.2.0, as far as a tag needs them."""
    (tmp_path / "VERSION").write_text("0.2.0\n")
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    return tmp_path


def wheel(folder: Path, metadata: str) -> Path:
    path = folder / "some_thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(
            "some_thing-1.0.dist-info/METADATA", f"Name: Some_Thing\nVersion: 1.0\n{metadata}\n"
        )
        # A wheel may bring another's metadata; that is not what it is.
        archive.writestr("some_thing/vendored-2.dist-info/METADATA", "Name: vendored\n")
    return path


def test_the_tag_of_the_version_is_released(source: Path) -> None:
    """VERSION, tag and a dated section agree."""
    release.check_tag("v0.2.0", source)


@pytest.mark.parametrize("tag", ["v0.2.1", "0.2.0", "v0.2.0rc1", "v0.2"])
def test_another_tag_is_refused(source: Path, tag: str) -> None:
    """What is published under a tag is what the tag says."""
    with pytest.raises(DevError, match=rf"the tag is {tag}, but VERSION says 0\.2\.0"):
        release.check_tag(tag, source)


def test_a_version_without_a_date_in_the_changelog_is_not_released(source: Path) -> None:
    """Its notes are not finished."""
    (source / "CHANGELOG.md").write_text(CHANGELOG.replace(" - 2027-01-31", " - unreleased"))
    with pytest.raises(DevError, match=r"'## \[0\.2\.0\] - unreleased' has no date"):
        release.check_tag("v0.2.0", source)


def test_a_version_that_the_changelog_does_not_know_is_not_released(source: Path) -> None:
    """The error says which heading is missing."""
    (source / "VERSION").write_text("0.3.0\n")
    with pytest.raises(DevError, match=r"no section for 0\.3\.0\. Rename `## \[Unreleased\]`"):
        release.check_tag("v0.3.0", source)


def test_the_notes_are_the_section_of_the_version(source: Path) -> None:
    """Neither its heading, nor another version's text, nor the targets of links."""
    assert release.notes(source) == "### Added\n\n- The second thing."
    (source / "VERSION").write_text("0.1.0\n")
    assert release.notes(source) == "- The first thing."


def test_checksums_are_what_sha256sum_reads(tmp_path: Path) -> None:
    """The tool that everybody has says whether a download is whole."""
    for name in ("b.zip", "a.whl"):
        (tmp_path / name).write_text(name)
    (tmp_path / "SHA256SUMS").write_text(release.checksums([*tmp_path.iterdir()]))
    check = ["sha256sum", "--check", "SHA256SUMS"]
    done = subprocess.run(check, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout == "a.whl: OK\nb.zip: OK\n"
    (tmp_path / "a.whl").write_text("another")
    assert subprocess.run(check, cwd=tmp_path, capture_output=True).returncode == 1


@pytest.mark.parametrize(
    ("metadata", "licence"),
    [
        ("License-Expression: MIT", {"license": {"id": "MIT"}}),
        ("License: Apache License 2.0", {"license": {"id": "Apache-2.0"}}),
        ("License-Expression: MIT OR Apache-2.0", {"expression": "MIT OR Apache-2.0"}),
        ("License: Our own words", {"license": {"name": "Our own words"}}),
    ],
)
def test_the_sbom_names_each_licence_as_spdx_does(
    tmp_path: Path, metadata: str, licence: dict[str, object]
) -> None:
    """By SPDX's identifier or expression where there is one, else in the wheel's words."""
    document = json.loads(
        release.sbom(wheel(tmp_path, metadata), [wheel(tmp_path, metadata)], "1.0")
    )
    (component,) = document["components"]
    assert component["licenses"] == [licence]
    assert (component["name"], component["version"]) == ("some-thing", "1.0")
    assert component["purl"].startswith("pkg:pypi/some-thing@1.0?file_name=some_thing-1.0-")


def test_a_wheel_without_a_licence_is_not_released(tmp_path: Path) -> None:
    """Nobody could say whether it may be passed on."""
    with pytest.raises(DevError, match="names no licence"):
        release.sbom(wheel(tmp_path, ""), [wheel(tmp_path, "")], "1.0")


def test_the_sbom_of_the_same_wheels_is_the_same(tmp_path: Path) -> None:
    """Neither the time nor a random number is in it."""
    path = wheel(tmp_path, "License: MIT")
    first = release.sbom(path, [path], "1.0")
    assert release.sbom(path, [path], "1.0") == first
    assert "timestamp" not in first


def test_whoever_an_alarm_calls_finds_the_runbook_in_the_release() -> None:
    """The module's alarms name it, and the person on call may have nothing but the zip."""
    inside = release.module(ROOT, [])
    assert b"## dlq_not_empty" in inside["docs/operations.md"]
    assert "docs/cli.md" in inside, "and the pages that it leads to"
