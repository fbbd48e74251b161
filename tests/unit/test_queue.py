"""Nudges on the wire, and sending them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxio.steps import MAX_STEP_NAME
from fluxio_protocol.errors import MalformedNudge
from fluxio_protocol.queue import Nudge, Queue, QueueError

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("golden/nudges.json").read_text())


class TestNudge:
    @pytest.mark.parametrize("name", GOLDEN)
    def test_a_nudge_is_written_as_it_always_was(self, name: str) -> None:
        wire = GOLDEN[name]
        nudge = Nudge(**wire["nudge"])
        assert json.loads(nudge.to_json()) == wire["body"]
        assert (nudge.group_id, nudge.deduplication_id) == (wire["group"], wire["deduplication"])
        assert Nudge.from_json(json.dumps(wire["body"])) == nudge

    def test_fields_of_a_later_version_are_passed_over(self) -> None:
        assert Nudge.from_json('{"run_id": "r", "later": [1]}') == Nudge("r")

    @pytest.mark.parametrize(
        ("body", "message"),
        [
            ("", "the body is not JSON (Expecting value: line 1 column 1 (char 0))."),
            ("{", "the body is not JSON"),
            ("[" * 100_000, "the body is not JSON"),
            ("null", "the body is not a JSON object."),
            ('"run"', "the body is not a JSON object."),
            ("[]", "the body is not a JSON object."),
            ("{}", "the field 'run_id' is missing, or is no run id."),
            ('{"run_id": null}', "the field 'run_id' is missing, or is no run id."),
            ('{"run_id": 7}', "the field 'run_id' is missing, or is no run id."),
            ('{"run_id": "a b"}', "the field 'run_id' is missing, or is no run id."),
            ('{"run_id": {"card": "4111"}}', "the field 'run_id' is missing, or is no run id."),
            ('{"run_id": "r", "workflow": 7}', "the field 'workflow' is not of type str."),
            ('{"run_id": "r", "workflow": null}', "the field 'workflow' is not of type str."),
            ('{"run_id": "r", "step": []}', "the field 'step' is not of type str."),
            ('{"run_id": "r", "attempt": "1"}', "the field 'attempt' is not of type int."),
            ('{"run_id": "r", "attempt": true}', "the field 'attempt' is not of type int."),
            ('{"run_id": "r", "attempt": 1.5}', "the field 'attempt' is not of type int."),
            ('{"run_id": "r", "occasion": 1}', "the field 'occasion' is not of type str."),
            (
                '{"run_id": "r", "input": {}}',
                "the field 'workflow' is missing, or names no workflow.",
            ),
            (
                '{"run_id": "r", "workflow": "card 4111", "input": {}}',
                "the field 'workflow' is missing, or names no workflow.",
            ),
            (
                '{"run_id": "r", "workflow": "W", "input": ["4111"]}',
                "the field 'input' is not a JSON object.",
            ),
            (
                '{"run_id": "r", "workflow": "W", "input": {"a": 1e999}}',
                "the field 'input' cannot be stored as JSON",
            ),
            (
                json.dumps({"run_id": "r", "workflow": "W", "input": {"a": "x" * 390_001}}),
                "the field 'input' is 390,009 bytes of JSON",
            ),
        ],
    )
    def test_what_is_no_nudge_gets_one_clear_error(self, body: str, message: str) -> None:
        with pytest.raises(MalformedNudge) as caught:
            Nudge.from_json(body)
        assert str(caught.value).startswith(message)
        assert "4111" not in str(caught.value)

    def test_signals_of_a_run_wait_for_none_of_each_others_messages(self) -> None:
        first, second = (Nudge("r", "W", occasion=f"signal:{name}") for name in ("paid", "sent"))
        assert first.group_id != second.group_id

    def test_ids_of_the_longest_names_fit_sqs(self) -> None:
        longest = Nudge("r" * 64, "W" * 64, "s" * MAX_STEP_NAME, 101)
        for nudge in (
            longest,
            longest._replace(occasion="again:AbCdEf12"),
            longest._replace(occasion="blocked:6b49d200:f"),
            longest._replace(step=None, attempt=1, occasion="sweep:1800000000000"),
        ):
            assert len(nudge.group_id) <= 128
            assert len(nudge.deduplication_id) <= 128


class Half:
    """An SQS that accepts only some entries of each batch."""

    def __init__(self, accepts: int) -> None:
        self._accepts = accepts
        self.batches: list[list[str]] = []
        self.accepted: list[str] = []

    def send_message_batch(self, QueueUrl: str, Entries: list[dict[str, Any]]) -> dict[str, Any]:  # noqa: N803
        ids = [entry["MessageDeduplicationId"] for entry in Entries]
        self.batches.append(ids)
        self.accepted += ids[: self._accepts]
        failed = Entries[self._accepts :]
        return {
            "Failed": [{"Id": e["Id"], "Code": "InternalError", "Message": "x"} for e in failed]
        }


class TestSending:
    def test_nudges_go_in_batches_of_ten_and_in_order(self) -> None:
        sqs = Half(accepts=10)
        queue = Queue(sqs, "url")
        nudges = [Nudge("r", "W", f"s{at}") for at in range(23)]
        queue.send(nudges)
        assert [len(batch) for batch in sqs.batches] == [10, 10, 3]
        assert sqs.accepted == [nudge.deduplication_id for nudge in nudges]
        assert queue.sent == 23

    def test_no_nudges_no_call(self) -> None:
        sqs = Half(accepts=10)
        Queue(sqs, "url").send([])
        assert sqs.batches == []

    def test_entries_that_were_not_accepted_are_sent_again(self) -> None:
        sqs = Half(accepts=2)
        queue = Queue(sqs, "url")
        queue.send([Nudge("r", "W", f"s{at}") for at in range(5)])
        assert [len(batch) for batch in sqs.batches] == [5, 3, 1]
        assert len({*sqs.accepted}) == len(sqs.accepted) == queue.sent == 5

    def test_what_is_never_accepted_is_an_error_that_says_how_many(self) -> None:
        sqs = Half(accepts=1)
        queue = Queue(sqs, "url")
        with pytest.raises(
            QueueError, match="did not accept 2 of 5 messages after 3 tries: Internal"
        ):
            queue.send([Nudge("r", "W", f"s{at}") for at in range(5)])
        assert queue.sent == 3
