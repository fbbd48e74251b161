"""`python -m dev.reference`: write the pages, or check them."""

from __future__ import annotations

from pathlib import Path

from dev import ROOT
from dev.reference import cli_page, module_page, python_page, states_page
from dev.stage import DevError, command_line, say

FOLDER = ROOT / "docs" / "reference"


def pages() -> dict[Path, str]:
    """Every file that is written here, with what belongs in it."""
    made = {
        "module": module_page.render,
        "cli": cli_page.render,
        "python": python_page.render,
        "states": states_page.render,
    }
    return {
        FOLDER / f"{name}.md": render() for name, render in made.items()
    } | module_page.readmes()


def wrong_files() -> list[str]:
    """The files that do not say what the code says, and pages that nobody writes."""
    wanted = pages()
    wrong = [path for path, text in wanted.items() if not path.is_file() or _read(path) != text]
    wrong += [path for path in sorted(FOLDER.glob("*.md")) if path not in wanted]
    return [path.relative_to(ROOT).as_posix() for path in wrong]


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def main(arguments: list[str]) -> None:
    if arguments == ["--check"]:
        if wrong := wrong_files():
            raise DevError(
                f"{', '.join(wrong)}: not as the code says. Run `make docs`, and commit what it writes."
            )
        return
    if arguments:
        raise DevError(f"{' '.join(arguments)!r}: there is --check and nothing else.")
    wanted = pages()
    FOLDER.mkdir(exist_ok=True)
    for path in FOLDER.glob("*.md"):
        if path not in wanted:
            path.unlink()
    for path, text in wanted.items():
        if not path.is_file() or _read(path) != text:
            path.write_text(text, encoding="utf-8")
            say(f"wrote {path.relative_to(ROOT).as_posix()}")


if __name__ == "__main__":
    command_line(main)
