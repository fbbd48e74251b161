"""Finding Terraform and its provider, on machines that have them in different places, or not."""

import os
from pathlib import Path

import pytest

from dev import ROOT, terraform, terraform_install
from dev.stage import DevError

PLATFORM = terraform_install._platform()


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is the whole PATH, beside a home without settings."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setattr(terraform_install, "STATE", tmp_path / "state")
    return tmp_path


def install(folder: Path, answer: str) -> None:
    binary = folder / "terraform"
    binary.write_text(f"#!/bin/sh\necho '{answer}'\n")
    binary.chmod(0o755)


def mirror(folder: Path, version: str) -> Path:
    (folder / terraform_install.PROVIDER / version / PLATFORM).mkdir(parents=True)
    return folder


def test_a_missing_terraform_is_said_with_the_remedy(path: Path) -> None:
    """The reader learns what to install and where it must be found."""
    with pytest.raises(DevError, match=r"not on the PATH\. Install Terraform 1\.7 or later"):
        terraform_install.find_terraform()


def test_an_old_terraform_is_refused(path: Path) -> None:
    """The error names the binary and its version, for whoever has two."""
    install(path, '{"terraform_version": "1.6.6"}')
    with pytest.raises(DevError, match=rf"{path}/terraform is version 1\.6\.6\. Install"):
        terraform_install.find_terraform()


@pytest.mark.parametrize("version", ["1.7.0", "1.11.4", "1.12.0-beta1", "2.0.0"])
def test_a_new_enough_terraform_is_taken(path: Path, version: str) -> None:
    """Versions are compared as numbers: 1.11 is newer than 1.7."""
    install(path, f'{{"terraform_version": "{version}"}}')
    assert terraform_install.find_terraform() == str(path / "terraform")


def test_something_else_called_terraform_is_refused(path: Path) -> None:
    """What does not tell a version is not taken for the real one."""
    install(path, "hello")
    with pytest.raises(DevError, match="does not tell its version"):
        terraform_install.find_terraform()


def test_a_named_mirror_is_used_for_the_provider_alone(path: Path) -> None:
    """Everything else still comes from where it usually does."""
    folder = mirror(path / "mirror", "5.100.0")
    env = terraform_install.environment({terraform_install.MIRROR_VARIABLE: str(folder)})
    text = Path(env["TF_CLI_CONFIG_FILE"]).read_text()
    assert str(folder) in text
    assert 'exclude = ["hashicorp/aws"]' in text


@pytest.mark.parametrize("version", ["5.99.1", "7.0.0"])
def test_a_named_mirror_without_a_fitting_version_is_an_error(path: Path, version: str) -> None:
    """Going to the registry instead would hide the mistake."""
    folder = mirror(path / "mirror", version)
    with pytest.raises(DevError, match=r"FLUXIO_TERRAFORM_MIRROR=.*from 5\.100 to below 7"):
        terraform_install.environment({terraform_install.MIRROR_VARIABLE: str(folder)})


def test_the_settings_of_a_user_who_says_where_providers_come_from_stand(path: Path) -> None:
    """A company's mirror is not replaced by a folder that happens to be there."""
    mine = path / "my.rc"
    mine.write_text("provider_installation {\n  direct {}\n}\n")
    env = terraform_install.environment({"TF_CLI_CONFIG_FILE": str(mine)})
    assert env["TF_CLI_CONFIG_FILE"] == str(mine)


def test_a_variable_that_names_a_missing_settings_file_counts_for_nothing(path: Path) -> None:
    """Terraform would warn about it with each command."""
    env = terraform_install.environment({"TF_CLI_CONFIG_FILE": str(path / "gone.rc")})
    assert env.get("TF_CLI_CONFIG_FILE") != str(path / "gone.rc")


def test_variables_meant_for_another_root_do_not_reach_this_one(path: Path) -> None:
    """A TF_VAR_name in somebody's shell must not rename the deployment."""
    env = terraform_install.environment({"TF_VAR_name": "x", "TF_WORKSPACE": "y", "LANG": "C"})
    assert "TF_VAR_name" not in env
    assert "TF_WORKSPACE" not in env
    assert env["LANG"] == "C"


def test_a_work_folder_at_another_depth_is_refused(path: Path) -> None:
    """From there `../../../modules/fluxio` would lead elsewhere."""
    install(path, '{"terraform_version": "1.11.4"}')
    root = ROOT / "examples" / "order_fulfillment" / "terraform"
    with pytest.raises(DevError, match="must lie as deep"):
        terraform.Terraform(root, ROOT / ".fluxio" / "elsewhere", os.environ)
