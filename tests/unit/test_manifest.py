"""The manifest: which workflows the zip has, found without importing any of them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from fluxio.errors import DeploymentError, UnknownWorkflow
from fluxio.manifest import Manifest

MODULE = """
    from fluxio import workflow, step

    @workflow
    class Fine:
        @step
        def only(self): ...

    class Plain: ...

    class Outer:
        @workflow(name="Inner")
        class Inner:
            @step
            def only(self): ...
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Write]:
    """Writes a file of the zip; what is imported from there is forgotten afterwards."""
    before = {*sys.modules}
    monkeypatch.syspath_prepend(tmp_path)

    def write(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        importlib.invalidate_caches()
        return path

    yield write
    for name in {*sys.modules} - before:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def section(*lines: str) -> str:
    return "\n".join(["[fluxio.workflows]", *lines, ""])


class TestWhereItIs:
    def test_a_bare_file_at_the_root(self, tmp_path: Path, write: Write) -> None:
        write("entry_points.txt", section("Fine = steps:Fine"))
        assert Manifest([tmp_path]).entries() == {"Fine": "steps:Fine"}

    def test_what_pip_leaves_in_dist_info(self, tmp_path: Path, write: Write) -> None:
        write("orders-1.0.dist-info/entry_points.txt", section("Fine = steps:Fine"))
        write("other-2.0.dist-info/entry_points.txt", "[console_scripts]\nx = y:z\n")
        assert Manifest([tmp_path]).entries() == {"Fine": "steps:Fine"}

    def test_both_and_in_several_folders(self, tmp_path: Path, write: Write) -> None:
        write("one/entry_points.txt", section("A = a:A"))
        write("one/x-1.dist-info/entry_points.txt", section("B = b:B"))
        write("two/y-1.dist-info/entry_points.txt", section("C = c.d:C"))
        manifest = Manifest([tmp_path / "one", tmp_path / "two", tmp_path / "missing"])
        assert manifest.entries() == {"A": "a:A", "B": "b:B", "C": "c.d:C"}

    def test_by_default_the_functions_folder(
        self, tmp_path: Path, write: Write, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write("entry_points.txt", section("OnlyHere = a:A"))
        monkeypatch.setattr(sys, "path", [p for p in sys.path if p != str(tmp_path)])
        monkeypatch.setenv("LAMBDA_TASK_ROOT", str(tmp_path))
        assert Manifest().entries()["OnlyHere"] == "a:A"

    def test_nowhere(self, tmp_path: Path) -> None:
        assert Manifest([tmp_path]).entries() == {}
        with pytest.raises(DeploymentError, match="zip has no manifest that names a workflow"):
            Manifest([tmp_path]).load("Fine")

    def test_names_keep_their_case_and_comments_are_skipped(
        self, tmp_path: Path, write: Write
    ) -> None:
        write("entry_points.txt", section("# ours", "Fine = a:A", "fine = b:B", "x.y-z = c:C"))
        assert Manifest([tmp_path]).entries() == {"Fine": "a:A", "fine": "b:B", "x.y-z": "c:C"}


class TestWhatIsWrongWithIt:
    @pytest.mark.parametrize(
        ("text", "problem"),
        [
            ("Fine = a:A\n", "there is no section header before line 1"),
            ("[fluxio.workflows\nFine = a:A\n", "cannot be read"),
            (section("Fine"), "cannot be read"),
            (section("Fine = a:A") * 2, "names 'Fine' twice, again in line 4"),
            (section("Fine = a"), "has Fine = 'a'; write 'module:Class' on the right"),
            (section("Fine = a:"), "has Fine = 'a:'; write"),
            (section("Fine = :A"), "has Fine = ':A'; write"),
            (section("Fine ="), "has Fine = ''; write"),
            (section("Fine = a:A [extra]"), "has Fine = 'a:A [extra]'; write"),
        ],
    )
    def test_it_is_named_with_its_file(
        self, tmp_path: Path, write: Write, text: str, problem: str
    ) -> None:
        file = write("entry_points.txt", text)
        with pytest.raises(DeploymentError) as caught:
            Manifest([tmp_path]).entries()
        assert str(caught.value).startswith(f"the manifest {file} ")
        assert problem in str(caught.value)

    def test_a_file_that_is_not_utf_8(self, tmp_path: Path) -> None:
        (tmp_path / "entry_points.txt").write_bytes(b"[fluxio.workflows]\nF\xfc = a:A\n")
        with pytest.raises(DeploymentError, match=r"cannot be read: line 2 .* not UTF-8"):
            Manifest([tmp_path]).entries()

    def test_one_name_twice_in_a_file(self, tmp_path: Path, write: Write) -> None:
        file = write("entry_points.txt", section("Fine = a:A", "Fine = b:B"))
        with pytest.raises(DeploymentError) as caught:
            Manifest([tmp_path]).entries()
        assert str(caught.value) == (
            f"the manifest {file} names 'Fine' twice, again in line 3. Rename one of them."
        )

    def test_one_name_in_two_files(self, tmp_path: Path, write: Write) -> None:
        one = write("entry_points.txt", section("Fine = a:A"))
        other = write("x-1.dist-info/entry_points.txt", section("Fine = b:B"))
        with pytest.raises(DeploymentError) as caught:
            Manifest([tmp_path]).entries()
        assert str(caught.value) == (
            f"the manifests {one} and {other} both name a workflow 'Fine', as a:A and as b:B. "
            "Rename one of them."
        )

    def test_one_name_for_one_class_in_two_files_is_fine(
        self, tmp_path: Path, write: Write
    ) -> None:
        write("entry_points.txt", section("Fine = a:A"))
        write("x-1.dist-info/entry_points.txt", section("Fine = a:A"))
        assert Manifest([tmp_path]).entries() == {"Fine": "a:A"}

    def test_it_is_said_again_each_time_and_gone_when_mended(
        self, tmp_path: Path, write: Write
    ) -> None:
        write("entry_points.txt", "nonsense")
        manifest = Manifest([tmp_path])
        for _ in range(2):
            with pytest.raises(DeploymentError):
                manifest.entries()
        write("entry_points.txt", section("Fine = a:A"))
        assert manifest.entries() == {"Fine": "a:A"}


class TestLoading:
    def test_a_workflow_is_imported_when_it_is_asked_for(
        self, tmp_path: Path, write: Write
    ) -> None:
        write("entry_points.txt", section("Fine = pkg.steps:Fine", "Broken = pkg.broken:W"))
        write("pkg/__init__.py", "")
        write("pkg/steps.py", MODULE)
        write("pkg/broken.py", "raise RuntimeError('imported')")
        manifest = Manifest([tmp_path])
        assert {*manifest.entries()} == {"Fine", "Broken"}
        assert "pkg.steps" not in sys.modules
        loaded = manifest.load("Fine")
        assert (loaded.name, [*loaded.steps]) == ("Fine", ["only"])
        assert manifest.load("Fine") is loaded
        assert "pkg.broken" not in sys.modules

    def test_a_class_inside_a_class(self, tmp_path: Path, write: Write) -> None:
        write("entry_points.txt", section("Inner = inner_steps:Outer.Inner"))
        write("inner_steps.py", MODULE)
        assert Manifest([tmp_path]).load("Inner").name == "Inner"

    def test_a_workflow_that_is_not_there_is_answered_with_those_that_are(
        self, tmp_path: Path, write: Write
    ) -> None:
        write("entry_points.txt", section("B = b:B", "A = a:A"))
        with pytest.raises(UnknownWorkflow) as caught:
            Manifest([tmp_path]).load("C")
        assert str(caught.value) == (
            "this deployment has no workflow 'C'; it has: A, B. Start a run of one of these, or add C to "
            "the manifest (entry_points.txt, section [fluxio.workflows]) of the worker's zip, deploy it, "
            "and redrive the run."
        )

    @pytest.mark.parametrize(
        ("target", "module", "problem"),
        [
            ("not_there:W", "", "but there is no module 'not_there'. Put it into the worker's zip"),
            ("loaded.sub:W", "", "but there is no module 'loaded.sub'"),
            (
                "loaded:W",
                "import not_there_either",
                "but loaded imports 'not_there_either' (loaded.py, line 1)",
            ),
            ("loaded:W", "1/0", "raises ZeroDivisionError: division by zero (loaded.py, line 1)"),
            ("loaded:W", "def", "importing loaded raises SyntaxError"),
            ("loaded:W", "", "the module loaded has no class 'W'"),
            ("loaded:Outer.W", MODULE, "the module loaded has no class 'Outer.W'"),
            ("loaded:Plain", MODULE, "does not decorate with @workflow its class 'Plain'"),
            ("loaded:workflow", MODULE, "does not decorate with @workflow its class 'workflow'"),
        ],
    )
    def test_what_cannot_be_loaded_is_named_with_its_entry(
        self, tmp_path: Path, write: Write, target: str, module: str, problem: str
    ) -> None:
        write("entry_points.txt", section(f"W = {target}"))
        write("loaded.py", module)
        with pytest.raises(DeploymentError) as caught:
            Manifest([tmp_path]).load("W")
        assert str(caught.value).startswith(f"entry_points.txt names W = {target}, but ")
        assert problem in str(caught.value)

    def test_a_module_that_exits_when_imported(self, tmp_path: Path, write: Write) -> None:
        write("entry_points.txt", section("W = exiting:W"))
        write("exiting.py", "import sys; sys.exit('no credentials')")
        with pytest.raises(DeploymentError, match="importing exiting raises SystemExit"):
            Manifest([tmp_path]).load("W")
