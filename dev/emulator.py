"""MiniStack, the AWS emulator, on a free loopback port: start it, find it again, end it.

    python -m dev.emulator start [name] [--auth]
    python -m dev.emulator stop|status [name]

Everything of one emulator lies in `.fluxio/emulators/<name>`: where it is, its log and its temporary
files. The server holds a lock on a file there as long as it lives. So "is it running, and is that
process really ours?" has one answer that a recycled process id cannot spoil: the lock is held.
"""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from dev import ROOT, STATE
from dev.bootstrap import ministack_environment
from dev.stage import DevError, command_line, end_group, interrupts, say, tail

REGION = "us-east-1"
PATCHED = ROOT / "dev" / "ministack_patch.py"
"""Mends what MiniStack gets wrong and then runs it."""

EXPORTED = (
    "AWS_ENDPOINT_URL",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_EC2_METADATA_DISABLED",
)
"""What a shell needs to reach the emulator and no account."""

START_TIMEOUT = 60.0
STOP_TIMEOUT = 10.0


@dataclass(frozen=True)
class Emulator:
    """A running MiniStack."""

    pid: int
    port: int
    auth: bool
    fresh: bool
    """True if this call started it: then there is nothing in it yet."""

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self) -> dict[str, str]:
        """The environment in which the AWS SDKs and Terraform talk to this emulator alone.

        The caller's profiles, keys and endpoints are left out, so that no mistake reaches an account.
        """
        env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return env | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_ENDPOINT_URL": self.endpoint,
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }


def find(name: str) -> Emulator | None:
    """The emulator of this name if it runs, else None."""
    if not _lock_is_held(name):
        return None
    try:
        emulator = Emulator(**json.loads((_folder(name) / "emulator.json").read_text()))
    except (OSError, ValueError, TypeError):
        return None  # it is about to start, or died on the way; its lock tells when it is gone
    return emulator if _is_healthy(emulator.port) else None


def start(name: str, *, auth: bool = False, settings: dict[str, str] | None = None) -> Emulator:
    """Return the running emulator of this name, or start one and wait until it answers.

    With `auth`, policies of IAM are enforced. `settings` are further variables of MiniStack.
    """
    python = ministack_environment()
    if running := find(name):
        if running.auth == auth:
            return running
        say(f"MiniStack {name!r} runs with auth={running.auth}: starting it anew")
    stop(name)  # also ends one that hangs, and clears what it left behind
    for attempt in (1, 2, 3):
        emulator = _launch(name, python, auth, settings or {})
        if emulator:
            return emulator
        say(f"  MiniStack's port was taken by somebody else, attempt {attempt}")
    raise DevError(f"MiniStack found no free port on 127.0.0.1. See {_folder(name) / 'log'}.")


def stop(name: str) -> bool:
    """End the emulator, the Lambda workers it started and its files. True if one was running."""
    folder = _folder(name)
    was_running = _lock_is_held(name)
    if was_running:
        pid = int((folder / "pid").read_text())
        _end_group_of(pid, name)
    if folder.exists():
        # Its Lambda workers may still be closing files.
        shutil.rmtree(folder, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    return was_running


@contextmanager
def running(
    name: str, *, auth: bool = False, settings: dict[str, str] | None = None
) -> Iterator[Emulator]:
    """A new emulator for the length of a `with` block, also when that is interrupted."""
    stop(name)  # one that a killed process left behind
    with interrupts():
        try:
            yield start(name, auth=auth, settings=settings)
        finally:
            stop(name)


def _launch(name: str, python: Path, auth: bool, settings: dict[str, str]) -> Emulator | None:
    """Start one server; None if its port was taken in the meantime."""
    folder = _folder(name)
    temporary = folder / "tmp"
    temporary.mkdir(parents=True)
    log = folder / "log"
    port = _free_port()
    env = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("AWS_", "LAMBDA_", "MINISTACK_", "PYTHON"))
    }
    env |= {
        "AUTH": str(auth).lower(),
        "BEHIND_TLS": "1" if auth else "0",  # else the queues' TLS-only policy refuses all
        "BIND_HOST": "127.0.0.1",
        "DOCKER_HOST": f"unix://{folder}/no-docker",  # at start it would end containers of others
        "GATEWAY_PORT": str(port),
        "MINISTACK_REGION": REGION,
        "NO_PROXY": "127.0.0.1,localhost",
        "PERSIST_STATE": "0",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(temporary),
        **settings,
    }
    # -I: without it, the modules beside the patch would hide others of the same name.
    command = [str(python), "-I", *([str(PATCHED)] if PATCHED.exists() else ["-m", "ministack"])]
    with (folder / "lock").open("w") as lock, log.open("wb") as output:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        process = subprocess.Popen(
            command,
            cwd=temporary,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # Ctrl-C is the caller's; Lambda workers join this group
            pass_fds=[lock.fileno()],
        )
    try:
        (folder / "pid").write_text(str(process.pid))
        deadline = time.monotonic() + START_TIMEOUT
        while not _is_healthy(port):
            if process.poll() is not None:
                if "already in use" in log.read_text(errors="replace"):
                    shutil.rmtree(folder)
                    return None
                raise DevError(f"MiniStack ended at once (exit {process.returncode}).\n{tail(log)}")
            if time.monotonic() > deadline:
                raise DevError(
                    f"MiniStack did not answer within {START_TIMEOUT:.0f} s.\n{tail(log)}"
                )
            time.sleep(0.05)
        emulator = Emulator(process.pid, port, auth, fresh=True)
        kept = asdict(emulator) | {"fresh": False}  # whoever finds it later did not start it
        (folder / "emulator.json").write_text(json.dumps(kept))
        process.returncode = 0  # let go of it without a warning: it outlives this process
        return emulator
    except BaseException:
        end_group(process)
        raise


def _folder(name: str) -> Path:
    return STATE / "emulators" / name


def _lock_is_held(name: str) -> bool:
    """Whether a server of this name lives. It inherited the open lock, and keeps it to its end."""
    try:
        with (_folder(name) / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _end_group_of(pid: int, name: str) -> None:
    """End a server that another process may have started, with the workers in its group."""
    os.killpg(pid, signal.SIGTERM)
    deadline = time.monotonic() + STOP_TIMEOUT
    while _lock_is_held(name) and time.monotonic() < deadline:
        time.sleep(0.05)
    with suppress(ProcessLookupError):  # the usual case: nobody is left in the group
        os.killpg(pid, signal.SIGKILL)
        while _lock_is_held(name):
            time.sleep(0.05)
    with suppress(ChildProcessError):  # not our child; else it would stay as a zombie
        os.waitpid(pid, 0)


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/_ministack/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(arguments: list[str]) -> None:
    auth = "--auth" in arguments
    verb, name, *_ = [*(one for one in arguments if one != "--auth"), "", ""]
    name = name or "demo"
    if verb == "start":
        emulator = start(name, auth=auth)
        say(f"MiniStack {name!r}: {emulator.endpoint} (process {emulator.pid})")
        say("In the shell in which Terraform and `fluxio` are to find it, and no account:\n")
        own = emulator.environment()
        say(f"  unset AWS_PROFILE; export {' '.join(f'{name}={own[name]}' for name in EXPORTED)}")
    elif verb == "stop":
        say(f"MiniStack {name!r}: " + ("stopped" if stop(name) else "was not running"))
    elif verb == "status":
        found = find(name)
        say(f"MiniStack {name!r}: " + (f"{found.endpoint}" if found else "is not running"))
    else:
        raise DevError("say one of: start, stop, status")


if __name__ == "__main__":
    command_line(main)
