"""All of the folder is in the zip, or the command says what is not; what goes wrong leaves no half a zip."""

from __future__ import annotations

import errno
import os
import socket
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from fluxio_client.cli import archive
from fluxio_client.cli.archive import Unpackable, left_out, read_folder, write_zip
from fluxio_protocol.errors import FluxioError, InvalidInput
from tests.unit.conftest import Package

pytestmark = pytest.mark.once

linux = pytest.mark.skipif(
    sys.platform != "linux", reason="of files that other systems do not have"
)


def refusal(folder: Path, *names: str) -> str:
    with pytest.raises(FluxioError) as caught:
        read_folder(folder, names or None)
    return str(caught.value)


class TestLinks:
    def test_a_linked_folder_and_a_linked_file_are_packed_by_content(
        self, folder: Path, tmp_path: Path
    ) -> None:
        shared = tmp_path / "elsewhere" / "templates"
        (shared / "deep").mkdir(parents=True)
        (shared / "deep" / "mail.txt").write_text("Dear customer")
        (folder / "shop" / "templates").symlink_to(shared, target_is_directory=True)
        (folder / "shop" / "letter.txt").symlink_to(shared / "deep" / "mail.txt")
        (folder / "lib").symlink_to("shop", target_is_directory=True)  # within the folder

        packed = read_folder(folder)

        for name in ("shop/templates/deep/mail.txt", "shop/letter.txt", "lib/letter.txt"):
            assert packed[name].content == b"Dear customer"
        assert "lib/templates/deep/mail.txt" in packed

    def test_a_chain_of_links_is_followed_to_its_end(self, folder: Path) -> None:
        (folder / "one").symlink_to("two")
        (folder / "two").symlink_to("shop", target_is_directory=True)

        assert "one/workflows.py" in read_folder(folder)

    def test_the_folder_itself_may_be_a_link(self, folder: Path, tmp_path: Path) -> None:
        (tmp_path / "build").symlink_to(folder, target_is_directory=True)

        assert read_folder(tmp_path / "build") == read_folder(folder)

    @pytest.mark.parametrize(
        "link",
        [
            pytest.param(lambda f: (f / "shop" / "up").symlink_to(".."), id="to the folder"),
            pytest.param(lambda f: (f / "shop" / "out").symlink_to("../.."), id="to one above it"),
            pytest.param(lambda f: (f / "shop" / "self").symlink_to("."), id="to its own folder"),
            pytest.param(lambda f: (f / "shop" / "nowhere").symlink_to("gone"), id="to nothing"),
            pytest.param(lambda f: (f / "shop" / "me").symlink_to("me"), id="to itself"),
        ],
    )
    def test_a_link_without_an_end_is_refused_by_name(
        self, folder: Path, link: Callable[[Path], None]
    ) -> None:
        before = {*(folder / "shop").iterdir()}
        link(folder)
        (made,) = {*(folder / "shop").iterdir()} - before

        assert f"shop/{made.name}" in refusal(folder)

    def test_two_folders_that_link_to_each_other_are_refused(self, folder: Path) -> None:
        for one, other in (("left", "right"), ("right", "left")):
            (folder / one).mkdir()
            (folder / one / "link").symlink_to(f"../{other}", target_is_directory=True)

        assert "left/link/link leads through a link back to a folder" in refusal(folder)


