"""The command `fluxio`: what it prints, what it changes, and the exit code it ends with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import RunStatus
from fluxio_client.cli.exits import ExitCode
from fluxio_client.cli.moments import local
from fluxio_protocol import changes
from fluxio_protocol.run import Failure
from fluxio_protocol.store import Store
from tests.moto.cli import Command, make_command
from tests.moto.pump import LogLines, World

pytestmark = pytest.mark.once


@workflow
class Order:
    @step
    def charge(self, amount: int) -> dict:
        return {"charge_id": f"ch-{amount}"}

    @step(depends_on=["charge"])
    def pack(self, **kwargs: Any) -> dict:
        return {"packed": True}

    @step(depends_on=["charge"])
    def notify(self, **kwargs: Any) -> dict:
        return {"notified": True}

    @step(depends_on=["pack", "notify"])
    def ship(self, **kwargs: Any) -> dict:
        return {"shipped": True}


class CardDeclined(Exception):
    """The issuer says no."""


BROKEN = {"on": True}


@workflow
class Declined:
    @step
    def prepare(self) -> dict:
        return {}

    @step(depends_on=["prepare"])
    def charge(self) -> dict:
        if BROKEN["on"]:
            raise CardDeclined("ask for another card")
        return {"charged": True}


@workflow
class Approval:
    @step
    def draft(self) -> dict:
        return {"text": "hello"}

    @step(depends_on=["draft"], awaits=["approved"])
    def publish(self, text: str, approved: dict) -> dict:
        return {"published": f"{text}, says {approved['by']}"}


@workflow
class Slow:
    @step(retry=Retry(3, initial=600, jitter=0))
    def call(self, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise TimeoutError("the other side is asleep")
        return {}


@workflow
class Reminding:
    @step
    def remind(self, ctx: StepContext, more: int = 0) -> None:
        ctx.start("Reminding", after=3600)
        ctx.start("Reminding", after=3600)
        ctx.start("Reminding", run_id=f"chosen-{ctx.run_id}", after=3600)
        for _ in range(more):
            ctx.start("Reminding", after=3600)


@workflow(timeout=60)
class Limited:
    @step
    def draft(self) -> dict:
        return {}

    @step(depends_on=["draft"], awaits=["approved"])
    def publish(self) -> dict:
        return {}


@pytest.fixture
def fluxio(
    world: World, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    BROKEN["on"] = True
    return make_command(world, capfd, monkeypatch)


def park(world: World, run_id: str) -> None:
    """Leave a run to an operator, as a worker does that lacks its workflow."""
    change = changes.park(Failure("DeploymentError", "there is no step charge"))
    Store(world.dynamodb, world.table_name).apply(run_id, [change], world.clock.now())


# --- start


def test_start_prints_the_run_id_alone_so_that_a_script_can_take_it(
    fluxio: Command, world: World
) -> None:
    said = fluxio("start", "Order", "--input", '{"amount": 5}')

    assert said.code == ExitCode.OK
    assert world.client.get(said.out.strip()).input == {"amount": 5}


def test_start_takes_its_input_from_a_file_or_from_stdin(
    fluxio: Command, world: World, tmp_path: Path
) -> None:
    (tmp_path / "order.json").write_text('{"amount": 7}')

    by_file = fluxio("start", "Order", "--input", f"@{tmp_path / 'order.json'}")
    by_stdin = fluxio("start", "Order", "--input", "-", stdin='{"amount": 8}')

    assert world.client.get(by_file.out.strip()).input == {"amount": 7}
    assert world.client.get(by_stdin.out.strip()).input == {"amount": 8}


def test_start_with_wait_shows_the_result_and_ends_with_0(fluxio: Command, world: World) -> None:
    fluxio.lets_work(world.pump(Order))

    said = fluxio("start", "Order", "-i", '{"amount": 5}', "--run-id", "o-1", "--wait", "--json")

    assert said.code == ExitCode.OK
    assert said.json["status"] == "SUCCEEDED"
    assert said.json["result"] == {"shipped": True}


def test_start_with_wait_ends_with_3_if_the_run_fails(fluxio: Command, world: World) -> None:
    fluxio.lets_work(world.pump(Declined))

    said = fluxio("start", "Declined", "--wait")

    assert said.code == ExitCode.UNSUCCESSFUL
    assert "CardDeclined: ask for another card" in said.out


def test_start_with_wait_ends_with_6_if_the_run_goes_on(fluxio: Command, world: World) -> None:
    fluxio.lets_work(world.pump(Approval))

    said = fluxio("start", "Approval", "--wait", "--timeout", "30s")

    assert said.code == ExitCode.NOT_ENDED
    assert "waits for the signal approved" in said.out


def test_start_with_wait_does_not_wait_for_a_parked_run(fluxio: Command, world: World) -> None:
    world.client.start("Order", {"amount": 1}, run_id="o-1")
    park(world, "o-1")

    said = fluxio("start", "Order", "-i", '{"amount": 1}', "--run-id", "o-1", "--wait")

    assert said.code == ExitCode.UNSUCCESSFUL
    assert "fluxio redrive o-1" in said.out


@pytest.mark.parametrize("status", ["PENDING", "FAILED"])
def test_start_with_the_id_of_a_run_that_exists_says_so_and_how_it_stands(
    fluxio: Command, world: World, status: str
) -> None:
    world.client.start("Declined", run_id="dead-2")
    if status == "FAILED":
        world.pump(Declined).drain()
    world.clock.advance(3600)

    again = fluxio("start", "Declined", "--run-id", "dead-2")
    fluxio.lets_work(world.pump(Declined))
    waited = fluxio("start", "Declined", "--run-id", "dead-2", "--wait")

    assert again.out == "dead-2\n"
    assert "dead-2 was there already, started " in again.err
    assert f": it is {status}" in again.err
    assert ("fluxio redrive dead-2" in again.err) == (status == "FAILED")
    assert "was there already" in waited.err
    assert "started dead-2" not in waited.err
    again = fluxio("start", "Declined", "--run-id", "dead-2", "--wait", "--json")
    assert again.json["existed"] is True
    assert fluxio("start", "Declined", "--run-id", "dead-2", "--json").json["existed"] is True


def test_start_of_a_new_run_does_not_say_that_it_was_there(fluxio: Command) -> None:
    assert "already" not in fluxio("start", "Declined", "--run-id", "new-1").err
    assert fluxio("start", "Declined", "--run-id", "new-2", "--json").json["existed"] is False


# --- show


def test_show_draws_the_tree_with_attempts_durations_and_states(
    fluxio: Command, world: World
) -> None:
    run = world.run(Order, {"amount": 5})

    lines = fluxio("show", run.run_id).out.splitlines()

    assert lines[0].startswith(f"Order {run.run_id}  SUCCEEDED  started ")
    assert [line.split("  SUCCEEDED")[0].rstrip() for line in lines[1:5]] == [
        "├─ charge",
        "│  ├─ pack",
        "│  └─ notify",
        "└─ ship",
    ]
    assert all("1 attempt" in line for line in lines[1:5])
    assert lines[5].strip() == "after pack, notify"


def test_show_says_what_each_step_waits_for(fluxio: Command, world: World) -> None:
    approval, slow = world.run(Approval), world.run(Slow)

    assert "waits for the signal approved" in fluxio("show", approval.run_id).out
    said = fluxio("show", slow.run_id)
    assert "attempt 1 failed: TimeoutError: the other side is asleep" in said.out
    assert "next attempt in 10 min" in said.out
    steps = fluxio("show", slow.run_id, "--json").json["steps"]
    assert steps[0]["waiting"]["for"] == "backoff"
    assert steps[0]["waiting"]["until_ms"] == world.clock.now() + 600_000


def test_show_says_by_when_an_open_run_must_have_ended_and_that_it_is_over(
    fluxio: Command, world: World
) -> None:
    run = world.run(Limited)

    assert "must have ended in 1 min, by " in fluxio("show", run.run_id).out
    world.clock.advance(90)
    assert "its time was over 30.0 s ago, at " in fluxio("show", run.run_id).out
    park(world, run.run_id)
    assert "its time was over" not in fluxio("show", run.run_id).out, "no timeout ends a parked run"


def test_show_says_what_the_steps_of_a_run_waited_for_when_it_ended(
    fluxio: Command, world: World
) -> None:
    limited, slow = world.run(Limited), world.run(Slow)
    world.client.cancel(slow.run_id)
    world.clock.advance(3600)
    Store(world.dynamodb, world.table_name).apply(
        limited.run_id,
        [changes.expire(Failure("RunTimeout", "too late"), world.clock.now())],
        world.clock.now(),
    )

    said = fluxio("show", limited.run_id).out
    assert "RunTimeout: too late" in said
    assert "waited for the signal approved" in said
    assert "must have ended" not in said
    assert "waited for its next attempt, at " in fluxio("show", slow.run_id).out


@pytest.mark.parametrize("stopped", ["parked", "cancelled"])
def test_a_step_that_a_stopped_run_left_behind_does_not_go_on_counting(
    fluxio: Command, world: World, stopped: str
) -> None:
    run = world.run(Approval)
    claim = changes.claim_values("t", world.clock.now() + 70_000, "", world.clock.now())
    world.client.signal(run.run_id, "approved")
    Store(world.dynamodb, world.table_name).apply(
        run.run_id,
        [changes.claim("publish", claim, first=True, awaits=("approved",))],
        world.clock.now(),
    )
    if stopped == "parked":
        park(world, run.run_id)
    else:
        world.client.cancel(run.run_id)

    world.clock.advance(10)
    assert "its worker may be at it until " in fluxio("show", run.run_id).out
    world.clock.advance(3660)

    said = fluxio("show", run.run_id).out
    word = "RUNNING" if stopped == "parked" else "LOST"
    (line,) = [line for line in said.splitlines() if word in line]
    assert "min" not in line
    assert "claimed at " in said
    assert "its worker is gone, its lease ended 1 h ago" in said
    length = fluxio("timeline", run.run_id, "--json").json["steps"][-1]["end_ms"]
    assert length <= 70_000


def test_show_keeps_payloads_to_itself_unless_they_are_asked_for(
    fluxio: Command, world: World
) -> None:
    run = world.run(Order, {"amount": 421})

    assert "421" not in fluxio("show", run.run_id).out
    assert "421" not in fluxio("show", run.run_id, "--json").out
    assert '"amount": 421' in fluxio("show", run.run_id, "--input").out
    assert '"charge_id": "ch-421"' in fluxio("show", run.run_id, "--output").out
    record = fluxio("show", run.run_id, "--json", "--input", "--output").json
    assert record["input"] == {"amount": 421}
    assert record["result"] == {"shipped": True}


def test_the_keys_of_a_run_as_json_stay_as_they_are(fluxio: Command, world: World) -> None:
    record = fluxio("show", world.run(Approval).run_id, "--json").json

    assert list(record) == [
        "run_id", "workflow", "status", "created_at", "created_at_ms", "ended_at", "ended_at_ms",
        "duration_s", "error", "version", "parked", "wake_at", "wake_at_ms", "deadline", "deadline_ms",
        "signals", "lapsed", "started_by", "not_before", "not_before_ms", "steps",
    ]  # fmt: skip
    assert list(record["steps"][0]) == [
        "name", "status", "attempt", "depends_on", "awaits", "waiting", "started_at", "started_at_ms",
        "ended_at", "ended_at_ms", "duration_s", "ran_in", "error", "handled", "handled_by", "skipped_because",
        "round", "deadline", "deadline_ms", "progress", "started",
    ]  # fmt: skip


def test_show_links_a_run_with_those_it_has_started_and_with_what_started_it(
    fluxio: Command, world: World
) -> None:
    run = world.run(Reminding)
    (reminder, later, chosen) = run.started["remind"]

    told = fluxio("show", run.run_id)
    assert f"started runs {reminder}, {later}, {chosen}" in " ".join(told.out.split())
    assert fluxio("show", run.run_id, "--json").json["steps"][0]["started"] == [
        reminder, later, chosen,
    ]  # fmt: skip
    assert f"started by step remind of run {run.run_id}" in fluxio("show", later).out
    assert "begins in 1 h, at " in fluxio("show", later).out
    record = fluxio("show", later, "--json").json
    assert record["started_by"] == {"run_id": run.run_id, "step": "remind"}
    assert record["not_before_ms"] == world.clock.now() + 3_600_000


def test_show_names_some_of_many_started_runs(fluxio: Command, world: World) -> None:
    run = world.run(Reminding, {"more": 90})

    said = fluxio("show", run.run_id).out
    assert "and 88 more" in said
    assert said.count("wf-") <= 8


def test_show_with_exit_code_says_how_the_run_stands(fluxio: Command, world: World) -> None:
    good, bad, open_ = world.run(Order, {"amount": 1}), world.run(Declined), world.run(Approval)

    codes = [fluxio("show", run.run_id, "--exit-code").code for run in (good, bad, open_)]

    assert codes == [ExitCode.OK, ExitCode.UNSUCCESSFUL, ExitCode.NOT_ENDED]
    assert fluxio("show", bad.run_id).code == ExitCode.OK


def test_watch_in_a_pipe_is_a_line_for_each_change(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_id = world.client.start("Order", {"amount": 1}).run_id
    pump = world.pump(Order)
    monkeypatch.setattr("fluxio_client.cli.session.sleep", lambda _: pump.drain())

    said = fluxio("show", run_id, "--watch")

    changes = [line for line in said.out.splitlines() if "SUCCEEDED, attempt 1" in line]
    assert len(changes) == 4
    assert said.code == ExitCode.OK


def test_watch_says_when_each_step_came_to_be_as_it_is(fluxio: Command, world: World) -> None:
    """What had happened before the command began has a time of its own."""
    run = world.run(Order, {"amount": 5})
    ended = local(run.steps["ship"].ended_at, world.clock.now())
    world.clock.advance(3600)

    lines = fluxio("show", run.run_id, "--watch").out.splitlines()

    (line,) = [line for line in lines if "  ship  SUCCEEDED, attempt 1" in line]
    assert line.startswith(f"{ended}  ")


# --- list


def test_list_without_a_workflow_shows_the_open_runs_of_all(fluxio: Command, world: World) -> None:
    world.run(Order, {"amount": 1})
    first, second = world.run(Approval), world.run(Slow)

    said = fluxio("list", "--json")

    assert {run["run_id"] for run in said.json["runs"]} == {first.run_id, second.run_id}
    assert said.json["index"] == "due"
    assert "open runs of all workflows" in fluxio("list").err


def test_list_says_why_an_open_run_stands_still(fluxio: Command, world: World) -> None:
    world.run(Approval)
    world.run(Slow)
    world.client.start("Order", {"amount": 1})

    said = fluxio("list").out

    assert "no worker has opened it yet" in said
    assert "waits for the signal approved" in said
    assert "call: next attempt in 10 min" in said
    world.clock.advance(700)
    assert "call: ready; waits for a worker" in fluxio("list").out


def test_list_failed_shows_every_workflows_failures_with_their_errors(
    fluxio: Command, world: World
) -> None:
    failed = world.run(Declined)
    world.run(Order, {"amount": 1})

    everywhere = fluxio("list", "--failed", "--json").json
    of_workflow = fluxio("list", "Declined", "--failed", "--json").json

    for found in (everywhere, of_workflow):
        (run,) = found["runs"]
        assert run["run_id"] == failed.run_id
        assert run["error"]["type"] == "CardDeclined"
    assert fluxio("list", "Order", "--failed", "--json").json["runs"] == []
    assert "ask for another card" in fluxio("list", "--failed").out


def test_list_failed_shows_when_each_run_failed_in_the_order_it_is_in(
    fluxio: Command, world: World
) -> None:
    world.client.start("Declined", run_id="early-start")
    world.clock.advance(100)
    world.client.start("Declined", run_id="late-start")
    pump = world.pump(Declined)
    for run_id in ("late-start", "early-start"):
        world.clock.advance(3700)
        failure = changes.fail_run(Failure("E", run_id), world.clock.now())
        Store(world.dynamodb, world.table_name).apply(run_id, [failure], world.clock.now())
    pump.drain()

    for options in (["--failed"], ["Declined", "--failed"]):
        header, *lines = fluxio("list", *options).out.splitlines()
        assert header.split() == ["run", "workflow", "status", "started", "failed", "took"]
        rows = [line.split() for line in lines if "FAILED" in line]
        assert [row[0] for row in rows] == ["early-start", "late-start"]
        at = world.client.get("early-start").ended_at
        assert local(at, world.clock.now()) in lines[0]
    assert "failed" not in fluxio("list", "Declined").out.splitlines()[0]


def test_list_waiting_shows_parked_runs_and_those_that_wait_for_a_signal(
    fluxio: Command, world: World
) -> None:
    signalled = world.run(Approval)
    parked = world.client.start("Order", {"amount": 1})
    park(world, parked.run_id)
    world.run(Slow)

    for options in ([], ["Order", "Approval"]):
        found = fluxio("list", *options, "--waiting", "--json").json["runs"]
        assert {run["run_id"] for run in found} == {signalled.run_id, parked.run_id}


def test_list_since_leaves_out_older_runs(fluxio: Command, world: World) -> None:
    world.run(Declined), world.run(Approval)
    world.clock.advance(3 * 3600)
    failed, waits = world.run(Declined), world.run(Approval)

    for options in (["Declined"], ["Declined", "--failed"], ["--failed"]):
        found = fluxio("list", *options, "--since", "2h", "--json").json["runs"]
        assert [run["run_id"] for run in found] == [failed.run_id]
    for options in (["Approval"], ["--open"], ["--waiting"], ["Approval", "--waiting"]):
        found = fluxio("list", *options, "--since", "2h", "--json").json["runs"]
        assert [run["run_id"] for run in found] == [waits.run_id]


def test_list_goes_on_page_by_page(fluxio: Command, world: World) -> None:
    started = {world.client.start("Order", {"amount": at}).run_id for at in range(5)}
    seen: list[str] = []
    page: list[str] = []
    for _ in range(3):
        found = fluxio("list", "Order", "--limit", "2", "--json", *page).json
        seen += [run["run_id"] for run in found["runs"]]
        page = ["--page", found["next_page"]]

    assert len(seen) == 5
    assert {*seen} == started
    assert found["next_page"] is None


def test_a_listing_that_no_index_has_is_refused_with_the_reason(fluxio: Command) -> None:
    said = fluxio("list", "--status", "succeeded")

    assert said.code == ExitCode.USAGE
    assert "needs a WORKFLOW" in said.err


# --- timeline and graph


def test_timeline_has_a_bar_for_each_step_that_was_begun(fluxio: Command, world: World) -> None:
    run = world.run(Order, {"amount": 1})

    said = fluxio("timeline", run.run_id)

    assert [line.split()[0] for line in said.out.splitlines()[2:]] == [
        "charge",
        "pack",
        "notify",
        "ship",
    ]
    assert fluxio("timeline", run.run_id, "--json").json["steps"][0]["begin_ms"] == 0


def test_graph_draws_a_workflow_and_a_run_with_its_states(
    fluxio: Command, world: World, tmp_path: Path
) -> None:
    run = world.run(Declined)

    of_workflow, of_run = fluxio("graph", "Declined"), fluxio("graph", run.run_id)

    assert of_workflow.out.startswith("flowchart TD\n")
    assert "s0 --> s1" in of_workflow.out
    assert "FAILED" not in of_workflow.out
    assert "class s1 failed" in of_run.out
    picture = tmp_path / "run.svg"
    assert fluxio("graph", run.run_id, "-o", str(picture)).code == ExitCode.OK
    assert "CardDeclined" in picture.read_text()


def test_graph_of_something_unknown_is_not_found(fluxio: Command) -> None:
    assert fluxio("graph", "Nothing").code == ExitCode.NOT_FOUND


# --- signal, cancel, redrive


def test_signal_lets_the_step_go_on_with_the_payload(fluxio: Command, world: World) -> None:
    run = world.run(Approval)

    said = fluxio("signal", run.run_id, "approved", "--payload", '{"by": "kim"}')
    world.pump(Approval).drain()

    assert said.code == ExitCode.OK
    assert world.client.get(run.run_id).result == {"published": "hello, says kim"}


def test_cancel_without_a_terminal_refuses_and_changes_nothing(
    fluxio: Command, world: World
) -> None:
    run = world.run(Approval)

    said = fluxio("cancel", run.run_id)

    assert said.code == ExitCode.USAGE
    assert "--yes" in said.err
    assert world.client.get(run.run_id).status is RunStatus.RUNNING


@pytest.mark.parametrize(
    ("answer", "status"), [("n\n", RunStatus.RUNNING), ("y\n", RunStatus.CANCELLED)]
)
def test_cancel_asks_on_a_terminal_and_does_what_the_answer_says(
    fluxio: Command,
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    answer: str,
    status: RunStatus,
) -> None:
    run = world.run(Approval)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)

    class Terminal:
        def isatty(self) -> bool:
            return True

        def readline(self) -> str:
            return answer

    monkeypatch.setattr("sys.stdin", Terminal())
    said = fluxio("cancel", run.run_id)

    assert "for good? [y/N]" in said.err
    assert world.client.get(run.run_id).status is status


def test_cancel_with_yes_cancels(fluxio: Command, world: World) -> None:
    run = world.run(Approval)

    assert fluxio("cancel", run.run_id, "--yes").code == ExitCode.OK
    assert world.client.get(run.run_id).status is RunStatus.CANCELLED


def test_redrive_sends_the_named_runs_on(fluxio: Command, world: World) -> None:
    runs = [world.run(Declined) for _ in range(2)]
    BROKEN["on"] = False

    said = fluxio("redrive", *(run.run_id for run in runs), "--json")
    world.pump(Declined).drain()

    assert said.json["redriven"] == [run.run_id for run in runs]
    assert {world.client.get(run.run_id).status for run in runs} == {RunStatus.SUCCEEDED}


def test_redrive_of_an_open_run_says_that_it_was_only_nudged_and_what_it_waits_for(
    fluxio: Command, world: World
) -> None:
    failed, approval, slow = world.run(Declined), world.run(Approval), world.run(Slow)
    unopened = world.client.start("Order")

    for run, waits in (
        (approval, "RUNNING already and was only nudged; waits for the signal approved"),
        (slow, "RUNNING already and was only nudged; call: next attempt in 10 min, at "),
        (unopened, "PENDING already and was only nudged; no worker has opened it yet"),
    ):
        said = fluxio("redrive", run.run_id)
        assert said.code == ExitCode.OK
        assert f"{run.run_id} is {waits}" in said.out
        assert "sent on" not in said.out

    assert "1 run sent on, 1 nudged\n" in fluxio("redrive", failed.run_id, slow.run_id).out
    record = fluxio("redrive", slow.run_id, "--json").json
    assert (record["redriven"], record["nudged"]) == ([], [slow.run_id])


def test_redrive_says_that_a_time_limit_is_gone(fluxio: Command, world: World) -> None:
    limited, failed = world.run(Limited), world.run(Declined)
    park(world, limited.run_id)

    assert "no time limit any more" not in fluxio("redrive", failed.run_id).err
    said = fluxio("redrive", limited.run_id)

    assert "1 run sent on" in said.out
    assert f"{limited.run_id} has no time limit any more" in said.err
    assert world.client.get(limited.run_id).deadline is None


def test_redrive_speaks_of_one_run_or_several_as_one_does(fluxio: Command, world: World) -> None:
    world.run(Declined)
    parked = [world.client.start("Order", {"amount": 1}).run_id for _ in range(2)]
    for run_id in parked:
        park(world, run_id)
    done = world.run(Approval)
    world.client.cancel(done.run_id)

    assert (
        "Redrive 1 run of Declined that is FAILED?" in fluxio("redrive", "--failed", "Declined").err
    )
    assert "Redrive 2 runs of Order that are parked?" in fluxio("redrive", "--parked", "Order").err
    assert "only a run that FAILED, or is parked, can be" in fluxio("redrive", done.run_id).err


def test_show_says_why_a_payload_was_refused_and_that_its_signal_is_awaited(
    fluxio: Command, world: World
) -> None:
    run = world.run(Approval)
    fluxio("signal", run.run_id, "approved", "--payload", '"maybe"')
    world.pump(Approval).drain()

    said = fluxio("show", run.run_id)

    assert "RUNNING" in said.out
    assert "waits for the signal approved" in said.out
    assert "BindingError: signal approved" in said.out


def test_a_second_signal_with_another_payload_is_told_what_can_be_done(
    fluxio: Command, world: World
) -> None:
    run = world.run(Approval)
    fluxio("signal", run.run_id, "approved", "--payload", '{"by": "kim"}')

    said = fluxio("signal", run.run_id, "approved", "--payload", '{"by": "lee"}')

    assert said.code == ExitCode.ERROR
    assert "that one stands" in said.err
    assert "replace" in said.err

    said = fluxio("signal", run.run_id, "approved", "--payload", '{"by": "lee"}', "--replace")

    assert said.code == ExitCode.OK
    world.pump(Approval).drain()
    assert world.client.get(run.run_id).result == {"published": "hello, says lee"}


def test_redrive_of_all_failed_runs_asks_first_and_takes_each(
    fluxio: Command, world: World
) -> None:
    runs = [world.run(Declined) for _ in range(3)]
    BROKEN["on"] = False

    refused = fluxio("redrive", "--failed", "Declined")
    said = fluxio("redrive", "--failed", "Declined", "--yes", "--json")
    world.pump(Declined).drain()

    assert refused.code == ExitCode.USAGE
    assert {*said.json["redriven"]} == {run.run_id for run in runs}
    assert {world.client.get(run.run_id).status for run in runs} == {RunStatus.SUCCEEDED}


def test_redrive_of_parked_runs_lets_them_go_on(fluxio: Command, world: World) -> None:
    run = world.client.start("Order", {"amount": 1})
    park(world, run.run_id)

    said = fluxio("redrive", "--parked", "Order", "--yes")
    world.pump(Order).drain()

    assert said.code == ExitCode.OK
    assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED


def test_one_run_that_refuses_does_not_keep_the_others_from_a_redrive(
    fluxio: Command, world: World
) -> None:
    good, done = world.run(Declined), world.run(Order, {"amount": 1})

    said = fluxio("redrive", "nobody", done.run_id, good.run_id)

    assert said.code == ExitCode.ERROR
    assert "nobody" in said.err
    assert done.run_id in said.err
    assert world.client.get(good.run_id).status is RunStatus.RUNNING
    assert fluxio("redrive", "nobody").code == ExitCode.NOT_FOUND


# --- dlq


def dead_letter(world: World, body: str) -> None:
    world.sqs.send_message(
        QueueUrl=world.dlq_url,
        MessageBody=body,
        MessageGroupId=body,
        MessageDeduplicationId=str(hash(body)),
    )


def test_dlq_list_finds_the_queue_by_itself_and_consumes_nothing(
    fluxio: Command, world: World
) -> None:
    run = world.run(Declined)
    dead_letter(world, json.dumps({"run_id": run.run_id}))
    dead_letter(world, "hello")

    for _ in range(2):
        found = fluxio("dlq", "list", "--json").json["messages"]
        assert [one["run_id"] for one in found] == [run.run_id, None]
        assert found[0]["run"]["status"] == "FAILED"
        assert "not JSON" in found[1]["malformed"]
    assert "ask for another card" in fluxio("dlq", "list").out
    assert len(world.dead_letters()) == 2


def test_dlq_list_offers_a_redrive_only_if_a_message_is_a_nudge_of_a_run(
    fluxio: Command, world: World
) -> None:
    dead_letter(world, "hello")
    dead_letter(world, json.dumps({"run_id": "never-was"}))

    said = fluxio("dlq", "list")
    assert "there is no such run: it was never started, or its retention is over" in said.out
    assert "fluxio dlq purge --useless" in said.err
    assert "fluxio dlq redrive" not in said.err

    dead_letter(world, json.dumps({"run_id": world.run(Declined).run_id}))
    assert "fluxio dlq redrive" in fluxio("dlq", "list").err


def test_dlq_show_prints_the_message_of_a_run_in_full(fluxio: Command, world: World) -> None:
    run = world.run(Declined)
    dead_letter(world, json.dumps({"run_id": run.run_id}))

    said = fluxio("dlq", "show", run.run_id)

    assert f'{{"run_id": "{run.run_id}"}}' in said.out
    assert fluxio("dlq", "show", "nobody").code == ExitCode.NOT_FOUND
    assert len(world.dead_letters()) == 1


def test_dlq_redrive_nudges_the_runs_and_gives_back_what_it_cannot_use(
    fluxio: Command, world: World
) -> None:
    run = world.client.start("Order", {"amount": 1})
    for record in world.pump(Order).receive():  # the message of the start is lost
        world.sqs.delete_message(QueueUrl=world.queue_url, ReceiptHandle=record["receiptHandle"])
    dead_letter(world, json.dumps({"run_id": run.run_id}))
    dead_letter(world, json.dumps({"run_id": "gone"}))
    dead_letter(world, "hello")

    said = fluxio("dlq", "redrive", "--json")
    world.pump(Order).drain()

    assert (said.json["nudged"], said.json["malformed"], said.json["unknown"]) == (1, 1, 1)
    assert world.client.get(run.run_id).status is RunStatus.SUCCEEDED
    assert len(world.dead_letters()) == 2


def test_dlq_purge_deletes_what_is_useless_or_all_but_asks_first(
    fluxio: Command, world: World
) -> None:
    run = world.run(Declined)
    dead_letter(world, json.dumps({"run_id": run.run_id}))
    dead_letter(world, "hello")

    refused = fluxio("dlq", "purge")
    useless = fluxio("dlq", "purge", "--useless", "--yes", "--json").json
    left = fluxio("dlq", "list", "--json").json["messages"]
    rest = fluxio("dlq", "purge", "--yes", "--json").json

    assert refused.code == ExitCode.USAGE
    assert (useless["deleted"], useless["kept"]) == (1, 1)
    assert [one["run_id"] for one in left] == [run.run_id]
    assert rest["deleted"] == 1


# --- cost


def test_cost_counts_what_the_worker_logged_and_the_start(
    fluxio: Command, world: World, log_lines: LogLines
) -> None:
    run_id = world.client.start("Order", {"amount": 1}).run_id
    world.pump(Order).drain()
    lines = log_lines("message handled")
    assert lines, "the worker logs each message that it has handled"
    other = {**lines[0], "run_id": "somebody-else", "writes": 1000}
    fluxio.services.events = [
        {"message": json.dumps({"request_id": "r-1", **line})} for line in (*lines, other)
    ]
    fluxio.services.events.append({"message": "START RequestId: no JSON"})

    record = fluxio("cost", run_id, "--json").json

    counted = record["per_run"]
    assert counted["writes"] == 1 + sum(line["writes"] for line in lines)
    assert counted["messages"] == 1 + sum(line["sent"] for line in lines)
    assert counted["attempts"] == 4
    assert record["fluxio"]["dollars_per_million_runs"] == pytest.approx(
        sum(line["dollars_per_million_runs"] for line in record["fluxio"]["lines"]), abs=0.001
    )
    assert {*record["peers"]} == {"Step Functions Standard", "Lambda durable functions"}
    assert "Not counted: invocations whose worker died" in " ".join(
        fluxio("cost", "Order").err.split()
    )


def test_cost_of_a_run_that_the_log_does_not_know_says_why(fluxio: Command, world: World) -> None:
    run = world.run(Order, {"amount": 1})

    said = fluxio("cost", run.run_id)

    assert said.code == ExitCode.ERROR
    assert "log_retention_days" in said.err


# --- what all have in common


def test_an_unknown_run_is_one_line_and_exit_code_4(fluxio: Command) -> None:
    for command in (["show"], ["timeline"], ["cancel", "--yes"]):
        said = fluxio(command[0], "nobody", *command[1:])
        assert said.code == ExitCode.NOT_FOUND
        assert said.err.startswith("error: there is no run nobody")
        assert said.err.count("\n") == 1
        assert said.out == ""


def test_an_error_as_json_is_one_object_on_stderr(fluxio: Command) -> None:
    said = fluxio("show", "nobody", "--json")

    error = json.loads(said.err)["error"]
    assert error["type"] == "RunNotFound"
    assert error["exit_code"] == said.code == 4


@pytest.mark.parametrize(
    "arguments",
    [
        ["list", "X", "--status", "bogus"],
        ["bogus"],
        ["show"],
        ["show", "o-1", "--nope"],
        ["list", "--failed", "--open"],
    ],
)
def test_a_wrong_command_line_with_json_is_one_object_on_stderr(
    fluxio: Command, arguments: list[str]
) -> None:
    said = fluxio(*arguments, "--json")

    error = json.loads(said.err)["error"]
    assert {*error} == {"type", "message", "exit_code"}
    assert error["exit_code"] == said.code == ExitCode.USAGE


def test_a_wrong_command_line_is_told_in_whole_sentences(fluxio: Command) -> None:
    assert (
        "No such option: --zzz. See `fluxio show --help`.\n" in fluxio("show", "o-1", "--zzz").err
    )
    assert (
        "error: Invalid value for '--status': 'bogus' is not"
        in fluxio("list", "X", "--status", "bogus").err
    )


@pytest.mark.parametrize(
    "arguments",
    [
        ["shwo"],
        ["show"],
        ["show", "o-1", "--nope"],
        ["show", "not a run id"],
        ["list", "--failed", "--open"],
        ["list", "--since", "yesterday"],
        ["redrive"],
        ["start", "Order", "--input", "{"],
        ["start", "Order", "--input", "@/nowhere/order.json"],
        ["start", "Order", "--input", "[1]"],
        ["start", "Order", "--wait", "--timeout", "soon"],
    ],
)
def test_a_wrong_command_line_is_one_line_and_exit_code_2(
    fluxio: Command, arguments: list[str]
) -> None:
    said = fluxio(*arguments)

    assert said.code == ExitCode.USAGE
    assert said.err.startswith("error: ")
    assert said.err.count("\n") == 1


@pytest.mark.parametrize(
    ("variable", "option"),
    [("FLUXIO_TABLE_NAME", "--table-name"), ("FLUXIO_QUEUE_URL", "--queue-url")],
)
def test_a_missing_setting_names_itself_and_its_option(
    fluxio: Command, monkeypatch: pytest.MonkeyPatch, variable: str, option: str
) -> None:
    monkeypatch.delenv(variable)

    said = fluxio("show", "o-1")

    assert said.code == ExitCode.USAGE
    assert f"{variable} is not set. Pass {option}, or set the variable" in said.err


def test_a_table_that_is_not_fluxios_names_the_setting_and_the_next_move(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = f"{world.table_name}-other"
    key = {"AttributeName": "id", "KeyType": "HASH"}
    world.dynamodb.create_table(
        TableName=other,
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[key],
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
    )
    monkeypatch.setenv("FLUXIO_TABLE_NAME", other)

    # Of an index that is missing moto says something else than AWS; see test_cli_parts.
    for arguments in (["show", "o-1"], ["start", "Order"], ["redrive", "o-1"], ["graph", "o-1"]):
        said = fluxio(*arguments)
        assert said.code == ExitCode.USAGE, said
        assert "--table-name or FLUXIO_TABLE_NAME the module's output `table_name`" in said.err


def test_options_go_before_the_environment(
    fluxio: Command, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run(Order, {"amount": 1})
    monkeypatch.setenv("FLUXIO_TABLE_NAME", "another")
    monkeypatch.setenv("FLUXIO_QUEUE_URL", "https://sqs.us-east-1.amazonaws.com/1/another.fifo")

    options = ["--table-name", world.table_name, "--queue-url", world.queue_url]

    assert fluxio("show", run.run_id, *options).code == ExitCode.OK
    assert fluxio("show", run.run_id).code == ExitCode.USAGE


def test_what_is_not_a_terminal_gets_plain_text(fluxio: Command, world: World) -> None:
    run = world.run(Declined)

    for arguments in (["show", run.run_id], ["list", "--failed"], ["timeline", run.run_id]):
        said = fluxio(*arguments)
        assert "\x1b" not in said.out + said.err


def test_every_command_has_help_with_an_example_and_takes_json(fluxio: Command) -> None:
    commands = [["start"], ["list"], ["show"], ["graph"], ["timeline"], ["signal"], ["cancel"],
                ["redrive"], ["doctor"], ["package"], ["cost"], ["dlq", "list"], ["dlq", "show"],
                ["dlq", "redrive"], ["dlq", "purge"]]  # fmt: skip
    for command in commands:
        said = fluxio(*command, "--help")
        assert said.code == ExitCode.OK
        assert f"Example: fluxio {' '.join(command)}" in said.out
        assert "--json" in said.out


def test_the_help_lists_every_exit_code(fluxio: Command) -> None:
    text = " ".join(fluxio("--help").out.split())

    for code in ExitCode:
        assert f"{code:d} {code.meaning}" in text
