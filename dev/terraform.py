"""Real Terraform, kept inside this folder: a copy of the root, its state and its plugins.

    python -m dev.terraform check     format, validity, the module's own tests, and checkov
    python -m dev.terraform find      only whether there is a Terraform that will do

A root is copied to a work folder under `.fluxio`, so that neither a lock file nor state appears
beside the committed files. The copy lies as deep as the root, since modules are named by relative
paths (`../../../modules/fluxio`), which then lead to the same place.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from threading import Thread
from typing import IO, Any

from dev import ROOT, STATE
from dev.checkov import scanning
from dev.stage import HEARTBEAT, DevError, command_line, end_group, run, say

MINIMUM = (1, 7)
PROVIDER_FROM, PROVIDER_BELOW = (5, 100), (7,)
PROVIDER = Path("registry.terraform.io/hashicorp/aws")
MIRROR_VARIABLE = "FLUXIO_TERRAFORM_MIRROR"

ROOTS = ("modules/fluxio", "examples/order_fulfillment/terraform", "tests/emulator/examples")
"""What `check` validates; the last one has all other examples in it."""

FORMATTED = ("modules", "examples", "tests")

AT_ONCE = "-parallelism=40"
"""Resources under way at a time: nearly all of an apply is waiting, for queues above all."""

OWN = (".terraform", "fluxio.auto.", "fluxio-init-stamp", "terraform.tfstate")
"""How names begin that this module and Terraform put beside the copied root."""


class Terraform:
    """One root, applied from a work folder with a state of its own."""

    def __init__(self, root: Path, work: Path, env: Mapping[str, str] | None = None) -> None:
        """`env` is the environment to run in; an emulator's keeps Terraform off real accounts."""
        self.binary = find_terraform()
        self.root = root.resolve()
        self.work = work.resolve()
        if len(self.root.relative_to(ROOT).parts) != len(self.work.relative_to(ROOT).parts):
            raise DevError(
                f"{work} must lie as deep in {ROOT} as {root}, whose modules have relative paths."
            )
        self.env = _environment(env if env is not None else os.environ)
        self._name = self.root.relative_to(ROOT)
        self._initialised = self.work / "fluxio-init-stamp"
        self.changes: list[str] = []
        """What the last plan or apply was to change, a line per resource."""

    def init(self) -> None:
        """Copy the root and install its provider and modules, unless both are as they were."""
        self._copy()
        wanted = self._digest_for_init()
        if self._initialised.is_file() and self._initialised.read_text() == wanted:
            return
        (self.work / ".terraform.lock.hcl").unlink(missing_ok=True)
        run(
            f"terraform init of {self._name}",
            [self.binary, "init", "-input=false", "-no-color"],
            cwd=self.work,
            env=self.env,
            log=STATE / "log" / "terraform-init.log",
            remedy=(
                "The AWS provider comes from registry.terraform.io, or, without a network, from a "
                f"filesystem mirror that {MIRROR_VARIABLE} names (it holds {PROVIDER}/…)."
            ),
        )
        self._initialised.write_text(wanted)

    def apply(self, variables: Mapping[str, object]) -> dict[str, Any]:
        """Apply, with a line per resource, and return the outputs."""
        self.init()
        self._set(variables)
        self.changes = _changes(self._stream("apply", ["apply", "-auto-approve", AT_ONCE]))
        return self.output()

    def plan(self, variables: Mapping[str, object]) -> list[str]:
        """What an apply would change now, a line per resource; empty when all is as described."""
        self.init()
        self._set(variables)
        self.changes = _changes(self._stream("plan", ["plan", "-lock=false", AT_ONCE]))
        return self.changes

    def destroy(self) -> None:
        """Take away what an apply made; nothing to do if there was none."""
        if (self.work / "terraform.tfstate").is_file():
            # Nobody else changes what was applied here, so its state need not be read first.
            options = ["-destroy", "-auto-approve", "-refresh=false", AT_ONCE]
            self._stream("destroy", ["apply", *options])

    def output(self) -> dict[str, Any]:
        """The outputs of the last apply, by name."""
        answer = self._ask(["output", "-json"])
        return {name: output["value"] for name, output in json.loads(answer).items()}

    def forget(self) -> None:
        """Drop the state: what it speaks of went away with its emulator."""
        for state in self.work.glob("terraform.tfstate*"):
            state.unlink()

    def validate(self) -> None:
        self.init()
        self._ask(["validate", "-no-color"])

    def test(self) -> None:
        """Run the root's own `tests/*.tftest.hcl`."""
        self.init()
        run(
            f"terraform test of {self._name}",
            [self.binary, "test", "-no-color"],
            cwd=self.work,
            env=self.env,
            log=STATE / "log" / "terraform-test.log",
        )

    def test_events(self, tests: str) -> list[dict[str, Any]]:
        """Run one file of the root's own tests; what Terraform says of it, with the whole of each plan."""
        self.init()
        done = subprocess.run(
            [self.binary, "test", f"-filter={tests}", "-verbose", "-json"],
            cwd=self.work,
            env=self.env,
            capture_output=True,
            text=True,
        )
        events = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        if done.returncode:
            errors = "\n".join([*_errors(events), done.stderr]).rstrip()
            raise DevError(f"terraform test of {self._name}, {tests}, failed.\n{errors}")
        return events

    def _copy(self) -> None:
        self.work.mkdir(parents=True, exist_ok=True)
        for path in self.work.iterdir():
            if not path.name.startswith(OWN):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        shutil.copytree(
            self.root,
            self.work,
            dirs_exist_ok=True,
            ignore=shutil.ignore_patterns(".*", "*.tfstate*", "*.tfplan"),
        )

    def _digest_for_init(self) -> str:
        """Of all that `init` looks at: blocks in the root's files and tests, and in what they may call."""
        digest = hashlib.sha256(str(self.work).encode())
        digest.update(Path(self.env.get("TF_CLI_CONFIG_FILE", os.devnull)).read_bytes())
        called = (path for name in ("modules", "examples") for path in (ROOT / name).rglob("*.tf"))
        own = [*self.work.glob("*.tf"), *self.work.glob("tests/*.tftest.hcl")]
        for path in sorted([*own, *called]):
            wanted = re.findall(
                r"^\s*(?:(?:provider|module|run|source|version|required_version)\b.*)$",
                path.read_text(),
                re.MULTILINE,
            )
            digest.update("\n".join([path.name, *wanted]).encode())
        return digest.hexdigest()

    def _set(self, variables: Mapping[str, object]) -> None:
        """A file beside the root, so that a hand-typed terraform there sees the same values."""
        text = json.dumps({k: _plain(v) for k, v in variables.items()}, indent=2)
        (self.work / "fluxio.auto.tfvars.json").write_text(text)

    def _ask(self, arguments: Sequence[str]) -> str:
        answer = subprocess.run(
            [self.binary, *arguments], cwd=self.work, env=self.env, capture_output=True, text=True
        )
        if answer.returncode:
            raise DevError(
                f"terraform {arguments[0]} of {self._name} failed:\n{answer.stdout}{answer.stderr}"
            )
        return answer.stdout

    def _stream(self, verb: str, arguments: Sequence[str]) -> list[dict[str, Any]]:
        """Run a command that speaks JSON lines, say what it does, and return what it said."""
        started = time.monotonic()
        say(f"terraform {verb} of {self._name} …")
        process = subprocess.Popen(
            [self.binary, *arguments, "-input=false", "-json"],
            cwd=self.work,
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            events = list(_narrated(process))
            process.wait()
        except BaseException:
            # One interrupt lets it write its state; a second would make it drop everything.
            end_group(process, signal.SIGINT, patience=30)
            raise
        if process.returncode:
            raise DevError(
                f"terraform {verb} of {self._name} failed.\n" + "\n".join(_errors(events))
            )
        say(f"  done in {time.monotonic() - started:.1f} s")
        return events


def _narrated(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """Terraform's events, told in a line per finished resource and one after each silence."""
    assert process.stdout
    lines: Queue[str] = Queue()
    Thread(target=_put_lines, args=(process.stdout, lines), daemon=True).start()
    done = {"create": "created", "delete": "deleted", "update": "changed"}
    under_way: dict[str, None] = {}
    started = spoken = time.monotonic()
    while True:
        try:
            line = lines.get(timeout=max(0.0, spoken + HEARTBEAT - time.monotonic()))
        except Empty:
            spoken = time.monotonic()
            waiting = f", waiting for {', '.join(under_way)}" if under_way else ""
            say(f"  … {spoken - started:.0f} s{waiting}")
            continue
        if not line:
            return
        try:
            event: dict[str, Any] = json.loads(line)
        except ValueError:  # a crash speaks plain text
            event = {"type": "text", "text": line.rstrip()}
        yield event
        hook = event.get("hook", {})
        resource = hook.get("resource", {}).get("addr", "")
        if event.get("type") == "apply_start":
            under_way[resource] = None
        elif event.get("type") in ("apply_complete", "apply_errored"):
            under_way.pop(resource, None)
            if event["type"] == "apply_complete" and hook["action"] in done:
                say(f"  {done[hook['action']]} {resource} ({hook['elapsed_seconds']:.0f} s)")
                spoken = time.monotonic()


def _changes(events: Sequence[dict[str, Any]]) -> list[str]:
    return [
        "{}: {}".format(event["change"]["resource"]["addr"], event["change"]["action"])
        for event in events
        if event["type"] == "planned_change"
    ]


def _put_lines(stream: IO[str], lines: Queue[str]) -> None:
    """Hand over each line, and an empty one at the end: a queue can be waited for with a limit."""
    for line in stream:
        lines.put(line)
    lines.put("")


def _errors(events: Sequence[dict[str, Any]]) -> Iterator[str]:
    for event in events:
        if event.get("type") == "text":
            yield f"  {event['text']}"
        diagnostic = event.get("diagnostic", {})
        if diagnostic.get("severity") == "error":
            place = diagnostic.get("range")
            at = f" ({place['filename']}:{place['start']['line']})" if place else ""
            detail = diagnostic.get("detail", "").strip().replace("\n", "\n    ")
            yield f"  {diagnostic['summary']}{at}" + (f"\n    {detail}" if detail else "")


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
            env=_without_own_settings(os.environ),
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


def _environment(env: Mapping[str, str]) -> dict[str, str]:
    """`env` without the caller's variables for Terraform, and with the way to the provider."""
    kept = _without_own_settings(env)
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


def _without_own_settings(env: Mapping[str, str]) -> dict[str, str]:
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


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def check() -> None:
    """Format, validity of every root, the tests of the module, and what checkov says meanwhile."""
    binary = find_terraform()
    formatted = subprocess.run(
        [binary, "fmt", "-check", "-diff", "-recursive", *FORMATTED],
        cwd=ROOT,
        env=_without_own_settings(os.environ),
        capture_output=True,
        text=True,
    )
    if formatted.returncode:
        raise DevError(
            "terraform fmt would change this; `terraform fmt -recursive` does it:\n"
            f"{formatted.stdout}{formatted.stderr}"
        )
    with scanning():
        for name in ROOTS:
            root = ROOT / name
            work = STATE / f"check-{root.relative_to(ROOT).parts[1]}"
            terraform = Terraform(root, work.joinpath(*root.relative_to(ROOT).parts[2:]))
            if (root / "tests").is_dir():
                terraform.test()  # which validates it first
            else:
                terraform.validate()
            say(f"{name} is valid")


def main(arguments: list[str]) -> None:
    if arguments == ["find"]:
        find_terraform()
    elif arguments == ["check"]:
        check()
    else:
        raise DevError("say: python -m dev.terraform check, or find")


if __name__ == "__main__":
    command_line(main)
