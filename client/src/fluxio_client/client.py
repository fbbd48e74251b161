"""The client: start runs of a deployment and see how they are."""

from __future__ import annotations

import json
import os
import secrets
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from fluxio_client.dead_letters import DeadLetters, Redriven
from fluxio_client.equality import _canonical as _canonical  # it stood here before
from fluxio_client.listing import Listing, status_of, times
from fluxio_client.polling import until_ended
from fluxio_client.redrive import reopened
from fluxio_client.signals import handed_over
from fluxio_client.starting import same_run
from fluxio_client.statuses import known
from fluxio_protocol import changes as to
from fluxio_protocol import layout, settings, values
from fluxio_protocol.calls import Spent
from fluxio_protocol.changes import Change
from fluxio_protocol.clock import WATCHDOG_MS, now_ms
from fluxio_protocol.duration import Duration
from fluxio_protocol.errors import (
    FluxioError,
    InvalidInput,
    NotNudged,
    RunEnded,
    RunNotFound,
)
from fluxio_protocol.graph import Graph
from fluxio_protocol.new_run import input_text, workflow_of
from fluxio_protocol.queue import REDRIVE_KEPT, Nudge, Queue
from fluxio_protocol.run import Page, Run, RunStatus
from fluxio_protocol.store import Store
from fluxio_protocol.trace import HEADER_VARIABLE, Trace


def new_run_id() -> str:
    """A fresh run id: "wf-" and 12 hex digits."""
    return f"wf-{secrets.token_hex(6)}"


