"""The release as it is built: every artifact used from an empty folder, as its user would."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from dev import ROOT, layer, release
from dev.bootstrap import _pip_environment, interpreters
from dev.terraform_install import environment, find_terraform
from tests.emulator.runtime_api import BOTO3, runtime_folder
from tests.emulator.world import Deployed

VERSION = (ROOT / "VERSION").read_text().strip()
MODULE = f"terraform-aws-fluxio-{VERSION}.zip"
WHEELS = [f"fluxio-{VERSION}-py3-none-any.whl", f"fluxio_client-{VERSION}-py3-none-any.whl"]
SDISTS = [f"fluxio-{VERSION}.tar.gz", f"fluxio_client-{VERSION}.tar.gz"]
LAYERS = [f"fluxio-layer-{VERSION}-{one}.zip" for one in ("arm64", "x86_64")]
SBOMS = [f"fluxio-layer-{VERSION}-{one}.cdx.json" for one in ("arm64", "x86_64")]

BUILDS = (
    *("build", "hatchling", "packaging", "pathspec", "pluggy", "pyproject_hooks", "tomlkit"),
    *("cyclonedx-python-lib", "boolean.py", "defusedxml", "license-expression", "packageurl-python"),
    *("trove-classifiers", "py-serializable", "sortedcontainers", "typing_extensions"),
)  # fmt: skip
"""Distributions that build a release, all of them pure Python."""

BUILD = """
import sys
from pathlib import Path
from dev import release
release.build(Path(sys.argv[1]), Path(sys.argv[2]))
"""

ROOT_MODULE = """
provider "aws" {
  region = "us-east-1"
}

variable "architecture" {
  default = "x86_64"
}

variable "layer_zip" {
  default = null
}

module "fluxio" {
  source       = "SOURCE"
  name         = "orders"
  package      = "orders.zip"
  OPTIONAL
}
"""

LAYER_ALONE = """
provider "aws" {
  region = "us-east-1"
}

variable "architecture" {
  default = "x86_64"
}

module "engine" {
  source       = "SOURCE"
  name         = "engine"
  architecture = var.architecture
}
"""

WORKFLOW = """
from fluxio import step, workflow

@workflow
class OrderFulfillment:
    @step
    def ship(self, order_id: str) -> None: ...
"""

MOCKED = """
mock_provider "aws" {
  mock_data "aws_iam_policy_document" {
    defaults = { json = "{}" }
  }
}
"""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The sources as they are now, in a folder that nobody edits while they are built."""
    return copy_sources(tmp_path_factory.mktemp("sources"))


