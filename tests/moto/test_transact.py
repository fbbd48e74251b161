"""`ctx.transact`: a step's own writes commit with its completion, all or none."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio.errors import TransactError
from fluxio_client import Run, RunStatus, StepStatus
from tests.moto.conftest import create_table
from tests.moto.pump import Killed, LogLines, World

SECRET = "4111 1111 1111 1111"


@pytest.fixture
def ledger(world: World) -> str:
    """A table of the user's own."""
    name = f"{world.table_name}-ledger"
    create_table(world.dynamodb, name)
    return name


def entry(table: str, key: str, **more: str) -> dict[str, Any]:
    item = {"pk": {"S": key}, "sk": {"S": "entry"}}
    return {"Put": {"TableName": table, "Item": item | {n: {"S": v} for n, v in more.items()}}}


def once(table: str, key: str) -> dict[str, Any]:
    made = entry(table, key)
    made["Put"]["ConditionExpression"] = "attribute_not_exists(pk)"
    return made


def transacting(*operations: object, retry: int | Retry = 0) -> type:
    @workflow
    class Booking:
        @step(retry=retry)
        def book(self, ctx: StepContext) -> str:
            ctx.transact(*operations)  # type: ignore[arg-type]
            return "booked"

        @step(depends_on=["book"])
        def after(self, book: str) -> str:
            return book

    return Booking


def entries(world: World, table: str) -> list[str]:
    return sorted(item["pk"]["S"] for item in world.dynamodb.scan(TableName=table)["Items"])


@pytest.mark.parametrize("inline_branches", [10, 0])
def test_the_writes_commit_with_the_step(world: World, ledger: str, inline_branches: int) -> None:
    booking = transacting(once(ledger, "a"), entry(ledger, "b"))
    run = world.run(booking, inline_branches=inline_branches)
    assert (run.status, run.result) == (RunStatus.SUCCEEDED, "booked")
    assert entries(world, ledger) == ["a", "b"]


def test_branches_that_transact_side_by_side_all_commit(world: World, ledger: str) -> None:
    @workflow
    class Branches:
        @step
        def one(self, ctx: StepContext) -> None:
            ctx.transact(once(ledger, "one"))

        @step
        def two(self, ctx: StepContext) -> None:
            ctx.transact(once(ledger, "two"))

        @step
        def three(self) -> None: ...

        @step(depends_on=["one", "two", "three"])
        def end(self) -> None: ...

    assert world.run(Branches).status is RunStatus.SUCCEEDED
    assert entries(world, ledger) == ["one", "two"]


def test_a_step_that_raises_after_transact_writes_nothing(world: World, ledger: str) -> None:
    @workflow
    class Raising:
        @step(retry=Retry(1, initial=1, jitter=0))
        def book(self, ctx: StepContext) -> None:
            ctx.transact(entry(ledger, f"attempt {ctx.attempt}"))
            if ctx.attempt == 1:
                raise ConnectionError

    world.client.start("Raising", run_id="raising-1")
    pump = world.pump(Raising)
    pump.drain()
    assert entries(world, ledger) == []
    world.clock.advance(1)
    pump.drain()
    assert world.client.get("raising-1").status is RunStatus.SUCCEEDED
    assert entries(world, ledger) == ["attempt 2"]


def test_a_step_whose_worker_dies_after_transact_writes_nothing(world: World, ledger: str) -> None:
    @workflow
    class Dying:
        @step
        def book(self, ctx: StepContext) -> None:
            ctx.transact(once(ledger, "a"))
            if ctx.attempt == 1:
                raise Killed

    world.client.start("Dying", run_id="dying-1")
    pump = world.pump(Dying)
    pump.drain()
    assert entries(world, ledger) == []
    pump.pass_time(200, step=10)
    assert world.client.get("dying-1").status is RunStatus.SUCCEEDED
    assert entries(world, ledger) == ["a"]


def test_a_refused_condition_fails_the_step_with_its_reasons(world: World, ledger: str) -> None:
    world.dynamodb.put_item(TableName=ledger, Item=entry(ledger, "taken")["Put"]["Item"])
    run = world.run(transacting(entry(ledger, "new"), once(ledger, "taken")))
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.step) == ("TransactionFailed", "book")
    assert "the transaction of ctx.transact was refused" in run.error.message
    assert "operation 2: ConditionalCheckFailed" in run.error.message
    assert run.steps["book"].output is None
    assert run.steps["after"].status is StepStatus.PENDING
    assert entries(world, ledger) == ["taken"]


def test_a_refused_condition_is_retried_as_the_step_asks_for(world: World, ledger: str) -> None:
    world.dynamodb.put_item(TableName=ledger, Item=entry(ledger, "taken")["Put"]["Item"])
    world.client.start("Booking", run_id="booking-1")
    pump = world.pump(transacting(once(ledger, "taken"), retry=Retry(1, initial=5, jitter=0)))
    pump.drain()
    run = world.client.get("booking-1")
    assert (run.status, run.steps["book"].status) == (RunStatus.RUNNING, StepStatus.PENDING)
    world.dynamodb.delete_item(TableName=ledger, Key={"pk": {"S": "taken"}, "sk": {"S": "entry"}})
    world.clock.advance(5)
    pump.drain()
    assert world.client.get("booking-1").status is RunStatus.SUCCEEDED
    assert entries(world, ledger) == ["taken"]


