"""The check sees what Lambda has, no more and no less: the zip, the layer, the runtime, Python itself."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from importlib.metadata import packages_distributions
from importlib.util import find_spec
from pathlib import Path

import pytest

from fluxio_client.cli import workflow_check
from fluxio_client.cli.archive import File
from fluxio_client.cli.lambda_has import LAYER, RUNTIME, RUNTIME_ITSELF, hidden_by
from fluxio_client.cli.workflow_check import Unusable
from tests.unit.conftest import WORKFLOW, Check, Package

Write = Callable[[dict[str, str]], None]

METADATA = "Metadata-Version: 2.1\nName: pricing\nVersion: 2.1.0\n"


@pytest.fixture
def write(folder: Path) -> Write:
    """Writes files of the folder; `flows` is put above the workflow."""

    def write(files: dict[str, str]) -> None:
        for name, text in files.items():
            path = folder / ("shop/workflows.py" if name == "flows" else name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"{text}\n{WORKFLOW}" if name == "flows" else text)

    return write


class TestNothingThatThisMachineAloneHas:
    @pytest.mark.parametrize("name", ["pytest", "moto", "rich", "typer", "setuptools", "pip"])
    def test_an_installed_package_is_missed(self, write: Write, check: Check, name: str) -> None:
        write({"flows": f"import {name}"})

        with pytest.raises(Unusable, match=f"imports '{name}' .*: there is no module '{name}'"):
            check()

    def test_so_is_the_half_of_a_namespace_package_that_is_installed(
        self, write: Write, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        half = tmp_path / "site" / "acme" / "billing"
        half.mkdir(parents=True)
        (half / "__init__.py").write_text("RATE = 1\n")
        monkeypatch.setenv("PYTHONPATH", str(tmp_path / "site"))
        monkeypatch.syspath_prepend(tmp_path / "site")
        write({"acme/orders/__init__.py": "", "flows": "from acme.billing import RATE"})

        with pytest.raises(Unusable, match=r"acme\.billing"):
            check()
        assert check("acme.billing").workflows[0]["checked"]

    def test_so_is_what_lies_where_the_command_is_called(
        self, write: Write, check: Check, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "nearby.py").touch()
        monkeypatch.chdir(tmp_path)
        write({"flows": "import nearby"})

        with pytest.raises(Unusable, match="nearby"):
            check()

    def test_so_are_distributions_and_entry_points(self, write: Write, check: Check) -> None:
        flows = """
