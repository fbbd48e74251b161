"""What the simulation takes DynamoDB and SQS to do, as one suite for every stand-in of them.

Each check is handed clients, a table with the module's indexes, and a FIFO queue with the module's settings.
It runs against the stand-in in this package, against moto (tests/moto) and against MiniStack (tests/emulator);
a backend skips only what it is known not to do, and says so. Time passes by long polls alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError

Item = dict[str, dict[str, Any]]


@dataclass
class Backend:
    """A stand-in for the two services. The queue's visibility is long, maxReceiveCount is 10."""

    dynamodb: Any
    sqs: Any
    table: str
    queue_url: str
    dlq_url: str
    _numbers: Any = field(default_factory=count)

    def fresh(self, name: str = "c") -> str:
        """A name that no other check uses."""
        return f"{name}-{next(self._numbers)}"

    # --- DynamoDB in short

    def key(self, pk: str) -> Item:
        return {"pk": {"S": pk}, "sk": {"S": "run"}}

    def put(self, pk: str, **attributes: Any) -> Item:
        item = self.key(pk) | {name: wire(value) for name, value in attributes.items()}
        self.dynamodb.put_item(TableName=self.table, Item=item)
        return item

    def get(self, pk: str) -> Item | None:
        answer = self.dynamodb.get_item(TableName=self.table, Key=self.key(pk), ConsistentRead=True)
        found: Item | None = answer.get("Item")
        return found

    def update(
        self, pk: str, update: str, condition: str | None = None, **more: Any
    ) -> dict[str, Any]:
        arguments = self.updating(pk, update, condition, **more)
        answer: dict[str, Any] = self.dynamodb.update_item(ReturnValues="ALL_NEW", **arguments)
        return answer

    def updating(
        self, pk: str, update: str, condition: str | None = None, **more: Any
    ) -> dict[str, Any]:
        """The arguments of an update: values by name, names as they stand in the expressions."""
        arguments: dict[str, Any] = {
            "TableName": self.table,
            "Key": self.key(pk),
            "UpdateExpression": update,
            "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
        }
        if condition is not None:
            arguments["ConditionExpression"] = condition
        names = more.pop("names", None)
        if names is not None:
            arguments["ExpressionAttributeNames"] = names
        if more:
            arguments["ExpressionAttributeValues"] = {
                f":{name}": wire(value) for name, value in more.items()
            }
        return arguments

    # --- SQS in short

    def send(self, group: str, *deduplication_ids: str, **more: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.sqs.send_message_batch(
            QueueUrl=self.queue_url,
            Entries=[
                {
                    "Id": str(at),
                    "MessageBody": f"{group}/{name}",
                    "MessageGroupId": group,
                    "MessageDeduplicationId": f"{group}/{name}",
                    **more,
                }
                for at, name in enumerate(deduplication_ids)
            ],
        )
        return answer

    def receive(self, most: int = 10, wait: int = 0, **more: Any) -> list[dict[str, Any]]:
        answer = self.sqs.receive_message(
            QueueUrl=more.pop("queue_url", self.queue_url),
            MaxNumberOfMessages=most,
            WaitTimeSeconds=wait,
            AttributeNames=["All"],
            MessageSystemAttributeNames=["All"],
            **more,
        )
        found: list[dict[str, Any]] = answer.get("Messages", [])
        return found

    def delete(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.sqs.delete_message(QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"])

    def hide(self, message: dict[str, Any], seconds: int) -> None:
        self.sqs.change_message_visibility(
            QueueUrl=self.queue_url,
            ReceiptHandle=message["ReceiptHandle"],
            VisibilityTimeout=seconds,
        )

    def empty(self) -> None:
        """Delete what other checks left."""
        while found := self.receive():
            self.delete(*found)


Check = Callable[[Backend], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    """Add a check to the suite."""
    CHECKS.append(function)
    return function


def run(one: Check, backend: Backend, cannot: dict[str, str]) -> None:
    """Run a check, or skip it for the reason why this backend fails it."""
    name = one.__name__
    unknown = cannot.keys() - {known.__name__ for known in CHECKS}
    assert not unknown, f"no such checks: {unknown}"
    if name in cannot:
        pytest.skip(cannot[name])
    backend.empty()
    one(backend)


def wire(value: Any) -> dict[str, Any]:
    """A Python value in DynamoDB's wire format."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int):
        return {"N": str(value)}
    return {"M": {name: wire(part) for name, part in value.items()}}


def refused(code: str) -> Any:
    """The call inside is answered with this error."""
    return pytest.raises(ClientError, match=code)


# --- DynamoDB: conditions


@check
def a_put_of_an_item_that_exists_is_refused_with_the_old_item(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="PENDING")
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.dynamodb.put_item(
            TableName=at.table,
            Item=at.key(pk),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.response["Item"] == old
    assert caught.value.response["Error"]["Code"] == "ConditionalCheckFailedException"
    assert at.get(pk) == old


@check
def an_update_answers_with_the_item_as_it_is_afterwards(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="PENDING", steps={"a": {"attempt": 0}})
    answer = at.update(
        pk,
        "SET #0=:running, #1.a.attempt=#1.a.attempt+:one REMOVE nothing",
        "#0=:pending",
        names={"#0": "status", "#1": "steps"},
        running="RUNNING",
        pending="PENDING",
        one=1,
    )
    new = old | {"status": {"S": "RUNNING"}, "steps": wire({"a": {"attempt": 1}})}
    assert answer["Attributes"] == new
    assert at.get(pk) == new


@check
def a_refused_update_changes_nothing_and_brings_the_item(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="RUNNING", steps={"a": {"token": "mine"}})
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.update(
            pk,
            "SET #0=:new",
            "#0=:other",
            names={"#0": "status"},
            new="SUCCEEDED",
            other="PENDING",
        )
    assert caught.value.response["Item"] == old
    assert at.get(pk) == old


@check
def a_refused_update_of_no_item_brings_none_and_makes_none(at: Backend) -> None:
    pk = at.fresh()
    with pytest.raises(at.dynamodb.exceptions.ConditionalCheckFailedException) as caught:
        at.update(pk, "SET #0=:new", "#0=:new", names={"#0": "status"}, new="SUCCEEDED")
    assert "Item" not in caught.value.response
    assert at.get(pk) is None


@check
def an_update_without_a_condition_makes_the_item(at: Backend) -> None:
    pk = at.fresh()
    assert at.update(pk, "ADD balance :one", one=1)["Attributes"]["balance"] == {"N": "1"}
    assert at.update(pk, "ADD balance :one", one=1)["Attributes"]["balance"] == {"N": "2"}


@check
def conditions_are_read_from_the_item_before_the_write(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"done": 1, "wanted": 2}})
    at.update(
        pk,
        "SET steps.a.done=steps.a.done+:one, steps.a.taken=:one",
        "steps.a.done=:one",
        one=1,
    )
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET steps.a.taken=:two", "steps.a.done=:one", one=1, two=2)
    item = at.get(pk)
    assert item is not None
    assert item["steps"] == wire({"a": {"done": 2, "wanted": 2, "taken": 1}})


@check
def right_sides_are_read_from_the_item_before_the_write(at: Backend) -> None:
    at.put(pk := at.fresh(), uno="1", due_="2")
    found = at.update(pk, "SET uno=due_, due_=uno")["Attributes"]
    assert (found["uno"], found["due_"]) == ({"S": "2"}, {"S": "1"})


@check
def two_attributes_are_compared_with_each_other(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"done": 1, "wanted": 2}})
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:yes", "steps.a.done=steps.a.wanted", yes=1)
    at.update(pk, "SET steps.a.done=:two", two=2)
    at.update(pk, "SET taken=:yes", "steps.a.done=steps.a.wanted", yes=1)


@check
def what_is_not_there_compares_as_false(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    for condition in (
        "steps.a.lease_until<=:now",
        "steps.b.attempt=:now",
        "steps.a.attempt.deeper=:now",
        "absent IN (:now)",
        "attribute_exists(steps.b)",
    ):
        with refused("ConditionalCheckFailed"):
            at.update(pk, "SET taken=:now", condition, now=9)
    at.update(
        pk,
        "SET taken=:now",
        "(attribute_not_exists(steps.a.not_before) OR steps.a.not_before<=:now)",
        now=9,
    )


@check
def values_of_two_types_are_never_equal(at: Backend) -> None:
    at.put(pk := at.fresh(), number=1)
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:one", "#0=:one", names={"#0": "number"}, one="1")


@check
def numbers_compare_by_value_and_not_as_text(at: Backend) -> None:
    at.put(pk := at.fresh(), wake=9)
    at.update(pk, "SET taken=:later", "wake<=:later", later=10)
    with refused("ConditionalCheckFailed"):
        at.update(pk, "SET taken=:later", "wake>:later", later=10)


@check
def in_and_and_or_and_not_mean_what_they_say(at: Backend) -> None:
    at.put(pk := at.fresh(), status="PENDING", number=5)
    names = {"#0": "status"}
    more: dict[str, Any] = {"a": "PENDING", "b": "RUNNING", "five": 5, "names": names}
    for holds, condition in (
        (True, "#0 IN (:a,:b) AND #n=:five"),
        (False, "#0 IN (:b,:b) AND #n=:five OR NOT #0=:a"),
        (True, "#0=:b AND #n=:five OR #0=:a"),
        (False, "#0=:b AND (#n=:five OR #0=:a)"),
        (True, "NOT #0=:b AND #n BETWEEN :five AND :five AND #0<>:b AND #0=:a"),
    ):
        used = {part: value for part, value in more.items() if f":{part}" in condition}
        arguments = at.updating(
            pk, "SET seen=#0", condition, names=names | {"#n": "number"}, **used
        )
        if holds:
            at.dynamodb.update_item(**arguments)
        else:
            with refused("ConditionalCheckFailed"):
                at.dynamodb.update_item(**arguments)


# --- DynamoDB: updates that are refused


@check
def paths_that_overlap_are_refused(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    for update in (
        "SET steps=:m, steps.a.attempt=:m",
        "SET steps.a.attempt=:m REMOVE steps.a.attempt",
        "SET steps.a.attempt=:m REMOVE steps.a",
        "SET one=:m, one=:m",
    ):
        with refused("ValidationException"):
            at.update(pk, update, m=1)


@check
def nothing_is_set_under_a_map_that_is_not_there(at: Backend) -> None:
    old = at.put(pk := at.fresh(), status="RUNNING")
    for update in ("SET steps.a=:m", "SET #0.a=:m"):
        with refused("ValidationException"):
            at.update(pk, update, m=1, **({"names": {"#0": "status"}} if "#" in update else {}))
    assert at.get(pk) == old


@check
def nothing_is_removed_under_a_map_that_is_not_there(at: Backend) -> None:
    at.put(pk := at.fresh(), status="RUNNING")
    with refused("ValidationException"):
        at.update(pk, "REMOVE steps.a")


@check
def what_is_not_there_may_be_removed_from_a_map_that_is(at: Backend) -> None:
    at.put(pk := at.fresh(), steps={"a": {"attempt": 1}})
    found = at.update(pk, "REMOVE steps.a.holder, held")["Attributes"]
    assert found["steps"] == wire({"a": {"attempt": 1}})


@check
def arithmetic_needs_a_number_on_both_sides(at: Backend) -> None:
    old = at.put(pk := at.fresh(), text="1")
    for update in ("SET absent=absent+:one", "SET sum_of=#0+:one"):
        with refused("ValidationException"):
            at.update(pk, update, one=1, **({"names": {"#0": "text"}} if "#" in update else {}))
    assert at.get(pk) == old


@check
def every_value_and_name_that_is_given_is_used(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET uno=:one", one=1, two=2)
    with refused("ValidationException"):
        at.update(pk, "SET #0=:one", names={"#0": "a", "#1": "b"}, one=1)


@check
def every_value_and_name_that_is_used_is_given(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET #0=:one", one=1)
    with refused("ValidationException"):
        at.update(pk, "SET uno=:one, due_=:two", one=1)


@check
def the_key_is_not_updated(at: Backend) -> None:
    at.put(pk := at.fresh())
    with refused("ValidationException"):
        at.update(pk, "SET sk=:other", other="other")


@check
def an_expression_of_more_than_4096_bytes_is_refused(at: Backend) -> None:
    at.put(pk := at.fresh())
    long = ",".join(f"{'a' * 40}{number}=:one" for number in range(90))
    assert 4096 < len(f"SET {long}") < 4600
    with refused("ValidationException"):
        at.update(pk, f"SET {long}", one=1)


@check
def an_item_of_more_than_400_kb_is_refused(at: Backend) -> None:
    pk = at.fresh()
    with refused("ValidationException"):
        at.put(pk, payload="x" * 410_000)
    old = at.put(pk, payload="x" * 399_000)
    with refused("ValidationException"):
        at.update(pk, "SET more=:more", more="x" * 12_000)
    assert at.get(pk) == old


@check
def an_attribute_of_the_wrong_type_for_an_index_is_refused(at: Backend) -> None:
    with refused("ValidationException"):
        at.put(at.fresh(), due="a string")


# --- DynamoDB: transactions


@check
def a_transaction_does_all_or_nothing_and_says_why(at: Backend) -> None:
    run, entry, account = at.fresh(), at.fresh(), at.fresh()
    old = at.put(run, status="RUNNING")
    at.put(account, balance=5)
    updating = at.updating(
        run, "SET #0=:done", "#0=:running", names={"#0": "status"}, done="D", running="RUNNING"
    )
    more = [
        {"Put": {"TableName": at.table, "Item": at.key(entry)}},
        {"Update": at.updating(account, "ADD balance :ten", "balance>:ten", ten=10)},
    ]
    with pytest.raises(at.dynamodb.exceptions.TransactionCanceledException) as caught:
        at.dynamodb.transact_write_items(TransactItems=[{"Update": updating}, *more])
    reasons = caught.value.response["CancellationReasons"]
    assert [reason["Code"] for reason in reasons] == ["None", "None", "ConditionalCheckFailed"]
    assert reasons[2]["Item"]["balance"] == {"N": "5"}
    assert at.get(run) == old
    assert at.get(entry) is None
    at.update(account, "SET balance=:enough", enough=11)
    at.dynamodb.transact_write_items(TransactItems=[{"Update": updating}, *more])
    assert at.get(entry) == at.key(entry)
    item = at.get(account)
    assert item is not None
    assert item["balance"] == {"N": "21"}


@check
def a_refused_transaction_brings_the_item_of_the_run(at: Backend) -> None:
    old = at.put(run := at.fresh(), status="SUCCEEDED")
    updating = at.updating(
        run, "SET #0=:done", "#0=:running", names={"#0": "status"}, done="D", running="RUNNING"
    )
    with pytest.raises(at.dynamodb.exceptions.TransactionCanceledException) as caught:
        at.dynamodb.transact_write_items(
            TransactItems=[
                {"Update": updating},
                {"Put": {"TableName": at.table, "Item": at.key(at.fresh())}},
            ]
        )
    reasons = caught.value.response["CancellationReasons"]
    assert (reasons[0]["Code"], reasons[0]["Item"]) == ("ConditionalCheckFailed", old)


@check
def a_transaction_checks_and_deletes(at: Backend) -> None:
    checked, gone = at.fresh(), at.fresh()
    at.put(checked, open=1)
    at.put(gone)
    condition = {
        "TableName": at.table,
        "Key": at.key(checked),
        "ConditionExpression": "#0=:one",
        "ExpressionAttributeNames": {"#0": "open"},
        "ExpressionAttributeValues": {":one": {"N": "1"}},
    }
    deletion = {"TableName": at.table, "Key": at.key(gone)}
    at.dynamodb.transact_write_items(
        TransactItems=[{"ConditionCheck": condition}, {"Delete": deletion}]
    )
    assert at.get(gone) is None


@check
def a_transaction_touches_an_item_once(at: Backend) -> None:
    put = {"Put": {"TableName": at.table, "Item": at.key(at.fresh())}}
    with refused("ValidationException"):
        at.dynamodb.transact_write_items(TransactItems=[put, put])


@check
def a_transaction_that_does_not_fit_an_item_is_cancelled_for_that(at: Backend) -> None:
    at.put(account := at.fresh(), balance="not a number")
    with pytest.raises(at.dynamodb.exceptions.TransactionCanceledException) as caught:
        at.dynamodb.transact_write_items(
            TransactItems=[
                {"Put": {"TableName": at.table, "Item": at.key(at.fresh())}},
                {"Update": at.updating(account, "SET balance=balance+:one", one=1)},
            ]
        )
    codes = [reason["Code"] for reason in caught.value.response["CancellationReasons"]]
    assert codes == ["None", "ValidationError"]
    # https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_CancellationReason.html


@check
def a_transaction_sent_again_with_its_token_is_done_once(at: Backend) -> None:
    account, token = at.fresh(), uuid4().hex
    for _ in range(2):
        at.dynamodb.transact_write_items(
            TransactItems=[{"Update": at.updating(account, "ADD balance :one", one=1)}],
            ClientRequestToken=token,
        )
    item = at.get(account)
    assert item is not None
    assert item["balance"] == {"N": "1"}


# --- DynamoDB: reads


@check
def an_index_shows_what_has_its_keys_in_the_order_of_its_range(at: Backend) -> None:
    due = 1000 + next(at._numbers)
    names = [at.fresh(f"i{number}") for number in range(5)]
    for number, pk in enumerate(names):
        at.put(pk, due=due, wake_at=100 - number, status="RUNNING")
    at.update(names[2], "REMOVE due")
    query: dict[str, Any] = {
        "TableName": at.table,
        "IndexName": "due",
        "KeyConditionExpression": "#due=:due AND wake_at<=:until",
        "ExpressionAttributeNames": {"#due": "due"},
        "ExpressionAttributeValues": {":due": wire(due), ":until": wire(99)},
    }
    expected = [
        at.key(names[number]) | {"due": wire(due), "wake_at": wire(100 - number)}
        for number in (4, 3, 1)
    ]
    assert at.dynamodb.query(**query)["Items"] == expected
    assert at.dynamodb.query(ScanIndexForward=False, **query)["Items"] == expected[::-1]
    first = at.dynamodb.query(Limit=2, **query)
    assert first["Items"] == expected[:2]
    second = at.dynamodb.query(Limit=2, ExclusiveStartKey=first["LastEvaluatedKey"], **query)
    assert second["Items"] == expected[2:]
    assert "LastEvaluatedKey" not in second


@check
def an_index_shows_the_attributes_it_projects_and_filters_what_it_read(at: Backend) -> None:
    shard = at.fresh("shard")
    names = [at.fresh() for _ in range(4)]
    for number, pk in enumerate(names):
        at.put(
            pk, workflow_shard=shard, created_at=number, status=f"S{number % 2}", input="private"
        )
    answer = at.dynamodb.query(
        TableName=at.table,
        IndexName="by_workflow",
        KeyConditionExpression="#hash=:hash AND #range BETWEEN :low AND :high",
        FilterExpression="#status=:status",
        ExpressionAttributeNames={
            "#hash": "workflow_shard",
            "#range": "created_at",
            "#status": "status",
        },
        ExpressionAttributeValues={
            ":hash": wire(shard),
            ":low": wire(0),
            ":high": wire(2),
            ":status": wire("S1"),
        },
        ScanIndexForward=False,
    )
    assert answer["Items"] == [
        at.key(names[1])
        | {"workflow_shard": wire(shard), "created_at": wire(1), "status": wire("S1")}
    ]


@check
def the_items_of_a_run_are_read_together(at: Backend) -> None:
    pk = at.fresh()
    for sk in ("run", "input", "out#b#1", "out#a#1"):
        at.dynamodb.put_item(TableName=at.table, Item={"pk": {"S": pk}, "sk": {"S": sk}})
    answer = at.dynamodb.query(
        TableName=at.table,
        KeyConditionExpression="pk=:pk",
        ExpressionAttributeValues={":pk": {"S": pk}},
        ConsistentRead=True,
    )
    found = [item["sk"]["S"] for item in answer["Items"]]
    assert found == ["input", "out#a#1", "out#b#1", "run"]


@check
def a_get_of_no_item_brings_none(at: Backend) -> None:
    answer = at.dynamodb.get_item(TableName=at.table, Key=at.key(at.fresh()), ConsistentRead=False)
    assert "Item" not in answer


# --- SQS


@check
def a_message_in_flight_holds_its_group_and_no_other(at: Backend) -> None:
    one, other = at.fresh("g"), at.fresh("g")
    at.send(one, "1")
    (held,) = at.receive()
    at.send(one, "2")
    at.send(other, "1")
    (found,) = at.receive()
    assert found["Body"] == f"{other}/1"
    at.delete(held, found)
    (found,) = at.receive()
    assert found["Body"] == f"{one}/2"


@check
def a_group_comes_in_the_order_it_was_sent(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "1", "2", "3")
    found = at.receive()
    assert [message["Body"] for message in found] == [f"{group}/{at}" for at in "123"]
    assert [message["Attributes"]["MessageGroupId"] for message in found] == [group] * 3


@check
def a_message_that_was_put_back_comes_first_and_counts(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "1", "2")
    (first,) = at.receive(1)
    at.hide(first, 0)
    found = at.receive()
    assert [message["Body"] for message in found] == [f"{group}/1", f"{group}/2"]
    assert found[0]["MessageId"] == first["MessageId"]
    assert found[0]["ReceiptHandle"] != first["ReceiptHandle"]
    counts = [message["Attributes"]["ApproximateReceiveCount"] for message in found]
    assert counts == ["2", "1"]


@check
def one_hidden_message_of_a_batch_holds_its_group(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "1", "2")
    one, other = at.receive()
    at.hide(one, 0)
    assert at.receive() == []
    at.hide(other, 0)
    assert len(at.receive()) == 2


@check
def a_message_comes_back_when_its_time_is_over(at: Backend) -> None:
    at.send(at.fresh("g"), "1")
    (first,) = at.receive(VisibilityTimeout=1)
    assert at.receive() == []
    (again,) = at.receive(wait=5)
    assert again["MessageId"] == first["MessageId"]
    (third,) = at.receive(VisibilityTimeout=30) or [again]
    at.hide(third, 1)
    assert len(at.receive(wait=5)) == 1


@check
def a_message_sent_again_within_five_minutes_is_dropped(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "1")
    assert not at.send(group, "1").get("Failed")
    assert len(at.receive()) == 1


@check
def a_message_sent_again_is_dropped_even_when_the_first_is_gone(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "1")
    at.delete(*at.receive())
    assert not at.send(group, "1").get("Failed")
    assert at.receive() == []


@check
def groups_do_not_share_their_deduplication(at: Backend) -> None:
    one, other = at.fresh("g"), at.fresh("g")
    at.send(one, "1", MessageDeduplicationId="same")
    at.send(other, "1", MessageDeduplicationId="same")
    assert len(at.receive()) == 2


@check
def an_old_receipt_handle_deletes_nothing(at: Backend) -> None:
    at.send(at.fresh("g"), "1")
    (first,) = at.receive()
    at.hide(first, 0)
    (second,) = at.receive()
    with suppress(ClientError):  # AWS says that it succeeds, MiniStack that the handle is invalid
        at.delete(first)
    at.hide(second, 0)
    assert len(at.receive()) == 1


@check
def an_old_receipt_handle_hides_nothing(at: Backend) -> None:
    at.send(at.fresh("g"), "1")
    (first,) = at.receive()
    at.hide(first, 0)
    at.receive()
    with pytest.raises(ClientError):
        at.hide(first, 0)
    assert at.receive() == []


@check
def the_eleventh_receipt_is_the_dead_letter_queue_s(at: Backend) -> None:
    group = at.fresh("g")
    at.send(group, "poison", "next")
    for received in range(1, 11):
        message = at.receive(1)[0]
        assert message["Body"] == f"{group}/poison"
        assert message["Attributes"]["ApproximateReceiveCount"] == str(received)
        at.hide(message, 0)
    (after,) = at.receive()
    assert after["Body"] == f"{group}/next"
    dead = at.receive(queue_url=at.dlq_url)
    assert f"{group}/poison" in [message["Body"] for message in dead]


@check
def a_deleted_message_stays_away(at: Backend) -> None:
    at.send(at.fresh("g"), "1")
    (message,) = at.receive(VisibilityTimeout=1)
    at.delete(message)
    assert at.receive(wait=2) == []


@check
def a_batch_takes_one_to_ten_entries_of_different_ids(at: Backend) -> None:
    group = at.fresh("g")
    with pytest.raises(ClientError):
        at.send(group)
    with pytest.raises(ClientError):
        at.send(group, *map(str, range(11)))
    with pytest.raises(ClientError):
        at.send(group, "1", "2", Id="same")
    assert at.receive() == []
    assert len(at.send(group, *map(str, range(10)))["Successful"]) == 10


@check
def a_message_is_hidden_for_twelve_hours_at_most(at: Backend) -> None:
    at.send(at.fresh("g"), "1")
    (message,) = at.receive()
    with pytest.raises(ClientError):
        at.hide(message, 43_201)


# --- table and queue as the module makes them


def create_table(dynamodb: Any, name: str) -> None:
    """The table with its indexes."""
    indexes = {
        "by_workflow": ("workflow_shard", "created_at", ["status", "ended_at"]),
        "due": ("due", "wake_at", None),
        "failed": ("failed", "ended_at", ["status", "created_at"]),
    }
    kinds = {"pk": "S", "sk": "S", "workflow_shard": "S", "created_at": "N", "due": "N"}
    kinds |= {"wake_at": "N", "failed": "S", "ended_at": "N"}
    dynamodb.create_table(
        TableName=name,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=_schema("pk", "sk"),
        AttributeDefinitions=[
            {"AttributeName": attribute, "AttributeType": kind} for attribute, kind in kinds.items()
        ],
        GlobalSecondaryIndexes=[
            {
                "IndexName": index,
                "KeySchema": _schema(hash_key, range_key),
                "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": projected}
                if projected
                else {"ProjectionType": "KEYS_ONLY"},
            }
            for index, (hash_key, range_key, projected) in indexes.items()
        ],
    )


def create_queues(sqs: Any, name: str) -> tuple[str, str]:
    """The queue and its dead-letter queue: their URLs."""
    dlq_url: str = sqs.create_queue(QueueName=f"{name}-dlq.fifo", Attributes={"FifoQueue": "true"})[
        "QueueUrl"
    ]
    described = sqs.get_queue_attributes(QueueUrl=dlq_url, AttributeNames=["QueueArn"])
    queue_url: str = sqs.create_queue(
        QueueName=f"{name}.fifo",
        Attributes={
            "FifoQueue": "true",
            "ContentBasedDeduplication": "false",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
            "VisibilityTimeout": "150",
            "RedrivePolicy": json.dumps(
                {
                    "deadLetterTargetArn": described["Attributes"]["QueueArn"],
                    "maxReceiveCount": 10,
                }
            ),
        },
    )["QueueUrl"]
    return queue_url, dlq_url


def _schema(hash_key: str, range_key: str) -> list[dict[str, str]]:
    return [
        {"AttributeName": hash_key, "KeyType": "HASH"},
        {"AttributeName": range_key, "KeyType": "RANGE"},
    ]