@pytest.fixture(scope="module")
def dist(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release, built here."""
    folder = tmp_path_factory.mktemp("release") / "dist"
    release.build(sources, folder)
    return folder


@pytest.fixture(scope="module")
def published(dist: Path) -> Iterator[str]:
    """The address at which the release can be downloaded."""
    server = ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(dist))
    )
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def copy_sources(folder: Path) -> Path:
    for name in ("VERSION", "LICENSE", "README.md", "CHANGELOG.md"):
        shutil.copy(ROOT / name, folder)
    for name in ("client", "docs", "layer", "modules"):
        left_out = shutil.ignore_patterns("dist", "__pycache__", ".terraform*")
        shutil.copytree(ROOT / name, folder / name, ignore=left_out)
    return folder


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def terraform(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [find_terraform(), *arguments, "-no-color"],
        cwd=folder,
        env=environment(os.environ),
        capture_output=True,
        text=True,
        timeout=300,
    )


def write_root(folder: Path, source: str, optional: str = "") -> None:
    """A root with one module block, as the quick start shows it, and an empty package."""
    text = ROOT_MODULE.replace("SOURCE", source).replace("OPTIONAL", optional)
    (folder / "main.tf").write_text(text)
    with zipfile.ZipFile(folder / "orders.zip", "w"):
        pass


def test_a_release_is_complete_and_its_checksums_are_right(dist: Path) -> None:
    """`sha256sum --check` knows every file but its own."""
    expected = {MODULE, *WHEELS, *SDISTS, *LAYERS, *SBOMS}
    assert {path.name for path in dist.iterdir()} == {*expected, "SHA256SUMS"}
    lines = (dist / "SHA256SUMS").read_text().splitlines()
    assert dict(reversed(line.split("  ")) for line in lines) == {
        name: digest(dist / name) for name in expected
    }


def test_another_python_builds_the_same_bytes_in_another_folder(
    dist: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anybody can build a release again and compare; neither time, place nor Python gets into it."""
    here = "{}.{}".format(*sys.version_info[:2])
    # 3.10 would need backports that this environment does not have.
    others = [v for v in interpreters() if v not in (here, "3.10")]
    if not others:
        pytest.skip("there is no other Python on this machine")
    copy = tmp_path / "another" / "place"
    copy.mkdir(parents=True)
    for path in copy_sources(copy).rglob("*"):
        os.utime(path, (1_000_000_000, 1_000_000_000))
    opt = tmp_path / "opt"
    with zipfile.ZipFile(
        dist / f"fluxio-layer-{VERSION}-{layer.host_architecture()}.zip"
    ) as zipped:
        zipped.extractall(opt)
    tools = runtime_folder(tmp_path / "tools", [*BOTO3, *BUILDS])
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{tools}:{opt / 'python'}")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    done = subprocess.run(
        [interpreters()[others[-1]], "-c", BUILD, copy, tmp_path / "dist"],
        capture_output=True,
        text=True,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    built = {path.name: digest(path) for path in (tmp_path / "dist").iterdir()}
    assert built == {path.name: digest(path) for path in dist.iterdir()}


def test_the_wheels_are_all_that_a_fresh_environment_needs(dist: Path, tmp_path: Path) -> None:
    """pip finds the rest by itself; engine, client and worker can be imported."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    python = venv / "bin" / "python"
    constraints = ROOT / "dev" / "requirements-test.txt"
    installed = subprocess.run(
        [
            *(
                python,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-compile",
                "--constraint",
                constraints,
            ),
            *(dist / wheel for wheel in WHEELS),
        ],
        env=_pip_environment(),
        capture_output=True,
        text=True,
    )
    assert installed.returncode == 0, installed.stderr
    question = (
        "import fluxio, fluxio.worker, fluxio_client, importlib.metadata as m;"
        "print(m.version('fluxio'), m.version('fluxio-client'), fluxio.__file__)"
    )
    answer = subprocess.run(
        [python, "-I", "-c", question],
        cwd=tmp_path,
        env={"AWS_DEFAULT_REGION": "us-east-1"},
        capture_output=True,
        text=True,
    )
    assert answer.returncode == 0, answer.stderr
    ours, clients, place = answer.stdout.split()
    assert (ours, clients) == (VERSION, VERSION)
    assert place.startswith(str(venv))


@pytest.mark.parametrize(("sdist", "wheel"), [*zip(SDISTS, WHEELS, strict=True)])
def test_an_sdist_builds_the_wheel_that_lies_beside_it(
    dist: Path, tmp_path: Path, sdist: str, wheel: str
) -> None:
    """Whoever installs from source runs what everybody runs."""
    shutil.unpack_archive(dist / sdist, tmp_path / "unpacked", filter="data")
    (project,) = (tmp_path / "unpacked").iterdir()
    done = subprocess.run(
        [
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", tmp_path, project),
        ],
        env=layer._without_a_date(),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert digest(tmp_path / wheel) == digest(dist / wheel)


@pytest.mark.parametrize("sbom", SBOMS)
def test_the_sbom_lists_what_the_layer_holds(dist: Path, sbom: str) -> None:
    """Every distribution in the zip, with its version, licence and hash, and no other."""
    document = json.loads((dist / sbom).read_text())
    zipped = dist / sbom.replace(".cdx.json", ".zip")
    with zipfile.ZipFile(zipped) as archive:
        inside = {
            tuple(name.split("/")[1].removesuffix(".dist-info").replace("_", "-").rsplit("-", 1))
            for name in archive.namelist()
            if name.endswith(".dist-info/METADATA")
        }
    components = document["components"]
    assert {(one["name"], one["version"]) for one in components} == inside
    assert document["bomFormat"] == "CycloneDX"
    whole = document["metadata"]["component"]
    assert whole["hashes"][0]["content"] == digest(zipped)
    compilers = {one["value"] for one in whole["properties"] if one["name"] == release.COMPILER}
    assert {version.rpartition(".")[0] for version in compilers} == set(interpreters())
    assert all(one["licenses"] and one["hashes"][0]["alg"] == "SHA-256" for one in components)
    ours = {one["purl"].partition("file_name=")[2]: one for one in components}
    for wheel in WHEELS:
        assert ours[wheel]["hashes"][0]["content"] == digest(dist / wheel)


def test_one_pinned_source_brings_module_and_layer(
    dist: Path, published: str, tmp_path: Path
) -> None:
    """Name and package are enough, for both architectures; the layer is the release's own."""
    source = f"{published}/{MODULE}?checksum=sha256:{digest(dist / MODULE)}"
    write_root(tmp_path, source, "architecture = var.architecture")
    runs = "".join(
        f'run "with_{one}" {{\n  command = plan\n  variables {{ architecture = "{one}" }}\n}}\n'
        for one in layer.ARCHITECTURES
    )
    (tmp_path / "release.tftest.hcl").write_text(MOCKED + runs)
    initialised = terraform(tmp_path, "init", "-input=false")
    assert initialised.returncode == 0, initialised.stderr
    valid = terraform(tmp_path, "validate")
    assert valid.returncode == 0, valid.stderr

    tested = terraform(tmp_path, "test", "-verbose")

    assert tested.returncode == 0, tested.stdout + tested.stderr
    for name in LAYERS:
        assert f"layer/{name}" in tested.stdout
        inside = tmp_path / ".terraform" / "modules" / "fluxio" / "layer" / name
        assert digest(inside) == digest(dist / name)


def test_the_layer_alone_comes_from_the_same_zip(
    dist: Path, published: str, tmp_path: Path
) -> None:
    """For a function of one's own: by its folder in the zip, with the checksum of the whole."""
    source = f"{published}/{MODULE}//modules/layer?checksum=sha256:{digest(dist / MODULE)}"
    (tmp_path / "main.tf").write_text(LAYER_ALONE.replace("SOURCE", source))
    runs = "".join(
        f'run "for_{one}" {{\n  command = plan\n  variables {{ architecture = "{one}" }}\n}}\n'
        for one in layer.ARCHITECTURES
    )
    (tmp_path / "layer.tftest.hcl").write_text('mock_provider "aws" {}\n' + runs)
    initialised = terraform(tmp_path, "init", "-input=false")
    assert initialised.returncode == 0, initialised.stderr

    tested = terraform(tmp_path, "test", "-verbose")

    assert tested.returncode == 0, tested.stdout + tested.stderr
    for name in LAYERS:
        assert f"layer/{name}" in tested.stdout
    assert f'"fluxio engine {VERSION}"' in tested.stdout


def test_the_module_of_a_release_is_the_one_that_other_tests_apply(
    dist: Path, sources: Path
) -> None:
    """File by file: what is shown of modules/fluxio holds for the zip, its tests left out and docs added."""
    with zipfile.ZipFile(dist / MODULE) as archive:
        names = [name for name in archive.namelist() if not name.startswith("layer/")]
        inside = {name: archive.read(name) for name in names}
    folder = sources / "modules" / "fluxio"
    expected = {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*.tf")
        if path.relative_to(folder).parts[0] != "tests"
    }
    expected |= {
        str(path.relative_to(sources)): path.read_bytes()
        for path in (sources / "docs").rglob("*.md")
    }
    expected["README.md"] = (folder / "README.md").read_bytes()
    expected["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    assert inside == expected


def test_a_module_that_is_not_the_one_pinned_is_not_installed(
    published: str, tmp_path: Path
) -> None:
    """A pin is version and checksum: a zip that was exchanged is refused before anything is planned."""
    write_root(tmp_path, f"{published}/{MODULE}?checksum=sha256:{'0' * 64}")
    done = terraform(tmp_path, "init", "-input=false")
    assert done.returncode == 1
    assert "Checksums did not match" in done.stderr


def test_a_layer_of_another_series_is_refused_and_of_the_same_is_taken(
    dist: Path, tmp_path: Path
) -> None:
    """While a plan is made, by the name of the file; the message names both versions."""
    with zipfile.ZipFile(dist / MODULE) as archive:
        archive.extractall(tmp_path / "fluxio")
    write_root(tmp_path, "./fluxio", "layer_zip = var.layer_zip")
    major, minor, _ = VERSION.split(".", 2)
    fits = [
        f"fluxio-layer-{major}.{minor}.99-x86_64.zip",
        f"fluxio-layer-{major}.{minor}.99rc1-x86_64.zip",
        "repacked-x86_64.zip",
    ]
    # Before 1.0 a minor version is as much as a major one.
    other = f"{major}.{int(minor) + 1}.0" if major == "0" else f"{int(major) + 1}.0.0"
    fits_not = f"fluxio-layer-{other}-x86_64.zip"
    for name in (*fits, fits_not):
        shutil.copy(tmp_path / "orders.zip", tmp_path / name)
    runs = "".join(
        f'run "n{at}" {{\n  command = plan\n  variables {{ layer_zip = "{name}" }}\n}}\n'
        for at, name in enumerate([*fits, fits_not])
    )
    (tmp_path / "series.tftest.hcl").write_text(MOCKED + runs)
    initialised = terraform(tmp_path, "init", "-input=false")
    assert initialised.returncode == 0, initialised.stderr

    tested = terraform(tmp_path, "test")

    for at in range(len(fits)):
        assert f'run "n{at}"... pass' in tested.stdout, tested.stdout + tested.stderr
    assert f'run "n{len(fits)}"... fail' in tested.stdout
    said = " ".join(tested.stderr.replace("│", " ").split())
    assert f"The layer's zip is {fits_not}, but this is version {VERSION} of the module" in said


def document(name: str) -> str:
    return (ROOT / "docs" / name).read_text(encoding="utf-8")


def write_files(text: str, folder: Path) -> None:
    """The blocks of a document that stand under the name of a file, as these files."""
    for name, content in re.findall(r"`([\w/.-]+)`[^\n]*:\n\n```\w+\n(.*?)```", text, re.DOTALL):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)


def commands(text: str) -> list[str]:
    blocks: list[str] = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def shell(lines: Sequence[str], folder: Path, **more: str) -> str:
    """Run the lines as a reader would, with the project's own `fluxio` and `python` first."""
    env = {
        **environment(os.environ),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "NO_COLOR": "1",
        **more,
    }
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder,
        env=env,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_quick_start_leads_to_a_deployment_that_is_valid(dist: Path, tmp_path: Path) -> None:
    """Its files and its commands, from an empty folder, up to what needs an account."""
    text = document("quickstart.md")
    write_files(text, tmp_path)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {
        *("workflows.py", "entry_points.txt", "main.tf")
    }
    shutil.copy(dist / MODULE, tmp_path)
    lines = commands(text)
    runnable = [line for line in lines[: lines.index("terraform apply")] if "pip " not in line]
    assert len(runnable) == 4

    said = shell(runnable, tmp_path)

    assert "OrderFulfillment  2 steps" in said
    assert "The configuration is valid" in said


def test_the_quick_starts_run_succeeds(deployed: Deployed, tmp_path: Path) -> None:
    """The commands after the apply; they may be repeated."""
    lines = [line for line in commands(document("quickstart.md")) if line.startswith("fluxio s")]
    assert len(lines) == 2
    outputs = deployed.outputs
    settings = {
        "FLUXIO_TABLE_NAME": str(outputs["table_name"]),
        "FLUXIO_QUEUE_URL": str(outputs["queue_url"]),
    }
    for _ in range(2):
        assert "SUCCEEDED" in shell(lines, tmp_path, **settings)


def test_dependencies_are_packaged_as_the_page_says(tmp_path: Path) -> None:
    """With a distribution that comes from the index; the handler it shows can be imported."""
    text = document("packaging.md")
    (tmp_path / "src" / "orders").mkdir(parents=True)
    (tmp_path / "src" / "orders" / "__init__.py").touch()
    (tmp_path / "src" / "orders" / "workflows.py").write_text(f"import idna\n{WORKFLOW}")
    (tmp_path / "requirements.txt").write_text("idna==3.20\n")
    (manifest,) = re.findall(r"```ini\n(.*?)```", text, re.DOTALL)
    (tmp_path / "entry_points.txt").write_text(manifest)

    shell(commands(text), tmp_path)

    with zipfile.ZipFile(tmp_path / "orders.zip") as zipped:
        assert {"entry_points.txt", "orders/workflows.py", "idna/__init__.py"} <= {
            *zipped.namelist()
        }
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    (handler,) = [block for block in blocks if "lambda_handler" in block]
    names: dict[str, object] = {}
    exec(handler, names)
    assert callable(names["lambda_handler"])


def test_a_download_is_checked_as_the_page_says(dist: Path) -> None:
    """By the command that needs no account."""
    (check,) = [line for line in commands(document("upgrading.md")) if "sha256sum" in line]
    assert f"{MODULE}: OK" in shell([check], dist)
