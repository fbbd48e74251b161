"""`crash_everywhere`: one run of a workflow for each point at which a worker can die or be doubled."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from fluxio.definition import WorkflowDefinition
from fluxio.testing.deployed import definitions_of, mocked
from fluxio.testing.errors import InvalidTest, NeverEnds, NotCrashSafe
from fluxio.testing.faults import ON_MESSAGES
from fluxio.testing.history import STRIKES
from fluxio.testing.points import Passing
from fluxio.testing.run import RUN_ID, TestedRun, begun
from fluxio.testing.world import World

#: What happens to a worker at a call, and what that is called.
AT_CALLS = {
    "before": "dies before",
    "after": "dies after",
    "cut off": "cut off before",
    "delivered again": "doubled before",
    "overtaken": "overtaken before",
}

#: What a line says that was told for the end of the test run.
told: list[str] = []


@dataclass(frozen=True)
class _Spot:
    """A point, and what happens there."""

    name: str
    call_faults: Mapping[int, str]
    passing: Passing | None = None
    strike: str | None = None

    def strikes(self, passing: Passing) -> str | None:
        return self.strike if passing == self.passing else None


@dataclass(frozen=True)
class _Finding:
    """A point at which the check did not hold."""

    spot: str
    error: Exception
    #: The steps whose code ran more often than without the fault.
    again: frozenset[str]
    history: str
    #: Whether each branch had an invocation of its own.
    apart: bool


@dataclass(frozen=True)
class _Trials:
    """What is run, again and again."""

    definitions: list[WorkflowDefinition]
    input: Any
    mocks: Mapping[tuple[str, str], Any]
    signals: Mapping[str, Any]
    inline_branches: int
    setup: Callable[[], object] | None
    tables: Mapping[str, Sequence[str]] | None

    @property
    def name(self) -> str:
        return self.definitions[0].name

    def run(self, spot: _Spot) -> tuple[World, TestedRun]:
        """Run the workflow, and let one thing go wrong."""
        if self.setup is not None:
            self.setup()
        world = World(
            self.definitions,
            mocks=self.mocks,
            strike=spot.strikes,
            call_faults=spot.call_faults,
            inline_branches=self.inline_branches,
            tables=self.tables,
        )
        return world, begun(world, self.name, self.input, self.signals)


_NO_SPOT = _Spot("no fault", {})


def crash_everywhere(
    workflow: type,
    input: Any = None,
    *,
    check: Callable[[TestedRun], object] | None = None,
    setup: Callable[[], object] | None = None,
    only: str | None = None,
    mocks: Mapping[str, Any] | None = None,
    signals: Mapping[str, Any] | None = None,
    also: Iterable[type] = (),
    inline_branches: int = 10,
    tables: Mapping[str, Sequence[str]] | None = None,
) -> tuple[str, ...]:
    """Run a workflow once for every point at which a worker can die, be cut off or be doubled.

    The points are before and after each call of the worker to DynamoDB and SQS, and before and after the code
    of each step. At each of them the worker dies; is cut off, by Lambda's timeout; is doubled, because
    its message is delivered to a second worker at that moment; or is overtaken: it stands still until its
    lease has expired and a second worker has done the work, and then goes on. It prints how many points there
    were.

    Args:
        workflow: a class decorated with @workflow.
        input: the run's input.
        check: called with each run when it has ended; it fails by raising, as an `assert` does, or by
            returning False. Default: each run must end as the one without a fault did, with its result.
        setup: called before each run, to put what steps change outside back to the beginning.
        only: the name of a point, as a failure says it: that run alone, whose check raises what it raises.
        mocks: as in `Fluxio.run`.
        signals: as in `Fluxio.run`.
        also: as in `Fluxio.run`.
        inline_branches: as in `Fluxio.run`.
        tables: as in `Fluxio.run`.

    Returns:
        The names of the points.

    Raises:
        NotCrashSafe: the check did not hold somewhere. The message names the step whose code ran twice, what
            happened, and how to run that once more.
        InvalidTest: a class is no workflow, a step or a point is unknown.
        Exception: what the check raises without any fault.
    """
    __tracebackhide__ = True  # pytest shows the test's line
    definitions = definitions_of(workflow, also)
    trials = _Trials(
        definitions,
        input,
        mocked(definitions, mocks or {}),
        signals or {},
        inline_branches,
        setup,
        tables,
    )
    tried = _Tried(trials, check)
    if only is not None:
        tried.run_only(only)
        return (only,)
    findings = tried.findings()
    if any(len(found.again) > 1 for found in findings) and inline_branches:
        # Branches of one invocation are run again together: which of them the check does not bear shows
        # where each has an invocation of its own.
        findings += _Tried(replace(trials, inline_branches=0), tried.check).findings()
    spots = tried.spots
    if findings:
        raise NotCrashSafe(_report(trials.name, len(spots), findings))
    _tell(
        f"crash_everywhere({trials.name}): {len(spots)} points at which a worker dies, is cut off or is "
        "doubled, and the check held at each"
    )
    return tuple(spot.name for spot in spots)


class _Tried:
    """A workflow that was run without a fault, and with each.

    Args:
        trials: what is run.
        check: what must hold of each run; None: it ends as the one without a fault did.
    """

    def __init__(self, trials: _Trials, check: Callable[[TestedRun], object] | None) -> None:
        __tracebackhide__ = True
        world, run = trials.run(_NO_SPOT)
        run.finish()
        _drain(world)
        self.check = check or _ends_as((run.status, run.result))
        self.spots = [*_spots(world)]
        self._trials = trials
        self._usual = Counter(world.executions)
        _hold(self.check, run)

    def findings(self) -> list[_Finding]:
        """The points at which the check does not hold."""
        return [*filter(None, map(self._try, self.spots))]

    def _try(self, spot: _Spot) -> _Finding | None:
        world, run = self._trials.run(spot)
        try:
            run.finish()
            _drain(world)
            _hold(self.check, run)
        except Exception as error:  # noqa: BLE001 - a check fails by whatever it raises
            again = frozenset(
                step if run_id == RUN_ID else f"{step} of {run_id}"
                for (run_id, step), times in world.executions.items()
                if times > self._usual[run_id, step]
            )
            apart = self._trials.inline_branches == 0
            return _Finding(spot.name, error, again, str(run.history), apart)
        return None

    def run_only(self, only: str) -> None:
        """Run one point, show what happened, and let the check raise what it raises."""
        __tracebackhide__ = True
        spots = self.spots
        found = next(
            (one for one in spots if only in (one.name, one.name.partition(" (")[0])), None
        )
        if found is None:
            raise InvalidTest(
                f"only={only!r}: {self._trials.name} has no such point. There are:\n"
                + "\n".join(spot.name for spot in spots)
            )
        world, run = self._trials.run(found)
        try:
            run.finish()
            _drain(world)
        finally:
            sys.stdout.write(f"{self._trials.name}, {found.name}:\n{run.history}\n")
        _hold(self.check, run)


def _ends_as(wanted: tuple[Any, Any]) -> Callable[[TestedRun], object]:
    def check(run: TestedRun) -> None:
        found = run.status, run.result
        if found != wanted:
            raise AssertionError(
                f"the run is {found[0]} with the result {found[1]!r}, and without a fault {wanted[0]} with "
                f"{wanted[1]!r}"
            )

    return check


def _hold(check: Callable[[TestedRun], object], run: TestedRun) -> None:
    __tracebackhide__ = True
    if check(run) is False:
        raise AssertionError("the check returned False")


def _spots(world: World) -> Iterator[_Spot]:
    """All points of a run."""
    for passing in world.passed:
        time = "" if passing.time == 1 else f" #{passing.time}"
        of = "" if passing.run_id == RUN_ID else f" of {passing.run_id}"
        for strike in STRIKES:
            name = f"{strike} {passing.side} {passing.step}{time}{of}"
            yield _Spot(name, {}, passing, strike)
    for number, made in enumerate(world.faults.calls):
        for fault, called in AT_CALLS.items():
            if made.deliverable or fault not in ON_MESSAGES:
                yield _Spot(f"{called} call {number} ({made.what})", {number: fault})


def _drain(world: World) -> None:
    """Deliver what is left when the run has ended: copies of messages that nothing comes of."""
    with suppress(NeverEnds):
        world.settle(None, world.quiet)


def _tell(line: str) -> None:
    told.append(line)
    sys.stdout.write(f"{line}\n")


_NOT_IDEMPOTENT = (
    "its code ran more than once, and what it does outside is not idempotent. Hand ctx.idempotency_key to what "
    "it calls, or let it write by ctx.transact."
)


def _report(name: str, points: int, findings: list[_Finding]) -> str:
    """Which step is to blame, by which schedule that shows, and how to see it again."""
    # The step to blame ran again in each of them; the one that did so most often comes first.
    blamed = Counter(step for found in findings for step in found.again)
    failed = sum(not found.apart for found in findings) or len(findings)
    said = f"the check did not hold at {failed} of {points} points"
    lines = [f"crash_everywhere({name}): {said} at which a worker dies, is cut off or is doubled."]
    left = list(findings)
    for step, _ in blamed.most_common():
        shown = [found for found in left if step in found.again]
        left = [found for found in left if step not in found.again]
        shown.sort(key=lambda found: (len(found.again), _plainness(found.spot)))
        if shown:
            lines += ["", f"{step}: {_NOT_IDEMPOTENT}", *_shown(name, shown)]
    if left:
        lines += ["", "No step's code ran more than once.", *_shown(name, left)]
    return "\n".join(lines)


def _plainness(spot: str) -> int:
    """What is easier to follow comes first: that a worker dies, rather than that two are at work."""
    return next(at for at, strike in enumerate(STRIKES) if spot.startswith(strike))


def _shown(name: str, findings: list[_Finding]) -> Iterator[str]:
    first, *others = findings
    said = f"{type(first.error).__name__}: {first.error}".strip().splitlines()
    yield f"  {first.spot}: {said[0]}"
    if others:
        yield f"  and {len(others)} more: {', '.join(found.spot for found in others[:5])}" + (
            ", …" if len(others) > 5 else ""
        )
    options = "inline_branches=0, " if first.apart else ""
    only = first.spot.partition(" (")[0]
    yield f'  This one alone: crash_everywhere({name}, …, {options}only="{only}")'
    yield "  What happened:"
    yield from (f"  {line}" for line in first.history.splitlines())
