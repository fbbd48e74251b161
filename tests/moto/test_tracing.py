"""What a run leaves in X-Ray, segment by segment, as its daemon gets it.

The daemon is a UDP socket here. moto drops the system attributes of messages that are sent in a batch, so `Sqs`
keeps them as SQS does: the attribute AWSTraceHeader, or else the header that botocore hands over in Lambda.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from secrets import token_hex
from typing import Any

import pytest

from fluxio import Retry, StepContext, step, workflow
from fluxio_client import FluxioClient, RunStatus, StepStatus
from fluxio_protocol.clock import now_ms
from fluxio_protocol.trace import Trace
from tests.moto.conftest import create_table
from tests.moto.daemon import Daemon
from tests.moto.pump import Calls, Killed, LogLines, Pump, World

CALLER = Trace("1-6b49d200-aaaaaaaaaaaaaaaaaaaaaaaa", "cccccccccccccccc")
SECRET = "4111 1111 1111 1111"


@workflow
class Diamond:
    @step
    def top(self) -> dict:
        return {}

    @step(depends_on=["top"])
    def left(self) -> dict:
        return {}

    @step(depends_on=["top"])
    def middle(self) -> dict:
        return {}

    @step(depends_on=["top"])
    def right(self) -> dict:
        return {}

    @step(depends_on=["left", "middle", "right"])
    def bottom(self) -> dict:
        return {}


@workflow
class Flaky:
    @step(retry=Retry(1, initial=2, jitter=0))
    def flaky(self, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise ConnectionError(f"no answer for {SECRET}")
        return {}


@workflow
class Hopeless:
    @step
    def hopeless(self) -> dict:
        raise KeyError(SECRET)


@workflow
class Deadly:
    @step
    def before(self) -> dict:
        return {}

    @step(depends_on=["before"], timeout=20)
    def deadly(self, ctx: StepContext) -> dict:
        if ctx.attempt == 1:
            raise Killed
        return {}


@workflow
class Slow:
    @step(timeout=0.05)
    def slow(self) -> dict:
        time.sleep(30)
        return {}


class Sqs:
    """Keeps the trace headers of messages, which moto loses, and hands them to the pumps."""

    def __init__(self, world: World) -> None:
        self.headers: dict[str, str] = {}
        self.given: dict[str, str] = {}
        self._events = world.sqs.meta.events
        self._events.register("request-created.sqs.SendMessageBatch", self._keep)

    def close(self) -> None:
        self._events.unregister("request-created.sqs.SendMessageBatch", self._keep)

    def _keep(self, request: Any, **_: Any) -> None:
        automatic = request.headers.get("X-Amzn-Trace-Id")
        for entry in json.loads(request.body)["Entries"]:
            name = entry["MessageDeduplicationId"]
            attribute = entry.get("MessageSystemAttributes", {}).get("AWSTraceHeader")
            if attribute:
                assert attribute["DataType"] == "String"
                self.given[name] = attribute["StringValue"]
            header = attribute["StringValue"] if attribute else automatic
            if header:
                self.headers[name] = header

    def received(self, pump: Pump) -> list[dict[str, Any]]:
        records = pump.receive()
        for record in records:
            header = self.headers.get(record["attributes"]["MessageDeduplicationId"])
            if header:
                record["attributes"]["AWSTraceHeader"] = header
        return records


class Lambda:
    """A worker's function, each invocation in a trace of its own, as Lambda has it."""

    def __init__(self, pump: Pump, sqs: Sqs, patch: pytest.MonkeyPatch, sampled: bool) -> None:
        self.pump = pump
        self._sqs = sqs
        self._patch = patch
        self._sampled = sampled
        self.traces: list[str] = []

    def new_invocation(self) -> None:
        trace = Trace.fresh(0)
        self.traces.append(trace.root)
        header = (
            f"Root={trace.root};Parent={token_hex(8)};Sampled={int(self._sampled)};Lineage=1:1:0"
        )
        self._patch.setenv("_X_AMZN_TRACE_ID", header)

    def invoke(self) -> bool:
        """One invocation with what the queue shows; whether there was anything."""
        records = self._sqs.received(self.pump)
        if records:
            self.new_invocation()
            self.pump.invoke(records)
            self._patch.delenv("_X_AMZN_TRACE_ID")
        return bool(records)

    def drain(self) -> None:
        while self.invoke():
            pass

    def sweep(self) -> None:
        self.new_invocation()
        self.pump.sweep()
        self._patch.delenv("_X_AMZN_TRACE_ID")


