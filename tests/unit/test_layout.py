"""How a run becomes an item and an item a run, and what may be stored at all."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fluxio_client import Failure, InvalidInput, PayloadError, RunStatus, StepStatus
from fluxio_protocol import layout, run_item

GOLDEN = json.loads(Path(__file__).parents[1].joinpath("golden/run_items_1.json").read_text())


class Model(BaseModel):
    at: date


@dataclass
class Data:
    n: int


class TestGoldenItems:
    """Items that a worker wrote are read for ever; tests/moto shows that a worker writes them so."""

    def test_a_run_that_succeeded(self) -> None:
        run = run_item.run_from_item(GOLDEN["succeeded"])
        assert (run.run_id, run.workflow, run.status) == (
            "wf-000000000001",
            "Golden",
            RunStatus.SUCCEEDED,
        )
        assert (run.input, run.result, run.error) == ({"n": 1}, {"last": 3}, None)
        assert (run.created_at, run.ended_at, run.duration) == (
            1_800_000_000_000,
            1_800_000_001_000,
            1.0,
        )
        assert run.ended
        assert run.wake_at is None
        first = run.steps["first"]
        assert (first.status, first.attempt, first.output) == (StepStatus.SUCCEEDED, 1, {"x": 2})
        assert (first.token, first.owner, first.lease_until) == ("token-1", None, None)

    def test_a_run_under_way(self) -> None:
        run = run_item.run_from_item(GOLDEN["running"])
        assert (run.status, run.ended, run.parked) == (RunStatus.RUNNING, False, False)
        assert run.wake_at == 1_800_000_300_000
        assert (run.result, run.ended_at, run.duration) == (None, None, None)
        second = run.steps["second"]
        assert (second.status, second.owner, second.token) == (StepStatus.RUNNING, "", "token-1")
        assert second.lease_until == 1_800_000_001_000 + 40_000
        assert (run.steps["third"].completed_deps, run.steps["third"].total_deps) == (0, 1)

    def test_a_run_that_failed(self) -> None:
        run = run_item.run_from_item(GOLDEN["failed"])
        failure = Failure("ValueError", "no such card", "second", 1)
        assert (run.status, run.error) == (RunStatus.FAILED, failure)
        assert run.steps["second"].error == failure
        assert run.steps["third"].status is StepStatus.PENDING

    @pytest.mark.parametrize("name", ["succeeded", "running", "failed"])
    def test_an_item_is_short_and_its_values_are_strings_numbers_and_maps(self, name: str) -> None:
        def kinds(value: dict[str, Any]) -> set[str]:
            ((kind, content),) = value.items()
            inner = content.values() if kind == "M" else ()
            return {kind}.union(*map(kinds, inner))

        item = GOLDEN[name]
        assert set().union(*map(kinds, item.values())) == {"S", "N", "M"}
        assert len(json.dumps({n: layout.plain(v) for n, v in item.items()})) < 1_024


class TestEncode:
    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "null"),
            ({"b": 1, "a": [1.5, True]}, '{"b":1,"a":[1.5,true]}'),
            ("é😀", '"é😀"'),
            ({1: "int key"}, '{"1":"int key"}'),
            (Model(at=date(2030, 1, 2)), '{"at":"2030-01-02"}'),
            ({"data": [Data(3)]}, '{"data":[{"n":3}]}'),
            (datetime(2030, 1, 2, tzinfo=timezone.utc), '"2030-01-02T00:00:00Z"'),
            (Decimal("1.10"), '"1.10"'),
            (StepStatus.FAILED, '"FAILED"'),
            ((1, 2), "[1,2]"),
            (b"bytes", '"bytes"'),
        ],
    )
    def test_a_value_becomes_json_text(self, value: object, text: str) -> None:
        assert layout.encode(value, "the output") == text

    @pytest.mark.parametrize(
        "value",
        [
            object(),
            {"x": object()},
            float("nan"),
            [float("-inf")],
            "\ud800",
            {(1, 2): 3},
            lambda: 0,
        ],
    )
    def test_what_cannot_be_json_is_an_error_that_names_it(self, value: object) -> None:
        with pytest.raises(PayloadError, match=r"^the output of a cannot be stored as JSON.*: "):
            layout.encode(value, "the output of a")

    def test_the_error_names_the_place_of_what_cannot_be_json(self) -> None:
        with pytest.raises(PayloadError, match=r"\(at \['items'\]\[1\]\['price'\]\): Out of range"):
            layout.encode({"items": [{"price": 1}, {"price": float("nan")}]}, "the output of a")

    def test_a_value_that_holds_itself(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        with pytest.raises(PayloadError, match="cannot be stored as JSON"):
            layout.encode(loop, "the output")

    def test_a_value_that_is_nested_too_deep(self) -> None:
        deep: list[Any] = []
        for _ in range(100_000):
            deep = [deep]
        with pytest.raises(PayloadError, match="cannot be stored as JSON"):
            layout.encode(deep, "the output")

    def test_the_limit_is_counted_in_bytes(self) -> None:
        assert len(layout.encode("é" * 194_999, "x").encode()) == layout.PAYLOAD_BYTES
        with pytest.raises(PayloadError, match="x is 390,002 bytes of JSON; at most 390,000 fit"):
            layout.encode("é" * 195_000, "x")

    def test_what_is_short_stays_in_the_run_item(self) -> None:
        assert layout.fits_inline("x" * layout.INLINE_BYTES)
        assert not layout.fits_inline("x" * (layout.INLINE_BYTES + 1))
        assert not layout.fits_inline("é" * (layout.INLINE_BYTES // 2 + 1))


class TestWire:
    @pytest.mark.parametrize("value", ["", "text", 0, -5, 10**15, {"a": {"b": "c"}, "n": 1}, {}])
    def test_a_value_comes_back_as_it_was(self, value: Any) -> None:
        assert layout.plain(layout.value(value)) == value

    @pytest.mark.parametrize("value", [1.5, None, [1], b"x"])
    def test_other_kinds_are_no_attributes_of_a_run(self, value: Any) -> None:
        with pytest.raises(TypeError):
            layout.value(value)

    def test_a_kind_that_a_later_version_may_write_is_passed_through(self) -> None:
        assert layout.plain({"SS": ["a"]}) == ["a"]


class TestNames:
    @pytest.mark.parametrize("run_id", ["a", "0", "wf-0123456789ab", "A.b_c:d-1", "x" * 64])
    def test_ids_that_can_be(self, run_id: str) -> None:
        assert layout.check_run_id(run_id) == run_id

    @pytest.mark.parametrize("run_id", [None, 7, b"wf-1"])
    def test_what_is_no_string_is_no_id_and_is_not_repeated(self, run_id: object) -> None:
        with pytest.raises(InvalidInput, match=f"is a {type(run_id).__name__}, not a string"):
            layout.check_run_id(run_id)

    @pytest.mark.parametrize("run_id", ["", "-a", ".a", "a b", "a/b", "a#b", "é", "x" * 65, "a\n"])
    def test_ids_that_cannot(self, run_id: str) -> None:
        with pytest.raises(InvalidInput, match="use 1 to 64 letters, digits"):
            layout.check_run_id(run_id)

    @pytest.mark.parametrize("name", ["W", "_w", "a.b-c_1", "x" * 64])
    def test_workflows_that_can_be(self, name: str) -> None:
        assert layout.check_workflow(name) == name

    @pytest.mark.parametrize("name", ["", "1W", "-w", "a b", "a#b", "a:b", "x" * 65, "W\n", None])
    def test_workflows_that_cannot(self, name: object) -> None:
        with pytest.raises(InvalidInput, match="use 1 to 64 letters, digits"):
            layout.check_workflow(name)

    def test_shards_spread_and_stay(self) -> None:
        shards = [layout.shard(f"wf-{at:012x}") for at in range(1_000)]
        assert {*shards} == {*range(layout.SHARDS)}
        assert max(map(shards.count, {*shards})) < 250
        assert layout.shard("wf-0123456789ab") == 0, "runs stay where they were listed"


class TestFailure:
    @pytest.mark.parametrize("text", ["x", "\x00", "é", "€", "😀", '"', "a\n", "x😀\x1b"])
    @pytest.mark.parametrize("times", [99, 100, 101, 399, 400, 401, 100_000])
    def test_type_and_message_take_so_many_bytes_of_json_whatever_they_say(
        self, text: str, times: int
    ) -> None:
        failure = Failure(text * times, text * times, "s", 1)
        stored = failure.to_json()
        read = Failure.from_json(stored)
        for said, kept, most in (
            (failure.type, read.type, Failure.MAX_TYPE),
            (failure.message, read.message, Failure.MAX_MESSAGE),
        ):
            size = len(json.dumps(kept, ensure_ascii=False).encode()) - 2
            assert size <= most
            if kept != said:
                assert kept.endswith("…")
                assert said.startswith(kept[:-1])
                assert most - 10 < size, "no more is cut than must be"
        assert read.to_json() == stored, "a worker knows its own write again by what was stored"

    def test_what_fits_is_not_cut(self) -> None:
        failure = Failure("E" * Failure.MAX_TYPE, "x" * Failure.MAX_MESSAGE)
        assert Failure.from_json(failure.to_json()) == failure

    def test_it_reads_as_a_sentence(self) -> None:
        assert str(Failure("KeyError", "'a'", "s", 2)) == "step s (attempt 2): KeyError: 'a'"
        assert str(Failure("UnknownWorkflow", "no W")) == "UnknownWorkflow: no W"

    @pytest.mark.parametrize("failure", [Failure("E", "m"), Failure("E", "m", "s", 3)])
    def test_it_comes_back_as_it_was(self, failure: Failure) -> None:
        assert Failure.from_json(failure.to_json()) == failure
