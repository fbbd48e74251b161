"""A finished outcome survives a call that fails: the code of its step does not run again."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    ReadTimeoutError,
)
from botocore.parsers import ResponseParserError

from fluxio import StepContext, step, workflow
from fluxio_client import RunStatus, StepStatus
from tests.moto.pump import World

pytestmark = pytest.mark.once

LONG = "x" * 2_000


def refused(code: str) -> Callable[[], Exception]:
    return lambda: ClientError({"Error": {"Code": code, "Message": "not now"}}, "UpdateItem")


Fails = Callable[..., None]

FAILURES = {
    "a throttle": refused("ThrottlingException"),
    "a throttled table": refused("ProvisionedThroughputExceededException"),
    "too many requests": refused("RequestLimitExceeded"),
    "a 500": refused("InternalServerError"),
    "a 503": refused("ServiceUnavailable"),
    "a conflict with a transaction": refused("TransactionConflictException"),
    "rights that have not arrived": refused("AccessDeniedException"),
    "no answer": lambda: ReadTimeoutError(endpoint_url="https://aws"),
    "no connection": lambda: ConnectTimeoutError(endpoint_url="https://aws"),
    "no network": lambda: EndpointConnectionError(endpoint_url="https://aws"),
    "an answer that cannot be parsed": lambda: ResponseParserError("<html>"),
    "no file descriptor left": lambda: OSError(errno.EMFILE, "Too many open files"),
}


@workflow
class Charge:
    @step(timeout=30)
    def charge(self, ctx: StepContext) -> dict[str, str]:
        ran.append(ctx.attempt)
        return {"text": LONG if long else "ok"}

    @step(depends_on=["charge"])
    def after(self, text: str) -> int:
        return len(text)


ran: list[int] = []
long = False


@pytest.fixture
def fails(world: World, monkeypatch: pytest.MonkeyPatch) -> Fails:
    """Lets the calls of one kind fail for a while, once a step has run; the first one may land all the same."""

    def fails(call: str, failure: str, seconds: float, lands: bool = False) -> None:
        real, until = getattr(world.dynamodb, call), [0]

        def called(**arguments: Any) -> Any:
            now = world.clock.now()
            if ran and not until[0]:
                until[0] = now + round(seconds * 1000)
                if lands:
                    real(**arguments)
            if now < until[0]:
                raise FAILURES[failure]()
            return real(**arguments)

        monkeypatch.setattr(world.dynamodb, call, called)

    return fails


@pytest.fixture(autouse=True)
def _fresh() -> None:
    global long
    long = False
    ran.clear()


@pytest.mark.parametrize("failure", FAILURES)
def test_the_commit_is_repeated_until_it_passes(world: World, fails: Fails, failure: str) -> None:
    fails("update_item", failure, seconds=20)
    run = world.run(Charge)
    assert (run.status, ran) == (RunStatus.SUCCEEDED, [1])


def test_a_commit_whose_answer_was_lost_is_not_made_twice(world: World, fails: Fails) -> None:
    fails("update_item", "no answer", seconds=5, lands=True)
    run = world.run(Charge)
    assert (run.status, ran) == (RunStatus.SUCCEEDED, [1])
    assert [one.attempt for one in run.steps.values()] == [1, 1]


def test_a_long_output_is_stored_as_persistently(world: World, fails: Fails) -> None:
    global long
    long = True
    fails("put_item", "a throttle", seconds=20)
    run = world.run(Charge)
    assert (run.status, run.result, ran) == (RunStatus.SUCCEEDED, len(LONG), [1])


def test_a_failure_is_an_outcome_too(world: World, fails: Fails) -> None:
    @workflow
    class Declines:
        @step(timeout=30)
        def charge(self, ctx: StepContext) -> None:
            ran.append(ctx.attempt)
            raise LookupError("declined")

    fails("update_item", "a 500", seconds=20)
    run = world.run(Declines)
    assert (run.status, ran) == (RunStatus.FAILED, [1])


def test_branches_that_run_beside_it_are_kept_too(world: World, fails: Fails) -> None:
    @workflow
    class Fan:
        @step(timeout=30)
        def one(self, ctx: StepContext) -> None:
            ran.append(1)

        @step(timeout=30)
        def two(self, ctx: StepContext) -> None:
            ran.append(2)

        @step(depends_on=["one", "two"])
        def join(self) -> None:
            ran.append(3)

    fails("update_item", "a conflict with a transaction", seconds=20)
    run = world.run(Fan)
    assert run.status is RunStatus.SUCCEEDED
    assert sorted(ran) == [1, 2, 3]


def test_only_when_the_lease_is_nearly_over_another_worker_gets_the_step(
    world: World, fails: Fails
) -> None:
    run_id = world.client.start("Charge").run_id
    fails("update_item", "a 500", seconds=600)
    pump = world.pump(Charge)
    began = world.clock.now()
    pump.invoke(pump.receive())
    assert (
        30_000 <= world.clock.now() - began <= 40_000
    )  # its timeout, and as much as the lease adds
    assert world.client.get(run_id).steps["charge"].status is StepStatus.RUNNING
    assert ran == [1]
