"""One call of the command: which deployment it is about, and how it speaks to whoever called it.

What was asked for goes to stdout, everything else (questions, progress, errors) to stderr, so that a pipe
gets the answer alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from time import monotonic, sleep
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)
from rich.text import Text

from fluxio_client.cli.failures import Declined, Explained, Unasked
from fluxio_client.cli.terminal import Screen, encodable
from fluxio_client.client import FluxioClient
from fluxio_protocol import settings
from fluxio_protocol.clock import now_ms
from fluxio_protocol.errors import SettingError
from fluxio_protocol.queue import Queue
from fluxio_protocol.store import Store


@dataclass
class Session:
    """The options that every command takes, and what is made of them."""

    table_name: str | None = None
    queue_url: str | None = None
    region: str | None = None
    endpoint_url: str | None = None
    json: bool = False
    #: Whether nothing is drawn on the terminal while it works: it answers a browser.
    quiet: bool = False

    # --- the deployment

    def aws(self, service: str) -> Any:
        """A boto3 client of a service, for the Region and endpoint of the options."""
        try:
            return settings.aws_client(service, self.region, self.endpoint_url)
        except SettingError:
            raise SettingError(
                "the AWS Region is not set: say --region, or set AWS_DEFAULT_REGION to that of the deployment."
            ) from None

    @cached_property
    def table(self) -> str:
        """The table's name."""
        return settings.setting(settings.TABLE_NAME, self.table_name, "--table-name")

    @cached_property
    def queue(self) -> str:
        """The queue's URL."""
        return settings.queue_url(self.queue_url, "--queue-url")

    @cached_property
    def dynamodb(self) -> Any:
        """The DynamoDB client."""
        return self.aws("dynamodb")

    @cached_property
    def sqs(self) -> Any:
        """The SQS client."""
        return self.aws("sqs")

    @cached_property
    def client(self) -> FluxioClient:
        """What starts and steers runs: needs table and queue."""
        return FluxioClient(
            self.table,
            self.queue,
            dynamodb=self.dynamodb,
            sqs=self.sqs,
            now=lambda: self.now,
            sleep=self.sleep,
            monotonic=lambda: self.elapsed,
        )

    @cached_property
    def store(self) -> Store:
        """What reads runs: needs the table alone."""
        return Store(self.dynamodb, self.table, settings.retention_days())

    @cached_property
    def nudges(self) -> Queue:
        """The queue of nudges."""
        return Queue(self.sqs, self.queue)

    @property
    def now(self) -> int:
        """The time, in milliseconds since 1970."""
        return now_ms()

    @property
    def elapsed(self) -> float:
        """Seconds of a clock that nobody sets, for how long something takes."""
        return monotonic()

    def sleep(self, seconds: float) -> None:
        """Let time go by."""
        sleep(seconds)

    # --- the caller

    @cached_property
    def out(self) -> Screen:
        """The answer."""
        return Screen(stderr=False)

    @cached_property
    def err(self) -> Screen:
        """All else."""
        return Screen(stderr=True)

    def print_json(self, record: Any) -> None:
        """The answer as one JSON document."""
        self.write_json(record, indent=2)

    def write_json(self, record: Any, indent: int | None = None) -> None:
        """A JSON document for a script: unchanged, and still JSON where the encoding lacks a character."""
        text = json.dumps(record, indent=indent, ensure_ascii=False)
        sys.stdout.write(f"{text if encodable(text) else json.dumps(record, indent=indent)}\n")

    def print_lines(self, lines: Iterable[Text]) -> None:
        """Lines that are as wide as they are: a terminal may cut them, a pipe gets them whole."""
        for line in lines:
            self.out.print(line, no_wrap=True, crop=False, overflow="ignore")

    def note(self, text: str) -> None:
        """A line for a person beside the answer; not with --json."""
        if not self.json:
            self.err.print(text, style="dim", soft_wrap=True)

    def report(self, failure: Explained) -> None:
        """The failure: one line, or one JSON object."""
        if self.json:
            sys.stderr.write(failure.to_json() + "\n")
        else:
            self.err.print(f"error: {failure.message}", soft_wrap=True)

    def confirm(self, question: str, yes: bool) -> None:
        """Ask before something that cannot be undone.

        Raises:
            Unasked: there is no terminal to ask on.
            Declined: the answer was not yes.
        """
        if yes:
            return
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise Unasked(f"{question} There is no terminal to ask on: say --yes if you mean it.")
        self.err.print(f"{question} [y/N] ", end="", soft_wrap=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise Declined("nothing was done.")

    @contextmanager
    def busy(self, text: str) -> Iterator[None]:
        """A spinner on stderr while something without a known length goes on; nothing without a terminal."""
        if self.quiet or not self.err.is_terminal:
            yield
            return
        with self.err.status(text):
            yield

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Bar]:
        """A bar on stderr for something that takes a while; nothing where stderr is no terminal."""
        columns = [
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
        ]
        hidden = self.quiet or not self.err.is_terminal
        with Progress(*columns, console=self.err, transient=True, disable=hidden) as bars:
            yield Bar(bars, bars.add_task(what, total=total))


@dataclass
class Bar:
    """A progress bar."""

    _bars: Progress
    _task: TaskID

    def advance(self, by: int = 1) -> None:
        """So much more is done."""
        self._bars.advance(self._task, by)
