"""What the store makes of DynamoDB's answers, where the emulators do not give them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from botocore.exceptions import ClientError

from fluxio_protocol import run_item
from fluxio_protocol.calls import BATCH_PAUSES, CONFLICT_PAUSES
from fluxio_protocol.errors import FluxioError
from fluxio_protocol.store import Store, TransactionFailed, TransactionInvalid
from tests.golden.rows import CHANGES, NOW, RUN_ID, item

#: Of schema 1: to read it, no graph is needed.
STORED = item("RUNNING", "RUNNING", 1)
MINE = {"Put": {"TableName": "ledger", "Item": {"pk": {"S": "a"}}}}


class Canceled(ClientError):
    """A transaction that DynamoDB cancelled, for these reasons."""

    def __init__(self, *codes: str, **image: Any) -> None:
        reasons: list[dict[str, Any]] = [{"Code": code} for code in codes]
        reasons[0] |= image
        response = {"Error": {"Code": "TransactionCanceledException"}}
        super().__init__(response | {"CancellationReasons": reasons}, "TransactWriteItems")


class Refused(ClientError):
    """A conditional write that DynamoDB refused."""

    def __init__(self, **image: Any) -> None:
        response = {"Error": {"Code": "ConditionalCheckFailedException"}}
        super().__init__(response | image, "UpdateItem")


class Conflict(ClientError):
    """A write that met a transaction on its item."""

    def __init__(self) -> None:
        super().__init__({"Error": {"Code": "TransactionConflictException"}}, "UpdateItem")


class Missing(ClientError):
    """There is no such table."""


class Scripted:
    """A DynamoDB client that answers as it is told: an answer, or an error to raise."""

    class exceptions:  # noqa: N801 - as boto3 has it
        ConditionalCheckFailedException = Refused
        TransactionCanceledException = Canceled
        ResourceNotFoundException = Missing

    def __init__(self, *answers: Any) -> None:
        self._answers = list(answers)
        self.calls: list[str] = []
        #: The ids that each BatchGetItem has asked for.
        self.asked: list[list[str]] = []

    def _answer(self, call: str) -> Any:
        self.calls.append(call)
        answer = self._answers.pop(0) if self._answers else {}
        if isinstance(answer, Exception):
            raise answer
        return answer

    def batch_get_item(self, RequestItems: Any) -> Any:  # noqa: N803 - as boto3 has it
        (asked,) = RequestItems.values()
        self.asked.append([key["pk"]["S"] for key in asked["Keys"]])
        return self._answer("batch_get_item")(asked["Keys"])

    def update_item(self, **_: Any) -> Any:
        return self._answer("update_item")

    def transact_write_items(self, **_: Any) -> Any:
        return self._answer("transact_write_items")

    def put_item(self, **_: Any) -> Any:
        return self._answer("put_item")

    def get_item(self, **_: Any) -> Any:
        self.calls.append("get_item")
        return {"Item": STORED}


def store(client: Scripted) -> tuple[Store, list[float]]:
    pauses: list[float] = []
    return Store(client, "table", sleep=pauses.append, chance=lambda: 1.0), pauses


class TestConflicts:
    """Two transactions that meet on an item: one of them tries again, and not for ever."""

    def test_a_conflict_is_tried_again(self) -> None:
        client = Scripted(
            Canceled("TransactionConflict", "None"), Canceled("None", "TransactionConflict")
        )
        made, pauses = store(client)
        assert made.apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE]).applied
        assert client.calls == ["transact_write_items"] * 3 + ["get_item"]
        assert pauses == [*CONFLICT_PAUSES[:2]]

    def test_a_conflict_that_lasts_is_left_to_the_message(self) -> None:
        client = Scripted(*[Canceled("TransactionConflict", "None")] * 9)
        made, pauses = store(client)
        with pytest.raises(Canceled):
            made.apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])
        assert pauses == [*CONFLICT_PAUSES]

    def test_a_plain_write_that_meets_a_transaction_is_tried_again(self) -> None:
        client = Scripted(Conflict(), Conflict(), {"Attributes": STORED})
        made, pauses = store(client)
        assert made.apply(RUN_ID, [CHANGES["complete"]], NOW).applied
        assert client.calls == ["update_item"] * 3
        assert pauses == [*CONFLICT_PAUSES[:2]]

    def test_writes_that_met_once_do_not_meet_again_in_step(self) -> None:
        client = Scripted(*[Conflict()] * 10)
        both: list[float] = []
        for chance in (0.0, 0.9):
            made = Store(client, "table", sleep=both.append, chance=lambda drawn=chance: drawn)  # type: ignore[misc]
            with suppress(Conflict):
                made.apply(RUN_ID, [CHANGES["complete"]], NOW)
        assert len(set(both)) == len(both)

    @pytest.mark.parametrize("code", ["ThrottlingError", "ProvisionedThroughputExceeded"])
    def test_a_throttled_transaction_is_left_to_the_message(self, code: str) -> None:
        made, pauses = store(Scripted(Canceled("None", code)))
        with pytest.raises(Canceled):
            made.apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])
        assert pauses == []


def reads(count: int) -> Any:
    """An answer of BatchGetItem that has so many of the items, the last ones first, and leaves the others."""

    def answer(keys: list[Any]) -> dict[str, Any]:
        left = {"table": {"Keys": keys[count:]}} if keys[count:] else {}
        return {"Responses": {"table": keys[:count][::-1]}, "UnprocessedKeys": left}

    return answer


class TestReadingMany:
    def test_a_hundred_are_read_in_a_call_each_once_and_in_the_order_of_the_ids(self) -> None:
        client = Scripted(reads(100), reads(100), reads(100))
        made, pauses = store(client)
        ids = [f"r-{at}" for at in range(230)]

        assert list(made.calls.batch_get([*ids, *ids[:9]])) == ids
        assert [len(asked) for asked in client.asked] == [100, 100, 30]
        assert made.spent.reads == 3
        assert pauses == []

    def test_what_dynamodb_leaves_unread_is_asked_for_again_after_a_pause(self) -> None:
        client = Scripted(reads(2), reads(1), reads(9))
        made, pauses = store(client)

        assert list(made.calls.batch_get("abcde")) == [*"abcde"]
        assert client.asked == [[*"abcde"], [*"cde"], [*"de"]]
        assert pauses == [BATCH_PAUSES[0]] * 2

    def test_while_it_reads_none_the_pauses_grow_and_end_in_an_error(self) -> None:
        client = Scripted(*[reads(0)] * 20)
        made, pauses = store(client)

        with pytest.raises(FluxioError, match="answered none of 2 runs of table table in 8 tries"):
            made.calls.batch_get("ab")
        assert pauses == [*BATCH_PAUSES]


class TestRefusals:
    def test_a_transaction_refused_by_the_run_itself_brings_the_run(self) -> None:
        client = Scripted(Canceled("ConditionalCheckFailed", "ConditionalCheckFailed", Item=STORED))
        written = store(client)[0].apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])
        assert (written.applied, written.run) == (False, run_item.run_from_item(STORED))
        assert client.calls == ["transact_write_items"]

    def test_a_transaction_refused_by_a_users_condition_says_which(self) -> None:
        client = Scripted(Canceled("None", "None", "ConditionalCheckFailed"))
        with pytest.raises(
            TransactionFailed, match="operation 2: ConditionalCheckFailed"
        ) as caught:
            store(client)[0].apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE, MINE])
        assert not isinstance(caught.value, TransactionInvalid)
        assert caught.value.reasons == ("", "ConditionalCheckFailed")

    @pytest.mark.parametrize("code", ["ValidationException", "SerializationException"])
    def test_an_operation_that_can_never_pass_is_told_apart(self, code: str) -> None:
        error = ClientError({"Error": {"Code": code, "Message": "no"}}, "TransactWriteItems")
        with pytest.raises(TransactionInvalid, match=code):
            store(Scripted(error))[0].apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])

    @pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException"])
    def test_what_a_deploy_brings_within_a_minute_is_left_to_the_steps_retry(
        self, code: str
    ) -> None:
        error = ClientError({"Error": {"Code": code, "Message": "no"}}, "TransactWriteItems")
        with pytest.raises(TransactionFailed, match=code) as caught:
            store(Scripted(error))[0].apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])
        assert not isinstance(caught.value, TransactionInvalid)

    def test_an_outage_is_nobodys_fault(self) -> None:
        error = ClientError({"Error": {"Code": "InternalServerError"}}, "TransactWriteItems")
        with pytest.raises(ClientError, match="InternalServerError"):
            store(Scripted(error))[0].apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])

    def test_a_refusal_brings_the_run_and_spares_the_read(self) -> None:
        client = Scripted(Refused(Item=STORED))
        written = store(client)[0].apply(RUN_ID, [CHANGES["complete"]], NOW)
        assert (written.applied, written.run) == (False, run_item.run_from_item(STORED))
        assert client.calls == ["update_item"]

    def test_a_refusal_without_the_run_is_followed_by_a_read(self) -> None:
        client = Scripted(Refused())
        written = store(client)[0].apply(RUN_ID, [CHANGES["complete"]], NOW)
        assert (written.applied, written.run) == (False, run_item.run_from_item(STORED))
        assert client.calls == ["update_item", "get_item"]


class TestSpent:
    """What calls cost, as DynamoDB counts it."""

    def test_table_and_indexes_are_told_apart(self) -> None:
        consumed = {
            "CapacityUnits": 5.0,
            "WriteCapacityUnits": 5.0,
            "Table": {"WriteCapacityUnits": 2.0},
            "GlobalSecondaryIndexes": {"due": {"WriteCapacityUnits": 3.0}},
        }
        client = Scripted(
            {"Attributes": STORED, "ConsumedCapacity": consumed},
            {"ConsumedCapacity": [consumed, consumed]},
            Refused(Item=STORED),
        )
        made, _ = store(client)
        made.apply(RUN_ID, [CHANGES["complete"]], NOW)
        assert (made.spent.write_units, made.spent.index_write_units) == (2, 3)
        made.apply(RUN_ID, [CHANGES["complete"]], NOW, [MINE])
        assert (made.spent.write_units, made.spent.index_write_units) == (6, 9)
        made.apply(RUN_ID, [CHANGES["complete"]], NOW)
        assert (made.spent.writes, made.spent.reads) == (3, 1)
