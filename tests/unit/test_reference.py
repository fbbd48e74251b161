"""docs/reference is what the code says, all of it, and readable as Markdown and Mermaid."""

from __future__ import annotations

import builtins
import re
import shutil
from enum import Enum
from pathlib import Path
from typing import Any

import griffe
import pytest
import typer

import fluxio
import fluxio_client
from dev.reference import __main__ as reference
from dev.reference import markdown, module_page, python_page, states_page
from dev.stage import DevError
from fluxio_client.cli.app import app
from fluxio_client.cli.exits import ExitCode
from fluxio_protocol.run import RunStatus, StepStatus
from fluxio_protocol.transitions import TABLE, Guard, Transition

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "reference"
NAMES = ("cli", "module", "python", "states")
PAGES = {name: (FOLDER / f"{name}.md").read_text(encoding="utf-8") for name in NAMES}
every_page = pytest.mark.parametrize("name", NAMES)


def section(page: str, title: str) -> str:
    """What stands below a heading, up to the next one of any level."""
    found = re.search(rf"^#+ {re.escape(title)}\n(.*?)(?=^#|\Z)", page, re.MULTILINE | re.DOTALL)
    assert found, f"there is no section {title!r}"
    return found[1]


def first_cells(text: str) -> list[str]:
    """What stands in the first column of its tables, as it is typed."""
    return re.findall(r"^\| `([^`]+)`", text, re.MULTILINE)


# --- the check


