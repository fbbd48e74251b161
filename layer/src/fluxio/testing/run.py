"""A run in a test: how it stands, what happened, what it cost; and what a test does to it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from boto3.dynamodb.types import TypeDeserializer

from fluxio.testing.cost import Cost
from fluxio.testing.errors import NeverEnds
from fluxio.testing.history import History
from fluxio.testing.world import Later, World
from fluxio_client import FluxioClient, Run, RunStatus, StepStatus
from fluxio_protocol.duration import Duration, in_seconds
from fluxio_protocol.errors import InvalidInput
from fluxio_protocol.run import Failure

#: The id of a test's run.
RUN_ID = "run-1"


@dataclass(frozen=True)
class StepReport:
    """What became of a step.

    Attributes:
        name: the step.
        status: where it is.
        output: what it returned, as JSON gives it back; None until it has succeeded.
        attempts: tries so far; one whose worker died counts.
        executions: how often its code, or its mock, was called.
        error: why its last attempt failed; None once it has succeeded.
    """

    name: str
    status: StepStatus
    output: Any
    attempts: int
    executions: int
    error: Failure | None


class Steps(dict[str, StepReport]):
    """The steps of a run by name."""

    def __missing__(self, name: str) -> StepReport:
        raise KeyError(f"the run has no step {name!r}; it has {', '.join(self) or 'none so far'}")


class TestedRun:
    """A run in a test, with a clock of its own.

    Args:
        world: where it goes on.
        run_id: its id.
    """

    __test__ = False  # pytest collects classes of such names

    def __init__(self, world: World, run_id: str) -> None:
        self._world = world
        self.run_id = run_id

    def __repr__(self) -> str:
        return f"<run {self.run_id} {self.status}\n{self.history}>"

    @property
    def status(self) -> RunStatus:
        """Where the run is."""
        return self._run.status

    @property
    def result(self) -> Any:
        """What the run's last step returned (a dict by step, where several are last); None until then."""
        return self._run.result

    @property
    def error(self) -> Failure | None:
        """Why the run failed or was parked."""
        return self._run.error

    @property
    def steps(self) -> Steps:
        """What became of each step."""
        executions = self._world.executions
        return Steps(
            {
                name: StepReport(
                    name,
                    step.status,
                    step.output,
                    step.attempt,
                    executions[self.run_id, name],
                    step.error,
                )
                for name, step in self._run.steps.items()
            }
        )

    @property
    def history(self) -> History:
        """What happened, in order: as a list of events, and as text."""
        # What branches do that take time is told when they begin.
        return History(sorted(self._world.history, key=lambda event: event.at))

    @property
    def cost(self) -> Cost:
        """What the run has cost so far, together with those that it has started."""
        return self._world.cost

    def table(self, name: str) -> list[dict[str, Any]]:
        """The items of a table of your own, as boto3's TypeDeserializer gives them.

        Args:
            name: the table, as `tables` has it.
        """
        plain = TypeDeserializer().deserialize
        return [
            {attribute: plain(value) for attribute, value in item.items()}
            for item in self._world.aws.dynamodb.tables[name].items.values()
        ]

    @property
    def elapsed(self) -> timedelta:
        """How much of the test's time has passed since the run was started."""
        return timedelta(milliseconds=self._world.aws.clock.at - self._run.created_at)

    @property
    def started(self) -> tuple[TestedRun, ...]:
        """The other runs there are, which its steps have started, in the order of their starts."""
        return tuple(
            TestedRun(self._world, run_id)
            for run_id in self._world.run_ids
            if run_id != self.run_id
        )

    @property
    def client(self) -> FluxioClient:
        """A client of this deployment, for other code that takes one."""
        return self._world.client

    @property
    def _run(self) -> Run:
        return self._world.client.get(self.run_id)

    def advance(
        self,
        duration: Duration = 0,
        *,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
    ) -> TestedRun:
        """Let so much time pass, and everything happen on the way that is due, in order.

        Args:
            duration: seconds, or a timedelta.
            days: days more.
            hours: hours more.
            minutes: minutes more.
            seconds: seconds more.

        Returns:
            The run itself.

        Raises:
            InvalidInput: a duration is none, or negative.
        """
        passes = milliseconds("advance", duration, days, hours, minutes, seconds)
        self._world.settle(self._world.aws.clock.at + passes, lambda: False)
        return self

    def finish(self) -> TestedRun:
        """Let time pass until the run has ended, or stands still until an operator redrives it.

        Returns:
            The run itself.

        Raises:
            NeverEnds: what it waits for never comes.
        """
        world = self._world
        world.settle(None, lambda: world.ended(self.run_id))
        with suppress(NeverEnds):  # of those that it has started
            world.settle(None, world.all_ended)
        return self

    def signal(self, name: str, payload: Any = None) -> TestedRun:
        """Send the run a signal now, and let happen what is due; see `FluxioClient.signal` for the errors.

        Args:
            name: which signal.
            payload: what it brings, as JSON; or `later(…)`.

        Returns:
            The run itself.
        """
        self._world.signal(self.run_id, name, payload)
        return self.advance()

    def cancel(self) -> TestedRun:
        """Cancel the run; see `FluxioClient.cancel`.

        Returns:
            The run itself.
        """
        self._world.client.cancel(self.run_id)
        return self.advance()

    def redrive(self) -> TestedRun:
        """Send a failed run on; see `FluxioClient.redrive`.

        Returns:
            The run itself.
        """
        self._world.client.redrive(self.run_id)
        return self.advance()


def begun(world: World, workflow: str, input: Any, signals: Mapping[str, Any]) -> TestedRun:
    """Start a run of a world, and send its signals."""
    world.start(workflow, input, RUN_ID)
    for name, payload in signals.items():
        world.signal(RUN_ID, name, payload)
    return TestedRun(world, RUN_ID)


def later(
    payload: Any = None,
    duration: Duration = 0,
    *,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> Later:
    """A signal's payload that is sent when so much time has passed: `signals={"approved": later({…}, days=2)}`.

    Args:
        payload: what the signal brings, as JSON.
        duration: seconds, or a timedelta.
        days: days more.
        hours: hours more.
        minutes: minutes more.
        seconds: seconds more.

    Raises:
        InvalidInput: a duration is none, or negative.
    """
    return Later(payload, milliseconds("later", duration, days, hours, minutes, seconds))


def milliseconds(
    of: str, duration: Duration, days: float, hours: float, minutes: float, seconds: float
) -> int:
    """A duration that is given in pieces, in milliseconds; `of` is what takes it.

    Raises:
        InvalidInput: a piece is no duration, or it is negative.
    """
    try:
        more = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        return round(1000 * (in_seconds(duration) + in_seconds(more)))
    except InvalidInput as error:
        raise InvalidInput(f"{of}: the duration {error}.") from None
