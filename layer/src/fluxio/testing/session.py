"""Running workflows in a test: what the pytest fixture `fluxio` offers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from fluxio.definition import WorkflowDefinition
from fluxio.testing.deployed import definitions_of, mocked, steps_called
from fluxio.testing.errors import InvalidTest
from fluxio.testing.points import Passing, Point
from fluxio.testing.run import TestedRun, begun
from fluxio.testing.world import World


class Fluxio:
    """Runs workflows in this process, on a stand-in for AWS and a clock that is moved; the fixture `fluxio`.

    The worker is the real one. Each run has a deployment of its own.
    """

    def run(
        self,
        workflow: type,
        input: Any = None,
        *,
        mocks: Mapping[str, Any] | None = None,
        signals: Mapping[str, Any] | None = None,
        crash: Point | Iterable[Point] = (),
        deliver_twice: bool | Point | Iterable[Point] = False,
        throttle: bool | float = False,
        also: Iterable[type] = (),
        inline_branches: int = 10,
        tables: Mapping[str, Sequence[str]] | None = None,
    ) -> TestedRun:
        """Start a run and let time pass until it has ended.

        Args:
            workflow: a class decorated with @workflow.
            input: the run's input.
            mocks: what runs in place of steps' code, by step ("Other.name" for a step of another workflow): a
                value that it returns, a function that is called with those of the step's arguments that it has
                parameters for, an exception, or `fails(…)`, `times_out(…)`, `lasts(…)`.
            signals: payloads by signal, sent when the run has been started; or `later(payload, days=2)`.
            crash: points at which the worker dies: `before("charge_card")`, `after("charge_card")`.
            deliver_twice: whether each message is handed to a second worker as well, when the first has
                handled it; or points at which that happens.
            throttle: the share of the worker's calls to DynamoDB and SQS that are refused for their rate, the
                same ones each time; True stands for 0.3.
            also: workflows that are deployed besides: children, and those that steps start.
            inline_branches: how many branches of a fan-out run in one invocation, as in the module.
            tables: your own tables that steps write to by `ctx.transact`, with the attributes of their keys:
                `{"payments": ["order_id"]}`; `run.table("payments")` shows what is in one.

        Returns:
            The run as it ended.

        Raises:
            InvalidTest: a class is no workflow, a step is unknown, or a point was never reached.
            InvalidInput: the input or a signal cannot be one.
            PayloadError: the input is not JSON.
            NeverEnds: what the run waits for never comes.
        """
        points = _Points(crash, deliver_twice)
        run = self._start(
            workflow, input, mocks, signals, points, throttle, also, inline_branches, tables
        ).finish()
        points.check_reached(run)
        return run

    def start(
        self,
        workflow: type,
        input: Any = None,
        *,
        mocks: Mapping[str, Any] | None = None,
        signals: Mapping[str, Any] | None = None,
        crash: Point | Iterable[Point] = (),
        deliver_twice: bool | Point | Iterable[Point] = False,
        throttle: bool | float = False,
        also: Iterable[type] = (),
        inline_branches: int = 10,
        tables: Mapping[str, Sequence[str]] | None = None,
    ) -> TestedRun:
        """Start a run and let happen what is due at once; the rest by `advance`, `signal` and `finish`.

        The arguments and errors are those of `run`.
        """
        points = _Points(crash, deliver_twice)
        run = self._start(
            workflow, input, mocks, signals, points, throttle, also, inline_branches, tables
        )
        return run.advance()

    def _start(
        self,
        workflow: type,
        input: Any,
        mocks: Mapping[str, Any] | None,
        signals: Mapping[str, Any] | None,
        points: _Points,
        throttle: bool | float,
        also: Iterable[type],
        inline_branches: int,
        tables: Mapping[str, Sequence[str]] | None,
    ) -> TestedRun:
        definitions = definitions_of(workflow, also)
        points.check_known(definitions)
        world = World(
            definitions,
            mocks=mocked(definitions, mocks or {}),
            strike=points.strike,
            throttle=_share(throttle),
            deliver_twice=points.every_message,
            inline_branches=inline_branches,
            tables=tables,
        )
        return begun(world, definitions[0].name, input, signals or {})


def _share(throttle: bool | float) -> float:
    if throttle is True:
        return 0.3
    if not 0 <= throttle <= 0.9:
        raise InvalidTest(
            f"throttle={throttle!r}: pass True, or the share of calls, from 0 to 0.9."
        )
    return float(throttle)


#: Which argument of a test says what happens at a point.
_ARGUMENTS = {"dies": "crash", "doubled": "deliver_twice"}


class _Points:
    """The points of a test at which something happens to a worker, and which of them it came to."""

    def __init__(
        self, crash: Point | Iterable[Point], deliver_twice: bool | Point | Iterable[Point]
    ) -> None:
        self.every_message = deliver_twice is True
        doubled = () if isinstance(deliver_twice, bool) else deliver_twice
        self._strikes: dict[Point, str] = {}
        given: tuple[tuple[Any, str], ...] = ((crash, "dies"), (doubled, "doubled"))
        for points, strike in given:
            for point in (points,) if isinstance(points, (Point, str)) else points:
                if not isinstance(point, Point):
                    raise InvalidTest(
                        f'{_ARGUMENTS[strike]} has {point!r}, which is no point: pass before("a_step") or '
                        'after("a_step"), or a list of such.'
                    )
                self._strikes[point] = strike
        self._left = dict(self._strikes)
        self._main = ""

    def check_known(self, definitions: list[WorkflowDefinition]) -> None:
        """See that the workflows have the steps.

        Raises:
            InvalidTest: one of them is in none.
        """
        self._main = definitions[0].name
        for point, strike in self._strikes.items():
            steps_called(definitions, point.step, f"{_ARGUMENTS[strike]}={point}")

    def strike(self, passing: Passing) -> str | None:
        names = [f"{passing.workflow}.{passing.step}"]
        names += [passing.step] if passing.workflow == self._main else []
        for name in names:
            found = self._left.pop(Point(passing.side, name, passing.attempt), None)  # type: ignore[arg-type]
            if found is not None:
                return found
        return None

    def check_reached(self, run: TestedRun) -> None:
        """See that the run has come to each point.

        Raises:
            InvalidTest: it has not, so that the test does not show what it is meant to.
        """
        for point, strike in self._left.items():
            attempts = run.steps[point.step].attempts if point.step in run.steps else 0
            raise InvalidTest(
                f"{_ARGUMENTS[strike]}={point} was never reached: the run is {run.status}, and {point.step} "
                f"had {attempts} attempts. What happened:\n{run.history}"
            )
