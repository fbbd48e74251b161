"""DynamoDB: reads."""

from __future__ import annotations

from typing import Any

from tests.simulation.conformance.backend import Backend, check, refused, wire


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
        at.put(pk, failed=shard, ended_at=number, status=f"S{number % 2}", input="private")
    answer = at.dynamodb.query(
        TableName=at.table,
        IndexName="failed",
        KeyConditionExpression="#hash=:hash AND #range BETWEEN :low AND :high",
        FilterExpression="#status=:status",
        ExpressionAttributeNames={
            "#hash": "failed",
            "#range": "ended_at",
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
        at.key(names[1]) | {"failed": wire(shard), "ended_at": wire(1), "status": wire("S1")}
    ]


@check
def an_index_of_keys_shows_nothing_else(at: Backend) -> None:
    shard, pk = at.fresh("shard"), at.fresh()
    at.put(pk, workflow_shard=shard, created_at=1, status="RUNNING", ended_at=2)
    answer = at.dynamodb.query(
        TableName=at.table,
        IndexName="by_workflow",
        KeyConditionExpression="workflow_shard=:shard",
        ExpressionAttributeValues={":shard": wire(shard)},
    )
    assert answer["Items"] == [at.key(pk) | {"workflow_shard": wire(shard), "created_at": wire(1)}]


@check
def items_are_read_many_in_a_call_and_those_that_are_not_there_are_left_out(at: Backend) -> None:
    there, gone = [at.fresh() for _ in range(3)], at.fresh()
    for number, pk in enumerate(there):
        at.put(pk, status=f"S{number}", created_at=number, input="private")
    asked = {
        "Keys": [at.key(pk) for pk in (*there, gone)],
        "ProjectionExpression": "#0,#1,#2",
        "ExpressionAttributeNames": {"#0": "pk", "#1": "status", "#2": "ended_at"},
    }
    answer = at.dynamodb.batch_get_item(RequestItems={at.table: asked})
    found = sorted(answer["Responses"][at.table], key=lambda item: item["pk"]["S"])
    assert found == [
        {"pk": wire(pk), "status": wire(f"S{there.index(pk)}")} for pk in sorted(there)
    ]
    assert answer["UnprocessedKeys"] == {}


@check
def a_key_is_asked_for_once_in_a_call_that_reads_many(at: Backend) -> None:
    pk = at.fresh()
    at.put(pk, status="RUNNING")
    asked = {"Keys": [at.key(pk), at.key(pk)]}
    with refused("ValidationException"):
        at.dynamodb.batch_get_item(RequestItems={at.table: asked})


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


@check
def a_scan_of_an_index_goes_through_all_that_has_its_keys_page_after_page(at: Backend) -> None:
    shard, names = at.fresh("shard"), [at.fresh(f"s{number}") for number in range(5)]
    for number, pk in enumerate(names):
        at.put(pk, workflow_shard=shard, created_at=number, status="RUNNING")
    at.put(at.fresh(), workflow_shard=shard)
    scan: dict[str, Any] = {
        "TableName": at.table,
        "IndexName": "by_workflow",
        "FilterExpression": "#shard=:shard AND created_at>=:since",
        "ExpressionAttributeNames": {"#shard": "workflow_shard"},
        "ExpressionAttributeValues": {":shard": wire(shard), ":since": wire(2)},
        "Limit": 2,
    }
    found: list[str] = []
    while True:
        answer = at.dynamodb.scan(**scan)
        assert all(
            item.keys() == {"pk", "sk", *("workflow_shard", "created_at")}
            for item in answer["Items"]
        )
        found += [item["pk"]["S"] for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            break
        scan["ExclusiveStartKey"] = answer["LastEvaluatedKey"]
    assert sorted(found) == sorted(names[2:])