def test_the_pages_are_as_the_code_says() -> None:
    """On each Python that the tests run on: so they do not differ between versions."""
    assert reference.wrong_files() == [], "run `make docs`"


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The pages in a folder of their own, where they may be spoiled."""
    folder = tmp_path / "docs" / "reference"
    shutil.copytree(FOLDER, folder)
    monkeypatch.setattr(reference, "ROOT", tmp_path)
    monkeypatch.setattr(reference, "FOLDER", folder)
    monkeypatch.setattr(module_page, "readmes", dict)
    return folder


def test_a_page_that_was_changed_by_hand_is_named_with_what_to_do(copied: Path) -> None:
    with (copied / "cli.md").open("a") as page:
        page.write("More.\n")

    with pytest.raises(DevError, match=r"^docs/reference/cli\.md: not .* Run `make docs`"):
        reference.main(["--check"])


def test_a_page_that_is_missing_or_that_nobody_writes_is_named(copied: Path) -> None:
    (copied / "states.md").rename(copied / "old.md")

    assert reference.wrong_files() == ["docs/reference/states.md", "docs/reference/old.md"]


def test_writing_mends_what_the_check_finds(copied: Path) -> None:
    (copied / "states.md").rename(copied / "old.md")
    (copied / "module.md").write_text("")

    reference.main([])

    assert reference.wrong_files() == []
    assert sorted(path.stem for path in copied.iterdir()) == sorted(NAMES)


# --- the pages are whole


def test_every_input_and_output_of_the_module_is_there() -> None:
    for folder in module_page.modules():
        text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.tf"))
        _, _, page = PAGES["module"].partition(f"\n## {folder.relative_to(ROOT).as_posix()}\n")
        page = page.partition("\n## ")[0]
        variables = re.findall(r'^variable "(\w+)"', text, re.MULTILINE)

        assert variables
        assert {*re.findall(r"^#### (\w+)$", page, re.MULTILINE)} == {*variables}
        assert {*first_cells(section(page, "Outputs"))} == {
            *re.findall(r'^output "(\w+)"', text, re.MULTILINE)
        }


def test_an_input_is_there_with_its_type_its_default_and_its_bounds() -> None:
    shown = section(PAGES["module"], "memory_size")

    assert "`number`, default `512`" in shown
    assert "- memory_size must be a whole number of MB from 128 to 10240" in shown


def test_every_command_is_there_with_each_of_its_parameters() -> None:
    group: Any = typer.main.get_command(app)
    commands = {f"fluxio {name}": one for name, one in group.commands.items() if name != "dlq"}
    letters = group.commands["dlq"].commands
    commands |= {f"fluxio dlq {name}": one for name, one in letters.items()}
    shared = {*first_cells(section(PAGES["cli"], "Options of every command"))}
    for name, command in commands.items():
        told = section(PAGES["cli"], name)
        for one in command.params:
            if one.param_type_name == "option" and one.opts[0] not in shared:
                assert f"| `{one.opts[0]}`" in told, f"{name} {one.opts[0]}"
            elif one.param_type_name == "argument":
                assert "| argument |" in told
        assert re.search(rf"^\$ {name} ?", told, re.MULTILINE), f"{name} has no example"


def test_every_exit_code_is_there() -> None:
    told = re.findall(r"^\| (\d+) \|", section(PAGES["cli"], "Exit codes"), re.MULTILINE)
    assert [int(code) for code in told] == [*ExitCode]


@pytest.mark.parametrize("package", [fluxio, fluxio_client], ids=lambda package: package.__name__)
def test_everything_that_a_package_exports_is_there(package: Any) -> None:
    page = PAGES["python"]
    for name in package.__all__:
        exported = getattr(package, name)
        if isinstance(exported, type) and issubclass(exported, fluxio_client.FluxioError):
            assert name in first_cells(section(page, f"Errors of {package.__name__}"))
        else:
            assert section(page, name)


def test_every_error_that_is_raised_is_explained() -> None:
    page = PAGES["python"]
    raised = {
        name
        for table in re.findall(r"^\| raises \|.*?(?=\n\n|\Z)", page, re.MULTILINE | re.DOTALL)
        for name in first_cells(table)
    }
    explained = first_cells(section(page, "Errors of fluxio"))
    explained += first_cells(section(page, "Errors of fluxio.testing"))
    explained += first_cells(section(page, "Errors of fluxio_client"))

    assert {"DefinitionError", "RunNotFound", "TransactError"} <= raised
    of_python = {name for name in raised if hasattr(builtins, name)}
    assert raised - of_python <= {*explained}


def test_every_row_guard_and_status_is_there() -> None:
    page = PAGES["states"]

    assert first_cells(section(page, "Rows")) == [*TABLE]
    assert first_cells(section(page, "What each row writes")) == [*TABLE]
    assert first_cells(section(page, "Guards")) == [guard.value for guard in Guard]
    assert first_cells(section(page, "Statuses of a run")) == [*RunStatus]
    assert first_cells(section(page, "Statuses of a step")) == [*StepStatus]


# --- the diagrams


@pytest.mark.parametrize(
    ("title", "statuses"), [("Statuses of a run", RunStatus), ("Statuses of a step", StepStatus)]
)
def test_a_diagram_is_one_that_mermaid_reads(title: str, statuses: type[Enum]) -> None:
    """By Mermaid's grammar of state diagrams, so far as it is used here."""
    drawn = re.search(r"```mermaid\n(.*?)\n```", section(PAGES["states"], title), re.DOTALL)
    assert drawn
    kind, *lines = drawn[1].splitlines()

    assert kind == "stateDiagram-v2"
    for line in lines:
        edge = re.fullmatch(r"    (\w+|\[\*\]) --> (\w+|\[\*\])(?:: [a-z_]+(?:, [a-z_]+)*)?", line)
        assert edge, line
        assert {edge[1], edge[2]} <= {"[*]", *(status.value for status in statuses)}


def test_the_diagram_of_runs_has_each_change_of_status_and_no_other() -> None:
    drawn = {
        (source, target, row)
        for (source, target), rows in states_page.run_edges().items()
        for row in rows
    }

    assert drawn == {
        (source.value if source else "[*]", row.run_to.value, row.name)
        for row in TABLE.values()
        if row.run_to
        for source in (row.run_from or [None])
    }


