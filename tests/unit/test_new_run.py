"""What a run keeps of the runs that its steps have started."""

from __future__ import annotations

import pytest

from fluxio_protocol import layout
from fluxio_protocol.new_run import (
    NewRun,
    StartedBy,
    started_before,
    started_ids,
    started_text,
)


def starts(*ids: str | None) -> list[NewRun]:
    """Runs with ids of their own, or (None) with derived ones."""
    by = [StartedBy("order-1", "pay", at, 5) for at in range(len(ids))]
    return [NewRun(of or by[at].derived_id(), "W", "{}", by[at]) for at, of in enumerate(ids)]


@pytest.mark.parametrize(
    ("ids", "text"),
    [
        ((None,), "*"),
        ((None, None, None), "*3"),
        (("a",), "a"),
        ((None, None, "order-7", None), "*2,order-7,*"),
        (("2", "a", None), "2,a,*"),
    ],
)
def test_ids_are_kept_in_few_bytes_and_read_as_they_were(
    ids: tuple[str | None, ...], text: str
) -> None:
    made = starts(*ids)
    assert started_text(made) == text
    assert started_ids(text, "order-1", "pay", 5) == tuple(new.run_id for new in made)


def test_of_what_has_no_room_the_number_is_kept() -> None:
    made = starts("a" * 60, None, "b" * 60, "c" * 60, None)
    text = started_text(made, room=100)
    assert text == f"{'a' * 60},*,?3"
    assert started_ids(text, "order-1", "pay", 5) == ("a" * 60, made[1].run_id, "?", "?", "?")


def test_however_many_rounds_start_runs_what_is_kept_of_them_stays_short() -> None:
    text = ""
    for round_ in range(10_000):
        by = StartedBy("order-1", "pay", 2 * round_, 5)
        chosen = NewRun(f"order-1.{round_}", "W", "{}", by)
        derived = by._replace(position=2 * round_ + 1)
        text = started_text(
            [chosen, NewRun(derived.derived_id(), "W", "{}", derived)], 1_000 - len(text), text
        )
    assert len(text) < 1_100
    assert started_before(text) == 20_000
    few = started_text(starts(None, "a", None, None))
    all_ids = started_ids(few, "order-1", "pay", 5)
    assert started_ids(few, "order-1", "pay", 5, 3) == all_ids[1:]


def test_derived_ids_differ_by_all_that_they_are_derived_from() -> None:
    by = StartedBy("order-1", "pay", 0, 5)
    others = [
        by._replace(run_id="order-2"),
        by._replace(step="ship"),
        by._replace(position=1),
        by._replace(created_at=6),
    ]
    ids = {each.derived_id() for each in [by, *others]}
    assert len(ids) == 5
    assert all(layout.check_run_id(one) for one in ids)


@pytest.mark.parametrize("text", ["", "a", "a/b", "a/b/c/d", "a/b/0", "later form"])
def test_what_a_later_version_wrote_otherwise_is_passed_over(text: str) -> None:
    assert StartedBy.from_text(text) is None


def test_what_started_a_run_is_read_as_it_was_written() -> None:
    by = StartedBy("order:1.a_b-c", "pay", 3, 1_800_000_000_000)
    assert StartedBy.from_text(by.to_text()) == by
