"""The policy, rule by rule, on runs made by hand; and what holds for any run at all."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any, ClassVar, NamedTuple

import pytest

from fluxio.actions import (
    Ack,
    Action,
    Await,
    Execute,
    Nack,
    Pause,
    Read,
    Send,
    StoreOutput,
    StoreResult,
    Write,
)
from fluxio.claims import WAVE
from fluxio.commits import FOREIGN_PAUSE
from fluxio.decide import decide
from fluxio.hand import Hand, Succeeded
from fluxio.message import HOLD, RENEW_AFTER
from fluxio.outage import BLOCKED, LAST_MOMENT, LONGEST_PAUSE, repeat_at
from fluxio.plan import PATIENCE, Plan, Problem, StepPolicy
from fluxio_client import Failure, Run, RunStatus, Step, StepStatus
from fluxio_protocol.expression import expression
from fluxio_protocol.queue import Nudge
from tests.unit.views import (
    ME,
    MINUTES,
    NOW,
    OTHER,
    hand,
    pending,
    plan,
    raised,
    random_view,
    returned,
    run,
    running,
    succeeded,
)

CHAIN = plan({"a": (), "b": ("a",), "c": ("b",)})
FAN: dict[str, tuple[str, ...]] = {
    "a": (),
    "b1": ("a",),
    "b2": ("a",),
    "b3": ("a",),
    "end": ("b1", "b2", "b3"),
}


def decided(
    seen: Run | None,
    held: Hand,
    by: Plan | Problem | None = CHAIN,
    now: int = NOW,
    time_left: int = 10 * MINUTES,
) -> Action:
    return decide(seen, held, by, now, time_left)


def rows(action: Action) -> list[tuple[str, str | None]]:
    """The rows of a write and the steps they are applied to."""
    assert isinstance(action, Write)
    return [(change.row.name, change.step) for change in action.changes]


def sent(action: Action) -> list[tuple[str | None, int, str]]:
    assert isinstance(action, Send)
    return [(nudge.step, nudge.attempt, nudge.occasion) for nudge in action.nudges]


class TestFirstLook:
    """A fresh message spares the read: what it hopes for is tried at once."""

    def test_a_new_run_is_opened_and_its_roots_are_taken(self) -> None:
        action = decided(None, hand())
        assert rows(action) == [("open", None)]
        assert isinstance(action, Write)
        a = action.changes[0].steps["a"]
        assert (a["status"], a["attempt"], a["token"]) == ("RUNNING", 1, ME)
        assert a["lease_until"] == NOW + 30_000 + 10_000

    def test_more_roots_than_inline_branches_are_left_for_nudges(self) -> None:
        by = plan({"x": (), "y": (), "z": ()}, inline_branches=2)
        action = decided(None, hand(), by)
        assert isinstance(action, Write)
        statuses = {name: of["status"] for name, of in action.changes[0].steps.items()}
        assert statuses == {"x": "RUNNING", "y": "RUNNING"}

    def test_a_named_step_is_claimed(self) -> None:
        assert rows(decided(None, hand("b"))) == [("claim", "b")]

    @pytest.mark.parametrize(
        ("held", "by"),
        [
            (hand(received=2), CHAIN),
            (hand("b", received=2), CHAIN),
            (hand(occasion="sweep:1"), CHAIN),
            (hand("b", occasion="again:x"), CHAIN),
            (hand("unknown"), CHAIN),
            (hand(), None),
            (hand(), Problem(Failure("E", "m"), parks=True)),
            (hand(), plan({"a": ()}, timeout=1_000)),
        ],
        ids=[
            "a message that came back",
            "a step's message that came back",
            "a sweep",
            "a renewal",
            "an unknown step",
            "an unknown workflow",
            "a deployment that cannot",
            "a run with a deadline",
        ],
    )
    def test_otherwise_the_run_is_read(self, held: Hand, by: Any) -> None:
        assert isinstance(decided(None, held, by), Read)

    @pytest.mark.parametrize("step", [None, "b"])
    def test_too_little_time_sends_the_message_to_another_invocation(
        self, step: str | None
    ) -> None:
        assert decided(None, hand(step), time_left=31_999) == Nack(0)
        assert isinstance(decided(None, hand(step), time_left=32_000), Write)


class TestCommit:
    """What has ended is committed with what comes next, in one write."""

    def test_a_chain_goes_on_in_the_same_write(self) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)})
        action = decided(seen, hand(outcomes={"a": returned('{"x":1}')}))
        assert rows(action) == [("complete", "a"), ("claim", "b")]
        assert isinstance(action, Write)
        assert action.changes[0].dependents == ("b",)
        assert action.changes[1].total_deps == 1

    def test_the_last_step_finishes_the_run(self) -> None:
        seen = run({"a": succeeded(), "b": succeeded(), "c": running()})
        action = decided(seen, hand(outcomes={"c": returned('{"x":1}')}))
        assert rows(action) == [("complete", "c"), ("finish", None)]
        assert isinstance(action, Write)
        assert action.changes[1].values == {"ended_at": NOW, "result": '{"x":1}'}

    def test_a_long_result_is_referred_to(self) -> None:
        seen = run({"a": succeeded(), "b": succeeded(), "c": running()})
        long = Succeeded('"long"', stored=True)
        action = decided(seen, hand(outcomes={"c": long}))
        assert isinstance(action, Write)
        assert action.changes[1].values["result_ref"] == "out#c#1"

    def test_several_leaves_make_a_result_by_name(self) -> None:
        by = plan({"a": (), "x": ("a",), "y": ("a",)})
        seen = run({"a": succeeded(), "x": succeeded(output="1"), "y": running()})
        action = decided(seen, hand(outcomes={"y": returned("2")}), by)
        assert isinstance(action, Write)
        assert action.changes[1].values["result"] == '{"x":1,"y":2}'

    def test_several_long_leaves_get_an_item_before_the_run_finishes(self) -> None:
        by = plan({"x": (), "y": ()})
        long = '"' + "x" * 300 + '"'
        seen = run({"x": succeeded(output=long), "y": running()})
        held = hand(outcomes={"y": returned(long)})
        assert rows(decided(seen, held, by)) == [("complete", "y")]
        seen = run({"x": succeeded(output=long), "y": succeeded(output=long)})
        assert isinstance(decided(seen, hand(), by), StoreResult)
        action = decided(seen, hand(result_stored=True), by)
        assert rows(action) == [("finish", None)]
        assert isinstance(action, Write)
        assert action.changes[0].values["result_ref"] == "result"

    def test_a_result_that_cannot_be_stored_fails_the_run(self) -> None:
        seen = run({"x": succeeded(), "y": succeeded()})
        held = hand(result_failure=Failure("PayloadError", "too large"))
        assert rows(decided(seen, held, plan({"x": (), "y": ()}))) == [("fail_run", None)]

    def test_a_fan_out_is_taken_up_to_inline_branches_and_the_rest_waits_for_threads(self) -> None:
        by = plan(FAN, inline_branches=2)
        before = run(
            {"a": running()}
            | {b: pending(0, 1) for b in ("b1", "b2", "b3")}
            | {"end": pending(0, 3)}
        )
        held = hand(outcomes={"a": returned()})
        assert rows(decided(before, held, by)) == [
            ("complete", "a"),
            ("claim", "b1"),
            ("claim", "b2"),
        ]
        after = run(
            {
                "a": succeeded(),
                "b1": running(),
                "b2": running(),
                "b3": pending(1, 1),
                "end": pending(0, 3),
            }
        )
        held = hand()
        assert decided(after, held, by) == Execute(("b1", "b2"))
        held.running = {"b1": NOW + 30_000, "b2": NOW + 30_000}
        held.began_at = {"b1": NOW, "b2": NOW}
        assert decided(after, held, by) == Await(
            NOW + WAVE
        )  # b3 waits for a thread, but not for long
        assert decided(after, held, by, NOW + WAVE - 1) == Await(NOW + WAVE)
        assert sent(decided(after, held, by, NOW + WAVE)) == [("b3", 1, "")]
        held.sent = {("b3", 1)}
        assert decided(after, held, by) == Await(NOW + 30_000)

    def test_a_branch_that_has_waited_for_a_thread_is_taken_by_the_write_that_frees_one(
        self,
    ) -> None:
        by = plan(FAN, inline_branches=2)
        seen = run(
            {
                "a": succeeded(),
                "b1": running(),
                "b2": running(),
                "b3": pending(1, 1),
                "end": pending(0, 3),
            }
        )
        held = hand(
            outcomes={"b1": returned()}, running={"b2": NOW + 1}, began_at={"b2": NOW}, took=50
        )
        assert rows(decided(seen, held, by)) == [("complete", "b1"), ("claim", "b3")]

    @pytest.mark.parametrize(("took", "kept"), [(0, True), (99, True), (101, False)])
    def test_branches_wait_for_threads_while_all_of_them_together_take_no_more_than_a_second(
        self, took: int, kept: bool
    ) -> None:
        names = [f"b{at}" for at in range(22)]
        by = plan(dict.fromkeys(names, ()), inline_branches=2)
        seen = run({name: running() if name in ("b0", "b1") else pending() for name in names})
        ran = {"b0": NOW + 30_000, "b1": NOW + 30_000}
        held = hand(running=ran, began_at={"b0": NOW, "b1": NOW}, took=took)
        action = decided(seen, held, by)
        assert isinstance(action, Await if kept else Send)
        if not kept:
            assert len(sent(action)) == 20

    def test_a_slow_branch_does_not_send_those_away_that_others_free_threads_for(self) -> None:
        names = [f"b{at}" for at in range(6)]
        by = plan(dict.fromkeys(names, ()), inline_branches=2)
        steps = {name: pending() for name in names} | {"b0": running(), "b3": running()}
        ran, began = {"b0": NOW + 30_000, "b3": NOW + 30_000}, {"b0": NOW - 9_000, "b3": NOW}
        held = hand(running=ran, began_at=began, took=10)
        assert decided(run(steps), held, by) == Await(NOW + WAVE)
        assert len(sent(decided(run(steps), held, by, NOW + WAVE))) == 4

    def test_the_more_branches_wait_the_sooner_they_are_sent_elsewhere(self) -> None:
        names = [f"b{at}" for at in range(22)]
        by = plan(dict.fromkeys(names, ()), inline_branches=2)
        seen = run({name: running() if name in ("b0", "b1") else pending() for name in names})
        ran = {"b0": NOW + 30_000, "b1": NOW + 30_000}
        held = hand(running=ran, began_at=dict.fromkeys(ran, NOW))
        assert decided(seen, held, by) == Await(NOW + 100)  # ten waves of that would take a second
        assert len(sent(decided(seen, held, by, NOW + 100))) == 20

    def test_branches_that_no_longer_fit_the_time_left_wait_for_no_thread(self) -> None:
        seen = run({"a": succeeded(), "b1": running(), "b2": running(), "b3": pending(1, 1)})
        graph = {name: FAN[name] for name in ("a", "b1", "b2", "b3")}
        ran = {"b1": NOW + 30_000, "b2": NOW + 30_000}
        held = hand(running=ran, began_at=dict.fromkeys(ran, NOW))
        by = plan(graph, inline_branches=2)
        assert isinstance(decided(seen, held, by, time_left=32_000), Await)
        assert sent(decided(seen, held, by, time_left=31_999)) == [("b3", 1, "")]

    def test_what_another_worker_released_and_this_one_keeps_back_is_not_forgotten(self) -> None:
        by = plan(FAN, inline_branches=2)
        steps = {"a": succeeded(OTHER), "end": pending(0, 3)}
        seen = run(steps | {name: pending(1, 1) for name in ("b1", "b2", "b3")})
        action = decided(seen, hand(None, 2), by)
        assert rows(action) == [("claim", "b1"), ("claim", "b2")]
        assert isinstance(action, Write)
        assert action.kept == ("b3",)
        ended = {"b1": running(), "b2": running(), "b3": pending(1, 1)}
        held = hand(None, 2, kept={*action.kept}, outcomes={"b1": returned(), "b2": returned()})
        assert rows(decided(run(steps | ended), held, by))[2:] == [("claim", "b3")]
        held.outcomes = {}
        done = {"b1": succeeded(), "b2": succeeded(), "b3": pending(1, 1)}
        assert rows(decided(run(steps | done), held, by)) == [("claim", "b3")]

    def test_isolated_branches_and_those_of_an_invocation_each_wait_for_no_thread(self) -> None:
        seen = run({"a": succeeded(), "b1": running(), "b2": pending(1, 1), "b3": pending(1, 1)})
        graph = {name: FAN[name] for name in ("a", "b1", "b2", "b3")}
        held = hand(running={"b1": NOW + 30_000}, began_at={"b1": NOW})
        one_by_one = decided(seen, held, plan(graph, inline_branches=0))
        assert [name for name, *_ in sent(one_by_one)] == ["b2", "b3"]
        apart = StepPolicy(30_000, 1, 5, isolated=True)
        isolated = decided(seen, held, plan(graph, inline_branches=2, b2=apart, b3=apart))
        assert [name for name, *_ in sent(isolated)] == ["b2", "b3"]

    def test_without_inline_branches_one_is_gone_on_with_and_the_rest_is_sent(self) -> None:
        by = plan(FAN, inline_branches=0)
        seen = run(
            {"a": running()}
            | {b: pending(0, 1) for b in ("b1", "b2", "b3")}
            | {"end": pending(0, 3)}
        )
        action = decided(seen, hand(outcomes={"a": returned()}), by)
        assert rows(action) == [("complete", "a"), ("claim", "b1")]

    def test_branches_that_end_together_commit_together_and_the_fan_in_is_taken(self) -> None:
        seen = run(
            {
                "a": succeeded(),
                "b1": succeeded(),
                "b2": running(),
                "b3": running(),
                "end": pending(1, 3),
            }
        )
        held = hand(outcomes={"b2": returned(), "b3": returned()})
        assert rows(decided(seen, held, plan(FAN))) == [
            ("complete", "b2"),
            ("complete", "b3"),
            ("claim", "end"),
        ]

    def test_the_fan_in_is_left_to_the_branch_that_ends_last(self) -> None:
        seen = run(
            {
                "a": succeeded(),
                "b1": running(),
                "b2": running(OTHER),
                "b3": succeeded(),
                "end": pending(1, 3),
            }
        )
        action = decided(seen, hand("b1", outcomes={"b1": returned()}), plan(FAN))
        assert rows(action) == [("complete", "b1")]

    def test_an_isolated_step_is_sent_even_in_a_chain(self) -> None:
        by = plan({"a": (), "b": ("a",)}, b=StepPolicy(30_000, 1, 5, isolated=True))
        seen = run({"a": running(), "b": pending(0, 1)})
        assert rows(decided(seen, hand(outcomes={"a": returned()}), by)) == [("complete", "a")]
        seen = run({"a": succeeded(), "b": pending(1, 1)})
        assert sent(decided(seen, hand(), by)) == [("b", 1, "")]
        assert rows(decided(seen, hand("b", received=2), by)) == [("claim", "b")]

    def test_what_does_not_fit_the_time_left_is_sent(self) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)})
        held = hand(outcomes={"a": returned()})
        assert rows(decided(seen, held, time_left=31_999)) == [("complete", "a")]
        seen = run({"a": succeeded(), "b": pending(1, 1), "c": pending(0, 1)})
        assert sent(decided(seen, hand(), time_left=31_999)) == [("b", 1, "")]

    def test_a_step_with_writes_of_its_own_commits_alone(self) -> None:
        by = plan({"x": (), "y": (), "z": ()})
        mine = {"Put": {"TableName": "t"}}
        held = hand(outcomes={"x": returned(), "y": Succeeded("1", (mine,))})
        seen = run({"x": running(), "y": running(), "z": running(OTHER)})
        action = decided(seen, held, by)
        assert rows(action) == [("complete", "y")]
        assert isinstance(action, Write)
        assert action.operations == (mine,)

    def test_steps_whose_claims_do_not_fit_one_write_are_all_taken_or_sent(self) -> None:
        awaited = tuple(f"from_{at}" for at in range(145))
        names = [f"b{at}" for at in range(10)]
        by = plan(dict.fromkeys(names, ()))
        steps = {f"b{at}": pending(awaits=awaited[5 * at : 5 * at + 100]) for at in range(10)}
        seen = run(steps, signals_json=dict.fromkeys(awaited, "{}"))
        held = hand(names[3])
        send = decided(seen, held, by)
        elsewhere = {step for step, _, _ in sent(send)}
        held.sent |= {(step, 1) for step in elsewhere}
        write = decided(seen, held, by)
        assert isinstance(write, Write)
        assert expression(write.changes, NOW, 90).fits
        here = {change.step for change in write.changes}
        assert names[3] in here
        assert here | elsewhere == {*names}
        assert not here & elsewhere

    def test_more_than_fits_one_expression_is_committed_in_parts(self) -> None:
        names = [f"b{at}" for at in range(120)]
        by = plan(dict.fromkeys(names, ()) | {"end": tuple(names)})
        seen = run(dict.fromkeys(names, running()) | {"end": pending(0, 120)})
        held = hand(outcomes={name: returned() for name in names})
        action = decided(seen, held, by)
        assert isinstance(action, Write)
        assert 30 < len(action.changes) < 120
        assert expression(action.changes, NOW, 90).fits


class TestFailure:
    @pytest.mark.parametrize(
        ("attempt", "retry_after", "row"),
        [(1, 5_000, "retry"), (2, 5_000, "retry"), (3, 5_000, "fail"), (1, None, "fail")],
        ids=["first of three", "second of three", "last of three", "not to be retried"],
    )
    def test_it_is_retried_while_attempts_are_left(
        self, attempt: int, retry_after: int | None, row: str
    ) -> None:
        seen = run({"a": running(attempt=attempt), "b": pending(0, 1), "c": pending(0, 1)})
        action = decided(seen, hand(outcomes={"a": raised(retry_after)}))
        ends = [("fail_run", None)] if row == "fail" else []
        assert rows(action) == [(row, "a"), *ends]
        assert isinstance(action, Write)
        if row == "retry":
            assert action.changes[0].values["not_before"] == NOW + 5_000

    def test_attempts_count_from_the_last_redrive(self) -> None:
        steps = {"a": running(attempt=4, redriven_at=3), "b": pending(0, 1), "c": pending(0, 1)}
        action = decided(run(steps), hand(outcomes={"a": raised(5_000)}))
        assert rows(action) == [("retry", "a")]

    def test_a_failure_takes_nothing_up_but_commits_what_has_ended(self) -> None:
        seen = run(
            {
                "a": succeeded(),
                "b1": running(),
                "b2": running(),
                "b3": succeeded(),
                "end": pending(1, 3),
            }
        )
        held = hand(outcomes={"b1": returned(), "b2": raised(None, "b2")})
        assert rows(decided(seen, held, plan(FAN))) == [
            ("complete", "b1"),
            ("fail", "b2"),
            ("fail_run", None),
        ]

    @pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.WAITING])
    def test_in_a_run_that_has_stopped_it_is_recorded_and_nothing_follows(
        self, status: RunStatus
    ) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)}, status)
        assert rows(decided(seen, hand(outcomes={"a": returned()}))) == [("complete", "a")]
        assert rows(decided(seen, hand(outcomes={"a": raised(1_000)}))) == [("fail", "a")]

    @pytest.mark.parametrize("status", [RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.WAITING])
    def test_it_is_recorded_only_while_the_run_is_what_its_worker_saw(
        self, status: RunStatus
    ) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)}, status)
        action = decided(seen, hand(outcomes={"a": raised(None)}))
        assert isinstance(action, Write)
        assert action.changes[0].run_from == {status}

    def test_a_payload_that_was_sent_anew_is_not_taken_for_the_one_that_did_not_fit(self) -> None:
        refused = raised(None)._replace(refused=("go",))
        for there, goes in (('"old"', {"go": '"old"'}), ('"new"', {})):
            seen = run({"a": running(awaits=("go",))}, signals_json={"go": there})
            held = hand(outcomes={"a": refused}, payloads={"a": {"go": '"old"'}})
            action = decided(seen, held, plan({"a": ()}))
            assert rows(action) == [("refuse_signal", "a")]
            assert isinstance(action, Write)
            assert action.changes[0].payloads == goes

    @pytest.mark.parametrize("error", [Failure("E", "no", "b", 3), None])
    @pytest.mark.parametrize("held", [hand("b", 2), hand(None), hand(None, occasion="sweep:1")])
    def test_a_running_run_with_a_failed_step_fails_whichever_message_meets_it(
        self, held: Hand, error: Failure | None
    ) -> None:
        failed = {"status": StepStatus.FAILED, "attempt": 3, "error": error}
        seen = run({"a": succeeded(OTHER), "b": failed, "c": pending(0, 1)})
        action = decided(seen, held)
        assert rows(action) == [("fail_run", None)]
        assert isinstance(action, Write)
        assert Failure.from_json(str(action.changes[0].values["error"])).step == "b"


#: The chain's first step is done, its last one waits; a test says what becomes of the one between.
BUSY = {"a": succeeded(OTHER), "c": pending(0, 1)}


class TestAcknowledging:
    """A message goes when nothing it answers for is unfinished, and not before."""

    @pytest.mark.parametrize(
        ("held", "b", "verdict"),
        [
            (hand("b", 2), running(OTHER, owner=""), Nack(40)),
            (hand("x", 2), running(OTHER, owner="x"), Nack(40)),
            (hand(None, 2), running(OTHER, owner=""), Nack(40)),
            (hand("a", 2), running(OTHER, owner="b"), Nack(40)),
            (hand("c", 2), running(OTHER, owner="b"), Ack()),
            (hand(None, 2), running(OTHER, owner="b"), Ack()),
            (hand("b", 2), running(OTHER, lease_until=NOW + 1), Nack(1)),
        ],
        ids=[
            "its own step runs elsewhere",
            "it owns a step that runs elsewhere",
            "the run's message owns it",
            "somebody did its step and went on",
            "somebody else's step",
            "not the run's message's",
            "seconds are rounded up",
        ],
    )
    def test_while_a_step_runs_elsewhere(self, held: Hand, b: Any, verdict: Action) -> None:
        action = decided(run(BUSY | {"b": b}), held)
        assert type(action) is type(verdict)
        assert isinstance(action, Ack) or action == verdict

    def test_while_a_short_backoff_lasts_the_message_waits_for_it(self) -> None:
        b = pending(1, 1, 1, not_before=NOW + HOLD, token=OTHER, owner="b")
        assert decided(run(BUSY | {"b": b}), hand("b", 2)) == Nack(120)

    def test_a_long_backoff_is_left_to_the_sweeper(self) -> None:
        until = NOW + HOLD + 1
        b = pending(1, 1, 1, not_before=until, token=OTHER, owner="b")
        seen = run(BUSY | {"b": b})
        action = decided(seen, hand("b", 2))
        assert rows(action) == [("wake", None)]
        assert isinstance(action, Write)
        assert action.changes[0].values == {"wake_at": until - HOLD}
        assert action.changes[0].wake_seen == seen.wake_at
        assert isinstance(decided(run(BUSY | {"b": b}, wake_at=until - HOLD), hand("b", 2)), Ack)

    def test_a_long_backoff_does_not_put_the_watchdog_off_while_others_run(self) -> None:
        by = plan({"x": (), "y": ()})
        waits = pending(0, 0, 1, not_before=NOW + 20 * MINUTES, token=OTHER, owner="x")
        seen = run({"x": waits, "y": running(OTHER, owner="y")})
        assert isinstance(decided(seen, hand("x", 2), by), Ack)

    def test_a_message_that_came_back_often_is_replaced_by_a_fresh_one(self) -> None:
        seen = run(BUSY | {"b": running(OTHER, owner="b")})
        assert decided(seen, hand("b", RENEW_AFTER - 1)) == Nack(40)
        held = hand("b", RENEW_AFTER)
        action = decided(seen, held)
        assert sent(action) == [("b", 2, f"again:{ME}")]
        held.sent = {("b", 2)}
        assert isinstance(decided(seen, held), Ack)

    def test_a_message_for_which_time_is_short_again_and_again_is_replaced_too(self) -> None:
        held = hand("b", RENEW_AFTER)
        seen = run(BUSY | {"b": pending(1, 1)})
        action = decided(seen, held, time_left=1_000)
        assert sent(action) == [("b", 1, f"again:{ME}")]
        held.sent = {("b", 1)}
        assert isinstance(decided(seen, held, time_left=1_000), Ack)

    @pytest.mark.parametrize(
        "status",
        [RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.CANCELLED, RunStatus.WAITING],
    )
    def test_a_run_that_has_stopped_needs_no_message(self, status: RunStatus) -> None:
        seen = run(BUSY | {"b": running(OTHER, owner="b")}, status)
        assert isinstance(decided(seen, hand("b", 2)), Ack)

    def test_attempts_under_way_are_waited_for_even_then(self) -> None:
        seen = run(BUSY | {"b": running()}, RunStatus.CANCELLED)
        assert decided(seen, hand("b", running={"b": NOW + 7})) == Await(NOW + 7)

    def test_a_fenced_worker_neither_commits_nor_acknowledges(self) -> None:
        seen = run(BUSY | {"b": running(OTHER, owner="b", attempt=2)})
        held = hand("b", outcomes={"b": returned()})
        held.settle(seen)
        assert (held.fenced, held.outcomes) == (True, {})
        assert isinstance(decided(seen, held), Nack)

    def test_a_worker_that_lost_one_branch_commits_the_others(self) -> None:
        lost = running(OTHER, attempt=2)
        seen = run(
            {
                "a": succeeded(),
                "b1": lost,
                "b2": running(),
                "b3": running(),
                "end": pending(0, 3),
            }
        )
        held = hand(outcomes={"b1": returned()}, running={"b2": NOW + 7, "b3": NOW + 9})
        held.settle(seen)
        fan = plan(FAN)
        assert held.fenced
        assert decided(seen, held, fan) == Await(NOW + 9)
        del held.running["b2"]
        held.outcomes["b2"] = returned()
        assert rows(decided(seen, held, fan)) == [("complete", "b2")]

    def test_a_worker_that_lost_a_step_begins_nothing_more(self) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)})
        held = hand(outcomes={"a": returned()}, fenced=True)
        assert rows(decided(seen, held)) == [("complete", "a")]

    def test_an_outcome_is_never_committed_as_another_attempts(self) -> None:
        # A late copy of its claim has taken the step again, after a redrive, under the same token.
        seen = run(BUSY | {"b": running(ME, attempt=3)})
        held = hand("b", outcomes={"b": returned()}, begun={"b": 2})
        held.settle(seen)
        assert (held.fenced, held.outcomes) == (True, {})

    def test_a_commit_whose_answer_was_lost_is_known_by_its_token(self) -> None:
        seen = run(BUSY | {"b": succeeded(ME), "c": running(ME, owner="b")})
        held = hand("b", outcomes={"b": returned()})
        held.settle(seen)
        assert (held.fenced, held.outcomes) == (False, {})
        assert decided(seen, held) == Execute(("c",))


class TestRecovery:
    """Whoever comes without a claim of his own looks at the whole run."""

    def test_a_step_whose_lease_is_over_is_taken_over(self) -> None:
        lost = running(OTHER, attempt=2, lease_until=NOW, owner="b")
        seen = run({"a": succeeded(OTHER), "b": lost, "c": pending(0, 1)})
        action = decided(seen, hand("b", 3))
        assert rows(action) == [("take_over", "b")]
        assert isinstance(action, Write)
        assert action.changes[0].attempt == 2

    def test_a_step_that_lost_a_worker_in_each_attempt_is_given_up(self) -> None:
        lost = running(OTHER, attempt=5, lease_until=NOW, owner="b")
        seen = run({"a": succeeded(OTHER), "b": lost, "c": pending(0, 1)})
        action = decided(seen, hand("b", 3))
        assert rows(action) == [("give_up", "b"), ("fail_run", None)]
        assert isinstance(action, Write)
        assert "WorkerLost" in str(action.changes[0].values["error"])

    def test_a_message_of_a_step_that_is_done_sees_to_what_it_released(self) -> None:
        # The worker before may have died between its write and its messages.
        seen = run({"a": succeeded(OTHER), "b": pending(1, 1), "c": pending(0, 1)})
        assert rows(decided(seen, hand(None, 2))) == [("claim", "b")]

    def test_a_sweep_finishes_what_nobody_did(self) -> None:
        seen = run({"a": succeeded(OTHER), "b": succeeded(OTHER), "c": succeeded(OTHER)})
        assert rows(decided(seen, hand(None, occasion="sweep:1"))) == [("finish", None)]

    def test_a_sweep_opens_a_run_whose_first_message_was_lost(self) -> None:
        seen = run({}, RunStatus.PENDING)
        assert rows(decided(seen, hand(None, occasion="sweep:1"))) == [("open", None)]

    def test_a_redrive_sends_nudges_that_sqs_does_not_take_for_the_first_ones(self) -> None:
        by = plan({"a": (), "x": ("a",), "y": ("a",)}, inline_branches=0)
        seen = run({"a": succeeded(OTHER), "x": pending(1, 1), "y": pending(1, 1)})
        first = decided(seen, hand(None, 2), by)
        again = decided(seen, hand(None, occasion="redrive:1800000000000"), by)
        assert isinstance(first, Send)
        assert isinstance(again, Send)
        assert [nudge.step for nudge in first.nudges] == [nudge.step for nudge in again.nudges]
        ids = {nudge.deduplication_id for nudge in (*first.nudges, *again.nudges)}
        assert len(ids) == 2

    def test_one_that_has_work_leaves_alone_what_others_released(self) -> None:
        by = plan({"x": (), "x2": ("x",), "y": (), "y2": ("y",)})
        seen = run(
            {
                "x": succeeded(OTHER),
                "x2": pending(1, 1),
                "y": succeeded(ME),
                "y2": running(ME, owner="y"),
            }
        )
        assert decided(seen, hand("y"), by) == Execute(("y2",))

    @pytest.mark.parametrize(
        "lost", [pending(0, 1, attempt=2), running(OTHER, attempt=2, lease_until=NOW)]
    )
    def test_a_step_that_still_runs_here_is_not_taken_again_though_somebody_else_lost_it_too(
        self, lost: dict[str, Any]
    ) -> None:
        seen = run({"a": lost | {"completed_deps": 0, "total_deps": 0}})
        by = plan({"a": ()})
        held = hand(running={"a": NOW + 5_000})
        assert decided(seen, held, by) == Await(NOW + 5_000)
        assert isinstance(decided(seen, hand(), by), Write)

    def test_a_step_whose_claim_was_answered_too_late_is_left_to_others(self) -> None:
        held = running(ME, lease_until=NOW + 29_999)
        seen = run({"a": held, "b": pending(0, 1), "c": pending(0, 1)})
        assert decided(seen, hand()) == Nack(30)
        in_time = running(ME, lease_until=NOW + 30_000)
        seen = run({"a": in_time, "b": pending(0, 1), "c": pending(0, 1)})
        assert decided(seen, hand()) == Execute(("a",))


class TestSuspects:
    """A step that was lost with its worker may be what killed it: it takes no other along."""

    LOST: ClassVar = {"lease_until": NOW, "attempt": 1}

    def fan(self, **branches: dict[str, Any]) -> Run:
        return run({"a": succeeded(OTHER), "end": pending(0, 3)} | branches)

    def test_branches_lost_together_are_taken_over_by_an_invocation_each(self) -> None:
        lost = {name: running(OTHER, **self.LOST) for name in ("b1", "b2", "b3")}
        seen, held, fan = self.fan(**lost), hand(None, 2), plan(FAN)
        assert sent(decided(seen, held, fan)) == [("b2", 2, ""), ("b3", 2, "")]
        held.sent |= {("b2", 2), ("b3", 2)}
        assert rows(decided(seen, held, fan)) == [("take_over", "b1")]

    def test_what_is_merely_ready_runs_here_and_what_was_lost_goes_elsewhere(self) -> None:
        branches = {
            "b1": running(OTHER, **self.LOST),
            "b2": pending(1, 1),
            "b3": pending(1, 1),
        }
        seen, held, fan = self.fan(**branches), hand(None, 2), plan(FAN)
        assert sent(decided(seen, held, fan)) == [("b1", 2, "")]
        held.sent.add(("b1", 2))
        assert rows(decided(seen, held, fan)) == [("claim", "b2"), ("claim", "b3")]

    def test_the_one_that_the_message_names_is_taken_over_alone(self) -> None:
        branches = {
            "b1": running(OTHER, **self.LOST),
            "b2": running(OTHER, owner="b2", **self.LOST),
            "b3": succeeded(OTHER),
        }
        seen, held, fan = self.fan(**branches), hand("b2", 2), plan(FAN)
        assert sent(decided(seen, held, fan)) == [("b1", 2, "")]
        held.sent.add(("b1", 2))
        assert rows(decided(seen, held, fan)) == [("take_over", "b2")]

    def test_no_branch_waits_behind_one_that_was_lost(self) -> None:
        branches = {
            "b1": pending(1, 1),
            "b2": running(OTHER, owner="b2", **self.LOST),
            "b3": pending(1, 1),
        }
        seen, held = self.fan(**branches), hand("b2", 2)
        assert sent(decided(seen, held, plan(FAN))) == [("b1", 1, ""), ("b3", 1, "")]


class TestRepeating:
    """A call that failed is made again while there is something in hand that would be lost."""

    HELD: ClassVar = run({"a": running(lease_until=NOW + 20_000)})

    @pytest.mark.parametrize(
        "held",
        [
            hand(outcomes={"a": returned()}),
            hand(running={"a": NOW + 9_000}),
            hand(),  # it is claimed, and not begun
        ],
    )
    def test_for_an_outcome_an_attempt_or_a_claim(self, held: Hand) -> None:
        assert repeat_at(self.HELD, held, NOW, MINUTES, 0.5) is not None

    @pytest.mark.parametrize("seen", [None, run({"a": running(OTHER)}), run({"a": pending()})])
    def test_not_where_nothing_would_be_lost(self, seen: Run | None) -> None:
        assert repeat_at(seen, hand(), NOW, MINUTES, 0.5) is None

    @pytest.mark.parametrize(("time_left", "until"), [(MINUTES, 20_000), (9_000, 9_000)])
    def test_until_the_lease_or_the_invocation_is_nearly_over(
        self, time_left: int, until: int
    ) -> None:
        held, now = hand(outcomes={"a": returned()}), NOW
        while (at := repeat_at(self.HELD, held, now, NOW + time_left - now, 1.0)) is not None:
            assert now < at <= now + LONGEST_PAUSE
            held.failures, now = held.failures + 1, at
        assert until - LONGEST_PAUSE - LAST_MOMENT <= now - NOW < until
        assert held.failures > 5  # the first ones come quickly

    def test_meanwhile_branches_that_end_are_heard(self) -> None:
        held = hand(outcomes={"a": returned()}, running={"b": NOW + 9_000}, resume_at=NOW + 500)
        assert decided(self.HELD, held) == Await(NOW + 500)
        del held.running["b"]
        assert decided(self.HELD, held) == Pause(NOW + 500)
        assert isinstance(decided(self.HELD, held, plan({"a": ()}), NOW + 500), Write)

    def test_a_long_output_is_stored_before_its_step_is_committed(self) -> None:
        long = Succeeded("x" * 2_049)
        held = hand(outcomes={"a": long})
        assert decided(self.HELD, held, plan({"a": ()})) == StoreOutput("a")
        held.outcomes["a"] = long._replace(stored=True)
        assert rows(decided(self.HELD, held, plan({"a": ()}))) == [
            ("complete", "a"),
            ("finish", None),
        ]


class TestProblems:
    FAILURE = Failure("DeploymentError", "no module")

    @pytest.mark.parametrize("parks", [True, False])
    @pytest.mark.parametrize("status", [RunStatus.PENDING, RunStatus.RUNNING])
    def test_a_run_that_the_deployment_cannot_go_on_with_is_parked_or_fails_when_that_has_lasted(
        self, status: RunStatus, parks: bool
    ) -> None:
        problem, seen, held = Problem(self.FAILURE, parks), run({}, status), hand(None)
        ((step, attempt, occasion),) = sent(decided(seen, held, problem))
        assert (step, attempt) == (None, 1)
        held.sent.add(("", 1))
        assert isinstance(decided(seen, held, problem), Ack)
        now, received = NOW, 1
        while isinstance(
            action := decided(seen, hand(None, received, occasion=occasion), problem, now), Nack
        ):
            now, received = now + action.seconds * 1000, received + 1
        assert rows(action) == [("park" if parks else "fail_run", None)]
        assert now - NOW >= PATIENCE
        assert received < 10  # the dead-letter queue would have it

    def test_a_deployment_may_have_no_patience(self) -> None:
        problem = Problem(self.FAILURE, parks=True, patience=0)
        assert rows(decided(run({}), hand(None), problem)) == [("park", None)]

    def test_a_message_that_waits_for_it_never_comes_to_the_dead_letter_queue(self) -> None:
        problem, since = Problem(self.FAILURE, parks=True), f"{BLOCKED}{NOW // 1000:x}"
        for occasion, renewed in ((since, f"{since}:1"), (f"{since}:f", f"{since}:0")):
            held = hand("a", 8, occasion=occasion)
            action = decided(run({}), held, problem, NOW + 1_000)
            assert sent(action) == [("a", 1, renewed)]
            held.sent.add(("a", 1))
            assert isinstance(decided(run({}), held, problem, NOW + 1_000), Ack)
        parked = decided(run({}), hand("a", occasion=f"{since}:1"), problem, NOW + PATIENCE)
        assert rows(parked) == [("park", None)]  # since when is kept

    def test_one_worker_that_can_go_on_with_it_is_enough(self) -> None:
        seen = run({"a": pending(), "b": pending(0, 1), "c": pending(0, 1)})
        held = hand("a", 4, occasion=f"{BLOCKED}{NOW // 1000:x}")
        assert rows(decided(seen, held)) == [("claim", "a")]

    @pytest.mark.parametrize("occasion", ["sweep:1", "again:x", "blocked:", "blocked:no number"])
    def test_a_nudge_that_does_not_say_since_when_waits_from_now_on(self, occasion: str) -> None:
        held = hand("a", occasion=occasion)
        action = decided(run({}), held, Problem(self.FAILURE, parks=True))
        assert sent(action) == [("a", 1, f"{BLOCKED}{NOW // 1000:x}")]

    def test_arguments_that_do_not_fit_another_version_are_tried_for_as_long(self) -> None:
        failed = raised(None)._replace(retry_after=FOREIGN_PAUSE, foreign=True)
        attempt, steps = 1, {"b": pending(0, 1), "c": pending(0, 1)}
        while rows(
            decided(run({"a": running(attempt=attempt)} | steps), hand(outcomes={"a": failed}))
        ) == [("retry", "a")]:
            attempt += 1
        assert (attempt - 1) * FOREIGN_PAUSE >= 0.9 * PATIENCE

    @pytest.mark.parametrize("status", [RunStatus.WAITING, RunStatus.FAILED, RunStatus.SUCCEEDED])
    def test_then_its_messages_are_not_needed(self, status: RunStatus) -> None:
        action = decided(run({}, status), hand(None, 2), Problem(self.FAILURE, parks=True))
        assert isinstance(action, Ack)

    def test_a_run_whose_time_is_over_fails(self) -> None:
        seen = run({"a": pending(), "b": pending(0, 1), "c": pending(0, 1)}, deadline=NOW)
        action = decided(seen, hand(None, 2))
        assert rows(action) == [("expire", None)]
        assert isinstance(action, Write)
        assert "RunTimeout" in str(action.changes[0].values["error"])

    def test_a_run_whose_time_is_over_names_the_signal_it_waited_for(self) -> None:
        seen = run({"a": pending(awaits=("approved",))}, deadline=NOW)
        action = decided(seen, hand(None, 2))
        assert isinstance(action, Write)
        assert "it waited for: the signal approved." in str(action.changes[0].values["error"])

    def test_what_has_ended_is_committed_before_the_run_expires(self) -> None:
        seen = run({"a": running(), "b": pending(0, 1), "c": pending(0, 1)}, deadline=NOW)
        assert rows(decided(seen, hand(outcomes={"a": returned()})))[0] == ("complete", "a")


def is_ready(step: Step) -> bool:
    return step.status is StepStatus.PENDING and step.completed_deps == step.total_deps


class Case(NamedTuple):
    """A run as it may stand, its holder, and what is decided."""

    seed: int
    seen: Run | None
    held: Hand
    by: Plan
    time_left: int
    action: Action


def case(seed: int) -> Case:
    seen, held, by, time_left = random_view(random.Random(seed))
    return Case(seed, seen, held, by, time_left, decide(seen, held, by, NOW, time_left))


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    return [case(seed) for seed in range(4_000)]


class TestAnyRun:
    """Thousands of runs as they may stand: what holds for every one of them."""

    def test_a_message_is_never_given_up_while_it_answers_for_something(
        self, cases: list[Case]
    ) -> None:
        met: Counter[str] = Counter()
        for seed, seen, held, _, _, action in cases:
            met[type(action).__name__] += 1
            if not isinstance(action, Ack):
                continue
            assert seen is not None, seed
            assert not held.running, seed
            assert not held.outcomes, seed
            if seen.status is not RunStatus.RUNNING:
                assert seen.status is not RunStatus.PENDING, seed
                continue
            assert any(s.status is not StepStatus.SUCCEEDED for s in seen.steps.values()), seed
            assert seen.deadline is None or seen.deadline > NOW, seed
            for step in seen.steps.values():
                if not held.answers_for(step) or (step.name, step.attempt + 1) in held.sent:
                    continue
                assert step.status is not StepStatus.RUNNING, (seed, step)
                if step.status is StepStatus.PENDING and step.completed_deps == step.total_deps:
                    # a long backoff, and the sweeper knows of it
                    assert step.not_before is not None, (seed, step)
                    assert step.not_before > NOW + HOLD, (seed, step)
                    assert seen.wake_at is not None, seed
                    assert seen.wake_at <= step.not_before, (seed, step)
        assert min(met[kind] for kind in ("Ack", "Nack", "Write", "Send", "Execute", "Await")) > 50

    def test_what_it_keeps_back_is_sent_or_taken_before_it_acknowledges(
        self, cases: list[Case]
    ) -> None:
        met = 0
        for seed, seen, held, _, _, action in cases:
            if not isinstance(action, Ack) or seen is None:
                continue
            if seen.status is not RunStatus.RUNNING:
                continue
            for name in held.kept:
                step = seen.steps[name]
                met += 1
                due = is_ready(step) and (step.not_before or 0) <= NOW
                assert not due or (name, step.attempt + 1) in held.sent, (seed, step)
        assert met > 50

    def test_what_it_released_itself_is_sent_or_taken_before_it_acknowledges(
        self, cases: list[Case]
    ) -> None:
        for seed, seen, held, by, _, action in cases:
            if not isinstance(action, Ack) or seen.status is not RunStatus.RUNNING:
                continue
            for step in seen.steps.values():
                released = any(
                    seen.steps[dep].token == ME for dep in by.graph.depends_on[step.name]
                )
                due = (step.not_before or 0) <= NOW
                if released and due and step.status is StepStatus.PENDING:
                    waits = step.completed_deps < step.total_deps
                    assert waits or (step.name, step.attempt + 1) in held.sent, (seed, step)

    def test_every_write_is_legal_and_fits(self, cases: list[Case]) -> None:
        for seed, _, _, _, _, action in cases:
            if isinstance(action, Write):
                made = expression(action.changes, NOW, 90)
                assert made.fits, seed
                steps = [change.step for change in action.changes if change.step]
                assert len({*steps}) == len(steps), seed

    def test_only_what_is_ready_and_fits_the_time_is_taken(self, cases: list[Case]) -> None:
        for seed, seen, _, by, time_left, action in cases:
            if not isinstance(action, Write) or seen is None:
                continue
            completed = [c.step for c in action.changes if c.row.name == "complete"]
            for change in action.changes:
                if change.row.step_to is not StepStatus.RUNNING:
                    continue
                step = seen.steps[change.step]
                done = {s.name for s in seen.steps.values() if s.status is StepStatus.SUCCEEDED}
                assert {*by.graph.depends_on[change.step]} <= done | {*completed}, seed
                assert (step.not_before or 0) <= NOW, seed
                assert by.policies[change.step].timeout < time_left, seed
                if step.status is StepStatus.RUNNING:
                    assert (step.lease_until or 0) <= NOW, seed
                    assert change.row.name == "take_over", seed

    def test_only_its_own_steps_are_run_and_each_once(self, cases: list[Case]) -> None:
        for seed, seen, held, _, _, action in cases:
            if isinstance(action, Execute):
                for name in action.steps:
                    assert held.holds(seen.steps[name]), seed
                    assert name not in held.running, seed

    def test_no_more_branches_run_here_than_are_allowed(self, cases: list[Case]) -> None:
        for seed, seen, held, by, _, action in cases:
            if isinstance(action, Write) and seen is not None:
                taken = sum(c.row.step_to is StepStatus.RUNNING for c in action.changes)
                busy = sum(
                    held.holds(s) and s.name not in held.outcomes for s in seen.steps.values()
                )
                assert not taken or taken + busy <= max(by.inline_branches, 1), seed

    def test_nobody_is_nudged_twice_or_in_vain(self, cases: list[Case]) -> None:
        for seed, seen, held, _, _, action in cases:
            if not isinstance(action, Send):
                continue
            keys = [(nudge.step, nudge.attempt) for nudge in action.nudges]
            assert len({*keys}) == len(keys), seed
            assert held.sent.isdisjoint(keys), seed
            for nudge in action.nudges:
                assert isinstance(nudge, Nudge)
                if seen is not None and nudge.step in seen.steps:
                    assert seen.steps[nudge.step].status is not StepStatus.SUCCEEDED, seed

    def test_a_message_is_never_hidden_for_longer_than_sqs_can(self, cases: list[Case]) -> None:
        for seed, _, _, _, _, action in cases:
            if isinstance(action, Nack):
                assert 0 <= action.seconds <= 1_000, seed
