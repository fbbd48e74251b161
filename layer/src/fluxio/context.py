"""What a step may ask of the attempt it runs in: the parameter named `ctx`."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any

from fluxio.errors import StartError, TransactError
from fluxio.raised import place
from fluxio.starting import new_run
from fluxio.transaction import KINDS, refusals
from fluxio_protocol import layout, limits
from fluxio_protocol.duration import Duration
from fluxio_protocol.errors import PayloadError
from fluxio_protocol.new_run import NewRun, StartedBy

if TYPE_CHECKING:
    from fluxio.definition import WorkflowDefinition

#: Levels of an operation: DynamoDB nests values 32 deep, each level has a type, and the operation has its own.
#: https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html
MAX_DEPTH = 72


def _unheard(*_: object) -> None:
    """Takes a report that is kept nowhere."""


@dataclass(frozen=True)
class StepContext:
    """One attempt of a step.

    Attributes:
        run_id: the run.
        workflow: the run's workflow.
        step: the step.
        attempt: which try this is, from 1.
        deadline: when the attempt times out, in milliseconds since 1970.
        round: how often the step has returned `Again` before, from 0.
        state: what it kept for this round with `Again(state=…)`; None if nothing.
    """

    run_id: str
    workflow: str
    step: str
    attempt: int
    deadline: int
    round: int = 0
    state: Any = field(default=None, repr=False)
    operations: list[dict[str, Any]] = field(default_factory=list, repr=False)
    #: The table with fluxio's runs.
    table: str = field(default="", repr=False)
    #: Where `transact` and `start` were called, for the log of what DynamoDB refuses.
    transacted_at: list[str] = field(default_factory=list, repr=False, compare=False)
    #: The runs that are started when the step completes.
    starts: list[NewRun] = field(default_factory=list, repr=False)
    #: How many it has started in its earlier rounds.
    started_before: int = field(default=0, repr=False)
    #: Takes what `progress` reports as JSON, and whether it is to be written at once.
    report: Callable[[str, bool], None] = field(default=_unheard, repr=False, compare=False)
    #: When the run was started, in milliseconds since 1970.
    created_at: int = field(default=0, repr=False)
    #: The code of a workflow of this deployment; None: nothing is known of it.
    load: Callable[[str], WorkflowDefinition] | None = field(
        default=None, repr=False, compare=False
    )

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt of this round of this step, and for no other: for APIs that take one."""
        return f"{self.run_id}/{self.step}" + (f"/{self.round}" if self.round else "")

    def progress(self, value: Any, *, flush: bool = False) -> None:
        """Say how far the step is: `fluxio show` has the last report until the step has succeeded.

        It is written with the next commit of this worker: when a branch beside the step ends, or when this
        attempt fails. With `flush` it is written at once, which costs a write unit for each kilobyte of the
        run's item. A worker that has lost the step to another one writes nothing, and where DynamoDB cannot be
        reached the report waits for the next commit: the step goes on in both cases.

        Args:
            value: what JSON can say, at most 200 bytes of it, such as a number or `{"done": 1200, "of": 5000}`.
            flush: whether it is written at once.

        Raises:
            PayloadError: the value cannot be stored as JSON, or is longer than that.
        """
        where = f"ctx.progress in run {self.run_id} step {self.step}: the value"
        text = layout.encode(value, where)
        if (size := limits.text_bytes(text)) > layout.PROGRESS_BYTES:
            raise PayloadError(
                f"{where} is {size:,} bytes of JSON; at most {layout.PROGRESS_BYTES} stand in the run's item. "
                "Report numbers, and keep the rest in what the step returns."
            )
        self.report(text, flush)

    def transact(self, *operations: Mapping[str, Any]) -> None:
        """Let DynamoDB writes of your own commit with this step: all of them if it succeeds, or none.

        They are kept until the step returns and then go into one TransactWriteItems with its completion,
        so their effect is exactly once, whatever dies when. The worker's role needs the rights to them.

        Args:
            operations: entries of TransactItems as boto3's client takes them, such as
                `{"Update": {"TableName": …, "Key": …, "UpdateExpression": …}}`; Put, Update, Delete and
                ConditionCheck. In one attempt at most 99, each on an item of its own that no other one
                touches, 3.6 MB in all, and none on fluxio's own table.

        Raises:
            TransactError: an entry is none of these, has a value that boto3's client does not take, or
                DynamoDB would refuse it for its size or together with the others. What depends on the items
                in the table is known when the step commits.
        """
        where = f"ctx.transact in run {self.run_id} step {self.step}"
        for operation in operations:
            kinds = list(operation)
            if len(kinds) != 1 or kinds[0] not in KINDS:
                raise TransactError(
                    f"{where}: an operation has the keys {kinds}; give it exactly one of {', '.join(KINDS)}."
                )
            if not isinstance(operation[kinds[0]], Mapping):
                raise TransactError(
                    f"{where}: what {kinds[0]} is given is no dict of its parameters."
                )
        # Copies: they are sent when the step has returned, and what they were made of may have changed by then.
        together = [*self.operations, *(_plain(operation, where) for operation in operations)]
        if refusal := next(refusals(together, self.table, self.starts), None):
            raise TransactError(f"{where}: {refusal}.")
        self.operations[:] = together
        self._called_from(sys._getframe(1))

    def start(
        self,
        workflow: str | type,
        input: Any = None,
        run_id: str | None = None,
        *,
        after: Duration = 0,
    ) -> str:
        """Start a run of another workflow, or of this one, when this step completes: exactly once.

        Its item goes into the transaction that completes the step. So it is started if the step succeeds, and
        it is not if the step raises, times out, is fenced off or loses its worker, however often it is tried.
        From then on it goes its own way: nothing waits for it, and neither run's end touches the other.

        Args:
            workflow: the name of a workflow of this deployment, or its class.
            input: a JSON object, as for `FluxioClient.start`; checked against the workflow's
                `@workflow(input=…)`.
            run_id: its id. Default: one that is derived from this run, this step and which of its calls this
                is. One of your own must not be taken by a run that something else started: then the step
                fails, without retries.
            after: seconds, or a timedelta, from this step's completion until the run begins; at most a year.

        Returns:
            The id of the run.

        Raises:
            StartError: this deployment has no such workflow, the input does not fit it, the id cannot be a
                run's or is used twice, or the transaction has no room: with `transact` at most 99 items, a run
                with an input of more than 400 bytes being two, and 3.6 MB.
            PayloadError: the input cannot be stored as JSON, or is too large.
        """
        position = self.started_before + len(self.starts)
        by = StartedBy(self.run_id, self.step, position, self.created_at)
        new = new_run(workflow, input, run_id, after, by, self.starts, self.load)
        if refusal := next(refusals(self.operations, self.table, [*self.starts, new]), None):
            raise StartError(f"ctx.start in run {self.run_id} step {self.step}: {refusal}.")
        self.starts.append(new)
        self._called_from(sys._getframe(1))
        return new.run_id

    def _called_from(self, frame: FrameType) -> None:
        called_at = place(frame, frame.f_lineno)
        if called_at not in self.transacted_at:
            self.transacted_at.append(called_at)


def _plain(value: Any, where: str, path: tuple[str, ...] = ()) -> Any:
    """A copy of a value that is made of Python's own types, as boto3's client takes them."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    if len(path) <= MAX_DEPTH:
        if isinstance(value, Mapping):
            return {
                str(key): _plain(value[key], where, (*path, str(key))) for key in list(value.keys())
            }
        if isinstance(value, (list, tuple)):
            return [_plain(one, where, (*path, str(at))) for at, one in enumerate(value)]
        problem = f"is a {type(value).__name__}, which boto3's client does not take"
    else:
        problem = f"is nested more than {MAX_DEPTH} deep"
    raise TransactError(
        f"{where}: {'.'.join(path)} {problem}. Write values in DynamoDB's form, as in "
        '{"N": "1"} or {"S": "text"}; boto3.dynamodb.types.TypeSerializer makes them.'
    )
