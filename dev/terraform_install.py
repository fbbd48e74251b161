"""The Terraform and the AWS provider that this machine has, and the environment in which they are used."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from dev import STATE
from dev.stage import DevError

MINIMUM = (1, 7)
PROVIDER_FROM, PROVIDER_BELOW = (5, 100), (7,)
PROVIDER = Path("registry.terraform.io/hashicorp/aws")
MIRROR_VARIABLE = "FLUXIO_TERRAFORM_MIRROR"


def find_terraform() -> str:
    """The `terraform` on the PATH, if it is new enough."""
    least = ".".join(map(str, MINIMUM))
    remedy = (
        f"Install Terraform {least} or later (https://developer.hashicorp.com/terraform/install) "
        "and put it on the PATH."
    )
    binary = shutil.which("terraform")
    if binary is None:
        raise DevError(f"terraform is not on the PATH. {remedy}")
    try:
        answer = subprocess.run(
            [binary, "version", "-json"],
            env=without_own_settings(os.environ),
            capture_output=True,
            text=True,
            timeout=60,
        )
        version = str(json.loads(answer.stdout)["terraform_version"])
    except (OSError, ValueError, KeyError, subprocess.TimeoutExpired):
        raise DevError(f"{binary} does not tell its version. {remedy}") from None
    if _numbers(version) < MINIMUM:
        raise DevError(f"{binary} is version {version}. {remedy}")
    return binary


def environment(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without the caller's variables for Terraform, and with the way to the provider."""
    kept = without_own_settings(env)
    kept |= {"CHECKPOINT_DISABLE": "1", "TF_IN_AUTOMATION": "1"}
    user_config = _user_config(env)
    user_text = user_config.read_text() if user_config else ""
    mirror = None if "provider_installation" in user_text else _mirror(env)
    if mirror:
        config = STATE / "terraform.rc"
        config.parent.mkdir(exist_ok=True)
        config.write_text(
            f"{user_text}\n"
            "provider_installation {\n"
            "  filesystem_mirror {\n"
            f"    path    = {json.dumps(str(mirror))}\n"
            '    include = ["hashicorp/aws"]\n'
            "  }\n"
            "  direct {\n"
            '    exclude = ["hashicorp/aws"]\n'
            "  }\n"
            "}\n"
        )
        return kept | {"TF_CLI_CONFIG_FILE": str(config)}
    if user_config:
        kept["TF_CLI_CONFIG_FILE"] = str(user_config)
    if "plugin_cache_dir" not in user_text and "TF_PLUGIN_CACHE_DIR" not in kept:
        # One download for all work folders. They have no lock file, so the cache may fill it.
        cache = STATE / "terraform-plugins"
        cache.mkdir(parents=True, exist_ok=True)
        kept["TF_PLUGIN_CACHE_DIR"] = str(cache)
        kept["TF_PLUGIN_CACHE_MAY_BREAK_DEPENDENCY_LOCK_FILE"] = "1"
    return kept


def without_own_settings(env: Mapping[str, str]) -> dict[str, str]:
    """Drop what would change another root's variables, workspace or arguments under our hands."""
    keep = ("TF_PLUGIN_CACHE_", "TF_REGISTRY_", "TF_TOKEN_")
    return {k: v for k, v in env.items() if not k.startswith("TF_") or k.startswith(keep)}


def _user_config(env: Mapping[str, str]) -> Path | None:
    """The user's own CLI configuration. A variable that names a missing file counts for nothing."""
    named = env.get("TF_CLI_CONFIG_FILE")
    for path in (Path(named) if named else None, Path.home() / ".terraformrc"):
        if path and path.is_file():
            return path
    return None


def _mirror(env: Mapping[str, str]) -> Path | None:
    """A folder that holds a fitting AWS provider for this machine, as a filesystem mirror."""
    home = Path.home()
    data = Path(env.get("XDG_DATA_HOME") or home / ".local/share")
    places = [
        home / ".terraform.d/plugins",
        home / "Library/Application Support/io.terraform/plugins",
        data / "terraform/plugins",
        Path("/usr/local/share/terraform/plugins"),
        Path("/usr/share/terraform/plugins"),
        *(found.parents[2] for found in sorted(Path("/opt").glob(f"*/{PROVIDER}"))),
    ]
    if cache := env.get("TF_PLUGIN_CACHE_DIR"):
        places.append(Path(cache))
    if named := env.get(MIRROR_VARIABLE):
        places = [Path(named)]
    for place in places:
        if any(_fits(version) for version in _versions(place / PROVIDER)):
            return place
    if named:
        raise DevError(
            f"{MIRROR_VARIABLE}={named}: there is no {PROVIDER} for {_platform()} of a version "
            f"from {'.'.join(map(str, PROVIDER_FROM))} to below {PROVIDER_BELOW[0]} in it. "
            "Put one there or unset the variable."
        )
    return None


def _versions(folder: Path) -> Iterator[str]:
    """Versions in both layouts that a mirror may have: unpacked folders and zip files."""
    for path in folder.glob(f"*/{_platform()}"):
        yield path.parent.name
    for path in folder.glob(f"terraform-provider-aws_*_{_platform()}.zip"):
        yield path.name.split("_")[1]


def _fits(version: str) -> bool:
    return PROVIDER_FROM <= _numbers(version) < PROVIDER_BELOW


def _platform() -> str:
    machine = platform.machine().lower()
    names = {"x86_64": "amd64", "aarch64": "arm64"}
    return f"{platform.system().lower()}_{names.get(machine, machine)}"


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version.partition("-")[0]))