@pytest.mark.parametrize(
    ("operations", "message"),
    [
        ([{"Delete": {}, "Put": {}}], "an operation has the keys ['Delete', 'Put']"),
        ([{}], "an operation has the keys []"),
        ([{"Get": {}}], "exactly one of Put, Update, Delete, ConditionCheck"),
        ([{"Put": 7}], "what Put is given is no dict"),
        ([{"Put": {}}] * 100, "100 operations; at most 99 fit"),
    ],
)
def test_what_is_no_operation_fails_the_step_at_once(
    world: World, operations: list[object], message: str
) -> None:
    run = world.run(transacting(*operations, retry=9))
    assert run.status is RunStatus.FAILED
    assert run.error is not None
    assert (run.error.type, run.error.attempt) == ("TransactError", 1)
    assert message in run.error.message
    assert f"run {run.run_id} step book" in run.error.message


def update(table: str, key: dict[str, Any], **more: Any) -> dict[str, Any]:
    change = {"UpdateExpression": "SET a=:a", "ExpressionAttributeValues": {":a": {"S": "x"}}}
    return {"Update": {"TableName": table, "Key": key} | change | more}


KEY = {"pk": {"S": "k"}, "sk": {"S": "entry"}}
NUMBERED = {"pk": {"S": "k"}, "sk": {"N": "1"}}
TOO_LARGE: list[tuple[list[Any], str]] = [
    (
        [update("ledger", KEY, ConditionExpression=" AND ".join(["a=:a"] * 151))],
        "operation 1 (Update): ConditionExpression has 301 operators",
    ),
    (
        [entry("ledger", "a"), update("ledger", KEY, UpdateExpression="SET " + "a" * 4_097)],
        "operation 2 (Update): UpdateExpression has 4,101 bytes",
    ),
    ([entry("ledger", "a", note="x" * 409_600)], "operation 1 (Put): the item has"),
    (
        [entry("ledger", str(at), note="x" * 400_000) for at in range(10)],
        "the items of the operations have 4,000,",
    ),
    ([update("ledger", KEY), update("ledger", KEY)], "operations 1 and 2 are on one item"),
    ([entry("ledger", "k"), update("ledger", KEY)], "operations 1 and 2 are on one item"),
    (
        [
            entry("ledger", "a"),
            {"ConditionCheck": {"TableName": "t/ledger", "Key": KEY}},
            {"Delete": {"TableName": "arn:aws:dynamodb:eu-west-1:1:table/ledger", "Key": KEY}},
        ],
        "operations 2 and 3 are on one item",
    ),
    (
        [update("t", NUMBERED), update("t", NUMBERED | {"sk": {"N": "1.0"}})],
        "operations 1 and 2 are on one item",
    ),
    ([entry("ledger", "a"), entry("ledger", "a")], "operations 1 and 2 are on one item"),
]


@pytest.mark.parametrize(("operations", "message"), TOO_LARGE)
def test_what_dynamodb_would_refuse_for_its_size_fails_the_step_at_the_call(
    world: World, operations: list[Any], message: str
) -> None:
    after = []

    @workflow
    class Booking:
        @step(retry=9)
        def book(self, ctx: StepContext) -> None:
            ctx.transact(*operations)
            after.append("the call")

    run = world.run(Booking)
    assert (run.status, after) == (RunStatus.FAILED, [])
    assert run.error is not None
    assert (run.error.type, run.error.attempt) == ("TransactError", 1)
    assert message in run.error.message


def test_operations_on_different_items_pass_however_alike_they_are(
    world: World, ledger: str
) -> None:
    world.run(
        transacting(
            entry(ledger, "a"),
            update(ledger, KEY),
            update(ledger, KEY | {"sk": {"S": "other"}}),
            update(ledger, {"pk": {"S": "entry"}, "sk": {"S": "k"}}),
        )
    )
    assert entries(world, ledger) == ["a", "entry", "k", "k"]


@pytest.mark.parametrize("kind", ["Put", "Update", "Delete", "ConditionCheck"])
@pytest.mark.parametrize("arn", [False, True])
def test_no_operation_touches_fluxios_own_table(world: World, kind: str, arn: bool) -> None:
    table = f"arn:aws:dynamodb:us-east-1:123:table/{world.table_name}" if arn else world.table_name
    run = world.run(transacting({kind: {"TableName": table, "Key": KEY, "Item": KEY}}))
    assert run.error is not None
    assert run.error.type == "TransactError"
    assert f"operation 1 ({kind}) is on {world.table_name}" in run.error.message
    assert "Use a table of your own" in run.error.message


