"""The version of fluxio before this one, in a process of its own: worker, sweeper, client and command.

It is asked by lines of JSON on stdin. All that it does goes to AWS and clock of the process that asks, by lines
on stdout, each of which is answered by one on stdin: so a test may do anything between two calls of this
process, and in the middle of a step.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import util
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any

from fluxio_client.queue import Queue
from fluxio_client.store import Store

import fluxio.log
from fluxio import StepContext
from fluxio.attempt import Attempt
from fluxio.definition import definition_of
from fluxio.deployment import Deployment
from fluxio.errors import UnknownWorkflow
from fluxio.loop import Services
from fluxio.worker import Worker
from fluxio_client import FluxioClient
from tests.simulation.versions import workflows
from tests.simulation.versions.asked import ask_client, ask_command

NEWER = Path(__file__).parents[3] / "layer" / "src" / "fluxio" / "testing"


def _newer(name: str) -> ModuleType:
    """A module of the newer version's stand-in: it imports nothing of fluxio, and this version has none."""
    spec = util.spec_from_file_location(f"newer_{name}", NEWER / f"{name}.py")
    module = sys.modules[spec.name] = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


clients, in_place = _newer("clients"), _newer("in_place")


class Death(BaseException):
    """The worker's process ends here."""


_raised = Attempt._raised


def _raised_by_a_live_one(self: Attempt, error: BaseException) -> Any:
    if isinstance(error, Death):
        raise error
    return _raised(self, error)


Attempt._raised = _raised_by_a_live_one


class Asker:
    """The process that asks, and its clock as of its last word."""

    def __init__(self) -> None:
        self._in = sys.stdin
        self._out = os.fdopen(os.dup(1), "w", encoding="utf-8")
        os.dup2(2, 1)  # what anything else prints is none of the conversation
        self.at = 0

    def hear(self) -> dict[str, Any] | None:
        """The next line; None at the end."""
        line = self._in.readline()
        if not line:
            return None
        said: dict[str, Any] = json.loads(line)
        self.at = said["now"]
        return said

    def say(self, **parts: Any) -> None:
        self._out.write(json.dumps(parts) + "\n")
        self._out.flush()

    def ask(self, what: str, **arguments: Any) -> Any:
        """Have something done over there.

        Raises:
            ClientError: AWS has refused the call.
            Death: the worker that called has died.
        """
        self.say(ask=what, arguments=arguments)
        said = self.hear()
        if said is None or "dies" in said:
            raise Death
        if "refused" in said:
            error = said["refused"]
            code, message = error["Error"]["Code"], error["Error"]["Message"]
            more = {name: part for name, part in error.items() if name != "Error"}
            raise clients.client_error(what, code, message, **more)
        return said["answer"]

    def now(self) -> int:
        return self.at

    def advance(self, seconds: float) -> None:
        self.ask("sleep", seconds=seconds)


class Remote:
    """A boto3 client whose service is in the process that asks."""

    exceptions = clients.DynamoDBClient.exceptions

    def __init__(self, asker: Asker, service: str) -> None:
        self._asker = asker
        self._service = service

    def __getattr__(self, operation: str) -> Any:
        return lambda **arguments: self._asker.ask(f"{self._service}.{operation}", **arguments)


class Deployed:
    """The workflows that are deployed, in place of a manifest in a zip."""

    def __init__(self) -> None:
        self._known = {cls.__name__: definition_of(cls) for cls in workflows.CLASSES}

    def load(self, name: str) -> Any:
        if name not in self._known:
            raise UnknownWorkflow(f"this deployment has no workflow {name!r}")
        return self._known[name]


class Invocation:
    """Lambda's context object."""

    def __init__(self, asker: Asker, ends: int) -> None:
        self._asker = asker
        self._ends = ends

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._ends - self._asker.at)


class Older:
    """Worker and client of one deployment."""

    def __init__(
        self, asker: Asker, table: str, queue_url: str, inline_branches: int, together: bool
    ) -> None:
        self._asker = asker
        self._at = table, queue_url
        self._dynamodb, self._sqs = Remote(asker, "dynamodb"), Remote(asker, "sqs")
        tokens = count(1)
        store = Store(self._dynamodb, table, sleep=asker.advance, chance=lambda: 0.0)
        services = Services(
            store,
            Queue(self._sqs, queue_url),
            Deployment(Deployed(), store, inline_branches),
            asker.now,
            lambda: f"older.{next(tokens)}",
            lambda: 0.0,
            lambda: in_place.InPlace(asker, together),
            asker.advance,
        )
        self._worker = Worker(services)
        self._client = FluxioClient(
            table,
            queue_url,
            dynamodb=self._dynamodb,
            sqs=self._sqs,
            now=asker.now,
            sleep=asker.advance,
            monotonic=lambda: asker.at / 1000,
        )

    def handle(self, event: Any, ends: int) -> Any:
        return self._worker.handle(event, Invocation(self._asker, ends))

    def client(self, method: str, arguments: dict[str, Any]) -> Any:
        return ask_client(self._client, method, arguments)

    def command(self, arguments: list[str]) -> Any:
        return ask_command(self._client, self._dynamodb, self._sqs, *self._at, *arguments)


def main() -> None:
    asker = Asker()

    def on_attempt(ctx: StepContext) -> None:
        asker.ask("attempt", run_id=ctx.run_id, step=ctx.step, attempt=ctx.attempt)

    workflows.on_attempt.append(on_attempt)
    fluxio.log._write = lambda line: asker.say(log=line)
    older: Any = None
    asker.say(done=str(Path(fluxio.__file__).parent))
    while (said := asker.hear()) is not None:
        try:
            if said["do"] == "deploy":
                older, answer = Older(asker, **said["arguments"]), None
            else:
                answer = getattr(older, said["do"])(**said["arguments"])
            asker.say(done=answer)
        except Death:
            asker.say(died=True)
        except Exception as error:  # noqa: BLE001 - it is raised over there
            asker.say(raised=[type(error).__name__, str(error)])


if __name__ == "__main__":
    main()