class TestWhatNoZipCanHold:
    @linux
    def test_a_name_that_is_not_utf_8(self, folder: Path) -> None:
        with open(os.fsencode(folder / "shop") + b"/caf\xe9.txt", "w"):  # noqa: PTH123
            pass

        assert r"shop/caf\udce9.txt is not UTF-8. Rename it" in refusal(folder)

    @linux
    def test_a_folder_whose_name_is_not_utf_8(self, folder: Path) -> None:
        os.mkdir(os.fsencode(folder) + b"/\xff")  # noqa: PTH102
        with open(os.fsencode(folder) + b"/\xff/x.py", "w"):  # noqa: PTH123
            pass

        assert "is not UTF-8. Rename it" in refusal(folder)

    def test_a_socket(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(folder)  # a socket's path is short
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("app.sock")
            assert "app.sock is a socket, a pipe or a device" in refusal(folder)

    def test_a_pipe_even_behind_a_link(self, folder: Path, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "pipe")
        (folder / "shop" / "queue").symlink_to(tmp_path / "pipe")

        assert "shop/queue is a socket, a pipe or a device" in refusal(folder)

    def test_more_than_lambda_takes_is_refused_before_it_is_read(self, folder: Path) -> None:
        with (folder / "shop" / "model.bin").open("wb") as file:
            file.truncate(5 * 1024**3)  # a hole: it takes no room

        assert "shop/model.bin with 5,368,709,120" in refusal(folder)


class TestReading:
    @linux
    def test_a_file_that_cannot_be_read_is_named(self, folder: Path) -> None:
        (folder / "shop" / "memory").symlink_to("/proc/self/mem")  # fails for root, too

        assert "shop/memory cannot be read: " in refusal(folder)

    def test_a_file_that_vanishes_is_named(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        read = archive._read

        def vanish(path: Path) -> bytes:
            path.unlink()
            return read(path)

        monkeypatch.setattr(archive, "_read", vanish)
        assert "entry_points.txt cannot be read: No such file" in refusal(folder)

    def test_a_file_that_is_written_meanwhile_is_named(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path, fstat = folder / "shop" / "workflows.py", os.fstat
        original = path.read_text()

        def write_and_stat(number: int) -> os.stat_result:
            status = fstat(number)
            path.write_text(path.read_text() + "#")
            return status

        monkeypatch.setattr(os, "fstat", write_and_stat)
        assert "shop/workflows.py was changed while it was read" in refusal(folder, "shop")
        assert path.read_text() != original

    def test_files_from_before_1980_and_far_ahead_are_packed(
        self, folder: Path, tmp_path: Path
    ) -> None:
        os.utime(folder / "entry_points.txt", (-(10**9), -(10**9)))
        os.utime(folder / "shop" / "workflows.py", (2**33, 2**33))

        write_zip(tmp_path / "x.zip", read_folder(folder))
        assert zipfile.ZipFile(tmp_path / "x.zip").testzip() is None


class TestWhatIsLeftOut:
    def test_hidden_files_and_empty_folders_are_told_and_caches_are_not(
        self, package: Package, folder: Path
    ) -> None:
        (folder / ".env").write_text("KEY=x")
        (folder / ".git").mkdir()
        (folder / "shop" / "inbox").mkdir()
        (folder / "shop" / "__pycache__").mkdir()
        (folder / "shop" / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"x")

        assert left_out(folder) == [".env", ".git/", "shop/inbox/"]
        assert "left out: .env, .git/, shop/inbox/" in package().out

    def test_hidden_things_are_not_even_looked_at(self, folder: Path) -> None:
        (folder / ".venv").symlink_to("gone")
        os.mkfifo(folder / ".pipe")

        assert ".venv" not in read_folder(folder)

    def test_what_is_named_is_taken_hidden_or_not(self, folder: Path) -> None:
        (folder / ".config.json").write_text("{}")

        assert [*read_folder(folder, [".config.json"])] == [".config.json"]

    def test_compiled_code_without_its_source_is_code(self, folder: Path) -> None:
        (folder / "shop" / "rates.pyc").write_bytes(b"x")
        (folder / "shop" / "workflows.pyc").write_bytes(b"x")

        packed = read_folder(folder)
        assert "shop/rates.pyc" in packed
        assert "shop/workflows.pyc" not in packed


@pytest.mark.parametrize("name", ["../secrets", "/etc/passwd", "shop/../../x"])
def test_only_names_what_lies_in_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match="is not inside the folder"):
        read_folder(folder, [name])


def test_only_takes_any_spelling_of_a_path(folder: Path) -> None:
    assert read_folder(folder, ["./shop/", "shop/workflows.py"]) == read_folder(folder, ["shop"])
    assert read_folder(folder, ["."]) == read_folder(folder)


def test_a_file_is_no_folder(folder: Path) -> None:
    assert "is not a folder" in refusal(folder / "entry_points.txt")


class TestWriting:
    """Whatever goes wrong, the zip of before is whole and nothing is left beside it."""

    @pytest.fixture
    def target(self, tmp_path: Path) -> Path:
        (tmp_path / "out").mkdir()
        (tmp_path / "out" / "orders.zip").write_bytes(b"the zip of before")
        return tmp_path / "out" / "orders.zip"

    @pytest.mark.parametrize(
        ("raised", "expected"),
        [
            (OSError(errno.ENOSPC, "No space left on device"), Unpackable),
            (OSError(errno.EDQUOT, "Disk quota exceeded"), Unpackable),
            (KeyboardInterrupt(), KeyboardInterrupt),
            (MemoryError(), MemoryError),
        ],
    )
    @pytest.mark.parametrize("call", ["write_bytes", "replace"])
    def test_nothing_is_left_of_a_zip_that_cannot_be_written(
        self,
        target: Path,
        monkeypatch: pytest.MonkeyPatch,
        call: str,
        raised: BaseException,
        expected: type[BaseException],
    ) -> None:
        write_bytes = Path.write_bytes

        def fail(self: Path, *arguments: object) -> None:
            write_bytes(self, b"a half")
            raise raised

        with monkeypatch.context() as patch:
            patch.setattr(Path, call, fail)
            with pytest.raises(expected):
                write_zip(target, {"x.py": b"x"})
        assert [*target.parent.iterdir()] == [target]
        assert target.read_bytes() == b"the zip of before"

    def test_a_target_that_is_a_folder_or_lies_in_a_file(self, target: Path) -> None:
        with pytest.raises(Unpackable, match="cannot be written"):
            write_zip(target.parent, {"x.py": b"x"})
        with pytest.raises(Unpackable, match="cannot be written"):
            write_zip(target / "x.zip", {"x.py": b"x"})
        assert [*target.parent.parent.glob("**/*.part")] == []


@linux
def test_the_command_says_it_in_one_line(package: Package, folder: Path, tmp_path: Path) -> None:
    with open(os.fsencode(folder / "shop") + b"/caf\xe9.txt", "w"):  # noqa: PTH123
        pass

    said = package()

    assert said.code == 1
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1
    assert {one.name for one in tmp_path.iterdir()} == {"orders"}
