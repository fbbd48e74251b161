"""The process that `fluxio dev` starts, and again when a file has changed: services and worker in one."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import socket
import sys
import threading
import time
import traceback
from contextlib import nullcontext
from pathlib import Path
from typing import Any, NoReturn

from fluxio import alarm
from fluxio.deployment import Deployment
from fluxio.errors import DeploymentError
from fluxio.local import recovery
from fluxio.local.aws import TABLE, LocalAws
from fluxio.local.clock import LocalClock
from fluxio.local.debugger import Debuggers
from fluxio.local.endpoint import Endpoint, Server, environment, environment_of_steps
from fluxio.local.narrator import Narrator
from fluxio.local.options import Options
from fluxio.local.state import State, StateError
from fluxio.local.workers import Workers
from fluxio.manifest import Manifest
from fluxio.plan import Problem
from fluxio.testing.platform import logging_to
from fluxio_client import FluxioClient
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.store import Store

#: Exit codes, for `supervisor`: ended by Ctrl-C, by a change of a file, or because it cannot be at all.
INTERRUPTED, RESTART, UNUSABLE = 130, 64, 65

#: Seconds that steps under way get before a restart; then they are put back, and run again.
DRAIN = 10.0


class Process:
    """The services, the worker, and what belongs to them.

    Args:
        options: as they were given.
        listening: the socket of the endpoint.
        first: whether it is the first process of this call of the command.
    """

    def __init__(self, options: Options, listening: socket.socket, first: bool) -> None:
        self._options = options
        self._first = first
        port = listening.getsockname()[1]
        state = State(options.state)
        self.environment = environment(port, state.access_key)
        os.environ.update(environment_of_steps(port, state.access_key, bool(options.tables)))
        for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
            os.environ.setdefault(name, self.environment["AWS_DEFAULT_REGION"])
        if not _has_credentials():
            for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
                os.environ[name] = self.environment[name]
        os.environ["LAMBDA_TASK_ROOT"] = str(options.folder)
        sys.path.insert(0, str(options.folder))
        self._clock = LocalClock()
        vars(alarm)["monotonic"] = (
            self._clock.monotonic
        )  # timeouts of steps stand still with the clock
        self._aws = LocalAws(state, self._clock, options.timeout, options.tables)
        store = Store(self._aws.dynamodb, TABLE)
        self._narrator = Narrator(
            store.read, (lambda _: None) if options.json else sys.stdout.write
        )
        self._debuggers = Debuggers(self._clock, self._narrator.terminal)
        self._server = Server(listening, Endpoint(self._aws, state.access_key, port))
        self._workers: Workers | None = None
        self._leaving = threading.Lock()

    def run(self) -> NoReturn:
        """Work until the process ends."""
        signal.signal(signal.SIGINT, lambda *_: self._leave(INTERRUPTED, 0.0))
        signal.signal(signal.SIGTERM, lambda *_: self._leave(RESTART, DRAIN))
        self._debuggers.install()
        open_runs, put_back = recovery.put_back(self._aws)
        self._narrator.begin(open_runs)
        self._aws.watchers.append(self._narrator.see)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        with nullcontext() if self._options.json else logging_to(self._narrator.log):
            workflows = self._load()
            self._greet(workflows, open_runs, put_back)
            if self._workers is None:
                while True:  # until the code is mended, which restarts the process
                    time.sleep(3600)
            if self._first and self._options.start is not None:
                self._start()
            self._workers.run()
            while True:
                time.sleep(3600)  # it is being left, by another thread

    def _load(self) -> dict[str, int]:
        """Import every workflow, and make the workers; how many steps each has. None is made of broken code."""
        manifest = Manifest([self._options.folder, *sys.path])
        deployment = Deployment(
            manifest, Store(self._aws.dynamodb, TABLE), self._options.inline_branches
        )
        found: dict[str, int] = {}
        problems: list[str] = []
        try:
            names = list(manifest.entries())
            if not names:
                manifest.load("")
            for name in names:
                found[name] = len(manifest.load(name).steps)
                plan = deployment.plan(name, None, 1000 * self._options.timeout)
                if isinstance(plan, Problem):
                    problems.append(plan.failure.message)
        except DeploymentError as error:
            if error.__cause__ is not None:
                cause = error.__cause__
                self._narrator.say(_traceback(cause))
            problems.append(str(error))
        if problems:
            for problem in problems:
                self._narrator.say(f"error: {problem}")
            self._narrator.say("no run goes on until that is mended; the files are looked at.")
            return found
        options = self._options
        self._workers = Workers(
            self._aws,
            manifest,
            options.workers,
            options.timeout,
            options.inline_branches,
            self._narrator.say,
        )
        return found

    def _greet(self, workflows: dict[str, int], open_runs: list[str], put_back: list[str]) -> None:
        exports = _write_exports(self._options.state, self.environment)
        if self._options.json:
            ready = {
                "ready": self._workers is not None,
                "environment": self.environment,
                "workflows": workflows,
                "open_runs": open_runs,
                "put_back": put_back,
            }
            sys.stdout.write(f"{json.dumps(ready)}\n")
            sys.stdout.flush()
            return
        say = self._narrator.say
        if self._first:
            say(f"state     {_shortest(self._options.state)}")
            say(f"endpoint  {self.environment['AWS_ENDPOINT_URL']}")
            say("")
            command = _command()
            say("In another terminal, with the variables that this file exports:")
            say("")
            say(f"  . {shlex.quote(_shortest(exports))}")
            for name in list(workflows)[:1]:
                given = json.dumps(self._options.input) if self._options.input else "{…}"
                say(f"  {command} start {name} --input {shlex.quote(given)} --wait")
            say(f"  {command} list")
            say("")
        if open_runs:
            say(
                f"{len(open_runs)} open run{'' if len(open_runs) == 1 else 's'} from before: going on"
            )
        for step in put_back:
            say(f"  {step} was running when the process ended; it runs again")
        if self._workers is not None:
            told = ", ".join(f"{name} ({steps} steps)" for name, steps in workflows.items())
            say(f"ready: {told}. Ctrl-C ends it, and keeps the state.")

    def _start(self) -> None:
        aws, options = self._aws, self._options
        client = FluxioClient(TABLE, aws.queue.url, dynamodb=aws.dynamodb, sqs=aws.sqs)
        assert options.start is not None
        try:
            run = client.start(options.start, options.input)
        except FluxioError as error:
            self._narrator.say(f"error: no run was started: {error}")
        else:
            self._narrator.say(f"started {options.start} as {run.run_id}")

    def _leave(self, code: int, patience: float) -> None:
        """End the process, from another thread: a signal's handler may have interrupted anything."""
        threading.Thread(target=self._end, args=(code, patience), daemon=True).start()

    def _end(self, code: int, patience: float) -> None:
        if code == RESTART:
            with self._leaving:
                while self._debuggers.waiting:
                    time.sleep(0.1)
                if self._workers is not None and not self._workers.stop(patience):
                    self._narrator.say(f"a step still runs after {patience:g} s; it will run again")
        self._narrator.finish()
        self._aws.close()
        sys.stdout.flush()
        os._exit(code)


