"""The log tells what became of each message and each run, under the same ids everywhere."""

from __future__ import annotations

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import RunStatus
from tests.moto.pump import Killed, LogLines, World

SECRET = "4111 1111 1111 1111"


@workflow
class Payment:
    @step
    def check(self, card: str) -> dict:
        return {"checked": card}

    @step(depends_on=["check"], timeout=30, retry=Retry(1, initial=2, jitter=0))
    def charge(self, checked: str, ctx: StepContext) -> str:
        if ctx.attempt == 1:
            raise ConnectionError(SECRET)
        if ctx.attempt == 2 and ctx.run_id.startswith("dies"):
            raise Killed
        return checked


class TestMessageHandled:
    """A line for each message, with what became of it and what that cost."""

    def test_it_says_what_became_of_the_message_and_where(
        self, world: World, log_lines: LogLines
    ) -> None:
        world.client.start("Payment", {"card": SECRET}, run_id="p-1")
        pump = world.pump(Payment)
        pump.drain()
        world.clock.advance(2)
        pump.drain()
        back, done = log_lines("message handled")
        assert (back["verdict"], back["seconds"], back["received"]) == ("put back", 2, 1)
        assert (done["verdict"], done["received"]) == ("acknowledged", 2)
        assert "seconds" not in done
        for line in (back, done):
            assert (line["run_id"], line["workflow"]) == ("p-1", "Payment")
            assert "step" not in line, "the run's own message names none"
            assert line["writes"] >= 1
            assert line["ms"] == 0, "the clock stands still"
        assert back["request_id"] != done["request_id"]

    def test_messages_of_one_invocation_share_its_request_id_and_not_their_costs(
        self, world: World, log_lines: LogLines
    ) -> None:
        @workflow
        class Fan:
            @step
            def a(self) -> int:
                return 1

            @step
            def b(self) -> int:
                return 2

        world.client.start("Fan", run_id="f-1")
        pump = world.pump(Fan, inline_branches=0, batch_size=10)
        pump.invoke(pump.receive())
        assert [line["sent"] for line in log_lines("message handled")] == [1]
        world.client.start("Fan", run_id="f-2")
        pump.invoke(pump.receive())
        lines = log_lines("message handled")
        assert {(line["run_id"], line.get("step")) for line in lines} == {
            ("f-1", "b"),
            ("f-2", None),
        }
        assert len({line["request_id"] for line in lines}) == 1
        assert {line["run_id"]: line["sent"] for line in lines} == {"f-1": 0, "f-2": 1}

    def test_a_swept_message_names_the_workflow_although_it_does_not_say_it(
        self, world: World, log_lines: LogLines
    ) -> None:
        world.client.start("Payment", {"card": SECRET}, run_id="p-1")
        world.sqs.purge_queue(QueueUrl=world.queue_url)
        world.clock.advance(301)
        pump = world.pump(Payment)
        pump.sweep()
        pump.drain()
        (line,) = log_lines("message handled")
        assert line["workflow"] == "Payment"

    def test_a_refused_message_has_one_too(self, world: World, log_lines: LogLines) -> None:
        world.send("not JSON")
        pump = world.pump(Payment)
        pump.invoke(pump.receive())
        (line,) = log_lines("message handled")
        assert (line["verdict"], line["writes"], line["reads"]) == ("put back", 0, 0)
        assert "run_id" not in line


def test_every_line_about_a_run_has_its_ids(world: World, log_lines: LogLines) -> None:
    world.client.start("Payment", {"card": SECRET}, run_id="dies-1")
    world.client.start("Payment", {}, run_id="p-2")
    pump = world.pump(Payment)
    pump.pass_time(400, step=2)
    assert world.client.get("dies-1").status is RunStatus.SUCCEEDED
    assert world.client.get("p-2").status is RunStatus.FAILED
    lines = [line for line in log_lines() if line["message"] != "sweep"]
    for line in lines:
        assert line["run_id"] in ("dies-1", "p-2"), line
        assert line["workflow"] == "Payment", line
        if line["message"].startswith("step ") or line["message"] == "run failed":
            assert line["step"] in ("check", "charge"), line
            assert line["attempt"] >= 1, line
    assert {line["message"] for line in lines} == {
        "message handled",
        "run failed",
        "run succeeded",
        "step raised",
        "step returned",
        "step taken over",
    }
    assert SECRET not in str(lines)


class TestSettings:
    def test_a_level_keeps_what_is_below_it_out(
        self, world: World, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", "ERROR")
        world.run(Payment, {})
        assert {line["message"] for line in log_lines()} == {"run failed"}

    def test_debug_tells_when_a_step_begins(
        self, world: World, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_LEVEL", "DEBUG")
        run = world.run(Payment, {"card": SECRET})
        lines = log_lines("step begins")
        assert [(line["run_id"], line["step"], line["attempt"]) for line in lines] == [
            (run.run_id, "check", 1),
            (run.run_id, "charge", 1),
        ]

    def test_payloads_that_were_asked_for_are_there_also_when_a_step_cannot_take_them(
        self, world: World, log_lines: LogLines, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", "1")
        world.run(Payment, {"card": SECRET})
        world.run(Payment, {"cart": 7})
        lines = log_lines()
        shown = [
            (line["message"], line["step"], line["attempt"], line["payload"])
            for line in lines
            if "payload" in line
        ]
        assert shown == [
            ("step input", "check", 1, f'{{"input": {{"card": "{SECRET}"}}, "given": {{}}}}'),
            ("step output", "check", 1, f'{{"checked":"{SECRET}"}}'),
            (
                "step input",
                "charge",
                1,
                f'{{"input": {{"card": "{SECRET}"}}, "given": {{"check": {{"checked": "{SECRET}"}}}}}}',
            ),
            ("step input", "check", 1, '{"input": {"cart": 7}, "given": {}}'),
        ]