class FluxioClient:
    """Start runs and look at them.

    Args:
        table_name: the module's output `table_name`; by default FLUXIO_TABLE_NAME.
        queue_url: the module's output `queue_url`; by default FLUXIO_QUEUE_URL.
        dynamodb: a boto3 DynamoDB client, if the default one will not do.
        sqs: a boto3 SQS client, if the default one will not do.
        retention_days: how many days a run is kept after it ended, the module's input of that name; by default
            FLUXIO_RETENTION_DAYS, or else 90. It counts for runs that end by this client (`cancel`) and for
            long inputs and payloads that it stores.
        now: the time in milliseconds since 1970; for tests.
        sleep: waits so many seconds; for tests.
        monotonic: seconds of a clock that is never set, for how long something takes; for tests.

    Raises:
        SettingError: table or queue are neither given nor in the environment, or cannot be used; or the
            retention is out of its bounds.
    """

    def __init__(
        self,
        table_name: str | None = None,
        queue_url: str | None = None,
        *,
        dynamodb: Any = None,
        sqs: Any = None,
        retention_days: int | None = None,
        now: Callable[[], int] = now_ms,
        sleep: Callable[[float], None] = time.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        table = settings.setting(settings.TABLE_NAME, table_name)
        url = settings.queue_url(queue_url)
        kept = settings.retention_days(retention_days)
        self._store = Store(dynamodb or settings.aws_client("dynamodb"), table, kept, sleep)
        self._sqs = sqs or settings.aws_client("sqs")
        self._queue = Queue(self._sqs, url)
        self._now = now
        self._sleep = sleep
        self._monotonic = monotonic

    def start(
        self,
        workflow: str | type,
        input: Any = None,
        run_id: str | None = None,
        *,
        trace_header: str | None = None,
    ) -> Run:
        """Start a run, once: with a `run_id` of your own, the call can be repeated safely.

        Args:
            workflow: the workflow's name, as the manifest of the worker's zip has it; or its class, whose
                `@workflow(input=…)` the input is then held against before the run is started.
            input: a JSON object (a dict, a pydantic model, a dataclass); its names become arguments of
                the steps. At most 390,000 bytes as JSON. The same input means equal values, in any order
                of their names, as a dict or as a model; 99 and 99.0 differ.
            run_id: 1 to 64 letters, digits, '.', '_', ':' or '-'. Omitted: "wf-" and 12 hex digits.
            trace_header: the caller's X-Ray header, whose trace the run joins if it says `Sampled=1`.
                Omitted: that of the Lambda invocation that this is called in, if any.

        Returns:
            The run; if one of this id, workflow and input exists already, that one as it stands.

        Raises:
            InvalidInput: the workflow's name or the run id cannot be one, the class is no workflow, or the
                input is not an object or does not fit the type that the class says.
            PayloadError: the input cannot be stored as JSON, or is too large.
            RunExists: there is a run of this id with another workflow or input.
            NotNudged: the run is stored but SQS did not take its message; the sweeper will find it.
        """
        name, check = workflow_of(workflow)
        what = f"the input of {name}" if run_id is None else f"the input of run {run_id}"
        run_id = new_run_id() if run_id is None else layout.check_run_id(run_id)
        text = input_text(input, what)
        if check is not None:
            try:
                check(json.loads(text))
            except FluxioError as error:
                raise InvalidInput(f"no run of {name} was started: {error}") from None
        now = self._now()
        if trace_header is None:
            trace_header = os.environ.get(HEADER_VARIABLE)
        trace = Trace.from_header(trace_header)
        written = self._store.start(run_id, name, text, now, now + WATCHDOG_MS, trace)
        run = written.run
        assert run is not None
        if not written.applied:
            run = same_run(self._store, run, name, text, input)
        if run.status is RunStatus.PENDING:
            again = f"call start again with run_id={run_id!r} and the same input"
            self._nudge(Nudge(run_id, name), again, run, trace)
        return run

    def get(self, run_id: str) -> Run:
        """The run with its steps, input, outputs and result; readable at once after `start`.

        Raises:
            InvalidInput: no run has such an id.
            RunNotFound: there is no such run.
        """
        run = self._store.read_whole(layout.check_run_id(run_id))
        if run is None:
            raise self._not_found(run_id)
        return run

    def cancel(self, run_id: str) -> Run:
        """End a run. A step that is under way is not interrupted, but nothing follows it.

        Safe to repeat. If the call fails after the run has ended, call it again: without that, the run's long
        values are deleted only 400 days after the run.

        Returns:
            The run, CANCELLED.

        Raises:
            InvalidInput: no run has such an id.
            RunNotFound: there is no such run.
            RunEnded: it has ended otherwise.
        """
        run = known(self._change(run_id, [to.cancel(self._now())]))
        if run.status is not RunStatus.CANCELLED:
            raise RunEnded(f"run {run_id} is {run.status} already; there is nothing to cancel.")
        assert run.ended_at is not None
        # Again if it was cancelled before: that call may have broken off here.
        keys = values.payload_keys(self._store.with_ended(run))
        self._store.payloads.expire(run_id, keys, run.ended_at)
        return run

    def signal(self, run_id: str, name: str, payload: Any = None, *, replace: bool = False) -> Run:
        """Hand a signal to a run: a step that says `awaits=[name]` begins only when it is there.

        Safe to repeat with the same payload. A signal may come before its step is ready for it, even before
        a worker has opened the run; a run that failed or was parked keeps it for its redrive.

        Args:
            run_id: which run.
            name: which signal; a step's `awaits` names it.
            payload: what JSON can say, at most 390,000 bytes of it. It becomes the argument of the step's
                parameter that is named like the signal. Omitted: an empty object. One that does not fit the
                parameter's type is refused by the step, which waits for the signal again: send it anew.
            replace: whether this payload takes the place of another one that came before and that no step has
                taken: each step that awaits it is PENDING or FAILED.

        Returns:
            The run, with the signal.

        Raises:
            InvalidInput: the run id or the name cannot be one, or no step of the run waits for such a signal.
            PayloadError: the payload cannot be stored as JSON, or is too large.
            RunNotFound: there is no such run.
            RunEnded: it has succeeded or was cancelled.
            SignalLapsed: it comes too late: its timeout was over.
            SignalExists: the run has this signal already, with another payload; with `replace`, a step has
                taken it.
            NotNudged: the signal is stored but SQS did not take its message; the sweeper will see to it.
        """
        layout.check_signal(name)
        where = f"the signal {name} of run {run_id}"
        text = layout.encode({} if payload is None else payload, where)
        run = self._store.read(layout.check_run_id(run_id))
        if run is None:
            raise self._not_found(run_id)
        run = handed_over(self._store, run, name, text, replace, self._now)
        if run is None:
            raise self._not_found(run_id)
        if run.status in (RunStatus.PENDING, RunStatus.RUNNING):
            # One that is sent anew must not be taken for a duplicate of the one that was refused.
            occasion = f"signal:{name}:{zlib.crc32(text.encode()):x}"
            self._nudge(Nudge(run_id, run.workflow, occasion=occasion), "signal it again", run)
        return run

    def redrive(self, run_id: str) -> Run:
        """Resume a run that FAILED or was parked (WAITING): steps that failed, or were lost with their worker,
        get their attempts again.

        Steps that succeeded are not run again. Safe to repeat: a run that is open is only nudged.

        Returns:
            The run as it goes on.

        Raises:
            InvalidInput: no run has such an id.
            RunNotFound: there is no such run.
            RunEnded: it has succeeded or was cancelled.
            NotNudged: the run is open again but SQS did not take its message; the sweeper will find it.
        """
        now = self._now()
        run = reopened(self._store, known(self.get(run_id)), now)
        if run is None:
            raise self._not_found(run_id)
        if run.ended:
            raise RunEnded(
                f"run {run_id} is {run.status}: only a run that FAILED, or is parked, can be redriven."
            )
        self._nudge(Nudge(run_id, run.workflow, occasion=_redrive(now)), "redrive it again", run)
        return run

    def redrive_dead_letters(
        self, dlq_url: str, limit: int = 1000, seen: Callable[[], object] = lambda: None
    ) -> Redriven:
        """Look again at every run with a message in the dead-letter queue, and delete the message.

        Each is sent before it is deleted, so that the call can be repeated safely, wherever it broke off.
        Messages that are no nudges, or name a run that is not in the table, stay for you to read; one of a
        schedule, which starts its run, is sent again all the same. A queue may
        take longer than a message stays hidden: a message that is received again is not counted again.

        On the dead-letter queue the caller needs sqs:ReceiveMessage, sqs:DeleteMessage and
        sqs:ChangeMessageVisibility (and, to be sure sooner that it is empty, sqs:GetQueueAttributes); besides
        them dynamodb:GetItem on the table and sqs:SendMessage on the queue. The module's output
        `operator_policy_json` has them; `client_policy_json` has none on that queue.

        Args:
            dlq_url: the module's output `dlq_url`.
            limit: how many messages to take at most.
            seen: called for each message, to show how far the call is.

        Returns:
            How many messages were sent again, and how many stay.

        Raises:
            SettingError: there is no such queue in this Region.
            NotNudged: SQS did not take a message; the one it was made from stays.
        """
        with DeadLetters(Queue(self._sqs, dlq_url)) as dead:
            return dead.redrive(limit, self._is_there, self._nudge_again, seen)

    def _is_there(self, run_id: str) -> bool:
        return self._store.read(run_id) is not None

    def _nudge_again(self, nudge: Nudge) -> None:
        occasion = _redrive(self._now())
        if nudge.input_json is None:
            again = Nudge(nudge.run_id, occasion=occasion)
        else:  # a schedule's, which starts the run
            again = nudge._replace(occasion=occasion)
        self._nudge(again, "redrive the dead letters again")

    def _nudge(
        self, nudge: Nudge, again: str, run: Run | None = None, sender: Trace | None = None
    ) -> None:
        try:
            self._queue.send([nudge], Trace.of_run(run.trace, sender) if run else None)
        except Exception as error:
            raise NotNudged(
                f"run {nudge.run_id} is stored, but SQS did not accept its message: "
                f"{str(error).rstrip('.')}. The sweeper sends one within {WATCHDOG_MS // 60_000 + 1} "
                f"minutes; to send one now, see that FLUXIO_QUEUE_URL is right and {again}."
            ) from error

    def _change(self, run_id: str, changes: Sequence[Change]) -> Run:
        run = self._store.apply(layout.check_run_id(run_id), changes, self._now()).run
        if run is not None and run.partial:
            run = self._store.read(run_id)
        if run is None:
            raise self._not_found(run_id)
        return run

    def _not_found(self, run_id: str) -> RunNotFound:
        return RunNotFound(
            f"there is no run {run_id} in this table: check the id and that FLUXIO_TABLE_NAME is "
            "the deployment's own; an ended run is deleted when its retention has passed."
        )

    def graph(self, run: Run) -> Graph | None:
        """Which step of a run waits for which; None while no worker has opened the run.

        Its `depends_on` has for each step those it depends on, `awaits` the signals it waits for, and `waves`
        the steps in layers, each of which can run when those before it are done.
        """
        return self._store.get_graph(run.workflow, run.version) if run.version else None

    @property
    def spent(self) -> Spent:
        """What this client's own calls have cost, as DynamoDB counted it.

        `reads` and `writes` are calls, `write_units` and `index_write_units` what the writes were charged for.
        """
        return self._store.spent

    def list(
        self,
        workflow: str,
        *,
        status: RunStatus | str | None = None,
        since: datetime | int | None = None,
        until: datetime | int | None = None,
        limit: int = 50,
        page: str | None = None,
    ) -> Page:
        """Runs of a workflow, the newest first. What it reads may be some moments behind.

        Each run that is shown costs half a read unit for every 4 KB of its item begun, besides some units for
        the index that names it. With a status, runs have to be read that are not shown:

        * FAILED: none.
        * PENDING, RUNNING, COMPENSATING: all open runs of all workflows if they are at most 1,000; or else as
          with any other status.
        * any other: the newest runs, whatever their status, until `limit` are found, at most some 2,000 in a
          call. Then a page has fewer runs than `limit`, or none at all, and `next_page` goes on.

        Args:
            workflow: the workflow's name.
            status: only runs in this status. With FAILED, the order and the times are those of the failure.
            since: only runs started at this time or later: an aware datetime, or milliseconds since 1970.
            until: only runs started at this time or earlier.
            limit: at most so many runs, 1 to 1,000.
            page: `next_page` of the page before, until that is None. It goes on in the window of the first
                page, whatever `since` and `until` are now.

        Returns:
            The runs, and the token of the next page.

        Raises:
            InvalidInput: an argument is out of its bounds, or the page is not of this listing.
            IndexNotReady: an upgrade of the module is making the index anew.
        """
        if type(limit) is not int or not 1 <= limit <= 1000:
            raise InvalidInput(f"limit is {limit!r}: ask for 1 to 1,000 runs a page.")
        first, last = times(since, until)
        return Listing(self._store).runs(
            layout.check_workflow(workflow),
            status_of(status),
            first,
            last,
            limit,
            page,
        )

    def wait(self, run_id: str, timeout: Duration | None = 300.0, poll: Duration = 1.0) -> Run:
        """Wait until the run has ended, however it ended.

        Args:
            run_id: which run.
            timeout: seconds to wait at most, or a timedelta; None waits until the run has ended.
            poll: seconds between two looks at most, or a timedelta, 0.01 s or more; the first ones follow
                sooner.

        Returns:
            The run with its result, or with its error.

        Raises:
            InvalidInput: no run has such an id, or `timeout` or `poll` is no duration.
            RunNotFound: there is no such run.
            RunParked: the run waits for an operator; the message has its error.
            WaitTimeout: it had not ended in time.
        """
        until_ended(
            lambda: self._store.read(layout.check_run_id(run_id)),
            timeout,
            poll,
            self._monotonic,
            self._sleep,
        )
        return self.get(run_id)


def _redrive(now: int) -> str:
    """The occasion of a redrive's nudges: one a second, in few characters, since message ids have 128."""
    return f"{REDRIVE_KEPT}{now // 1000:x}"