from importlib.metadata import distributions, entry_points
names = {one.metadata["Name"] for one in distributions()}
assert "pydantic" in names and "boto3" in names and "pytest" not in names, names
assert {one.value for one in entry_points(group="pytest11")} <= {"fluxio.testing.plugin"}
"""
        write({"flows": flows})

        assert check().workflows[0]["checked"]


class TestWhatWorksOnLambdaIsNotRefused:
    @pytest.mark.parametrize(
        "flows",
        [
            pytest.param(
                "from importlib.metadata import version\nassert version('pricing') == '2.1.0'",
                id="its own version",
            ),
            pytest.param(
                "from importlib.metadata import version\nassert version('pydantic')",
                id="the layer's version",
            ),
            pytest.param(
                "from importlib.metadata import entry_points\n"
                "(rate,) = entry_points(group='pricing.rates')\nassert rate.load() == 7",
                id="entry points",
            ),
            pytest.param(
                "from importlib.resources import files\n"
                "assert files('pricing').joinpath('rates.csv').read_text() == 'a;7'",
                id="resources",
            ),
            pytest.param(
                "import pkgutil, pricing\n"
                "assert [one.name for one in pkgutil.iter_modules(pricing.__path__)] == ['lazy']\n"
                "assert pkgutil.get_data('pricing', 'rates.csv')",
                id="pkgutil",
            ),
            pytest.param("from pricing import lazy\nlazy.RATE", id="a module's __getattr__"),
            pytest.param(
                "import importlib\nrate = importlib.import_module('pricing.lazy').RATE",
                id="imported by name",
            ),
            pytest.param(
                "from importlib.util import find_spec\nassert find_spec('pytest') is None",
                id="a module that is only looked for",
            ),
            pytest.param(
                "try:\n    import pytest\nexcept ImportError:\n    pytest = None",
                id="a module that may be missing",
            ),
            pytest.param("if __name__ == '__main__':\n    import pytest", id="a main guard"),
            pytest.param(
                "import argparse\nargparse.ArgumentParser().parse_args()", id="no arguments"
            ),
            pytest.param(
                "import os\nassert os.environ['AWS_REGION'] and os.environ['FLUXIO_TABLE_NAME']\n"
                "assert os.environ['AWS_LAMBDA_FUNCTION_NAME']",
                id="what Lambda sets",
            ),
            pytest.param("import boto3\nboto3.client('s3')", id="a client"),
            pytest.param("print('é', flush=True)\nopen('entry_points.txt').read()", id="cwd"),
            pytest.param(
                "import subprocess, sys\n"
                "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(3)'])",
                id="a process that goes on",
            ),
            pytest.param(
                "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()",
                id="a thread that goes on",
            ),
        ],
    )
    def test_it_is_imported(self, write: Write, check: Check, flows: str) -> None:
        write(
            {
                "flows": flows,
                "pricing/__init__.py": "def __getattr__(name):\n"
                "    if name == 'lazy':\n"
                "        import importlib\n"
                "        return importlib.import_module('pricing.lazy')\n"
                "    raise AttributeError(name)\n",
                "pricing/lazy.py": "RATE = 7",
                "pricing/rates.csv": "a;7",
                "pricing-2.1.0.dist-info/METADATA": METADATA,
                "pricing-2.1.0.dist-info/entry_points.txt": "[pricing.rates]\na = pricing.lazy:RATE\n",
            }
        )

        found = check()
        assert [one["checked"] for one in found.workflows] == [True], found
        assert found.warnings == []

    @pytest.mark.parametrize("name", ["awslambdaric", "snapshot_restore_py"])
    def test_what_the_runtime_alone_has_is_not_called_missing(
        self, write: Write, check: Check, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def find(wanted: str) -> ModuleSpec | None:
            return None if wanted == name else find_spec(wanted)

        monkeypatch.setattr(workflow_check, "find_spec", find)
        write({"flows": f"import {name}"})

        found = check()
        assert [one["checked"] for one in found.workflows] == [False]
        assert f"imports {name}, which is not on this machine (Lambda has it there)" in str(found)

    def test_what_another_layer_brings_can_be_allowed_installed_here_or_not(
        self, write: Write, check: Check
    ) -> None:
        write({"flows": "import inhouse.rates"})
        with pytest.raises(Unusable, match="--allow MODULE"):
            check()
        assert "inhouse" in check("inhouse").warnings[0]

        write(
            {"flows": "import rich.text\nfrom importlib.metadata import version\nversion('rich')"}
        )
        names = ("rich", "pygments", "markdown_it", "mdurl")
        assert check(*names).workflows[0]["checked"]

    def test_an_allowed_module_excuses_nothing_else(self, write: Write, check: Check) -> None:
        write({"flows": "import moto"})
        with pytest.raises(Unusable, match="moto"):
            check("inhouse")

    def test_a_setting_of_ones_own_is_asked_for_by_name(
        self, write: Write, check: Check, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write({"flows": "import os\nBANK = os.environ['BANK_URL']"})
        with pytest.raises(Unusable, match="BANK_URL=… fluxio package"):
            check()
        monkeypatch.setenv("BANK_URL", "x")
        assert check().workflows[0]["checked"]

    def test_the_check_can_be_left_out(
        self, package: Package, write: Write, tmp_path: Path
    ) -> None:
        write({"flows": "1/0"})

        assert package().code == 1
        said = package("--no-check")
        assert said.code == 0
        assert "not imported (--no-check)" in said.err
        assert (tmp_path / "orders.zip").exists()


class TestWhatTheZipHides:
    @pytest.mark.parametrize(
        "path", ["queue.py", "configparser/__init__.py", "graphlib.cpython-310-darwin.so", "ssl.so"]
    )
    def test_a_module_of_pythons_own(self, path: str) -> None:
        assert [*hidden_by([path, "shop/queue.py"])] == ["Python"]

    @pytest.mark.parametrize(
        ("name", "whose"),
        [
            *((name, "the layer") for name in LAYER),
            *((name, "the runtime") for name in sorted({*RUNTIME, *RUNTIME_ITSELF})),
        ],
    )
    def test_a_module_of_the_layers_or_the_runtimes(self, name: str, whose: str) -> None:
        assert [*hidden_by([f"{name}.py"])] == [whose]
        assert [*hidden_by([f"{name}/__init__.py", f"{name}/x.py"])] == [whose]

    @pytest.mark.parametrize(
        "path", ["queue.txt", "queue", "email/letter.txt", "shop/queue.py", "json/x/__init__.py"]
    )
    def test_what_is_no_module_at_the_root_hides_nothing(self, path: str) -> None:
        assert hidden_by([path]) == {}

    def test_it_is_warned_about_by_name(self, package: Package, folder: Path) -> None:
        (folder / "random.py").write_text("from random import *")
        (folder / "bootstrap.py").touch()

        said = package()
        assert "warning: random.py at the zip's root hides Python's own module" in said.err
        assert "warning: the zip brings bootstrap.py" in said.err

    @pytest.mark.parametrize("name", ["queue", "graphlib", "heapq", "botocore", "fluxio"])
    def test_a_zip_under_which_the_engine_cannot_start_is_refused(
        self, folder: Path, check: Check, name: str
    ) -> None:
        (folder / f"{name}.py").write_text("raise ImportError('mine')\n")

        with pytest.raises(
            Unusable, match="the engine itself cannot be imported: ImportError: mine"
        ) as e:
            check()
        assert f"Rename or leave out what hides other modules: {name}.py" in str(e.value)


def test_every_module_of_the_layer_is_known() -> None:
    """layer/requirements.txt says what the layer has; the check knows it by the modules' names."""
    requirements = Path(__file__).parents[2] / "layer" / "requirements.txt"
    pinned = {
        line.partition("==")[0].lower().replace("_", "-")
        for line in requirements.read_text().splitlines()
        if "==" in line
    }
    assert {*LAYER.values()} == {*pinned, "fluxio", "fluxio-client"}
    known = packages_distributions()
    for module, distribution in LAYER.items():
        names = {one.lower().replace("_", "-") for one in known.get(module, [distribution])}
        assert distribution in names, sys.path


def test_the_size_is_warned_about_with_the_layer_in_it() -> None:
    from fluxio_client.cli.package import _warnings

    def said(size: int) -> str:
        return " ".join(_warnings({"model.bin": File(bytes(size))}, 1))

    assert "all layers included" in said(215_000_000)
    assert said(214_000_000) == ""