@pytest.fixture
def daemon(monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    listening = Daemon()
    monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", listening.address)
    yield listening
    listening.close()


@pytest.fixture
def sqs(world: World) -> Iterator[Sqs]:
    kept = Sqs(world)
    yield kept
    kept.close()


class Deployment:
    """A world in which tracing is switched on."""

    def __init__(self, world: World, sqs: Sqs, patch: pytest.MonkeyPatch) -> None:
        self.world = world
        self.sqs = sqs
        self._patch = patch
        patch.setenv("FLUXIO_TRACING", "1")
        patch.setenv("AWS_LAMBDA_FUNCTION_NAME", "orders-worker")

    @property
    def client(self) -> FluxioClient:
        return self.world.client

    def function(self, *classes: type, sampled: bool = True, **options: Any) -> Lambda:
        return Lambda(self.world.pump(*classes, **options), self.sqs, self._patch, sampled)

    def trace(self, run_id: str) -> str:
        found = self.client.get(run_id).trace
        assert found is not None
        return found


@pytest.fixture
def deployment(world: World, sqs: Sqs, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    return Deployment(world, sqs, monkeypatch)


def outcomes(daemon: Daemon) -> list[tuple[str, int, str | None]]:
    """(step, attempt, outcome) of each subsegment; None: still in progress."""
    return [
        (a["annotations"]["step"], a["annotations"]["attempt"], a["annotations"].get("outcome"))
        for a in daemon.attempts()
    ]


class TestOneTrace:
    def test_a_run_is_one_trace_across_its_start_its_nudges_and_several_lambdas(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1", trace_header=CALLER.header)
        functions = [
            deployment.function(Diamond, inline_branches=0, batch_size=1) for _ in range(3)
        ]
        while sum(function.invoke() for function in functions):  # one message each, in turn
            pass

        assert deployment.client.get("d-1").status is RunStatus.SUCCEEDED
        assert {document["trace_id"] for document in daemon.read()} == {CALLER.root}
        first, *branches = daemon.segments()
        assert len(branches) == 2
        assert first["parent_id"] == CALLER.parent, "below whoever started it"
        assert [branch["parent_id"] for branch in branches] == [first["id"]] * 2, "below the sender"
        assert sorted(outcomes(daemon)) == [
            (name, 1, "succeeded") for name in ("bottom", "left", "middle", "right", "top")
        ]
        assert len({function.traces[0] for function in functions}) == 3, "of three invocations"

    def test_each_attempt_says_which_run_workflow_step_and_attempt_it_is_and_how_it_ended(
        self, deployment: Deployment, daemon: Daemon, log_lines: LogLines
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1", trace_header=CALLER.header)
        deployment.function(Diamond).drain()
        (handled,) = log_lines("message handled")

        (segment,) = daemon.segments()
        assert (segment["name"], segment["origin"]) == ("orders-worker", "AWS::Lambda::Function")
        assert segment["annotations"] == {
            "run_id": "d-1",
            "workflow": "Diamond",
            "run_status": "SUCCEEDED",
        }
        assert segment["metadata"]["fluxio"] == {
            "woken_by": "start",
            "received": 1,
            "verdict": "acknowledged",
            "request_id": handled["request_id"],
        }
        assert [attempt["name"] for attempt in segment["steps"]] == [
            "top",
            "left",
            "middle",
            "right",
            "bottom",
        ]
        for attempt in segment["steps"]:
            assert attempt["annotations"] == {
                "run_id": "d-1",
                "workflow": "Diamond",
                "step": attempt["name"],
                "attempt": 1,
                "outcome": "succeeded",
            }

    def test_the_invocation_that_opens_a_run_begins_its_trace_if_it_is_sampled(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1")
        deployment.function(Diamond, sampled=True, inline_branches=0, batch_size=1).invoke()
        deployment.function(Diamond, sampled=False, inline_branches=0).drain()

        trace = deployment.trace("d-1")
        first, *others = daemon.segments()
        assert first["trace_id"] == trace
        assert "parent_id" not in first
        assert {(s["trace_id"], s["parent_id"]) for s in others} == {(trace, first["id"])}
        assert len(others) == 2
        assert len(outcomes(daemon)) == 5

    def test_runs_that_share_an_invocation_have_a_trace_each(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        for number in range(3):
            deployment.client.start("Diamond", run_id=f"d-{number}")
        function = deployment.function(Diamond, batch_size=10)
        function.drain()

        assert len(function.traces) == 1
        found = {s["trace_id"]: s["annotations"]["run_id"] for s in daemon.segments()}
        assert sorted(found.values()) == ["d-0", "d-1", "d-2"]
        assert found == {deployment.trace(run_id): run_id for run_id in found.values()}

    def test_the_callers_trace_stays_when_a_sampled_invocation_opens_the_run(
        self, deployment: Deployment
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1", trace_header=CALLER.header)
        deployment.sqs.headers.clear()  # its message tells the worker nothing of it
        deployment.function(Diamond, sampled=True).drain()
        assert deployment.trace("d-1") == CALLER.root

    def test_a_start_inside_a_sampled_invocation_joins_its_trace(
        self, deployment: Deployment, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("_X_AMZN_TRACE_ID", f"{CALLER.header};Lineage=1:1:0")
        run = deployment.client.start("Diamond", run_id="d-1")
        assert run.trace == deployment.trace("d-1") == CALLER.root
        assert deployment.sqs.given == {"d-1//1/": CALLER.header}

    def test_what_the_sweeper_finds_goes_on_in_the_runs_own_trace(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1", trace_header=CALLER.header)
        pump = deployment.world.pump(Diamond)
        for record in pump.receive():  # its message is lost
            deployment.world.sqs.delete_message(
                QueueUrl=pump.queue_url, ReceiptHandle=record["receiptHandle"]
            )
        deployment.world.clock.advance(301)
        function = deployment.function(Diamond)
        function.sweep()
        (swept,) = {*deployment.sqs.headers.values()} - {CALLER.header}
        assert function.traces[0] in swept, "the nudge comes with the sweep's own header"
        function.drain()

        assert deployment.client.get("d-1").status is RunStatus.SUCCEEDED
        (segment,) = daemon.segments()
        assert segment["trace_id"] == CALLER.root
        assert "parent_id" not in segment, "and not below a segment of another trace"
        assert segment["metadata"]["fluxio"]["woken_by"] == "sweep"

    def test_a_redrive_goes_on_in_the_runs_own_trace(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Hopeless", run_id="h-1")
        function = deployment.function(Hopeless)
        function.drain()
        trace = deployment.trace("h-1")
        deployment.client.redrive("h-1")
        function.drain()

        first, again = daemon.segments()
        assert first["trace_id"] == again["trace_id"] == trace
        assert f"Root={trace};Sampled=1" in deployment.sqs.given.values()
        assert again["metadata"]["fluxio"]["woken_by"] == "redrive"
        assert outcomes(daemon) == [("hopeless", 1, "failed"), ("hopeless", 2, "failed")]


class TestErrors:
    def test_a_retry_leaves_both_attempts_and_the_exceptions_type(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Flaky", run_id="f-1")
        function = deployment.function(Flaky)
        function.drain()
        deployment.world.clock.advance(2)
        function.drain()

        assert outcomes(daemon) == [("flaky", 1, "retried"), ("flaky", 2, "succeeded")]
        first, second = daemon.attempts()
        assert first["trace_id"] == second["trace_id"] == deployment.trace("f-1")
        (raised,) = first["cause"]["exceptions"]
        assert (first["fault"], raised["type"]) == (True, "ConnectionError")
        assert "fault" not in second
        assert second["start_time"] - first["end_time"] == 2
        put_back, acknowledged = daemon.segments()
        assert put_back["metadata"]["fluxio"]["verdict"] == "put back"
        assert acknowledged["metadata"]["fluxio"]["received"] == 2
        assert SECRET not in json.dumps(daemon.documents), "what a step works on stays out of it"

    def test_an_exceptions_message_is_told_only_where_payloads_may_be(
        self, deployment: Deployment, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", "1")
        deployment.client.start("Flaky", run_id="f-1")
        deployment.function(Flaky).drain()
        (attempt,) = daemon.attempts()
        assert attempt["cause"]["exceptions"][0]["message"] == f"no answer for {SECRET}"

    def test_a_failed_run_is_a_fault(self, deployment: Deployment, daemon: Daemon) -> None:
        deployment.client.start("Hopeless", run_id="h-1")
        deployment.function(Hopeless).drain()
        (segment,) = daemon.segments()
        assert (segment["fault"], segment["annotations"]["run_status"]) == (True, "FAILED")
        assert outcomes(daemon) == [("hopeless", 1, "failed")]

    def test_a_step_that_takes_too_long_is_a_timeout(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Slow", run_id="s-1")
        deployment.function(Slow).drain()
        (attempt,) = daemon.attempts()
        assert attempt["cause"]["exceptions"][0]["type"] == "TimeoutError"
        assert attempt["annotations"]["outcome"] == "failed"

    def test_an_attempt_whose_worker_died_stays_in_progress_and_the_next_follows_it(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Deadly", run_id="d-1")
        deployment.function(Deadly).drain()
        assert outcomes(daemon) == [("before", 1, "succeeded"), ("deadly", 1, None)]
        (died,) = daemon.segments()
        assert died["in_progress"]
        assert died["steps"][1]["in_progress"]
        deployment.world.clock.advance(151)  # the message comes back, and the lease is over
        deployment.function(Deadly, sampled=False).drain()

        assert deployment.client.get("d-1").status is RunStatus.SUCCEEDED
        died, after = daemon.segments()
        assert died["in_progress"]
        assert died["trace_id"] == after["trace_id"] == deployment.trace("d-1")
        assert outcomes(daemon)[1:] == [("deadly", 1, None), ("deadly", 2, "succeeded")]

    def test_a_worker_that_lost_its_step_is_fenced(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        world = deployment.world

        @workflow
        class Overrun:
            @step
            def overrun(self, ctx: StepContext) -> dict:
                if ctx.attempt == 1:
                    world.clock.advance(151)
                    deployment.function(Overrun).drain()  # another worker, before this one returns
                return {}

        deployment.client.start("Overrun", run_id="o-1")
        function = deployment.function(Overrun)
        with suppress(KeyError):  # the other one's invocation has taken the variable away
            function.drain()
        assert sorted(outcomes(daemon)) == [("overrun", 1, "fenced"), ("overrun", 2, "succeeded")]
        assert {s["metadata"]["fluxio"]["verdict"] for s in daemon.segments()} == {
            "put back",
            "acknowledged",
        }

    def test_a_refused_transaction_is_the_steps_failure(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        table = f"{deployment.world.table_name}-of-the-step"
        create_table(deployment.world.dynamodb, table)

        @workflow
        class Refused:
            @step
            def refused(self, ctx: StepContext) -> dict:
                ctx.transact(
                    {
                        "ConditionCheck": {
                            "TableName": table,
                            "Key": {"pk": {"S": "nobody"}, "sk": {"S": "nothing"}},
                            "ConditionExpression": "attribute_exists(pk)",
                        }
                    }
                )
                return {}

        deployment.client.start("Refused", run_id="r-1")
        deployment.function(Refused).drain()
        (attempt,) = daemon.attempts()
        assert attempt["annotations"]["outcome"] == "failed"
        assert attempt["cause"]["exceptions"][0]["type"] == "TransactionFailed"

    def test_what_an_outage_keeps_from_being_committed_is_uncommitted(
        self, deployment: Deployment, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        @workflow
        class Cut:
            @step
            def cut(self) -> dict:
                monkeypatch.setattr(deployment.world.dynamodb, "update_item", self.out_of_reach)
                return {}

            @staticmethod
            def out_of_reach(**_: Any) -> None:
                raise ConnectionError

        deployment.client.start("Cut", run_id="c-1")
        deployment.function(Cut).invoke()
        assert outcomes(daemon) == [("cut", 1, "uncommitted")]
        assert daemon.segments()[0]["metadata"]["fluxio"]["verdict"] == "put back"


class TestThreads:
    def test_branches_that_run_as_threads_hang_below_one_segment(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        @workflow
        class Wide:
            @step
            def one(self) -> dict:
                return {}

            @step
            def two(self) -> dict:
                raise ValueError(SECRET)

            @step
            def three(self) -> dict:
                return {}

        deployment.client.start("Wide", run_id="w-1")
        deployment.function(Wide).drain()
        (segment,) = daemon.segments()
        begun = [d for d in daemon.documents if "type" in d][:3]
        assert all(document["in_progress"] for document in begun), "they run side by side"
        assert sorted(outcomes(daemon)) == [
            ("one", 1, "succeeded"),
            ("three", 1, "succeeded"),
            ("two", 1, "failed"),
        ]
        assert Counter("cause" in attempt for attempt in segment["steps"]) == {False: 2, True: 1}

    def test_a_branch_that_overruns_is_a_timeout(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        @workflow
        class Wide:
            @step(timeout=0.05)
            def late(self) -> dict:
                time.sleep(0.5)
                return {}

            @step
            def quick(self) -> dict:
                return {}

        deployment.client.start("Wide", run_id="w-1")
        deployment.function(Wide, now=now_ms).drain()
        by_name = {attempt["name"]: attempt for attempt in daemon.attempts()}
        assert by_name["late"]["annotations"]["outcome"] == "failed"
        assert by_name["late"]["cause"]["exceptions"][0]["type"] == "TimeoutError"
        assert by_name["quick"]["annotations"]["outcome"] == "succeeded"


class TestUntraced:
    def test_an_unsampled_run_sends_nothing_and_keeps_nothing(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        unsampled = CALLER.header.replace("Sampled=1", "Sampled=0")
        deployment.client.start("Diamond", run_id="d-1", trace_header=unsampled)
        deployment.function(Diamond, sampled=False, inline_branches=0).drain()
        run = deployment.client.get("d-1")
        assert (run.status, run.trace) == (RunStatus.SUCCEEDED, None)
        assert "trace" not in deployment.world.run_item("d-1")
        assert deployment.sqs.given == {}
        assert daemon.read() == []

    def test_a_run_that_was_opened_untraced_stays_so(
        self, deployment: Deployment, daemon: Daemon
    ) -> None:
        deployment.client.start("Diamond", run_id="d-1")
        deployment.function(Diamond, sampled=False, inline_branches=0).invoke()
        deployment.function(Diamond, sampled=True, inline_branches=0).drain()
        assert deployment.client.get("d-1").status is RunStatus.SUCCEEDED
        assert daemon.read() == []

    def test_where_tracing_is_off_a_traced_run_sends_nothing_and_its_header_goes_on(
        self, deployment: Deployment, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("FLUXIO_TRACING")
        deployment.client.start("Diamond", run_id="d-1", trace_header=CALLER.header)
        deployment.function(Diamond, inline_branches=0).drain()
        assert deployment.client.get("d-1").status is RunStatus.SUCCEEDED
        assert daemon.read() == []
        assert len(deployment.sqs.given) == 3
        assert {*deployment.sqs.given.values()} == {CALLER.header}

    @pytest.mark.parametrize(
        ("variables", "imported"),
        [
            ({"FLUXIO_TRACING": "1", "_X_AMZN_TRACE_ID": CALLER.header}, True),
            ({"FLUXIO_TRACING": "1", "_X_AMZN_TRACE_ID": CALLER.header[:-1] + "0"}, False),
            ({"FLUXIO_TRACING": "1"}, False),
            ({"_X_AMZN_TRACE_ID": CALLER.header}, False),
        ],
        ids=["sampled", "unsampled", "without a header", "switched off"],
    )
    def test_the_sdk_is_imported_only_for_a_sampled_invocation(
        self, daemon: Daemon, variables: dict[str, str], imported: bool
    ) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "tests.moto.one_message"],
            env={
                "AWS_XRAY_DAEMON_ADDRESS": daemon.address,
                "PYTHONPATH": ":".join(sys.path),
                **variables,
            },
            check=True,
            capture_output=True,
            text=True,
        )
        assert done.stdout.split() == ["SUCCEEDED", str(imported)]
        assert bool(daemon.read()) is imported

    def test_a_trace_costs_no_call(
        self, deployment: Deployment, daemon: Daemon, calls: Calls
    ) -> None:
        function = deployment.function(Diamond, sampled=False, inline_branches=0)
        deployment.client.start("Diamond")
        function.drain()
        made = []
        for header in ("", CALLER.header):
            calls.reset()
            deployment.client.start("Diamond", trace_header=header)
            function.drain()
            names = ("PutItem", "UpdateItem", "GetItem", "SendMessageBatch", "messages")
            made.append({name: calls.of(name) for name in names})
        assert daemon.read() != []
        assert made[0] == made[1]


class TestHarmless:
    @pytest.mark.parametrize("address", ["nonsense", "127.0.0.1:1"])
    def test_a_daemon_that_cannot_be_reached_costs_the_trace_and_no_run(
        self,
        deployment: Deployment,
        monkeypatch: pytest.MonkeyPatch,
        log_lines: LogLines,
        address: str,
    ) -> None:
        monkeypatch.setenv("AWS_XRAY_DAEMON_ADDRESS", address)
        deployment.client.start("Diamond", run_id="d-1")
        deployment.function(Diamond).drain()
        steps = deployment.client.get("d-1").steps.values()
        assert [s.status for s in steps] == [StepStatus.SUCCEEDED] * 5
        if address == "nonsense":
            (line,) = log_lines("message not traced")
            assert (line["level"], line["error"]) == ("WARN", "InvalidDaemonAddressException")

    def test_a_document_stays_far_below_what_x_ray_takes(
        self, deployment: Deployment, daemon: Daemon, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("FLUXIO_LOG_PAYLOADS", "1")

        @workflow(name="W" * 64)
        class Long:
            @step
            def fails(self) -> dict:
                raise ValueError("ä" * 100_000)

        deployment.client.start("W" * 64, run_id="r" * 64)
        deployment.function(Long).drain()
        assert outcomes(daemon) == [("fails", 1, "failed")]
        assert daemon.largest < 4096