def test_a_new_row_is_drawn_and_asked_for_its_change(monkeypatch: pytest.MonkeyPatch) -> None:
    revive = Transition("revive", frozenset({RunStatus.CANCELLED}), RunStatus.RUNNING)
    monkeypatch.setattr(states_page, "TABLE", {**TABLE, "revive": revive})

    assert "    CANCELLED --> RUNNING: revive\n" in states_page.diagram(states_page.run_edges())
    assert "CANCELLED --> [*]" not in states_page.diagram(states_page.run_edges())
    with pytest.raises(DevError, match=r"tests/golden/rows\.py has no change of the row 'revive'"):
        states_page._writes(revive)


# --- what a page is made from


def test_a_field_without_a_comment_is_asked_for_one(tmp_path: Path) -> None:
    (tmp_path / "bare.py").write_text(
        "class Bare:\n    #: Its name.\n    name: str\n    age: int\n"
    )
    bare = griffe.load("bare", search_paths=[tmp_path])["Bare"]

    assert python_page._meaning(bare["name"]) == "Its name."
    with pytest.raises(DevError, match=r"bare\.py:4: bare\.Bare\.age has no `#:` comment"):
        python_page._meaning(bare["age"])


def test_the_tables_of_a_readme_stand_between_their_marks(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    (tmp_path / "variables.tf").write_text(
        'variable "size" {\n  description = "How \\"large\\"."\n  type = number\n  default = 2\n}\n'
    )
    text = "# A module\n\n<!-- inputs: written by `make docs` -->\nold\n<!-- end of inputs -->\n\nMore.\n"
    readme.write_text(text)

    placed = module_page._placed(text, "inputs", module_page.input_table(tmp_path))

    assert '| `size` | `2` | How "large". |' in placed
    assert "old" not in placed
    assert placed.endswith("\n<!-- end of inputs -->\n\nMore.\n")
    assert module_page._placed(placed, "inputs", module_page.input_table(tmp_path)) == placed
    assert module_page._placed(text, "outputs", "table") == text
    with pytest.raises(DevError, match="end of inputs"):
        module_page._placed(text.replace("<!-- end of inputs -->", ""), "inputs", "table")


def test_what_is_no_markup_is_not_read_as_markup() -> None:
    assert (
        markdown.prose("layer:<name>, *.svg and `<name> *`")
        == r"layer:&lt;name>, \*.svg and `<name> *`"
    )
    assert markdown.table(("a",), [("x | y\nz",)]) == "| a |\n|---|\n| x \\| y z |"


def test_long_code_is_broken_between_its_outermost_brackets() -> None:
    assert markdown.broken("f(a, b)") == "f(a, b)"
    assert markdown.broken("f(a: dict[str, int], b)", 10) == "f(\n    a: dict[str, int],\n    b,\n)"
    assert markdown.broken("object({a = x, b = f(1, 2)})", 10) == (
        "object({\n    a = x,\n    b = f(1, 2),\n})"
    )


# --- reading them


@every_page
def test_every_link_leads_to_a_file(name: str) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", PAGES[name])
    assert links
    assert [link for link in links if not (FOLDER / link).is_file()] == []


@every_page
def test_every_row_of_a_table_has_as_many_cells(name: str) -> None:
    tables = re.findall(r"(?:^\|.*\n?)+", PAGES[name], re.MULTILINE)
    assert tables
    for table in tables:
        rows = table.splitlines()
        assert set(rows[1]) == {"|", "-"}
        assert len({len(re.findall(r"(?<!\\)\|", row)) for row in rows}) == 1, rows[0]


@every_page
def test_a_page_says_where_it_comes_from_and_what_rewrites_it(name: str) -> None:
    found = re.search(
        r"^<!-- Written from (.+) by `make docs`\. Change it there\. -->$", PAGES[name], re.M
    )
    assert found
    assert all((ROOT / path).exists() for path in found[1].split(" and "))
