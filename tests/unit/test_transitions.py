"""The transition table, and the expressions that come of it."""

from __future__ import annotations

import re
from typing import Any

import pytest

from fluxio_client import RunStatus, StepStatus
from fluxio_protocol import changes as to
from fluxio_protocol.changes import Change
from fluxio_protocol.expression import expression
from fluxio_protocol.run import ENDED, Step
from fluxio_protocol.transitions import TABLE, Guard, IllegalTransition, Transition
from tests.golden.rows import CHANGES, CLAIM, EXPRESSIONS, GRAPH, NOT_COUNTED, NOW, RUN, WRITES

UPDATES = [row for row in TABLE.values() if row.name != "start"]


def arguments(*changes: Change, schema: int = 2) -> dict[str, Any]:
    return expression(changes, NOW, 90, schema).arguments()


#: Each write in runs of both schemas.
ALL = [(name, schema) for schema in (1, 2) for name in EXPRESSIONS[str(schema)]]


class TestTable:
    def test_every_row_has_an_example_here(self) -> None:
        assert CHANGES.keys() == TABLE.keys() - {"start"}
        assert all(change.row is TABLE[name] for name, change in CHANGES.items())

    def test_a_run_that_has_ended_is_moved_by_a_redrive_only(self) -> None:
        moving = {row.name for row in UPDATES if row.run_from & ENDED and row.run_to is not None}
        assert moving == {"redrive", "restart"}
        for final in (RunStatus.SUCCEEDED, RunStatus.COMPENSATED, RunStatus.CANCELLED):
            assert not any(final in row.run_from for row in UPDATES if row.run_to is not None)

    def test_a_step_that_succeeded_is_the_source_of_no_row(self) -> None:
        assert not any(StepStatus.SUCCEEDED in row.step_from for row in UPDATES)

    def test_what_takes_a_step_needs_a_running_run_and_counts_no_other(self) -> None:
        for row in UPDATES:
            if row.step_to is StepStatus.RUNNING:
                assert row.run_from == {RunStatus.RUNNING}

    def test_what_ends_an_attempt_is_fenced_or_asks_for_the_lease(self) -> None:
        for row in UPDATES:
            if row.step_from == {StepStatus.RUNNING} and row.step_to is not None:
                assert row.guards & {Guard.FENCE, Guard.LEASE_OVER}

    def test_what_an_attempt_has_done_is_recorded_whatever_became_of_the_run(self) -> None:
        for name in ("complete", "retry", "fail"):
            assert TABLE[name].run_from == {*RunStatus}

    def test_a_token_stays_on_an_ended_step(self) -> None:
        # By it a worker whose answer was lost knows its own write again.
        assert not any("token" in row.drops for row in UPDATES)

    def test_rows_that_close_are_those_that_end_or_park(self) -> None:
        closing = {row.name for row in UPDATES if row.closes}
        assert closing == {"finish", "fail_run", "expire", "park", "cancel"}

    @pytest.mark.parametrize("row", UPDATES, ids=lambda row: row.name)
    def test_every_row_reads_from_somewhere(self, row: Transition) -> None:
        assert row.run_from
        assert row.step_from or row.step_to is None

    def test_a_step_fails_only_in_the_run_that_its_worker_saw(self) -> None:
        # A redrive in between resets the FAILED steps it saw; one that fails behind its back stays FAILED.
        for row in UPDATES:
            if row.step_to is StepStatus.FAILED and not row.final:
                assert Guard.RUN_SEEN in row.guards or row.run_from == {RunStatus.RUNNING}


class TestExpressions:
    @pytest.mark.parametrize(("name", "schema"), ALL)
    def test_a_write_is_the_golden_one(self, name: str, schema: int) -> None:
        assert arguments(*WRITES[name], schema=schema) == EXPRESSIONS[str(schema)][name]

    def test_there_are_golden_ones_of_all_writes(self) -> None:
        assert EXPRESSIONS["2"].keys() == WRITES.keys()
        assert EXPRESSIONS["1"].keys() == WRITES.keys() - NOT_COUNTED

    @pytest.mark.parametrize(("name", "schema"), ALL)
    def test_every_placeholder_is_used_and_given(self, name: str, schema: int) -> None:
        made = arguments(*WRITES[name], schema=schema)
        text = made["ConditionExpression"] + " " + made["UpdateExpression"]
        assert {*re.findall(r"#\d+", text)} == made["ExpressionAttributeNames"].keys()
        assert {*re.findall(r":\d+", text)} == made["ExpressionAttributeValues"].keys()
        assert len({*made["ExpressionAttributeNames"].values()}) == len(
            made["ExpressionAttributeNames"]
        )

    @pytest.mark.parametrize(("name", "schema"), ALL)
    def test_no_attribute_is_touched_twice(self, name: str, schema: int) -> None:
        sets, _, removes = arguments(*WRITES[name], schema=schema)["UpdateExpression"].partition(
            " REMOVE "
        )
        parts = sets.removeprefix("SET ").split(",") if sets else []
        paths = [part.partition("=")[0] for part in parts] + (removes.split(",") if removes else [])
        assert len({*paths}) == len(paths)
        for one in paths:
            assert not any(other.startswith(f"{one}.") for other in paths)

    @pytest.mark.parametrize(("name", "schema"), ALL)
    def test_every_condition_names_the_status_it_moves_from(self, name: str, schema: int) -> None:
        # Without one, an update of a missing run would make an item of nothing.
        made = arguments(*WRITES[name], schema=schema)
        names = {of: alias for alias, of in made["ExpressionAttributeNames"].items()}
        assert re.search(rf"{names['status']}(=| IN )", made["ConditionExpression"])

    def test_a_fan_in_counts_what_the_same_write_completes(self) -> None:
        steps = {name: Step(name, StepStatus.RUNNING, 1) for name in ("a", "b")}
        changes = [to.complete(RUN, step, "t", "1", ("join",), NOW) for step in steps.values()]
        made = arguments(*changes, to.claim("join", CLAIM, first=True, total_deps=3), schema=1)
        names = made["ExpressionAttributeNames"]
        values = made["ExpressionAttributeValues"]
        counted = next(a for a, of in names.items() if of == "completed_deps")
        join = next(a for a, of in names.items() if of == "join")
        (asked,) = re.findall(rf"#\d+\.{join}\.{counted}=(:\d+)", made["ConditionExpression"])
        (added,) = re.findall(rf"{join}\.{counted}\+(:\d+)", made["UpdateExpression"])
        assert (values[asked], values[added]) == ({"N": "1"}, {"N": "2"})

    def test_rows_that_have_no_status_of_the_run_in_common_are_refused(self) -> None:
        with pytest.raises(IllegalTransition, match="the rows open, claim have no status"):
            arguments(CHANGES["open"], CHANGES["claim"])

    def test_a_step_that_is_no_root_cannot_be_taken_when_the_run_opens(self) -> None:
        with pytest.raises(IllegalTransition, match="step mine waits for other steps"):
            to.open_run("W", GRAPH, {"mine": CLAIM})
