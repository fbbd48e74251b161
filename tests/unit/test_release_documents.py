"""What a release is read with: its documents name commands, files and versions that exist."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from dev.version import FORM
from fluxio_client.cli.app import app

ROOT = Path(__file__).parents[2]
DOCUMENTS = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))]
every_document = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)


def read(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def code(document: Path) -> list[str]:
    """The lines of its shell blocks, and what stands in backticks in its prose."""
    text = read(document)
    blocks = re.findall(r"```(?:sh|console)\n(.*?)```", text, re.DOTALL)
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`]+)`", prose)


@every_document
def test_every_link_leads_to_a_file(document: Path) -> None:
    """Whoever follows one gets there."""
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", read(document))
    missing = [
        link for link in links if "://" not in link and not (document.parent / link).exists()
    ]
    assert missing == []


@every_document
def test_every_make_target_is_one(document: Path) -> None:
    """What the reader is told to type works."""
    makefile = (ROOT / "Makefile").read_text()
    named = [found[1] for one in code(document) if (found := re.fullmatch(r"make (\S+)", one))]
    assert [target for target in named if not re.search(rf"(?m)^{target}:", makefile)] == []


@every_document
def test_every_fluxio_command_is_one_with_these_options(document: Path) -> None:
    """Parsed by the command line itself, without being run."""
    group = typer.main.get_command(app)
    for line in code(document):
        words = shlex.split(line) if line.startswith("fluxio ") else []
        arguments = [word for word in words[1:] if word not in ("…", "...")]
        command, context = group, typer.Context(group)
        while arguments and hasattr(command, "commands") and not arguments[0].startswith("-"):
            assert arguments[0] in command.commands, f"{document.name}: {line}"
            command = command.commands[arguments.pop(0)]
            context = typer.Context(command, parent=context)
        if arguments and command is not group:
            command.parse_args(typer.Context(command, parent=context), arguments)


def test_the_changelog_keeps_its_form() -> None:
    """Unreleased first, then versions, each dated or not yet, changes under the usual headings."""
    text = read(ROOT / "CHANGELOG.md")
    headings = re.findall(r"(?m)^## (.*)$", text)
    assert headings[0] == "[Unreleased]"
    for heading in headings[1:]:
        version, _, date = heading.partition(" - ")
        assert FORM.fullmatch(version.strip("[]")), heading
        assert re.fullmatch(r"\d{4}-\d\d-\d\d|unreleased", date), heading
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert {*re.findall(r"(?m)^### (.*)$", text)} <= kinds


def test_the_changelog_knows_the_version() -> None:
    """What is being worked on has its section before it has a tag."""
    version = (ROOT / "VERSION").read_text().strip()
    assert f"## [{version}] - " in read(ROOT / "CHANGELOG.md")


def test_every_figure_of_the_comparison_has_a_source() -> None:
    """Each number in brackets leads to a source, and each source is used."""
    body, sources = read(ROOT / "docs" / "comparison.md").split("## Sources")
    used = {*re.findall(r"\[(\d+)\]", body)}
    assert used == {*re.findall(r"(?m)^(\d+)\. ", sources)}
    assert all(re.search(r"20\d\d|estimate", one) for one in re.split(r"(?m)^\d+\. ", sources)[1:])