def _shortest(path: Path) -> str:
    """A path as one would type it here."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _command() -> str:
    """The command `fluxio` as one would type it here."""
    found = shutil.which("fluxio")
    beside = Path(sys.executable).with_name("fluxio")
    return "fluxio" if found or not beside.exists() else shlex.quote(_shortest(beside))


def _traceback(error: BaseException) -> str:
    """The traceback of an import, without Python's own frames."""
    told = traceback.TracebackException.from_exception(error)
    engine = str(Path(__file__).parents[1])
    own = [
        frame
        for frame in told.stack
        if "importlib" not in frame.filename and not frame.filename.startswith(engine)
    ]
    told.stack = traceback.StackSummary.from_list(own)
    return "".join(told.format()).rstrip()


def _has_credentials() -> bool:
    """Whether steps may have credentials of AWS; without any, no client of an SDK makes a call at all."""
    named = ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_WEB_IDENTITY_TOKEN_FILE")
    containers = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
    files = {"AWS_SHARED_CREDENTIALS_FILE": "credentials", "AWS_CONFIG_FILE": "config"}
    return any(name in os.environ for name in (*named, *containers)) or any(
        Path(os.environ.get(name, f"~/.aws/{file}")).expanduser().exists()
        for name, file in files.items()
    )


def _write_exports(state: Path, variables: dict[str, str]) -> Path:
    """A file for a shell to read, beside the state and as private."""
    path = state.with_suffix(".env")
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in variables.items()]
    with os.fdopen(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600), "w") as file:
        file.writelines(["unset AWS_PROFILE AWS_SESSION_TOKEN\n", *lines])
    return path


def _end_with(parent: int) -> None:
    """End when the supervisor has ended, however that came: its end of the pipe is closed then."""
    os.read(parent, 1)
    os._exit(1)


def main() -> None:
    """The process: its options, the sockets' descriptors and whether it is the first are its arguments."""
    given: dict[str, Any] = json.loads(sys.argv[1])
    threading.Thread(target=_end_with, args=(given["parent"],), daemon=True).start()
    options = Options.from_json(given["options"])
    try:
        process = Process(options, socket.socket(fileno=given["socket"]), given["first"])
    except StateError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.stderr.flush()
        os._exit(UNUSABLE)
    process.run()


if __name__ == "__main__":
    main()
