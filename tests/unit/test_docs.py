"""The documents name tests as their evidence: every one of them exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
NAMED = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_every_test_that_a_document_names_exists(document: Path) -> None:
    named = NAMED.findall(document.read_text(encoding="utf-8"))

    assert named, f"{document.name} names no test"
    for file, test in named:
        assert (ROOT / file).is_file(), f"{document.name} names {file}"
        if test:
            source = (ROOT / file).read_text(encoding="utf-8")
            assert re.search(rf"def {test}\(", source), f"{document.name} names {file}::{test}"
