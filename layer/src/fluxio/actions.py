"""What the holder of a message may do next; `decide` says what, the loop performs it."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from fluxio_protocol.changes import Change
from fluxio_protocol.new_run import NewRun
from fluxio_protocol.queue import Nudge


class Read:
    """Read the run."""


class Write(NamedTuple):
    """Apply rows of the transition table, all or none."""

    changes: tuple[Change, ...]
    operations: tuple[dict[str, object], ...] = ()
    #: Runs to be started with them.
    starts: tuple[NewRun, ...] = ()
    #: Steps that are ready too and wait here for threads: the holder of the message answers for them.
    kept: tuple[str, ...] = ()


class Send(NamedTuple):
    """Send nudges."""

    nudges: tuple[Nudge, ...]


class Execute(NamedTuple):
    """Run these claimed steps: alone in this thread if it is the only one, else each in a thread."""

    steps: tuple[str, ...]


class Await(NamedTuple):
    """Wait for a running step to end, until `until` at the latest."""

    until: int


class Pause(NamedTuple):
    """Do nothing until `until`."""

    until: int


class StoreOutput(NamedTuple):
    """Store what a step has returned here, or keeps for its next round, in an item of its own."""

    step: str


class ReadTimer(NamedTuple):
    """Read the value in which the time stands that a step waits for."""

    step: str


class StoreArchive(NamedTuple):
    """Store the records of steps that have succeeded in archive `number`; the next write seals them."""

    number: int
    steps: tuple[str, ...]


class ReadArchives:
    """Read the records of sealed steps."""


class StoreResult:
    """Store the run's result in an item of its own."""


class ExpirePayloads(NamedTuple):
    """Let items with long values go when their run goes, which ended at `ended_at`."""

    sort_keys: tuple[str, ...]
    ended_at: int


class KeepPayloads(NamedTuple):
    """Keep items with long values for a run that is open again."""

    sort_keys: tuple[str, ...]


class Ack:
    """Let SQS delete the message."""


class Nack(NamedTuple):
    """Put the message back, to return after so many seconds."""

    seconds: int


Action: TypeAlias = (
    Read
    | Write
    | Send
    | Execute
    | Await
    | Pause
    | StoreOutput
    | ReadTimer
    | StoreArchive
    | ReadArchives
    | StoreResult
    | ExpirePayloads
    | KeepPayloads
    | Ack
    | Nack
)