def test_an_operation_that_was_refused_does_not_commit_if_the_step_goes_on(
    world: World, ledger: str
) -> None:
    @workflow
    class Booking:
        @step
        def book(self, ctx: StepContext) -> str:
            ctx.transact(entry(ledger, "first"))
            with pytest.raises(TransactError):
                ctx.transact(entry(ledger, "second"), entry(ledger, "second"))
            return "booked"

    assert world.run(Booking).status is RunStatus.SUCCEEDED
    assert entries(world, ledger) == ["first"]


def test_as_many_operations_as_fit_commit(world: World, ledger: str) -> None:
    run = world.run(transacting(*(entry(ledger, f"{at:02}") for at in range(99))))
    assert run.status is RunStatus.SUCCEEDED
    assert len(entries(world, ledger)) == 99


class TestTransactionsThatAreRefusedAsAWhole:
    def fail(self, world: World, *operations: object) -> Run:
        booking = transacting(*operations)
        run_id = world.client.start("Booking").run_id
        world.pump(booking).drain()
        run = world.client.get(run_id)
        assert run.status is RunStatus.FAILED
        assert run.error is not None
        assert (run.error.step, run.error.attempt) == ("book", 1)
        return run

    def test_values_that_are_not_in_dynamodbs_form(
        self, world: World, ledger: str, log_lines: LogLines
    ) -> None:
        self.fail(world, {"Put": {"TableName": ledger, "Item": {"pk": SECRET, "sk": SECRET}}})
        assert SECRET not in str(log_lines())

    def test_two_operations_on_one_item(self, world: World, ledger: str) -> None:
        self.fail(world, entry(ledger, "a"), entry(ledger, "a"))

    def test_a_table_that_is_not_there(self, world: World) -> None:
        self.fail(world, entry("nowhere", "a"))


class TestValues:
    """What is handed over is copied at once, and what boto3 does not take is refused in the step's own code."""

    class Odd(dict[str, Any]):
        def __getitem__(self, key: str) -> Any:
            raise RuntimeError

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            (object(), "Put.Item.amount is a object"),
            ({"N": Decimal(1)}, "Put.Item.amount.N is a Decimal"),
            ({"SS": {"a"}}, "Put.Item.amount.SS is a set"),
            ({"L": [{"S": "a"}, {"S": date(2026, 1, 1)}]}, "Put.Item.amount.L.1.S is a date"),
        ],
    )
    def test_what_no_client_takes_fails_the_step_at_once_and_is_named(
        self, world: World, value: object, message: str
    ) -> None:
        run = world.run(
            transacting({"Put": {"TableName": "t", "Item": {"amount": value}}}, retry=9)
        )
        assert run.error is not None
        assert (run.error.type, run.error.attempt) == ("TransactError", 1)
        assert message in run.error.message

    def test_a_value_that_holds_itself_fails_the_step_at_once(self, world: World) -> None:
        circle: dict[str, Any] = {}
        circle["M"] = circle
        run = world.run(transacting({"Put": circle}))
        assert run.error is not None
        assert run.error.type == "TransactError"
        assert "nested more than" in run.error.message

    def test_what_a_value_raises_is_the_steps_failure(self, world: World) -> None:
        run = world.run(transacting({"Put": self.Odd(a=1)}))
        assert run.error is not None
        assert run.error.type == "RuntimeError"

    def test_what_changes_after_the_call_does_not_change_what_is_written(
        self, world: World, ledger: str
    ) -> None:
        @workflow
        class Changing:
            @step
            def book(self, ctx: StepContext) -> None:
                operation = entry(ledger, "as it was")
                ctx.transact(operation)
                operation["Put"]["Item"]["pk"]["S"] = "changed"

        assert world.run(Changing).status is RunStatus.SUCCEEDED
        assert entries(world, ledger) == ["as it was"]


class TestLog:
    """One line tells how an attempt ended that handed operations over."""

    @workflow
    class Books:
        @step
        def book(self, table: str, ctx: StepContext) -> dict:
            ctx.transact(once(table, "taken"))
            return {}

    def test_a_refused_transaction_is_told_once_and_where_the_step_asked_for_it(
        self, world: World, ledger: str, log_lines: LogLines
    ) -> None:
        world.dynamodb.put_item(TableName=ledger, Item=entry(ledger, "taken")["Put"]["Item"])
        world.run(self.Books, {"table": ledger})
        (line,) = [
            line for line in log_lines() if "step" in line and line["message"] != "run failed"
        ]
        assert (line["level"], line["message"]) == ("WARN", "transaction refused")
        assert line["error"] == "TransactionFailed"
        (frame,) = line["frames"]
        assert frame.endswith(" book")
        assert "test_transact.py" in frame

    def test_one_that_commits_has_returned(
        self, world: World, ledger: str, log_lines: LogLines
    ) -> None:
        world.run(self.Books, {"table": ledger})
        (line,) = [line for line in log_lines() if "step" in line]
        assert (line["level"], line["message"]) == ("INFO", "step returned")
