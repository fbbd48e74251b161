"""SQS: groups, visibility, deduplication, receipt handles."""

from __future__ import annotations

from contextlib import suppress

import pytest
from botocore.exceptions import ClientError

from tests.simulation.conformance.backend import Backend, check


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


@check
def a_queue_that_is_not_there_is_told_of_by_name(at: Backend) -> None:
    with pytest.raises(at.sqs.exceptions.QueueDoesNotExist):
        at.receive(queue_url=f"{at.queue_url.removesuffix('.fifo')}-none.fifo")
