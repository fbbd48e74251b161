"""The documents name tests as their evidence: every one of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


#: A block of code that a document takes from a file, which a comment before it names.
TAKEN = re.compile(r"<!-- (\S+) -->\n```\w+\n(.*?)```", re.DOTALL)
TAKERS = [document for document in DOCUMENTS if TAKEN.search(document.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("document", TAKERS, ids=lambda document: document.name)
def test_code_that_a_document_takes_from_an_example_is_the_examples_own(document: Path) -> None:
    for file, code in TAKEN.findall(document.read_text(encoding="utf-8")):
        source = (ROOT / file).read_text(encoding="utf-8")
        # The formatter of the documents moves a method to the margin, with empty lines around it.
        assert " ".join(code.split()) in " ".join(source.split()), f"{file} has another {code}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = NAMED.findall(document.read_text(encoding="utf-8"))

    assert named, f"{document.name} names no test"
    for file, test in named:
        assert (ROOT / file).is_file(), f"{document.name} names {file}"
        if test:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"def {test}\(", source), f"{document.name} names {file}::{test}"
