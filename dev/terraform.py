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
from dev.terraform_install import (
    MIRROR_VARIABLE,
    PROVIDER,
    environment,
    find_terraform,
    without_own_settings,
)

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
        self.env = environment(env if env is not None else os.environ)
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


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def check() -> None:
    """Format, validity of every root, the tests of the module, and what checkov says meanwhile."""
    binary = find_terraform()
    formatted = subprocess.run(
        [binary, "fmt", "-check", "-diff", "-recursive", *FORMATTED],
        cwd=ROOT,
        env=without_own_settings(os.environ),
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
