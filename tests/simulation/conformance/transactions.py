"""DynamoDB: transactions."""

from __future__ import annotations

from uuid import uuid4

import pytest

from tests.simulation.conformance.backend import Backend, check, refused


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
def a_transaction_writes_to_tables_with_other_keys(at: Backend) -> None:
    if at.new_table is None:
        pytest.skip("it has fluxio's table alone")
    run, payments, days = at.fresh(), at.fresh("payments"), at.fresh("days")
    at.new_table(payments, ("order_id",))
    at.new_table(days, ("shop", "day"))
    at.put(run, status="RUNNING")
    one, two = {"order_id": {"S": "o-1"}}, {"shop": {"S": "a"}, "day": {"S": "2030-01-02"}}
    add = {
        "UpdateExpression": "ADD cents :n",
        "ExpressionAttributeValues": {":n": {"N": "5"}},
    }
    for _ in range(2):
        at.dynamodb.transact_write_items(
            TransactItems=[
                {"Update": at.updating(run, "SET done=:yes", yes="y")},
                {"Update": {"TableName": payments, "Key": one, **add}},
                {"Update": {"TableName": days, "Key": two, **add}},
            ]
        )
    for table, key in ((payments, one), (days, two)):
        answer = at.dynamodb.get_item(TableName=table, Key=key, ConsistentRead=True)
        assert answer["Item"] == {**key, "cents": {"N": "10"}}


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
